// The address from the command line or the environment; the password from a file or the environment, never from words
// that `ps` shows.
#include "database_flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/database/state.h"
#include "freehold/store/store.h"

namespace freehold::cli {
namespace {

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

std::string first_line(const std::string& file) {
    std::string text = read_text(file, 65536);
    text.resize(std::min(text.find('\n'), text.size()));
    if (!text.empty() && text.back() == '\r') text.pop_back();
    if (text.empty()) throw Error(ErrorKind::usage, fmt::format("There is no password in the first line of {}.", file));
    return text;
}

}  // namespace

void add_database_flags(CLI::App& app, DatabaseFlags& flags) {
    app.add_option("--database", flags.address,
                   "PostgreSQL that replicas share: postgres://USER@HOST/NAME (default: state.db; FREEHOLD_DATABASE)")
        ->type_name("ADDRESS")
        ->group("Replicas");
    app.add_option("--database-password-file", flags.password_file,
                   "File with its password in the first line (or FREEHOLD_DATABASE_PASSWORD)")
        ->type_name("FILE")
        ->group("Replicas");
}

std::optional<PostgresOptions> postgres_options(const DatabaseFlags& flags) {
    PostgresOptions options;
    options.address = flags.address.empty() ? environment("FREEHOLD_DATABASE") : flags.address;
    if (options.address.empty()) return std::nullopt;
    if (!is_postgres(options.address)) {
        throw Error(
            ErrorKind::usage, "The database's address is none of PostgreSQL.",
            "Write postgres://USER@HOST:5432/NAME. Without one the state lies in state.db under FREEHOLD_HOME.");
    }
    if (!flags.address.empty() && has_password(flags.address)) {
        throw Error(ErrorKind::usage, "A password on the command line can be read by everybody on this machine.",
                    "Put it into a file of mode 0600 (--database-password-file), or into FREEHOLD_DATABASE_PASSWORD.");
    }
    options.password =
        flags.password_file.empty() ? environment("FREEHOLD_DATABASE_PASSWORD") : first_line(flags.password_file);
    return options;
}

std::unique_ptr<Database> open_database(const DatabaseFlags& flags) {
    if (const auto postgres = postgres_options(flags)) return open_postgres(*postgres);
    const std::filesystem::path home = default_home();
    std::filesystem::create_directories(home);
    return open_state_database(home);
}

}  // namespace freehold::cli
