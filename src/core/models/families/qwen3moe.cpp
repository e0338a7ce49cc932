// Qwen3 with experts: Qwen3's attention, and in most layers many small experts in the place of the MLP, weighed by a
// softmax over all of them.
#include "../page_parts.h"

namespace freehold {
namespace {

constexpr ConfigDefaults kDefaults{1e-6, 10000.0, 32768, false, "silu"};

constexpr auto kTensors = joined(kLlamaTensors, kQkNormTensors, kExpertTensors);

DecoderSpec read_hf(const MetaReader& m) {
    DecoderSpec s = hf_llama_like(m, kDefaults);
    s.family = "qwen3moe";
    s.qk_norm = QkNorm::per_head;
    if (m.flag_or("use_sliding_window", false) && m.has("sliding_window"))
        set_windows(s, every(s.n_layers, 0), m.whole("sliding_window", 1, 1 << 24));
    // Newer configs spell the number as Mixtral's do.
    const char* const count = m.has("num_experts") ? "num_experts" : "num_local_experts";
    set_experts(s, m.whole(count, 1, 1 << 14), m.whole("num_experts_per_tok", 1, 1 << 14),
                m.whole("moe_intermediate_size", 1, 1 << 20), m.flag_or("norm_topk_prob", false));
    const int step = m.whole_or("decoder_sparse_step", 1, 1, 4096);
    for (int l = 0; l < s.n_layers; ++l) s.layers[static_cast<std::size_t>(l)].experts = (l + 1) % step == 0;
    if (const Value* const dense = m.raw("mlp_only_layers"); dense != nullptr) {
        for (std::size_t i = 0; i < dense->size(); ++i) {
            const std::optional<std::int64_t> l = dense->at(i).as_int();
            if (!l || *l < 0 || *l >= s.n_layers) m.refuse("mlp_only_layers", "names a layer that there is not");
            s.layers[static_cast<std::size_t>(*l)].experts = false;
        }
    }
    return s;
}

DecoderSpec read_gguf(const MetaReader& m) {
    DecoderSpec s = gguf_llama_like(m, kDefaults);
    s.family = "qwen3moe";
    s.qk_norm = QkNorm::per_head;
    gguf_experts(s, m, true);
    return s;
}

constexpr std::array<std::string_view, 1> kGguf{"qwen3moe"}, kHf{"qwen3_moe"};

}  // namespace

extern const Family family_qwen3moe;
const Family family_qwen3moe{
    "qwen3moe", kGguf, kHf, kModelPrefixes, kRotarySkipped, &by_container<&read_hf, &read_gguf>, kTensors};

}  // namespace freehold
