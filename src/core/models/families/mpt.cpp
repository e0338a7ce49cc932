// MPT: LayerNorms without bias, ALiBi, one tensor for q, k and v with a clamp in some sizes, exact GELU, no biases, the
// head tied to the embedding. Switches of its training code that few models use: LayerNorms over the whole of q and k,
// shared heads of k and v, rotation in the place of ALiBi.
#include "../page_parts.h"

namespace freehold {
namespace {

constexpr Presence kIf = Presence::if_present;
constexpr std::array<TensorRow, 14> kTensors{{
    {Role::token_embd, "token_embd", "@wte"},
    {Role::position_embd, "position_embd", "@wpe"},
    {Role::attn_norm, "blk.{}.attn_norm", "@blocks.{}.norm_1", kIf},
    {Role::q, "blk.{}.attn_qkv", "@blocks.{}.attn.Wqkv", kIf, Layout::fused_qkv, Layout::fused_qkv},
    {Role::k, "blk.{}.attn_qkv", "@blocks.{}.attn.Wqkv", kIf, Layout::fused_qkv, Layout::fused_qkv},
    {Role::v, "blk.{}.attn_qkv", "@blocks.{}.attn.Wqkv", kIf, Layout::fused_qkv, Layout::fused_qkv},
    {Role::attn_out, "blk.{}.attn_output", "@blocks.{}.attn.out_proj", kIf},
    {Role::q_norm, "blk.{}.attn_q_norm", "@blocks.{}.attn.q_ln", kIf},
    {Role::k_norm, "blk.{}.attn_k_norm", "@blocks.{}.attn.k_ln", kIf},
    {Role::mlp_norm, "blk.{}.ffn_norm", "@blocks.{}.norm_2", kIf},
    {Role::up, "blk.{}.ffn_up", "@blocks.{}.ffn.up_proj", kIf},
    {Role::down, "blk.{}.ffn_down", "@blocks.{}.ffn.down_proj", kIf},
    {Role::final_norm, "output_norm", "@norm_f", kIf},
    {Role::head, "output", "lm_head"},
}};

void common(DecoderSpec& s, double alibi) {
    s.family = "mpt";
    s.norm = NormKind::layer;
    s.gated_mlp = false;
    s.activation = Activation::gelu_erf;
    s.positions = alibi > 0 ? Positions::alibi : Positions::learned;
    s.alibi_max_bias = static_cast<float>(alibi);
}

int kv_heads(const MetaReader& m, int n_heads) {
    const std::string kind = m.text("attn_config.attn_type").value_or("multihead_attention");
    if (kind == "multihead_attention") return n_heads;
    if (kind == "multiquery_attention") return 1;
    if (kind == "grouped_query_attention") return m.whole("attn_config.kv_n_heads", 1, 1024);
    m.not_handled("attn_config.attn_type", "is \"" + kind + "\"");
}

// Both of its implementations rotate halves; "dail" is the name of the one in flash-attn.
void rotate(DecoderSpec& s, const MetaReader& m) {
    RopeSpec r;
    r.n_dims = s.head_dim;
    r.theta = m.real_or("attn_config.rope_theta", 10000, 1e-3, 1e15);
    const bool dail = m.text("attn_config.rope_impl").value_or("dail") == "dail";
    const char* const key = dail ? "attn_config.rope_dail_config.type" : "attn_config.rope_hf_config.type";
    const std::string kind = m.text(key).value_or(dail ? "original" : "no_scaling");
    if (kind == "linear")
        r.factor = m.real("attn_config.rope_hf_config.factor", 1e-6, 1e6);
    else if (kind != "original" && kind != "no_scaling")
        m.not_handled(key, "is \"" + kind + "\"");
    s.positions = Positions::rope;
    s.ropes = {r};
    for (LayerSpec& l : s.layers) l.rope = 0;
}

DecoderSpec read_hf(const MetaReader& m) {
    DecoderSpec s;
    s.n_layers = m.whole("n_layers", 1, 4096);
    s.d_model = m.whole("d_model", 1, 1 << 17);
    s.n_heads = m.whole("n_heads", 1, 1024);
    even_heads(s, m, "n_heads", kv_heads(m, s.n_heads));
    s.d_ff = m.whole_or("expansion_ratio", 4, 1, 64) * s.d_model;
    s.context = m.whole_or("max_seq_len", 2048, 1, 1 << 24);
    s.vocab = vocab_of(m, "vocab_size", "wte.weight");
    common(s, m.flag_or("attn_config.alibi", true) ? m.real_or("attn_config.alibi_bias_max", 8, 1e-3, 1e4) : 0.0);
    s.norm_eps = static_cast<float>(m.real_or("layer_norm_epsilon", 1e-5, 0, 1));
    s.qkv_clamp = static_cast<float>(m.real_or("attn_config.clip_qkv", 0, 0, 1e6));
    s.attn_scale =
        static_cast<float>(m.real_or("attn_config.softmax_scale", static_cast<double>(s.attn_scale), 1e-6, 1e6));
    s.tied_head = m.flag_or("tie_word_embeddings", true);
    if (const auto word = m.raw("logit_scale") != nullptr ? m.raw("logit_scale")->as_string() : std::nullopt; word) {
        if (*word != "inv_sqrt_d_model")
            m.not_handled("logit_scale",
                          "is \"" + std::string(*word) + "\" where a number or inv_sqrt_d_model was expected");
        s.logit_scale = static_cast<float>(fh_pow(s.d_model, -0.5));
    } else {
        s.logit_scale = static_cast<float>(m.real_or("logit_scale", 1, 1e-6, 1e6));
    }
    if (const auto kind = m.text("norm_type"); kind && !kind->ends_with("layernorm"))
        m.not_handled("norm_type", "is \"" + *kind + "\"");
    for (const char* const key : {"attn_config.prefix_lm", "attn_config.qk_gn"}) {
        if (m.flag_or(key, false)) m.not_handled(key, "is true");
    }
    if (m.flag_or("attn_config.qk_ln", false)) s.qk_norm = QkNorm::whole_width;
    if (m.flag_or("attn_config.rope", false)) {
        if (s.positions == Positions::alibi) m.not_handled("attn_config.rope", "is true beside ALiBi");
        rotate(s, m);
    }
    return s;
}

DecoderSpec read_gguf(const MetaReader& m) {
    DecoderSpec s = gguf_sizes(m);
    even_heads(s, m, "attention.head_count", m.whole_or("attention.head_count_kv", s.n_heads, 1, 1024));
    if (m.files().find_tensor("blk.0.attn_q_norm.weight") != nullptr) s.qk_norm = QkNorm::whole_width;
    common(s, m.real_or("attention.max_alibi_bias", 0, 0, 1e4));
    s.context = m.whole_or("context_length", 2048, 1, 1 << 24);
    s.norm_eps = static_cast<float>(m.real_or("attention.layer_norm_epsilon", 1e-5, 0, 1));
    s.qkv_clamp = static_cast<float>(m.real_or("attention.clamp_kqv", 0, 0, 1e6));
    return s;
}

constexpr std::array<std::string_view, 1> kNames{"mpt"};
constexpr std::array<std::string_view, 2> kPrefixes{"transformer.", ""};

}  // namespace

extern const Family family_mpt;
const Family family_mpt{"mpt", kNames, kNames, kPrefixes, {}, &by_container<&read_hf, &read_gguf>, kTensors};

}  // namespace freehold
