// Answers of /v1/responses that may be asked for again: what was said, what was answered, by whom. In the
// installation's database, which replicas may share, or in memory; bounded for each tenant either way.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "freehold/base/value.h"
#include "freehold/database/database.h"

namespace freehold::server {

struct StoredResponse {
    Value response;   // the object as clients see it
    ValueList input;  // items of this request, with ids
    ValueList
        messages;  // the conversation with the answer, without instructions: what a following request goes on from
    bool running = false;  // in the background
};

// Nobody sees what another tenant keeps. Safe from any thread.
class ResponseStore {
 public:
    virtual ~ResponseStore() = default;
    virtual void put(const std::string& tenant, const std::string& id, StoredResponse response) = 0;
    [[nodiscard]] virtual std::optional<StoredResponse> get(const std::string& tenant, const std::string& id) = 0;
    // False: there was none.
    virtual bool erase(const std::string& tenant, const std::string& id) = 0;
    // Each second: what could not be kept before, and a sign of life for what is written in the background.
    virtual void refresh() {}
    // Removes what is older (ms since 1970).
    virtual void purge(std::int64_t) {}
};

struct ResponseStoreLimits {
    std::size_t responses = 1000;    // of one tenant; the oldest go
    std::size_t bytes = 64U << 20U;  // of one tenant, as JSON
    std::size_t tenants = 1000;      // the one that was idle longest goes
};
[[nodiscard]] std::shared_ptr<ResponseStore> make_memory_response_store(const ResponseStoreLimits& limits = {});
// `database` must outlive it. While the database is away responses wait in memory (`bytes` of them) and are found
// there; of other replicas' nothing is found then (DatabaseAway). A background answer whose replica is gone is failed.
[[nodiscard]] std::shared_ptr<ResponseStore> make_response_store(Database& database,
                                                                 const ResponseStoreLimits& limits = {});

}  // namespace freehold::server
