// Scratch memory of a run: one aligned block, bump allocation.
#include "freehold/ops/exec.h"

#include <cstdlib>
#include <new>
#include <string>

#include "freehold/base/error.h"
#include "freehold/ops/tape.h"

namespace freehold {

Arena::Arena(std::size_t bytes) : size_((bytes + 63) / 64 * 64) {
    void* memory = std::aligned_alloc(64, size_ == 0 ? 64 : size_);
    if (memory == nullptr) {
        throw Error(ErrorKind::out_of_memory, "scratch memory of " + std::to_string(bytes) + " bytes could not be had",
                    "use fewer rows in a step, or a smaller context");
    }
    memory_ = std::shared_ptr<std::byte>(static_cast<std::byte*>(memory), [](std::byte* p) { std::free(p); });
}

std::byte* Arena::take(std::size_t bytes) {
    const std::size_t rounded = (bytes + 63) / 64 * 64;
    if (rounded > size_ - used_) {
        throw Error(ErrorKind::internal, "scratch memory of " + std::to_string(size_) +
                                             " bytes is too small: " + std::to_string(used_) + " are taken and " +
                                             std::to_string(rounded) + " more are asked for");
    }
    std::byte* const p = memory_.get() + used_;
    used_ += rounded;
    return p;
}

Mat take_mat(Exec& exec, std::size_t rows, std::size_t cols) {
    Mat m{nullptr, nullptr, rows, cols};
    if (exec.tape != nullptr) {
        m.v = exec.tape->keep(rows * cols);
        m.g = exec.tape->keep_zeros(rows * cols);
    } else {
        m.v = exec.scratch.take_array<float>(rows * cols);
    }
    return m;
}

}  // namespace freehold
