// From Oniguruma's Ruby dialect to PCRE2's: one pass over the pattern that rewrites what the two read differently.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "freehold/base/error.h"
#include "newer_unicode.h"
#include "pattern.h"
#include "unicode.h"

namespace freehold::text {
namespace {

// White_Space without U+180E, which PCRE2 still counts. Ranges and not properties: they are quicker, too.
constexpr std::string_view kSpace =
    R"(\x{09}-\x{0D}\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";
constexpr std::string_view kNotSpace =
    R"(\x{00}-\x{08}\x{0E}-\x{1F}\x{21}-\x{84}\x{86}-\x{9F}\x{A1}-\x{167F}\x{1681}-\x{1FFF}\x{200B}-\x{2027}\x{202A}-\x{202E}\x{2030}-\x{205E}\x{2060}-\x{2FFF}\x{3001}-\x{10FFFF})";
// Oniguruma's word characters hold more than letters, marks, digits and connectors: letters that are numbers or symbols
// by category, and the Latin-1 superscripts and fractions.
constexpr std::string_view kWordRest =
    R"(\p{Nl}\p{Pc}\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE}\x{24B6}-\x{24E9}\x{1F130}-\x{1F149}\x{1F150}-\x{1F169}\x{1F170}-\x{1F189})";
constexpr std::string_view kHex = "0-9A-Fa-f";

// Long names of general categories, without separators and in lower case.
constexpr std::array<std::pair<std::string_view, std::string_view>, 37> kCategories{{
    {"letter", "L"},
    {"casedletter", "LC"},
    {"uppercaseletter", "Lu"},
    {"lowercaseletter", "Ll"},
    {"titlecaseletter", "Lt"},
    {"modifierletter", "Lm"},
    {"otherletter", "Lo"},
    {"mark", "M"},
    {"combiningmark", "M"},
    {"nonspacingmark", "Mn"},
    {"spacingmark", "Mc"},
    {"enclosingmark", "Me"},
    {"number", "N"},
    {"decimalnumber", "Nd"},
    {"letternumber", "Nl"},
    {"othernumber", "No"},
    {"punctuation", "P"},
    {"connectorpunctuation", "Pc"},
    {"dashpunctuation", "Pd"},
    {"openpunctuation", "Ps"},
    {"closepunctuation", "Pe"},
    {"initialpunctuation", "Pi"},
    {"finalpunctuation", "Pf"},
    {"otherpunctuation", "Po"},
    {"symbol", "S"},
    {"mathsymbol", "Sm"},
    {"currencysymbol", "Sc"},
    {"modifiersymbol", "Sk"},
    {"othersymbol", "So"},
    {"separator", "Z"},
    {"spaceseparator", "Zs"},
    {"lineseparator", "Zl"},
    {"paragraphseparator", "Zp"},
    {"other", "C"},
    {"control", "Cc"},
    {"format", "Cf"},
    {"privateuse", "Co"},
}};
constexpr std::array<std::string_view, 38> kShortCategories{
    "L",  "Lu", "Ll", "Lt", "Lm", "Lo", "M",  "Mn", "Mc", "Me", "N",  "Nd", "Nl", "No", "P",  "Pc", "Pd", "Ps", "Pe",
    "Pi", "Pf", "Po", "S",  "Sm", "Sc", "Sk", "So", "Z",  "Zs", "Zl", "Zp", "C",  "Cc", "Cf", "Cn", "Co", "Cs", "LC"};
// POSIX names and binary properties, as content of a character class.
constexpr std::array<std::pair<std::string_view, std::string_view>, 14> kBinary{{
    {"upper", R"(\p{Uppercase})"},
    {"lower", R"(\p{Lowercase})"},
    {"space", kSpace},
    {"whitespace", kSpace},
    {"cntrl", R"(\p{Cc})"},
    {"xdigit", kHex},
    {"ascii", R"(\x{00}-\x{7F})"},
    {"any", R"(\x{00}-\x{10FFFF})"},
    {"uppercase", R"(\p{Uppercase})"},
    {"lowercase", R"(\p{Lowercase})"},
    {"emoji", R"(\p{Emoji})"},
    {"extendedpictographic", R"(\p{Extended_Pictographic})"},
    {"ideographic", R"(\p{Ideographic})"},
    {"math", R"(\p{Math})"},
}};

// A general category as content of a class, with the characters that the system's tables are too old for.
std::string category(std::string_view name) {
    std::string content = fmt::format("\\p{{{}}}", name == "LC" ? "L&" : name);
    for (const auto& [key, ranges] : kNewerUnicode) {
        if (key == name) content += ranges;
    }
    return content;
}

std::string letters() {
    return category("L") + R"(\p{Alphabetic}\p{Nl})";
}
const std::string& word() {
    static const std::string content = category("L") + category("M") + category("Nd") + std::string(kWordRest);
    return content;
}

// Names that stand for several parts.
std::optional<std::string> composed(std::string_view name) {
    if (name == "alpha" || name == "alphabetic") return letters();
    if (name == "alnum") return letters() + category("Nd");
    if (name == "digit") return category("Nd");
    if (name == "word") return word();
    if (name == "punct") return category("P") + "$+<=>\\^`|~";
    return std::nullopt;
}

[[noreturn]] void refuse(std::string_view what) {
    throw Error(ErrorKind::unsupported, fmt::format("a pattern uses {}, which has no equal in PCRE2", what),
                "Please report the model, so that its pattern can be supported.");
}

class Translator {
 public:
    explicit Translator(std::string_view pattern) : in_(pattern) {}

