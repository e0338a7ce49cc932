// SmolLM3: Llama's shape without rotation in every fourth layer.
#include "../page_parts.h"

namespace freehold {
namespace {

constexpr ConfigDefaults kDefaults{1e-6, 2000000.0, 32768, true, "silu"};
constexpr int kInterval = 4;

void unrotate(DecoderSpec& s, const Slides& rotated) {
    s.family = "smollm3";
    for (std::size_t i = 0; i < s.layers.size(); ++i) s.layers[i].rope = rotated[i] ? 0 : -1;
}

// A list with 1 for the layers that rotate, or a number: every so many layers one does not.
DecoderSpec read_hf(const MetaReader& m) {
    DecoderSpec s = hf_llama_like(m, kDefaults);
    Slides rotated = every(s.n_layers, m.whole_or("no_rope_layer_interval", kInterval, 0, 4096));
    if (m.has("no_rope_layers")) {
        rotated.clear();
        for (const int flag : m.per_layer("no_rope_layers", s.n_layers, 1, 0, 1)) rotated.push_back(flag != 0);
    }
    unrotate(s, rotated);
    if (m.flag_or("use_sliding_window", false) && m.has("sliding_window")) {
        rotated.flip();  // layers without rotation have the window
        set_windows(s, hf_slides(m, s.n_layers, rotated), m.whole("sliding_window", 1, 1 << 24));
    }
    return s;
}

DecoderSpec read_gguf(const MetaReader& m) {
    DecoderSpec s = gguf_llama_like(m, kDefaults);
    s.ropes[0].interleaved = true;  // its converter is Llama's
    unrotate(s, every(s.n_layers, kInterval));
    return s;
}

constexpr std::array<std::string_view, 1> kNames{"smollm3"};

}  // namespace

extern const Family family_smollm3;
const Family family_smollm3{
    "smollm3",     kNames, kNames, kModelPrefixes, kRotarySkipped, &by_container<&read_hf, &read_gguf>,
    kLlamaTensors, true};

}  // namespace freehold
