// The shortest edit script by Myers' greedy algorithm ("An O(ND) Difference Algorithm and Its Variations", 1986): the
// furthest reaching path for each number of edits, walked back. Bounded, since its trace grows with the square of D.
#include "lines.h"

#include <algorithm>
#include <string>
#include <utility>

#include "freehold/base/printable.h"

namespace freehold::diff {
namespace {

constexpr std::size_t kMostEdits = 1000;
constexpr std::size_t kMostText = 2000;  // bytes of one line that are kept

using Lines = std::vector<std::string_view>;

Lines split(std::string_view text) {
    Lines out;
    while (!text.empty()) {
        const auto end = std::min(text.find('\n'), text.size());
        std::string_view line = text.substr(0, end);
        if (line.ends_with('\r')) line.remove_suffix(1);
        out.push_back(line);
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return out;
}

struct Edit {
    char mark;
    std::size_t a, b;  // index of the line on each side
};

void take_all(std::vector<Edit>& out, char mark, std::size_t from, std::size_t to, std::size_t other) {
    for (std::size_t i = from; i < to; ++i) out.push_back(mark == '-' ? Edit{mark, i, other} : Edit{mark, other, i});
}

// Edits of a[begin_a, end_a) and b[begin_b, end_b), equal lines included.
std::vector<Edit> shortest(const Lines& a, const Lines& b, std::size_t begin, std::size_t end_a, std::size_t end_b) {
    const auto n = static_cast<std::ptrdiff_t>(end_a - begin), m = static_cast<std::ptrdiff_t>(end_b - begin);
    const auto most = static_cast<std::ptrdiff_t>(std::min<std::size_t>(kMostEdits, static_cast<std::size_t>(n + m)));
    std::vector<std::vector<std::ptrdiff_t>> trace;
    std::vector<std::ptrdiff_t> reach(static_cast<std::size_t>(2 * most + 3), 0);
    const auto at = [&](std::vector<std::ptrdiff_t>& v, std::ptrdiff_t k) -> std::ptrdiff_t& {
        return v[static_cast<std::size_t>(k + most + 1)];
    };
    const auto line_a = [&](std::ptrdiff_t i) { return a[begin + static_cast<std::size_t>(i)]; };
    const auto line_b = [&](std::ptrdiff_t i) { return b[begin + static_cast<std::size_t>(i)]; };
    bool found = n + m == 0;
    for (std::ptrdiff_t d = 0; d <= most && !found; ++d) {
        trace.push_back(reach);
        for (std::ptrdiff_t k = -d; k <= d && !found; k += 2) {
            const bool down = k == -d || (k != d && at(reach, k - 1) < at(reach, k + 1));
            std::ptrdiff_t x = down ? at(reach, k + 1) : at(reach, k - 1) + 1;
            while (x < n && x - k < m && line_a(x) == line_b(x - k)) ++x;
            at(reach, k) = x;
            found = x >= n && x - k >= m;
        }
    }
    std::vector<Edit> out;
    if (!found) {
        take_all(out, '-', begin, end_a, begin);
        take_all(out, '+', begin, end_b, end_a);
        return out;
    }
    std::ptrdiff_t x = n, y = m;
    for (auto d = static_cast<std::ptrdiff_t>(trace.size()) - 1; d >= 0 && x + y > 0; --d) {
        std::vector<std::ptrdiff_t>& v = trace[static_cast<std::size_t>(d)];
        const std::ptrdiff_t k = x - y;
        const bool down = k == -d || (k != d && at(v, k - 1) < at(v, k + 1));
        const std::ptrdiff_t from_x = d == 0 ? 0 : down ? at(v, k + 1) : at(v, k - 1);
        const std::ptrdiff_t from_y = d == 0 ? 0 : from_x - (down ? k + 1 : k - 1);
        const auto edit = [&](char mark, std::ptrdiff_t i, std::ptrdiff_t j) {
            out.push_back({mark, begin + static_cast<std::size_t>(i), begin + static_cast<std::size_t>(j)});
        };
        while (x > from_x + (d > 0 && !down ? 1 : 0) && y > from_y + (d > 0 && down ? 1 : 0)) edit(' ', --x, --y);
        if (d == 0) break;
        if (down)
            edit('+', x, --y);
        else
            edit('-', --x, y);
    }
    std::ranges::reverse(out);
    return out;
}

}  // namespace

TextChange compare_lines(std::string name, std::string_view a, std::string_view b, std::size_t around,
                         std::size_t most_lines) {
    TextChange out;
    out.name = std::move(name);
    out.in_a = out.in_b = true;
    const Lines left = split(a), right = split(b);
    std::size_t head = 0;
    while (head < left.size() && head < right.size() && left[head] == right[head]) ++head;
    std::size_t end_a = left.size(), end_b = right.size();
    while (end_a > head && end_b > head && left[end_a - 1] == right[end_b - 1]) --end_a, --end_b;
    if (end_a == head && end_b == head) return out;
    std::vector<Edit> edits;
    for (std::size_t i = head - std::min(head, around); i < head; ++i) edits.push_back({' ', i, i});
    const std::vector<Edit> middle = shortest(left, right, head, end_a, end_b);
    edits.insert(edits.end(), middle.begin(), middle.end());
    for (std::size_t i = 0; i < around && end_a + i < left.size(); ++i) edits.push_back({' ', end_a + i, end_b + i});
    std::vector<bool> wanted(edits.size(), false);
    for (std::size_t i = 0; i < edits.size(); ++i) {
        if (edits[i].mark == ' ') continue;
        ++(edits[i].mark == '+' ? out.added : out.removed);
        for (std::size_t k = i - std::min(i, around); k <= std::min(i + around, edits.size() - 1); ++k)
            wanted[k] = true;
    }
    for (std::size_t i = 0; i < edits.size(); ++i) {
        if (!wanted[i]) continue;
        if (out.lines.size() == most_lines) {
            out.cut = true;
            break;
        }
        const Edit& e = edits[i];
        Line line;
        line.mark = e.mark;
        if (e.mark != '+') line.number_a = static_cast<std::uint32_t>(e.a + 1);
        if (e.mark != '-') line.number_b = static_cast<std::uint32_t>(e.b + 1);
        line.text = printable(e.mark == '+' ? right[e.b] : left[e.a], kMostText);
        out.lines.push_back(std::move(line));
    }
    return out;
}

}  // namespace freehold::diff
