// Raw mode while a line is typed, and only then: an answer is printed on an ordinary terminal, where Ctrl-C is a
// signal.
#include "line_editor.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <utility>

#include "../console.h"
#include "../interrupt.h"

namespace freehold::cli {
namespace {

class RawMode {
 public:
    RawMode() {
        ::tcgetattr(STDIN_FILENO, &saved_);
        enter();
    }
    ~RawMode() { leave(); }
    RawMode(const RawMode&) = delete;
    RawMode& operator=(const RawMode&) = delete;
    void enter() {
        termios raw = saved_;
        raw.c_iflag &= ~static_cast<tcflag_t>(BRKINT | ICRNL | INPCK | ISTRIP | IXON);
        raw.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON | IEXTEN | ISIG);
        raw.c_cc[VMIN] = 1;
        raw.c_cc[VTIME] = 0;
        ::tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
        out("\x1b[?2004h");  // pasted text comes in brackets, so its newlines send nothing
    }
    void leave() {
        out("\x1b[?2004l");
        ::tcsetattr(STDIN_FILENO, TCSADRAIN, &saved_);
    }

 private:
    termios saved_{};
};

std::size_t terminal_height() {
    winsize size{};
    return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 ? size.ws_row : 24;
}

constexpr int ctrl(char letter) {
    return letter & 0x1F;
}

}  // namespace

LineEditor::Line LineEditor::read(std::string_view prompt, std::string_view continuation) {
    if (!stdin_is_terminal()) return read_plain();
    prompt_ = prompt;
    continuation_ = continuation;
    return read_keys();
}

LineEditor::Line LineEditor::read_plain() {
    for (;;) {
        if (const auto newline = plain_rest_.find('\n'); newline != std::string::npos) {
            Line line{End::line, plain_rest_.substr(0, newline)};
            plain_rest_.erase(0, newline + 1);
            if (line.text.ends_with('\r')) line.text.pop_back();
            return line;
        }
        std::array<char, 4096> bytes;
        const ssize_t n = ::read(STDIN_FILENO, bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR && !interrupted()) continue;
        if (n < 0 && interrupted()) return {End::interrupted, {}};
        if (n <= 0) {
            if (plain_rest_.empty()) return {End::end_of_input, {}};
            return {End::line, std::exchange(plain_rest_, {})};
        }
        plain_rest_.append(bytes.data(), static_cast<std::size_t>(n));
    }
}

// The next byte of input, -1 at its end or when a signal asked to leave.
int LineEditor::next_byte() {
    if (input_at_ < input_.size()) return static_cast<unsigned char>(input_[input_at_++]);
    std::array<char, 4096> bytes;
    for (;;) {
        const ssize_t n = ::read(STDIN_FILENO, bytes.data(), bytes.size());
        if (n > 0) {
            input_.assign(bytes.data(), static_cast<std::size_t>(n));
            input_at_ = 1;
            return static_cast<unsigned char>(input_[0]);
        }
        if (n < 0 && errno == EINTR && !interrupted()) continue;
        return -1;
    }
}

LineEditor::Line LineEditor::read_keys() {
    RawMode raw;
    buffer_.set("");
    draft_.clear();
    history_at_ = history_.size();
    drawn_cursor_row_ = 0;
    draw();
    for (;;) {
        const int key = next_byte();
        switch (key) {
            case -1:
                leave_line();
                return {End::end_of_input, {}};
            case '\r':
            case '\n':
                leave_line();
                return {End::line, buffer_.text()};
            case ctrl('C'):
                leave_line();
                return {End::interrupted, buffer_.text()};
            case ctrl('D'):
                if (buffer_.text().empty()) {
                    leave_line();
                    return {End::end_of_input, {}};
                }
                buffer_.erase_after();
                break;
            case ctrl('Z'):
                leave_line();
                raw.leave();
                ::raise(SIGTSTP);
                raw.enter();
                drawn_cursor_row_ = 0;
                break;
            case ctrl('A'):
                buffer_.line_start();
                break;
            case ctrl('E'):
                buffer_.line_end();
                break;
            case ctrl('B'):
                buffer_.left();
                break;
            case ctrl('F'):
                buffer_.right();
                break;
            case ctrl('P'):
                recall(-1);
                break;
            case ctrl('N'):
                recall(1);
                break;
            case ctrl('R'):
                search_back();
                break;
            case ctrl('K'):
                buffer_.kill_to_line_end();
                break;
            case ctrl('U'):
                buffer_.kill_to_line_start();
                break;
            case ctrl('W'):
                buffer_.kill_word_before();
                break;
            case ctrl('Y'):
                buffer_.yank();
                break;
            case ctrl('T'):
                buffer_.transpose();
                break;
            case ctrl('L'):
                out("\x1b[H\x1b[2J");
                drawn_cursor_row_ = 0;
                break;
            case '\t':
                complete();
                break;
            case 127:
            case ctrl('H'):
                buffer_.erase_before();
                break;
            case 27:
                escape_sequence();
                break;
            default:
                if (key >= 32) {
                    std::string text(1, static_cast<char>(key));
                    // The other bytes of one character arrive together; drawing between them would show half of it.
                    const int more = key >= 0xF0 ? 3 : key >= 0xE0 ? 2 : key >= 0xC0 ? 1 : 0;
                    for (int i = 0; i < more; ++i) {
                        const int byte = next_byte();
                        if (byte >= 0) text += static_cast<char>(byte);
                    }
                    buffer_.insert(text);
                }
        }
        if (input_at_ >= input_.size()) draw();
    }
}

