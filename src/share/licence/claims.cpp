// Claims: front matter and GGUF keys, read as hostile text; nothing in them is believed, only compared.
#include "claims.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "addresses.h"
#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/printable.h"
#include "freehold/formats/model_files.h"
#include "licence_names.h"
#include "prose.h"

namespace freehold::licence {
namespace {

constexpr std::size_t kLongest = 200;  // bytes of a claim that are kept
constexpr std::size_t kLongestGate = 4000;

std::string trimmed(std::string_view s) {
    while (!s.empty() && (s.front() == ' ' || s.front() == '\t' || s.front() == '"' || s.front() == '\''))
        s.remove_prefix(1);
    while (!s.empty() &&
           (s.back() == ' ' || s.back() == '\t' || s.back() == '\r' || s.back() == '"' || s.back() == '\''))
        s.remove_suffix(1);
    return printable(s.substr(0, kLongest));
}

std::string lower(std::string_view s) {
    std::string out(s);
    std::ranges::transform(out, out.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return out;
}

// "&anchor cc-by-4.0  # a remark": the value alone.
std::string scalar(std::string_view raw) {
    const std::size_t first = raw.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    raw.remove_prefix(first);
    if (raw.starts_with('&')) raw.remove_prefix(std::min(raw.find(' '), raw.size()));
    if (!raw.starts_with('"') && !raw.starts_with('\'')) raw = raw.substr(0, raw.find(" #"));
    return trimmed(raw);
}

void take(std::string_view file, std::string_view key, std::string_view raw, std::uint32_t line, Origins& out) {
    const std::string value = scalar(raw);
    if (value.empty() || value == "[]" || value == "null") return;
    const std::string where = fmt::format("{}, {}", file, key);
    if (key == "license" || key == "license_name" || key == "licence" || key == "modelspec.license" ||
        key == "general.license" || key == "general.license.name") {
        out.claims.push_back({where, line, value, licence_named(value)});
    } else if (key == "license_link" || key == "general.license.link") {
        if (const Known* known = licence_at(value))
            out.claims.push_back({where + " (an address)", line, value, known});
        else
            out.links.push_back({where, line, value, nullptr});
    } else if (key == "base_model") {
        out.bases.push_back({where, line, value, licence_of_base(value)});
    } else if (key == "model_name" || key == "name") {
        out.names.push_back(value);
    }
}

}  // namespace

void read_card(std::string_view name, std::string_view text, Origins& out) {
    out.card += std::string(text) + "\n";
    if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
    if (!text.starts_with("---")) return;
    std::uint32_t line = 0;
    std::string key;
    std::size_t at = 0;
    const auto gate = [&](std::string_view words) {
        const std::string said = printable(words.substr(0, kLongestGate));
        if (out.gates.empty() || out.gates.back().where != fmt::format("{}, {}", name, key))
            out.gates.push_back({fmt::format("{}, {}", name, key), line, said, nullptr});
        else
            out.gates.back().value += " " + said;
    };
    while (at < text.size()) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        const std::string_view row = text.substr(at, end - at);
        at = end + 1;
        ++line;
        if (line == 1) continue;
        if (row.starts_with("---")) return;
        const std::size_t first = row.find_first_not_of(' ');
        const bool gated = key.starts_with("extra_gated_");
        if (gated && first != std::string_view::npos && first > 0) {
            gate(row.substr(first));
            continue;
        }
        if (first != std::string_view::npos && row[first] == '-') {
            if (!key.empty()) take(name, key, row.substr(first + 1), line, out);
            continue;
        }
        const std::size_t colon = row.find(':');
        if (colon == std::string_view::npos || row.starts_with(" ") || row.starts_with("#")) continue;
        key = lower(trimmed(row.substr(0, colon)));  // YAML takes "license" in quotes too
        std::string_view value = row.substr(colon + 1);
        if (key.starts_with("extra_gated_")) {
            if (key != "extra_gated_fields" && key != "extra_gated_button_content") gate(value);
            continue;
        }
        if (const std::string t = trimmed(value); t.starts_with('[') && t.ends_with(']')) {
            std::string_view items = std::string_view(t).substr(1, t.size() - 2);
            while (!items.empty()) {
                const std::size_t comma = std::min(items.find(','), items.size());
                take(name, key, items.substr(0, comma), line, out);
                items.remove_prefix(std::min(items.size(), comma + 1));
            }
        } else {
            take(name, key, value, line, out);
        }
    }
}

void read_gguf(const SubjectFile& file, Origins& out) {
    try {
        const auto files = ModelFiles::open(file.at);
        for (const auto& [key, value] : files->meta()) {
            const auto text = value.as_string();
            if (!text) continue;
            const std::string where = fmt::format("{}, {}", file.name, key);
            const std::string words = trimmed(*text);
            if (key.starts_with("general.license")) {
                take(file.name, key, *text, 0, out);
            } else if (key == "general.name" || key == "general.basename") {
                out.names.push_back(words);
            } else if (key == "general.architecture") {
                if (const Known* known = licence_of_architecture(words)) out.bases.push_back({where, 0, words, known});
            } else if (key == "general.description") {
                read_prose(where, *text, out);
            } else if (key.starts_with("general.base_model.") &&
                       (key.ends_with(".name") || key.ends_with(".repo_url"))) {
                out.bases.push_back({where, 0, words, licence_of_base(words)});
            }
        }
    } catch (const Error& e) {
        out.findings.push_back({Finding::Weight::warning, "metadata-unreadable",
                                fmt::format("The metadata of {} could not be read: {}", file.name, e.message()),
                                file.name});
    }
}

void read_config(std::string_view name, std::string_view text, Origins& out) {
    Value root;
    try {
        root = parse_json(text, name);
    } catch (const Error&) {
        return;  // told where the model is opened
    }
    const auto* map = root.get<ValueMap>();
    if (map == nullptr) return;
    if (const Value* v = map->find("license"); v != nullptr && v->as_string())
        take(name, "license", *v->as_string(), 0, out);
    if (const Value* v = map->find("model_type"); v != nullptr && v->as_string())
        if (const Known* known = licence_of_architecture(*v->as_string()))
            out.bases.push_back({fmt::format("{}, model_type", name), 0, trimmed(*v->as_string()), known});
    for (const char* key : {"_name_or_path", "base_model_name_or_path"}) {
        const Value* v = map->find(key);
        if (v == nullptr || !v->as_string()) continue;
        const std::string words = trimmed(*v->as_string());
        if (const Known* known = licence_of_base(words))
            out.bases.push_back({fmt::format("{}, {}", name, key), 0, words, known});
    }
}

void read_safetensors(const SubjectFile& file, Origins& out) {
    constexpr std::uint64_t kMostHead = 32U << 20;
    try {
        const auto mapped = MappedFile::open(file.at);
        const auto bytes = mapped->bytes();
        if (bytes.size() < 8) return;
        std::uint64_t length = 0;
        for (int i = 7; i >= 0; --i)
            length = (length << 8U) | std::to_integer<std::uint64_t>(bytes[static_cast<std::size_t>(i)]);
        if (length > kMostHead || length > bytes.size() - 8) return;
        const std::string_view head(reinterpret_cast<const char*>(bytes.data()) + 8, length);
        if (head.find("license\"") == std::string_view::npos && head.find("licence\"") == std::string_view::npos)
            return;
        const Value root = parse_json(head, file.name);
        const Value* meta = root.get<ValueMap>() != nullptr ? root.get<ValueMap>()->find("__metadata__") : nullptr;
        if (meta == nullptr || meta->get<ValueMap>() == nullptr) return;
        for (const char* key : {"license", "licence", "modelspec.license"})
            if (const Value* v = meta->get<ValueMap>()->find(key); v != nullptr && v->as_string())
                take(file.name, key, *v->as_string(), 0, out);
    } catch (const Error&) {
        return;  // a file that is none is told by who opens it as a model
    }
}

const Known* one_of_family(std::span<const Known* const> found) {
    if (found.empty()) return nullptr;
    const bool same = std::ranges::all_of(found, [&](const Known* k) { return same_licence(*k, *found.front()); });
    if (same) return found.front();
    // None of them is open, or they are versions of one that asks for the same terms: which one it is decides nothing.
    const auto stem = [](const Known& k) { return k.id.substr(0, k.id.find_last_of('-')); };
    const bool closed = std::ranges::none_of(found, [](const Known* k) {
        return k->category == LicenceCategory::permissive || k->category == LicenceCategory::copyleft;
    });
    const bool versions = closed || std::ranges::all_of(found, [&](const Known* k) {
                              return stem(*k) == stem(*found.front()) && k->category == LicenceCategory::copyleft;
                          });
    return versions ? found.front() : nullptr;
}

const Known* licence_named(std::string_view value) {
    if (const Known* known = find_known(value)) return known;
    const std::vector<Word> words = split_words(value);
    if (words.size() < 2) return nullptr;  // "bsd", "llama": a family
    return one_of_family(licences_named(words));
}

bool same_licence(const Known& a, const Known& b) {
    const auto family = [](const Known& k) {
        return k.id.starts_with("LicenseRef-Gemma-") ? std::string("gemma") : k.id;
    };
    return family(a) == family(b);
}

}  // namespace freehold::licence
