// Names to roles. A guess by the ending is enough here: what a file really holds is for `freehold scan` to say.
#include "layout.h"

#include <algorithm>
#include <array>
#include <string>

namespace freehold::bundle {
namespace {

std::string lower(std::string_view text) {
    std::string out(text);
    std::ranges::transform(out, out.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return out;
}

bool ends_in(std::string_view name, std::initializer_list<std::string_view> endings) {
    return std::ranges::any_of(endings, [&](std::string_view e) { return name.ends_with(e); });
}

}  // namespace

bool is_weight_name(std::string_view name) noexcept {
    const std::string n = lower(name);
    return ends_in(n, {".gguf", ".ggml", ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".npz",
                       ".npy", ".h5", ".keras", ".onnx", ".tflite", ".pb", ".msgpack", ".joblib", ".mlmodel"});
}

bool is_kept_by_git(std::string_view name) noexcept {
    return (name == ".gitattributes" || name == ".gitignore" || name.starts_with(".github/")) && !is_weight_name(name);
}

const char* role_of(std::string_view name) noexcept {
    const std::string n = lower(name);
    const std::string leaf = n.substr(n.rfind('/') + 1);
    if (leaf.starts_with("tok512") || leaf.starts_with("tokenizer") || leaf == "vocab.json" || leaf == "vocab.txt" ||
        leaf == "merges.txt" || leaf == "special_tokens_map.json" || leaf == "added_tokens.json")
        return "tokenizer";
    if (leaf.starts_with("chat_template")) return "template";
    if (is_weight_name(n)) return "weights";
    if (leaf.starts_with("license") || leaf.starts_with("licence") || leaf.starts_with("notice") ||
        leaf.starts_with("copying") || leaf.starts_with("use_policy"))
        return "licence";
    if (leaf == "readme.md") return "card";
    if (ends_in(leaf, {".py", ".cpp", ".c", ".h", ".rs", ".sh", ".ipynb"})) return "code";
    if (ends_in(leaf, {".json", ".yaml", ".yml", ".toml"})) return "config";
    return "other";
}

const char* media_type_of(std::string_view name) noexcept {
    const std::string n = lower(name);
    if (n.ends_with(".cdx.json")) return "application/vnd.cyclonedx+json";
    if (n.ends_with(".spdx3.json")) return "application/spdx+json";
    if (n.ends_with(".croissant.json")) return "application/ld+json";
    if (n.ends_with(".sarif")) return "application/sarif+json";
    if (n.ends_with(".json")) return "application/json";
    if (n.ends_with(".md")) return "text/markdown";
    if (n.ends_with(".html")) return "text/html";
    if (ends_in(n, {".txt", ".jinja", ".py", ".yaml", ".yml"})) return "text/plain";
    return "application/octet-stream";
}

}  // namespace freehold::bundle
