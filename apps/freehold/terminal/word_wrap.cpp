// A word goes to the next line when it does not fit; the spaces before it stay behind.
#include "word_wrap.h"

#include "../console.h"

namespace freehold::cli {

void WordWrap::end_word(std::string& out) {
    const int needed = static_cast<int>(spaces_.size()) + display_width(word_);
    if (!word_.empty() && column_ > 0 && column_ + needed > width_ && !fenced_) {
        out += "\n";
        column_ = 0;
        spaces_.clear();
    }
    out += spaces_ + word_;
    column_ += static_cast<int>(spaces_.size()) + display_width(word_);
    spaces_.clear();
    word_.clear();
}

std::string WordWrap::push(std::string_view text) {
    if (width_ <= 0) {
        if (!text.empty()) column_ = text.back() == '\n' ? 0 : 1;
        return std::string(text);
    }
    std::string out;
    for (const char c : text) {
        if (c == '\n') {
            end_word(out);
            if (line_.starts_with("```")) fenced_ = !fenced_;
            line_.clear();
            out += '\n';
            column_ = 0;
            continue;
        }
        if (line_.size() < 3) line_ += c;
        if (c == ' ') {
            if (!word_.empty()) end_word(out);
            spaces_ += c;
        } else {
            word_ += c;
            // A script without spaces, or a long URL, is not held back for ever.
            if (word_.size() > 64 && (static_cast<unsigned char>(c) < 0x80)) end_word(out);
        }
    }
    return out;
}

std::string WordWrap::finish() {
    std::string out;
    if (width_ > 0) end_word(out);
    return out;
}

}  // namespace freehold::cli
