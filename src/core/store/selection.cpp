// The rules by which files are chosen: one GGUF (with its parts), else a folder with config.json and safetensors, else
// llama2.c's checkpoint; pickles are refused by name, and a choice between several is the user's.
#include "selection.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "freehold/base/error.h"

namespace freehold::selection {
namespace {

std::string_view leaf_of(std::string_view path) {
    return path.substr(path.rfind('/') + 1);
}
std::string_view folder_of(std::string_view path) {
    const auto slash = path.rfind('/');
    return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash + 1);
}
bool any_of(std::string_view path, std::initializer_list<std::string_view> endings) {
    return std::any_of(endings.begin(), endings.end(), [&](std::string_view e) { return path.ends_with(e); });
}

struct Split {
    std::string stem;
    int part = 0, of = 0;
};
// "x-00002-of-00003.gguf"
Split split_of(std::string_view path) {
    constexpr std::size_t kTail = 20;  // -00002-of-00003.gguf
    Split out;
    if (path.size() <= kTail) return out;
    const std::string_view tail = path.substr(path.size() - kTail);
    const auto digits = [](std::string_view s) {
        return std::all_of(s.begin(), s.end(), [](char c) { return c >= '0' && c <= '9'; });
    };
    if (tail[0] != '-' || tail.substr(6, 4) != "-of-" || tail.substr(15) != ".gguf") return out;
    if (!digits(tail.substr(1, 5)) || !digits(tail.substr(10, 5))) return out;
    out.part = std::stoi(std::string(tail.substr(1, 5)));
    out.of = std::stoi(std::string(tail.substr(10, 5)));
    out.stem = std::string(path.substr(0, path.size() - kTail));
    return out;
}

std::string human(std::uint64_t bytes) {
    return bytes >= 1'000'000'000 ? fmt::format("{:.1f} GB", static_cast<double>(bytes) / 1e9)
                                  : fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6);
}

[[noreturn]] void ask(const std::vector<Candidate>& choices, const std::string& what, const std::string& form) {
    std::string list;
    std::size_t shown = 0;
    for (const Candidate& c : choices) {
        if (++shown > 40) {
            list += fmt::format("; and {} more", choices.size() - 40);
            break;
        }
        list += fmt::format("{}{}", list.empty() ? "" : "; ", c.path);
        if (c.size > 0) list += fmt::format(" ({})", human(c.size));
    }
    throw Error(ErrorKind::usage,
                fmt::format("{} holds {} models, so one must be named: {}.", what, choices.size(), list),
                fmt::format("Say which, as in {}.", form));
}

// All side files and weights of one Hugging Face folder, sub-folders of known kinds included.
Choice take_folder(const std::vector<Candidate>& all, const std::string& base) {
    Choice out;
    out.base = base;
    bool named = false;  // model*.safetensors: what transformers would load
    for (const Candidate& c : all)
        named = named ||
                (folder_of(c.path) == base && leaf_of(c.path).starts_with("model") && c.path.ends_with(".safetensors"));
    for (const Candidate& c : all) {
        if (!std::string_view(c.path).starts_with(base)) continue;
        const std::string_view inner = std::string_view(c.path).substr(base.size());
        const bool direct = inner.find('/') == std::string_view::npos;
        const bool weight = direct && inner.ends_with(".safetensors") && (!named || inner.starts_with("model"));
        // Sentence-transformers keep the pooling and dense layers in numbered folders.
        const bool module = !direct && inner[0] >= '0' && inner[0] <= '9' && inner.find('/') == inner.rfind('/') &&
                            (inner.ends_with("/config.json") || inner.ends_with("/model.safetensors"));
        if (weight || module || (direct && is_side_file(inner))) out.paths.push_back(c.path);
    }
    return out;
}

