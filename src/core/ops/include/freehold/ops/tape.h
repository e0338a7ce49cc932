// What training adds to a forward pass: a tape that remembers, and gradients that are summed in one fixed order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "freehold/ops/exec.h"
#include "freehold/ops/linear.h"

namespace freehold {

// Rows [begin, end) of a batch that are one packed row of the step: sums over tokens are chains inside it (NUMERICS
// rule 8).
struct Chain {
    std::size_t begin = 0, end = 0;
};

// Gradients of parameters, one slot each. Every chain gives each slot one leaf; leaves are merged by a binary tree in
// the order in which they come, so that the sum depends on the chains of the step alone: not on how many went through
// the decoder together, nor on threads.
class Gradients {
 public:
    explicit Gradients(std::vector<std::size_t> sizes);
    [[nodiscard]] std::size_t n_slots() const noexcept { return slots_.size(); }
    [[nodiscard]] std::size_t size(ParamId id) const noexcept { return slots_[static_cast<std::size_t>(id)].n; }
    // Memory for the next leaf of a slot; its content is whatever was there.
    [[nodiscard]] float* leaf(ParamId id);
    // The leaf is complete: merge.
    void push(Exec& exec, ParamId id);
    // The sum over all leaves since the last clear(); zeros when there was none. Valid until the next leaf() or
    // clear().
    [[nodiscard]] std::span<const float> total(Exec& exec, ParamId id);
    void clear() noexcept;

 private:
    struct Slot {
        std::size_t n = 0;
        std::uint64_t pushed = 0;                     // leaves so far; bit l set: level l is occupied
        std::vector<std::unique_ptr<float[]>> level;  // partial sums of 2^l leaves
        std::vector<std::unique_ptr<float[]>> spare;
        std::unique_ptr<float[]> leaf, sum;
    };
    std::unique_ptr<float[]> buffer(Slot& slot);
    std::vector<Slot> slots_;
};

// Reverse mode over the fused operations. An op that runs with a tape keeps what its backward needs in memory of the
// tape and pushes a record; run_backward() plays the records from the last to the first.
class Tape {
 public:
    // `gradients` may be null (only gradients of activations are wanted); chains cover the rows of the batch in order.
    Tape(Gradients* gradients, std::span<const Chain> chains);
    // Uninitialised and zeroed memory that lives until clear().
    [[nodiscard]] float* keep(std::size_t n);
    [[nodiscard]] float* keep_zeros(std::size_t n);
    [[nodiscard]] float* keep_copy(const float* values, std::size_t n);
    void push(std::function<void(Exec&)> backward) { records_.push_back(std::move(backward)); }
    void run_backward(Exec& exec);
    // Forgets everything and keeps the memory for the next forward.
    void clear(std::span<const Chain> chains);
    [[nodiscard]] Gradients* gradients() const noexcept { return gradients_; }
    [[nodiscard]] std::span<const Chain> chains() const noexcept { return chains_; }
    [[nodiscard]] std::size_t bytes() const noexcept;

 private:
    struct Block {
        std::unique_ptr<float[]> memory;
        std::size_t size = 0, used = 0;
    };
    Gradients* gradients_;
    std::vector<Chain> chains_;
    std::vector<Block> blocks_;
    std::size_t current_ = 0;
    std::vector<std::function<void(Exec&)>> records_;
};

}  // namespace freehold
