// Phi-3, Phi-3.5 and Phi-4: Llama's shape with q, k and v in one tensor and gate and up in another, windows in some
// sizes, longrope in the long ones, and part of a head unrotated in Phi-4-mini.
#include "../page_parts.h"

namespace freehold {
namespace {

constexpr ConfigDefaults kDefaults{1e-5, 10000.0, 4096, false, "silu"};

constexpr TensorRow fused(Role role) {
    return {role,
            "blk.{}.attn_qkv",
            "@layers.{}.self_attn.qkv_proj",
            Presence::absent,
            Layout::fused_qkv,
            Layout::fused_qkv};
}
constexpr TensorRow fused_mlp(Role role) {
    return {role,
            "blk.{}.ffn_up",
            "@layers.{}.mlp.gate_up_proj",
            Presence::absent,
            Layout::fused_gate_up,
            Layout::fused_gate_up};
}
constexpr std::array<TensorRow, 12> kTensors{{
    {Role::token_embd, "token_embd", "@embed_tokens"},
    {Role::attn_norm, "blk.{}.attn_norm", "@layers.{}.input_layernorm"},
    fused(Role::q),
    fused(Role::k),
    fused(Role::v),
    {Role::attn_out, "blk.{}.attn_output", "@layers.{}.self_attn.o_proj"},
    {Role::mlp_norm, "blk.{}.ffn_norm", "@layers.{}.post_attention_layernorm"},
    fused_mlp(Role::gate),
    fused_mlp(Role::up),
    {Role::down, "blk.{}.ffn_down", "@layers.{}.mlp.down_proj"},
    {Role::final_norm, "output_norm", "@norm"},
    {Role::head, "output", "lm_head"},
}};

DecoderSpec read_hf(const MetaReader& m) {
    DecoderSpec s = hf_llama_like(m, kDefaults, true);
    s.family = "phi3";
    if (m.has("sliding_window")) set_windows(s, every(s.n_layers, 0), m.whole("sliding_window", 1, 1 << 24));
    return s;
}

DecoderSpec read_gguf(const MetaReader& m) {
    DecoderSpec s = gguf_llama_like(m, kDefaults);
    s.family = "phi3";
    set_windows(s, every(s.n_layers, 0), m.whole_or("attention.sliding_window", 0, 0, 1 << 24));
    return s;
}

constexpr std::array<std::string_view, 1> kNames{"phi3"};
constexpr std::array<std::string_view, 3> kSkipped{"rotary_emb.inv_freq", "rope_factors_long.weight",
                                                   "rope_factors_short.weight"};

}  // namespace

extern const Family family_phi3;
const Family family_phi3{"phi3",  kNames, kNames, kModelPrefixes, kSkipped, &by_container<&read_hf, &read_gguf>,
                         kTensors};

}  // namespace freehold
