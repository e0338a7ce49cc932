// Mistral 7B and NeMo from Hugging Face folders: Llama's shape, a window on every layer where the config has one, and a
// head's width of its own (NeMo). Their GGUF files call themselves llama.
#include "../page_parts.h"

namespace freehold {
namespace {

constexpr ConfigDefaults kDefaults{1e-6, 10000.0, 131072, false, "silu"};

DecoderSpec read(const ModelFiles& files) {
    const MetaReader m(files, "");
    DecoderSpec s = hf_llama_like(m, kDefaults);
    s.family = "mistral";
    if (m.has("sliding_window")) {
        // All layers, unless the file lists them.
        set_windows(s, hf_slides(m, s.n_layers, every(s.n_layers, 0)), m.whole("sliding_window", 1, 1 << 24));
    }
    return s;
}

constexpr std::array<std::string_view, 1> kNames{"mistral"};

}  // namespace

extern const Family family_mistral;
const Family family_mistral{"mistral", {}, kNames, kModelPrefixes, kRotarySkipped, &read, kLlamaTensors};

}  // namespace freehold
