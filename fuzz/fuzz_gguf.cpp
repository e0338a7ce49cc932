// GGUF: whatever the bytes are, either a refusal or a file whose tensors lie inside it, apart from each other.
#include "fuzz.h"
#include "gguf.h"

namespace {

void read(std::span<const std::byte> bytes) {
    using namespace freehold;
    const GgufFile file = parse_gguf(bytes, "fuzzed.gguf");
    unsigned sum = 0;
    std::uint64_t end = 0;
    for (const TensorEntry& t : file.tensors) {
        fuzz::require(t.nbytes <= bytes.size() && t.offset <= bytes.size() - t.nbytes);
        fuzz::require(t.nbytes == 0 || t.offset >= end);
        if (t.nbytes == 0) continue;
        end = t.offset + t.nbytes;
        sum += std::to_integer<unsigned>(bytes[t.offset]) + std::to_integer<unsigned>(bytes[end - 1]);
        // Families build shapes from what is listed: that may refuse, and nothing else.
        sum += static_cast<unsigned>(Shape(t.shape).rank());
    }
    fuzz::require(to_json(file.meta).size() + sum > 0);
    fuzz::planted_bug(file.alignment != 32 && !file.tensors.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    return freehold::fuzz::run([&] { read(freehold::fuzz::as_bytes(data, size)); });
}
