// Bytes to words: one pass over the text, a few rules at the beginning of each line, and the spellings that are equal.
#include "words.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "hidden.h"

namespace freehold::licence {
namespace {

using Pair = std::pair<std::string_view, std::string_view>;

// Sorted by the first. The left form becomes the right one (SPDX matching guidelines, equivalent words).
constexpr auto kSpellings = std::to_array<Pair>({
    {"acknowledgement", "acknowledgment"},
    {"analogue", "analog"},
    {"analyse", "analyze"},
    {"artefact", "artifact"},
    {"artefacts", "artifacts"},
    {"authorisation", "authorization"},
    {"authorised", "authorized"},
    {"calibre", "caliber"},
    {"cancelled", "canceled"},
    {"capitalisations", "capitalizations"},
    {"catalogue", "catalog"},
    {"categorise", "categorize"},
    {"centre", "center"},
    {"colour", "color"},
    {"emphasised", "emphasized"},
    {"favour", "favor"},
    {"favourite", "favorite"},
    {"fulfil", "fulfill"},
    {"fulfilment", "fulfillment"},
    {"initialise", "initialize"},
    {"judgement", "judgment"},
    {"labelling", "labeling"},
    {"labour", "labor"},
    {"licence", "license"},
    {"licences", "licenses"},
    {"maximise", "maximize"},
    {"modelled", "modeled"},
    {"modelling", "modeling"},
    {"offence", "offense"},
    {"optimise", "optimize"},
    {"organisation", "organization"},
    {"organise", "organize"},
    {"practise", "practice"},
    {"programme", "program"},
    {"realise", "realize"},
    {"recognise", "recognize"},
    {"signalling", "signaling"},
    {"sublicence", "sublicense"},
    {"utilisation", "utilization"},
    {"whilst", "while"},
    {"wilful", "willful"},
});

constexpr auto kTags = std::to_array<std::string_view>(
    {"a",     "b",     "blockquote", "body", "br",  "center", "code",  "div",     "em",   "font", "h1",
     "h2",    "h3",    "h4",         "h5",   "h6",  "head",   "hr",    "html",    "i",    "img",  "li",
     "link",  "meta",  "ol",         "p",    "pre", "s",      "sub",   "section", "span", "sup",  "strong",
     "style", "table", "tbody",      "td",   "th",  "thead",  "title", "tr",      "tt",   "u",    "ul"});

bool ascii_letter(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool digit(char c) noexcept {
    return c >= '0' && c <= '9';
}
char lower(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
bool blank(char c) noexcept {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' || c == '\v';
}

// One code point; a byte that begins none is taken alone, as U+FFFD.
struct Point {
    char32_t code = 0;
    std::size_t length = 1;
};
Point point_at(std::string_view s, std::size_t i) noexcept {
    const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(s[k]); };
    const unsigned char first = byte(i);
    if (first < 0x80) return {first, 1};
    const std::size_t length = first >= 0xf0 && first < 0xf5 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 1;
    if (first >= 0xf5 || length == 1 || i + length > s.size()) return {0xfffd, 1};
    char32_t code = first & (0xffU >> (length + 1));
    for (std::size_t k = 1; k < length; ++k) {
        if ((byte(i + k) & 0xc0) != 0x80) return {0xfffd, 1};
        code = (code << 6) | (byte(i + k) & 0x3fU);
    }
    return {code, length};
}

// What a code point beyond ASCII is to a reader of licences.
enum class Sort : std::uint8_t { letter, ideograph, apostrophe, nothing, separator, copyright };
Sort sort_of(char32_t c) noexcept {
    if (c == 0x2019 || c == 0x2018 || c == 0x02bc || c == 0xb4) return Sort::apostrophe;
    if (c == 0xad || c == 0x200b || c == 0x200c || c == 0x200d || c == 0x2060 || c == 0xfeff) return Sort::nothing;
    if (c == 0xa9) return Sort::copyright;
    if ((c >= 0x3040 && c <= 0x30ff) || (c >= 0x3400 && c <= 0x9fff) || (c >= 0xac00 && c <= 0xd7a3))
        return Sort::ideograph;
    if (c < 0xc0 || c == 0xd7 || c == 0xf7 || (c >= 0x2000 && c <= 0x2bff) || (c >= 0x3000 && c <= 0x303f) ||
        (c >= 0xff00 && c <= 0xff0f) || c == 0xfffd || (c >= 0xff1a && c <= 0xff20) || (c >= 0xe000 && c <= 0xf8ff))
        return Sort::separator;
    return Sort::letter;
}

// Letters that PDF readers write as one sign.
std::string_view ligature(char32_t c) noexcept {
    constexpr std::array<std::string_view, 7> kForms = {"ff", "fi", "fl", "ffi", "ffl", "st", "st"};
    return c >= 0xfb00 && c <= 0xfb06 ? kForms[c - 0xfb00] : std::string_view();
}

// Length of the HTML tag or entity at `i`, or 0.
std::size_t html_at(std::string_view s, std::size_t i) noexcept {
    if (s[i] == '<') {
        std::size_t k = i + 1;
        if (k < s.size() && s[k] == '/') ++k;
        const std::size_t start = k;
        while (k < s.size() && k - start < 10 && (ascii_letter(s[k]) || digit(s[k]))) ++k;
        std::string name(s.substr(start, k - start));
        std::ranges::transform(name, name.begin(), lower);
        if (std::ranges::find(kTags, name) == kTags.end()) return 0;
        const std::size_t close = s.substr(k, 400).find_first_of("<>");
        return close == std::string_view::npos || s[k + close] == '<' ? 0 : k + close + 1 - i;
    }
    if (s[i] == '&') {
        const std::size_t end = s.substr(i, 10).find(';');
        if (end == std::string_view::npos || end < 3) return 0;
        for (std::size_t k = i + 1; k < i + end; ++k)
            if (!ascii_letter(s[k]) && !digit(s[k]) && s[k] != '#') return 0;
        return end + 1;
    }
    return 0;
}

// Length of the address at `i`, or 0.
std::size_t url_at(std::string_view s, std::size_t i) noexcept {
    const auto begins = [&](std::string_view with) {
        if (s.size() - i < with.size() + 3) return false;
        for (std::size_t k = 0; k < with.size(); ++k)
            if (lower(s[i + k]) != with[k]) return false;
        return true;
    };
    if (!begins("http://") && !begins("https://") && !begins("www.")) return 0;
    std::size_t k = i;
    while (k < s.size() && k - i < 2048 && !blank(s[k]) &&
           std::string_view("<>\"|)]},;").find(s[k]) == std::string_view::npos &&
           static_cast<unsigned char>(s[k]) < 0x80)
        ++k;
    while (k > i && std::string_view(".:'*_\\").find(s[k - 1]) != std::string_view::npos) --k;
    return k - i;
}

// Length of the target of a Markdown link, "](target)", after its "]"; or 0.
std::size_t link_target_at(std::string_view s, std::size_t i) noexcept {
    if (!s.substr(i).starts_with("](")) return 0;
    const std::string_view target = s.substr(i + 2, 2048);
    const std::size_t end = target.find(')');
    if (end == std::string_view::npos) return 0;
    const std::string_view inside = target.substr(0, end);
    if (std::ranges::any_of(inside, blank)) return 0;
    const bool address = inside.starts_with("http") || inside.starts_with("/") || inside.starts_with("#") ||
                         inside.starts_with("mailto:") || inside.starts_with("./");
    return address ? end + 3 : 0;
}

bool roman(std::string_view w) noexcept {
    return !w.empty() && w.size() <= 5 && w.find_first_not_of("ivx") == std::string_view::npos;
}
bool marker_shape(std::string_view w) noexcept {
    const bool number = w.size() <= 2 && std::ranges::all_of(w, digit);
    return number || (w.size() == 1 && ascii_letter(w[0])) || roman(w);
}

class Splitter {
 public:
    explicit Splitter(std::string_view text) : s_(text), hidden_(hidden_spans(text)) {}

    std::vector<Word> run() {
        begin_line(0);
        std::size_t i = 0;
        while (i < s_.size()) i = step(i);
        flush();
        return std::move(words_);
    }

 private:
    std::size_t step(std::size_t i) {
        const char c = s_[i];
        if (c == '\n') {
            flush();
            ++line_;
            fresh_ = true;
            begin_line(i + 1);
            return i + 1;
        }
        if (word_.empty()) {
            if (const std::size_t n = url_at(s_, i); n > 0) return take_url(i, n);
        }
        if (const std::size_t n = html_at(s_, i); (c == '<' || c == '&') && n > 0) {
            flush();
            return skip(i, n);
        }
        if (c == ']') {
            if (const std::size_t n = link_target_at(s_, i); n > 0) {
                flush();
                return skip(i, n);
            }
        }
        if (ascii_letter(c) || digit(c)) {
            grow(i, 1, lower(c));
            return i + 1;
        }
        if (c == '\'' && inside_word(i, 1)) return i + 1;
        if (c == ',' && !word_.empty() && digit(word_.back()) && i + 1 < s_.size() && digit(s_[i + 1])) return i + 1;
        if (static_cast<unsigned char>(c) < 0x80) {
            if (c == '(' && circled_c(i)) {
                flush();
                return i + 3;
            }
            flush();
            return i + 1;
        }
        return wide(i);
    }

    std::size_t wide(std::size_t i) {
        const Point p = point_at(s_, i);
        if (const std::string_view letters = ligature(p.code); !letters.empty()) {
            for (const char c : letters) grow(i, p.length, c);
            return i + p.length;
        }
        switch (sort_of(p.code)) {
            case Sort::letter:
                if (p.code >= 0xc0 && p.code <= 0xde) {  // capitals of Latin-1
                    grow(i, p.length, s_[i]);
                    word_ += static_cast<char>(s_[i + 1] + 0x20);
                } else {
                    for (std::size_t k = 0; k < p.length; ++k) grow(i + k, 1, s_[i + k]);
                }
                break;
            case Sort::ideograph:  // each is a word
                flush();
                for (std::size_t k = 0; k < p.length; ++k) grow(i + k, 1, s_[i + k]);
                flush();
                break;
            case Sort::apostrophe:
                if (!inside_word(i, p.length)) flush();
                break;
            case Sort::nothing:
                break;
            case Sort::copyright:
                flush();
                if (words_.empty() || words_.back().text != "copyright") {
                    word_ = "copyright";
                    begin_ = i;
                    flush();
                }
                break;
            case Sort::separator:
                flush();
                break;
        }
        return i + p.length;
    }

    // Is an apostrophe at `i` between letters of one word?
    [[nodiscard]] bool inside_word(std::size_t i, std::size_t length) const noexcept {
        return !word_.empty() && i + length < s_.size() && ascii_letter(s_[i + length]);
    }
    // "(c)" after the word "copyright" says it a second time.
    [[nodiscard]] bool circled_c(std::size_t i) const noexcept {
        if (i + 2 >= s_.size() || lower(s_[i + 1]) != 'c' || s_[i + 2] != ')') return false;
        return word_.empty() && !words_.empty() && words_.back().text == "copyright";
    }

    void grow(std::size_t i, std::size_t length, char c) {
        if (word_.empty()) begin_ = i;
        if (word_.size() < 64) word_ += c;
        end_ = i + length;
    }

    std::size_t skip(std::size_t i, std::size_t n) {
        for (std::size_t k = i; k < i + n; ++k) {
            if (s_[k] != '\n') continue;
            ++line_;
            fresh_ = true;
        }
        return i + n;
    }

    std::size_t take_url(std::size_t i, std::size_t n) {
        if (words_.empty() || !words_.back().url) {
            Word w;
            w.text = "<url>";
            w.url = true;
            push(std::move(w), i, i + n);
        } else {
            words_.back().end = static_cast<std::uint32_t>(i + n);  // one word, in which each address can be found
        }
        return i + n;
    }

    void push(Word w, std::size_t begin, std::size_t end) {
        w.begin = static_cast<std::uint32_t>(begin);
        w.end = static_cast<std::uint32_t>(end);
        w.line = line_;
        w.starts_line = fresh_;
        w.notice = notice_words_ > 0;
        if (notice_words_ > 0) --notice_words_;
        while (next_hidden_ < hidden_.size() && hidden_[next_hidden_].end <= begin) ++next_hidden_;
        w.hidden = next_hidden_ < hidden_.size() && hidden_[next_hidden_].begin <= begin;
        fresh_ = false;
        words_.push_back(std::move(w));
    }

    // The number or letter of a list item stands at the beginning of a line or of a clause, closed by ')' or '.'.
    [[nodiscard]] bool is_marker(std::string_view w, std::size_t end) const {
        if (!marker_shape(w) || reference_) return false;
        // "3.2 Use": the second number hangs on the first.
        if (!words_.empty() && words_.back().marker && words_.back().end + 1 == begin_ && s_[begin_ - 1] == '.')
            return true;
        std::size_t k = end;
        while (k < s_.size() && (s_[k] == '\\' || s_[k] == '*')) ++k;
        const char next = k < s_.size() ? s_[k] : ' ';
        if (next != ')' && next != '.' && next != ':') return false;
        if (fresh_ || (!words_.empty() && words_.back().marker && words_.back().line == line_)) return true;
        if (words_.empty()) return true;
        const std::string& last = words_.back().text;
        if (last == "and" || last == "or" || last == "following") return true;
        const std::string_view gap = s_.substr(words_.back().end, begin_ - words_.back().end);
        return gap.find_first_of(".;:,") != std::string_view::npos;
    }

    void flush() {
        if (word_.empty()) return;
        const bool comment_word = fresh_ && (word_ == "rem" || word_ == "dnl");
        if (!comment_word) {
            Word w;
            w.marker = is_marker(word_, end_);
            w.text = std::string(one_spelling(word_));
            // SPDX holds the owner and the holder of a copyright equal.
            if (!words_.empty() && words_.back().text == "copyright" && (w.text == "owner" || w.text == "owners"))
                w.text.replace(0, 5, "holder");
            follow_reference(w.text);
            push(std::move(w), begin_, std::max(end_, begin_ + 1));
        }
        word_.clear();
        end_ = 0;
    }

    // "Sections 1, 2.1 and 4(b) survive": numbers after such a word say which clauses are meant and are words.
    void follow_reference(std::string_view w) {
        if (w == "sections" || w == "clauses" || w == "articles" || w == "paragraphs") {
            reference_ = true;
            return;
        }
        const bool goes_on = marker_shape(w) || w == "and" || w == "or" || w == "to" || w == "through";
        reference_ = reference_ && goes_on;
    }

    // A copyright line: the sign or the word, then a year, a sign, a name in brackets. The words after it are flagged.
    void begin_line(std::size_t i) {
        notice_words_ = 0;
        std::string head;
        for (std::size_t k = i; k < s_.size() && s_[k] != '\n' && head.size() < 48; ++k) {
            const Point p = point_at(s_, k);
            if (p.code == 0xa9) {
                head += "(c)";
                k += p.length - 1;
            } else if (!blank(s_[k]) && (!head.empty() || ascii_letter(s_[k]) || s_[k] == '(')) {
                head += lower(s_[k]);
            }
        }
        std::string_view h = head;
        if (h.starts_with("portions")) h.remove_prefix(8);
        const auto starts_holder = [](std::string_view rest) {
            return rest.starts_with("(c)") || rest.starts_with("by") || rest.starts_with("19") ||
                   rest.starts_with("20") || rest.starts_with("[") || rest.starts_with("<") || rest.starts_with("{") ||
                   rest.starts_with(":") || rest.starts_with("yyyy") || rest.starts_with("year");
        };
        constexpr std::uint32_t kNoticeWords = 20;
        if (h.starts_with("allrightsreserved")) notice_words_ = 3;
        if (h.starts_with("copyright") && starts_holder(h.substr(9))) notice_words_ = kNoticeWords;
        if (h.starts_with("(c)") &&
            (h.substr(3).starts_with("19") || h.substr(3).starts_with("20") || h.substr(3).starts_with("copyright")))
            notice_words_ = kNoticeWords;
    }

    std::string_view s_;
    std::vector<HiddenSpan> hidden_;
    std::size_t next_hidden_ = 0;
    std::vector<Word> words_;
    std::string word_;
    std::size_t begin_ = 0, end_ = 0;
    std::uint32_t line_ = 1;
    std::uint32_t notice_words_ = 0;
    bool fresh_ = true;
    bool reference_ = false;  // in a list of clauses that a sentence refers to
};

}  // namespace

std::string_view one_spelling(std::string_view word) noexcept {
    const auto found = std::ranges::lower_bound(kSpellings, word, {}, &Pair::first);
    return found != kSpellings.end() && found->first == word ? found->second : word;
}

std::vector<Word> split_words(std::string_view text) {
    return Splitter(text.substr(0, kMaxText)).run();
}

std::string not_a_text(std::string_view bytes) {
    if (bytes.size() > kMaxText) return "it is larger than 4 MiB, and no licence text is";
    if (bytes.starts_with("\xff\xfe") || bytes.starts_with("\xfe\xff"))
        return "it is written in UTF-16; save it as UTF-8";
    if (bytes.find('\0') != std::string_view::npos) return "it holds zero bytes, so that it is no text";
    const auto odd = std::ranges::count_if(bytes, [](char c) {
        const auto u = static_cast<unsigned char>(c);
        return u < 0x20 && !blank(c) && u != 0x1b;
    });
    if (bytes.size() > 64 && static_cast<std::size_t>(odd) * 20 > bytes.size()) return "most of it is not printable";
    return {};
}

}  // namespace freehold::licence
