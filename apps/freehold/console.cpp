// Terminal facts, colour and plain output.
#include "console.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utf8proc.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <numeric>

#include "freehold/base/value.h"

namespace freehold::cli {
namespace {

bool wants_colour(bool terminal) noexcept {
    if (!terminal) return false;
    const char* no_color = std::getenv("NO_COLOR");
    if (no_color != nullptr && *no_color != '\0') return false;
    const char* term = std::getenv("TERM");
    return term != nullptr && std::strcmp(term, "dumb") != 0;
}

std::string painted(std::string_view text, Style style, bool terminal) {
    if (!wants_colour(terminal)) return std::string(text);
    const char* code = "1";
    switch (style) {
        case Style::bold:
            code = "1";
            break;
        case Style::dim:
            code = "2";
            break;
        case Style::red:
            code = "31";
            break;
        case Style::green:
            code = "32";
            break;
        case Style::yellow:
            code = "33";
            break;
        case Style::cyan:
            code = "36";
            break;
    }
    return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

void write_all(int fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t n = ::write(fd, text.data(), text.size());
        if (n < 0) {
            if (errno == EINTR) continue;
            if (errno == EPIPE) {
                // The reader left ("| head"): that is its right, and no error of ours.
                ::signal(SIGPIPE, SIG_DFL);
                ::raise(SIGPIPE);
                ::_exit(141);
            }
            if (fd != STDOUT_FILENO) return;
            throw Error(ErrorKind::io, fmt::format("Could not write to standard output: {}.", std::strerror(errno)),
                        "Is the disk full, or the output closed?");
        }
        text.remove_prefix(static_cast<std::size_t>(n));
    }
}

// One character of valid or broken UTF-8: its length in bytes and its columns.
struct Glyph {
    std::size_t bytes = 1;
    int columns = 1;
};

Glyph glyph_at(std::string_view text) noexcept {
    if (text[0] == '\x1b' && text.size() > 1 && text[1] == '[') {
        std::size_t end = 2;
        while (end < text.size() && (text[end] < '@' || text[end] > '~')) ++end;
        return {std::min(end + 1, text.size()), 0};
    }
    utf8proc_int32_t code = 0;
    const auto n = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                    static_cast<utf8proc_ssize_t>(text.size()), &code);
    if (n <= 0) return {1, 1};
    return {static_cast<std::size_t>(n), code < 32 ? 0 : utf8proc_charwidth(code)};
}

}  // namespace

bool stdin_is_terminal() noexcept {
    return ::isatty(STDIN_FILENO) == 1;
}
bool stdout_is_terminal() noexcept {
    return ::isatty(STDOUT_FILENO) == 1;
}
bool stderr_is_terminal() noexcept {
    return ::isatty(STDERR_FILENO) == 1;
}

int terminal_width() noexcept {
    int width = 0;
    winsize size{};
    for (const int fd : {STDOUT_FILENO, STDERR_FILENO}) {
        if (width == 0 && ::isatty(fd) == 1 && ::ioctl(fd, TIOCGWINSZ, &size) == 0) width = size.ws_col;
    }
    if (const char* columns = std::getenv("COLUMNS"); width == 0 && columns != nullptr) {
        const std::string_view text = columns;
        if (std::from_chars(text.data(), text.data() + text.size(), width).ec != std::errc()) width = 0;
    }
    if (width <= 0) width = 80;
    return std::max(width, 20);
}

std::string styled(std::string_view text, Style style) {
    return painted(text, style, stdout_is_terminal());
}
std::string styled_err(std::string_view text, Style style) {
    return painted(text, style, stderr_is_terminal());
}

void out(std::string_view text) {
    write_all(STDOUT_FILENO, text);
}
void err(std::string_view text) {
    write_all(STDERR_FILENO, text);
}

int display_width(std::string_view text) noexcept {
    int width = 0;
    while (!text.empty()) {
        const Glyph glyph = glyph_at(text);
        width += glyph.columns;
        text.remove_prefix(glyph.bytes);
    }
    return width;
}

