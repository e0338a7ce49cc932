// BERT and its like: RoBERTa, XLM-RoBERTa, CamemBERT, and with them MiniLM, BGE, E5, GTE and cross-encoders. LayerNorm
// after each addition, learned positions, token types, a norm on the embedding, no mask, no head but perhaps a
// classifier.
#include <algorithm>
#include <array>

#include "../family.h"

namespace freehold {
namespace {

constexpr Presence kBias = Presence::required;
constexpr std::array<TensorRow, 17> kTensors{{
    {Role::token_embd, "token_embd", "@embeddings.word_embeddings"},
    {Role::position_embd, "position_embd", "@embeddings.position_embeddings"},
    {Role::token_types, "token_types", "@embeddings.token_type_embeddings"},
    {Role::embed_norm, "token_embd_norm", "@embeddings.LayerNorm", kBias},
    {Role::q, "blk.{}.attn_q", "@encoder.layer.{}.attention.self.query", kBias},
    {Role::k, "blk.{}.attn_k", "@encoder.layer.{}.attention.self.key", kBias},
    {Role::v, "blk.{}.attn_v", "@encoder.layer.{}.attention.self.value", kBias},
    {Role::attn_out, "blk.{}.attn_output", "@encoder.layer.{}.attention.output.dense", kBias},
    {Role::attn_norm, "blk.{}.attn_output_norm", "@encoder.layer.{}.attention.output.LayerNorm", kBias},
    {Role::up, "blk.{}.ffn_up", "@encoder.layer.{}.intermediate.dense", kBias},
    {Role::down, "blk.{}.ffn_down", "@encoder.layer.{}.output.dense", kBias},
    {Role::mlp_norm, "blk.{}.layer_output_norm", "@encoder.layer.{}.output.LayerNorm", kBias},
    // The order matters: RoBERTa's classifier has its pooler inside, and a BERT may have been saved with both names.
    {Role::pooler, "cls", "classifier.dense", kBias},
    {Role::pooler, "cls", "@pooler.dense", kBias},
    {Role::pooler, "cls", "pooler.dense", kBias},
    {Role::classifier, "cls.output", "classifier.out_proj", kBias},
    {Role::classifier, "cls.output", "classifier", kBias},
}};

// The rows of the classifier's matrix, 0 when there is none.
int labels_of(const ModelFiles& files) {
    for (const char* name : {"classifier.out_proj.weight", "classifier.weight", "cls.output.weight"}) {
        if (const Tensor* t = files.find_tensor(name); t != nullptr && t->shape().rank() == 2)
            return static_cast<int>(std::min<std::int64_t>(t->shape()[0], 1 << 20));
    }
    return 0;
}

DecoderSpec read(const ModelFiles& files) {
    const bool hf = files.container() == Container::hf;
    const MetaReader m(files, hf ? "" : files.architecture() + ".");
    const auto key = [hf](std::string_view in_config, std::string_view in_gguf) { return hf ? in_config : in_gguf; };
    DecoderSpec s;
    s.family = "bert";
    s.n_layers = m.whole(key("num_hidden_layers", "block_count"), 1, 4096);
    s.d_model = m.whole(key("hidden_size", "embedding_length"), 1, 1 << 17);
    s.n_heads = m.whole(key("num_attention_heads", "attention.head_count"), 1, 1024);
    if (s.d_model % s.n_heads != 0) {
        m.refuse(key("num_attention_heads", "attention.head_count"),
                 "is " + std::to_string(s.n_heads) + ", which does not divide the width " + std::to_string(s.d_model));
    }
    s.head_dim = s.v_dim = s.d_model / s.n_heads;
    s.attn_scale = static_cast<float>(fh_pow(s.head_dim, -0.5));
    s.d_ff = m.whole(key("intermediate_size", "feed_forward_length"), 1, 1 << 20);
    s.vocab = vocab_of(m, "vocab_size", hf ? "word_embeddings.weight" : "token_embd.weight");
    s.context = m.whole(key("max_position_embeddings", "context_length"), 1, 1 << 24);
    s.positions = Positions::learned;
    s.norm = NormKind::layer;
    s.norm_place = NormPlace::post_add;
    s.norm_eps = static_cast<float>(m.real_or(key("layer_norm_eps", "attention.layer_norm_epsilon"), 1e-12, 0, 1));
    s.embed_norm = true;
    s.final_norm = false;
    s.causal = false;
    s.has_head = false;
    s.gated_mlp = false;
    // The GELU of the paper, by the error function; a GGUF file says nothing of it.
    s.activation = hf ? activation_named(m, "hidden_act", "gelu") : Activation::gelu_erf;
    s.attn_bias = s.mlp_bias = Presence::required;
    if (hf) {
        s.token_types = m.whole_or("type_vocab_size", 2, 0, 256);
        // RoBERTa counts positions from behind the id that stands for padding, in a table with that many rows more.
        if (files.architecture() != "bert") s.position_offset = m.whole_or("pad_token_id", 1, 0, 1 << 20) + 1;
        if (s.position_offset >= s.context) m.refuse("max_position_embeddings", "leaves no position");
        s.context -= s.position_offset;
        if (m.flag_or("is_decoder", false)) m.not_handled("is_decoder", "asks for a decoder");
        if (const auto kind = m.text("position_embedding_type"); kind && *kind != "absolute")
            m.not_handled("position_embedding_type", "is \"" + *kind + "\"");
    } else {
        const Tensor* const types = files.find_tensor("token_types.weight");
        if (types != nullptr && types->shape().rank() == 2)
            s.token_types = static_cast<int>(std::min<std::int64_t>(types->shape()[0], 1 << 20));
        if (m.flag_or("attention.causal", false)) m.not_handled("attention.causal", "asks for a decoder");
    }
    s.n_labels = labels_of(files);
    s.layers.assign(static_cast<std::size_t>(s.n_layers), {0, -1, s.n_heads});
    return s;
}

constexpr std::array<std::string_view, 1> kGgufNames{"bert"};
constexpr std::array<std::string_view, 4> kHfNames{"bert", "roberta", "xlm-roberta", "camembert"};
constexpr std::array<std::string_view, 4> kPrefixes{"", "bert.", "roberta.", "camembert."};
// Heads of the pre-training, the pooler where nothing is classified, and tables of numbers that are no weights.
constexpr std::array<std::string_view, 6> kSkipped{"cls.predictions.", "cls.seq_relationship.",
                                                   "lm_head.",         "pooler.dense.",
                                                   "position_ids",     "embeddings.token_type_ids"};

}  // namespace

extern const Family family_bert;
const Family family_bert{"bert", kGgufNames, kHfNames, kPrefixes, kSkipped, &read, kTensors};

}  // namespace freehold
