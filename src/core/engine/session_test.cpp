// Stop strings that lie across borders, whatever the borders are.
#include "freehold/engine/session.h"

#include <gtest/gtest.h>

#include "freehold/base/random.h"

namespace freehold {
namespace {

std::string shown(StopMatcher m, const std::vector<std::string>& pieces) {
    std::string out;
    for (const auto& p : pieces) out += m.push(p);
    return out + m.finish();
}

TEST(StopMatcher, FindsStopsAcrossPieces) {
    EXPECT_EQ(shown(StopMatcher({"END"}), {"abc E", "N", "D more", "more"}), "abc ");
    EXPECT_EQ(shown(StopMatcher({"END"}), {"abc E", "N", "O"}), "abc ENO");
    EXPECT_EQ(shown(StopMatcher({"END"}), {"abc EN"}), "abc EN");
    EXPECT_EQ(shown(StopMatcher({"\n\n", "User:"}), {"hi\n", "User", ":\n\n"}), "hi\n");
    EXPECT_EQ(shown(StopMatcher({"aab"}), {"a", "a", "a", "a", "b", "c"}), "aa");
    EXPECT_EQ(shown(StopMatcher({""}), {"a", "b"}), "ab");
    EXPECT_EQ(shown(StopMatcher({}), {"a", "b"}), "ab");
}

TEST(StopMatcher, ShowsWhatCanNoLongerBeAStop) {
    StopMatcher m({"<|end|>"});
    EXPECT_EQ(m.push("hello <|"), "hello ");
    EXPECT_EQ(m.push("x"), "<|x");
    EXPECT_EQ(m.push("<|end|>"), "");
    EXPECT_TRUE(m.stopped());
    EXPECT_EQ(m.matched(), 0U);
    EXPECT_EQ(m.push("more"), "");
    EXPECT_EQ(m.finish(), "");
}

// However a text is cut, what is shown is the text up to the first stop string.
TEST(StopMatcher, CutsDoNotMatter) {
    Random random(1, RandomUse::test);
    for (int trial = 0; trial < 3000; ++trial) {
        std::string text;
        for (std::uint32_t i = 0, n = random.next() % 20; i < n; ++i)
            text += static_cast<char>('a' + random.next() % 2);
        std::vector<std::string> stops;
        for (std::uint32_t s = 0, n = random.next() % 3; s < n; ++s) {
            std::string stop;
            for (std::uint32_t i = 0, k = 1 + random.next() % 4; i < k; ++i)
                stop += static_cast<char>('a' + random.next() % 2);
            stops.push_back(stop);
        }
        // The one that is complete first ends the answer; what was shown before cannot be taken back.
        std::size_t end = std::string::npos;
        std::size_t at = text.size();
        for (const auto& s : stops) {
            const std::size_t found = text.find(s);
            if (found == std::string::npos) continue;
            if (found + s.size() < end || (found + s.size() == end && found < at)) {
                end = found + s.size();
                at = found;
            }
        }
        std::vector<std::string> pieces;
        for (const char c : text) pieces.emplace_back(1, c);
        EXPECT_EQ(shown(StopMatcher(stops), pieces), text.substr(0, at)) << text;
        EXPECT_EQ(shown(StopMatcher(stops), {text}), text.substr(0, at)) << text;
    }
}

}  // namespace
}  // namespace freehold
