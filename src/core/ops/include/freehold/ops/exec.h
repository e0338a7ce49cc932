// With what means a forward pass runs, and whether it is remembered: threads, kernels, scratch memory, tape.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "freehold/base/threads.h"
#include "freehold/kernels/kernels.h"

namespace freehold {

class Tape;

// Scratch memory of one run: bump allocation, 64-byte aligned, sized once; the hot path allocates nothing.
class Arena {
   public:
    explicit Arena(std::size_t bytes);
    // Throws Error{internal} when the size computed from the spec was too small (a fault of ours, never of the input).
    [[nodiscard]] std::byte* take(std::size_t bytes);
    template <class T>
    [[nodiscard]] T* take_array(std::size_t n) {
        return reinterpret_cast<T*>(take(n * sizeof(T)));
    }
    [[nodiscard]] std::size_t mark() const noexcept { return used_; }
    void reset(std::size_t mark) noexcept { used_ = mark; }
    [[nodiscard]] std::size_t capacity() const noexcept { return size_; }

   private:
    std::shared_ptr<std::byte> memory_;
    std::size_t size_ = 0, used_ = 0;
};

struct Exec {
    ThreadPool& threads;
    const Kernels& kernels;
    Arena& scratch;
    Tape* tape = nullptr;  // null: serving, nothing is kept
};

}  // namespace freehold
