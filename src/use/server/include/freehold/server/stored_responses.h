// Answers of /v1/responses in the installation's database, which replicas may share.
#pragma once

#include <cstdint>
#include <memory>

#include "freehold/database/database.h"
#include "freehold/server/response_store.h"

namespace freehold::server {

// While the database is away responses wait in memory (ResponseStoreLimits::bytes of them) and are found there; of
// other replicas' nothing is found then (DatabaseAway). A background answer whose replica is gone is found failed.
class StoredResponses : public ResponseStore {
 public:
    // Each second: writes what waits, and gives a sign of life for what is written in the background.
    virtual void refresh() = 0;
    // Removes what is older (ms since 1970).
    virtual void purge(std::int64_t before) = 0;
};
// `database` must outlive it. Brings its tables up to date.
[[nodiscard]] std::shared_ptr<StoredResponses> make_stored_responses(Database& database,
                                                                     const ResponseStoreLimits& limits = {});

}  // namespace freehold::server
