// Three sources, one value: what each says, which of them counts, and what does not fit together.
#include "settings.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "../console.h"
#include "freehold/access/json.h"
#include "freehold/base/file.h"
#include "freehold/safeguards/config.h"
#include "freehold/store/store.h"
#include "yaml_file.h"

namespace freehold::cli {
namespace {

namespace fs = std::filesystem;
using Kind = Setting::Kind;

constexpr std::string_view kPrefix = "FREEHOLD_";
// Those that are no settings of the server.
constexpr std::array<std::string_view, 5> kOtherVariables = {"FREEHOLD_HOME", "FREEHOLD_CONFIG", "FREEHOLD_ISA",
                                                             "FREEHOLD_PANELS", "FREEHOLD_NO_HISTORY"};
constexpr const char* kSystemFile = "/etc/freehold/config.yaml";
// The parts of access.json, which are settings too.
constexpr std::array kAccessParts = {"hosts", "origins", "proxy.", "audit.", "retention."};

std::vector<std::string> split(const std::string& text) {
    std::vector<std::string> parts;
    for (std::size_t at = 0; at <= text.size();) {
        const std::size_t comma = std::min(text.find(',', at), text.size());
        std::string part = text.substr(at, comma - at);
        const std::size_t first = part.find_first_not_of(' ');
        part = first == std::string::npos ? "" : part.substr(first, part.find_last_not_of(' ') - first + 1);
        if (!part.empty()) parts.push_back(std::move(part));
        at = comma + 1;
    }
    return parts;
}

// NAME=WORD,OTHER=WORD
Value map_from(const Setting& s, const std::string& text, SettingFault& fault) {
    ValueMap map;
    for (const std::string& part : split(text)) {
        const std::size_t equals = part.find('=');
        if (equals == std::string::npos || equals == 0) {
            fault.message = fmt::format("{} must be NAME=WORD with commas between.", s.key);
            return {};
        }
        map.set(part.substr(0, equals), part.substr(equals + 1));
    }
    return map;
}

// Puts `value` at a key with dots.
void set_deep(ValueMap& map, std::string_view key, const Value& value) {
    const std::size_t dot = key.find('.');
    if (dot == std::string_view::npos) {
        map.set(std::string(key), value);
        return;
    }
    const std::string head(key.substr(0, dot));
    const Value* there = map.find(head);
    const ValueMap* inner = there == nullptr ? nullptr : there->get<ValueMap>();
    ValueMap deeper = inner == nullptr ? ValueMap{} : *inner;
    set_deep(deeper, key.substr(dot + 1), value);
    map.set(head, std::move(deeper));
}

}  // namespace

Error SettingFault::error() const {
    return {ErrorKind::usage, where.empty() ? message : fmt::format("{}: {}", where, message), hint};
}

std::pair<std::string, std::uint16_t> read_address(const std::string& text) {
    std::string address = text, port;
    if (const auto colon = text.rfind(':'); colon != std::string::npos && text.find(']', colon) == std::string::npos) {
        address = text.substr(0, colon);
        port = text.substr(colon + 1);
    } else if (text.find_first_not_of("0123456789") == std::string::npos) {
        address.clear();
        port = text;
    }
    if (address.size() > 1 && address.front() == '[' && address.back() == ']')
        address = address.substr(1, address.size() - 2);
    if (address.empty()) address = port == text ? "127.0.0.1" : "0.0.0.0";
    int number = 8080;
    if (!port.empty()) {
        number = port.size() < 6 && port.find_first_not_of("0123456789") == std::string::npos ? std::stoi(port) : -1;
    }
    if (number < 0 || number > 65535) {
        throw Error(ErrorKind::usage, fmt::format("\"{}\" is no address and port.", text),
                    "Write 127.0.0.1:8080, :8443 (all addresses) or [::1]:8080.");
    }
    return {address, static_cast<std::uint16_t>(number)};
}

std::int64_t read_keep(const std::string& text) {
    std::size_t used = 0;
    double value = 0;
    try {
        value = std::stod(text, &used);
    } catch (const std::exception&) {
        used = 0;
    }
    const std::string unit = text.substr(std::min(used, text.size()));
    const double factor = unit.empty() || unit == "s" ? 1
                          : unit == "m"               ? 60
                          : unit == "h"               ? 3600
                          : unit == "ms"              ? 0.001
                                                      : 0;
    if (used == 0 || factor == 0 || !(value <= 1e9)) {
        throw Error(ErrorKind::usage, fmt::format("\"{}\" is no time.", text), "Write 30s, 5m, 2h, or -1 for ever.");
    }
    return value < 0 ? -1 : static_cast<std::int64_t>(value * factor * 1000);
}

void add_setting_flags(CLI::App& app, SettingFlags& flags, std::span<const Setting> table) {
    app.add_option("--config", flags.file,
                   "File of settings (default: config.yaml under FREEHOLD_HOME or /etc/freehold)")
        ->type_name("FILE");
    for (const Setting& s : table) {
        if (s.flag == nullptr) continue;
        std::vector<std::string>& said = flags.said[s.key];
        CLI::Option* option = nullptr;
        const std::string standard =
            s.kind == Kind::yes_no || *s.standard == '\0' ? "" : fmt::format(" (default: {})", s.standard);
        if (s.kind == Kind::yes_no) {
            option = app.add_flag_function(
                s.flag, [&said, &s](std::int64_t) { said = {s.no_flag ? "false" : "true"}; }, s.help);
        } else {
            option = app.add_option(s.flag, said, s.help + standard)->type_name(s.type_name);
            if (s.kind != Kind::texts) option->expected(1);
        }
        if (std::string_view(s.section) == "Computing") option->group("Running");
    }
}

Settings Settings::read(const Sources& sources) {
    Settings all;
    all.table_ = sources.table;
    const auto environment = [&](const char* name) -> const char* {
        return sources.environment ? sources.environment(name) : std::getenv(name);
    };
    std::error_code ec;
    const char* named = environment("FREEHOLD_CONFIG");
    if (!sources.flags.file.empty() || !sources.file.empty() || (named != nullptr && *named != '\0')) {
        all.file_ = !sources.flags.file.empty() ? fs::path(sources.flags.file)
                    : !sources.file.empty()     ? sources.file
                                                : fs::path(named);
        if (!fs::exists(all.file_, ec)) {
            all.faults_.push_back(
                {all.file_.string(), "There is no such file.", "It was named by --config or FREEHOLD_CONFIG."});
            all.file_.clear();
        }
    } else {
        const char* home = environment("FREEHOLD_HOME");
        for (const fs::path& place :
             {(home != nullptr && *home != '\0' ? fs::path(home) : default_home()) / "config.yaml",
              fs::path(kSystemFile)}) {
            if (all.file_.empty() && fs::exists(place, ec)) all.file_ = place;
        }
    }
    if (!all.file_.empty()) all.values_ = read_settings_file(all.file_, all.table_, all.faults_);
    all.read_environment(sources);
    all.look_for_misspelt(sources);
    all.read_flags(sources.flags);
    all.check_whole();
    return all;
}

Settings Settings::load(const SettingFlags& flags) {
    Sources sources;
    sources.flags = flags;
    Settings all = read(sources);
    if (all.faults_.empty()) return all;
    SettingFault first = all.faults_.front();
    if (all.faults_.size() > 1)
        first.hint += fmt::format("{}There are {} more: `freehold config check` names them all.",
                                  first.hint.empty() ? "" : " ", all.faults_.size() - 1);
    throw first.error();
}

void Settings::read_environment(const Sources& sources) {
    for (const Setting& s : table_) {
        const std::string name = environment_name(s);
        const char* text = sources.environment ? sources.environment(name.c_str()) : std::getenv(name.c_str());
        if (text == nullptr || *text == '\0') continue;
        SettingFault fault;
        Value value = s.kind == Kind::texts      ? setting_values(s, split(text), fault)
                      : s.kind == Kind::text_map ? map_from(s, text, fault)
                                                 : setting_value(s, text, fault);
        fault.where = name;
        if (fault.message.empty()) {
            values_.insert_or_assign(s.key, SettingValue{std::move(value), name});
        } else {
            faults_.push_back(std::move(fault));
        }
    }
}

// A limit that was misspelt would be no limit. What is merely strange may belong to somebody else: a service called
// freehold has variables of its own in a cluster.
void Settings::look_for_misspelt(const Sources& sources) {
    std::vector<std::string> names = sources.environment_names;
    if (!sources.environment) {
        for (char** one = environ; one != nullptr && *one != nullptr; ++one) {
            const std::string_view text(*one);
            names.emplace_back(text.substr(0, text.find('=')));
        }
    }
    for (const std::string& name : names) {
        if (!name.starts_with(kPrefix) || std::ranges::find(kOtherVariables, name) != kOtherVariables.end()) continue;
        std::string best;
        // Short names are like many others.
        std::size_t least = name.size() - kPrefix.size() < 5 ? 2 : 3;
        bool ours = false;
        for (const Setting& s : table_) {
            const std::string known = environment_name(s);
            ours = ours || known == name;
            if (const std::size_t distance = edit_distance(name, known); distance < least) {
                least = distance;
                best = known;
            }
        }
        if (ours) continue;
        if (best.empty()) {
            strange_.push_back(name);
        } else {
            faults_.push_back({name, "There is no such variable.", fmt::format("Did you mean {}?", best)});
        }
    }
}

void Settings::read_flags(const SettingFlags& flags) {
    for (const auto& [key, said] : flags.said) {
        const Setting* s = find_setting(table_, key);
        if (s == nullptr || said.empty()) continue;
        SettingFault fault;
        Value value = s->kind == Kind::texts ? setting_values(*s, said, fault) : setting_value(*s, said.back(), fault);
        fault.where = s->flag == nullptr ? "--tls" : s->flag;
        if (fault.message.empty()) {
            values_.insert_or_assign(key, SettingValue{std::move(value), fault.where});
        } else {
            faults_.push_back(std::move(fault));
        }
    }
}

// What is right by itself and wrong together.
void Settings::check_whole() {
    const auto* certificate = find("tls.certificate");
    const auto* key = find("tls.key");
    if ((certificate == nullptr) != (key == nullptr)) {
        const SettingValue& there = certificate != nullptr ? *certificate : *key;
        faults_.push_back({there.origin, "tls.certificate and tls.key belong together; one is missing.",
                           "Name both PEM files, or neither."});
    }
    for (const SettingValue* file : {certificate, key}) {
        std::error_code ec;
        const std::string path(file == nullptr ? "" : file->value.as_string().value_or(""));
        if (file != nullptr && !fs::is_regular_file(path, ec))
            faults_.push_back({file->origin, fmt::format("There is no file {}.", path), {}});
    }
    if (const SettingValue* file = find("safeguards")) {
        for (const auto& fault : safeguards::read_config(std::string(file->value.as_string().value_or(""))).faults)
            faults_.push_back({fault.where, fault.message, fault.hint});
    }
    if (!faults_.empty()) return;  // the next look would tell the same things again
    try {
        static_cast<void>(access({}));
    } catch (const Error& fault) {
        faults_.push_back({file_.string(), fault.message(), fault.hint()});
    }
}

const SettingValue* Settings::find(std::string_view key) const {
    const auto found = values_.find(key);
    return found == values_.end() ? nullptr : &found->second;
}

std::string Settings::text(std::string_view key, std::string otherwise) const {
    const SettingValue* there = find(key);
    return there == nullptr ? std::move(otherwise) : std::string(there->value.as_string().value_or(""));
}
std::vector<std::string> Settings::texts(std::string_view key) const {
    const SettingValue* there = find(key);
    const auto* list = there == nullptr ? nullptr : there->value.get<std::vector<std::string>>();
    return list == nullptr ? std::vector<std::string>{} : *list;
}
int Settings::whole(std::string_view key, int otherwise) const {
    const SettingValue* there = find(key);
    return there == nullptr ? otherwise : static_cast<int>(there->value.as_int().value_or(otherwise));
}
double Settings::number(std::string_view key, double otherwise) const {
    const SettingValue* there = find(key);
    const auto* number = there == nullptr ? nullptr : there->value.get<double>();
    return number == nullptr ? otherwise : *number;
}
bool Settings::yes(std::string_view key, bool otherwise) const {
    const SettingValue* there = find(key);
    return there == nullptr ? otherwise : there->value.as_bool().value_or(otherwise);
}

access::AccessConfig Settings::access(const fs::path& home) const {
    ValueMap map;
    std::string what = file_.empty() ? "the settings" : file_.string();
    std::error_code ec;
    const fs::path older = home / "access.json";
    if (!home.empty() && fs::exists(older, ec)) {
        const Value value = parse_json(read_text(older, 1U << 20U), older.string());
        if (value.get<ValueMap>() == nullptr)
            throw Error(ErrorKind::usage, fmt::format("{} is no JSON object.", older.string()));
        map = *value.get<ValueMap>();
        what = older.string();
    }
    for (const auto& [key, said] : values_) {
        const bool ours =
            std::ranges::any_of(kAccessParts, [&k = key](const char* part) { return k.starts_with(part); });
        if (ours) set_deep(map, key, said.value);
    }
    return access::access_config_from(map, what);
}

}  // namespace freehold::cli
