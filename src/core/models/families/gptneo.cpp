// GPT-Neo (and the TinyStories models): GPT-2's block with q, k and v apart and without biases, scores that are not
// scaled, and a window on every other layer. Hugging Face folders only: no GGUF architecture has its name.
#include "../page_parts.h"

namespace freehold {
namespace {

constexpr Presence kBias = Presence::required;
constexpr std::array<TensorRow, 12> kTensors{{
    {Role::token_embd, "token_embd", "@wte"},
    {Role::position_embd, "position_embd", "@wpe"},
    {Role::attn_norm, "blk.{}.attn_norm", "@h.{}.ln_1", kBias},
    {Role::q, "blk.{}.attn_q", "@h.{}.attn.attention.q_proj"},
    {Role::k, "blk.{}.attn_k", "@h.{}.attn.attention.k_proj"},
    {Role::v, "blk.{}.attn_v", "@h.{}.attn.attention.v_proj"},
    {Role::attn_out, "blk.{}.attn_output", "@h.{}.attn.attention.out_proj", kBias},
    {Role::mlp_norm, "blk.{}.ffn_norm", "@h.{}.ln_2", kBias},
    {Role::up, "blk.{}.ffn_up", "@h.{}.mlp.c_fc", kBias},
    {Role::down, "blk.{}.ffn_down", "@h.{}.mlp.c_proj", kBias},
    {Role::final_norm, "output_norm", "@ln_f", kBias},
    {Role::head, "output", "lm_head"},
}};

// attention_types: pairs of (kinds, how often they are repeated). attention_layers, where it is there, is the same
// written out.
Slides local_layers(const MetaReader& m, int n_layers) {
    Slides local;
    const auto add = [&](const Value& kind) {
        const std::string_view name = kind.as_string().value_or("");
        if (name != "global" && name != "local") {
            m.not_handled("attention_types",
                          "names \"" + std::string(name) + "\" where \"global\" or \"local\" was expected");
        }
        local.push_back(name == "local");
    };
    if (const Value* const layers = m.raw("attention_layers"); layers != nullptr) {
        for (std::size_t i = 0; i < layers->size() && i <= 4096; ++i) add(layers->at(i));
    } else if (const Value* const types = m.raw("attention_types"); types != nullptr) {
        for (std::size_t i = 0; i < types->size() && i <= 4096; ++i) {
            const Value pair = types->at(i);
            const std::int64_t times = pair.size() == 2 ? pair.at(1).as_int().value_or(-1) : -1;
            if (times < 0 || times > 4096)
                m.refuse("attention_types", "has an entry that is no pair of kinds and a number");
            const Value kinds = pair.at(0);
            for (std::int64_t t = 0; t < times && local.size() <= 4096; ++t)
                for (std::size_t k = 0; k < kinds.size() && local.size() <= 4096; ++k) add(kinds.at(k));
        }
    } else {
        for (int i = 0; i < n_layers; ++i) local.push_back(i % 2 == 1);
    }
    if (local.size() != static_cast<std::size_t>(n_layers)) {
        m.refuse("attention_types",
                 "describes " + std::to_string(local.size()) + " layers of " + std::to_string(n_layers));
    }
    return local;
}

DecoderSpec read(const ModelFiles& files) {
    const MetaReader m(files, "");
    DecoderSpec s;
    s.family = "gptneo";
    s.n_layers = m.whole(m.has("num_layers") ? "num_layers" : "num_hidden_layers", 1, 4096);
    s.d_model = m.whole("hidden_size", 1, 1 << 17);
    const char* const heads = m.has("num_heads") ? "num_heads" : "num_attention_heads";
    s.n_heads = m.whole(heads, 1, 1024);
    even_heads(s, m, heads, s.n_heads);
    s.attn_scale = 1.0F;
    s.d_ff = m.whole_or("intermediate_size", 4 * s.d_model, 1, 1 << 20);
    s.context = m.whole_or("max_position_embeddings", 2048, 1, 1 << 24);
    s.vocab = vocab_of(m, "vocab_size", "wte.weight");
    s.positions = Positions::learned;
    s.norm = NormKind::layer;
    s.norm_eps = static_cast<float>(m.real_or("layer_norm_epsilon", 1e-5, 0, 1));
    s.gated_mlp = false;
    s.activation = activation_named(m, "activation_function", "gelu_new");
    s.tied_head = m.flag_or("tie_word_embeddings", true);
    set_windows(s, local_layers(m, s.n_layers), m.whole_or("window_size", 256, 1, 1 << 24));
    return s;
}

constexpr std::array<std::string_view, 1> kHfNames{"gpt_neo"};
constexpr std::array<std::string_view, 2> kPrefixes{"transformer.", ""};
constexpr std::array<std::string_view, 2> kSkipped{".attn.attention.bias", ".attn.attention.masked_bias"};

}  // namespace

extern const Family family_gptneo;
const Family family_gptneo{"gptneo", {}, kHfNames, kPrefixes, kSkipped, &read, kTensors};

}  // namespace freehold
