// The state database of a test: SQLite in its scratch folder, or, where FREEHOLD_TEST_DATABASE=postgres, a database of
// its own in a PostgreSQL server that this process starts once. The same tests hold both.
#pragma once

#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "freehold/database/database.h"
#include "freehold/database/postgres.h"
#include "support/postgres_server.h"
#include "support/scratch.h"

namespace freehold::testing {

inline bool on_postgres() {
    const char* wanted = std::getenv("FREEHOLD_TEST_DATABASE");
    return wanted != nullptr && std::string_view(wanted) == "postgres";
}

inline PostgresServer& postgres_server() {
    static PostgresServer server;
    return server;
}

class StateDatabase {
 public:
    explicit StateDatabase(const Scratch& scratch) : file_(scratch / "state.db") {
        if (on_postgres()) address_ = postgres_server().local(postgres_server().create());
    }
    // Another connection each time. `wait_ms`: how long it waits for its turn to write.
    [[nodiscard]] std::unique_ptr<Database> open(int wait_ms = 5000) const {
        if (address_.empty()) {
            SqliteOptions options;
            options.busy_ms = wait_ms;
            return open_sqlite(file_, options);
        }
        PostgresOptions options;
        options.address = address_;
        options.lock_ms = wait_ms;
        return open_postgres(options);
    }
    [[nodiscard]] const std::string& address() const { return address_; }

 private:
    fs::path file_;
    std::string address_;  // of PostgreSQL
};

}  // namespace freehold::testing
