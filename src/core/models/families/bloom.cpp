// BLOOM: a LayerNorm on the embedding, ALiBi, q, k and v of a head together in one tensor, GELU by the tanh, biases
// everywhere, the head tied to the embedding.
#include "../page_parts.h"

namespace freehold {
namespace {

constexpr Presence kBias = Presence::required;
constexpr TensorRow fused(Role role) {
    return {role,  "blk.{}.attn_qkv",        "@h.{}.self_attention.query_key_value",
            kBias, Layout::fused_by_kv_head, Layout::fused_qkv};
}
constexpr std::array<TensorRow, 12> kTensors{{
    {Role::token_embd, "token_embd", "@word_embeddings"},
    {Role::embed_norm, "token_embd_norm", "@word_embeddings_layernorm", kBias},
    {Role::attn_norm, "blk.{}.attn_norm", "@h.{}.input_layernorm", kBias},
    fused(Role::q),
    fused(Role::k),
    fused(Role::v),
    {Role::attn_out, "blk.{}.attn_output", "@h.{}.self_attention.dense", kBias},
    {Role::mlp_norm, "blk.{}.ffn_norm", "@h.{}.post_attention_layernorm", kBias},
    {Role::up, "blk.{}.ffn_up", "@h.{}.mlp.dense_h_to_4h", kBias},
    {Role::down, "blk.{}.ffn_down", "@h.{}.mlp.dense_4h_to_h", kBias},
    {Role::final_norm, "output_norm", "@ln_f", kBias},
    {Role::head, "output", "lm_head"},
}};

void common(DecoderSpec& s) {
    s.family = "bloom";
    s.norm = NormKind::layer;
    s.embed_norm = true;
    s.gated_mlp = false;
    s.activation = Activation::gelu_tanh;
    s.positions = Positions::alibi;
}

DecoderSpec read_hf(const MetaReader& m) {
    DecoderSpec s;
    s.n_layers = m.whole(m.has("n_layer") ? "n_layer" : "num_hidden_layers", 1, 4096);
    s.d_model = m.whole(m.has("hidden_size") ? "hidden_size" : "n_embed", 1, 1 << 17);
    const char* const heads = m.has("n_head") ? "n_head" : "num_attention_heads";
    s.n_heads = m.whole(heads, 1, 1024);
    even_heads(s, m, heads, s.n_heads);
    common(s);
    s.d_ff = 4 * s.d_model;
    s.context = m.whole_or("seq_length", 2048, 1, 1 << 24);
    s.vocab = vocab_of(m, "vocab_size", "word_embeddings.weight");
    s.norm_eps = static_cast<float>(m.real_or("layer_norm_epsilon", 1e-5, 0, 1));
    s.tied_head = m.flag_or("tie_word_embeddings", true);
    if (m.flag_or("apply_residual_connection_post_layernorm", false))
        m.not_handled("apply_residual_connection_post_layernorm", "is true");
    return s;
}

DecoderSpec read_gguf(const MetaReader& m) {
    DecoderSpec s = gguf_sizes(m);
    even_heads(s, m, "attention.head_count", s.n_heads);
    common(s);
    s.context = m.whole_or("context_length", 2048, 1, 1 << 24);
    s.norm_eps = static_cast<float>(m.real_or("attention.layer_norm_epsilon", 1e-5, 0, 1));
    return s;
}

constexpr std::array<std::string_view, 1> kNames{"bloom"};
constexpr std::array<std::string_view, 2> kPrefixes{"transformer.", ""};

}  // namespace

extern const Family family_bloom;
const Family family_bloom{"bloom", kNames, kNames, kPrefixes, {}, &by_container<&read_hf, &read_gguf>, kTensors};

}  // namespace freehold
