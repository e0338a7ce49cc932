// MPT: LayerNorms without bias, ALiBi, one tensor for q, k and v with a clamp in some sizes, exact GELU, no biases, the
// head tied to the embedding.
#include "../page_parts.h"

namespace freehold {
namespace {

constexpr Presence kIf = Presence::if_present;
constexpr std::array<TensorRow, 12> kTensors{{
    {Role::token_embd, "token_embd", "@wte"},
    {Role::position_embd, "position_embd", "@wpe"},
    {Role::attn_norm, "blk.{}.attn_norm", "@blocks.{}.norm_1", kIf},
    {Role::q, "blk.{}.attn_qkv", "@blocks.{}.attn.Wqkv", kIf, Layout::fused_qkv, Layout::fused_qkv},
    {Role::k, "blk.{}.attn_qkv", "@blocks.{}.attn.Wqkv", kIf, Layout::fused_qkv, Layout::fused_qkv},
    {Role::v, "blk.{}.attn_qkv", "@blocks.{}.attn.Wqkv", kIf, Layout::fused_qkv, Layout::fused_qkv},
    {Role::attn_out, "blk.{}.attn_output", "@blocks.{}.attn.out_proj", kIf},
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

DecoderSpec read_hf(const MetaReader& m) {
    DecoderSpec s;
    s.n_layers = m.whole("n_layers", 1, 4096);
    s.d_model = m.whole("d_model", 1, 1 << 17);
    s.n_heads = m.whole("n_heads", 1, 1024);
    if (m.whole_or("attn_config.kv_n_heads", s.n_heads, 1, 1024) != s.n_heads)
        m.not_handled("attn_config.kv_n_heads", "shares heads of k and v");
    even_heads(s, m, "n_heads", s.n_heads);
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
    if (const auto kind = m.text("attn_config.attn_type"); kind && *kind != "multihead_attention")
        m.not_handled("attn_config.attn_type", "is \"" + *kind + "\"");
    for (const char* const key : {"attn_config.prefix_lm", "attn_config.qk_ln", "attn_config.rope"}) {
        if (m.flag_or(key, false)) m.not_handled(key, "is true");
    }
    return s;
}

DecoderSpec read_gguf(const MetaReader& m) {
    DecoderSpec s = gguf_sizes(m);
    if (m.whole_or("attention.head_count_kv", s.n_heads, 1, 1024) != s.n_heads)
        m.not_handled("attention.head_count_kv", "shares heads of k and v");
    even_heads(s, m, "attention.head_count", s.n_heads);
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
