// A file that torch.save wrote: the ZIP archive of today, or the older row of pickles with raw storages behind them.
// Formats: torch/serialization.py; ZIP: PKWARE's APPNOTE 6.3, stored members only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "torch_pickle.h"

namespace freehold {

struct TorchTensor {
    std::string name;
    const TorchType* type = nullptr;
    std::vector<std::int64_t> shape, stride;  // strides in elements
    bool contiguous = false;                  // row-major, without gaps: can be mapped as it is
    std::uint64_t begin = 0;                  // of its first element, in the file
    std::uint64_t nbytes = 0;                 // of its elements
};

// Do the first bytes look like one (either form)? An archive may still be of something else.
[[nodiscard]] bool looks_like_torch(std::span<const std::byte> head) noexcept;

// Every view has been held against its storage: it lies inside, and no element of it has two places in the shape.
// Throws Error{bad_file|unsupported|limit} naming file, part and offset.
[[nodiscard]] std::vector<TorchTensor> parse_torch(std::span<const std::byte> bytes, const std::string& name);

// Element by element into row-major order; `to` has nbytes.
void gather_torch(std::span<const std::byte> file, const TorchTensor& tensor, std::byte* to);

}  // namespace freehold
