// OLMoE: OLMo with norms before the branches, QK-norm over the whole width, and experts whose weights are a softmax
// over all of them that is not made whole again.
#include "../page_parts.h"

namespace freehold {
namespace {

constexpr ConfigDefaults kDefaults{1e-5, 10000.0, 4096, false, "silu"};

constexpr auto kTensors = joined(kLlamaTensors, kQkNormTensors, kExpertTensors);

DecoderSpec read_hf(const MetaReader& m) {
    DecoderSpec s = hf_llama_like(m, kDefaults);
    s.family = "olmoe";
    s.qk_norm = QkNorm::whole_width;
    if (m.has("clip_qkv")) m.not_handled("clip_qkv", "asks for clamping behind the norms of q and k");
    set_experts(s, m.whole_or("num_experts", 64, 1, 1 << 14), m.whole_or("num_experts_per_tok", 8, 1, 1 << 14), s.d_ff,
                m.flag_or("norm_topk_prob", false));
    return s;
}

DecoderSpec read_gguf(const MetaReader& m) {
    DecoderSpec s = gguf_llama_like(m, kDefaults);
    s.family = "olmoe";
    s.qk_norm = QkNorm::whole_width;
    gguf_experts(s, m, false);
    return s;
}

constexpr std::array<std::string_view, 1> kNames{"olmoe"};

}  // namespace

extern const Family family_olmoe;
const Family family_olmoe{"olmoe", kNames, kNames, kModelPrefixes, kRotarySkipped, &by_container<&read_hf, &read_gguf>,
                          kTensors};

}  // namespace freehold
