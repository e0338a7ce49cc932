// safetensors: either a refusal or tensors that cover the data exactly, without holes and overlaps.
#include <algorithm>
#include <cstring>
#include <vector>

#include "fuzz.h"
#include "safetensors.h"

namespace {

void read(std::span<const std::byte> bytes) {
    using namespace freehold;
    const SafetensorsFile file = parse_safetensors(bytes, "fuzzed.safetensors");
    std::uint64_t total = 0, least = bytes.size();
    bool has_capital = false;
    for (const TensorEntry& t : file.tensors) {
        fuzz::require(t.nbytes <= bytes.size() && t.offset <= bytes.size() - t.nbytes);
        total += t.nbytes;
        least = std::min(least, t.offset);
        has_capital = has_capital || (t.shape.size() == 2 && !t.name.empty() && t.name[0] >= 'A' && t.name[0] <= 'Z');
    }
    fuzz::require(least + total == bytes.size());
    fuzz::planted_bug(has_capital);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    return freehold::fuzz::run([&] { read(freehold::fuzz::as_bytes(data, size)); });
}

#ifdef FREEHOLD_LIBFUZZER
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

// Most changes to the header would only show that its length is checked. So, three times out of four, the header is
// changed by itself and its length written anew.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned seed) {
    std::uint64_t length = 0;
    if (size > 8) std::memcpy(&length, data, 8);
    if (size <= 8 || seed % 4 == 0 || length == 0 || length > size - 8) return LLVMFuzzerMutate(data, size, max_size);
    const std::size_t rest = size - 8 - length;
    std::vector<std::uint8_t> header(max_size - 8 - rest);
    std::memcpy(header.data(), data + 8, length);
    const std::size_t changed = LLVMFuzzerMutate(header.data(), length, header.size());
    std::memmove(data + 8 + changed, data + 8 + length, rest);
    std::memcpy(data + 8, header.data(), changed);
    std::memcpy(data, &changed, 8);
    return 8 + changed + rest;
}
#endif
