// Pages of keys and values that live for one batch: training rows, and texts that are turned into vectors.
#pragma once

#include <cstddef>
#include <vector>

#include "freehold/ops/kv.h"

namespace freehold {

// Memory is kept from batch to batch. The tables point to the layout in here, so this object stays where it is.
class OneUsePages {
 public:
    explicit OneUsePages(KvLayout layout) : layout_(std::move(layout)) {}

    // All pages may be used again: tables given before are void.
    void begin() { used_ = 0; }
    [[nodiscard]] PageTable table(std::size_t n_tokens) {
        PageTable t{&layout_, std::vector<std::vector<std::byte*>>(layout_.groups.size())};
        for (std::size_t g = 0; g < layout_.groups.size(); ++g) {
            for (std::size_t at = 0; at < n_tokens; at += kPageTokens)
                t.pages[g].push_back(page(layout_.groups[g].page_bytes()));
        }
        return t;
    }
    // What the pages of a sequence of so many tokens take.
    [[nodiscard]] std::size_t bytes_for(std::size_t n_tokens) const noexcept {
        std::size_t bytes = 0;
        for (const KvGroup& g : layout_.groups) bytes += (n_tokens + kPageTokens - 1) / kPageTokens * g.page_bytes();
        return bytes;
    }

 private:
    // Fresh pages are zero; used ones hold finite numbers, which masked keys never let through.
    std::byte* page(std::size_t bytes) {
        if (used_ == memory_.size()) memory_.emplace_back();
        std::vector<float>& m = memory_[used_++];
        if (m.size() * sizeof(float) < bytes) m.assign((bytes + sizeof(float) - 1) / sizeof(float), 0.0F);
        return reinterpret_cast<std::byte*>(m.data());
    }
    KvLayout layout_;
    std::vector<std::vector<float>> memory_;
    std::size_t used_ = 0;
};

}  // namespace freehold
