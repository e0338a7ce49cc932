// Memory in huge pages: aligned, zeroed, its own, and zero again once given back.
#include "freehold/base/huge_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>

namespace freehold {
namespace {

TEST(HugeMemory, IsAlignedAndZeroed) {
    const HugeMemory memory = map_huge(3'000'000);
    ASSERT_NE(memory, nullptr);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory.get()) % (2U << 20), 0U);
    EXPECT_EQ(memory.get_deleter().bytes, 4U << 20);
    EXPECT_TRUE(std::all_of(memory.get(), memory.get() + (4U << 20), [](std::byte b) { return b == std::byte{0}; }));
}

TEST(HugeMemory, GivesBackWholePagesOnly) {
    const HugeMemory memory = map_huge(1 << 20);
    ASSERT_NE(memory, nullptr);
    std::byte* const at = memory.get();
    std::fill_n(at, 1 << 20, std::byte{7});
    give_back(at + 100, 3 * 65536);  // pages of 4 to 64 KiB, whatever the system has
    EXPECT_EQ(at[99], std::byte{7});
    EXPECT_EQ(at[100], std::byte{7});  // shares its page with what is kept
    EXPECT_EQ(at[2 * 65536], std::byte{0});
    EXPECT_EQ(at[100 + 3 * 65536], std::byte{7});
    give_back(at + 300'000, 10);  // no whole page inside
    EXPECT_EQ(at[300'000], std::byte{7});
}

TEST(HugeMemory, RefusesWhatNobodyHas) {
    EXPECT_EQ(map_huge(std::numeric_limits<std::size_t>::max() / 4), nullptr);
}

}  // namespace
}  // namespace freehold
