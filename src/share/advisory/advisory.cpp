// Reading and writing: strict about what is relied upon, deaf to the rest.
// Texts reach terminals, so what is no printable text is made so on reading.
#include "freehold/advisory/advisory.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "freehold/base/error.h"
#include "freehold/base/printable.h"
#include "freehold/base/value.h"

namespace freehold::advisory {
namespace {

constexpr std::array kKinds{"weights", "adapter", "tokenizer", "code", "version"};
constexpr std::array kSeverities{Severity::unknown, Severity::low, Severity::medium, Severity::high,
                                 Severity::critical};
constexpr std::array kActions{Action::note, Action::update, Action::recall};
constexpr std::size_t kMaxWords = 64 << 10;
constexpr std::size_t kMaxList = 1000;

[[noreturn]] void bad(const std::string& what, const std::string& why) {
    throw Error(ErrorKind::bad_file, fmt::format("{} is no advisory: {}.", what, why),
                "The form is described in docs/advisories.md.");
}

bool is_hex64(std::string_view text) noexcept {
    return text.size() == 64 &&
           std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string checked_digest(std::string_view text, const std::string& what) {
    if (!text.starts_with("sha256:") || !is_hex64(text.substr(7)))
        bad(what, fmt::format("\"{}\" is no digest (sha256: and 64 lower-case hex digits)", printable(text, 100)));
    return std::string(text);
}

std::string checked_id(std::string_view id, const std::string& what) {
    const auto word = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
    const bool good = !id.empty() && id.size() <= 100 && word(id.front()) &&
                      std::ranges::all_of(id, [&](char c) { return word(c) || c == '.' || c == '_' || c == '-'; });
    if (!good)
        bad(what, fmt::format("its id \"{}\" is not made of letters, digits, '.', '_' and '-'", printable(id, 100)));
    return std::string(id);
}

// "2026-01-02T03:04:05Z", with a fraction or without.
std::string checked_time(std::string_view text, const std::string& what, const char* key) {
    constexpr std::string_view kForm = "0000-00-00T00:00:00";
    bool good = text.size() >= kForm.size() + 1 && text.size() <= 40 && text.ends_with('Z');
    for (std::size_t i = 0; good && i < kForm.size(); ++i)
        good = kForm[i] == '0' ? text[i] >= '0' && text[i] <= '9' : text[i] == kForm[i];
    if (good && text.size() > kForm.size() + 1)
        good = text[kForm.size()] == '.' && text.size() > kForm.size() + 2 &&
               std::ranges::all_of(text.substr(kForm.size() + 1, text.size() - kForm.size() - 2),
                                   [](char c) { return c >= '0' && c <= '9'; });
    const auto number = [&](std::size_t at) { return (text[at] - '0') * 10 + text[at + 1] - '0'; };
    if (good)
        good = number(5) >= 1 && number(5) <= 12 && number(8) >= 1 && number(8) <= 31 && number(11) <= 23 &&
               number(14) <= 59 && number(17) <= 60;
    if (!good)
        bad(what, fmt::format("\"{}\" is \"{}\" and no time in UTC (2026-01-02T03:04:05Z)", key, printable(text, 60)));
    return std::string(text);
}

const ValueMap& object(const Value& value, const std::string& what, const char* key) {
    const auto* map = value.get<ValueMap>();
    if (map == nullptr) bad(what, fmt::format("\"{}\" is no object", key));
    return *map;
}

std::string text_of(const ValueMap& map, const char* key, const std::string& what, bool required = false) {
    const Value* value = map.find(key);
    if (value == nullptr || value->is_null()) {
        if (required) bad(what, fmt::format("it has no \"{}\"", key));
        return {};
    }
    const auto text = value->as_string();
    if (!text) bad(what, fmt::format("\"{}\" is no text", key));
    if (text->size() > kMaxWords) bad(what, fmt::format("\"{}\" has more than {} bytes", key, kMaxWords));
    return std::string(*text);
}

// Printable, line by line.
std::string words_of(const ValueMap& map, const char* key, const std::string& what) {
    const std::string text = text_of(map, key, what);
    std::string out;
    std::size_t start = 0;
    while (start < text.size()) {
        const std::size_t end = std::min(text.find('\n', start), text.size());
        out += printable(std::string_view(text).substr(start, end - start), kMaxWords);
        if (end < text.size()) out += '\n';
        start = end + 1;
    }
    return out;
}

const Value* list_of(const ValueMap& map, const char* key, const std::string& what, std::size_t most) {
    const Value* value = map.find(key);
    if (value == nullptr || value->is_null()) return nullptr;
    const bool list = value->get<ValueList>() != nullptr || value->get<std::vector<std::string>>() != nullptr;
    if (!list) bad(what, fmt::format("\"{}\" is no list", key));
    if (value->size() > most) bad(what, fmt::format("\"{}\" has more than {} entries", key, most));
    return value;
}

std::vector<std::string> digests_of(const ValueMap& map, const char* key, const std::string& what, std::size_t most) {
    std::vector<std::string> out;
    if (const Value* list = list_of(map, key, what, most)) {
        for (std::size_t i = 0; i < list->size(); ++i) {
            const Value item = list->at(i);
            out.push_back(checked_digest(item.as_string().value_or(""), what));
        }
    }
    return out;
}

void take_affected(const ValueMap& entry, const std::string& what, Advisory& out) {
    const Value* own = entry.find("database_specific");
    if (own == nullptr) return;  // of packages: not ours
    const ValueMap& map = object(*own, what, "database_specific");
    Affected one;
    one.kind = text_of(map, "kind", what);
    if (one.kind.empty()) one.kind = "weights";
    if (std::ranges::find(kKinds, std::string_view(one.kind)) == kKinds.end())
        bad(what, fmt::format("\"{}\" is no kind of thing; there are weights, adapter, tokenizer, code and version",
                              printable(one.kind, 60)));
    one.name = printable(text_of(map, "name", what), 500);
    if (const Value* size = map.find("size"); size != nullptr && !size->is_null()) {
        const auto number = size->as_int();
        if (!number || *number < 0) bad(what, "a \"size\" is no number of bytes");
        one.size = static_cast<std::uint64_t>(*number);
    }
    const auto digests = digests_of(map, "digests", what, kMaxAffected);
    if (digests.size() > 1) one.size = 0;  // of which of them?
    for (const std::string& digest : digests) {
        one.digest = digest;
        if (out.affected.size() == kMaxAffected) bad(what, fmt::format("it names more than {} digests", kMaxAffected));
        out.affected.push_back(one);
    }
}

template <class E, class Name, std::size_t N>
E one_of(const std::array<E, N>& all, Name&& name, const std::string& word, const std::string& what, const char* key) {
    for (const E e : all)
        if (word == name(e)) return e;
    bad(what, fmt::format("\"{}\" is \"{}\", which is not known", key, printable(word, 60)));
}

}  // namespace

const char* severity_name(Severity s) noexcept {
    switch (s) {
        case Severity::low:
            return "low";
        case Severity::medium:
            return "medium";
        case Severity::high:
            return "high";
        case Severity::critical:
            return "critical";
        case Severity::unknown:
            break;
    }
    return "unknown";
}

const char* action_name(Action a) noexcept {
    return a == Action::recall ? "recall" : a == Action::update ? "update" : "note";
}

Advisory parse(std::string_view text, const std::string& what) {
    if (text.size() > kMaxText) bad(what, fmt::format("it has more than {} bytes", kMaxText));
    const Value tree = parse_json(text, what);
    const ValueMap& map = object(tree, what, "the document");
    const std::string version = text_of(map, "schema_version", what);
    if (!version.empty() && !version.starts_with("1."))
        throw Error(ErrorKind::unsupported,
                    fmt::format("{} is an advisory of OSV {}; this build reads 1.x.", what, printable(version, 20)));
    Advisory out;
    out.id = checked_id(text_of(map, "id", what, true), what);
    out.modified = checked_time(text_of(map, "modified", what, true), what, "modified");
    for (const auto& [key, to] : {std::pair("published", &out.published), std::pair("withdrawn", &out.withdrawn)}) {
        const std::string time = text_of(map, key, what);
        if (!time.empty()) *to = checked_time(time, what, key);
    }
    out.summary = printable(text_of(map, "summary", what), 1000);
    out.details = words_of(map, "details", what);
    if (const Value* aliases = list_of(map, "aliases", what, kMaxList)) {
        for (std::size_t i = 0; i < aliases->size(); ++i) {
            const Value item = aliases->at(i);
            out.aliases.push_back(checked_id(item.as_string().value_or(""), what));
        }
    }
    if (const Value* references = list_of(map, "references", what, kMaxList)) {
        for (std::size_t i = 0; i < references->size(); ++i) {
            const Value item = references->at(i);
            const ValueMap& one = object(item, what, "references");
            out.references.emplace_back(printable(text_of(one, "type", what, true), 40),
                                        printable(text_of(one, "url", what, true), 2000));
        }
    }
    if (const Value* severity = list_of(map, "severity", what, kMaxList)) {
        for (std::size_t i = 0; i < severity->size(); ++i) {
            const Value item = severity->at(i);
            out.cvss.push_back(printable(text_of(object(item, what, "severity"), "score", what, true), 200));
        }
    }
    if (const Value* affected = list_of(map, "affected", what, kMaxAffected)) {
        for (std::size_t i = 0; i < affected->size(); ++i) {
            const Value item = affected->at(i);
            take_affected(object(item, what, "affected"), what, out);
        }
    }
    if (out.affected.empty()) bad(what, "it names no digest in affected[].database_specific.digests");
    if (const Value* own = map.find("database_specific")) {
        const ValueMap& specific = object(*own, what, "database_specific");
        if (const std::string word = text_of(specific, "severity", what); !word.empty())
            out.severity = one_of(kSeverities, severity_name, word, what, "severity");
        if (const std::string word = text_of(specific, "action", what); !word.empty())
            out.action = one_of(kActions, action_name, word, what, "action");
        out.fixed = digests_of(specific, "fixed", what, kMaxList);
    }
    return out;
}

std::string write(const Advisory& a) {
    ValueMap own;
    own.set("severity", severity_name(a.severity));
    own.set("action", action_name(a.action));
    if (!a.fixed.empty()) own.set("fixed", a.fixed);
    ValueList affected;
    for (const Affected& one : a.affected) {
        ValueMap specific;
        specific.set("kind", one.kind);
        specific.set("digests", std::vector<std::string>{one.digest});
        if (one.size > 0) specific.set("size", one.size);
        if (!one.name.empty()) specific.set("name", one.name);
        affected.emplace_back(ValueMap{{"database_specific", Value(std::move(specific))}});
    }
    ValueMap map;
    map.set("schema_version", "1.6.0");
    map.set("id", a.id);
    map.set("modified", a.modified);
    if (!a.published.empty()) map.set("published", a.published);
    if (!a.withdrawn.empty()) map.set("withdrawn", a.withdrawn);
    if (!a.aliases.empty()) map.set("aliases", a.aliases);
    if (!a.summary.empty()) map.set("summary", a.summary);
    if (!a.details.empty()) map.set("details", a.details);
    if (!a.cvss.empty()) {
        ValueList list;
        for (const std::string& vector : a.cvss) {
            const char* type = vector.starts_with("CVSS:4")   ? "CVSS_V4"
                               : vector.starts_with("CVSS:3") ? "CVSS_V3"
                                                              : "CVSS_V2";
            list.emplace_back(ValueMap{{"type", Value(type)}, {"score", Value(vector)}});
        }
        map.set("severity", std::move(list));
    }
    map.set("affected", std::move(affected));
    if (!a.references.empty()) {
        ValueList list;
        for (const auto& [type, url] : a.references)
            list.emplace_back(ValueMap{{"type", Value(type)}, {"url", Value(url)}});
        map.set("references", std::move(list));
    }
    map.set("database_specific", std::move(own));
    std::string text = to_json(Value(std::move(map)), 2) + "\n";
    try {
        static_cast<void>(parse(text, "This"));
    } catch (const Error& e) {
        throw Error(ErrorKind::usage, e.message(), e.hint());
    }
    return text;
}

}  // namespace freehold::advisory
