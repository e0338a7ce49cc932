// The shape of a model from its configuration alone: every matrix by name, size and number, also of families that this
// build does not run yet. Hostile until parsed: numbers are bounded, what is missing is named.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/base/value.h"

namespace freehold::plan {

// A tensor, or `copies` of the same one (experts).
struct PlannedTensor {
    std::string name;                 // as GGUF files call it: mixtures of types go by these names
    std::int64_t rows = 0, cols = 0;  // a vector has 1 row
    std::int64_t copies = 1;
    std::int64_t used = 1;  // of the copies, for one token
    bool lookup = false;    // only a row a token is read (embeddings)
    bool matrix = false;    // takes part in products

    [[nodiscard]] std::uint64_t each() const noexcept { return static_cast<std::uint64_t>(rows * cols); }
    [[nodiscard]] std::uint64_t count() const noexcept { return each() * static_cast<std::uint64_t>(copies); }
};

// What one layer keeps of a token, and how far back.
struct CacheShape {
    std::int64_t numbers = 0;  // values of keys and values (of the latent row and its rotary part) a token
    int value_dim = 0;         // of one row, for formats of blocks
    int window = 0;            // 0: all tokens
    bool latent = false;
};

struct ModelShape {
    std::string family;  // model_type, or the architecture of a GGUF file
    bool family_known = true;
    int n_layers = 0, d_model = 0, vocab = 0;
    std::int64_t context = 0;  // 0: the configuration does not say
    int n_heads = 0, head_dim = 0, v_dim = 0, kv_heads = 0;
    int n_experts = 0, n_used = 0, n_shared = 0;
    bool tied = false;
    std::string native;  // how the maker's files keep numbers: "fp8", "gptq", ...; empty: plain
    std::vector<PlannedTensor> tensors;
    std::vector<CacheShape> cache;  // one a layer that has one

    [[nodiscard]] std::uint64_t total() const noexcept;
    // Weights that a token is multiplied with or looked up in: chosen and shared experts, one row of each embedding
    // table that is not also the head.
    [[nodiscard]] std::uint64_t active() const noexcept;
};

// config.json. `what` names it in messages. Throws Error{bad_file} naming the key and what was expected.
[[nodiscard]] ModelShape shape_of_config(const ValueMap& config, const std::string& what);
// The keys of a GGUF file; `rows` of the embedding where the keys do not say the vocabulary (0: they must).
[[nodiscard]] ModelShape shape_of_gguf(const ValueMap& meta, const std::string& architecture, const std::string& what,
                                       std::int64_t rows, bool has_head);

// A configuration that is known by name.
struct KnownConfig {
    std::string name;
    std::vector<std::string> aliases;
    std::string source;     // where its numbers were read
    bool verified = false;  // false: some are from memory
    std::string note;
    ValueMap config;
};
[[nodiscard]] std::span<const KnownConfig> known_configs();
[[nodiscard]] const KnownConfig* find_config(std::string_view name);

}  // namespace freehold::plan
