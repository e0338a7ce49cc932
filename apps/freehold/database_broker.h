// The way of a sealed server to its configured database, and to nothing else: a process that was started before the
// seal. It forks one more for each connection; that one connects to the configured address before it reads a byte of
// the server's, then seals itself, and so holds that one connection and can open no other.
#pragma once

#include <memory>

#include "freehold/database/postgres.h"

namespace freehold::cli {

inline constexpr const char* kBrokerName = "freehold-db";  // as the kernel shows it

class DatabaseBroker {
 public:
    // Starts the process. To be made before this process has threads (it forks), and before it is sealed. With `seal`
    // false the broker is not sealed either. Throws Error{io}.
    DatabaseBroker(const PostgresOptions& options, bool seal);
    ~DatabaseBroker();  // the database made by open() must be gone by then
    DatabaseBroker(const DatabaseBroker&) = delete;
    DatabaseBroker& operator=(const DatabaseBroker&) = delete;

    // Once: connects. DatabaseAway. The name of the database is all that this process keeps of its address.
    [[nodiscard]] std::unique_ptr<Database> open();

 private:
    PostgresOptions options_;  // without the password, which only the broker knows
    int socket_ = -1, child_ = -1;
};

}  // namespace freehold::cli
