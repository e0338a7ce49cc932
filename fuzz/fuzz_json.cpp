// JSON: what is accepted must read back equal after it was written, compact and indented.
#include "freehold/base/value.h"
#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace freehold;
    return fuzz::run([&] {
        const Value value = parse_json(fuzz::as_text(data, size), "fuzzed.json");
        const std::string text = to_json(value);
        fuzz::require(to_json(parse_json(text, "written.json")) == text);
        fuzz::require(to_json(parse_json(to_json(value, 2), "indented.json")) == text);
        const auto* map = value.get<ValueMap>();
        fuzz::planted_bug(map != nullptr && map->find("") != nullptr && map->size() > 1);
    });
}
