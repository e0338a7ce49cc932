// T5, Flan-T5 and mT5: an encoder and a decoder that looks at it; RMS norms before each branch, relative positions in
// buckets whose table all layers of a stack share, scores that are not scaled, no biases. The first T5 has a ReLU and a
// head that is its embedding, on scaled rows; version 1.1 a gated GELU and a head of its own.
#include <algorithm>
#include <array>

#include "../family.h"

namespace freehold {
namespace {

constexpr std::array<TensorRow, 20> kDecoder{{
    {Role::token_embd, "token_embd", "shared"},
    {Role::token_embd, "token_embd", "decoder.embed_tokens"},
    {Role::relative_bias, "dec.blk.{}.attn_rel_b", "decoder.block.{}.layer.0.SelfAttention.relative_attention_bias"},
    {Role::attn_norm, "dec.blk.{}.attn_norm", "decoder.block.{}.layer.0.layer_norm"},
    {Role::q, "dec.blk.{}.attn_q", "decoder.block.{}.layer.0.SelfAttention.q"},
    {Role::k, "dec.blk.{}.attn_k", "decoder.block.{}.layer.0.SelfAttention.k"},
    {Role::v, "dec.blk.{}.attn_v", "decoder.block.{}.layer.0.SelfAttention.v"},
    {Role::attn_out, "dec.blk.{}.attn_o", "decoder.block.{}.layer.0.SelfAttention.o"},
    {Role::cross_norm, "dec.blk.{}.cross_attn_norm", "decoder.block.{}.layer.1.layer_norm"},
    {Role::cross_q, "dec.blk.{}.cross_attn_q", "decoder.block.{}.layer.1.EncDecAttention.q"},
    {Role::cross_k, "dec.blk.{}.cross_attn_k", "decoder.block.{}.layer.1.EncDecAttention.k"},
    {Role::cross_v, "dec.blk.{}.cross_attn_v", "decoder.block.{}.layer.1.EncDecAttention.v"},
    {Role::cross_out, "dec.blk.{}.cross_attn_o", "decoder.block.{}.layer.1.EncDecAttention.o"},
    {Role::mlp_norm, "dec.blk.{}.ffn_norm", "decoder.block.{}.layer.2.layer_norm"},
    {Role::gate, "dec.blk.{}.ffn_gate", "decoder.block.{}.layer.2.DenseReluDense.wi_0"},
    {Role::up, "dec.blk.{}.ffn_up", "decoder.block.{}.layer.2.DenseReluDense.wi_1"},
    {Role::up, "dec.blk.{}.ffn_up", "decoder.block.{}.layer.2.DenseReluDense.wi"},
    {Role::down, "dec.blk.{}.ffn_down", "decoder.block.{}.layer.2.DenseReluDense.wo"},
    {Role::final_norm, "dec.output_norm", "decoder.final_layer_norm"},
    {Role::head, "output", "lm_head"},
}};
constexpr std::array<TensorRow, 14> kEncoder{{
    {Role::token_embd, "token_embd", "shared"},
    {Role::token_embd, "token_embd", "decoder.embed_tokens"},
    {Role::relative_bias, "enc.blk.{}.attn_rel_b", "encoder.block.{}.layer.0.SelfAttention.relative_attention_bias"},
    {Role::attn_norm, "enc.blk.{}.attn_norm", "encoder.block.{}.layer.0.layer_norm"},
    {Role::q, "enc.blk.{}.attn_q", "encoder.block.{}.layer.0.SelfAttention.q"},
    {Role::k, "enc.blk.{}.attn_k", "encoder.block.{}.layer.0.SelfAttention.k"},
    {Role::v, "enc.blk.{}.attn_v", "encoder.block.{}.layer.0.SelfAttention.v"},
    {Role::attn_out, "enc.blk.{}.attn_o", "encoder.block.{}.layer.0.SelfAttention.o"},
    {Role::mlp_norm, "enc.blk.{}.ffn_norm", "encoder.block.{}.layer.1.layer_norm"},
    {Role::gate, "enc.blk.{}.ffn_gate", "encoder.block.{}.layer.1.DenseReluDense.wi_0"},
    {Role::up, "enc.blk.{}.ffn_up", "encoder.block.{}.layer.1.DenseReluDense.wi_1"},
    {Role::up, "enc.blk.{}.ffn_up", "encoder.block.{}.layer.1.DenseReluDense.wi"},
    {Role::down, "enc.blk.{}.ffn_down", "encoder.block.{}.layer.1.DenseReluDense.wo"},
    {Role::final_norm, "enc.output_norm", "encoder.final_layer_norm"},
}};

void activation_of(DecoderSpec& s, const MetaReader& m) {
    const std::string form = m.text("feed_forward_proj").value_or("relu");
    s.gated_mlp = form.starts_with("gated-");
    const std::string name = s.gated_mlp ? form.substr(6) : form;
    if (name == "relu")
        s.activation = Activation::relu;
    else if (name == "silu" || name == "swish")
        s.activation = Activation::silu;
    else if (name == "gelu_new" || form == "gated-gelu")  // which means the form with tanh
        s.activation = Activation::gelu_tanh;
    else if (name == "gelu")
        s.activation = Activation::gelu_erf;
    else
        m.not_handled("feed_forward_proj", "is \"" + form + "\"");
}

DecoderSpec read_hf(const MetaReader& m, DecoderSpec s, int& encoder_layers) {
    encoder_layers = m.whole("num_layers", 1, 4096);
    s.n_layers = m.whole_or("num_decoder_layers", encoder_layers, 1, 4096);
    s.d_model = m.whole("d_model", 1, 1 << 17);
    s.n_heads = m.whole("num_heads", 1, 1024);
    s.head_dim = s.v_dim = m.whole("d_kv", 1, 1024);
    s.d_ff = m.whole("d_ff", 1, 1 << 20);
    s.vocab = vocab_of(m, "vocab_size", "shared.weight");
    s.context = m.whole_or("n_positions", 512, 1, 1 << 24);
    s.norm_eps = static_cast<float>(m.real_or("layer_norm_epsilon", 1e-6, 0, 1));
    s.relative_buckets = m.whole_or("relative_attention_num_buckets", 32, 4, 4096);
    s.relative_distance = m.whole_or("relative_attention_max_distance", 128, 2, 1 << 16);
    activation_of(s, m);
    s.tied_head = m.files().find_tensor("lm_head.weight") == nullptr;
    const bool first = m.files().architecture() == "t5" && m.flag_or("tie_word_embeddings", true);
    if (m.flag_or("scale_decoder_outputs", first)) s.logit_scale = static_cast<float>(fh_pow(s.d_model, -0.5));
    if (m.flag_or("is_decoder", false)) m.not_handled("is_decoder", "asks for a decoder alone");
    return s;
}

// The longest distance is not written: as in all published models, 128.
DecoderSpec read_gguf(const MetaReader& m, DecoderSpec s, int& encoder_layers) {
    encoder_layers = m.whole("block_count", 1, 4096);
    s.n_layers = m.whole_or("decoder_block_count", encoder_layers, 1, 4096);
    s.d_model = m.whole("embedding_length", 1, 1 << 17);
    s.n_heads = m.whole("attention.head_count", 1, 1024);
    s.head_dim = m.whole("attention.key_length", 1, 1024);
    s.v_dim = m.whole_or("attention.value_length", s.head_dim, 1, 1024);
    s.d_ff = m.whole("feed_forward_length", 1, 1 << 20);
    s.vocab = vocab_of(m, "vocab_size", "token_embd.weight");
    s.context = m.whole_or("context_length", 512, 1, 1 << 24);
    s.norm_eps = static_cast<float>(m.real_or("attention.layer_norm_rms_epsilon", 1e-6, 0, 1));
    s.relative_buckets = m.whole("attention.relative_buckets_count", 4, 4096);
    s.relative_distance = 128;
    s.gated_mlp = m.files().find_tensor("dec.blk.0.ffn_gate.weight") != nullptr;
    s.activation = s.gated_mlp ? Activation::gelu_tanh : Activation::relu;
    s.tied_head = m.files().find_tensor("output.weight") == nullptr;
    if (s.tied_head) s.logit_scale = static_cast<float>(fh_pow(s.d_model, -0.5));
    return s;
}

DecoderSpec read(const ModelFiles& files) {
    const bool hf = files.container() == Container::hf;
    const MetaReader m(files, hf ? "" : files.architecture() + ".");
    DecoderSpec s;
    s.family = "t5";
    s.positions = Positions::relative;
    s.attn_scale = 1.0F;
    s.attn_bias = s.mlp_bias = Presence::absent;
    int encoder_layers = 0;
    s = hf ? read_hf(m, std::move(s), encoder_layers) : read_gguf(m, std::move(s), encoder_layers);
    s.layers.assign(static_cast<std::size_t>(s.n_layers), {0, -1, s.n_heads});
    DecoderSpec e = s;
    e.causal = e.has_head = false;
    e.n_layers = encoder_layers;
    e.layers.assign(static_cast<std::size_t>(e.n_layers), {0, -1, e.n_heads});
    s.encoder = std::make_shared<const DecoderSpec>(std::move(e));
    return s;
}

constexpr std::array<std::string_view, 1> kGgufNames{"t5"};
constexpr std::array<std::string_view, 2> kHfNames{"t5", "mt5"};
constexpr std::array<std::string_view, 1> kPrefixes{""};
// Copies of the embedding under the names of both stacks, and a table that cross-attentions were once saved with and
// never used.
constexpr std::array<std::string_view, 5> kSkipped{"encoder.embed_tokens.", "decoder.embed_tokens.",
                                                   "EncDecAttention.relative_attention_bias", "cross_attn_rel_b",
                                                   "shared.weight"};

}  // namespace

extern const Family family_t5;
const Family family_t5{"t5", kGgufNames, kHfNames, kPrefixes, kSkipped, &read, kDecoder, false, kEncoder};

}  // namespace freehold
