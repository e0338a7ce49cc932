// Breaks an answer at spaces while it streams onto a terminal. Lines inside ``` fences are left alone: they are code.
#pragma once

#include <string>
#include <string_view>

namespace freehold::cli {

class WordWrap {
 public:
    // width 0: everything passes unchanged.
    explicit WordWrap(int width) : width_(width) {}
    // What can be printed now; the last word waits until it is known to be whole.
    [[nodiscard]] std::string push(std::string_view text);
    [[nodiscard]] std::string finish();
    [[nodiscard]] bool at_line_start() const noexcept { return column_ == 0 && word_.empty(); }

 private:
    void end_word(std::string& out);

    int width_;
    int column_ = 0;
    bool fenced_ = false;
    std::string spaces_, word_, line_;
};

}  // namespace freehold::cli
