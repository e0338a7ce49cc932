// Pages of keys and values under one budget: reference counted, one kind of page per group of layers.
// Belongs to one engine; only the engine's thread touches it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "freehold/ops/kv.h"

namespace freehold {

using PageId = std::uint32_t;
inline constexpr PageId kNoPage = 0xFFFFFFFFU;

struct KvPoolOptions {
    std::uint64_t bytes = 0;                    // budget for all groups together
    std::optional<std::uint64_t> shuffle_seed;  // set: pages are handed out in a random physical order (tests)
};

class KvPool {
 public:
    KvPool(KvLayout layout, const KvPoolOptions& options);
    ~KvPool();
    KvPool(const KvPool&) = delete;
    KvPool& operator=(const KvPool&) = delete;

    [[nodiscard]] int n_groups() const noexcept;
    [[nodiscard]] const KvLayout& layout() const noexcept;
    // A page with one reference, or kNoPage when the budget is spent. Memory comes from the system on first use and is
    // kept for reuse; free pages of another group are given back when this group needs their room.
    [[nodiscard]] PageId allocate(int group);
    void retain(int group, PageId page) noexcept;
    void release(int group, PageId page) noexcept;  // the last one frees it
    [[nodiscard]] std::uint32_t references(int group, PageId page) const noexcept;
    [[nodiscard]] std::byte* data(int group, PageId page) const noexcept;
    void copy(int group, PageId from, PageId to) noexcept;

    [[nodiscard]] std::uint64_t budget_bytes() const noexcept;
    [[nodiscard]] std::uint64_t used_bytes() const noexcept;  // pages with a reference
    [[nodiscard]] std::uint64_t used_pages() const noexcept;
    // The prefix tree says which pages it holds; one that nobody else refers to is idle: it can be had back by
    // eviction.
    void set_cached(int group, PageId page, bool cached) noexcept;
    [[nodiscard]] std::uint64_t idle_bytes() const noexcept;
    [[nodiscard]] std::uint64_t idle_pages() const noexcept;
    [[nodiscard]] std::uint64_t shared_pages() const noexcept;  // with more than one reference
    // Bytes that one page of every group takes.
    [[nodiscard]] std::uint64_t row_of_pages_bytes() const noexcept;

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace freehold
