// What every verb says goes through here: is there a terminal and how wide is it, colour, wrapped sentences, tables,
// sizes and rates that people can read.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/base/error.h"

namespace freehold::cli {

[[nodiscard]] bool stdin_is_terminal() noexcept;
[[nodiscard]] bool stdout_is_terminal() noexcept;
[[nodiscard]] bool stderr_is_terminal() noexcept;
// Columns: the terminal's own, else COLUMNS, else 80; never under 20.
[[nodiscard]] int terminal_width() noexcept;

enum class Style : std::uint8_t { bold, dim, red, green, yellow, cyan };
// The text with colour for stdout (or stderr), or as it is: NO_COLOR is set, TERM is dumb, or nobody watches.
[[nodiscard]] std::string styled(std::string_view text, Style style);
[[nodiscard]] std::string styled_err(std::string_view text, Style style);

// Writes to stdout and flushes. A reader that has gone ends the process quietly; other failures are Error{io}.
void out(std::string_view text);
// Writes to stderr, unbuffered.
void err(std::string_view text);

// Columns that the text takes on a terminal: wide characters count two, combining ones none, escape sequences none.
[[nodiscard]] int display_width(std::string_view text) noexcept;
// Breaks at spaces so that no line is wider than `width`; later lines begin with `indent` spaces. Keeps newlines.
[[nodiscard]] std::string wrapped(std::string_view text, int width, int indent = 0);
// At most `width` columns, the end replaced by "…".
[[nodiscard]] std::string shortened(std::string_view text, int width);

// A sentence on stderr that is no error ("freehold: ..."), wrapped on a terminal.
void notice(std::string_view sentence);
// "freehold: message" and "  hint: hint", or one JSON object, on stderr.
void report(const Error& error, bool json);

// Lines of names and values, the values aligned and wrapped: what `show` and `doctor` print.
class Facts {
 public:
    void add(std::string name, std::string value);
    void heading(std::string text);
    [[nodiscard]] std::string str(int width) const;

 private:
    struct Row {
        std::string name, value;
        bool heading = false;
    };
    std::vector<Row> rows_;
};

// Columns of text. Where the terminal is too narrow, columns go from the last of `droppable` until the rest fits;
// the first column is never dropped. Not on a terminal: nothing is dropped or shortened.
class Table {
 public:
    struct Column {
        std::string title;
        bool right = false;      // numbers
        bool droppable = false;  // may go when the terminal is narrow
    };
    explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
    void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
    [[nodiscard]] bool empty() const noexcept { return rows_.empty(); }
    // width 0: not a terminal.
    [[nodiscard]] std::string str(int width) const;

 private:
    std::vector<Column> columns_;
    std::vector<std::vector<std::string>> rows_;
};

[[nodiscard]] std::string human_bytes(std::uint64_t bytes);     // "98.4 MB" (powers of ten, as disks are sold)
[[nodiscard]] std::string human_count(std::uint64_t count);     // "134.5 M"
[[nodiscard]] std::string human_seconds(double seconds);        // "0.8 s", "3 min 20 s"
[[nodiscard]] std::string with_thousands(std::uint64_t count);  // "131,072"
[[nodiscard]] std::string age_of(std::string_view rfc3339);     // "3 days ago", or the text itself

// How far two words are apart (edits, transpositions count one); for "did you mean".
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace freehold::cli
