// The tape's memory and records, and the binary tree over the leaves of every gradient.
#include "freehold/ops/tape.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace freehold {
namespace {

constexpr std::size_t kBlockFloats = std::size_t{1} << 20;
constexpr std::size_t kAddStep = std::size_t{1} << 15;

// y = a + b, split over the pool by position.
void add_all(Exec& exec, const float* a, const float* b, float* y, std::size_t n) {
    exec.threads.run((n + kAddStep - 1) / kAddStep, [&](std::size_t task, int) {
        const std::size_t begin = task * kAddStep;
        exec.kernels.add(a + begin, b + begin, y + begin, std::min(kAddStep, n - begin));
    });
}

}  // namespace

Gradients::Gradients(std::vector<std::size_t> sizes) : slots_(sizes.size()) {
    for (std::size_t i = 0; i < sizes.size(); ++i) slots_[i].n = sizes[i];
}

std::unique_ptr<float[]> Gradients::buffer(Slot& slot) {
    if (slot.spare.empty()) return std::make_unique_for_overwrite<float[]>(slot.n);
    std::unique_ptr<float[]> b = std::move(slot.spare.back());
    slot.spare.pop_back();
    return b;
}

float* Gradients::leaf(ParamId id) {
    Slot& slot = slots_[static_cast<std::size_t>(id)];
    if (slot.leaf == nullptr) slot.leaf = buffer(slot);
    return slot.leaf.get();
}

void Gradients::push(Exec& exec, ParamId id) {
    Slot& slot = slots_[static_cast<std::size_t>(id)];
    std::unique_ptr<float[]> sum = std::move(slot.leaf);
    std::size_t l = 0;
    for (; (slot.pushed >> l & 1U) != 0; ++l) {
        add_all(exec, slot.level[l].get(), sum.get(), sum.get(), slot.n);  // the older half first
        slot.spare.push_back(std::move(slot.level[l]));
    }
    if (slot.level.size() <= l) slot.level.resize(l + 1);
    slot.level[l] = std::move(sum);
    ++slot.pushed;
}

std::span<const float> Gradients::total(Exec& exec, ParamId id) {
    Slot& slot = slots_[static_cast<std::size_t>(id)];
    if (std::has_single_bit(slot.pushed)) {
        return {slot.level[static_cast<std::size_t>(std::countr_zero(slot.pushed))].get(), slot.n};
    }
    if (slot.sum == nullptr) slot.sum = std::make_unique_for_overwrite<float[]>(slot.n);
    if (slot.pushed == 0) {
        std::fill_n(slot.sum.get(), slot.n, 0.0F);
        return {slot.sum.get(), slot.n};
    }
    // From the newest (smallest) partial sum to the oldest, the older always on the left.
    bool first = true;
    for (std::size_t l = 0; l < slot.level.size(); ++l) {
        if ((slot.pushed >> l & 1U) == 0) continue;
        if (first) {
            std::memcpy(slot.sum.get(), slot.level[l].get(), slot.n * sizeof(float));
            first = false;
        } else {
            add_all(exec, slot.level[l].get(), slot.sum.get(), slot.sum.get(), slot.n);
        }
    }
    return {slot.sum.get(), slot.n};
}

void Gradients::clear() noexcept {
    for (Slot& slot : slots_) {
        for (auto& b : slot.level) {
            if (b != nullptr) slot.spare.push_back(std::move(b));
        }
        slot.level.clear();
        slot.pushed = 0;
    }
}

Tape::Tape(Gradients* gradients, std::span<const Chain> chains)
    : gradients_(gradients), chains_(chains.begin(), chains.end()) {}

float* Tape::keep(std::size_t n) {
    const std::size_t rounded = (n + 15) / 16 * 16;
    while (current_ < blocks_.size() && blocks_[current_].size - blocks_[current_].used < rounded) ++current_;
    if (current_ == blocks_.size()) {
        const std::size_t size = std::max(rounded, kBlockFloats);
        blocks_.push_back({std::make_unique_for_overwrite<float[]>(size), size, 0});
    }
    Block& b = blocks_[current_];
    float* const p = b.memory.get() + b.used;
    b.used += rounded;
    return p;
}

float* Tape::keep_zeros(std::size_t n) {
    float* const p = keep(n);
    std::fill_n(p, n, 0.0F);
    return p;
}

float* Tape::keep_copy(const float* values, std::size_t n) {
    float* const p = keep(n);
    std::memcpy(p, values, n * sizeof(float));
    return p;
}

void Tape::run_backward(Exec& exec) {
    for (auto it = records_.rbegin(); it != records_.rend(); ++it) (*it)(exec);
    records_.clear();
}

void Tape::clear(std::span<const Chain> chains) {
    records_.clear();
    chains_.assign(chains.begin(), chains.end());
    for (Block& b : blocks_) b.used = 0;
    current_ = 0;
}

std::size_t Tape::bytes() const noexcept {
    std::size_t total = 0;
    for (const Block& b : blocks_) total += b.size * sizeof(float);
    return total;
}

}  // namespace freehold
