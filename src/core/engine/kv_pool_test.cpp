// The page pool: budget over groups, counts, physical order.
#include "freehold/engine/kv_pool.h"

#include <gtest/gtest.h>

#include <set>

#include "toy_model.h"

namespace freehold {
namespace {

KvLayout two_sizes() {
    KvLayout layout = ToyModel().kv_layout();
    layout.groups[1].head_dim = 3;  // 256 bytes a page instead of 128
    return layout;
}

TEST(KvPool, CountsAndBounds) {
    KvPool pool(two_sizes(), {1024, {}});
    EXPECT_EQ(pool.row_of_pages_bytes(), 384U);
    std::vector<PageId> small;
    for (int i = 0; i < 8; ++i) small.push_back(pool.allocate(0));
    EXPECT_EQ(pool.allocate(0), kNoPage);
    EXPECT_EQ(pool.allocate(1), kNoPage);
    EXPECT_EQ(pool.used_bytes(), 1024U);
    pool.retain(0, small[0]);
    EXPECT_EQ(pool.shared_pages(), 1U);
    pool.set_cached(0, small[0], true);
    EXPECT_EQ(pool.idle_bytes(), 0U);
    pool.release(0, small[0]);
    EXPECT_EQ(pool.idle_bytes(), 128U);
    EXPECT_EQ(pool.shared_pages(), 0U);
    pool.set_cached(0, small[0], false);
    for (const PageId p : small) pool.release(0, p);
    EXPECT_EQ(pool.used_bytes(), 0U);
    EXPECT_EQ(pool.used_pages(), 0U);
    // The room of free pages serves pages of the other size.
    for (int i = 0; i < 4; ++i) EXPECT_NE(pool.allocate(1), kNoPage);
    EXPECT_EQ(pool.allocate(1), kNoPage);
    EXPECT_EQ(pool.allocate(0), kNoPage);
}

TEST(KvPool, PagesAreAlignedAndApart) {
    KvPool pool(two_sizes(), {1 << 20, {}});
    std::set<const std::byte*> seen;
    for (int i = 0; i < 100; ++i) {
        const PageId p = pool.allocate(i % 2);
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(pool.data(i % 2, p)) % 64, 0U);
        EXPECT_TRUE(seen.insert(pool.data(i % 2, p)).second);
    }
}

TEST(KvPool, ShufflesWhenAsked) {
    KvPool pool(two_sizes(), {1 << 20, 3});
    int ascending = 0;
    PageId before = pool.allocate(0);
    for (int i = 0; i < 60; ++i) {
        const PageId next = pool.allocate(0);
        ascending += next == before + 1 ? 1 : 0;
        before = next;
    }
    EXPECT_LT(ascending, 15);
}

}  // namespace
}  // namespace freehold
