// The values in force: a flag beats the environment, the environment beats the file; and where each came from.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "freehold/base/error.h"
#include "freehold/base/value.h"
#include "table.h"

namespace freehold::access {
struct AccessConfig;
}

namespace freehold::cli {

// What is wrong in a place that a person can go to.
struct SettingFault {
    std::string where;  // "/etc/freehold/config.yaml:12", "FREEHOLD_DRAIN", "--drain"
    std::string message, hint;
    [[nodiscard]] Error error() const;
};

struct SettingValue {
    Value value;         // string, list of strings, int64, double, bool or map, as the kind has it
    std::string origin;  // as SettingFault::where
};

// What the command line said, by key; filled by the options that add_flags() made.
struct SettingFlags {
    std::string file;  // --config
    std::map<std::string, std::vector<std::string>> said;
};
// --config and one option for every row with a flag.
void add_setting_flags(CLI::App& app, SettingFlags& flags, std::span<const Setting> table = settings_table());

class Settings {
 public:
    struct Sources {
        std::filesystem::path file;  // empty: $FREEHOLD_CONFIG, $FREEHOLD_HOME/config.yaml, /etc/freehold/config.yaml
        SettingFlags flags;
        std::function<const char*(const char*)> environment;  // empty: the process's own
        std::vector<std::string> environment_names = {};      // of all variables; with `environment` only
        std::span<const Setting> table = settings_table();
    };
    // Reads all of it; what is wrong is gathered, not thrown. A file that was named and is not there is a fault.
    [[nodiscard]] static Settings read(const Sources& sources);
    // The same; throws the first fault (Error{usage}) and says how many more there are.
    [[nodiscard]] static Settings load(const SettingFlags& flags);

    [[nodiscard]] const std::filesystem::path& file() const noexcept { return file_; }  // empty: none was found
    [[nodiscard]] const std::vector<SettingFault>& faults() const noexcept { return faults_; }
    [[nodiscard]] std::span<const Setting> table() const noexcept { return table_; }
    // Variables of the environment that begin like ours and mean nothing, and are like none of ours either.
    [[nodiscard]] const std::vector<std::string>& strange_variables() const noexcept { return strange_; }
    // nullptr: nobody said it.
    [[nodiscard]] const SettingValue* find(std::string_view key) const;

    // With what holds when nobody said it.
    [[nodiscard]] std::string text(std::string_view key, std::string otherwise = {}) const;
    [[nodiscard]] std::vector<std::string> texts(std::string_view key) const;
    [[nodiscard]] int whole(std::string_view key, int otherwise) const;
    [[nodiscard]] double number(std::string_view key, double otherwise) const;
    [[nodiscard]] bool yes(std::string_view key, bool otherwise) const;

    // Who comes in, audit and retention: access.json under `home` (the older place), with what is said here over it.
    [[nodiscard]] access::AccessConfig access(const std::filesystem::path& home) const;

 private:
    void read_file();
    void read_environment(const Sources& sources);
    void look_for_misspelt(const Sources& sources);
    void read_flags(const SettingFlags& flags);
    void check_whole();

    std::span<const Setting> table_;
    std::filesystem::path file_;
    std::map<std::string, SettingValue, std::less<>> values_;
    std::vector<SettingFault> faults_;
    std::vector<std::string> strange_;
};

// "127.0.0.1:8080", ":8443" (all addresses), "[::1]:80", "8080", "0.0.0.0". Error{usage}.
[[nodiscard]] std::pair<std::string, std::uint16_t> read_address(const std::string& text);
// "5m", "30s", "2h", "90" to milliseconds; negative: for ever. Error{usage}.
[[nodiscard]] std::int64_t read_keep(const std::string& text);

}  // namespace freehold::cli
