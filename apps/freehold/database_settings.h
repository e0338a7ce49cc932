// Which database holds the state of this installation: state.db under FREEHOLD_HOME, or a PostgreSQL that replicas
// share.
#pragma once

#include <memory>
#include <optional>

#include "freehold/database/postgres.h"
#include "settings/settings.h"

namespace freehold::cli {

// --config, --database and --database-password-file, for verbs that need nothing else of the settings.
void add_database_flags(CLI::App& app, SettingFlags& flags);

// nullopt: SQLite. Error{usage} for a password on the command line, where everybody on the machine can read it.
[[nodiscard]] std::optional<PostgresOptions> postgres_options(const Settings& settings);
// Opens it in this process.
[[nodiscard]] std::unique_ptr<Database> open_database(const Settings& settings);

}  // namespace freehold::cli
