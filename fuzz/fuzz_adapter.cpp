// adapter_config.json: either a refusal or a finite scale for every module and rank that the config allows.
#include <cmath>

#include "adapter_config.h"
#include "fuzz.h"

namespace {

void read(std::span<const std::byte> bytes) {
    using namespace freehold;
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const Value value = parse_json(text, "fuzzed");
    const auto* map = value.get<ValueMap>();
    if (map == nullptr) return;
    const AdapterConfig config(*map, "fuzzed");
    int sound = 0;
    for (const char* module :
         {"model.layers.0.self_attn.q_proj", "model.layers.11.mlp.down_proj", "h.0.attn.c_attn", ""}) {
        for (const std::int64_t rank : {1, 2, 8, 64, 4096}) {
            try {
                fuzz::require(std::isfinite(config.scale_of(module, rank)));
                ++sound;
            } catch (const Error&) {
                // The config asks for another rank.
            }
        }
    }
    fuzz::planted_bug(sound > 0 && sound < 4);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    return freehold::fuzz::run([&] { read(freehold::fuzz::as_bytes(data, size)); });
}
