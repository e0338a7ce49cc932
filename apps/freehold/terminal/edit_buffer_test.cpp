// Editing by characters as people see them, and where rows and cursor come to lie.
#include "edit_buffer.h"

#include <gtest/gtest.h>

#include "word_wrap.h"

namespace freehold::cli {
namespace {

const std::string kFamily =
    "\xF0\x9F\x91\xA8\xE2\x80\x8D\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x91\xA7";  // one cluster of three people
const std::string kAcute = "e\xCC\x81";                                          // e and a combining accent
const std::string kKanji = "\xE6\xBC\xA2";                                       // two columns

TEST(EditBuffer, MovesAndErasesWholeCharacters) {
    EditBuffer b;
    b.set("a" + kFamily + kAcute + "z");
    EXPECT_TRUE(b.left());
    EXPECT_TRUE(b.left());
    EXPECT_EQ(b.cursor(), 1 + kFamily.size());
    EXPECT_TRUE(b.erase_before());
    EXPECT_EQ(b.text(), "a" + kAcute + "z");
    EXPECT_TRUE(b.erase_after());
    EXPECT_EQ(b.text(), "az");
    EXPECT_TRUE(b.left());
    EXPECT_FALSE(b.left());
    EXPECT_FALSE(b.erase_before());
}

TEST(EditBuffer, KillsAndYanks) {
    EditBuffer b;
    b.set("one two three");
    b.kill_word_before();
    EXPECT_EQ(b.text(), "one two ");
    b.line_start();
    b.yank();
    EXPECT_EQ(b.text(), "threeone two ");
    b.kill_to_line_end();
    EXPECT_EQ(b.text(), "three");
    b.kill_to_line_start();
    EXPECT_EQ(b.text(), "");
    b.set("ab");
    b.transpose();
    EXPECT_EQ(b.text(), "ba");
}

TEST(EditBuffer, WalksThroughLines) {
    EditBuffer b;
    b.set("first\nse\nthird");
    EXPECT_FALSE(b.down());
    EXPECT_TRUE(b.up());
    EXPECT_EQ(b.cursor(), 8U);  // the end of the short line
    EXPECT_TRUE(b.up());
    EXPECT_EQ(b.cursor(), 2U);
    EXPECT_FALSE(b.up());
    EXPECT_EQ(b.cursor(), 2U);
    EXPECT_TRUE(b.down());
    b.line_start();
    EXPECT_EQ(b.cursor(), 6U);
    EXPECT_TRUE(b.left());
    EXPECT_EQ(b.cursor(), 5U);
}

TEST(EditBuffer, BrokenBytesAreCharactersOfTheirOwn) {
    EditBuffer b;
    b.set("a\xFF\xC3");
    EXPECT_TRUE(b.left());
    EXPECT_EQ(b.cursor(), 2U);
    EXPECT_TRUE(b.erase_before());
    EXPECT_EQ(b.text(), "a\xC3");
}

TEST(Layout, WrapsAtTheWidthAndKnowsTheCursor) {
    const Layout plain = lay_out("> ", "... ", "abcdefgh", 8, 6);
    EXPECT_EQ(plain.rows, (std::vector<std::string>{"> abcd", "efgh"}));
    EXPECT_EQ(plain.cursor_row, 1U);
    EXPECT_EQ(plain.cursor_column, 4);
    // A text that ends at the edge: the cursor waits in the next row.
    const Layout full = lay_out("> ", "... ", "abcd", 4, 6);
    EXPECT_EQ(full.rows.size(), 2U);
    EXPECT_EQ(full.cursor_row, 1U);
    EXPECT_EQ(full.cursor_column, 0);
    // A wide character does not fit into one column.
    const Layout wide = lay_out("> ", "... ", "abc" + kKanji, 3, 6);
    EXPECT_EQ(wide.rows, (std::vector<std::string>{"> abc", kKanji}));
    EXPECT_EQ(wide.cursor_row, 1U);
    EXPECT_EQ(wide.cursor_column, 0);
    const Layout lines = lay_out("> ", "... ", "a\nb", 3, 20);
    EXPECT_EQ(lines.rows, (std::vector<std::string>{"> a", "... b"}));
    EXPECT_EQ(lines.cursor_column, 5);
    // Colour in the prompt takes no room; control characters in the text do nothing.
    EXPECT_EQ(lay_out("\x1b[36m> \x1b[0m", "", "\x1b[2J", 0, 80).cursor_column, 2);
}

TEST(WordWrap, BreaksAtSpacesAndLeavesCodeAlone) {
    WordWrap wrap(10);
    std::string text = wrap.push("one two three four\n");
    EXPECT_EQ(text, "one two\nthree four\n");
    EXPECT_TRUE(wrap.at_line_start());
    text.clear();
    for (const char* piece : {"```\na long line of code here\n```\n", "one two thr", "ee"}) text += wrap.push(piece);
    text += wrap.finish();
    EXPECT_EQ(text, "```\na long line of code here\n```\none two\nthree");
    WordWrap off(0);
    EXPECT_EQ(off.push("a very long line "), "a very long line ");
}

}  // namespace
}  // namespace freehold::cli
