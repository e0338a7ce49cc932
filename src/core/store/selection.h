// Which files of a repository, an archive or a folder make up a model: by name alone, the same rules for every source.
// Code, pickles and formats that Freehold does not read stay outside.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace freehold::selection {

struct Candidate {
    std::string path;
    std::uint64_t size = 0;
};

// Chooses from the names that a source offers. `wanted`: the file asked for (its full path or its last part), or empty.
// Result: paths in the order of the candidates, and the folder that they are relative to ("" or "a/b/").
struct Choice {
    std::vector<std::string> paths;
    std::string base;
};
// A bundle (bundle.json at the root) is taken whole, pickles aside. An empty choice: there is no model here.
// Error{usage} that lists what can be chosen, Error{not_found} for `wanted`, Error{unsupported} when only pickles are
// there. `what` names the source, `form` how to name one file
// ("hf:org/repo:FILE").
[[nodiscard]] Choice choose(const std::vector<Candidate>& candidates, const std::string& wanted,
                            const std::string& what, const std::string& form);

// Does opening such a file run code (Python pickles, by name)?
[[nodiscard]] bool is_pickle_name(std::string_view path) noexcept;
// Belongs to a Hugging Face folder beside its weights (config, tokenizer, template, licence, card).
[[nodiscard]] bool is_side_file(std::string_view path) noexcept;
// All parts of a split GGUF file if `path` is one of them ("x-00001-of-00003.gguf"); else just it.
[[nodiscard]] std::vector<std::string> gguf_parts(std::string_view path);

}  // namespace freehold::selection
