// Reads a line (or several) from a terminal with the keys that people expect; plain getline without one.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "edit_buffer.h"
#include "history.h"

namespace freehold::cli {

class LineEditor {
 public:
    enum class End { line, end_of_input, interrupted };
    struct Line {
        End end = End::line;
        std::string text;
    };
    // Words that the text before the cursor may become, for Tab.
    using Completer = std::function<std::vector<std::string>(std::string_view text)>;

    explicit LineEditor(History& history) : history_(history) {}
    void set_completer(Completer completer) { completer_ = std::move(completer); }
    // Ctrl-D on an empty line is end_of_input; Ctrl-C gives up the line.
    [[nodiscard]] Line read(std::string_view prompt, std::string_view continuation = "... ");

 private:
    [[nodiscard]] Line read_keys();
    [[nodiscard]] Line read_plain();
    [[nodiscard]] int next_byte();
    void escape_sequence();
    void csi_sequence();
    void bracketed_paste();
    void recall(int direction);
    void search_back();
    void complete();
    void draw();
    void leave_line();

    History& history_;
    Completer completer_;
    EditBuffer buffer_;
    std::string prompt_, continuation_, draft_, input_;
    std::size_t input_at_ = 0, history_at_ = 0, drawn_cursor_row_ = 0;
    std::string plain_rest_;
};

}  // namespace freehold::cli
