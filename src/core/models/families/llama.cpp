// Llama 1, 2, 3, 3.x and what has their shape (SmolLM2, TinyLlama, stories): RMS norms before each branch, rotary
// positions, grouped heads, gated SiLU.
#include <array>

#include "../page_parts.h"

namespace freehold {
namespace {

constexpr ConfigDefaults kDefaults{};

DecoderSpec read_gguf(const MetaReader& m) {
    static_cast<void>(m.real("attention.layer_norm_rms_epsilon", 0, 1));  // a llama file always says it
    DecoderSpec s = gguf_llama_like(m, kDefaults);
    s.family = "llama";
    gguf_experts(s, m, true);       // Mixtral
    s.ropes[0].interleaved = true;  // the converter has put rows of q and k back into Meta's order
    set_windows(s, every(s.n_layers, 0), m.whole_or("attention.sliding_window", 0, 0, 1 << 24));
    return s;
}

DecoderSpec read_hf(const MetaReader& m) {
    DecoderSpec s = hf_llama_like(m, kDefaults);
    s.family = "llama";
    if (m.has("sliding_window")) m.not_handled("sliding_window", "asks for a window in a model of type llama");
    return s;
}

// Converters of 2023 wrote Mixtral's experts one by one.
constexpr std::array<TensorRow, 3> kSingleExperts{{
    {Role::gate_exp, "blk.{}.ffn_gate.#", "@layers.{}.mlp.experts.#.gate_proj"},
    {Role::up_exp, "blk.{}.ffn_up.#", "@layers.{}.mlp.experts.#.up_proj"},
    {Role::down_exp, "blk.{}.ffn_down.#", "@layers.{}.mlp.experts.#.down_proj"},
}};
constexpr auto kTensors = joined(kLlamaTensors, kExpertTensors, kSingleExperts);

constexpr std::array<std::string_view, 1> kNames{"llama"};

}  // namespace

extern const Family family_llama;
const Family family_llama{"llama",  kNames, kNames, kModelPrefixes, kRotarySkipped, &by_container<&read_hf, &read_gguf>,
                          kTensors, true};

}  // namespace freehold
