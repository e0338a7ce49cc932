// Pages of keys and values, each group's in mappings of its own, so that groups with pages of different sizes can share
// one budget without fragments: a free page's memory goes back to the system when another group needs the room.
#include "freehold/engine/kv_pool.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "freehold/base/error.h"
#include "freehold/base/huge_memory.h"
#include "freehold/base/random.h"

namespace freehold {

namespace {

// Pages of a group are carved from mappings of about this many bytes, which take memory as their pages are used:
// decoding looks at a few kilobytes of every page for each layer and head, so that pages of 4 KiB would cost a walk
// each time.
constexpr std::size_t kSlab = std::size_t{32} << 20;

struct Page {
    std::byte* bytes = nullptr;  // zeroed when it comes from the system; a number stands beside the keys to be seen
    std::uint32_t references = 0;
    bool cached = false;
    [[nodiscard]] bool idle() const noexcept { return cached && references == 1; }
};

struct Group {
    std::size_t page_bytes = 0;
    std::vector<Page> pages;
    std::vector<PageId> free;    // with memory
    std::vector<PageId> vacant;  // without: given back to the system, the address is kept
    std::vector<HugeMemory> slabs;
    std::size_t carved = 0;  // pages of the last slab

    [[nodiscard]] std::size_t stride() const noexcept { return (page_bytes + 63) / 64 * 64; }
    // The next page of a slab, or of a new one; null when the system refuses.
    std::byte* carve(std::uint64_t budget) {
        const std::uint64_t useful = std::max<std::uint64_t>(budget / std::max<std::size_t>(page_bytes, 1), 1);
        const std::size_t in_slab = std::min<std::uint64_t>(std::max<std::size_t>(kSlab / stride(), 1), useful);
        if (slabs.empty() || carved == in_slab) {
            HugeMemory slab = map_huge(in_slab * stride());
            if (!slab) return nullptr;
            slabs.push_back(std::move(slab));
            carved = 0;
        }
        return slabs.back().get() + stride() * carved++;
    }
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
                give_back(g.pages[id].bytes, g.page_bytes);
                g.vacant.push_back(id);
                held -= g.page_bytes;
            }
        }
        return held + bytes <= budget;
    }

    bool grow(Group& g) {
        if (held + g.page_bytes > budget && !make_room(g.page_bytes, g)) return false;
        PageId id = 0;
        if (!g.vacant.empty()) {
            id = g.vacant.back();
            g.vacant.pop_back();
        } else {
            std::byte* const bytes = g.carve(budget);
            if (bytes == nullptr) return false;
            id = static_cast<PageId>(g.pages.size());
            g.pages.emplace_back().bytes = bytes;
        }
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
    return impl_->page(group, page).bytes;
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
