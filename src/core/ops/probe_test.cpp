// Names of sites go both ways; what is no name is none. Sums of gradients are one tree, whatever came together.
#include "freehold/ops/probe.h"

#include <gtest/gtest.h>

#include "freehold/ops/tape.h"

namespace freehold {
namespace {

TEST(Site, NamesGoBothWays) {
    for (int i = 0; i <= static_cast<int>(Site::logits); ++i) {
        const auto site = static_cast<Site>(i);
        const std::string path = site_path(site, 17);
        const auto back = parse_site(path);
        ASSERT_TRUE(back) << path;
        EXPECT_EQ(back->site, site);
        EXPECT_EQ(back->layer, path.starts_with("17.") ? 17 : -1);
    }
    EXPECT_EQ(site_path(Site::attn_out, 3), "3.attn.out");
    for (const char* wrong :
         {"", "attn.out", "3.logits", "-1.attn.out", "3.", "3.attn", "99999999999.attn.out", "3attn.out"}) {
        EXPECT_FALSE(parse_site(wrong)) << wrong;
    }
}

TEST(Gradients, SumIsATreeOverLeavesInOrder) {
    ThreadPool threads(2);
    Arena arena(0);
    Exec exec{threads, active_kernels(), arena};
    Gradients g({3, 1});
    EXPECT_EQ(g.total(exec, 1)[0], 0.0F);
    // Numbers for which the order of additions shows.
    const float leaves[] = {1e8F, 1.0F, -1e8F, 1.0F, 3.0F};
    for (const float l : leaves) {
        float* const leaf = g.leaf(0);
        leaf[0] = l;
        leaf[1] = 2 * l;
        leaf[2] = 1;
        g.push(exec, 0);
    }
    const float want = ((1e8F + 1.0F) + (-1e8F + 1.0F)) + 3.0F;
    const auto total = g.total(exec, 0);
    EXPECT_EQ(total[0], want);
    EXPECT_EQ(total[1], 2 * want);
    EXPECT_EQ(total[2], 5.0F);
    g.clear();
    EXPECT_EQ(g.total(exec, 0)[2], 0.0F);
}

TEST(Tape, PlaysBackwardsAndKeepsItsMemory) {
    ThreadPool threads(1);
    Arena arena(0);
    Exec exec{threads, active_kernels(), arena};
    Tape tape(nullptr, {});
    std::string order;
    tape.push([&](Exec&) { order += 'a'; });
    tape.push([&](Exec&) { order += 'b'; });
    float* const first = tape.keep_zeros(1000);
    float* const second = tape.keep(3'000'000);
    EXPECT_NE(first, second);
    tape.run_backward(exec);
    EXPECT_EQ(order, "ba");
    const std::size_t bytes = tape.bytes();
    tape.clear({});
    EXPECT_EQ(tape.keep(1000), first);
    EXPECT_EQ(tape.keep(3'000'000), second);
    EXPECT_EQ(tape.bytes(), bytes);
}

}  // namespace
}  // namespace freehold
