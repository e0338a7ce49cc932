// How sequences come by their pages and give them back.
#include "page_book.h"

#include <algorithm>
#include <limits>

namespace freehold {

namespace {
constexpr std::size_t kTokens = kPageTokens;
std::size_t pages_of(std::size_t tokens) {
    return (tokens + kTokens - 1) / kTokens;
}
}  // namespace

PageBook::PageBook(KvPool& pool, bool prefix_cache, std::size_t chunk)
    : pool_(pool), tree_(pool), prefix_cache_(prefix_cache), chunk_(chunk) {}

std::uint64_t PageBook::bytes_for_pages(std::size_t pages) const noexcept {
    std::uint64_t bytes = 0;
    for (const KvGroup& g : pool_.layout().groups) {
        std::size_t n = pages;
        // A window of w tokens and the chunk being computed, each of which may begin in the middle of a page.
        if (g.window > 0) n = std::min(n, pages_of(static_cast<std::size_t>(g.window)) + pages_of(chunk_) + 2);
        bytes += n * g.page_bytes();
    }
    return bytes;
}

std::uint64_t PageBook::bytes_for_tokens(std::size_t tokens) const noexcept {
    return bytes_for_pages(pages_of(tokens));
}

std::size_t PageBook::capacity_tokens() const noexcept {
    // Costs grow with length; a bound that doubles, then halves.
    std::size_t high = 1;
    while (high < (std::size_t{1} << 40U) && bytes_for_pages(high) <= pool_.budget_bytes()) high *= 2;
    std::size_t low = high / 2;
    while (high - low > 1) {
        const std::size_t middle = low + (high - low) / 2;
        (bytes_for_pages(middle) <= pool_.budget_bytes() ? low : high) = middle;
    }
    return low * kTokens;
}

PageId PageBook::allocate(int group) {
    PageId page = pool_.allocate(group);
    const std::uint64_t bytes = pool_.layout().groups[static_cast<std::size_t>(group)].page_bytes();
    while (page == kNoPage && tree_.evict(bytes) > 0) page = pool_.allocate(group);
    return page;
}

void PageBook::set_page(Sequence& s, int group, std::size_t index, PageId page) {
    auto& ids = s.pages[static_cast<std::size_t>(group)];
    auto& addresses = s.table.pages[static_cast<std::size_t>(group)];
    if (ids.size() <= index) {
        ids.resize(index + 1, kNoPage);
        addresses.resize(index + 1, nullptr);
    }
    ids[index] = page;
    addresses[index] = page == kNoPage ? nullptr : pool_.data(group, page);
}

std::size_t PageBook::first_needed(int group, std::size_t position) const noexcept {
    const auto window = static_cast<std::size_t>(pool_.layout().groups[static_cast<std::size_t>(group)].window);
    return window == 0 || position + 1 <= window ? 0 : (position + 1 - window) / kTokens;
}

void PageBook::open(Sequence& s) {
    const auto groups = static_cast<std::size_t>(pool_.n_groups());
    s.pages.assign(groups, {});
    s.first_page.assign(groups, 0);
    s.table.pages.assign(groups, {});
    s.table.layout = &pool_.layout();
    s.computed = s.cursor_pages = 0;
    const Request& r = s.request;
    const bool allowed = prefix_cache_ && (!r.probe || !r.interventions.empty());
    s.reads = allowed && r.cache != CacheUse::none;
    s.writes = allowed && r.cache == CacheUse::share;
    if (s.reads) {
        s.cursor = tree_.root({r.tenant, r.adapter, r.interventions});
        tree_.pin(s.cursor);
    }
}

void PageBook::follow(Sequence& s) {
    if (!s.reads || s.computed != s.cursor_pages * kTokens) return;
    const std::size_t limit = s.follow_limit() / kTokens;
    std::vector<PrefixTree::NodeId> path;
    for (PrefixTree::NodeId node = s.cursor; s.cursor_pages + path.size() < limit;) {
        node = tree_.child(node, page_tokens(s, s.cursor_pages + path.size()));
        if (node == PrefixTree::kNone) break;
        path.push_back(node);
    }
    // Some window pages may have been dropped: go as deep as everything that the next row looks at is there.
    std::size_t depth = path.size();
    for (int g = 0; g < pool_.n_groups() && depth > 0; ++g) {
        const auto present = [&](std::size_t index) {
            return index < s.cursor_pages ? s.pages[static_cast<std::size_t>(g)][index] != kNoPage
                                          : tree_.page(path[index - s.cursor_pages], g) != kNoPage;
        };
        while (depth > 0) {
            const std::size_t end = s.cursor_pages + depth;
            std::size_t index = end;
            const std::size_t first = first_needed(g, end * kTokens);
            while (index > first && present(index - 1)) --index;
            if (index == first) break;
            // The hole at index - 1 stays in view of every depth down to where it is the page to be computed.
            depth = index - 1 >= s.cursor_pages ? index - 1 - s.cursor_pages : 0;
        }
        // A smaller depth looks further back in the groups already checked; start over with it.
        if (depth < path.size()) {
            path.resize(depth);
            g = -1;
        }
    }
    if (depth == 0) return;
    const std::size_t begin = s.cursor_pages;
    const std::size_t end = begin + depth;
    for (int g = 0; g < pool_.n_groups(); ++g) {
        const std::size_t first = first_needed(g, end * kTokens);
        for (std::size_t i = begin; i < end; ++i) {
            PageId page = kNoPage;
            if (i >= first) {
                page = tree_.page(path[i - begin], g);
                pool_.retain(g, page);
            }
            set_page(s, g, i, page);
        }
    }
    tree_.pin(path.back());
    tree_.unpin(s.cursor);
    s.cursor = path.back();
    s.cursor_pages = end;
    s.computed = end * kTokens;
    drop_behind_windows(s);
}

void PageBook::copy_head(Sequence& s) {
    if (!s.reads || s.computed != s.cursor_pages * kTokens || s.follow_limit() <= s.computed) return;
    const std::size_t n = std::min(kTokens, s.follow_limit() - s.computed);
    const PrefixTree::Head head = tree_.longest_head(s.cursor, std::span(s.tokens).subspan(s.computed, n));
    if (head.node == PrefixTree::kNone) return;
    // Making room must not take away what is being copied, neither the node nor a page of a window.
    std::vector<PageId> source;
    for (int g = 0; g < pool_.n_groups(); ++g) {
        source.push_back(tree_.page(head.node, g));
        pool_.retain(g, source.back());
    }
    const bool room = extend(s, s.computed + 1);
    for (int g = 0; g < pool_.n_groups(); ++g) {
        const PageId from = source[static_cast<std::size_t>(g)];
        if (room) pool_.copy(g, from, s.pages[static_cast<std::size_t>(g)][s.cursor_pages]);
        pool_.release(g, from);
    }
    if (room) s.computed += static_cast<std::size_t>(head.tokens);
}

bool PageBook::extend(Sequence& s, std::size_t end) {
    for (std::size_t i = s.computed / kTokens; i * kTokens < end; ++i) {
        for (int g = 0; g < pool_.n_groups(); ++g) {
            const auto& ids = s.pages[static_cast<std::size_t>(g)];
            if (i < ids.size() && ids[i] != kNoPage) continue;
            const PageId page = allocate(g);
            if (page == kNoPage) return false;
            set_page(s, g, i, page);
        }
    }
    return true;
}

void PageBook::drop_behind_windows(Sequence& s) {
    for (int g = 0; g < pool_.n_groups(); ++g) {
        const auto& ids = s.pages[static_cast<std::size_t>(g)];
        std::size_t& from = s.first_page[static_cast<std::size_t>(g)];
        const std::size_t needed = std::min(first_needed(g, s.computed), ids.size());
        for (; from < needed; ++from) {
            if (ids[from] == kNoPage) continue;
            pool_.release(g, ids[from]);
            set_page(s, g, from, kNoPage);
        }
    }
}

void PageBook::commit(Sequence& s, std::size_t end) {
    s.computed = end;
    std::vector<PageId> mine(static_cast<std::size_t>(pool_.n_groups()));
    while (s.writes && (s.cursor_pages + 1) * kTokens <= s.computed) {
        const std::size_t i = s.cursor_pages;
        for (std::size_t g = 0; g < mine.size(); ++g) mine[g] = s.pages[g][i];
        const PrefixTree::NodeId node = tree_.insert(s.cursor, page_tokens(s, i), mine);
        // Somebody else may have computed the same page at the same time: the bits are equal, one copy is enough.
        for (int g = 0; g < pool_.n_groups(); ++g) {
            const PageId theirs = tree_.page(node, g);
            const PageId own = mine[static_cast<std::size_t>(g)];
            if (theirs == own) continue;
            pool_.retain(g, theirs);
            pool_.release(g, own);
            set_page(s, g, i, theirs);
        }
        tree_.pin(node);
        tree_.unpin(s.cursor);
        s.cursor = node;
        ++s.cursor_pages;
    }
    drop_behind_windows(s);
}

void PageBook::close(Sequence& s, bool publish_tail) {
    const std::size_t tail = s.computed % kTokens;
    if (publish_tail && s.writes && tail > 0 && s.cursor_pages == s.computed / kTokens) {
        std::vector<PageId> mine;
        for (const auto& ids : s.pages) mine.push_back(ids[s.cursor_pages]);
        tree_.insert(s.cursor, std::span(s.tokens).subspan(s.cursor_pages * kTokens, tail), mine);
    }
    for (int g = 0; g < static_cast<int>(s.pages.size()); ++g) {
        for (const PageId page : s.pages[static_cast<std::size_t>(g)]) {
            if (page != kNoPage) pool_.release(g, page);
        }
    }
    if (s.cursor != PrefixTree::kNone) tree_.unpin(s.cursor);
    s.cursor = PrefixTree::kNone;
    s.pages.clear();
    s.table.pages.clear();
    s.computed = s.cursor_pages = 0;
}

void PageBook::clear_cache() {
    tree_.evict(std::numeric_limits<std::uint64_t>::max());
}

}  // namespace freehold
