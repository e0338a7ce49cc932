// Qwen3, dense: Llama's shape with an RMS norm on each head of q and k before the rotation, and a head's width of its
// own.
#include "../page_parts.h"

namespace freehold {
namespace {

constexpr ConfigDefaults kDefaults{1e-6, 10000.0, 32768, false, "silu"};

constexpr auto kTensors = joined(kLlamaTensors, kQkNormTensors);

DecoderSpec read_hf(const MetaReader& m) {
    DecoderSpec s = hf_llama_like(m, kDefaults);
    s.family = "qwen3";
    s.qk_norm = QkNorm::per_head;
    if (!m.has("head_dim")) m.refuse("head_dim", "is missing");
    hf_upper_windows(s, m);
    return s;
}

DecoderSpec read_gguf(const MetaReader& m) {
    DecoderSpec s = gguf_llama_like(m, kDefaults);
    s.family = "qwen3";
    s.qk_norm = QkNorm::per_head;
    return s;
}

constexpr std::array<std::string_view, 1> kNames{"qwen3"};

}  // namespace

extern const Family family_qwen3;
const Family family_qwen3{"qwen3", kNames, kNames, kModelPrefixes, kRotarySkipped, &by_container<&read_hf, &read_gguf>,
                          kTensors};

}  // namespace freehold
