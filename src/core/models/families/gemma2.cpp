// Gemma 2: a norm before and after each branch, tanh caps on scores and logits, windows on every other layer,
// embeddings scaled by the root of the width, gated GELU.
#include <algorithm>

#include "../page_parts.h"

namespace freehold {
namespace {

constexpr ConfigDefaults kDefaults{1e-6, 10000.0, 8192, true, "gelu_pytorch_tanh"};
constexpr int kPattern = 2, kWindow = 4096;
constexpr double kScoreCap = 50.0, kLogitCap = 30.0;

void common(DecoderSpec& s) {
    s.family = "gemma2";
    s.norm_place = NormPlace::sandwich;
    s.embed_scale = static_cast<float>(fh_pow(s.d_model, 0.5));
}

// Null turns a cap off, which MetaReader reads like a key that is not there.
float cap(const MetaReader& m, const std::string& key, double otherwise) {
    const Value* const v = find(m.files().meta(), key);
    return v != nullptr && v->is_null() ? 0.0F : static_cast<float>(m.real_or(key, otherwise, 0, 1e6));
}

DecoderSpec read_hf(const MetaReader& m) {
    DecoderSpec s = hf_llama_like(m, kDefaults);
    common(s);
    if (!m.has("head_dim")) s.head_dim = s.v_dim = 256;
    s.norm_weight_plus_one = true;
    s.activation = activation_named(m, "hidden_activation", "gelu_pytorch_tanh");
    s.attn_scale = static_cast<float>(fh_pow(m.real_or("query_pre_attn_scalar", 256, 1e-6, 1e9), -0.5));
    s.attn_softcap = cap(m, "attn_logit_softcapping", kScoreCap);
    s.final_softcap = cap(m, "final_logit_softcapping", kLogitCap);
    if (m.flag_or("use_bidirectional_attention", false)) m.not_handled("use_bidirectional_attention", "is true");
    set_windows(s, hf_slides(m, s.n_layers, every(s.n_layers, kPattern)),
                m.whole_or("sliding_window", kWindow, 1, 1 << 24));
    return s;
}

DecoderSpec read_gguf(const MetaReader& m) {
    DecoderSpec s = gguf_llama_like(m, kDefaults);
    common(s);
    s.activation = Activation::gelu_tanh;
    // The container does not say query_pre_attn_scalar: it is the head's width, but for the 27B model (46 layers).
    if (s.n_layers == 46) s.attn_scale = static_cast<float>(fh_pow(static_cast<double>(s.d_model) / s.n_heads, -0.5));
    s.attn_softcap = static_cast<float>(m.real_or("attn_logit_softcapping", kScoreCap, 0, 1e6));
    s.final_softcap = static_cast<float>(m.real_or("final_logit_softcapping", kLogitCap, 0, 1e6));
    set_windows(s, gguf_slides(m, s.n_layers, kPattern), m.whole_or("attention.sliding_window", kWindow, 1, 1 << 24));
    return s;
}

constexpr std::array<std::string_view, 1> kNames{"gemma2"};

}  // namespace

extern const Family family_gemma2;
const Family family_gemma2{
    "gemma2", kNames, kNames, kModelPrefixes, kRotarySkipped, &by_container<&read_hf, &read_gguf>, kSandwichTensors};

}  // namespace freehold
