// Pages of keys and values: one allocation a page (a page of a real model is hundreds of kilobytes), so that groups
// with pages of different sizes can share one budget without fragments.
#include "freehold/engine/kv_pool.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "freehold/base/error.h"
#include "freehold/base/random.h"

namespace freehold {

namespace {

struct FreeBytes {
    void operator()(std::byte* p) const noexcept { std::free(p); }
};
using PageBytes = std::unique_ptr<std::byte, FreeBytes>;

// Zeroed, so that what a kernel reads beside the keys it may see is a number in every build.
PageBytes new_page(std::size_t bytes) {
    const std::size_t rounded = (bytes + 63) / 64 * 64;
    PageBytes page(static_cast<std::byte*>(std::aligned_alloc(64, rounded)));
    if (page) std::memset(page.get(), 0, rounded);
    return page;
}

struct Page {
    PageBytes bytes;
    std::uint32_t references = 0;
    bool cached = false;
    [[nodiscard]] bool idle() const noexcept { return cached && references == 1; }
};

struct Group {
    std::size_t page_bytes = 0;
    std::vector<Page> pages;
    std::vector<PageId> free;    // with memory
    std::vector<PageId> vacant;  // without
};

}  // namespace

struct KvPool::Impl {
    KvLayout layout;
    std::vector<Group> groups;
    std::uint64_t budget = 0;
    std::uint64_t held = 0;  // taken from the system: pages in use and free ones
    std::uint64_t used = 0, used_pages = 0, shared_pages = 0, idle = 0, idle_pages = 0;
    std::optional<Random> shuffle;

    Page& page(int group, PageId id) noexcept { return groups[static_cast<std::size_t>(group)].pages[id]; }

    // Gives back free pages of other groups until `bytes` more fit.
    bool make_room(std::size_t bytes, const Group& asking) {
        for (Group& g : groups) {
            if (&g == &asking) continue;
            while (held + bytes > budget && !g.free.empty()) {
                const PageId id = g.free.back();
                g.free.pop_back();
                g.pages[id].bytes.reset();
                g.vacant.push_back(id);
                held -= g.page_bytes;
            }
        }
        return held + bytes <= budget;
    }

    bool grow(Group& g) {
        if (held + g.page_bytes > budget && !make_room(g.page_bytes, g)) return false;
        PageBytes bytes = new_page(g.page_bytes);
        if (!bytes) return false;
        PageId id = 0;
        if (!g.vacant.empty()) {
            id = g.vacant.back();
            g.vacant.pop_back();
        } else {
            id = static_cast<PageId>(g.pages.size());
            g.pages.emplace_back();
        }
        g.pages[id].bytes = std::move(bytes);
        g.free.push_back(id);
        held += g.page_bytes;
        return true;
    }

    // Counters of a page change only here: `change` is applied between taking it out of the sums and putting it back.
    template <class F>
    void recount(int group, PageId id, F&& change) noexcept {
        Page& p = page(group, id);
        const std::uint64_t bytes = groups[static_cast<std::size_t>(group)].page_bytes;
        const auto add = [&](std::uint64_t sign) {
            if (p.references > 0) used += sign * bytes, used_pages += sign;
            if (p.references > 1) shared_pages += sign;
            if (p.idle()) idle += sign * bytes, idle_pages += sign;
        };
        add(std::numeric_limits<std::uint64_t>::max());  // minus one, modulo 2^64
        change(p);
        add(1);
    }
};

KvPool::KvPool(KvLayout layout, const KvPoolOptions& options) : impl_(std::make_unique<Impl>()) {
    impl_->layout = std::move(layout);
    impl_->budget = options.bytes;
    for (const KvGroup& g : impl_->layout.groups) {
        impl_->groups.emplace_back();
        impl_->groups.back().page_bytes = g.page_bytes();
    }
    if (options.shuffle_seed) impl_->shuffle.emplace(*options.shuffle_seed, RandomUse::test);
}

KvPool::~KvPool() = default;

int KvPool::n_groups() const noexcept {
    return static_cast<int>(impl_->groups.size());
}
const KvLayout& KvPool::layout() const noexcept {
    return impl_->layout;
}

PageId KvPool::allocate(int group) {
    Group& g = impl_->groups[static_cast<std::size_t>(group)];
    // Out of order only where asked for; then a stock of pages is kept, or the order would be that of the requests.
    const std::size_t stock = impl_->shuffle ? 32 : 1;
    while (g.free.size() < stock && impl_->grow(g)) {
    }
    if (g.free.empty()) return kNoPage;
    if (impl_->shuffle) std::swap(g.free[impl_->shuffle->next() % g.free.size()], g.free.back());
    const PageId id = g.free.back();
    g.free.pop_back();
    impl_->recount(group, id, [](Page& p) { p.references = 1; });
    return id;
}

void KvPool::retain(int group, PageId page) noexcept {
    impl_->recount(group, page, [](Page& p) { ++p.references; });
}

void KvPool::release(int group, PageId page) noexcept {
    impl_->recount(group, page, [](Page& p) { --p.references; });
    if (impl_->page(group, page).references == 0) impl_->groups[static_cast<std::size_t>(group)].free.push_back(page);
}

void KvPool::set_cached(int group, PageId page, bool cached) noexcept {
    impl_->recount(group, page, [cached](Page& p) { p.cached = cached; });
}

std::uint32_t KvPool::references(int group, PageId page) const noexcept {
    return impl_->page(group, page).references;
}
std::byte* KvPool::data(int group, PageId page) const noexcept {
    return impl_->page(group, page).bytes.get();
}

void KvPool::copy(int group, PageId from, PageId to) noexcept {
    std::memcpy(data(group, to), data(group, from), impl_->groups[static_cast<std::size_t>(group)].page_bytes);
}

std::uint64_t KvPool::budget_bytes() const noexcept {
    return impl_->budget;
}
std::uint64_t KvPool::used_bytes() const noexcept {
    return impl_->used;
}
std::uint64_t KvPool::used_pages() const noexcept {
    return impl_->used_pages;
}
std::uint64_t KvPool::idle_bytes() const noexcept {
    return impl_->idle;
}
std::uint64_t KvPool::idle_pages() const noexcept {
    return impl_->idle_pages;
}
std::uint64_t KvPool::shared_pages() const noexcept {
    return impl_->shared_pages;
}

std::uint64_t KvPool::row_of_pages_bytes() const noexcept {
    std::uint64_t sum = 0;
    for (const Group& g : impl_->groups) sum += g.page_bytes;
    return sum;
}

}  // namespace freehold
