// Reads ECMA-262 patterns. Anchors become two symbols of their own that are divided out at the end: what may stand
// between them is the language.
#include "regex_parse.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "freehold/base/error.h"

namespace freehold::grammar {

namespace {

constexpr int kDepth = 200;
constexpr std::size_t kLongest = 65'536;
constexpr std::uint32_t kMostTimes = 1'000'000'000;

const Ranges& digits() {
    static const Ranges r = {{'0', '9'}};
    return r;
}
const Ranges& word() {
    static const Ranges r = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
    return r;
}
const Ranges& space() {
    static const Ranges r = {{9, 13},          {32, 32},         {0xA0, 0xA0},     {0x1680, 0x1680}, {0x2000, 0x200A},
                             {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
    return r;
}

class Parser {
 public:
    Parser(Regexes& regexes, std::u32string_view text) : rx_(regexes), text_(text) {}

    Rx whole() {
        const Rx r = alternation(0);
        if (at_ < text_.size()) fail("there is a ) without its (");
        return r;
    }
    // The assertions (?=..) and (?!..) at the very beginning, behind ^ or not: [from, to) of each body.
    struct Ahead {
        bool negative;
        std::size_t from, to;
    };
    std::vector<Ahead> leading;
    bool anchored = false;
    std::size_t body = 0;

    void read_leading() {
        std::size_t at = 0;
        while (at < text_.size() && text_[at] == '^') ++at;
        anchored = at > 0;
        while (text_.substr(at, 3) == U"(?!" || text_.substr(at, 3) == U"(?=") {
            const std::size_t end = closing(at);
            if (end >= text_.size()) return;
            if (end + 1 < text_.size() &&
                std::u32string_view(U"*+?{").find(text_[end + 1]) != std::u32string_view::npos)
                return;
            leading.push_back({text_[at + 2] == '!', at + 3, end});
            at = end + 1;
            body = at;
        }
    }

 private:
    [[noreturn]] void fail(const std::string& why) const {
        throw Error(ErrorKind::usage, fmt::format("The pattern is wrong at character {}: {}.", at_, why),
                    "Patterns follow ECMA-262, as JSON Schema asks.");
    }
    [[noreturn]] void cannot(const std::string& what) const {
        throw Error(
            ErrorKind::unsupported,
            fmt::format("The pattern uses {} at character {}, which cannot be honoured while an answer is made.", what,
                        at_),
            "Write the pattern without it.");
    }
    [[nodiscard]] bool more() const noexcept { return at_ < text_.size(); }
    [[nodiscard]] char32_t peek() const noexcept { return more() ? text_[at_] : U'\0'; }

    // Where the ) of the ( at `open` stands; text_.size() when nowhere.
    [[nodiscard]] std::size_t closing(std::size_t open) const {
        int depth = 0;
        bool in_class = false;
        for (std::size_t i = open; i < text_.size(); ++i) {
            const char32_t c = text_[i];
            if (c == '\\') {
                ++i;
            } else if (in_class) {
                in_class = c != ']';
            } else if (c == '[') {
                in_class = true;
            } else if (c == '(') {
                ++depth;
            } else if (c == ')' && --depth == 0) {
                return i;
            }
        }
        return text_.size();
    }

    Rx alternation(int depth) {
        if (depth > kDepth) {
            throw Error(ErrorKind::limit, fmt::format("The pattern nests deeper than {} groups.", kDepth),
                        "Flatten the pattern.");
        }
        std::vector<Rx> parts{sequence(depth)};
        while (more() && peek() == '|') {
            ++at_;
            parts.push_back(sequence(depth));
        }
        return rx_.alt(std::move(parts));
    }

    Rx sequence(int depth) {
        std::vector<Rx> parts;
        while (more() && peek() != '|' && peek() != ')') parts.push_back(quantified(depth));
        Rx r = rx_.empty();
        for (std::size_t i = parts.size(); i-- > 0;) r = rx_.cat(parts[i], r);
        return r;
    }

    Rx quantified(int depth) {
        const char32_t c = peek();
        bool repeatable = true;
        if (c == '*' || c == '+' || c == '?') fail("nothing stands before the quantifier");
        Rx r = atom(depth, repeatable);
        for (bool first = true; more(); first = false) {
            std::uint32_t least = 0;
            std::uint32_t most = kNoBound;
            const char32_t q = peek();
            if (q == '*') {
                ++at_;
            } else if (q == '+') {
                least = 1;
                ++at_;
            } else if (q == '?') {
                most = 1;
                ++at_;
            } else if (q != '{' || !braces(least, most)) {
                break;
            }
            if (!first) fail("a quantifier follows a quantifier");
            if (!repeatable) fail("an anchor cannot be repeated");
            if (more() && peek() == '?') ++at_;  // lazy: the same language
            r = rx_.rep(r, least, most);
        }
        return r;
    }

    // {n}, {n,}, {n,m}; anything else is a brace as it stands.
    bool braces(std::uint32_t& least, std::uint32_t& most) {
        const std::size_t begin = at_;
        ++at_;
        const auto number = [&](std::uint32_t& out) {
            const std::size_t from = at_;
            std::uint64_t value = 0;
            while (more() && peek() >= '0' && peek() <= '9') {
                value = std::min<std::uint64_t>(value * 10 + (peek() - '0'), 10ULL * kMostTimes);
                ++at_;
            }
            if (value > kMostTimes) {
                throw Error(ErrorKind::limit,
                            fmt::format("The pattern repeats more than {} times at character {}.", kMostTimes, begin),
                            "Use a smaller count, or {n,} without an upper one.");
            }
            out = static_cast<std::uint32_t>(value);
            return at_ > from;
        };
        bool ok = number(least);
        most = least;
        if (ok && peek() == ',') {
            ++at_;
            if (!number(most)) most = kNoBound;
        }
        ok = ok && more() && peek() == '}';
        if (!ok) {
            at_ = begin;
            return false;
        }
        ++at_;
        if (most < least) fail("the counts of a repetition are in the wrong order");
        return true;
    }

    Rx atom(int depth, bool& repeatable) {
        const char32_t c = peek();
        if (c == '(') return group(depth);
        if (c == '[') return rx_.set(char_class());
        if (c == '.') {
            ++at_;
            return rx_.set(complement({{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}}));
        }
        if (c == '^' || c == '$') {
            ++at_;
            repeatable = false;
            const CodePoint symbol = c == '^' ? kTextBegin : kTextEnd;
            return rx_.set({{symbol, symbol}});
        }
        if (c == '\\') {
            Ranges ranges;
            if (!escape(ranges, false)) {
                const CodePoint p = ranges.front().first;
                return rx_.set({{p, p}});
            }
            return rx_.set(ranges);
        }
        ++at_;
        return rx_.set({{static_cast<CodePoint>(c), static_cast<CodePoint>(c)}});
    }

    Rx group(int depth) {
        const std::size_t begin = at_;
        ++at_;
        if (peek() == '?') {
            ++at_;
            const char32_t c = peek();
            if (c == ':') {
                ++at_;
            } else if (c == '<' && at_ + 1 < text_.size() && text_[at_ + 1] != '=' && text_[at_ + 1] != '!') {
                while (more() && peek() != '>') ++at_;
                if (!more()) fail("the name of a group does not end");
                ++at_;
            } else if (c == '=' || c == '!' || c == '<') {
                at_ = begin;
                cannot("lookaround inside the pattern");
            } else {
                at_ = begin;
                fail("this kind of group does not exist");
            }
        }
        const Rx r = alternation(depth + 1);
        if (!more()) {
            at_ = begin;
            fail("the group is not closed");
        }
        ++at_;
        return r;
    }

    std::optional<std::uint32_t> hex(std::size_t n) {
        if (at_ + n > text_.size()) return std::nullopt;
        std::uint32_t value = 0;
        for (std::size_t i = 0; i < n; ++i) {
            const char32_t c = text_[at_ + i];
            std::uint32_t d = 0;
            if (c >= '0' && c <= '9') {
                d = c - '0';
            } else if ((c | 32U) >= 'a' && (c | 32U) <= 'f') {
                d = (c | 32U) - 'a' + 10;
            } else {
                return std::nullopt;
            }
            value = value * 16 + d;
        }
        at_ += n;
        return value;
    }

    // At a backslash. True: a class of characters; false: one character, the first of `out`.
    bool escape(Ranges& out, bool in_class) {
        ++at_;
        if (!more()) fail("a backslash ends the pattern");
        const char32_t c = peek();
        const auto one = [&](CodePoint p) {
            ++at_;
            out = {{p, p}};
            return false;
        };
        const auto many = [&](Ranges r) {
            ++at_;
            out = std::move(r);
            return true;
        };
        switch (c) {
            case 'd':
                return many(digits());
            case 'D':
                return many(complement(digits()));
            case 'w':
                return many(word());
            case 'W':
                return many(complement(word()));
            case 's':
                return many(space());
            case 'S':
                return many(complement(space()));
            case 'n':
                return one('\n');
            case 'r':
                return one('\r');
            case 't':
                return one('\t');
            case 'v':
                return one('\v');
            case 'f':
                return one('\f');
            case 'b':
                if (in_class) return one('\b');
                cannot("a word boundary");
            case 'B':
                if (!in_class) cannot("a word boundary");
                break;
            case 'p':
            case 'P':
                cannot("a Unicode property");
            case 'k':
                cannot("a back reference");
            case 'c':
                if (at_ + 1 < text_.size() && ((text_[at_ + 1] | 32U) >= 'a' && (text_[at_ + 1] | 32U) <= 'z')) {
                    ++at_;
                    return one(peek() % 32);
                }
                fail("\\c needs a letter");
            case 'x': {
                ++at_;
                const auto value = hex(2);
                if (!value) fail("\\x needs two hexadecimal digits");
                out = {{*value, *value}};
                return false;
            }
            case 'u': {
                ++at_;
                std::optional<std::uint32_t> value;
                if (peek() == '{') {
                    ++at_;
                    std::size_t n = 0;
                    while (at_ + n < text_.size() && text_[at_ + n] != '}') ++n;
                    if (n >= 1 && n <= 6) value = hex(n);
                    if (!value || *value > kLastCodePoint || peek() != '}') fail("\\u{...} needs a code point");
                    ++at_;
                } else {
                    value = hex(4);
                    if (!value) fail("\\u needs four hexadecimal digits");
                    if (*value >= 0xD800 && *value < 0xDC00 && text_.substr(at_, 2) == U"\\u") {
                        at_ += 2;
                        const auto low = hex(4);
                        if (!low || *low < 0xDC00 || *low > 0xDFFF) fail("half of a surrogate pair");
                        value = 0x10000 + ((*value - 0xD800) << 10U) + (*low - 0xDC00);
                    }
                }
                out = {{*value, *value}};
                return false;
            }
            case '0':
                if (at_ + 1 >= text_.size() || text_[at_ + 1] < '0' || text_[at_ + 1] > '9') return one(0);
                [[fallthrough]];
            default:
                break;
        }
        if (c >= '0' && c <= '9') cannot("a back reference");
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
            fail(fmt::format("there is no escape \\{}", static_cast<char>(c)));
        }
        return one(static_cast<CodePoint>(c));
    }

    Ranges char_class() {
        const std::size_t begin = at_;
        ++at_;
        bool negated = false;
        if (peek() == '^') {
            negated = true;
            ++at_;
        }
        Ranges all;
        while (true) {
            if (!more()) {
                at_ = begin;
                fail("the [ is not closed");
            }
            if (peek() == ']') break;
            Ranges from;
            const bool from_class = item(from);
            if (peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
                const std::size_t dash = at_;
                ++at_;
                Ranges to;
                const bool to_class = item(to);
                if (from_class || to_class) {
                    // A dash beside a class stands for itself.
                    all.push_back({'-', '-'});
                    all.insert(all.end(), to.begin(), to.end());
                } else {
                    if (to.front().first < from.front().first) {
                        at_ = dash;
                        fail("a range of characters runs backwards");
                    }
                    from.front().last = to.front().first;
                }
            }
            all.insert(all.end(), from.begin(), from.end());
        }
        ++at_;
        all = normalised(std::move(all));
        return negated ? complement(all) : all;
    }

    bool item(Ranges& out) {
        if (peek() == '\\') return escape(out, true);
        const auto c = static_cast<CodePoint>(peek());
        ++at_;
        out = {{c, c}};
        return false;
    }

    Regexes& rx_;
    std::u32string_view text_;
    std::size_t at_ = 0;
};

// What remains of `r` when it may begin with any number of `symbol`, none of which belongs to the text.
Rx divided(Regexes& rx, Rx r, CodePoint symbol) {
    std::vector<Rx> parts{r};
    for (int i = 0; i < 64; ++i) {
        r = rx.derivative(r, symbol);
        if (r == rx.nothing() || std::find(parts.begin(), parts.end(), r) != parts.end()) break;
        parts.push_back(r);
    }
    return rx.without(rx.alt(std::move(parts)), symbol);
}

Rx without_anchors(Regexes& rx, Rx body, PatternUse use) {
    const Rx begins = rx.rep(rx.set({{kTextBegin, kTextBegin}}), 0);
    const Rx ends = rx.rep(rx.set({{kTextEnd, kTextEnd}}), 0);
    Rx r = use == PatternUse::search ? rx.cat({begins, rx.anything(), body, rx.anything(), ends})
                                     : rx.cat({begins, body, ends});
    r = divided(rx, r, kTextBegin);
    r = divided(rx, rx.mirrored(r), kTextEnd);
    return rx.mirrored(r);
}

}  // namespace

std::u32string code_points(std::string_view text, std::string_view what) {
    std::u32string out;
    out.reserve(text.size());
    std::size_t i = 0;
    const auto bad = [&] {
        throw Error(ErrorKind::usage, fmt::format("{} is no valid UTF-8 at byte {}.", what, i), "Write it in UTF-8.");
    };
    while (i < text.size()) {
        const auto lead = static_cast<unsigned char>(text[i]);
        const std::size_t n = lead < 0x80   ? 0
                              : lead < 0xC2 ? 9
                              : lead < 0xE0 ? 1
                              : lead < 0xF0 ? 2
                              : lead < 0xF5 ? 3
                                            : 9;
        if (n == 9 || i + n >= text.size() + (n == 0 ? 1 : 0)) bad();
        char32_t c = n == 0 ? lead : lead & (0x3FU >> n);
        for (std::size_t k = 1; k <= n; ++k) {
            const auto next = static_cast<unsigned char>(text[i + k]);
            if ((next & 0xC0U) != 0x80) bad();
            c = (c << 6U) | (next & 0x3FU);
        }
        if ((n == 2 && c < 0x800) || (n == 3 && (c < 0x10000 || c > kLastCodePoint)) || (c >= 0xD800 && c < 0xE000))
            bad();
        out.push_back(c);
        i += n + 1;
    }
    return out;
}

Rx parse_pattern(Regexes& rx, std::string_view pattern, PatternUse use) {
    if (pattern.size() > kLongest) {
        throw Error(ErrorKind::limit,
                    fmt::format("The pattern has {} bytes; the bound is {}.", pattern.size(), kLongest),
                    "Use a shorter pattern.");
    }
    const std::u32string text = code_points(pattern, "The pattern");
    Parser outer(rx, text);
    outer.read_leading();
    if (outer.leading.empty()) return without_anchors(rx, outer.whole(), use);
    // ^(?!A)B: what B finds at the beginning, and A does not find there. An alternation beside it would be another
    // thing, and so would an assertion that is not anchored.
    const std::u32string rest = (outer.anchored ? U"^" : U"") + text.substr(outer.body);
    int depth = 0;
    bool in_class = false;
    bool split = false;
    for (std::size_t i = 0; i < rest.size(); ++i) {
        if (rest[i] == U'\\') {
            ++i;
        } else if (in_class) {
            in_class = rest[i] != U']';
        } else if (rest[i] == U'[') {
            in_class = true;
        } else {
            depth += rest[i] == U'(' ? 1 : rest[i] == U')' ? -1 : 0;
            split = split || (rest[i] == U'|' && depth == 0);
        }
    }
    if (split || (!outer.anchored && use == PatternUse::search)) return without_anchors(rx, outer.whole(), use);
    std::vector<Rx> parts{without_anchors(rx, Parser(rx, rest).whole(), use)};
    for (const auto& ahead : outer.leading) {
        const std::u32string body = U"^(?:" + text.substr(ahead.from, ahead.to - ahead.from) + U")";
        const Rx found = without_anchors(rx, Parser(rx, body).whole(), PatternUse::search);
        parts.push_back(ahead.negative ? rx.non(found) : found);
    }
    return rx.both(std::move(parts));
}

}  // namespace freehold::grammar