// What PEFT saves: weights of an adapter and their config, which beside a model's own config is a part of something
// else.
Choice take_adapter(const std::vector<Candidate>& all) {
    const auto has = [&](std::string_view path) {
        return std::any_of(all.begin(), all.end(), [&](const Candidate& c) { return c.path == path; });
    };
    Choice out;
    if (!has("adapter_config.json") || !has("adapter_model.safetensors") || has("config.json")) return out;
    for (const char* path : {"README.md", "adapter_config.json", "adapter_model.safetensors"})
        if (has(path)) out.paths.emplace_back(path);
    return out;
}

Choice take_gguf(const std::vector<Candidate>& all, const std::string& path, const std::string& what) {
    Choice out;
    out.base = std::string(folder_of(path));
    for (const std::string& part : gguf_parts(path)) {
        const auto it = std::find_if(all.begin(), all.end(), [&](const Candidate& c) { return c.path == part; });
        if (it == all.end())
            throw Error(ErrorKind::not_found, fmt::format("{} lacks {}, a part of {}.", what, part, path),
                        "Use another source.");
        out.paths.push_back(part);
    }
    return out;
}

}  // namespace

bool is_pickle_name(std::string_view path) noexcept {
    return any_of(path, {".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib"}) ||
           (path.ends_with(".bin") && leaf_of(path).starts_with("pytorch_model"));
}

bool is_side_file(std::string_view path) noexcept {
    static constexpr auto kNames = std::to_array<std::string_view>({"config.json",
                                                                    "generation_config.json",
                                                                    "tokenizer.json",
                                                                    "tokenizer_config.json",
                                                                    "tokenizer.model",
                                                                    "spiece.model",
                                                                    "source.spm",
                                                                    "target.spm",
                                                                    "target_vocab.json",
                                                                    "vocab.json",
                                                                    "vocab.txt",
                                                                    "merges.txt",
                                                                    "special_tokens_map.json",
                                                                    "added_tokens.json",
                                                                    "chat_template.jinja",
                                                                    "chat_template.json",
                                                                    "model.safetensors.index.json",
                                                                    "modules.json",
                                                                    "sentence_bert_config.json",
                                                                    "config_sentence_transformers.json",
                                                                    "preprocessor_config.json",
                                                                    "processor_config.json",
                                                                    "README.md",
                                                                    "USE_POLICY.md"});
    const std::string_view leaf = leaf_of(path);
    if (std::find(kNames.begin(), kNames.end(), leaf) != kNames.end()) return true;
    return leaf.starts_with("LICENSE") || leaf.starts_with("LICENCE") || leaf.starts_with("NOTICE");
}

std::vector<std::string> gguf_parts(std::string_view path) {
    const Split split = split_of(path);
    if (split.of < 2 || split.part < 1 || split.part > split.of || split.of > 10000) return {std::string(path)};
    std::vector<std::string> out;
    for (int i = 1; i <= split.of; ++i) out.push_back(fmt::format("{}-{:05}-of-{:05}.gguf", split.stem, i, split.of));
    return out;
}

