// yaml-cpp behind yaml_file.h. Only maps, lists and bare words are taken; every leaf is held against its row.
#include "yaml_file.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "../console.h"
#include "freehold/access/principal.h"
#include "freehold/base/file.h"
#include "freehold/base/printable.h"

namespace freehold::cli {
namespace {

namespace fs = std::filesystem;
using Kind = Setting::Kind;

constexpr std::size_t kMostBytes = 1U << 20U;
constexpr int kMostLevels = 8;

std::string quoted(const std::string& text) {
    return fmt::format("\"{}\"", printable(text, 80));
}

std::optional<bool> truth(const std::string& text) {
    for (const char* word : {"true", "yes", "on", "1"}) {
        if (text == word) return true;
    }
    for (const char* word : {"false", "no", "off", "0"}) {
        if (text == word) return false;
    }
    return std::nullopt;
}

template <class T>
std::optional<T> whole_of(const std::string& text) {
    T number{};
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (fault != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
    return number;
}

std::string range_words(const Setting& s) {
    if (s.least == s.most) return {};
    return s.most >= 1e15 ? fmt::format(" from {}", s.least) : fmt::format(" from {} to {}", s.least, s.most);
}

Value wrong(const Setting& s, const std::string& text, SettingFault& fault) {
    fault.message = fmt::format("{} must be {}{}, not {}.", s.key, kind_words(s.kind), range_words(s), quoted(text));
    return {};
}

// One file on its way through.
class Reader {
 public:
    Reader(const fs::path& file, std::span<const Setting> table, std::vector<SettingFault>& faults)
        : file_(file), table_(table), faults_(faults) {}

    void walk(const YAML::Node& node, const std::string& prefix, int level) {
        if (level > kMostLevels) return tell(node, "The file is nested more deeply than any setting.");
        std::set<std::string> seen;
        for (const auto& item : node) {
            if (!item.first.IsScalar()) {
                tell(item.first, "A key must be a word.");
                continue;
            }
            const std::string name = item.first.Scalar();
            const std::string key = prefix.empty() ? name : prefix + "." + name;
            if (!seen.insert(name).second) {
                tell(item.first, fmt::format("{} stands twice.", printable(key, 80)), "Keep one of them.");
                continue;
            }
            if (const Setting* setting = find_setting(table_, key)) {
                leaf(*setting, item.first, item.second);
            } else if (is_section(key)) {
                section(item.first, item.second, key, level);
            } else {
                unknown(item.first, key);
            }
        }
    }

    void tell(const YAML::Node& node, std::string message, std::string hint = {}) {
        faults_.push_back({where(node.Mark()), std::move(message), std::move(hint)});
    }
    [[nodiscard]] std::string where(const YAML::Mark& mark) const {
        return mark.is_null() ? file_.string() : fmt::format("{}:{}", file_.string(), mark.line + 1);
    }
    std::map<std::string, SettingValue, std::less<>> values;

 private:
    [[nodiscard]] bool is_section(const std::string& key) const {
        return std::ranges::any_of(table_,
                                   [&](const Setting& s) { return std::string_view(s.key).starts_with(key + "."); });
    }
    void section(const YAML::Node& name, const YAML::Node& node, const std::string& key, int level) {
        if (node.IsNull()) return;
        if (!node.IsMap()) return tell(name, fmt::format("{} holds settings of its own, no single value.", key));
        walk(node, key, level + 1);
    }

    // The nearest name, looked for by the whole key and by its last word.
    void unknown(const YAML::Node& node, const std::string& key) {
        const std::string_view last = std::string_view(key).substr(key.rfind('.') + 1);
        std::string best;
        std::size_t least = 1 + key.size() / 3;
        for (const Setting& s : table_) {
            const std::string_view known(s.key);
            const std::size_t distance =
                std::min(edit_distance(key, known), edit_distance(last, known.substr(known.rfind('.') + 1)) + 1);
            if (distance >= least && !(best.empty() && distance == least)) continue;
            least = distance;
            best = s.key;
        }
        tell(node, fmt::format("{} is no setting.", quoted(key)),
             best.empty() ? "`freehold config show --all` lists them." : fmt::format("Did you mean {}?", best));
    }

    void leaf(const Setting& s, const YAML::Node& name, const YAML::Node& node) {
        if (node.IsNull()) return;  // said, and left open
        SettingFault fault;
        Value value;
        const YAML::Node& at = node.Mark().is_null() ? name : node;
        if (s.kind == Kind::texts) {
            std::vector<std::string> texts;
            bool plain = node.IsSequence();
            for (std::size_t i = 0; plain && i < node.size(); ++i) {
                plain = node[i].IsScalar();
                if (plain) texts.push_back(node[i].Scalar());
            }
            if (!plain) return tell(at, fmt::format("{} must be a list of texts.", s.key), "Write it as [one, other].");
            value = setting_values(s, texts, fault);
        } else if (s.kind == Kind::text_map) {
            ValueMap map;
            if (!node.IsMap()) return tell(at, fmt::format("{} must be names and their words.", s.key));
            for (const auto& item : node) {
                if (!item.first.IsScalar() || !item.second.IsScalar())
                    return tell(at, fmt::format("{} must be names and their words.", s.key));
                map.set(item.first.Scalar(), item.second.Scalar());
            }
            value = std::move(map);
        } else if (!node.IsScalar()) {
            return tell(at, fmt::format("{} must be {}.", s.key, kind_words(s.kind)));
        } else {
            value = setting_value(s, node.Scalar(), fault);
            // A text in quotes is a text, whatever it looks like.
            if (node.Tag() == "!" && (s.kind == Kind::whole || s.kind == Kind::number || s.kind == Kind::yes_no))
                value = wrong(s, "\"" + node.Scalar() + "\"", fault);
            if (s.kind == Kind::path && fault.message.empty() && !fs::path(node.Scalar()).is_absolute()) {
                fault.message = fmt::format("{} must be an absolute path, not {}.", s.key, quoted(node.Scalar()));
                fault.hint = "A service starts in a folder of its own.";
            }
        }
        if (!fault.message.empty()) return tell(at, fault.message, fault.hint);
        values.insert_or_assign(s.key, SettingValue{std::move(value), where(at.Mark())});
    }

    const fs::path& file_;
    std::span<const Setting> table_;
    std::vector<SettingFault>& faults_;
};

// Others may read it?
bool open_to_others(const fs::path& file) {
    struct stat info {};
    return ::stat(file.c_str(), &info) == 0 && (info.st_mode & (S_IROTH | S_IWOTH)) != 0;
}
bool written_by_others(const fs::path& file) {
    struct stat info {};
    return ::stat(file.c_str(), &info) == 0 && (info.st_mode & S_IWOTH) != 0;
}

}  // namespace

Value setting_value(const Setting& s, const std::string& text, SettingFault& fault) {
    switch (s.kind) {
        case Kind::yes_no:
            if (const auto yes = truth(text)) return *yes;
            return wrong(s, text, fault);
        case Kind::whole: {
            const auto number = whole_of<std::int64_t>(text);
            if (!number || static_cast<double>(*number) < s.least || static_cast<double>(*number) > s.most)
                return wrong(s, text, fault);
            return *number;
        }
        case Kind::number: {
            const auto number = whole_of<double>(text);
            if (!number || !std::isfinite(*number) || *number < s.least || *number > s.most)
                return wrong(s, text, fault);
            return *number;
        }
        case Kind::address:
        case Kind::keep:
        case Kind::span:
            try {
                if (s.kind == Kind::address) static_cast<void>(read_address(text));
                if (s.kind == Kind::keep) static_cast<void>(read_keep(text));
                if (s.kind == Kind::span) static_cast<void>(access::parse_duration(text));
            } catch (const Error& e) {
                fault.message = fmt::format("{}: {}", s.key, e.message());
                fault.hint = e.hint();
                return {};
            }
            return text;
        default:
            break;
    }
    if (text.empty() || text.find('\0') != std::string::npos) {
        fault.message = fmt::format("{} is empty.", s.key);
        fault.hint = "Leave it out, or say something.";
        return {};
    }
    if (s.words != nullptr) {
        const std::string all = "," + std::string(s.words) + ",";
        if (text.find(',') != std::string::npos || all.find("," + text + ",") == std::string::npos) {
            fault.message = fmt::format("{} is {}, which is none of {}.", s.key, quoted(text), s.words);
            return {};
        }
    }
    return text;
}

Value setting_values(const Setting& s, const std::vector<std::string>& texts, SettingFault& fault) {
    for (const std::string& text : texts) {
        if (!text.empty()) continue;
        fault.message = fmt::format("{} holds an empty text.", s.key);
        return {};
    }
    return texts;
}

std::map<std::string, SettingValue, std::less<>> read_settings_file(const fs::path& file,
                                                                    std::span<const Setting> table,
                                                                    std::vector<SettingFault>& faults) {
    Reader reader(file, table, faults);
    try {
        const YAML::Node root = YAML::Load(read_text(file, kMostBytes));
        if (root.IsNull()) return {};
        if (root.IsMap()) {
            reader.walk(root, "", 0);
        } else {
            faults.push_back({file.string(), "The file is no list of KEY: VALUE.", "Write `listen: 127.0.0.1:8080`."});
        }
    } catch (const YAML::Exception& e) {
        std::string said = e.msg.empty() ? "it cannot be read" : printable(e.msg, 200);
        faults.push_back({reader.where(e.mark), fmt::format("This is no YAML: {}.", said), {}});
    } catch (const Error& e) {
        faults.push_back({file.string(), e.message(), e.hint()});
    }
    const bool secrets = std::ranges::any_of(reader.values, [&](const auto& entry) {
        const Setting* setting = find_setting(table, entry.first);
        return setting != nullptr && setting->secret;
    });
    if (secrets && open_to_others(file)) {
        faults.push_back({file.string(), "The file holds a secret, and others may read it.",
                          fmt::format("chmod o-rwx {}", file.string())});
    } else if (written_by_others(file)) {
        faults.push_back({file.string(), "Everybody may write this file, and so decide who comes in.",
                          fmt::format("chmod o-w {}", file.string())});
    }
    return std::move(reader.values);
}

}  // namespace freehold::cli