    std::string run() {
        while (at_ < in_.size()) step();
        return std::move(out_);
    }

 private:
    [[nodiscard]] char peek(std::size_t ahead = 0) const noexcept {
        return at_ + ahead < in_.size() ? in_[at_ + ahead] : '\0';
    }
    [[nodiscard]] bool looking_at(std::string_view text) const noexcept { return in_.substr(at_, text.size()) == text; }
    void begin_atom() { atom_ = out_.size(); }

    void step() {
        switch (peek()) {
            case '\\':
                begin_atom();
                escape();
                break;
            case '[':
                begin_atom();
                character_class();
                break;
            case '(':
                open_group();
                break;
            case ')':
                out_ += ')';
                ++at_;
                if (!groups_.empty()) {
                    atom_ = groups_.back();
                    groups_.pop_back();
                }
                break;
            case '{':
                interval();
                break;
            case '*':
            case '+':
            case '?':
                out_ += in_[at_++];
                break;
            default: {
                begin_atom();
                const std::size_t length = utf8_at(in_, at_).length;
                out_ += in_.substr(at_, length);
                at_ += length;
            }
        }
    }

    void open_group() {
        if (looking_at("(?#")) {
            while (at_ < in_.size() && in_[at_] != ')') ++at_;
            at_ += at_ < in_.size() ? 1 : 0;
            return;
        }
        if (looking_at("(*")) refuse("a callout or verb \"(*\"");
        if (looking_at("(?~")) refuse("the absent operator \"(?~\"");
        if (looking_at("(?{") || looking_at("(?C")) refuse("a callout");
        groups_.push_back(out_.size());
        out_ += '(';
        ++at_;
        if (peek() != '?') return;
        out_ += '?';
        ++at_;
        // Flags: Ruby's m is "dot matches newline", which PCRE2 calls s.
        std::size_t end = at_;
        while (end < in_.size() && (in_[end] == 'i' || in_[end] == 'm' || in_[end] == 'x' || in_[end] == '-')) ++end;
        if (end > at_ && end < in_.size() && (in_[end] == ':' || in_[end] == ')')) {
            for (; at_ < end; ++at_) out_ += in_[at_] == 'm' ? 's' : in_[at_];
        }
    }

    // {n,m} with what follows: "+" repeats the whole again in Ruby (it is no possessive), {,m} begins at nought.
    void interval() {
        std::size_t i = at_ + 1;
        const auto digits = [&] {
            const std::size_t from = i;
            while (i < in_.size() && in_[i] >= '0' && in_[i] <= '9') ++i;
            return in_.substr(from, i - from);
        };
        const std::string_view low = digits();
        const bool comma = i < in_.size() && in_[i] == ',';
        std::string_view high;
        if (comma) {
            ++i;
            high = digits();
        }
        const bool valid = i < in_.size() && in_[i] == '}' && !(low.empty() && high.empty());
        if (!valid) {
            begin_atom();
            out_ += "\\{";
            ++at_;
            return;
        }
        at_ = i + 1;
        out_ += '{';
        out_ += low.empty() ? std::string_view("0") : low;
        if (comma) out_ += ',';
        out_ += high;
        out_ += '}';
        const bool again = peek() == '+' || (peek() == '?' && !comma);
        if (again) {
            out_.insert(atom_, "(?:");
            out_ += ')';
        }
    }

