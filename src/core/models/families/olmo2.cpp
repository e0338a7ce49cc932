// OLMo 2 and 3: norms on what the branches give and none before them, QK-norm over the whole width. OLMo 3 has windows
// on three of four layers; these rotate without the scaling of the others.
#include <algorithm>

#include "../page_parts.h"

namespace freehold {
namespace {

constexpr ConfigDefaults kDefaults{1e-5, 500000.0, 2048, false, "silu"};
constexpr int kPattern = 4;

constexpr std::array<TensorRow, 14> kTensors{{
    {Role::token_embd, "token_embd", "@embed_tokens"},
    {Role::attn_norm, "blk.{}.post_attention_norm", "@layers.{}.post_attention_layernorm"},
    {Role::q, "blk.{}.attn_q", "@layers.{}.self_attn.q_proj", Presence::if_present},
    {Role::k, "blk.{}.attn_k", "@layers.{}.self_attn.k_proj", Presence::if_present},
    {Role::v, "blk.{}.attn_v", "@layers.{}.self_attn.v_proj", Presence::if_present},
    {Role::attn_out, "blk.{}.attn_output", "@layers.{}.self_attn.o_proj", Presence::if_present},
    {Role::q_norm, "blk.{}.attn_q_norm", "@layers.{}.self_attn.q_norm"},
    {Role::k_norm, "blk.{}.attn_k_norm", "@layers.{}.self_attn.k_norm"},
    {Role::mlp_norm, "blk.{}.post_ffw_norm", "@layers.{}.post_feedforward_layernorm"},
    {Role::gate, "blk.{}.ffn_gate", "@layers.{}.mlp.gate_proj"},
    {Role::up, "blk.{}.ffn_up", "@layers.{}.mlp.up_proj"},
    {Role::down, "blk.{}.ffn_down", "@layers.{}.mlp.down_proj"},
    {Role::final_norm, "output_norm", "@norm"},
    {Role::head, "output", "lm_head"},
}};

void common(DecoderSpec& s) {
    s.norm_place = NormPlace::post;
    s.qk_norm = QkNorm::whole_width;
}

void windows(DecoderSpec& s, const Slides& slides, int window, RopeSpec local) {
    s.family = "olmo3";
    set_windows(s, slides, window);
    s.ropes.push_back(std::move(local));
    for (LayerSpec& l : s.layers) l.rope = l.window > 0 ? 1 : 0;
}

DecoderSpec read_hf(const MetaReader& m) {
    const bool third = m.files().architecture() == "olmo3";
    ConfigDefaults defaults = kDefaults;
    if (!third) defaults.theta = 10000.0;
    DecoderSpec s = hf_llama_like(m, defaults);
    s.family = "olmo2";
    common(s);
    if (third) {
        windows(s, hf_slides(m, s.n_layers, every(s.n_layers, kPattern)), m.whole("sliding_window", 1, 1 << 24),
                read_hf_rope(m, "rope_parameters.sliding_attention", "rope_theta", "", kDefaults.theta, s.head_dim,
                             s.context));
    }
    return s;
}

DecoderSpec read_gguf(const MetaReader& m) {
    DecoderSpec s = gguf_llama_like(m, kDefaults);
    s.family = "olmo2";
    common(s);
    if (m.has("attention.sliding_window")) {
        RopeSpec local;
        local.n_dims = s.ropes[0].n_dims;
        local.theta = s.ropes[0].theta;
        windows(s, gguf_slides(m, s.n_layers, kPattern), m.whole("attention.sliding_window", 1, 1 << 24),
                std::move(local));
    }
    return s;
}

constexpr std::array<std::string_view, 1> kGgufNames{"olmo2"};
constexpr std::array<std::string_view, 2> kHfNames{"olmo2", "olmo3"};

}  // namespace

extern const Family family_olmo2;
const Family family_olmo2{
    "olmo2", kGgufNames, kHfNames, kModelPrefixes, kRotarySkipped, &by_container<&read_hf, &read_gguf>, kTensors};

}  // namespace freehold
