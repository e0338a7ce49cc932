// safetensors: either a refusal or tensors that cover the data exactly, without holes and overlaps.
#include "fuzz.h"
#include "safetensors.h"

namespace {

void read(std::span<const std::byte> bytes) {
    using namespace freehold;
    const SafetensorsFile file = parse_safetensors(bytes, "fuzzed.safetensors");
    std::uint64_t total = 0, least = bytes.size();
    bool has_integers = false;
    for (const TensorEntry& t : file.tensors) {
        fuzz::require(t.nbytes <= bytes.size() && t.offset <= bytes.size() - t.nbytes);
        total += t.nbytes;
        least = std::min(least, t.offset);
        has_integers = has_integers || (t.shape.size() == 2 && t.type_name.ends_with("32") && t.dtype != DType::F32);
    }
    fuzz::require(least + total == bytes.size());
    fuzz::planted_bug(has_integers);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    return freehold::fuzz::run([&] { read(freehold::fuzz::as_bytes(data, size)); });
}
