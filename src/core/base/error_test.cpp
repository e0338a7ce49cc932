// Names and exit codes of errors; arithmetic on hostile sizes; the log level.
#include "freehold/base/error.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "freehold/base/checked.h"
#include "freehold/base/log.h"
#include "freehold/base/printable.h"

namespace freehold {
namespace {

TEST(Error, EveryKindHasItsOwnNameAndAnExitCodeThatIsNotSuccess) {
    std::set<std::string> names;
    for (int k = 0; k <= static_cast<int>(ErrorKind::internal); ++k) {
        const auto kind = static_cast<ErrorKind>(k);
        EXPECT_TRUE(names.insert(kind_name(kind)).second) << kind_name(kind);
        EXPECT_GT(exit_code(kind), 1);
        EXPECT_LT(exit_code(kind), 256);
    }
    EXPECT_EQ(exit_code(ErrorKind::usage), 2);
    EXPECT_EQ(exit_code(ErrorKind::unsupported), exit_code(ErrorKind::bad_file));
    EXPECT_EQ(exit_code(ErrorKind::cancelled), 130);
}

TEST(Error, KeepsMessageAndHint) {
    const Error e(ErrorKind::bad_file, "It is broken.", "Get it again.");
    EXPECT_STREQ(e.what(), "It is broken.");
    EXPECT_EQ(e.hint(), "Get it again.");
}

TEST(Checked, SaysWhenASumOrProductDoesNotFit) {
    constexpr std::uint64_t kMax = ~std::uint64_t{0};
    EXPECT_EQ(checked_mul(1ULL << 32, 1ULL << 31), 1ULL << 63);
    EXPECT_EQ(checked_mul(1ULL << 32, 1ULL << 32), std::nullopt);
    EXPECT_EQ(checked_mul(0, kMax), 0U);
    EXPECT_EQ(checked_mul(kMax, 0), 0U);
    EXPECT_EQ(checked_add(kMax, 0), kMax);
    EXPECT_EQ(checked_add(kMax, 1), std::nullopt);
    EXPECT_TRUE(fits(10, 0, 10));
    EXPECT_FALSE(fits(11, 0, 10));
    EXPECT_FALSE(fits(8, kMax, 10));
    EXPECT_FALSE(fits(kMax, 2, 10));
}

TEST(Printable, LetsNothingThroughThatATerminalObeys) {
    EXPECT_EQ(printable("blk.0.attn_q"), "blk.0.attn_q");
    EXPECT_EQ(printable("a\x1b[2J\n\x7f"
                        "b"),
              "a?[2J??b");
    EXPECT_EQ(printable("\xC2\x9B"
                        "31m"),
              "?31m")
        << "the one-character form of the escape";
    EXPECT_EQ(printable("Gr\xC3\xBC\xC3\x9F"
                        "e \xE4\xB8\x96"),
              "Gr\xC3\xBC\xC3\x9F"
              "e \xE4\xB8\x96");
    EXPECT_EQ(printable("\xEF\xBB\xBF"
                        "gpj\xE2\x80\xAE"
                        "x"),
              "?gpj?x")
        << "what a reader does not see";
    EXPECT_EQ(printable("a\xFF\xC3"), "a??");
    EXPECT_EQ(printable("abc\xC3\xBC", 4), "abc...");
    EXPECT_EQ(printable("abcd", 4), "abcd");
}

TEST(Log, LevelDecidesWhatIsEnabled) {
    const LogLevel before = log_level();
    set_log_level(LogLevel::error);
    EXPECT_FALSE(log_enabled(LogLevel::warn));
    EXPECT_TRUE(log_enabled(LogLevel::error));
    set_log_level(LogLevel::off);
    log_error("this line is not printed");
    EXPECT_EQ(log_level(), LogLevel::off);
    set_log_level(before);
}

}  // namespace
}  // namespace freehold
