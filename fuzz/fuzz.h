// What the fuzz targets share: the input as text or bytes, the one exception that is no finding, and the planted bug.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>

#include "freehold/base/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace freehold::fuzz {

inline std::string_view as_text(const std::uint8_t* data, std::size_t size) {
    return {reinterpret_cast<const char*>(data), size};
}
inline std::span<const std::byte> as_bytes(const std::uint8_t* data, std::size_t size) {
    return std::as_bytes(std::span(data, size));
}

// Runs the reader on the input. A refusal is what hostile input should get; anything else that flies out is a finding,
// and so is a refusal as "internal".
template <class F>
int run(F&& reader) {
    try {
        reader();
    } catch (const Error& e) {
        if (e.kind() == ErrorKind::internal) std::abort();
    }
    return 0;
}

// What must hold for every input that a reader accepts.
inline void require(bool holds) {
    if (!holds) std::abort();
}

// In the "planted" variant of a target this is the bug: put it behind something that only a well-formed input can
// reach.
inline void planted_bug([[maybe_unused]] bool reached) {
#ifdef FREEHOLD_PLANTED_BUG
    if (reached) std::abort();
#endif
}

}  // namespace freehold::fuzz
