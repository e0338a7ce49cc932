// Falcon: the 7B kind (one LayerNorm for both branches, one head of k and v), the 40B kind (a norm for each branch,
// grouped heads) and the RW kind (branches behind each other, ALiBi, biases). Exact GELU, no gate.
#include "../page_parts.h"

namespace freehold {
namespace {

constexpr Presence kBias = Presence::required, kIf = Presence::if_present;
constexpr TensorRow fused(Role role) {
    return {role, "blk.{}.attn_qkv",        "@h.{}.self_attention.query_key_value",
            kIf,  Layout::fused_by_kv_head, Layout::fused_qkv};
}
// The 40B kind calls its norms otherwise; in GGUF files attn_norm_2 is then the one of attention, and attn_norm the
// MLP's.
constexpr std::array<TensorRow, 14> kTensors{{
    {Role::token_embd, "token_embd", "@word_embeddings"},
    {Role::attn_norm, "blk.{}.attn_norm_2", "@h.{}.ln_attn", kBias},
    {Role::attn_norm, "blk.{}.attn_norm", "@h.{}.input_layernorm", kBias},
    fused(Role::q),
    fused(Role::k),
    fused(Role::v),
    {Role::attn_out, "blk.{}.attn_output", "@h.{}.self_attention.dense", kIf},
    {Role::mlp_norm, "blk.{}.attn_norm", "@h.{}.ln_mlp", kBias},
    {Role::mlp_norm, "blk.{}.ffn_norm", "@h.{}.post_attention_layernorm", kBias},
    {Role::up, "blk.{}.ffn_up", "@h.{}.mlp.dense_h_to_4h", kIf},
    {Role::down, "blk.{}.ffn_down", "@h.{}.mlp.dense_4h_to_h", kIf},
    {Role::final_norm, "output_norm", "@ln_f", kBias},
    {Role::head, "output", "lm_head"},
    {Role::head, "output", "@lm_head"},
}};

void common(DecoderSpec& s) {
    s.family = "falcon";
    s.norm = NormKind::layer;
    s.gated_mlp = false;
}

void rotate(DecoderSpec& s, RopeSpec rope) {
    s.ropes = {std::move(rope)};
    for (LayerSpec& l : s.layers) l.rope = 0;
}

DecoderSpec read_hf(const MetaReader& m) {
    DecoderSpec s;
    s.n_layers = m.whole(m.has("num_hidden_layers") ? "num_hidden_layers" : "n_layer", 1, 4096);
    s.d_model = m.whole(m.has("hidden_size") ? "hidden_size" : "n_embed", 1, 1 << 17);
    const char* const heads = m.has("num_attention_heads") ? "num_attention_heads" : "n_head";
    s.n_heads = m.whole(heads, 1, 1024);
    const bool newer = m.flag_or("new_decoder_architecture", false);
    const char* const kv_key = m.has("num_kv_heads") ? "num_kv_heads" : "n_head_kv";
    const int kv_heads = newer                            ? m.whole_or(kv_key, s.n_heads, 1, 1024)
                         : m.flag_or("multi_query", true) ? 1
                                                          : s.n_heads;
    even_heads(s, m, heads, kv_heads);
    common(s);
    s.d_ff = m.whole_or("ffn_hidden_size", 4 * s.d_model, 1, 1 << 20);
    s.context = m.whole_or("max_position_embeddings", 2048, 1, 1 << 24);
    s.vocab = vocab_of(m, "vocab_size", "word_embeddings.weight");
    s.norm_eps = static_cast<float>(m.real_or("layer_norm_epsilon", 1e-5, 0, 1));
    s.activation = activation_named(m, "activation", "gelu");
    s.tied_head = m.flag_or("tie_word_embeddings", true);
    s.parallel_residual = newer || m.flag_or("parallel_attn", true);
    s.shared_norm = s.parallel_residual && m.whole_or("num_ln_in_parallel_attn", newer ? 2 : 1, 1, 2) == 1;
    s.attn_bias = s.mlp_bias = m.flag_or("bias", false) ? Presence::required : Presence::absent;
    if (m.flag_or("alibi", false)) {
        s.positions = Positions::alibi;
        s.alibi_scale = s.attn_scale;  // its makers scale scores and distances together
    } else {
        rotate(s, read_hf_rope(m, "rope_parameters", "rope_theta", "rope_scaling", 10000.0, s.head_dim, s.context));
    }
    return s;
}

DecoderSpec read_gguf(const MetaReader& m) {
    DecoderSpec s = gguf_sizes(m);
    even_heads(s, m, "attention.head_count", m.whole_or("attention.head_count_kv", s.n_heads, 1, 1024));
    common(s);
    s.context = m.whole_or("context_length", 2048, 1, 1 << 24);
    s.norm_eps = static_cast<float>(m.real_or("attention.layer_norm_epsilon", 1e-5, 0, 1));
    s.activation = Activation::gelu_erf;
    s.parallel_residual = true;  // files of the RW kind would have ffn_norm, which no row takes then
    s.shared_norm = m.files().find_tensor("blk.0.attn_norm_2.weight") == nullptr;
    rotate(s, read_gguf_rope(m, 10000.0, m.whole_or("rope.dimension_count", s.head_dim, 2, 1024), s.context));
    return s;
}

constexpr std::array<std::string_view, 1> kGgufNames{"falcon"};
constexpr std::array<std::string_view, 3> kHfNames{"falcon", "RefinedWeb", "RefinedWebModel"};
constexpr std::array<std::string_view, 2> kPrefixes{"transformer.", ""};
constexpr std::array<std::string_view, 1> kSkipped{"rotary_emb.inv_freq"};

}  // namespace

extern const Family family_falcon;
const Family family_falcon{"falcon", kGgufNames, kHfNames, kPrefixes, kSkipped, &by_container<&read_hf, &read_gguf>,
                           kTensors};

}  // namespace freehold