std::string wrapped(std::string_view text, int width, int indent) {
    std::string result;
    const std::string margin(static_cast<std::size_t>(indent), ' ');
    int column = 0;
    bool line_has_words = false;
    std::size_t at = 0;
    while (at < text.size()) {
        if (text[at] == '\n') {
            result += '\n';
            result += margin;
            column = indent;
            line_has_words = false;
            ++at;
            continue;
        }
        std::size_t spaces = at;
        while (spaces < text.size() && text[spaces] == ' ') ++spaces;
        std::size_t end = spaces;
        while (end < text.size() && text[end] != ' ' && text[end] != '\n') ++end;
        const std::string_view gap = text.substr(at, spaces - at);
        const std::string_view word = text.substr(spaces, end - spaces);
        const int word_width = display_width(word);
        if (line_has_words && column + static_cast<int>(gap.size()) + word_width > width) {
            result += '\n';
            result += margin;
            result += word;
            column = indent + word_width;
        } else {
            result += gap;
            result += word;
            column += static_cast<int>(gap.size()) + word_width;
        }
        line_has_words = line_has_words || !word.empty();
        at = end;
    }
    return result;
}

std::string shortened(std::string_view text, int width) {
    if (display_width(text) <= width) return std::string(text);
    std::string result;
    int column = 0;
    while (!text.empty()) {
        const Glyph glyph = glyph_at(text);
        if (column + glyph.columns > width - 1) break;
        result += text.substr(0, glyph.bytes);
        column += glyph.columns;
        text.remove_prefix(glyph.bytes);
    }
    return result + "…";
}

void notice(std::string_view sentence) {
    const std::string line = fmt::format("freehold: {}", sentence);
    err((stderr_is_terminal() ? wrapped(line, terminal_width(), 2) : line) + "\n");
}

void report(const Error& error, bool json) {
    if (json) {
        ValueMap body;
        body.set("kind", std::string(kind_name(error.kind())));
        body.set("message", error.message());
        body.set("hint", error.hint());
        body.set("exit_code", std::int64_t{exit_code(error.kind())});
        ValueMap top;
        top.set("error", std::move(body));
        err(to_json(Value(std::move(top))) + "\n");
        return;
    }
    const bool terminal = stderr_is_terminal();
    std::string text = fmt::format("{} {}", styled_err("freehold:", Style::red), error.message());
    if (terminal) text = wrapped(text, terminal_width(), 2);
    text += '\n';
    if (!error.hint().empty()) {
        std::string hint = fmt::format("  hint: {}", error.hint());
        if (terminal) hint = wrapped(hint, terminal_width(), 8);
        text += hint + "\n";
    }
    err(text);
}

void Facts::add(std::string name, std::string value) {
    rows_.push_back({std::move(name), std::move(value), false});
}
void Facts::heading(std::string text) {
    rows_.push_back({std::move(text), {}, true});
}

std::string Facts::str(int width) const {
    int names = 0;
    for (const Row& row : rows_) {
        if (!row.heading) names = std::max(names, display_width(row.name));
    }
    std::string result;
    for (const Row& row : rows_) {
        if (row.heading) {
            result += (result.empty() ? "" : "\n") + styled(row.name, Style::bold) + "\n";
            continue;
        }
        const std::string pad(static_cast<std::size_t>(names - display_width(row.name)), ' ');
        const std::string line = "  " + row.name + pad + "  ";
        // On a very narrow terminal the values hang under the names, with a small indent.
        const int indent = width > 0 && names + 4 > width / 2 ? 6 : names + 4;
        // In a pipe nothing is broken, but a value of several lines stays under its name.
        result += wrapped(line + row.value, width > 0 ? width : 1 << 20, indent) + "\n";
    }
    return result;
}

