// Names as publishers give them; what has another name is not read as terms, and docs/licences.md says so.
#include "file_names.h"

#include <algorithm>
#include <array>

namespace freehold::licence {
namespace {

std::string lower(std::string_view s) {
    std::string out(s);
    std::ranges::transform(out, out.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return out;
}

struct Parts {
    std::string stem, ending;
};
Parts parts_of(const std::string& name) {
    const std::size_t dot = name.rfind('.');
    if (dot == std::string::npos || dot == 0) return {name, ""};
    return {name.substr(0, dot), name.substr(dot)};
}

template <std::size_t N>
bool among(const std::array<std::string_view, N>& list, std::string_view word) {
    return std::ranges::find(list, word) != list.end();
}

constexpr auto kDocuments = std::to_array<std::string_view>(
    {"", ".txt", ".md", ".rst", ".html", ".htm", ".adoc", ".pdf", ".doc", ".docx", ".odt", ".rtf"});

}  // namespace

std::string base_name(std::string_view path) {
    return lower(path.substr(path.rfind('/') + 1));
}

bool is_licence_name(std::string_view path) {
    const std::string name = base_name(path);
    const auto [stem, ending] = parts_of(name);
    // Programs, settings and numbers may have "license" in their names without being one.
    constexpr auto kOthers = std::to_array<std::string_view>(
        {".bin", ".c",    ".cc",      ".cfg",  ".cpp",   ".csv", ".gguf", ".go",   ".gz",
         ".h",   ".hpp",  ".ini",     ".java", ".jinja", ".jpg", ".js",   ".json", ".jsonl",
         ".npy", ".onnx", ".parquet", ".png",  ".pt",    ".pth", ".py",   ".rs",   ".safetensors",
         ".sh",  ".svg",  ".tar",     ".toml", ".ts",    ".xml", ".yaml", ".yml",  ".zip"});
    constexpr auto kTables = std::to_array<std::string_view>({".json", ".toml", ".xml", ".yaml", ".yml"});
    constexpr auto kWhole = std::to_array<std::string_view>({"aup", "copyright", "eula", "legal", "licence", "license",
                                                             "model_license", "policies", "policy", "terms",
                                                             "terms_of_use", "tos", "usage_policy", "use_policy"});
    if (among(kTables, ending)) return among(kWhole, stem);
    if (among(kOthers, ending)) return false;
    if (lower(path).find("licenses/") != std::string::npos || lower(path).find("licences/") != std::string::npos)
        return true;
    const auto any = [&](std::initializer_list<std::string_view> parts) {
        return std::ranges::any_of(parts, [&](std::string_view part) { return name.find(part) != std::string::npos; });
    };
    if (any({"license", "licence", "copying", "unlicense", "notice", "use_policy", "use-policy", "usage_policy",
             "usage-policy", "acceptable_use", "acceptable-use", "prohibited_use", "terms_of_use", "terms-of-use",
             "eula"}))
        return true;
    return among(kDocuments, ending) &&
           (among(kWhole, stem) || any({"terms", "agreement", "restrictions", "use_limits", "conditions"}));
}

bool is_notice_name(std::string_view path) {
    const std::string name = base_name(path);
    return name.find("notice") != std::string::npos || parts_of(name).stem == "copyright";
}

bool is_spoken_name(std::string_view path) {
    constexpr auto kStems = std::to_array<std::string_view>(
        {"about", "card", "disclaimer", "model-card", "model_card", "modelcard", "readme", "usage", "use", "using"});
    constexpr auto kEndings = std::to_array<std::string_view>({"", ".adoc", ".md", ".rst", ".txt"});
    if (path.starts_with("upstream/")) path.remove_prefix(9);
    const auto [stem, ending] = parts_of(base_name(path));
    return path.find('/') == std::string_view::npos && among(kEndings, ending) && among(kStems, stem);
}

const char* closed_document(std::string_view name) {
    for (const char* ending : {".pdf", ".doc", ".docx", ".odt", ".rtf"})
        if (name.ends_with(ending)) return ending + 1;
    return nullptr;
}

bool beside_weights(std::string_view name) {
    constexpr std::string_view kBeside = ".license";
    if (!name.ends_with(kBeside)) return false;
    name.remove_suffix(kBeside.size());
    return std::ranges::any_of(std::to_array<std::string_view>(
                                   {".safetensors", ".gguf", ".bin", ".pt", ".pth", ".onnx", ".h5", ".ckpt", ".npz"}),
                               [&](std::string_view e) { return name.ends_with(e); });
}

}  // namespace freehold::licence
