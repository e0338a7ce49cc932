// Moves and erases by grapheme cluster (Unicode annex 29, as utf8proc knows it); broken UTF-8 counts byte by byte.
#include "edit_buffer.h"

#include <utf8proc.h>

#include <algorithm>
#include <utility>

#include "../console.h"

namespace freehold::cli {
namespace {

struct Decoded {
    utf8proc_int32_t code = -1;
    std::size_t bytes = 1;
};

Decoded decode(std::string_view text, std::size_t at) {
    Decoded d;
    const auto n = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + at,
                                    static_cast<utf8proc_ssize_t>(text.size() - at), &d.code);
    if (n > 0) {
        d.bytes = static_cast<std::size_t>(n);
    } else {
        d.code = -1;
    }
    return d;
}

bool is_space(char c) {
    return c == ' ' || c == '\n' || c == '\t';
}

}  // namespace

std::size_t next_grapheme(std::string_view text, std::size_t at) {
    if (at >= text.size()) return text.size();
    Decoded d = decode(text, at);
    at += d.bytes;
    utf8proc_int32_t state = 0;
    while (at < text.size()) {
        const Decoded next = decode(text, at);
        if (d.code < 0 || next.code < 0 || utf8proc_grapheme_break_stateful(d.code, next.code, &state)) break;
        at += next.bytes;
        d = next;
    }
    return at;
}

std::size_t EditBuffer::after(std::size_t at) const {
    return next_grapheme(text_, at);
}

// Clusters are found forwards only, so the search begins at the start of the line.
std::size_t EditBuffer::before(std::size_t at) const {
    if (at == 0) return 0;
    std::size_t start = text_.rfind('\n', at - 1);
    if (start == at - 1) return at - 1;
    start = start == std::string::npos ? 0 : start + 1;
    std::size_t last = start;
    while (start < at) {
        last = start;
        start = after(start);
    }
    return last;
}

void EditBuffer::set(std::string text) {
    text_ = std::move(text);
    cursor_ = text_.size();
}

void EditBuffer::insert(std::string_view text) {
    text_.insert(cursor_, text);
    cursor_ += text.size();
}

bool EditBuffer::left() {
    const auto to = before(cursor_);
    return std::exchange(cursor_, to) != to;
}

bool EditBuffer::right() {
    const auto to = after(cursor_);
    return std::exchange(cursor_, to) != to;
}

void EditBuffer::word_left() {
    while (cursor_ > 0 && is_space(text_[cursor_ - 1])) --cursor_;
    while (cursor_ > 0 && !is_space(text_[cursor_ - 1])) --cursor_;
}

void EditBuffer::word_right() {
    while (cursor_ < text_.size() && is_space(text_[cursor_])) ++cursor_;
    while (cursor_ < text_.size() && !is_space(text_[cursor_])) ++cursor_;
}

void EditBuffer::line_start() {
    const auto newline = cursor_ == 0 ? std::string::npos : text_.rfind('\n', cursor_ - 1);
    cursor_ = newline == std::string::npos ? 0 : newline + 1;
}

void EditBuffer::line_end() {
    cursor_ = std::min(text_.find('\n', cursor_), text_.size());
}

bool EditBuffer::up() {
    const std::size_t at = cursor_;
    line_start();
    if (cursor_ == 0) {
        cursor_ = at;
        return false;
    }
    const int column = display_width(std::string_view(text_).substr(cursor_, at - cursor_));
    --cursor_;
    const std::size_t end = cursor_;
    line_start();
    const std::size_t start = cursor_;
    while (cursor_ < end && display_width(std::string_view(text_).substr(start, cursor_ - start)) < column) right();
    return true;
}

bool EditBuffer::down() {
    const std::size_t at = cursor_;
    line_start();
    const int column = display_width(std::string_view(text_).substr(cursor_, at - cursor_));
    cursor_ = at;
    line_end();
    if (cursor_ == text_.size()) {
        cursor_ = at;
        return false;
    }
    ++cursor_;
    const std::size_t start = cursor_;
    const std::size_t end = std::min(text_.find('\n', start), text_.size());
    while (cursor_ < end && display_width(std::string_view(text_).substr(start, cursor_ - start)) < column) right();
    return true;
}

bool EditBuffer::erase_before() {
    const auto from = before(cursor_);
    if (from == cursor_) return false;
    text_.erase(from, cursor_ - from);
    cursor_ = from;
    return true;
}

bool EditBuffer::erase_after() {
    const auto to = after(cursor_);
    if (to == cursor_) return false;
    text_.erase(cursor_, to - cursor_);
    return true;
}

void EditBuffer::kill(std::size_t from, std::size_t to) {
    if (from == to) return;
    killed_ = text_.substr(from, to - from);
    text_.erase(from, to - from);
    cursor_ = from;
}

void EditBuffer::kill_word_before() {
    const std::size_t to = cursor_;
    word_left();
    kill(cursor_, to);
}

void EditBuffer::kill_word_after() {
    const std::size_t from = cursor_;
    word_right();
    kill(from, cursor_);
}

void EditBuffer::kill_to_line_end() {
    const std::size_t from = cursor_;
    line_end();
    // At the end of a line the newline itself goes, as everywhere.
    if (cursor_ == from && cursor_ < text_.size()) ++cursor_;
    kill(from, cursor_);
}

void EditBuffer::kill_to_line_start() {
    const std::size_t to = cursor_;
    line_start();
    kill(cursor_, to);
}

void EditBuffer::yank() {
    insert(killed_);
}

void EditBuffer::transpose() {
    if (cursor_ == text_.size()) left();
    const std::size_t middle = cursor_;
    const std::size_t first = before(middle);
    const std::size_t last = after(middle);
    if (first == middle || last == middle) return;
    const std::string swapped = text_.substr(middle, last - middle) + text_.substr(first, middle - first);
    text_.replace(first, last - first, swapped);
    cursor_ = last;
}

Layout lay_out(std::string_view prompt, std::string_view continuation, std::string_view text, std::size_t cursor,
               int width) {
    Layout layout;
    layout.rows.emplace_back(prompt);
    int column = display_width(prompt);
    const auto new_row = [&](std::string_view start) {
        layout.rows.emplace_back(start);
        column = display_width(start);
    };
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = next_grapheme(text, at);
        const std::string_view glyph = text.substr(at, end - at);
        const bool newline = glyph == "\n" || glyph == "\r\n";
        // A tab shows as one space, a control character not at all: the layout stays what was computed.
        const int glyph_width = newline ? 0 : glyph == "\t" ? 1 : display_width(glyph);
        if (!newline && column + glyph_width > width) new_row("");
        if (at == cursor) {
            layout.cursor_row = layout.rows.size() - 1;
            layout.cursor_column = column;
        }
        if (newline) {
            new_row(continuation);
        } else {
            if (glyph == "\t") {
                layout.rows.back() += ' ';
            } else if (static_cast<unsigned char>(glyph[0]) >= 32) {
                layout.rows.back() += glyph;
            }
            column += glyph_width;
        }
        at = end;
    }
    if (cursor >= text.size()) {
        if (column >= width) new_row("");
        layout.cursor_row = layout.rows.size() - 1;
        layout.cursor_column = column;
    }
    return layout;
}

}  // namespace freehold::cli