    void escape() {
        const char c = peek(1);
        const auto replace = [&](std::string_view with) {
            out_ += with;
            at_ += 2;
        };
        switch (c) {
            case '\0':
                throw Error(ErrorKind::bad_file, "a pattern ends in a lone backslash");
            case 's':
                return replace(fmt::format("[{}]", kSpace));
            case 'S':
                return replace(fmt::format("[^{}]", kSpace));
            case 'w':
                return replace("[" + word() + "]");
            case 'W':
                return replace("[^" + word() + "]");
            case 'd':
                return replace("[" + category("Nd") + "]");
            case 'D':
                return replace("[^" + category("Nd") + "]");
            case 'h':
                return replace(fmt::format("[{}]", kHex));
            case 'H':
                return replace(fmt::format("[^{}]", kHex));
            case 'v':
                return replace("\\x{0B}");
            case 'b':
                return replace(fmt::format("(?:(?<=[{0}])(?![{0}])|(?<![{0}])(?=[{0}]))", word()));
            case 'B':
                return replace(fmt::format("(?:(?<=[{0}])(?=[{0}])|(?<![{0}])(?![{0}]))", word()));
            case 'Q':
            case 'E':
                return replace(std::string_view(&in_[at_ + 1], 1));
            case 'O':
            case 'y':
            case 'Y':
                refuse(fmt::format("\"\\{}\"", c));
            case 'u':
                return unicode_escape();
            case 'p':
            case 'P': {
                bool negative = false;
                const std::string content = property(negative);
                out_ += negative ? "[^" : "[";
                out_ += content;
                out_ += ']';
                return;
            }
            default: {
                out_ += '\\';
                ++at_;
                const std::size_t length = utf8_at(in_, at_).length;
                // Beyond ASCII a backslash means nothing to either, but PCRE2 would complain.
                if (length > 1) out_.pop_back();
                out_ += in_.substr(at_, length);
                at_ += length;
            }
        }
    }

    void unicode_escape() {
        const std::string_view digits = in_.substr(at_ + 2, 4);
        if (digits.size() != 4 || digits.find_first_not_of("0123456789abcdefABCDEF") != std::string_view::npos) {
            throw Error(ErrorKind::bad_file, "a pattern has a \\u that four hexadecimal digits do not follow");
        }
        out_ += fmt::format("\\x{{{}}}", digits);
        at_ += 6;
    }

    // Reads \p{..} or \P{..} at at_; gives the content of a class, and whether it is negated.
    std::string property(bool& negative) {
        negative = peek(1) == 'P';
        if (peek(2) != '{') refuse("a property without braces");
        const std::size_t close = in_.find('}', at_);
        if (close == std::string_view::npos) throw Error(ErrorKind::bad_file, "a pattern has \\p{ without its }");
        std::string_view name = in_.substr(at_ + 3, close - at_ - 3);
        at_ = close + 1;
        if (!name.empty() && name.front() == '^') {
            negative = !negative;
            name.remove_prefix(1);
        }
        if (std::find(kShortCategories.begin(), kShortCategories.end(), name) != kShortCategories.end()) {
            return category(name);
        }
        std::string plain;
        for (const char c : name) {
            if (c == '_' || c == '-' || c == ' ') continue;
            const bool upper = c >= 'A' && c <= 'Z';
            const bool good = upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
            if (!good) throw Error(ErrorKind::bad_file, fmt::format("a pattern names the odd property \"{}\"", name));
            plain += upper ? static_cast<char>(c - 'A' + 'a') : c;
        }
        for (const auto& [from, to] : kCategories) {
            if (plain == from) return category(to);
        }
        if (auto content = composed(plain)) return *content;
        for (const auto& [from, to] : kBinary) {
            if (plain == from) return std::string(to);
        }
        // Anything else is a script; PCRE2 would take its extensions too, Oniguruma does not.
        return fmt::format("\\p{{sc:{}}}", plain);
    }

    void character_class() {
        ++at_;
        const bool negative = peek() == '^';
        if (negative) ++at_;
        out_ += negative ? "[^" : "[";
        class_content(0);
        out_ += ']';
    }

