// Names for the clauses of a licence, from the numbers and letters at the beginning of its lines, so that a change can
// be told as "4.d" and not as a byte offset. A guess for people; nothing is decided by it.
#include <algorithm>
#include <cctype>

#include "library.h"

namespace freehold::licence {
namespace {

enum class Mark : std::uint8_t { none, section, number, letter, capital, roman };

struct Head {
    Mark kind = Mark::none;
    std::string label;
    std::size_t words = 0;  // that the mark takes
};

bool digits(std::string_view s) {
    return !s.empty() && std::ranges::all_of(s, [](unsigned char c) { return std::isdigit(c) != 0; });
}

// What the line that begins with words[i] is headed by; `line` is its raw text.
Head head_of(std::span<const Word> words, std::size_t i, std::string_view line) {
    const std::string& first = words[i].text;
    const bool has_next = i + 1 < words.size() && words[i + 1].line == words[i].line;
    if ((first == "section" || first == "article") && has_next && digits(words[i + 1].text))
        return {Mark::section, "Section " + words[i + 1].text, 2};
    if ((first == "attachment" || first == "exhibit" || first == "appendix") && words[i].line == words[i].line)
        return {Mark::section, line.starts_with("E") ? "Exhibit" : first == "appendix" ? "Appendix" : "Attachment", 1};
    if (!words[i].marker) return {};
    if (digits(first)) {  // 1, 1.2, 1.2.3
        Head h{Mark::number, first, 1};
        for (std::size_t k = i + 1; k < words.size() && words[k].line == words[i].line && words[k].marker &&
                                    digits(words[k].text) && words[k].begin == words[k - 1].end + 1;
             ++k, ++h.words)
            h.label += "." + words[k].text;
        return h;
    }
    const std::size_t mark = line.find_first_not_of(" \t*#(\\");
    const bool capital = mark != std::string_view::npos && std::isupper(static_cast<unsigned char>(line[mark])) != 0;
    if (first.size() > 1) return {Mark::roman, first, 1};
    return {capital ? Mark::capital : Mark::letter, first, 1};
}

class Namer {
 public:
    Namer(std::string_view source, std::span<const Word> words) : source_(source), words_(words) {}

    void run(std::vector<std::string>& names, std::vector<std::uint32_t>& of_word) {
        of_word.resize(words_.size());
        for (std::size_t i = 0; i < words_.size(); ++i) {
            if (words_[i].starts_line || i == 0) {
                const std::string name = at_line(i);
                if (!name.empty() && (names.empty() || names.back() != name)) names.push_back(name);
            }
            if (names.empty()) names.emplace_back("the beginning");
            of_word[i] = static_cast<std::uint32_t>(names.size() - 1);
        }
    }

 private:
    // The name of what begins here, or an empty string when the line goes on with what was before.
    std::string at_line(std::size_t i) {
        const std::size_t start = source_.rfind('\n', words_[i].begin) + 1;
        const std::string_view line = source_.substr(start, 200);
        Head head = head_of(words_, i, line);
        if (head.kind == Mark::letter && (head.label == "i" || head.label == "v" || head.label == "x")) {
            const char before = static_cast<char>(head.label[0] - 1);
            if (stack_.empty() || stack_.back().kind != Mark::letter || stack_.back().label[0] != before)
                head.kind = Mark::roman;
        }
        if (head.kind == Mark::none) {
            const bool paragraph = start < 2 || source_.substr(0, start).find_last_not_of(" \t\r\n") + 2 < start;
            if (!paragraph) return {};
            const bool inside = !stack_.empty();
            return (inside ? path() + " " : std::string()) + "\"" + first_words(i) + "\"";
        }
        const auto same = std::ranges::find(stack_, head.kind, &Head::kind);
        stack_.erase(same, stack_.end());
        if (head.kind == Mark::section || (head.kind == Mark::number && head.label.find('.') != std::string::npos))
            stack_.clear();
        stack_.push_back(head);
        return path() + " \"" + first_words(i + head.words) + "\"";
    }

    [[nodiscard]] std::string path() const {
        std::string out;
        for (const Head& h : stack_) out += (out.empty() ? "" : ".") + h.label;
        return out;
    }

    [[nodiscard]] std::string first_words(std::size_t i) const {
        constexpr std::size_t kShown = 7;
        if (i >= words_.size()) return {};
        std::size_t last = i;
        while (last + 1 < words_.size() && last + 1 < i + kShown) ++last;
        std::string out;
        for (const char c : source_.substr(words_[i].begin, words_[last].end - words_[i].begin)) {
            const bool space = c == ' ' || c == '\n' || c == '\t' || c == '\r';
            if (c == '*' || c == '\\' || c == '"') continue;
            if (!space || (!out.empty() && out.back() != ' ')) out += space ? ' ' : c;
        }
        return out;
    }

    std::string_view source_;
    std::span<const Word> words_;
    std::vector<Head> stack_;
};

}  // namespace

void name_clauses(std::string_view source, std::span<const Word> words, std::vector<std::string>& names,
                  std::vector<std::uint32_t>& of_word) {
    Namer(source, words).run(names, of_word);
}

}  // namespace freehold::licence