std::string Table::str(int width) const {
    std::vector<int> widths;
    for (const Column& column : columns_) widths.push_back(display_width(column.title));
    for (const auto& row : rows_) {
        for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], display_width(row[c]));
    }
    std::vector<bool> shown(columns_.size(), true);
    const auto total = [&] {
        int sum = -2;
        for (std::size_t c = 0; c < columns_.size(); ++c) sum += shown[c] ? widths[c] + 2 : 0;
        return sum;
    };
    for (std::size_t c = columns_.size(); c-- > 1 && width > 0 && total() > width;) {
        if (columns_[c].droppable) shown[c] = false;
    }
    if (width > 0 && total() > width) widths[0] = std::max(8, widths[0] - (total() - width));
    const auto line = [&](const std::vector<std::string>& cells, bool title) {
        std::string text;
        for (std::size_t c = 0; c < columns_.size(); ++c) {
            if (!shown[c]) continue;
            const std::string cell = shortened(cells[c], widths[c]);
            const std::string pad(static_cast<std::size_t>(std::max(0, widths[c] - display_width(cell))), ' ');
            if (!text.empty()) text += "  ";
            text += columns_[c].right ? pad + cell : cell + pad;
        }
        while (text.ends_with(' ')) text.pop_back();
        return (title ? styled(text, Style::bold) : text) + "\n";
    };
    std::vector<std::string> titles;
    for (const Column& column : columns_) titles.push_back(column.title);
    std::string result = line(titles, true);
    for (const auto& row : rows_) result += line(row, false);
    return result;
}

std::string human_bytes(std::uint64_t bytes) {
    if (bytes < 1000) return fmt::format("{} B", bytes);
    double value = static_cast<double>(bytes);
    const char* units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    std::size_t unit = 0;
    while (value >= 999.5 && unit + 1 < std::size(units)) {
        value /= 1000.0;
        ++unit;
    }
    return value < 99.95 ? fmt::format("{:.1f} {}", value, units[unit]) : fmt::format("{:.0f} {}", value, units[unit]);
}

std::string human_count(std::uint64_t count) {
    const double value = static_cast<double>(count);
    if (count < 1000) return fmt::format("{}", count);
    if (value < 999.5e3) return fmt::format("{:.0f} K", value / 1e3);
    if (value < 999.5e6) return fmt::format("{:.{}f} M", value / 1e6, value < 99.95e6 ? 1 : 0);
    if (value < 999.5e9) return fmt::format("{:.{}f} B", value / 1e9, value < 99.95e9 ? 1 : 0);
    return fmt::format("{:.1f} T", value / 1e12);
}

std::string human_seconds(double seconds) {
    if (seconds < 1.0) return fmt::format("{:.0f} ms", seconds * 1e3);
    if (seconds < 10.0) return fmt::format("{:.1f} s", seconds);
    if (seconds < 90.0) return fmt::format("{:.0f} s", seconds);
    const auto whole = static_cast<long long>(std::llround(seconds));
    if (whole < 5400) return fmt::format("{} min {} s", whole / 60, whole % 60);
    return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

std::string with_thousands(std::uint64_t count) {
    std::string digits = fmt::format("{}", count);
    for (std::size_t at = digits.size(); at > 3;) {
        at -= 3;
        digits.insert(at, ",");
    }
    return digits;
}

std::string age_of(std::string_view rfc3339) {
    std::tm when{};
    if (::strptime(std::string(rfc3339).c_str(), "%Y-%m-%dT%H:%M:%S", &when) == nullptr) return std::string(rfc3339);
    const double seconds = std::difftime(std::time(nullptr), ::timegm(&when));
    const auto say = [](double n, const char* unit) {
        const auto whole = static_cast<long long>(n);
        return fmt::format("{} {}{} ago", whole, unit, whole == 1 ? "" : "s");
    };
    if (seconds < 60) return "just now";
    if (seconds < 3600) return say(seconds / 60, "minute");
    if (seconds < 86400) return say(seconds / 3600, "hour");
    if (seconds < 86400 * 60) return say(seconds / 86400, "day");
    return std::string(rfc3339.substr(0, 10));
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before(b.size() + 1);
    std::vector<std::size_t> last(b.size() + 1);
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(last.begin(), last.end(), std::size_t{0});
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + change});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = std::min(row[j], before[j - 2] + 1);
        }
        before.swap(last);
        last.swap(row);
    }
    return last[b.size()];
}

}  // namespace freehold::cli
