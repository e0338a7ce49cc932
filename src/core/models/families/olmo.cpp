// OLMo 1: Llama's shape with LayerNorms that have no parameters, and a clamp on q, k and v in some sizes.
#include <algorithm>

#include "../page_parts.h"

namespace freehold {
namespace {

constexpr ConfigDefaults kDefaults{1e-5, 10000.0, 2048, false, "silu"};

void common(DecoderSpec& s) {
    s.family = "olmo";
    s.norm = NormKind::layer;
    s.norm_params = false;
}

DecoderSpec read_hf(const MetaReader& m) {
    DecoderSpec s = hf_llama_like(m, kDefaults);
    common(s);
    s.norm_eps = 1e-5F;  // of the class, not of the config
    s.qkv_clamp = static_cast<float>(m.real_or("clip_qkv", 0, 0, 1e6));
    return s;
}

DecoderSpec read_gguf(const MetaReader& m) {
    DecoderSpec s = gguf_llama_like(m, kDefaults, "attention.layer_norm_epsilon");
    common(s);
    s.ropes[0].interleaved = true;  // its converter turns q and k as Llama's does
    s.qkv_clamp = static_cast<float>(m.real_or("attention.clamp_kqv", 0, 0, 1e6));
    return s;
}

constexpr std::array<std::string_view, 1> kNames{"olmo"};

}  // namespace

extern const Family family_olmo;
const Family family_olmo{
    "olmo", kNames, kNames, kModelPrefixes, kRotarySkipped, &by_container<&read_hf, &read_gguf>, kLlamaTensors, true};

}  // namespace freehold
