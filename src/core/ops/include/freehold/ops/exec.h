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

// Rows of activations, row-major and contiguous: [rows][cols]. With a tape, `g` is the gradient of the same shape.
struct Mat {
    float* v = nullptr;
    float* g = nullptr;
    std::size_t rows = 0, cols = 0;
    [[nodiscard]] float* row(std::size_t t) const noexcept { return v + t * cols; }
    [[nodiscard]] std::size_t size() const noexcept { return rows * cols; }
};

struct Exec {
    ThreadPool& threads;
    const Kernels& kernels;
    Arena& scratch;
    Tape* tape = nullptr;  // null: serving, nothing is kept
};

// Memory for rows of activations: from the tape (with a zeroed gradient) when there is one, else from scratch.
[[nodiscard]] Mat take_mat(Exec& exec, std::size_t rows, std::size_t cols);
// Bytes that take_mat takes from scratch, for sizing.
[[nodiscard]] constexpr std::size_t mat_bytes(std::size_t rows, std::size_t cols) noexcept {
    return (rows * cols * sizeof(float) + 63) / 64 * 64;
}

// Work below this many values is done by the calling thread: waking the pool costs more than it saves.
inline constexpr std::size_t kInlineWork = 6144;

// Calls fn(row) for every row, spread over the pool when there is enough to do. Rows must be independent of each other.
template <class F>
void for_rows(Exec& exec, std::size_t rows, std::size_t work_per_row, F&& fn) {
    if (rows <= 1 || rows * work_per_row < kInlineWork || exec.threads.size() == 1) {
        for (std::size_t t = 0; t < rows; ++t) fn(t);
        return;
    }
    const std::size_t wanted = static_cast<std::size_t>(exec.threads.size()) * 4;
    const std::size_t step = rows <= wanted ? 1 : (rows + wanted - 1) / wanted;
    exec.threads.run((rows + step - 1) / step, [&](std::size_t task, int) {
        const std::size_t end = (task + 1) * step < rows ? (task + 1) * step : rows;
        for (std::size_t t = task * step; t < end; ++t) fn(t);
    });
}

}  // namespace freehold