void LineEditor::escape_sequence() {
    if (input_at_ >= input_.size()) {
        // A lone Escape does nothing; the rest of a sequence follows within a moment.
        pollfd wait{STDIN_FILENO, POLLIN, 0};
        if (::poll(&wait, 1, 50) <= 0) return;
    }
    const int key = next_byte();
    switch (key) {
        case '[':
            csi_sequence();
            break;
        case 'O': {
            const int letter = next_byte();
            if (letter == 'H') buffer_.line_start();
            if (letter == 'F') buffer_.line_end();
            break;
        }
        case 'b':
            buffer_.word_left();
            break;
        case 'f':
            buffer_.word_right();
            break;
        case 'd':
            buffer_.kill_word_after();
            break;
        case 127:
        case ctrl('H'):
            buffer_.kill_word_before();
            break;
        case '\r':
        case '\n':
            buffer_.insert("\n");
            break;  // Alt-Enter: a new line in the text
        default:
            break;
    }
}

void LineEditor::csi_sequence() {
    std::string parameters;
    int final_byte = next_byte();
    while (final_byte >= 0 && (final_byte < '@' || final_byte > '~')) {
        parameters += static_cast<char>(final_byte);
        final_byte = next_byte();
    }
    const bool with_modifier = parameters.find(';') != std::string::npos;
    switch (final_byte) {
        case 'A':
            if (!buffer_.up()) recall(-1);
            break;
        case 'B':
            if (!buffer_.down()) recall(1);
            break;
        case 'C':
            with_modifier ? buffer_.word_right() : static_cast<void>(buffer_.right());
            break;
        case 'D':
            with_modifier ? buffer_.word_left() : static_cast<void>(buffer_.left());
            break;
        case 'H':
            buffer_.line_start();
            break;
        case 'F':
            buffer_.line_end();
            break;
        case '~':
            if (parameters == "1" || parameters == "7") buffer_.line_start();
            if (parameters == "4" || parameters == "8") buffer_.line_end();
            if (parameters == "3") buffer_.erase_after();
            if (parameters == "200") bracketed_paste();
            break;
        default:
            break;
    }
}

void LineEditor::bracketed_paste() {
    constexpr std::string_view kEnd = "\x1b[201~";
    std::string text;
    while (!text.ends_with(kEnd)) {
        const int byte = next_byte();
        if (byte < 0) return;
        text += static_cast<char>(byte == '\r' ? '\n' : byte);
    }
    text.resize(text.size() - kEnd.size());
    // Control characters in a paste are dropped: nothing that was copied may act as a key.
    std::erase_if(text, [](char c) { return static_cast<unsigned char>(c) < 32 && c != '\n' && c != '\t'; });
    buffer_.insert(text);
}

void LineEditor::recall(int direction) {
    const std::size_t newest = history_.size();
    if (direction < 0 && history_at_ == 0) return;
    if (direction > 0 && history_at_ >= newest) return;
    if (history_at_ == newest) draft_ = buffer_.text();
    history_at_ = direction < 0 ? history_at_ - 1 : history_at_ + 1;
    buffer_.set(history_at_ == newest ? draft_ : history_.at(history_at_));
}

// The next older entry that holds what is typed now; again for one that is older still.
void LineEditor::search_back() {
    if (history_at_ == history_.size()) draft_ = buffer_.text();
    for (std::size_t i = history_at_; i-- > 0;) {
        if (history_.at(i).find(draft_) != std::string::npos) {
            history_at_ = i;
            buffer_.set(history_.at(i));
            return;
        }
    }
}

void LineEditor::complete() {
    if (!completer_ || buffer_.cursor() != buffer_.text().size()) return;
    const auto words = completer_(buffer_.text());
    if (words.empty()) return;
    std::string common = words.front();
    for (const auto& word : words) {
        const auto end = std::ranges::mismatch(common, word).in1;
        common.erase(end, common.end());
    }
    if (common.size() > buffer_.text().size()) {
        buffer_.set(words.size() == 1 ? common + " " : common);
    } else if (words.size() > 1) {
        leave_line();
        out(wrapped(fmt::format("{}", fmt::join(words, "  ")), terminal_width()) + "\n");
        drawn_cursor_row_ = 0;
    }
}

void LineEditor::draw() {
    const Layout layout = lay_out(prompt_, continuation_, buffer_.text(), buffer_.cursor(), terminal_width());
    // A text that is higher than the terminal shows the rows around the cursor.
    const std::size_t height = terminal_height();
    std::size_t first = 0;
    std::size_t last = layout.rows.size();
    if (last > height) {
        first = std::min(layout.cursor_row > height / 2 ? layout.cursor_row - height / 2 : 0, last - height);
        last = first + height;
    }
    std::string text = "\r";
    if (drawn_cursor_row_ > 0) text += fmt::format("\x1b[{}A", drawn_cursor_row_);
    text += "\x1b[J";
    for (std::size_t r = first; r < last; ++r) text += (r > first ? "\r\n" : "") + layout.rows[r];
    drawn_cursor_row_ = layout.cursor_row - first;
    const std::size_t up = last - first - 1 - drawn_cursor_row_;
    if (up > 0) text += fmt::format("\x1b[{}A", up);
    text += "\r";
    if (layout.cursor_column > 0) text += fmt::format("\x1b[{}C", layout.cursor_column);
    out(text);
}

// Below the last row of what was typed, so that what follows does not overwrite it.
void LineEditor::leave_line() {
    EditBuffer at_end = buffer_;
    at_end.set(buffer_.text());
    std::swap(at_end, buffer_);
    draw();
    std::swap(at_end, buffer_);
    out("\r\n");
    drawn_cursor_row_ = 0;
}

}  // namespace freehold::cli
