// OPT: learned positions that begin at row 2, ReLU, biases by a flag; the 350M model has its norms behind the
// additions, no final norm, and narrower embeddings with a projection on either side. Hugging Face folders only: no
// GGUF architecture of the field has its name.
#include "../page_parts.h"

namespace freehold {
namespace {

constexpr Presence kIf = Presence::if_present;
constexpr std::array<TensorRow, 14> kTensors{{
    {Role::token_embd, "token_embd", "@embed_tokens"},
    {Role::position_embd, "position_embd", "@embed_positions"},
    {Role::attn_norm, "blk.{}.attn_norm", "@layers.{}.self_attn_layer_norm", kIf},
    {Role::q, "blk.{}.attn_q", "@layers.{}.self_attn.q_proj", kIf},
    {Role::k, "blk.{}.attn_k", "@layers.{}.self_attn.k_proj", kIf},
    {Role::v, "blk.{}.attn_v", "@layers.{}.self_attn.v_proj", kIf},
    {Role::attn_out, "blk.{}.attn_output", "@layers.{}.self_attn.out_proj", kIf},
    {Role::mlp_norm, "blk.{}.ffn_norm", "@layers.{}.final_layer_norm", kIf},
    {Role::up, "blk.{}.ffn_up", "@layers.{}.fc1", kIf},
    {Role::down, "blk.{}.ffn_down", "@layers.{}.fc2", kIf},
    {Role::final_norm, "output_norm", "@final_layer_norm", kIf},
    {Role::project_in, "project_in", "@project_in"},
    {Role::project_out, "project_out", "@project_out"},
    {Role::head, "output", "lm_head"},
}};

DecoderSpec read(const ModelFiles& files) {
    const MetaReader m(files, "");
    DecoderSpec s;
    s.family = "opt";
    s.n_layers = m.whole("num_hidden_layers", 1, 4096);
    s.d_model = m.whole("hidden_size", 1, 1 << 17);
    s.n_heads = m.whole("num_attention_heads", 1, 1024);
    even_heads(s, m, "num_attention_heads", s.n_heads);
    s.d_ff = m.whole("ffn_dim", 1, 1 << 20);
    s.context = m.whole("max_position_embeddings", 1, 1 << 24);
    s.position_offset = 2;
    s.positions = Positions::learned;
    s.vocab = vocab_of(m, "vocab_size", "embed_tokens.weight");
    if (const int embed = m.whole_or("word_embed_proj_dim", s.d_model, 1, 1 << 17); embed != s.d_model)
        s.d_embed = embed;
    s.norm = NormKind::layer;
    s.norm_params = m.flag_or("layer_norm_elementwise_affine", true);
    s.norm_eps = 1e-5F;  // of the class; no config says it
    const bool before = m.flag_or("do_layer_norm_before", true);
    s.norm_place = before ? NormPlace::pre : NormPlace::post_add;
    s.final_norm = before && !m.flag_or("_remove_final_layer_norm", false);
    s.gated_mlp = false;
    s.activation = activation_named(m, "activation_function", "relu");
    s.attn_bias = s.mlp_bias = m.flag_or("enable_bias", true) ? Presence::required : Presence::absent;
    s.tied_head = m.flag_or("tie_word_embeddings", true);
    return s;
}

constexpr std::array<std::string_view, 1> kHfNames{"opt"};
constexpr std::array<std::string_view, 3> kPrefixes{"model.decoder.", "decoder.", ""};

}  // namespace

extern const Family family_opt;
const Family family_opt{"opt", {}, kHfNames, kPrefixes, {}, &read, kTensors};

}  // namespace freehold
