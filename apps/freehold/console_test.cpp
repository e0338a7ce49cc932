// Widths, wrapping, tables and the words for sizes.
#include "console.h"

#include <gtest/gtest.h>

#include <cmath>

#include "freehold/base/error.h"
#include "input.h"
#include "template_settings.h"

namespace freehold::cli {
namespace {

TEST(Console, WidthOfWhatIsSeen) {
    EXPECT_EQ(display_width("abc"), 3);
    EXPECT_EQ(display_width("\xE6\xBC\xA2\xE5\xAD\x97"), 4);
    EXPECT_EQ(display_width("e\xCC\x81"), 1);
    EXPECT_EQ(display_width("\x1b[31mred\x1b[0m"), 3);
}

TEST(Console, WrapsAtSpaces) {
    EXPECT_EQ(wrapped("one two three", 8, 2), "one two\n  three");
    EXPECT_EQ(wrapped("one\ntwo", 80, 2), "one\n  two");
    EXPECT_EQ(wrapped("averylongword", 5), "averylongword");
    EXPECT_EQ(wrapped("  indented text here", 14, 4), "  indented\n    text here");
}

TEST(Console, ShortensToTheWidth) {
    EXPECT_EQ(shortened("abcdef", 6), "abcdef");
    EXPECT_EQ(shortened("abcdefg", 6), "abcde…");
    EXPECT_EQ(shortened("\xE6\xBC\xA2\xE5\xAD\x97", 3), "\xE6\xBC\xA2…");
}

TEST(Console, SizesForPeople) {
    EXPECT_EQ(human_bytes(0), "0 B");
    EXPECT_EQ(human_bytes(999), "999 B");
    EXPECT_EQ(human_bytes(98362432), "98.4 MB");
    EXPECT_EQ(human_bytes(253113024), "253 MB");
    EXPECT_EQ(human_bytes(999'999'999), "1.0 GB");
    EXPECT_EQ(human_count(134515008), "135 M");
    EXPECT_EQ(human_count(1'500'000'000), "1.5 B");
    EXPECT_EQ(human_seconds(0.25), "250 ms");
    EXPECT_EQ(human_seconds(200), "3 min 20 s");
    EXPECT_EQ(with_thousands(1234567), "1,234,567");
    EXPECT_EQ(with_thousands(123), "123");
}

TEST(Console, TablesDropColumnsThatDoNotFit) {
    Table table({{"NAME"}, {"SIZE", true}, {"LICENCE", false, true}, {"WHAT", false, true}});
    table.add({"smollm2:135m", "98.4 MB", "Apache-2.0", "a small chat model"});
    EXPECT_EQ(table.str(0),
              "NAME             SIZE  LICENCE     WHAT\nsmollm2:135m  98.4 MB  Apache-2.0  a small chat model\n");
    EXPECT_EQ(table.str(40), "NAME             SIZE  LICENCE\nsmollm2:135m  98.4 MB  Apache-2.0\n");
    EXPECT_EQ(table.str(20), "NAME            SIZE\nsmollm2:13…  98.4 MB\n");
}

TEST(Console, HowFarWordsAreApart) {
    EXPECT_EQ(edit_distance("run", "run"), 0U);
    EXPECT_EQ(edit_distance("rnu", "run"), 1U);
    EXPECT_EQ(edit_distance("lst", "list"), 1U);
    EXPECT_EQ(edit_distance("", "abc"), 3U);
}

TEST(Input, IdsAndTheirFaults) {
    EXPECT_EQ(parse_ids("1, 2 3\n[4]"), (std::vector<std::int32_t>{1, 2, 3, 4}));
    EXPECT_TRUE(parse_ids(" ").empty());
    EXPECT_THROW(static_cast<void>(parse_ids("1 x")), Error);
    EXPECT_THROW(static_cast<void>(parse_ids("-1")), Error);
    EXPECT_THROW(static_cast<void>(parse_ids("99999999999")), Error);
}

TEST(Input, TextForJsonIsValid) {
    EXPECT_EQ(valid_utf8("a\xFF\xC3z"), "a\xEF\xBF\xBD\xEF\xBF\xBDz");
    EXPECT_EQ(valid_utf8("\xC3\xA9"), "\xC3\xA9");
    // One mark for as many bytes as could begin a character, as Rust and Python put it.
    EXPECT_EQ(valid_utf8("a\xF0\x9F\x98z"), "a\xEF\xBF\xBDz");
    EXPECT_EQ(valid_utf8("\xE0\x80\xE2\x82"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(TemplateSettings, JsonWhereItIsJson) {
    ValueMap map;
    add_template_setting(map, "a=false");
    add_template_setting(map, "b=plain words=here");
    EXPECT_EQ(map.find("a")->as_bool(), false);
    EXPECT_EQ(map.find("b")->as_string(), "plain words=here");
    EXPECT_THROW(add_template_setting(map, "nothing"), Error);
    EXPECT_THROW(add_template_setting(map, "=x"), Error);
}

}  // namespace
}  // namespace freehold::cli
