// The lexer: template text, then the inside of {{ }} and {% %}, white space control, raw blocks and comments.
#include "lexer.h"

#include <algorithm>
#include <array>

#include "freehold/base/error.h"
#include "unicode.h"

namespace freehold::jinja {
namespace {

constexpr std::size_t kNone = std::string_view::npos;

bool ascii_digit(char c) {
    return c >= '0' && c <= '9';
}

class Lexer {
 public:
    explicit Lexer(std::string_view source) : source_(normalize(source)) { text_ = source_; }

    std::vector<Lexeme> run() {
        while (pos_ < text_.size()) root();
        push(Token::eof, pos_, {});
        return std::move(out_);
    }

 private:
    // All line ends become \n; one at the very end is dropped.
    static std::string normalize(std::string_view source) {
        std::string out;
        out.reserve(source.size());
        for (std::size_t i = 0; i < source.size(); ++i) {
            if (source[i] != '\r') {
                out += source[i];
                continue;
            }
            out += '\n';
            if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
        }
        if (out.ends_with('\n')) out.pop_back();
        return out;
    }

    // Positions are asked for in rising order, so lines are counted once.
    Position position(std::size_t at) {
        while (counted_ < at) {
            if (text_[counted_] == '\n') {
                ++line_;
                line_start_ = counted_ + 1;
            }
            ++counted_;
        }
        return {line_,
                static_cast<std::uint32_t>(std::min<std::size_t>(at - std::min(at, line_start_), UINT32_MAX - 1) + 1)};
    }

    void push(Token token, std::size_t at, std::string text) {
        out_.push_back(Lexeme{token, position(at), std::move(text)});
    }

    [[nodiscard]] bool at(std::size_t pos, std::string_view what) const {
        return text_.substr(std::min(pos, text_.size())).starts_with(what);
    }

    [[nodiscard]] std::size_t skip_space(std::size_t pos) const {
        while (pos < text_.size()) {
            std::size_t next = pos;
            if (!is_space(decode_at(text_, next))) break;
            pos = next;
        }
        return pos;
    }

    // `{%[-+]? raw [-]?%}` at pos: where it ends, or none.
    [[nodiscard]] std::size_t raw_begin_end(std::size_t pos) const {
        pos += 2;
        if (at(pos, "-") || at(pos, "+")) ++pos;
        pos = skip_space(pos);
        if (!at(pos, "raw")) return kNone;
        pos = skip_space(pos + 3);
        if (at(pos, "-%}")) return skip_space(pos + 3);
        return at(pos, "%}") ? pos + 2 : kNone;
    }

    // Text before a tag whose sign (or 0) stands at its third character.
    void push_data(std::size_t begin, std::size_t end, char sign, bool strippable) {
        std::string_view data = text_.substr(begin, end - begin);
        if (sign == '-') {
            data = strip(data, nullptr, false, true);
        } else if (sign != '+' && strippable) {
            const std::size_t line = data.rfind('\n');
            const std::size_t start = line == kNone ? 0 : line + 1;
            if (start > 0 || line_starting_) {
                if (strip(data.substr(start), nullptr, true, false).empty()) data = data.substr(0, start);
            }
        }
        if (!data.empty()) push(Token::data, begin, std::string(data));
    }

    [[nodiscard]] char sign_at(std::size_t pos) const { return at(pos, "-") ? '-' : at(pos, "+") ? '+' : '\0'; }

    // After an end tag: where the line feed that it swallows ends.
    [[nodiscard]] std::size_t after_block(std::size_t pos) const { return at(pos, "\n") ? pos + 1 : pos; }

    void root() {
        std::size_t tag = pos_;
        while (true) {
            tag = text_.find('{', tag);
            if (tag == kNone || tag + 1 >= text_.size()) {
                push(Token::data, pos_, std::string(text_.substr(pos_)));
                pos_ = text_.size();
                return;
            }
            const char kind = text_[tag + 1];
            if (kind == '%' || kind == '#' || kind == '{') break;
            ++tag;
        }
        const char kind = text_[tag + 1];
        const char sign = sign_at(tag + 2);
        push_data(pos_, tag, sign, kind != '{');
        const std::size_t raw = kind == '%' ? raw_begin_end(tag) : kNone;
        pos_ = tag + 2 + (sign != 0 ? 1 : 0);
        if (kind == '#') {
            comment(tag);
        } else if (raw != kNone) {
            set_position(raw);
            raw_block(tag);
        } else {
            push(kind == '%' ? Token::block_begin : Token::variable_begin, tag, {});
            inside(kind == '%');
        }
    }

