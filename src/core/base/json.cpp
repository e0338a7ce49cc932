// JSON to Value and back. Our own reader, because what it refuses (depth, duplicates, bad UTF-8) must be said with a
// place.
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>

#include "freehold/base/error.h"
#include "freehold/base/printable.h"
#include "freehold/base/value.h"

namespace freehold {

namespace {

constexpr int kMaxDepth = 200;

void append_utf8(std::string& out, std::uint32_t code) {
    const auto put = [&](std::uint32_t c) { out += static_cast<char>(static_cast<unsigned char>(c)); };
    if (code < 0x80) {
        put(code);
    } else if (code < 0x800) {
        put(0xC0 | (code >> 6)), put(0x80 | (code & 63));
    } else if (code < 0x10000) {
        put(0xE0 | (code >> 12)), put(0x80 | ((code >> 6) & 63)), put(0x80 | (code & 63));
    } else {
        put(0xF0 | (code >> 18)), put(0x80 | ((code >> 12) & 63)), put(0x80 | ((code >> 6) & 63)),
            put(0x80 | (code & 63));
    }
}

class Reader {
 public:
    Reader(std::string_view text, std::string_view what) : text_(text), what_(what) {}

    Value document() {
        if (text_.starts_with("\xEF\xBB\xBF")) at_ = 3;
        Value value = any(0);
        skip_space();
        if (at_ != text_.size()) fail("there is more text after the value");
        return value;
    }

 private:
    [[noreturn]] void fail(const std::string& why, std::size_t place = std::string_view::npos) const {
        place = std::min(place == std::string_view::npos ? at_ : place, text_.size());
        std::size_t line = 1, start = 0;
        for (std::size_t i = 0; i < place; ++i) {
            if (text_[i] == '\n') ++line, start = i + 1;
        }
        throw Error(ErrorKind::bad_file, std::string(what_) + " is not valid JSON at line " + std::to_string(line) +
                                             ", column " + std::to_string(place - start + 1) + ": " + why + ".");
    }

