// Claims: front matter and GGUF keys, read as hostile text; nothing in them is believed, only compared.
#include "claims.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/printable.h"
#include "freehold/formats/model_files.h"

namespace freehold::licence {
namespace {

constexpr std::size_t kLongest = 200;  // bytes of a claim that are kept

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

void take(std::string_view file, std::string_view key, std::string_view raw, std::uint32_t line, Origins& out) {
    const std::string value = trimmed(raw);
    if (value.empty() || value == "[]" || value == "null") return;
    const std::string where = fmt::format("{}, {}", file, key);
    if (key == "license" || key == "license_name") {
        out.claims.push_back({where, line, value, find_known(value)});
    } else if (key == "license_link") {
        out.claims.push_back({where, line, value, nullptr});
    } else if (key == "base_model") {
        out.bases.push_back({where, line, value, licence_of_base(value)});
    } else if (key == "model_name" || key == "name") {
        out.names.push_back(value);
    }
}

}  // namespace

void read_card(std::string_view name, std::string_view text, Origins& out) {
    out.card += std::string(text) + "\n";
    out.card_name = std::string(name);
    if (!text.starts_with("---")) return;
    std::uint32_t line = 0;
    std::string key;
    std::size_t at = 0;
    while (at < text.size()) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        const std::string_view row = text.substr(at, end - at);
        at = end + 1;
        ++line;
        if (line == 1) continue;
        if (row.starts_with("---")) return;
        if (const std::size_t first = row.find_first_not_of(' ');
            first != std::string_view::npos && row[first] == '-') {
            if (!key.empty()) take(name, key, row.substr(first + 1), line, out);
            continue;
        }
        const std::size_t colon = row.find(':');
        if (colon == std::string_view::npos || row.starts_with(" ") || row.starts_with("#")) continue;
        key = trimmed(row.substr(0, colon));  // YAML takes "license" in quotes too
        std::string_view value = row.substr(colon + 1);
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
            if (key == "general.license" || key == "general.license.name") {
                const std::string words = trimmed(*text);
                out.claims.push_back({fmt::format("{}, {}", file.name, key), 0, words, find_known(words)});
            } else if (key == "general.name" || key == "general.basename") {
                out.names.push_back(trimmed(*text));
            } else if (key.starts_with("general.base_model.") &&
                       (key.ends_with(".name") || key.ends_with(".repo_url"))) {
                const std::string words = trimmed(*text);
                out.bases.push_back({fmt::format("{}, {}", file.name, key), 0, words, licence_of_base(words)});
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
        if (head.find("\"license\"") == std::string_view::npos) return;
        const Value root = parse_json(head, file.name);
        const Value* meta = root.get<ValueMap>() != nullptr ? root.get<ValueMap>()->find("__metadata__") : nullptr;
        if (meta == nullptr || meta->get<ValueMap>() == nullptr) return;
        if (const Value* v = meta->get<ValueMap>()->find("license"); v != nullptr && v->as_string())
            take(file.name, "license", *v->as_string(), 0, out);
    } catch (const Error&) {
        return;  // a file that is none is told by who opens it as a model
    }
}

bool same_licence(const Known& a, const Known& b) {
    const auto family = [](const Known& k) {
        return k.id.starts_with("LicenseRef-Gemma-") ? std::string("gemma") : k.id;
    };
    return family(a) == family(b);
}

const Known* licence_of_base(std::string_view model) {
    struct Rule {
        std::string_view part;
        std::string_view id;
    };
    // The first part that stands in the name decides, so that longer ones come first.
    constexpr auto kRules = std::to_array<Rule>({
        {"llama-guard-3-8b", "LicenseRef-Llama-3.1"},
        {"llama-guard-3", "LicenseRef-Llama-3.2"},
        {"llama-guard-2", "LicenseRef-Llama-3"},
        {"llama-guard-4", "LicenseRef-Llama-4"},
        {"llamaguard", "LicenseRef-Llama-2"},
        {"codellama", "LicenseRef-Llama-2"},
        {"r1-distill-llama-8b", "LicenseRef-Llama-3.1"},
        {"r1-distill-llama-70b", "LicenseRef-Llama-3.3"},
        {"vicuna-7b-v1.5", "LicenseRef-Llama-2"},
        {"vicuna-13b-v1.5", "LicenseRef-Llama-2"},
        {"vicuna", "LicenseRef-LLaMA-1"},
        {"mistral-large-instruct-24", "LicenseRef-Mistral-MRL-0.1"},
        {"codestral-22b", "LicenseRef-Mistral-MNPL-0.1"},
        {"qwen2.5-3b", "LicenseRef-Qwen-Research-2024"},
        {"qwen2.5-72b", "LicenseRef-Qwen-2024"},
        {"qwen-7b", "LicenseRef-Tongyi-Qianwen-2023"},
        {"qwen-14b", "LicenseRef-Tongyi-Qianwen-2023"},
        {"qwen-72b", "LicenseRef-Tongyi-Qianwen-2023"},
        {"deepseek-llm", "LicenseRef-DeepSeek-1.0"},
        {"deepseek-coder", "LicenseRef-DeepSeek-1.0"},
        {"deepseek-moe", "LicenseRef-DeepSeek-1.0"},
        {"deepseek-math", "LicenseRef-DeepSeek-1.0"},
        {"deepseek-v2", "LicenseRef-DeepSeek-1.0"},
        {"codegemma", "LicenseRef-Gemma-2024-04-01"},
        {"recurrentgemma", "LicenseRef-Gemma-2024-04-01"},
        {"shieldgemma", "LicenseRef-Gemma-2024-04-01"},
        {"gemma-7b", "LicenseRef-Gemma-2024-04-01"},
        {"stable-diffusion-xl", "LicenseRef-CreativeML-OpenRAIL++-M"},
        {"c4ai-", "CC-BY-NC-4.0"},
        {"facebook/opt-", "LicenseRef-OPT-175B"},
        {"llama-3.1", "LicenseRef-Llama-3.1"},
        {"llama-3_1", "LicenseRef-Llama-3.1"},
        {"llama 3.1", "LicenseRef-Llama-3.1"},
        {"llama-3.2", "LicenseRef-Llama-3.2"},
        {"llama 3.2", "LicenseRef-Llama-3.2"},
        {"llama-3.3", "LicenseRef-Llama-3.3"},
        {"llama 3.3", "LicenseRef-Llama-3.3"},
        {"llama-4", "LicenseRef-Llama-4"},
        {"llama 4", "LicenseRef-Llama-4"},
        {"llama-3", "LicenseRef-Llama-3"},
        {"llama 3", "LicenseRef-Llama-3"},
        {"llama2", "LicenseRef-Llama-2"},
        {"llama3.1", "LicenseRef-Llama-3.1"},
        {"llama3.2", "LicenseRef-Llama-3.2"},
        {"llama3.3", "LicenseRef-Llama-3.3"},
        {"llama3", "LicenseRef-Llama-3"},
        {"llama-2", "LicenseRef-Llama-2"},
        {"llama 2", "LicenseRef-Llama-2"},
        {"gemma-3", "LicenseRef-Gemma-2024-04-01"},
        {"gemma-2", "LicenseRef-Gemma-2024-04-01"},
        {"gemma-1", "LicenseRef-Gemma-2024-04-01"},
        {"gemma 3", "LicenseRef-Gemma-2024-04-01"},
        {"gemma 2", "LicenseRef-Gemma-2024-04-01"},
        {"opt-175b", "LicenseRef-OPT-175B"},
        {"starcoder", "LicenseRef-BigCode-OpenRAIL-M-1.0"},
        {"bloom", "LicenseRef-BigScience-BLOOM-RAIL-1.0"},
        {"falcon-11b", "LicenseRef-Falcon-2-11B"},
    });
    const std::string name = lower(model);
    for (const Rule& r : kRules)
        if (name.find(r.part) != std::string::npos) return find_known(r.id);
    return nullptr;
}

}  // namespace freehold::licence
