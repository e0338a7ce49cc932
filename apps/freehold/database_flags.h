// Which database holds the state of this installation: state.db under FREEHOLD_HOME, or a PostgreSQL that replicas
// share.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>

#include "freehold/database/postgres.h"

namespace freehold::cli {

struct DatabaseFlags {
    std::string address;        // --database, else FREEHOLD_DATABASE; empty: SQLite
    std::string password_file;  // --database-password-file, else FREEHOLD_DATABASE_PASSWORD
};
void add_database_flags(CLI::App& app, DatabaseFlags& flags);

// nullopt: SQLite. Error{usage} for a password on the command line, where everybody on the machine can read it.
[[nodiscard]] std::optional<PostgresOptions> postgres_options(const DatabaseFlags& flags);
// Opens it in this process.
[[nodiscard]] std::unique_ptr<Database> open_database(const DatabaseFlags& flags);

}  // namespace freehold::cli