    void skip_space() noexcept {
        while (at_ < text_.size() &&
               (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t'))
            ++at_;
    }

    [[nodiscard]] char peek() const noexcept { return at_ < text_.size() ? text_[at_] : '\0'; }

    Value any(int depth) {
        skip_space();
        if (at_ >= text_.size()) fail("the text ends where a value should come");
        switch (text_[at_]) {
            case '{':
                return object(depth + 1);
            case '[':
                return array(depth + 1);
            case '"':
                return string();
            case 't':
                return word("true", Value(true));
            case 'f':
                return word("false", Value(false));
            case 'n':
                return word("null", Value());
            default:
                return number();
        }
    }

    Value word(std::string_view expected, Value value) {
        if (text_.substr(at_, expected.size()) != expected) fail("a value should come here");
        at_ += expected.size();
        return value;
    }

    void check_depth(int depth) const {
        if (depth > kMaxDepth) fail("lists and objects are nested more than " + std::to_string(kMaxDepth) + " deep");
    }

    Value object(int depth) {
        check_depth(depth);
        ++at_;
        ValueMap map;
        skip_space();
        if (peek() == '}') return ++at_, Value(std::move(map));
        for (;;) {
            skip_space();
            const std::size_t place = at_;
            if (peek() != '"') fail("a key in quotation marks should come here");
            std::string key = string();
            skip_space();
            if (peek() != ':') fail("a colon should come here");
            ++at_;
            Value value = any(depth);
            if (!map.set(key, std::move(value)))
                fail("the key \"" + printable(key, 80) + "\" comes twice in one object", place);
            skip_space();
            const char c = peek();
            if (c != ',' && c != '}') fail("a comma or the end of the object should come here");
            ++at_;
            if (c == '}') return map;
        }
    }

    Value array(int depth) {
        check_depth(depth);
        ++at_;
        ValueList list;
        skip_space();
        if (peek() == ']') return ++at_, Value(std::move(list));
        for (;;) {
            list.push_back(any(depth));
            skip_space();
            const char c = peek();
            if (c != ',' && c != ']') fail("a comma or the end of the list should come here");
            ++at_;
            if (c == ']') return list;
        }
    }

    std::uint32_t hex4() {
        std::uint32_t code = 0;
        for (int i = 0; i < 4; ++i, ++at_) {
            const char c = peek();
            const int digit = c >= '0' && c <= '9'   ? c - '0'
                              : c >= 'a' && c <= 'f' ? c - 'a' + 10
                              : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                     : -1;
            if (digit < 0) fail("four hexadecimal digits should follow \\u");
            code = code * 16 + static_cast<std::uint32_t>(digit);
        }
        return code;
    }

    void escape(std::string& out) {
        const std::size_t place = at_++;
        const char c = peek();
        ++at_;
        switch (c) {
            case '"':
                out += '"';
                return;
            case '\\':
                out += '\\';
                return;
            case '/':
                out += '/';
                return;
            case 'b':
                out += '\b';
                return;
            case 'f':
                out += '\f';
                return;
            case 'n':
                out += '\n';
                return;
            case 'r':
                out += '\r';
                return;
            case 't':
                out += '\t';
                return;
            case 'u':
                break;
            default:
                fail("unknown escape in a string", place);
        }
        std::uint32_t code = hex4();
        if (code >= 0xDC00 && code <= 0xDFFF) fail("half of a surrogate pair stands alone", place);
        if (code >= 0xD800 && code <= 0xDBFF) {
            if (text_.substr(at_, 2) != "\\u") fail("half of a surrogate pair stands alone", place);
            at_ += 2;
            const std::uint32_t low = hex4();
            if (low < 0xDC00 || low > 0xDFFF) fail("half of a surrogate pair stands alone", place);
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        }
        append_utf8(out, code);
    }

    std::string string() {
        ++at_;
        std::string out;
        for (;;) {
            // Plain ASCII in one piece.
            std::size_t end = at_;
            while (end < text_.size() && static_cast<unsigned char>(text_[end]) - 0x20U < 0x60U && text_[end] != '"' &&
                   text_[end] != '\\')
                ++end;
            out.append(text_, at_, end - at_);
            at_ = end;
            if (at_ >= text_.size()) fail("the text ends inside a string");
            const auto c = static_cast<unsigned char>(text_[at_]);
            if (c == '"') return ++at_, out;
            if (c == '\\') {
                escape(out);
            } else if (c < 0x20) {
                fail("a control character stands in a string without escape");
            } else {
                const std::size_t n = utf8_length(text_.substr(at_));
                if (n == 0) fail("the bytes are not valid UTF-8");
                out.append(text_, at_, n);
                at_ += n;
            }
        }
    }

    [[nodiscard]] bool digit() const noexcept { return peek() >= '0' && peek() <= '9'; }
    void digits(const char* where) {
        if (!digit()) fail(where);
        while (digit()) ++at_;
    }

    Value number() {
        const std::size_t begin = at_;
        const bool negative = peek() == '-';
        if (negative) ++at_;
        if (!digit()) fail("a value should come here", begin);
        if (peek() == '0') {
            ++at_;
            if (digit()) fail("a number may not begin with 0", begin);
        } else {
            digits("a digit should come here");
        }
        bool whole = true;
        if (peek() == '.') {
            whole = false;
            ++at_;
            digits("a digit should follow the point");
        }
        if (peek() == 'e' || peek() == 'E') {
            whole = false;
            ++at_;
            if (peek() == '+' || peek() == '-') ++at_;
            digits("a digit should follow the exponent");
        }
        const char* first = text_.data() + begin;
        const char* last = text_.data() + at_;
        if (whole) {
            std::int64_t i = 0;
            if (std::from_chars(first, last, i).ec == std::errc()) return i;
            std::uint64_t u = 0;
            if (!negative && std::from_chars(first, last, u).ec == std::errc()) return u;
        }
        double d = 0;
        if (std::from_chars(first, last, d).ec == std::errc()) return d;
        if (!is_tiny({first, static_cast<std::size_t>(last - first)}))
            fail("the number is too large for a double", begin);
        return negative ? -0.0 : 0.0;
    }

    // from_chars says "out of range" for both ends; which one is decided by the place of the first digit that is not 0.
    static bool is_tiny(std::string_view number) noexcept {
        if (number.starts_with('-')) number.remove_prefix(1);
        const std::size_t e = std::min(number.find_first_of("eE"), number.size());
        const std::string_view mantissa = number.substr(0, e);
        const std::size_t point = std::min(mantissa.find('.'), mantissa.size());
        const std::size_t first = mantissa.find_first_of("123456789");
        if (first == std::string_view::npos) return true;
        const double place =
            first < point ? static_cast<double>(point - first) : -static_cast<double>(first - point - 1);
        std::string_view exponent = e < number.size() ? number.substr(e + 1) : std::string_view("0");
        if (exponent.starts_with('+')) exponent.remove_prefix(1);
        long long x = 0;
        const bool huge = std::from_chars(exponent.data(), exponent.data() + exponent.size(), x).ec != std::errc();
        return huge ? exponent.starts_with('-') : place + static_cast<double>(x) < 0;
    }

    std::string_view text_, what_;
    std::size_t at_ = 0;
};

void write_string(std::string& out, std::string_view s) {
    constexpr char kHex[] = "0123456789abcdef";
    out += '"';
    for (std::size_t i = 0; i < s.size();) {
        const auto c = static_cast<unsigned char>(s[i]);
        const std::size_t n = c < 0x80 ? 1 : utf8_length(s.substr(i));
        if (n == 0) {
            out += "\xEF\xBF\xBD";
            i += utf8_broken_part(s.substr(i));
            continue;
        }
        switch (c) {
            case '"':
                out += "\\\"";
                break;
            case '\\':
                out += "\\\\";
                break;
            case '\n':
                out += "\\n";
                break;
            case '\r':
                out += "\\r";
                break;
            case '\t':
                out += "\\t";
                break;
            case '\b':
                out += "\\b";
                break;
            case '\f':
                out += "\\f";
                break;
            default:
                if (c < 0x20) {
                    out += "\\u00";
                    out += kHex[c >> 4];
                    out += kHex[c & 15];
                } else {
                    out.append(s, i, n);
                }
        }
        i += n;
    }
    out += '"';
}

template <class T>
void write_real(std::string& out, T value) {
    if (!std::isfinite(value)) {
        out += "null";
        return;
    }
    std::array<char, 40> buffer{};
    const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
    const std::string_view text(buffer.data(), static_cast<std::size_t>(end - buffer.data()));
    out += text;
    if (text.find_first_of(".e") == std::string_view::npos) out += ".0";
}

class Writer {
 public:
    explicit Writer(int indent) : indent_(indent) {}
    std::string out;

    void write(const Value& value, int level) {
        std::visit([&](const auto& v) { one(v, level); }, value.data());
    }

 private:
    void one(std::monostate, int) { out += "null"; }
    void one(bool b, int) { out += b ? "true" : "false"; }
    void one(std::int64_t i, int) { out += std::to_string(i); }
    void one(std::uint64_t u, int) { out += std::to_string(u); }
    void one(std::int32_t i, int) { out += std::to_string(i); }
    void one(double d, int) { write_real(out, d); }
    void one(float f, int) { write_real(out, f); }
    void one(const std::string& s, int) { write_string(out, s); }
    void one(const Value& v, int level) { write(v, level); }

    void one(const ValueMap& map, int level) {
        out += '{';
        bool first = true;
        for (const ValueEntry& entry : map) {
            if (!first) out += ',';
            first = false;
            new_line(level + 1);
            write_string(out, entry.key);
            out += indent_ < 0 ? ":" : ": ";
            write(entry.value, level + 1);
        }
        if (!first) new_line(level);
        out += '}';
    }

    template <class T>
    void one(const std::vector<T>& list, int level) {
        out += '[';
        for (std::size_t i = 0; i < list.size(); ++i) {
            if (i > 0) out += ',';
            new_line(level + 1);
            one(list[i], level + 1);
        }
        if (!list.empty()) new_line(level);
        out += ']';
    }

    void new_line(int level) {
        if (indent_ < 0) return;
        out += '\n';
        out.append(static_cast<std::size_t>(indent_) * static_cast<std::size_t>(level), ' ');
    }

    int indent_;
};

}  // namespace

Value parse_json(std::string_view text, std::string_view what) {
    return Reader(text, what).document();
}

std::string to_json(const Value& value, int indent) {
    Writer writer(indent);
    writer.write(value, 0);
    return std::move(writer.out);
}

}  // namespace freehold
