// Llama 1, 2, 3, 3.x and what has their shape (SmolLM2, TinyLlama, stories): RMS norms before each branch, rotary
// positions, grouped heads, gated SiLU.
#include <array>

#include "../family.h"
#include "../rope_scaling.h"

namespace freehold {
namespace {

constexpr std::array<TensorRow, 12> kTensors{{
    {Role::token_embd, "token_embd", "@embed_tokens"},
    {Role::attn_norm, "blk.{}.attn_norm", "@layers.{}.input_layernorm"},
    {Role::q, "blk.{}.attn_q", "@layers.{}.self_attn.q_proj", Presence::if_present},
    {Role::k, "blk.{}.attn_k", "@layers.{}.self_attn.k_proj", Presence::if_present},
    {Role::v, "blk.{}.attn_v", "@layers.{}.self_attn.v_proj", Presence::if_present},
    {Role::attn_out, "blk.{}.attn_output", "@layers.{}.self_attn.o_proj", Presence::if_present},
    {Role::mlp_norm, "blk.{}.ffn_norm", "@layers.{}.post_attention_layernorm"},
    {Role::gate, "blk.{}.ffn_gate", "@layers.{}.mlp.gate_proj", Presence::if_present},
    {Role::up, "blk.{}.ffn_up", "@layers.{}.mlp.up_proj", Presence::if_present},
    {Role::down, "blk.{}.ffn_down", "@layers.{}.mlp.down_proj", Presence::if_present},
    {Role::final_norm, "output_norm", "@norm"},
    {Role::head, "output", "lm_head"},
}};

void common(DecoderSpec& s, const std::vector<int>& kv_heads, int window) {
    s.family = "llama";
    s.v_dim = s.head_dim;
    s.attn_scale = static_cast<float>(fh_pow(s.head_dim, -0.5));
    for (const int n : kv_heads) s.layers.push_back({window, 0, n});
}

DecoderSpec read_gguf(const ModelFiles& files) {
    const MetaReader m(files, files.architecture() + ".");
    DecoderSpec s = gguf_sizes(m);
    if (!m.has("attention.key_length") && s.d_model % s.n_heads != 0) {
        m.refuse("attention.head_count",
                 "is " + std::to_string(s.n_heads) + ", which does not divide the width " + std::to_string(s.d_model));
    }
    s.head_dim = m.whole_or("attention.key_length", s.d_model / s.n_heads, 1, 1024);
    s.context = m.whole_or("context_length", 2048, 1, 1 << 24);
    s.norm_eps = static_cast<float>(m.real("attention.layer_norm_rms_epsilon", 0, 1));
    if (m.has("expert_count") && m.whole("expert_count", 0, 1 << 16) > 0)
        m.not_handled("expert_count", "asks for experts");
    s.ropes = {read_gguf_rope(m, 10000.0, m.whole_or("rope.dimension_count", s.head_dim, 2, 1024), s.context)};
    s.ropes[0].interleaved = true;  // the converter has put rows of q and k back into Meta's order
    common(s, m.per_layer("attention.head_count_kv", s.n_layers, s.n_heads, 1, 1024),
           m.whole_or("attention.sliding_window", 0, 0, 1 << 24));
    return s;
}

DecoderSpec read_hf(const ModelFiles& files) {
    const MetaReader m(files, "");
    DecoderSpec s;
    s.n_layers = m.whole("num_hidden_layers", 1, 4096);
    s.d_model = m.whole("hidden_size", 1, 1 << 17);
    s.d_ff = m.whole("intermediate_size", 1, 1 << 20);
    s.n_heads = m.whole("num_attention_heads", 1, 1024);
    if (!m.has("head_dim") && s.d_model % s.n_heads != 0) {
        m.refuse("num_attention_heads", "is " + std::to_string(s.n_heads) + ", which does not divide hidden_size " +
                                            std::to_string(s.d_model));
    }
    s.head_dim = m.whole_or("head_dim", s.d_model / s.n_heads, 1, 1024);
    s.context = m.whole_or("max_position_embeddings", 2048, 1, 1 << 24);
    s.norm_eps = static_cast<float>(m.real_or("rms_norm_eps", 1e-6, 0, 1));
    s.tied_head = m.flag_or("tie_word_embeddings", false);
    s.vocab = vocab_of(m, "vocab_size", "embed_tokens.weight");
    s.activation = activation_named(m, "hidden_act", "silu");
    s.attn_bias = m.flag_or("attention_bias", false) ? Presence::required : Presence::absent;
    s.mlp_bias = m.flag_or("mlp_bias", false) ? Presence::required : Presence::absent;
    if (m.has("sliding_window")) m.not_handled("sliding_window", "asks for a window in a model of type llama");
    s.ropes = {read_hf_rope(m, "rope_parameters", "rope_theta", "rope_scaling", 10000.0, s.head_dim, s.context)};
    common(
        s,
        std::vector<int>(static_cast<std::size_t>(s.n_layers), m.whole_or("num_key_value_heads", s.n_heads, 1, 1024)),
        0);
    return s;
}

constexpr std::array<std::string_view, 1> kNames{"llama"};
constexpr std::array<std::string_view, 2> kPrefixes{"model.", ""};
constexpr std::array<std::string_view, 4> kSkipped{"rotary_emb.inv_freq", "rope_freqs.weight", "attn_rot_embd",
                                                   "attn_rot_freqs"};

}  // namespace

extern const Family family_llama;
const Family family_llama{
    "llama",   kNames,   kNames,
    kPrefixes, kSkipped, [](const ModelFiles& f) { return f.container() == Container::hf ? read_hf(f) : read_gguf(f); },
    kTensors,  true};

}  // namespace freehold