    void set_position(std::size_t pos) {
        pos_ = pos;
        line_starting_ = pos > 0 && text_[pos - 1] == '\n';
    }

    void comment(std::size_t tag) {
        if (pos_ >= text_.size()) return;
        const std::size_t end = text_.find("#}", pos_);
        if (end == kNone) fail_at(position(tag), "the comment is not closed");
        const char sign = end > pos_ ? text_[end - 1] : '\0';
        set_position(sign == '-' ? skip_space(end + 2) : sign == '+' ? end + 2 : after_block(end + 2));
    }

    void raw_block(std::size_t tag) {
        if (pos_ >= text_.size()) return;
        for (std::size_t at_tag = text_.find("{%", pos_); at_tag != kNone; at_tag = text_.find("{%", at_tag + 1)) {
            const char sign = sign_at(at_tag + 2);
            std::size_t end = skip_space(at_tag + 2 + (sign != 0 ? 1 : 0));
            if (!at(end, "endraw")) continue;
            end = skip_space(end + 6);
            const char end_sign = sign_at(end);
            if (end_sign != 0) ++end;
            if (!at(end, "%}")) continue;
            push_data(pos_, at_tag, sign, true);
            set_position(end_sign == '-' ? skip_space(end + 2) : end_sign == '+' ? end + 2 : after_block(end + 2));
            return;
        }
        fail_at(position(tag), "the raw block is not closed");
    }

    // Is this the end of the tag? Moves behind it.
    bool end_of_tag(bool block) {
        const std::size_t start = pos_;
        if (block && at(pos_, "+%}")) {
            set_position(pos_ + 3);
        } else if (at(pos_, block ? "-%}" : "-}}")) {
            set_position(skip_space(pos_ + 3));
        } else if (at(pos_, block ? "%}" : "}}")) {
            set_position(block ? after_block(pos_ + 2) : pos_ + 2);
        } else {
            return false;
        }
        push(block ? Token::block_end : Token::variable_end, start, {});
        return true;
    }

    void inside(bool block) {
        std::string closers;
        while (true) {
            pos_ = skip_space(pos_);
            if (pos_ >= text_.size()) return;
            if (closers.empty() && end_of_tag(block)) return;
            if (number() || name() || string()) continue;
            symbol(closers);
        }
    }

    // Digits with single underscores between them; the end, or pos itself if there are none.
    [[nodiscard]] std::size_t digits(std::size_t pos, unsigned base) const {
        const auto is_digit_of = [&](std::size_t i) {
            if (i >= text_.size()) return false;
            const char c = text_[i];
            const unsigned v = ascii_digit(c)                           ? static_cast<unsigned>(c - '0')
                               : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? static_cast<unsigned>((c | 0x20) - 'a' + 10)
                                                                        : 99U;
            return v < base;
        };
        if (!is_digit_of(pos)) return pos;
        ++pos;
        while (is_digit_of(pos) || (at(pos, "_") && is_digit_of(pos + 1))) ++pos;
        return pos;
    }

    bool number() {
        if (!ascii_digit(text_[pos_])) return false;
        const std::size_t start = pos_;
        const bool after_dot = start > 0 && text_[start - 1] == '.';
        const std::size_t whole = digits(start, 10);
        // A real: fraction, exponent, or both.
        std::size_t end = whole;
        if (at(whole, ".")) {
            const std::size_t fraction = digits(whole + 1, 10);
            if (fraction > whole + 1) end = fraction;
        }
        std::size_t exponent = end;
        if (at(end, "e") || at(end, "E")) {
            const std::size_t sign = sign_at(end + 1) != 0 ? end + 2 : end + 1;
            const std::size_t last = digits(sign, 10);
            if (last > sign) exponent = last;
        }
        if (!after_dot && exponent > whole) return push_number(Token::real, start, exponent);
        // An integer: 0b, 0o, 0x, decimal without leading zeros, or zeros.
        if (text_[start] == '0') {
            const char kind = start + 1 < text_.size() ? static_cast<char>(text_[start + 1] | 0x20) : '\0';
            const unsigned base = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 0;
            if (base != 0) {
                const std::size_t first = at(start + 2, "_") ? start + 3 : start + 2;
                const std::size_t last = digits(first, base);
                if (last > first) return push_number(Token::integer, start, last);
            }
            std::size_t last = start + 1;
            while (at(last, "0") || at(last, "_0")) last += text_[last] == '_' ? 2 : 1;
            return push_number(Token::integer, start, last);
        }
        return push_number(Token::integer, start, whole);
    }

