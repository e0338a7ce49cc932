// Marian, as the OPUS-MT models have it: an encoder and a decoder that looks at it; LayerNorms after each addition,
// positions by sines, biases everywhere, one table for both stacks and the head, a bias on the logits.
#include <array>

#include "../family.h"

namespace freehold {
namespace {

constexpr Presence kBias = Presence::required;
constexpr std::array<TensorRow, 18> kDecoder{{
    {Role::token_embd, "", "@decoder.embed_tokens"},
    {Role::token_embd, "", "@shared"},
    {Role::position_embd, "", "@decoder.embed_positions"},
    {Role::q, "", "@decoder.layers.{}.self_attn.q_proj", kBias},
    {Role::k, "", "@decoder.layers.{}.self_attn.k_proj", kBias},
    {Role::v, "", "@decoder.layers.{}.self_attn.v_proj", kBias},
    {Role::attn_out, "", "@decoder.layers.{}.self_attn.out_proj", kBias},
    {Role::attn_norm, "", "@decoder.layers.{}.self_attn_layer_norm", kBias},
    {Role::cross_q, "", "@decoder.layers.{}.encoder_attn.q_proj", kBias},
    {Role::cross_k, "", "@decoder.layers.{}.encoder_attn.k_proj", kBias},
    {Role::cross_v, "", "@decoder.layers.{}.encoder_attn.v_proj", kBias},
    {Role::cross_out, "", "@decoder.layers.{}.encoder_attn.out_proj", kBias},
    {Role::cross_norm, "", "@decoder.layers.{}.encoder_attn_layer_norm", kBias},
    {Role::up, "", "@decoder.layers.{}.fc1", kBias},
    {Role::down, "", "@decoder.layers.{}.fc2", kBias},
    {Role::mlp_norm, "", "@decoder.layers.{}.final_layer_norm", kBias},
    {Role::head, "", "lm_head"},
    {Role::logit_bias, "", "final_logits_bias!"},
}};
constexpr std::array<TensorRow, 11> kEncoder{{
    {Role::token_embd, "", "@encoder.embed_tokens"},
    {Role::token_embd, "", "@shared"},
    {Role::position_embd, "", "@encoder.embed_positions"},
    {Role::q, "", "@encoder.layers.{}.self_attn.q_proj", kBias},
    {Role::k, "", "@encoder.layers.{}.self_attn.k_proj", kBias},
    {Role::v, "", "@encoder.layers.{}.self_attn.v_proj", kBias},
    {Role::attn_out, "", "@encoder.layers.{}.self_attn.out_proj", kBias},
    {Role::attn_norm, "", "@encoder.layers.{}.self_attn_layer_norm", kBias},
    {Role::up, "", "@encoder.layers.{}.fc1", kBias},
    {Role::down, "", "@encoder.layers.{}.fc2", kBias},
    {Role::mlp_norm, "", "@encoder.layers.{}.final_layer_norm", kBias},
}};

void stack(DecoderSpec& s, const MetaReader& m, const std::string& which) {
    const std::string heads = which + "_attention_heads";
    s.n_layers = m.whole(which + "_layers", 1, 4096);
    s.n_heads = m.whole(heads, 1, 1024);
    if (s.d_model % s.n_heads != 0) {
        m.refuse(heads,
                 "is " + std::to_string(s.n_heads) + ", which does not divide the width " + std::to_string(s.d_model));
    }
    s.head_dim = s.v_dim = s.d_model / s.n_heads;
    s.attn_scale = static_cast<float>(fh_pow(s.head_dim, -0.5));
    s.d_ff = m.whole(which + "_ffn_dim", 1, 1 << 20);
    s.layers.assign(static_cast<std::size_t>(s.n_layers), {0, -1, s.n_heads});
}

DecoderSpec read(const ModelFiles& files) {
    const MetaReader m(files, "");
    DecoderSpec s;
    s.family = "marian";
    s.d_model = m.whole("d_model", 2, 1 << 17);
    s.context = m.whole("max_position_embeddings", 1, 1 << 20);
    s.positions = Positions::sinusoidal;
    s.norm = NormKind::layer;
    s.norm_place = NormPlace::post_add;
    s.norm_eps = 1e-5F;
    s.final_norm = false;
    s.gated_mlp = false;
    s.activation = activation_named(m, "activation_function", "gelu");
    s.attn_bias = s.mlp_bias = Presence::required;
    if (m.flag_or("scale_embedding", false)) s.embed_scale = static_cast<float>(fh_pow(s.d_model, 0.5));
    if (!m.flag_or("static_position_embeddings", true)) m.not_handled("static_position_embeddings", "is false");
    for (const char* const key :
         {"normalize_before", "normalize_embedding", "add_final_layer_norm", "add_bias_logits", "is_decoder"}) {
        if (m.flag_or(key, false)) m.not_handled(key, "is true");
    }
    DecoderSpec e = s;
    stack(e, m, "encoder");
    e.vocab = vocab_of(m, "vocab_size", ".embed_tokens.weight");
    e.causal = e.has_head = false;
    stack(s, m, "decoder");
    s.vocab = m.whole_or("decoder_vocab_size", e.vocab, 1, 1 << 24);
    s.tied_head = m.flag_or("tie_word_embeddings", true);
    s.logit_bias = files.find_tensor("final_logits_bias") != nullptr;
    s.encoder = std::make_shared<const DecoderSpec>(std::move(e));
    return s;
}

constexpr std::array<std::string_view, 1> kNames{"marian"};
constexpr std::array<std::string_view, 2> kPrefixes{"model.", ""};
// The shared table beside its copies under the names of both stacks.
constexpr std::array<std::string_view, 1> kSkipped{"model.shared.weight"};

}  // namespace

extern const Family family_marian;
const Family family_marian{"marian", {}, kNames, kPrefixes, kSkipped, &read, kDecoder, false, kEncoder};

}  // namespace freehold
