// Keeps the pages of sequences: takes them from the tree, the pool or by copying; publishes what is complete; lets go
// of what no row will look at again. Private to the engine.
#pragma once

#include <cstdint>

#include "freehold/engine/kv_pool.h"
#include "freehold/engine/prefix_tree.h"
#include "sequence.h"

namespace freehold {

class PageBook {
 public:
    // chunk: rows of one sequence in a step at most, which decides how many pages a window needs.
    PageBook(KvPool& pool, bool prefix_cache, std::size_t chunk);

    // Bytes for a sequence of this many tokens, alone and at its fullest; of this many pages of which none is shared.
    [[nodiscard]] std::uint64_t bytes_for_tokens(std::size_t tokens) const noexcept;
    [[nodiscard]] std::uint64_t bytes_for_pages(std::size_t pages) const noexcept;
    // The longest sequence that fits into the budget when it is alone.
    [[nodiscard]] std::size_t capacity_tokens() const noexcept;
    [[nodiscard]] std::uint64_t free_bytes() const noexcept {
        return pool_.budget_bytes() - pool_.used_bytes() + pool_.idle_bytes();
    }

    void open(Sequence& s);
    // Moves on over what others have computed: whole pages are shared.
    void follow(Sequence& s);
    // Copies the page of somebody who begins like this page, so that its first tokens need not be computed.
    void copy_head(Sequence& s);
    // Pages for positions up to `end`. False when there are no more; what it got it keeps.
    [[nodiscard]] bool extend(Sequence& s, std::size_t end);
    // Positions up to `end` are computed: publish full pages, let go what lies behind the windows.
    void commit(Sequence& s, std::size_t end);
    // Gives everything back; publish_tail also leaves the last, partial page in the tree.
    void close(Sequence& s, bool publish_tail);
    void clear_cache();

    [[nodiscard]] const KvPool& pool() const noexcept { return pool_; }

 private:
    PageId allocate(int group);
    void set_page(Sequence& s, int group, std::size_t index, PageId page);
    void drop_behind_windows(Sequence& s);
    [[nodiscard]] std::span<const Token> page_tokens(const Sequence& s, std::size_t index) const noexcept {
        return std::span(s.tokens).subspan(index * kPageTokens, kPageTokens);
    }
    // First page index that a row at `position` looks at.
    [[nodiscard]] std::size_t first_needed(int group, std::size_t position) const noexcept;

    KvPool& pool_;
    PrefixTree tree_;
    bool prefix_cache_;
    std::size_t chunk_;
};

}  // namespace freehold
