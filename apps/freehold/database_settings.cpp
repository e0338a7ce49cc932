// The address and the password as the settings have them; a password never comes from words that `ps` shows.
#include "database_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/database/state.h"
#include "freehold/store/store.h"

namespace freehold::cli {
namespace {

std::string first_line(const std::string& file) {
    std::string text = read_text(file, 65536);
    text.resize(std::min(text.find('\n'), text.size()));
    if (!text.empty() && text.back() == '\r') text.pop_back();
    if (text.empty()) throw Error(ErrorKind::usage, fmt::format("There is no password in the first line of {}.", file));
    return text;
}

}  // namespace

void add_database_flags(CLI::App& app, SettingFlags& flags) {
    const std::span<const Setting> table = settings_table();
    const Setting* const address = find_setting(table, "database");
    // The address and the password's file stand side by side in the table.
    add_setting_flags(app, flags, {address, 2});
}

std::optional<PostgresOptions> postgres_options(const Settings& settings) {
    PostgresOptions options;
    options.address = settings.text("database");
    if (options.address.empty()) return std::nullopt;
    if (!is_postgres(options.address)) {
        throw Error(
            ErrorKind::usage, "The database's address is none of PostgreSQL.",
            "Write postgres://USER@HOST:5432/NAME. Without one the state lies in state.db under FREEHOLD_HOME.");
    }
    if (settings.find("database")->origin == "--database" && has_password(options.address)) {
        throw Error(ErrorKind::usage, "A password on the command line can be read by everybody on this machine.",
                    "Put it into a file of mode 0600 (--database-password-file), or into FREEHOLD_DATABASE_PASSWORD.");
    }
    const std::string file = settings.text("database_password_file");
    options.password = file.empty() ? settings.text("database_password") : first_line(file);
    return options;
}

std::unique_ptr<Database> open_database(const Settings& settings) {
    if (const auto postgres = postgres_options(settings)) return open_postgres(*postgres);
    const std::filesystem::path home = default_home();
    std::filesystem::create_directories(home);
    return open_state_database(home);
}

}  // namespace freehold::cli
