// GPT-2: LayerNorms with bias before each branch, learned positions, one fused projection for q, k and v, an MLP
// without a gate, biases everywhere, the head tied to the embedding.
#include <array>

#include "../family.h"

namespace freehold {
namespace {

constexpr Presence kBias = Presence::required;
constexpr std::array<TensorRow, 12> kTensors{{
    {Role::token_embd, "token_embd", "@wte"},
    {Role::position_embd, "position_embd", "@wpe"},
    {Role::attn_norm, "blk.{}.attn_norm", "@h.{}.ln_1", kBias},
    {Role::q, "blk.{}.attn_qkv", "@h.{}.attn.c_attn", kBias, Layout::transposed_fused_qkv, Layout::fused_qkv},
    {Role::k, "blk.{}.attn_qkv", "@h.{}.attn.c_attn", kBias, Layout::transposed_fused_qkv, Layout::fused_qkv},
    {Role::v, "blk.{}.attn_qkv", "@h.{}.attn.c_attn", kBias, Layout::transposed_fused_qkv, Layout::fused_qkv},
    {Role::attn_out, "blk.{}.attn_output", "@h.{}.attn.c_proj", kBias, Layout::transposed},
    {Role::mlp_norm, "blk.{}.ffn_norm", "@h.{}.ln_2", kBias},
    {Role::up, "blk.{}.ffn_up", "@h.{}.mlp.c_fc", kBias, Layout::transposed},
    {Role::down, "blk.{}.ffn_down", "@h.{}.mlp.c_proj", kBias, Layout::transposed},
    {Role::final_norm, "output_norm", "@ln_f", kBias},
    {Role::head, "output", "lm_head"},
}};

DecoderSpec read(const ModelFiles& files) {
    const bool hf = files.container() == Container::hf;
    const MetaReader m(files, hf ? "" : files.architecture() + ".");
    const auto key = [hf](std::string_view in_config, std::string_view in_gguf) { return hf ? in_config : in_gguf; };
    DecoderSpec s;
    s.family = "gpt2";
    s.n_layers = m.whole(key("n_layer", "block_count"), 1, 4096);
    s.d_model = m.whole(key("n_embd", "embedding_length"), 1, 1 << 17);
    s.n_heads = m.whole(key("n_head", "attention.head_count"), 1, 1024);
    if (s.d_model % s.n_heads != 0) {
        m.refuse(key("n_head", "attention.head_count"),
                 "is " + std::to_string(s.n_heads) + ", which does not divide the width " + std::to_string(s.d_model));
    }
    s.head_dim = s.v_dim = s.d_model / s.n_heads;
    s.d_ff = m.whole_or(key("n_inner", "feed_forward_length"), 4 * s.d_model, 1, 1 << 20);
    s.context = m.whole(key("n_positions", "context_length"), 1, 1 << 24);
    s.vocab = vocab_of(m, "vocab_size", hf ? "wte.weight" : "token_embd.weight");
    s.norm = NormKind::layer;
    s.norm_eps = static_cast<float>(m.real_or(key("layer_norm_epsilon", "attention.layer_norm_epsilon"), 1e-5, 0, 1));
    s.positions = Positions::learned;
    s.gated_mlp = false;
    s.activation = hf ? activation_named(m, "activation_function", "gelu_new") : Activation::gelu_tanh;
    s.attn_scale = static_cast<float>(fh_pow(s.head_dim, -0.5));
    s.tied_head = files.find_tensor("output.weight") == nullptr;
    s.attn_bias = s.mlp_bias = Presence::required;
    if (hf) {
        s.tied_head = m.flag_or("tie_word_embeddings", true);
        if (!m.flag_or("scale_attn_weights", true)) s.attn_scale = 1.0F;
        s.attn_scale_by_inverse_layer = m.flag_or("scale_attn_by_inverse_layer_idx", false);
        if (m.flag_or("add_cross_attention", false)) m.not_handled("add_cross_attention", "asks for cross-attention");
    }
    s.layers.assign(static_cast<std::size_t>(s.n_layers), {0, -1, s.n_heads});
    return s;
}

constexpr std::array<std::string_view, 1> kNames{"gpt2"};
constexpr std::array<std::string_view, 2> kPrefixes{"transformer.", ""};
// Masks that older checkpoints carry as if they were weights; note that ".attn.bias" is not ".attn.c_attn.bias".
constexpr std::array<std::string_view, 2> kSkipped{".attn.bias", ".attn.masked_bias"};

}  // namespace

extern const Family family_gpt2;
const Family family_gpt2{"gpt2", kNames, kNames, kPrefixes, kSkipped, &read, kTensors};

}  // namespace freehold
