// Gemma 3, text: a norm before and after each branch, QK-norm on each head, windows on most layers with a rotary base
// of their own, embeddings scaled by the root of the width, gated GELU.
#include <array>
#include <vector>

#include "../page_parts.h"

namespace freehold {
namespace {

constexpr auto kTensors = joined(kSandwichTensors, kQkNormTensors);

constexpr int kDefaultPattern = 6;  // every sixth layer sees everything
constexpr double kLocalTheta = 10000.0, kGlobalTheta = 1000000.0;

void common(DecoderSpec& s, const std::vector<int>& kv_heads, const Slides& slides, int window) {
    s.family = "gemma3";
    s.norm_place = NormPlace::sandwich;
    s.qk_norm = QkNorm::per_head;
    s.embed_scale = static_cast<float>(fh_pow(s.d_model, 0.5));
    for (std::size_t i = 0; i < slides.size(); ++i) {
        s.layers.push_back({slides[i] ? window : 0, slides[i] ? 1 : 0, kv_heads[i]});
    }
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
    common(s, m.per_layer("attention.head_count_kv", s.n_layers, s.n_heads, 1, 1024),
           gguf_slides(m, s.n_layers, kDefaultPattern), m.whole("attention.sliding_window", 1, 1 << 24));
    return s;
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
    const char* const pattern = m.has("sliding_window_pattern") ? "sliding_window_pattern" : "_sliding_window_pattern";
    common(s, std::vector<int>(static_cast<std::size_t>(s.n_layers), m.whole_or("num_key_value_heads", 4, 1, 1024)),
           hf_slides(m, s.n_layers, every(s.n_layers, m.whole_or(pattern, kDefaultPattern, 1, 4096))),
           m.whole_or("sliding_window", 4096, 1, 1 << 24));
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