    bool push_number(Token token, std::size_t start, std::size_t end) {
        std::string clean;
        for (const char c : text_.substr(start, end - start)) {
            if (c != '_') clean += c;
        }
        push(token, start, std::move(clean));
        pos_ = end;
        return true;
    }

    bool name() {
        std::size_t end = pos_;
        bool valid = true;
        while (end < text_.size()) {
            std::size_t next = end;
            const char32_t code = decode_at(text_, next);
            if (!is_identifier_part(code) && !is_numeric(code)) break;
            valid = valid && (end == pos_ ? is_identifier_start(code) : is_identifier_part(code));
            end = next;
        }
        if (end == pos_) return false;
        if (!valid) fail_at(position(pos_), "invalid character in an identifier");
        push(Token::name, pos_, std::string(text_.substr(pos_, end - pos_)));
        pos_ = end;
        return true;
    }

    bool string() {
        const char quote = text_[pos_];
        if (quote != '\'' && quote != '"') return false;
        std::size_t end = pos_ + 1;
        while (end < text_.size() && text_[end] != quote) end += text_[end] == '\\' ? 2 : 1;
        if (end >= text_.size()) fail_at(position(pos_), "the string is not closed");
        const std::size_t start = pos_;
        const Position where = position(start);
        push(Token::string, start, unescape(text_.substr(start + 1, end - start - 1), where));
        pos_ = end + 1;
        return true;
    }

    static std::string unescape(std::string_view text, Position where) {
        std::string out;
        out.reserve(text.size());
        for (std::size_t i = 0; i < text.size();) {
            if (text[i] != '\\') {
                out += text[i++];
                continue;
            }
            ++i;  // a backslash is never the last character: it would have escaped the quote
            const char c = text[i];
            if ((static_cast<unsigned char>(c) & 0x80U) != 0) {
                // The reference first turns the character into an escape of its own, so that the backslash escapes
                // that.
                const char32_t code = decode_at(text, i);
                out += '\\';
                out += code < 0x100 ? "x" : code < 0x10000 ? "u" : "U";
                for (int shift = code < 0x100 ? 4 : code < 0x10000 ? 12 : 28; shift >= 0; shift -= 4) {
                    out += "0123456789abcdef"[(code >> static_cast<unsigned>(shift)) & 0xFU];
                }
                continue;
            }
            ++i;
            switch (c) {
                case '\n':
                    break;
                case '\\':
                    out += '\\';
                    break;
                case '\'':
                    out += '\'';
                    break;
                case '"':
                    out += '"';
                    break;
                case 'a':
                    out += '\a';
                    break;
                case 'b':
                    out += '\b';
                    break;
                case 'f':
                    out += '\f';
                    break;
                case 'n':
                    out += '\n';
                    break;
                case 'r':
                    out += '\r';
                    break;
                case 't':
                    out += '\t';
                    break;
                case 'v':
                    out += '\v';
                    break;
                case 'x':
                    append_utf8(out, hex(text, i, 2, where));
                    break;
                case 'u':
                    append_utf8(out, hex(text, i, 4, where));
                    break;
                case 'U':
                    append_utf8(out, hex(text, i, 8, where));
                    break;
                case 'N':
                    fail_at(where, "named characters (\\N{...}) are not supported in template strings");
                default:
                    if (c >= '0' && c <= '7') {
                        char32_t code = static_cast<char32_t>(c - '0');
                        for (int n = 0; n < 2 && i < text.size() && text[i] >= '0' && text[i] <= '7'; ++n) {
                            code = code * 8 + static_cast<char32_t>(text[i++] - '0');
                        }
                        append_utf8(out, code);
                    } else {
                        out += '\\';
                        out += c;
                    }
            }
        }
        return out;
    }

