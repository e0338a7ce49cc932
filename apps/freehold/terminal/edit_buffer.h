// The text that is being typed, with a cursor between characters as people see them (grapheme clusters). No terminal
// here.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace freehold::cli {

class EditBuffer {
 public:
    [[nodiscard]] const std::string& text() const noexcept { return text_; }
    [[nodiscard]] std::size_t cursor() const noexcept { return cursor_; }  // in bytes, always between two characters
    void set(std::string text);                                            // cursor at the end
    void insert(std::string_view text);

    bool left();
    bool right();
    void word_left();
    void word_right();
    void line_start();
    void line_end();
    // In a text of several lines: to the line above or below, same column; false at the first or last line.
    bool up();
    bool down();

    bool erase_before();  // Backspace
    bool erase_after();   // Delete
    // These fill the kill buffer that yank() inserts again.
    void kill_word_before();
    void kill_word_after();
    void kill_to_line_end();
    void kill_to_line_start();
    void yank();
    void transpose();

 private:
    [[nodiscard]] std::size_t before(std::size_t at) const;
    [[nodiscard]] std::size_t after(std::size_t at) const;
    void kill(std::size_t from, std::size_t to);

    std::string text_, killed_;
    std::size_t cursor_ = 0;
};

// How prompt and text lie on a terminal of `width` columns: rows as they are printed, and where the cursor stands.
struct Layout {
    std::vector<std::string> rows;
    std::size_t cursor_row = 0;
    int cursor_column = 0;
};
// The prompt may hold colour sequences. Later lines of a text of several lines begin under `continuation`.
[[nodiscard]] Layout lay_out(std::string_view prompt, std::string_view continuation, std::string_view text,
                             std::size_t cursor, int width);

// End of the character (grapheme cluster) that begins at `at`.
[[nodiscard]] std::size_t next_grapheme(std::string_view text, std::size_t at);

}  // namespace freehold::cli
