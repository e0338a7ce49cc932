// config.json: whatever it says, a blueprint or a plan is made within bounds, or a sentence says what is wrong.
#include "builder.h"
#include "freehold/formats/quantised_folder.h"
#include "freehold/models/decoder.h"
#include "freehold/plan/plan.h"
#include "fuzz.h"

namespace {

using namespace freehold;

void read_blueprint(const ValueMap& config) {
    ModelFilesBuilder builder(Container::hf, "fuzzed");
    builder.meta() = config;
    if (const Value* type = config.find("model_type"); type != nullptr && type->as_string())
        builder.set_architecture(std::string(*type->as_string()));
    const auto files = builder.finish();
    static_cast<void>(QuantisedFolder::of(*files));
    const DecoderSpec spec = read_spec(*files);
    fuzz::require(spec.layers.size() == static_cast<std::size_t>(spec.n_layers) && spec.d_model > 0 && spec.vocab > 0);
    fuzz::planted_bug(!spec.ropes.empty() && spec.ropes.front().factor == 5);
}

void read_plan(const ValueMap& config) {
    const plan::ModelShape shape = plan::shape_of_config(config, "fuzzed/config.json");
    fuzz::require(shape.cache.size() == static_cast<std::size_t>(shape.n_layers));
    const auto rows = plan::weight_rows(shape);
    static_cast<void>(plan::cache_bytes(shape, plan::CacheType::q8_0, 1 << 20));
    static_cast<void>(plan::rates(shape, rows.front(), plan::CacheType::f16, {100, 100, 100, 1U << 30}, 4096, 4));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto each = [&](void (*read)(const ValueMap&)) {
        return freehold::fuzz::run([&] {
            const Value value = parse_json(freehold::fuzz::as_text(data, size), "config.json");
            if (const auto* map = value.get<ValueMap>()) read(*map);
        });
    };
    each(read_blueprint);
    return each(read_plan);
}
