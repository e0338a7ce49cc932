// Gemma 3, text: a norm before and after each branch, QK-norm on each head, windows on most layers with a rotary base
// of their own, embeddings scaled by the root of the width, gated GELU.
#include <array>
#include <vector>

#include "../family.h"
#include "../rope_scaling.h"

namespace freehold {
namespace {

constexpr std::array<TensorRow, 16> kTensors{{
    {Role::token_embd, "token_embd", "@embed_tokens"},
    {Role::attn_norm, "blk.{}.attn_norm", "@layers.{}.input_layernorm"},
    {Role::q, "blk.{}.attn_q", "@layers.{}.self_attn.q_proj", Presence::if_present},
    {Role::k, "blk.{}.attn_k", "@layers.{}.self_attn.k_proj", Presence::if_present},
    {Role::v, "blk.{}.attn_v", "@layers.{}.self_attn.v_proj", Presence::if_present},
    {Role::attn_out, "blk.{}.attn_output", "@layers.{}.self_attn.o_proj", Presence::if_present},
    {Role::q_norm, "blk.{}.attn_q_norm", "@layers.{}.self_attn.q_norm"},
    {Role::k_norm, "blk.{}.attn_k_norm", "@layers.{}.self_attn.k_norm"},
    {Role::attn_post_norm, "blk.{}.post_attention_norm", "@layers.{}.post_attention_layernorm"},
    {Role::mlp_norm, "blk.{}.ffn_norm", "@layers.{}.pre_feedforward_layernorm"},
    {Role::gate, "blk.{}.ffn_gate", "@layers.{}.mlp.gate_proj"},
    {Role::up, "blk.{}.ffn_up", "@layers.{}.mlp.up_proj"},
    {Role::down, "blk.{}.ffn_down", "@layers.{}.mlp.down_proj"},
    {Role::mlp_post_norm, "blk.{}.post_ffw_norm", "@layers.{}.post_feedforward_layernorm"},
    {Role::final_norm, "output_norm", "@norm"},
    {Role::head, "output", "lm_head"},
}};

constexpr int kDefaultPattern = 6;  // every sixth layer sees everything
constexpr double kLocalTheta = 10000.0, kGlobalTheta = 1000000.0;

void common(DecoderSpec& s, const std::vector<int>& kv_heads, const std::vector<bool>& slides, int window) {
    s.family = "gemma3";
    s.norm_place = NormPlace::sandwich;
    s.qk_norm = QkNorm::per_head;
    s.embed_scale = static_cast<float>(fh_pow(s.d_model, 0.5));
    for (std::size_t i = 0; i < slides.size(); ++i) {
        s.layers.push_back({slides[i] ? window : 0, slides[i] ? 1 : 0, kv_heads[i]});
    }
}

// Which layers have a window: every n-th has none.
std::vector<bool> every(int n_layers, int pattern) {
    std::vector<bool> slides;
    slides.reserve(static_cast<std::size_t>(n_layers));
    for (int i = 0; i < n_layers; ++i) slides.push_back(pattern == 0 || (i + 1) % pattern != 0);
    return slides;
}

// A flag a layer: true where it has a window.
std::vector<bool> listed(const MetaReader& m, const Value& flags, int n_layers) {
    constexpr std::string_view kKey = "attention.sliding_window_pattern";
    if (flags.size() != static_cast<std::size_t>(n_layers)) m.refuse(kKey, "does not have one entry a layer");
    std::vector<bool> slides;
    for (std::size_t i = 0; i < flags.size(); ++i) {
        const Value flag = flags.at(i);
        const std::optional<std::int64_t> number = flag.as_int();
        if (!flag.as_bool() && !number)
            m.refuse(kKey, "has an entry for layer " + std::to_string(i) + " that is neither true nor false");
        slides.push_back(flag.as_bool().value_or(number.value_or(0) != 0));
    }
    return slides;
}

DecoderSpec read_gguf(const ModelFiles& files) {
    const MetaReader m(files, files.architecture() + ".");
    DecoderSpec s = gguf_sizes(m);
    s.head_dim = m.whole_or("attention.key_length", 256, 1, 1024);
    s.v_dim = m.whole_or("attention.value_length", s.head_dim, 1, 1024);
    s.context = m.whole_or("context_length", 32768, 1, 1 << 24);
    s.norm_eps = static_cast<float>(m.real_or("attention.layer_norm_rms_epsilon", 1e-6, 0, 1));
    s.activation = Activation::gelu_tanh;
    s.final_softcap = static_cast<float>(m.real_or("final_logit_softcapping", 0, 0, 1e6));
    if (!m.flag_or("attention.causal", true)) m.not_handled("attention.causal", "is false");
    // The container does not say query_pre_attn_scalar: it is the head's width, but for the 27B model (62 layers).
    s.attn_scale =
        static_cast<float>(fh_pow(s.n_layers == 62 ? static_cast<double>(s.d_model) / s.n_heads : s.head_dim, -0.5));
    s.ropes = {read_gguf_rope(m, kGlobalTheta, s.head_dim, s.context), {}};
    s.ropes[1].n_dims = s.head_dim;
    s.ropes[1].theta = m.real_or("rope.freq_base_swa", kLocalTheta, 1e-3, 1e15);
    std::vector<bool> slides;
    if (const Value* const v = m.raw("attention.sliding_window_pattern");
        v != nullptr && !v->as_int() && v->size() > 0) {
        slides = listed(m, *v, s.n_layers);
    } else {
        slides = every(s.n_layers, m.whole_or("attention.sliding_window_pattern", kDefaultPattern, 0, 4096));
    }
    common(s, m.per_layer("attention.head_count_kv", s.n_layers, s.n_heads, 1, 1024), slides,
           m.whole("attention.sliding_window", 1, 1 << 24));
    return s;
}

std::vector<bool> hf_slides(const MetaReader& m, int n_layers) {
    if (!m.has("layer_types")) {
        const char* const key = m.has("sliding_window_pattern") ? "sliding_window_pattern" : "_sliding_window_pattern";
        return every(n_layers, m.whole_or(key, kDefaultPattern, 1, 4096));
    }
    const Value& types = *m.raw("layer_types");
    if (types.size() != static_cast<std::size_t>(n_layers)) m.refuse("layer_types", "does not have one entry a layer");
    std::vector<bool> slides;
    for (std::size_t i = 0; i < types.size(); ++i) {
        const Value type = types.at(i);
        const std::string_view name = type.as_string().value_or("");
        if (name != "sliding_attention" && name != "full_attention") {
            m.not_handled("layer_types", "names \"" + std::string(name) + "\" for layer " + std::to_string(i));
        }
        slides.push_back(name == "sliding_attention");
    }
    return slides;
}

DecoderSpec read_hf(const ModelFiles& files) {
    const bool nested =
        find(files.meta(), "text_config.hidden_size") != nullptr;  // 4B and up: text inside a model that also sees
    const MetaReader m(files, nested ? "text_config." : "");
    DecoderSpec s;
    s.n_layers = m.whole_or("num_hidden_layers", 26, 1, 4096);
    s.d_model = m.whole("hidden_size", 1, 1 << 17);
    s.d_ff = m.whole("intermediate_size", 1, 1 << 20);
    s.n_heads = m.whole_or("num_attention_heads", 8, 1, 1024);
    s.head_dim = s.v_dim = m.whole_or("head_dim", 256, 1, 1024);
    s.context = m.whole_or("max_position_embeddings", 131072, 1, 1 << 24);
    s.norm_eps = static_cast<float>(m.real_or("rms_norm_eps", 1e-6, 0, 1));
    s.norm_weight_plus_one = true;
    s.activation = activation_named(m, "hidden_activation", "gelu_pytorch_tanh");
    s.vocab = vocab_of(m, "vocab_size", "embed_tokens.weight");
    s.tied_head = m.flag_or("tie_word_embeddings", true);
    s.attn_bias = m.flag_or("attention_bias", false) ? Presence::required : Presence::absent;
    s.final_softcap = static_cast<float>(m.real_or("final_logit_softcapping", 0, 0, 1e6));
    if (m.flag_or("use_bidirectional_attention", false)) m.not_handled("use_bidirectional_attention", "is true");
    s.attn_scale = static_cast<float>(fh_pow(m.real_or("query_pre_attn_scalar", 256, 1e-6, 1e9), -0.5));
    const bool classes = m.has("rope_parameters.full_attention") || m.has("rope_parameters.sliding_attention");
    s.ropes = {read_hf_rope(m, classes ? "rope_parameters.full_attention" : "rope_parameters", "rope_theta",
                            "rope_scaling", kGlobalTheta, s.head_dim, s.context),
               read_hf_rope(m, "rope_parameters.sliding_attention", "rope_local_base_freq", "", kLocalTheta, s.head_dim,
                            s.context)};
    common(s, std::vector<int>(static_cast<std::size_t>(s.n_layers), m.whole_or("num_key_value_heads", 4, 1, 1024)),
           hf_slides(m, s.n_layers), m.whole_or("sliding_window", 4096, 1, 1 << 24));
    return s;
}

constexpr std::array<std::string_view, 1> kGgufNames{"gemma3"};
constexpr std::array<std::string_view, 2> kHfNames{"gemma3_text", "gemma3"};
constexpr std::array<std::string_view, 4> kPrefixes{"model.", "language_model.model.", "model.language_model.", ""};
constexpr std::array<std::string_view, 3> kSkipped{"vision_tower.", "multi_modal_projector.", "rope_freqs.weight"};

}  // namespace

extern const Family family_gemma3;
const Family family_gemma3{
    "gemma3", kGgufNames,
    kHfNames, kPrefixes,
    kSkipped, [](const ModelFiles& f) { return f.container() == Container::hf ? read_hf(f) : read_gguf(f); },
    kTensors};

}  // namespace freehold