    // Everything up to the closing bracket, which is consumed.
    void class_content(int depth) {
        if (depth > 20) refuse("classes nested more than 20 deep");
        bool first = true;
        bool after_set = false;  // the item before is a set, so a hyphen cannot begin a range
        for (;; first = false) {
            if (at_ >= in_.size()) throw Error(ErrorKind::bad_file, "a pattern has [ without its ]");
            if (peek() == ']' && !first) {
                ++at_;
                return;
            }
            if (looking_at("&&")) refuse("an intersection \"&&\" of classes");
            if (peek() == '[') {
                nested_class(depth);
                after_set = true;
            } else if (peek() == '\\') {
                after_set = class_escape();
            } else if (peek() == '-') {
                const bool before_set =
                    peek(1) == '\\' && std::string_view("sSwWdDhHpP").find(peek(2)) != std::string_view::npos;
                out_ += after_set || before_set || peek(1) == '[' ? "\\-" : "-";
                ++at_;
                after_set = false;
            } else {
                const std::size_t length = utf8_at(in_, at_).length;
                if (peek() == ']') out_ += '\\';
                out_ += in_.substr(at_, length);
                at_ += length;
                after_set = false;
            }
        }
    }

    void nested_class(int depth) {
        if (peek(1) == ':') {
            const std::size_t close = in_.find(":]", at_);
            if (close != std::string_view::npos) {
                std::string_view name = in_.substr(at_ + 2, close - at_ - 2);
                if (!name.empty() && name.front() == '^') refuse("a negated POSIX class");
                if (const auto content = composed(name)) {
                    out_ += *content;
                    at_ = close + 2;
                    return;
                }
                for (const auto& [from, to] : kBinary) {
                    if (name == from) {
                        out_ += to;
                        at_ = close + 2;
                        return;
                    }
                }
            }
        }
        if (peek(1) == '^') refuse("a negated class inside a class");
        ++at_;
        class_content(depth + 1);
    }

    // Returns whether the escape stands for a set of characters.
    bool class_escape() {
        const char c = peek(1);
        const auto replace = [&](std::string_view with, bool set) {
            out_ += with;
            at_ += 2;
            return set;
        };
        switch (c) {
            case '\0':
                throw Error(ErrorKind::bad_file, "a pattern ends in a lone backslash");
            case 's':
                return replace(kSpace, true);
            case 'S':
                return replace(kNotSpace, true);
            case 'w':
                return replace(word(), true);
            case 'd':
                return replace(category("Nd"), true);
            case 'D':
                return replace("\\P{Nd}", true);
            case 'h':
                return replace(kHex, true);
            case 'W':
            case 'H':
                refuse(fmt::format("\"\\{}\" inside a class", c));
            case 'b':
                return replace("\\x{08}", false);
            case 'v':
                return replace("\\x{0B}", false);
            case 'u':
                unicode_escape();
                return false;
            case 'p':
            case 'P': {
                bool negative = false;
                const std::string content = property(negative);
                if (!negative) {
                    out_ += content;
                } else if (content.starts_with("\\p{")) {
                    // The newer characters cannot be taken out again inside a class; they stay on the wrong side.
                    out_ += "\\P" + content.substr(2, content.find('}') - 1);
                } else {
                    refuse("a negated property of several parts inside a class");
                }
                return true;
            }
            case 'n':
            case 't':
            case 'r':
            case 'f':
            case 'a':
            case 'e':
            case 'x':
            case '0':
                return replace(in_.substr(at_, 2), false);
            default: {
                ++at_;
                const std::size_t length = utf8_at(in_, at_).length;
                const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '1' && c <= '9');
                if (!letter && length == 1) out_ += '\\';
                out_ += in_.substr(at_, length);
                at_ += length;
                return false;
            }
        }
    }

    std::string_view in_;
    std::size_t at_ = 0;
    std::string out_;
    std::size_t atom_ = 0;             // where in out_ the last atom begins
    std::vector<std::size_t> groups_;  // where open groups begin
};

}  // namespace

std::string translate_oniguruma(std::string_view pattern) {
    if (!is_utf8(pattern)) throw Error(ErrorKind::bad_file, "a pattern is not valid UTF-8");
    return Translator(pattern).run();
}

}  // namespace freehold::text
