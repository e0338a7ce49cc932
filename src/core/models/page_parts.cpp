// Readings that pages of families share.
#include "page_parts.h"

namespace freehold {
namespace {

float root_of(int head_dim) {
    return static_cast<float>(fh_pow(head_dim, -0.5));
}

void need_even(const DecoderSpec& s, const MetaReader& m, std::string_view key) {
    if (s.d_model % s.n_heads == 0) return;
    m.refuse(key, "is " + std::to_string(s.n_heads) + ", which does not divide the width " + std::to_string(s.d_model));
}

}  // namespace

DecoderSpec hf_llama_like(const MetaReader& m, const ConfigDefaults& defaults, bool partial_rotary) {
    DecoderSpec s;
    s.n_layers = m.whole("num_hidden_layers", 1, 4096);
    s.d_model = m.whole("hidden_size", 1, 1 << 17);
    s.d_ff = m.whole("intermediate_size", 1, 1 << 20);
    s.n_heads = m.whole("num_attention_heads", 1, 1024);
    if (!m.has("head_dim")) need_even(s, m, "num_attention_heads");
    s.head_dim = s.v_dim = m.whole_or("head_dim", s.d_model / s.n_heads, 1, 1024);
    s.attn_scale = root_of(s.head_dim);
    s.context = m.whole_or("max_position_embeddings", defaults.context, 1, 1 << 24);
    s.norm_eps = static_cast<float>(m.real_or("rms_norm_eps", defaults.eps, 0, 1));
    s.tied_head = m.flag_or("tie_word_embeddings", defaults.tied);
    s.vocab = vocab_of(m, "vocab_size", "embed_tokens.weight");
    if (defaults.activation != nullptr) s.activation = activation_named(m, "hidden_act", defaults.activation);
    s.attn_bias = m.flag_or("attention_bias", false) ? Presence::required : Presence::absent;
    s.mlp_bias = m.flag_or("mlp_bias", false) ? Presence::required : Presence::absent;
    const int rotated = partial_rotary ? rotated_part(m, "partial_rotary_factor", 1.0, s.head_dim) : s.head_dim;
    const bool classes = m.has("rope_parameters.full_attention");
    s.ropes = {read_hf_rope(m, classes ? "rope_parameters.full_attention" : "rope_parameters", "rope_theta",
                            "rope_scaling", defaults.theta, rotated, s.context, partial_rotary)};
    const int kv_heads = m.whole_or("num_key_value_heads", s.n_heads, 1, 1024);
    s.layers.assign(static_cast<std::size_t>(s.n_layers), {0, 0, kv_heads});
    return s;
}

DecoderSpec gguf_llama_like(const MetaReader& m, const ConfigDefaults& defaults, std::string_view eps_key) {
    DecoderSpec s = gguf_sizes(m);
    if (!m.has("attention.key_length")) need_even(s, m, "attention.head_count");
    s.head_dim = m.whole_or("attention.key_length", s.d_model / s.n_heads, 1, 1024);
    s.v_dim = m.whole_or("attention.value_length", s.head_dim, 1, 1024);
    s.attn_scale = root_of(s.head_dim);
    s.context = m.whole_or("context_length", defaults.context, 1, 1 << 24);
    s.norm_eps = static_cast<float>(m.real_or(eps_key, defaults.eps, 0, 1));
    s.ropes = {read_gguf_rope(m, defaults.theta, m.whole_or("rope.dimension_count", s.head_dim, 2, 1024), s.context)};
    for (const int n : m.per_layer("attention.head_count_kv", s.n_layers, s.n_heads, 1, 1024))
        s.layers.push_back({0, 0, n});
    return s;
}

Slides every(int n_layers, int pattern) {
    Slides slides;
    slides.reserve(static_cast<std::size_t>(n_layers));
    for (int i = 0; i < n_layers; ++i) slides.push_back(pattern == 0 || (i + 1) % pattern != 0);
    return slides;
}

Slides hf_slides(const MetaReader& m, int n_layers, Slides otherwise) {
    if (!m.has("layer_types")) return otherwise;
    const Value& types = *m.raw("layer_types");
    if (types.size() != static_cast<std::size_t>(n_layers)) m.refuse("layer_types", "does not have one entry a layer");
    Slides slides;
    for (std::size_t i = 0; i < types.size(); ++i) {
        const Value type = types.at(i);
        const std::string_view name = type.as_string().value_or("");
        if (name != "sliding_attention" && name != "full_attention") {
            m.not_handled("layer_types", "names \"" + std::string(name) + "\" for layer " + std::to_string(i) +
                                             " where \"full_attention\" or \"sliding_attention\" was expected");
        }
        slides.push_back(name == "sliding_attention");
    }
    return slides;
}

Slides gguf_slides(const MetaReader& m, int n_layers, int pattern) {
    constexpr std::string_view kKey = "attention.sliding_window_pattern";
    const Value* const flags = m.raw(kKey);
    if (flags == nullptr || flags->as_int() || flags->size() == 0)
        return every(n_layers, m.whole_or(kKey, pattern, 0, 4096));
    if (flags->size() != static_cast<std::size_t>(n_layers)) m.refuse(kKey, "does not have one entry a layer");
    Slides slides;
    for (std::size_t i = 0; i < flags->size(); ++i) {
        const Value flag = flags->at(i);
        const std::optional<std::int64_t> number = flag.as_int();
        if (!flag.as_bool() && !number)
            m.refuse(kKey, "has an entry for layer " + std::to_string(i) + " that is neither true nor false");
        slides.push_back(flag.as_bool().value_or(number.value_or(0) != 0));
    }
    return slides;
}

void set_windows(DecoderSpec& s, const Slides& slides, int window) {
    for (std::size_t i = 0; i < s.layers.size() && i < slides.size(); ++i) s.layers[i].window = slides[i] ? window : 0;
}

void hf_upper_windows(DecoderSpec& s, const MetaReader& m) {
    if (!m.flag_or("use_sliding_window", false) || !m.has("sliding_window")) return;
    const int full = m.whole_or("max_window_layers", 28, 0, 4096);
    Slides slides(static_cast<std::size_t>(s.n_layers), true);
    std::fill_n(slides.begin(), std::min(full, s.n_layers), false);
    set_windows(s, hf_slides(m, s.n_layers, slides), m.whole("sliding_window", 1, 1 << 24));
}

void set_experts(DecoderSpec& s, int n, int used, int d_ff, bool renormalize) {
    s.routing.n_experts = n;
    s.routing.n_used = used;
    s.routing.renormalize = renormalize;
    s.d_ff_expert = d_ff;
    for (LayerSpec& l : s.layers) l.experts = true;
}

void gguf_experts(DecoderSpec& s, const MetaReader& m, bool renormalize) {
    const int n = m.whole_or("expert_count", 0, 0, 1 << 14);
    if (n == 0) return;
    set_experts(s, n, m.whole("expert_used_count", 1, 1 << 14),
                m.whole_or("expert_feed_forward_length", s.d_ff, 1, 1 << 20),
                m.flag_or("expert_weights_norm", renormalize));
    s.routing.scale = static_cast<float>(m.real_or("expert_weights_scale", 1, 1e-6, 1e6));
}

void even_heads(DecoderSpec& s, const MetaReader& m, std::string_view key, int n_kv_heads) {
    need_even(s, m, key);
    s.head_dim = s.v_dim = s.d_model / s.n_heads;
    s.attn_scale = root_of(s.head_dim);
    s.layers.assign(static_cast<std::size_t>(s.n_layers), {0, -1, n_kv_heads});
}

}  // namespace freehold
