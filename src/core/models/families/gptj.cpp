// GPT-J: one LayerNorm whose rows feed both branches, the first numbers of each head rotated in pairs, no biases in
// attention, a head with one. Hugging Face folders only: the field's converter does not make GGUF files of it.
#include "../page_parts.h"

namespace freehold {
namespace {

constexpr Presence kBias = Presence::required;
constexpr std::array<TensorRow, 10> kTensors{{
    {Role::token_embd, "token_embd", "@wte"},
    {Role::attn_norm, "blk.{}.attn_norm", "@h.{}.ln_1", kBias},
    {Role::q, "blk.{}.attn_q", "@h.{}.attn.q_proj"},
    {Role::k, "blk.{}.attn_k", "@h.{}.attn.k_proj"},
    {Role::v, "blk.{}.attn_v", "@h.{}.attn.v_proj"},
    {Role::attn_out, "blk.{}.attn_output", "@h.{}.attn.out_proj"},
    {Role::up, "blk.{}.ffn_up", "@h.{}.mlp.fc_in", kBias},
    {Role::down, "blk.{}.ffn_down", "@h.{}.mlp.fc_out", kBias},
    {Role::final_norm, "output_norm", "@ln_f", kBias},
    {Role::head, "output", "lm_head", Presence::if_present},
}};

DecoderSpec read(const ModelFiles& files) {
    const MetaReader m(files, "");
    DecoderSpec s;
    s.family = "gptj";
    s.n_layers = m.whole("n_layer", 1, 4096);
    s.d_model = m.whole("n_embd", 1, 1 << 17);
    s.n_heads = m.whole("n_head", 1, 1024);
    even_heads(s, m, "n_head", s.n_heads);
    s.d_ff = m.whole_or("n_inner", 4 * s.d_model, 1, 1 << 20);
    s.context = m.whole_or("n_positions", 2048, 1, 1 << 24);
    s.vocab = vocab_of(m, "vocab_size", "wte.weight");
    s.norm = NormKind::layer;
    s.norm_eps = static_cast<float>(m.real_or("layer_norm_epsilon", 1e-5, 0, 1));
    s.parallel_residual = s.shared_norm = true;
    s.gated_mlp = false;
    s.activation = activation_named(m, "activation_function", "gelu_new");
    s.tied_head = m.flag_or("tie_word_embeddings", false);
    RopeSpec rope;
    rope.n_dims = m.whole_or("rotary_dim", 64, 2, 1024);
    rope.interleaved = true;
    s.ropes = {rope};
    for (LayerSpec& l : s.layers) l.rope = 0;
    return s;
}

constexpr std::array<std::string_view, 1> kHfNames{"gptj"};
constexpr std::array<std::string_view, 2> kPrefixes{"transformer.", ""};
constexpr std::array<std::string_view, 3> kSkipped{".attn.bias", ".attn.masked_bias", ".embed_positions"};

}  // namespace

extern const Family family_gptj;
const Family family_gptj{"gptj", {}, kHfNames, kPrefixes, kSkipped, &read, kTensors};

}  // namespace freehold
