// gpt-oss: a learned sink in every head's softmax, windows on every other layer, biases everywhere, and experts with a
// clamped gate, which its folders keep turned, gate and up taking turns, in MXFP4 or as plain numbers.
#include "../page_parts.h"

namespace freehold {
namespace {

constexpr ConfigDefaults kDefaults{1e-5, 150000.0, 131072, false, nullptr};
constexpr int kPattern = 2;

constexpr Presence kIf = Presence::if_present, kBias = Presence::required;
constexpr std::array<TensorRow, 14> kTensors{{
    {Role::token_embd, "token_embd", "@embed_tokens"},
    {Role::attn_norm, "blk.{}.attn_norm", "@layers.{}.input_layernorm"},
    {Role::q, "blk.{}.attn_q", "@layers.{}.self_attn.q_proj", kIf},
    {Role::k, "blk.{}.attn_k", "@layers.{}.self_attn.k_proj", kIf},
    {Role::v, "blk.{}.attn_v", "@layers.{}.self_attn.v_proj", kIf},
    {Role::attn_out, "blk.{}.attn_output", "@layers.{}.self_attn.o_proj", kIf},
    {Role::sinks, "blk.{}.attn_sinks", "@layers.{}.self_attn.sinks!"},
    {Role::mlp_norm, "blk.{}.post_attention_norm", "@layers.{}.post_attention_layernorm"},
    {Role::router, "blk.{}.ffn_gate_inp", "@layers.{}.mlp.router", kBias},
    {Role::gate_exp, "blk.{}.ffn_gate_exps", "@layers.{}.mlp.experts.gate_up_proj!", kBias,
     Layout::turned_gate_up_experts},
    {Role::up_exp, "blk.{}.ffn_up_exps", "@layers.{}.mlp.experts.gate_up_proj!", kBias, Layout::turned_gate_up_experts},
    {Role::down_exp, "blk.{}.ffn_down_exps", "@layers.{}.mlp.experts.down_proj!", kBias, Layout::turned_experts},
    {Role::final_norm, "output_norm", "@norm"},
    {Role::head, "output", "lm_head"},
}};

void common(DecoderSpec& s) {
    s.family = "gpt-oss";
    s.attn_sinks = true;
    s.expert_biases = true;
    s.clamped_glu = true;
}

DecoderSpec read_hf(const MetaReader& m) {
    DecoderSpec s = hf_llama_like(m, kDefaults);
    common(s);
    s.attn_bias = m.flag_or("attention_bias", true) ? Presence::required : Presence::absent;
    // Without one transformers takes the scaling of the published models; a config that was cut short is refused.
    if (!m.has("rope_parameters") && !m.has("rope_scaling")) m.refuse("rope_scaling", "is missing");
    set_windows(s, hf_slides(m, s.n_layers, every(s.n_layers, kPattern)),
                m.whole_or("sliding_window", 128, 1, 1 << 24));
    set_experts(s, m.whole_or("num_local_experts", 128, 1, 1 << 14), m.whole_or("num_experts_per_tok", 4, 1, 1 << 14),
                s.d_ff, true);
    s.glu.alpha = static_cast<float>(m.real_or("swiglu_alpha", static_cast<double>(s.glu.alpha), 1e-6, 1e6));
    s.glu.limit = static_cast<float>(m.real_or("swiglu_limit", static_cast<double>(s.glu.limit), 1e-6, 1e6));
    return s;
}

DecoderSpec read_gguf(const MetaReader& m) {
    DecoderSpec s = gguf_llama_like(m, kDefaults);
    common(s);
    s.attn_bias = Presence::required;
    s.ropes = {read_gguf_rope(m, kDefaults.theta, s.head_dim, s.context, false)};
    set_windows(s, gguf_slides(m, s.n_layers, kPattern), m.whole("attention.sliding_window", 1, 1 << 24));
    gguf_experts(s, m, true);
    if (s.routing.n_experts == 0) m.refuse("expert_count", "is missing");
    return s;
}

constexpr std::array<std::string_view, 1> kGguf{"gpt-oss"}, kHf{"gpt_oss"};

}  // namespace

extern const Family family_gpt_oss;
const Family family_gpt_oss{"gpt-oss", kGguf, kHf, kModelPrefixes, kRotarySkipped, &by_container<&read_hf, &read_gguf>,
                            kTensors};

}  // namespace freehold
