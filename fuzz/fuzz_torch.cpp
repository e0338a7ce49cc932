// Files of torch.save: either a refusal or tensors that lie inside the file, whose elements can all be gathered.
#include <cstring>
#include <vector>

#include "fuzz.h"
#include "torch_file.h"

namespace {

void read(std::span<const std::byte> bytes) {
    using namespace freehold;
    const std::vector<TorchTensor> tensors = parse_torch(bytes, "fuzzed.pt");
    std::uint64_t gathered = 0;
    bool turned = false;
    for (const TorchTensor& t : tensors) {
        fuzz::require(t.type != nullptr && t.nbytes <= bytes.size() && t.begin <= bytes.size());
        fuzz::require(!t.contiguous || t.nbytes <= bytes.size() - t.begin);
        gathered += t.nbytes;
        if (gathered > (1U << 22)) continue;
        std::vector<std::byte> to(t.nbytes);
        if (t.nbytes > 0) gather_torch(bytes, t, to.data());
        if (t.contiguous && t.nbytes > 0) fuzz::require(std::memcmp(to.data(), bytes.data() + t.begin, t.nbytes) == 0);
        turned =
            turned || (t.shape.size() == 2 && t.shape[0] == 3 && t.shape[1] > 1 && t.stride[1] == 6 && t.nbytes > 0);
    }
    fuzz::planted_bug(turned);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    return freehold::fuzz::run([&] { read(freehold::fuzz::as_bytes(data, size)); });
}
