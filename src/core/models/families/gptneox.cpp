// GPT-NeoX and Pythia: LayerNorms with bias, both branches from the same rows, a quarter of each head rotated, q, k and
// v of a head together in one tensor, no gate.
#include "../page_parts.h"

namespace freehold {
namespace {

constexpr Presence kBias = Presence::required;
constexpr TensorRow fused(Role role) {
    return {role,
            "blk.{}.attn_qkv",
            "@layers.{}.attention.query_key_value",
            Presence::if_present,
            Layout::fused_by_kv_head,
            Layout::fused_qkv};
}
constexpr std::array<TensorRow, 12> kTensors{{
    {Role::token_embd, "token_embd", "@embed_in"},
    {Role::attn_norm, "blk.{}.attn_norm", "@layers.{}.input_layernorm", kBias},
    fused(Role::q),
    fused(Role::k),
    fused(Role::v),
    {Role::attn_out, "blk.{}.attn_output", "@layers.{}.attention.dense", Presence::if_present},
    {Role::mlp_norm, "blk.{}.ffn_norm", "@layers.{}.post_attention_layernorm", kBias},
    {Role::up, "blk.{}.ffn_up", "@layers.{}.mlp.dense_h_to_4h", kBias},
    {Role::down, "blk.{}.ffn_down", "@layers.{}.mlp.dense_4h_to_h", kBias},
    {Role::final_norm, "output_norm", "@final_layer_norm", kBias},
    {Role::head, "output", "embed_out"},
    {Role::head, "output", "lm_head"},
}};

void common(DecoderSpec& s) {
    s.family = "gptneox";
    s.norm = NormKind::layer;
    s.gated_mlp = false;
    for (LayerSpec& l : s.layers) l.rope = 0;
}

DecoderSpec read_hf(const MetaReader& m) {
    DecoderSpec s;
    s.n_layers = m.whole("num_hidden_layers", 1, 4096);
    s.d_model = m.whole("hidden_size", 1, 1 << 17);
    s.d_ff = m.whole("intermediate_size", 1, 1 << 20);
    s.n_heads = m.whole("num_attention_heads", 1, 1024);
    even_heads(s, m, "num_attention_heads", s.n_heads);
    common(s);
    s.context = m.whole_or("max_position_embeddings", 2048, 1, 1 << 24);
    s.vocab = vocab_of(m, "vocab_size", "embed_in.weight");
    s.norm_eps = static_cast<float>(m.real_or("layer_norm_eps", 1e-5, 0, 1));
    s.activation = activation_named(m, "hidden_act", "gelu");
    s.parallel_residual = m.flag_or("use_parallel_residual", true);
    s.tied_head = m.flag_or("tie_word_embeddings", false);
    s.attn_bias = m.flag_or("attention_bias", true) ? Presence::required : Presence::absent;
    s.ropes = {read_hf_rope(m, "rope_parameters", m.has("rotary_emb_base") ? "rotary_emb_base" : "rope_theta",
                            "rope_scaling", 10000.0, rotated_part(m, "rotary_pct", 0.25, s.head_dim), s.context, true)};
    return s;
}

DecoderSpec read_gguf(const MetaReader& m) {
    DecoderSpec s = gguf_sizes(m);
    even_heads(s, m, "attention.head_count", s.n_heads);
    common(s);
    s.context = m.whole_or("context_length", 2048, 1, 1 << 24);
    s.norm_eps = static_cast<float>(m.real_or("attention.layer_norm_epsilon", 1e-5, 0, 1));
    s.activation = Activation::gelu_erf;
    s.parallel_residual = m.flag_or("use_parallel_residual", true);
    s.ropes = {read_gguf_rope(m, 10000.0, m.whole_or("rope.dimension_count", s.head_dim / 4, 2, 1024), s.context)};
    return s;
}

constexpr std::array<std::string_view, 1> kGgufNames{"gptneox"};
constexpr std::array<std::string_view, 1> kHfNames{"gpt_neox"};
constexpr std::array<std::string_view, 2> kPrefixes{"gpt_neox.", ""};
// Masks and angles that older checkpoints carry as if they were weights.
constexpr std::array<std::string_view, 3> kSkipped{".attention.bias", ".attention.masked_bias", "rotary_emb.inv_freq"};

}  // namespace

extern const Family family_gptneox;
const Family family_gptneox{"gptneox", kGgufNames, kHfNames, kPrefixes, kSkipped, &by_container<&read_hf, &read_gguf>,
                            kTensors};

}  // namespace freehold