    static char32_t hex(std::string_view text, std::size_t& i, int digits, Position where) {
        std::uint64_t code = 0;
        for (int n = 0; n < digits; ++n, ++i) {
            const char c = i < text.size() ? text[i] : '\0';
            const int v = ascii_digit(c)                           ? c - '0'
                          : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                                   : -1;
            if (v < 0) fail_at(where, "a truncated \\x, \\u or \\U escape in a string");
            code = code * 16 + static_cast<std::uint64_t>(v);
        }
        if (code > 0x10FFFF) fail_at(where, "an escape in a string names no Unicode character");
        return static_cast<char32_t>(code);
    }

    void symbol(std::string& closers) {
        struct Symbol {
            std::string_view text;
            Token token;
        };
        static constexpr std::array<Symbol, 26> kSymbols{{
            {"//", Token::floordiv}, {"**", Token::pow},      {"==", Token::eq},    {"!=", Token::ne},
            {">=", Token::gteq},     {"<=", Token::lteq},     {"+", Token::add},    {"-", Token::sub},
            {"/", Token::div},       {"*", Token::mul},       {"%", Token::mod},    {"~", Token::tilde},
            {"[", Token::lbracket},  {"]", Token::rbracket},  {"(", Token::lparen}, {")", Token::rparen},
            {"{", Token::lbrace},    {"}", Token::rbrace},    {">", Token::gt},     {"<", Token::lt},
            {"=", Token::assign},    {".", Token::dot},       {":", Token::colon},  {"|", Token::pipe},
            {",", Token::comma},     {";", Token::semicolon},
        }};
        const auto it =
            std::find_if(kSymbols.begin(), kSymbols.end(), [&](const Symbol& s) { return at(pos_, s.text); });
        if (it == kSymbols.end()) fail_at(position(pos_), "unexpected character '" + printable(text_[pos_]) + "'");
        const char c = it->text[0];
        if (c == '(' || c == '[' || c == '{') {
            closers += c == '(' ? ')' : c == '[' ? ']' : '}';
        } else if (c == ')' || c == ']' || c == '}') {
            if (closers.empty()) fail_at(position(pos_), std::string("unexpected '") + c + "'");
            if (closers.back() != c)
                fail_at(position(pos_), std::string("unexpected '") + c + "', expected '" + closers.back() + "'");
            closers.pop_back();
        }
        push(it->token, pos_, {});
        pos_ += it->text.size();
    }

    static std::string printable(char c) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte < 0x7F) return std::string(1, c);
        static constexpr char kHex[] = "0123456789abcdef";
        return std::string("\\x") + kHex[byte >> 4U] + kHex[byte & 0xFU];
    }

    std::string source_;
    std::string_view text_;
    std::size_t pos_ = 0;
    bool line_starting_ = true;
    std::size_t counted_ = 0, line_start_ = 0;
    std::uint32_t line_ = 1;
    std::vector<Lexeme> out_;
};

}  // namespace

std::vector<Lexeme> tokenize(std::string_view source) {
    return Lexer(source).run();
}

void fail_at(Position pos, const std::string& message) {
    throw Error(ErrorKind::bad_file,
                "the chat template breaks its syntax at line " + std::to_string(pos.line) + ", column " +
                    std::to_string(pos.column) + ": " + message,
                "Freehold reads the Jinja of transformers; write the template without it.");
}

std::string_view token_name(Token token) noexcept {
    static constexpr std::array<std::string_view, 36> kNames{
        "text", "{{", "}}", "{%", "%}", "name", "string", "integer", "float", "+", "-", "/",
        "//",   "*",  "%",  "**", "~",  "[",    "]",      "(",       ")",     "{", "}", "==",
        "!=",   ">",  ">=", "<",  "<=", "=",    ".",      ":",       "|",     ",", ";", "the end of the template"};
    return kNames.at(static_cast<std::size_t>(token));
}

}  // namespace freehold::jinja