namespace {

Choice choose_model(const std::vector<Candidate>& candidates, const std::string& wanted, const std::string& what,
                    const std::string& form) {
    if (!wanted.empty()) {
        std::vector<Candidate> hits;
        for (const Candidate& c : candidates) {
            if (c.path == wanted)
                hits.insert(hits.begin(), c);
            else if (leaf_of(c.path) == wanted)
                hits.push_back(c);
        }
        if (hits.empty()) {
            std::string list;
            for (const Candidate& c : candidates)
                if (any_of(c.path, {".gguf", ".safetensors"}) && list.size() < 2000)
                    list += (list.empty() ? "" : ", ") + c.path;
            throw Error(ErrorKind::not_found, fmt::format("{} has no file \"{}\".", what, wanted),
                        list.empty() ? "It holds no GGUF or safetensors file." : fmt::format("It has {}.", list));
        }
        if (hits.size() > 1 && hits[0].path != wanted) ask(hits, what, form);
        if (is_pickle_name(hits[0].path))
            throw Error(ErrorKind::unsupported,
                        fmt::format("{} of {} is a Python pickle, which can run any code when it is opened.",
                                    hits[0].path, what),
                        "Ask its publisher for safetensors or GGUF.");
        if (leaf_of(hits[0].path) == "adapter_model.safetensors") {
            const std::string base(folder_of(hits[0].path));
            std::vector<Candidate> beside;
            for (const Candidate& c : candidates) {
                if (folder_of(c.path) == base) beside.push_back({c.path.substr(base.size()), c.size});
            }
            Choice adapter = take_adapter(beside);
            for (std::string& path : adapter.paths) path.insert(0, base);
            adapter.base = base;
            if (!adapter.paths.empty()) return adapter;
        }
        if (hits[0].path.ends_with(".safetensors"))
            return take_folder(candidates, std::string(folder_of(hits[0].path)));
        return take_gguf(candidates, hits[0].path, what);
    }
    if (const Choice adapter = take_adapter(candidates); !adapter.paths.empty()) return adapter;
    std::vector<Candidate> ggufs, folders, pickles, checkpoints;
    std::set<std::string> with_weights;
    for (const Candidate& c : candidates) {
        const Split split = split_of(c.path);
        // A projector for images is no model of its own.
        if (c.path.ends_with(".gguf") && split.part <= 1 && !leaf_of(c.path).starts_with("mmproj")) ggufs.push_back(c);
        if (c.path.ends_with(".safetensors")) with_weights.insert(std::string(folder_of(c.path)));
        if (is_pickle_name(c.path)) pickles.push_back(c);
        if (c.path.ends_with(".bin") && !is_pickle_name(c.path)) checkpoints.push_back(c);
    }
    for (const Candidate& c : candidates) {
        const std::string folder(folder_of(c.path));
        const bool module = folder.size() >= 2 &&
                            leaf_of(std::string_view(folder).substr(0, folder.size() - 1))[0] >= '0' &&
                            leaf_of(std::string_view(folder).substr(0, folder.size() - 1))[0] <= '9';
        if (leaf_of(c.path) == "config.json" && with_weights.contains(folder) && !module)
            folders.push_back({folder + "config.json", 0});
    }
    // A repository with both forms in its root is meant as the folder it is; a lone GGUF is meant as itself.
    if (folders.size() == 1) return take_folder(candidates, std::string(folder_of(folders[0].path)));
    if (folders.empty() && ggufs.size() == 1) return take_gguf(candidates, ggufs[0].path, what);
    if (folders.size() + ggufs.size() > 1) {
        const auto root =
            std::find_if(folders.begin(), folders.end(), [](const Candidate& c) { return c.path == "config.json"; });
        if (root != folders.end() && ggufs.empty()) return take_folder(candidates, "");
        std::vector<Candidate> all = ggufs;
        all.insert(all.end(), folders.begin(), folders.end());
        ask(all, what, form);
    }
    if (!checkpoints.empty()) {
        Choice out;
        out.base = std::string(folder_of(checkpoints[0].path));
        for (const Candidate& c : checkpoints)
            if (folder_of(c.path) == out.base) out.paths.push_back(c.path);
        return out;
    }
    if (!pickles.empty())
        throw Error(
            ErrorKind::unsupported,
            fmt::format("{} carries its weights as a Python pickle ({}), which can run any code when it is opened.",
                        what, pickles[0].path),
            "Ask its publisher for safetensors or GGUF.");
    return {};
}

}  // namespace

Choice choose(const std::vector<Candidate>& candidates, const std::string& wanted, const std::string& what,
              const std::string& form) {
    Choice out = choose_model(candidates, wanted, what, form);
    const bool packed =
        wanted.empty() && out.base.empty() && !out.paths.empty() &&
        std::any_of(candidates.begin(), candidates.end(), [](const Candidate& c) { return c.path == "bundle.json"; });
    // A bundle is kept whole: its documents and its signature are about every file.
    if (!packed) return out;
    out.paths.clear();
    for (const Candidate& c : candidates)
        if (!is_pickle_name(c.path)) out.paths.push_back(c.path);
    return out;
}

}  // namespace freehold::selection
