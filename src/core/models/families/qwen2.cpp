// Qwen2 and Qwen2.5, and the distillations of R1 on them: Llama's shape with biases on q, k and v, and windows on the
// upper layers where a config turns them on.
#include <algorithm>

#include "../page_parts.h"

namespace freehold {
namespace {

constexpr ConfigDefaults kDefaults{1e-6, 10000.0, 32768, false, "silu"};

// Biases of q, k and v are always there, that of the output never.
constexpr auto kTensors = [] {
    auto rows = kLlamaTensors;
    for (TensorRow& r : rows) {
        if (r.role == Role::attn_out) r.bias = Presence::absent;
    }
    return rows;
}();

void common(DecoderSpec& s) {
    s.family = "qwen2";
    s.attn_bias = Presence::required;
    s.mlp_bias = Presence::absent;
}

DecoderSpec read_hf(const MetaReader& m) {
    DecoderSpec s = hf_llama_like(m, kDefaults);
    common(s);
    hf_upper_windows(s, m);
    return s;
}

DecoderSpec read_gguf(const MetaReader& m) {
    DecoderSpec s = gguf_llama_like(m, kDefaults);
    common(s);
    return s;
}

constexpr std::array<std::string_view, 1> kNames{"qwen2"};

}  // namespace

extern const Family family_qwen2;
const Family family_qwen2{"qwen2", kNames, kNames, kModelPrefixes, kRotarySkipped, &by_container<&read_hf, &read_gguf>,
                          kTensors};

}  // namespace freehold
