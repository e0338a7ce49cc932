// Mixtral 8x7B as a folder: Mistral's attention, and eight experts of which each token uses two, weighed by a softmax
// over these two. GGUF files of it say "llama" (families/llama.cpp reads them).
#include "../page_parts.h"

namespace freehold {
namespace {

constexpr ConfigDefaults kDefaults{1e-5, 1e6, 32768, false, "silu"};

constexpr std::array<TensorRow, 4> kExperts{{
    {Role::router, "", "@layers.{}.block_sparse_moe.gate"},
    {Role::gate_exp, "", "@layers.{}.block_sparse_moe.experts.#.w1"},
    {Role::up_exp, "", "@layers.{}.block_sparse_moe.experts.#.w3"},
    {Role::down_exp, "", "@layers.{}.block_sparse_moe.experts.#.w2"},
}};
constexpr auto kTensors = joined(kLlamaTensors, kExperts);

DecoderSpec read(const ModelFiles& files) {
    const MetaReader m(files, "");
    DecoderSpec s = hf_llama_like(m, kDefaults);
    s.family = "mixtral";
    if (m.has("sliding_window")) set_windows(s, every(s.n_layers, 0), m.whole("sliding_window", 1, 1 << 24));
    set_experts(s, m.whole_or("num_local_experts", 8, 1, 1 << 14), m.whole_or("num_experts_per_tok", 2, 1, 1 << 14),
                s.d_ff, true);
    return s;
}

constexpr std::array<std::string_view, 1> kNames{"mixtral"};

}  // namespace

extern const Family family_mixtral;
const Family family_mixtral{"mixtral", {}, kNames, kModelPrefixes, kRotarySkipped, &read, kTensors};

}  // namespace freehold
