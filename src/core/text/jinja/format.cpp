// Python's two ways of formatting: "%s" % args and "{}".format(args), with their little languages.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "numbers.h"
#include "objects.h"
#include "ops.h"
#include "unicode.h"

namespace freehold::jinja {
namespace {

constexpr std::int64_t kMaxPrecision = 1000;  // digits of a number; a text may be cut anywhere

struct Spec {
    char32_t fill = ' ';
    char align = 0;
    char sign = '-';
    bool sign_given = false;
    bool alternate = false, zero = false, no_negative_zero = false;
    std::int64_t width = 0;
    char grouping = 0;
    std::int64_t precision = -1;
    char type = 0;
};

std::string print_real(double value, char type, std::int64_t precision, bool alternate) {
    if (precision > kMaxPrecision)
        fail_limit("the template formats a number with a precision of " + std::to_string(precision));
    const std::array<char, 6> format{
        '%', alternate ? '#' : '.', alternate ? '.' : '*', alternate ? '*' : type, alternate ? type : '\0', '\0'};
    const int n = std::snprintf(nullptr, 0, format.data(), static_cast<int>(precision), value);
    std::string out(static_cast<std::size_t>(std::max(n, 0)) + 1, '\0');
    std::snprintf(out.data(), out.size(), format.data(), static_cast<int>(precision), value);
    out.pop_back();
    return out;
}

std::string in_base(std::uint64_t value, unsigned base, bool upper) {
    const std::string_view digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    std::string out;
    do {
        out += digits[value % base];
        value /= base;
    } while (value != 0);
    std::reverse(out.begin(), out.end());
    return out;
}

std::uint64_t magnitude(std::int64_t value) {
    return value < 0 ? ~static_cast<std::uint64_t>(value) + 1 : static_cast<std::uint64_t>(value);
}

// Inserts the separator every `every` digits of the integer part.
std::string group(std::string digits, char separator, std::size_t every) {
    std::size_t end = digits.find_first_not_of("0123456789abcdefABCDEF");
    if (end == std::string::npos) end = digits.size();
    for (std::size_t at = end; at > every;) {
        at -= every;
        digits.insert(at, 1, separator);
    }
    return digits;
}

std::string pad_out(Heap& heap, const Spec& spec, std::string sign_and_prefix, std::string body, char default_align) {
    const auto size = static_cast<std::int64_t>(count_points(sign_and_prefix) + count_points(body));
    const std::int64_t missing = spec.width - size;
    if (missing <= 0) return sign_and_prefix + body;
    heap.check_size(static_cast<std::uint64_t>(missing) * 4);
    std::string fill;
    append_utf8(fill, spec.fill);
    const auto fills = [&](std::int64_t n) {
        std::string out;
        for (std::int64_t i = 0; i < n; ++i) out += fill;
        return out;
    };
    switch (spec.align != 0 ? spec.align : default_align) {
        case '<':
            return sign_and_prefix + body + fills(missing);
        case '^':
            return fills(missing / 2) + sign_and_prefix + body + fills(missing - missing / 2);
        case '=':
            return sign_and_prefix + fills(missing) + body;
        default:
            return fills(missing) + sign_and_prefix + body;
    }
}

std::int64_t read_number(std::string_view spec, std::size_t& pos) {
    std::int64_t value = 0;
    while (pos < spec.size() && spec[pos] >= '0' && spec[pos] <= '9') {
        if (value > 100'000'000'000) fail("too many decimal digits in a format string");
        value = value * 10 + (spec[pos++] - '0');
    }
    return value;
}

Spec parse_spec(std::string_view text) {
    Spec spec;
    std::size_t pos = 0;
    bool fill_given = false;
    const auto is_align = [](char c) { return c == '<' || c == '>' || c == '=' || c == '^'; };
    if (!text.empty()) {
        std::size_t after = 0;
        const char32_t fill = decode_at(text, after);
        if (after < text.size() && is_align(text[after])) {
            spec.fill = fill;
            fill_given = true;
            spec.align = text[after];
            pos = after + 1;
        } else if (is_align(text[0])) {
            spec.align = text[0];
            pos = 1;
        }
    }
    const auto accept = [&](char c) { return pos < text.size() && text[pos] == c && ++pos != 0; };
    if (pos < text.size() && (text[pos] == '+' || text[pos] == '-' || text[pos] == ' ')) {
        spec.sign = text[pos++];
        spec.sign_given = true;
    }
    spec.no_negative_zero = accept('z');
    spec.alternate = accept('#');
    if (!fill_given && accept('0')) {
        spec.fill = '0';
        spec.zero = true;
        if (spec.align == 0) spec.align = '=';
    }
    spec.width = read_number(text, pos);
    if (pos < text.size() && (text[pos] == ',' || text[pos] == '_')) {
        spec.grouping = text[pos++];
        if (pos < text.size() && (text[pos] == ',' || text[pos] == '_')) fail("Cannot specify both ',' and '_'.");
    }
    if (accept('.')) {
        if (pos >= text.size() || text[pos] < '0' || text[pos] > '9') fail("Format specifier missing precision");
        spec.precision = read_number(text, pos);
    }
    if (pos < text.size()) spec.type = text[pos++];
    if (pos < text.size()) fail("Invalid format specifier '" + std::string(text) + "'");
    return spec;
}

// Zeros that fill a width count as digits for the separators.
std::string group_to_width(const Spec& spec, std::string digits, std::size_t sign_size, std::size_t every) {
    if (spec.grouping == 0) return digits;
    std::string out = group(digits, spec.grouping, every);
    if (spec.align != '=' || spec.fill != '0') return out;
    while (static_cast<std::int64_t>(out.size() + sign_size) < spec.width) {
        digits.insert(digits.begin(), '0');
        out = group(digits, spec.grouping, every);
        if (out.size() > 4096) break;
    }
    return out;
}

std::string format_integer(Heap& heap, std::int64_t value, const Spec& spec) {
    if (spec.precision >= 0) fail("Precision not allowed in integer format specifier");
    if (spec.no_negative_zero) fail("Negative zero coercion (z) not allowed in format specifier with integer");
    std::string sign = value < 0 ? "-" : spec.sign == '-' ? "" : std::string(1, spec.sign);
    if (spec.type == 'c') {
        if (spec.sign != '-' || spec.sign_given) fail("Sign not allowed with integer format specifier 'c'");
        if (spec.alternate) fail("Alternate form (#) not allowed with integer format specifier 'c'");
        if (spec.grouping != 0) fail(std::string("Cannot specify '") + spec.grouping + "' with 'c'.");
        if (value < 0 || value > 0x10FFFF) fail("%c arg not in range(0x110000)");
        std::string out;
        append_utf8(out, static_cast<char32_t>(value));
        return pad_out(heap, spec, "", out, '<');
    }
    unsigned base = 10;
    std::string prefix;
    switch (spec.type) {
        case 'b':
            base = 2;
            prefix = "0b";
            break;
        case 'o':
            base = 8;
            prefix = "0o";
            break;
        case 'x':
            base = 16;
            prefix = "0x";
            break;
        case 'X':
            base = 16;
            prefix = "0X";
            break;
        default:
            break;
    }
    if (spec.grouping != 0 && spec.type == 'n') {
        fail(std::string("Cannot specify '") + spec.grouping + "' with '" + spec.type + "'.");
    }
    if (base != 10 && spec.grouping == ',') fail("Cannot specify ',' with '" + std::string(1, spec.type) + "'.");
    if (spec.alternate) sign += prefix;
    std::string digits = in_base(magnitude(value), base, spec.type == 'X');
    digits = group_to_width(spec, std::move(digits), sign.size(), base == 10 ? 3 : 4);
    return pad_out(heap, spec, sign, digits, '>');
}

std::string format_real(Heap& heap, double value, const Spec& spec) {
    const char type = spec.type;
    if (spec.grouping != 0 && type == 'n') fail(std::string("Cannot specify '") + spec.grouping + "' with 'n'.");
    const bool negative = std::signbit(value) && !std::isnan(value);
    const double size = std::fabs(value);
    std::string body;
    std::int64_t precision = spec.precision;
    if (!std::isfinite(value)) {
        body = std::isnan(value) ? "nan" : "inf";
        if (type == '%') body += '%';
    } else if (type == 0 && precision < 0) {
        body = float_repr(size);
        const std::size_t e = body.find('e');
        if (spec.alternate && e != std::string::npos && body.find('.') == std::string::npos) body.insert(e, 1, '.');
    } else if (type == 0) {
        // Like g, but with a digit after the point, and the exponent comes one digit earlier.
        precision = std::max<std::int64_t>(precision, 1);
        body = print_real(size, 'e', precision - 1, spec.alternate);
        const std::size_t e = body.find('e');
        const long exponent = std::strtol(body.c_str() + e + 1, nullptr, 10);
        if (exponent < -4 || exponent >= precision - 1) {
            std::size_t keep = e;
            while (!spec.alternate && body.find('.') < keep && body[keep - 1] == '0') --keep;
            if (!spec.alternate && body[keep - 1] == '.') --keep;
            body.erase(keep, e - keep);
        } else {
            body = print_real(size, 'g', precision, spec.alternate);
            if (body.find('.') == std::string::npos) body += ".0";
        }
    } else {
        if (precision < 0) precision = 6;
        double shown = size;
        char print = type;
        if (type == '%') {
            shown *= 100;
            print = 'f';
        }
        if (type == 'n') print = 'g';
        if ((print == 'g' || print == 'G') && precision == 0) precision = 1;
        body = print_real(shown, print, precision, spec.alternate);
        if (type == '%') body += '%';
    }
    if (type == 'F' || type == 'E' || type == 'G') body = to_upper(body);
    bool minus = negative;
    if (minus && spec.no_negative_zero && body.find_first_of("123456789in") == std::string::npos) minus = false;
    const std::string sign = minus ? "-" : spec.sign == '-' ? "" : std::string(1, spec.sign);
    if (std::isfinite(value)) {
        const std::size_t head = std::min(body.find_first_not_of("0123456789"), body.size());
        if (spec.grouping != 0) {
            Spec inner = spec;
            inner.width -= static_cast<std::int64_t>(body.size() - head);
            body = group_to_width(inner, body.substr(0, head), sign.size(), 3) + body.substr(head);
        }
    }
    return pad_out(heap, spec, sign, body, '>');
}

std::string format_text(Heap& heap, std::string_view text, const Spec& spec) {
    if (spec.sign_given) fail("Sign not allowed in string format specifier");
    if (spec.alternate) fail("Alternate form (#) not allowed in string format specifier");
    if (spec.align == '=' && !(spec.zero && spec.fill == '0'))
        fail("'=' alignment not allowed in string format specifier");
    if (spec.grouping != 0) fail("Cannot specify '" + std::string(1, spec.grouping) + "' with 's'.");
    if (spec.type != 0 && spec.type != 's')
        fail("Unknown format code '" + std::string(1, spec.type) + "' for a string");
    std::string body(text);
    if (spec.precision >= 0) body.resize(point_offset(body, static_cast<std::size_t>(spec.precision)));
    Spec laid = spec;
    if (laid.align == '=') laid.align = '<';
    return pad_out(heap, laid, "", body, '<');
}

// ---- "%s" % args

class PercentFormat {
 public:
    PercentFormat(Heap& heap, std::string_view text, const Val& args) : heap_(heap), text_(text), args_(args) {}

    std::string run() {
        std::string out;
        while (pos_ < text_.size()) {
            const std::size_t hit = std::min(text_.find('%', pos_), text_.size());
            out += text_.substr(pos_, hit - pos_);
            pos_ = hit;
            if (pos_ >= text_.size()) break;
            ++pos_;
            one(out);
            heap_.check_size(out.size());
        }
        const bool mapping =
            !args_.is_tuple() && !args_.is_string() &&
            (args_.is(Val::Kind::dict) || args_.is_list() || args_.is_undefined() || args_.as<Range>() != nullptr);
        const std::size_t given = args_.is_tuple() ? args_.as_list().items.size() : 1;
        if (!mapping && next_ < given) fail("not all arguments converted during string formatting");
        return out;
    }

 private:
    char current() const {
        if (pos_ >= text_.size()) fail("incomplete format");
        return text_[pos_];
    }

    Val next_argument() {
        if (args_.is_tuple()) {
            if (next_ >= args_.as_list().items.size()) fail("not enough arguments for format string");
            return args_.as_list().items[next_++];
        }
        if (next_ > 0) fail("not enough arguments for format string");
        ++next_;
        return args_;
    }

    std::int64_t star_or_number() {
        if (current() != '*') return read_number(text_, pos_);
        ++pos_;
        const Val value = next_argument();
        if (!value.is_int_like()) fail("* wants int");
        return value.as_int();
    }

    void one(std::string& out) {
        heap_.step();
        const std::size_t start = pos_;
        Spec spec;
        bool left = false, zero = false;
        std::optional<Val> named;
        if (current() == '(') {
            if (!args_.is(Val::Kind::dict)) fail("format requires a mapping");
            int nesting = 1;
            const std::size_t name = ++pos_;
            while (nesting > 0) {
                const char c = current();
                nesting += c == '(' ? 1 : c == ')' ? -1 : 0;
                ++pos_;
            }
            const std::string_view key = text_.substr(name, pos_ - name - 1);
            const Val* found = args_.as_dict().find(key);
            if (found == nullptr) fail("the format string asks for the missing key '" + std::string(key) + "'");
            named = *found;
        }
        for (bool more = true; more;) {
            switch (current()) {
                case '-':
                    left = true;
                    break;
                case '+':
                    spec.sign = '+';
                    break;
                case ' ':
                    spec.sign = spec.sign == '+' ? '+' : ' ';
                    break;
                case '#':
                    spec.alternate = true;
                    break;
                case '0':
                    zero = true;
                    break;
                default:
                    more = false;
            }
            if (more) ++pos_;
        }
        spec.width = star_or_number();
        if (spec.width < 0) {
            left = true;
            spec.width = -spec.width;
        }
        if (current() == '.') {
            ++pos_;
            spec.precision = std::max<std::int64_t>(star_or_number(), 0);
        }
        if (current() == 'h' || current() == 'l' || current() == 'L') ++pos_;
        const char type = current();
        ++pos_;
        if (type == '%') {
            if (pos_ - start != 1) fail("unsupported format character '%'");
            out += '%';
            return;
        }
        spec.align = left ? '<' : '>';
        const Val value = named ? *named : next_argument();
        convert(out, spec, type, value, zero && !left);
    }

    void convert(std::string& out, Spec& spec, char type, const Val& value, bool zero) {
        switch (type) {
            case 's':
            case 'r':
            case 'a': {
                std::string body = type == 's'   ? to_str(heap_, value)
                                   : type == 'r' ? to_repr(heap_, value)
                                                 : to_ascii(heap_, value);
                if (spec.precision >= 0) body.resize(point_offset(body, static_cast<std::size_t>(spec.precision)));
                out += pad_out(heap_, spec, "", body, '>');
                return;
            }
            case 'c': {
                std::string body;
                if (value.is_string() && value.as_str().points == 1) {
                    body = value.text();
                } else if (value.is_int_like() && value.as_int() >= 0 && value.as_int() <= 0x10FFFF) {
                    append_utf8(body, static_cast<char32_t>(value.as_int()));
                } else {
                    fail("%c requires int or char");
                }
                out += pad_out(heap_, spec, "", body, '>');
                return;
            }
            case 'd':
            case 'i':
            case 'u':
            case 'o':
            case 'x':
            case 'X':
                out += integer(spec, type, value, zero);
                return;
            case 'e':
            case 'E':
            case 'f':
            case 'F':
            case 'g':
            case 'G': {
                if (value.is_undefined()) fail_undefined(value.as_undefined());
                if (!value.is_number()) fail("must be real number, not " + std::string(type_name(value)));
                spec.type = type;
                if (zero) {
                    spec.fill = '0';
                    spec.align = '=';
                }
                out += format_real(heap_, value.as_real(), spec);
                return;
            }
            default:
                fail("unsupported format character '" + std::string(1, type) + "'");
        }
    }

    std::string integer(Spec& spec, char type, const Val& value, bool zero) {
        const bool decimal = type == 'd' || type == 'i' || type == 'u';
        if (value.is_undefined()) fail_undefined(value.as_undefined());
        if (!value.is_number() || (!decimal && value.is(Val::Kind::real))) {
            fail("%" + std::string(1, type) + " format: a number is required, not " + std::string(type_name(value)));
        }
        const std::int64_t number = value.is(Val::Kind::real) ? truncate_real(value.as_real()) : value.as_int();
        const unsigned base = decimal ? 10 : type == 'o' ? 8 : 16;
        std::string sign = number < 0 ? "-" : spec.sign == '-' ? "" : std::string(1, spec.sign);
        if (spec.alternate && !decimal) sign += type == 'o' ? "0o" : type == 'x' ? "0x" : "0X";
        std::string digits = in_base(magnitude(number), base, type == 'X');
        if (spec.precision > static_cast<std::int64_t>(digits.size())) {
            heap_.check_size(static_cast<std::uint64_t>(spec.precision));
            digits.insert(0, static_cast<std::size_t>(spec.precision) - digits.size(), '0');
        }
        if (zero) {
            spec.fill = '0';
            spec.align = '=';
        }
        return pad_out(heap_, spec, sign, digits, '>');
    }

    Heap& heap_;
    std::string_view text_;
    const Val& args_;
    std::size_t pos_ = 0;
    std::size_t next_ = 0;
};

// ---- "{}".format(args)

class BraceFormat {
 public:
    BraceFormat(Heap& heap, const Args& args) : heap_(heap), args_(args) {}

    std::string run(std::string_view text, int depth) {
        if (depth < 0) fail("Max string recursion exceeded");
        std::string out;
        for (std::size_t pos = 0; pos < text.size();) {
            heap_.check_size(out.size());
            const char c = text[pos++];
            if (c != '{' && c != '}') {
                out += c;
            } else if (pos < text.size() && text[pos] == c) {
                out += c;
                ++pos;
            } else if (c == '}') {
                fail("Single '}' encountered in format string");
            } else {
                const std::size_t start = pos;
                for (int nesting = 1; nesting > 0;) {
                    if (pos >= text.size())
                        fail(pos == start ? "Single '{' encountered in format string"
                                          : "expected '}' before end of string");
                    if (text[pos] == '[') {
                        // Inside an index braces are text.
                        while (pos < text.size() && text[pos] != ']') ++pos;
                        continue;
                    }
                    nesting += text[pos] == '{' ? 1 : text[pos] == '}' ? -1 : 0;
                    ++pos;
                }
                out += field(text.substr(start, pos - 1 - start), depth);
            }
        }
        return out;
    }

 private:
    std::string field(std::string_view text, int depth) {
        heap_.step();
        std::size_t name_end = 0;
        for (bool bracket = false; name_end < text.size(); ++name_end) {
            const char c = text[name_end];
            if (bracket) {
                bracket = c != ']';
            } else if (c == '[') {
                bracket = true;
            } else if (c == '!' || c == ':') {
                break;
            } else if (c == '{') {
                fail("unexpected '{' in field name");
            }
        }
        std::string_view rest = text.substr(name_end);
        char conversion = 0;
        if (rest.starts_with('!')) {
            if (rest.size() < 2) fail("end of string while looking for conversion specifier");
            conversion = rest[1];
            rest.remove_prefix(2);
            if (!rest.empty() && rest[0] != ':') fail("expected ':' after conversion specifier");
        }
        const std::string_view raw_spec = rest.empty() ? rest : rest.substr(1);
        Val value = lookup(text.substr(0, name_end));
        const std::string spec = run(raw_spec, depth - 1);
        if (conversion == 's') {
            value = heap_.str(to_str(heap_, value));
        } else if (conversion == 'r') {
            value = heap_.str(to_repr(heap_, value));
        } else if (conversion == 'a') {
            value = heap_.str(to_ascii(heap_, value));
        } else if (conversion != 0) {
            fail("Unknown conversion specifier '" + std::string(1, conversion) + "'");
        }
        return format_value(heap_, value, spec);
    }

    static std::optional<std::size_t> number(std::string_view text) {
        if (text.empty() || text.size() > 9) return std::nullopt;
        std::size_t value = 0;
        for (const char c : text) {
            if (c < '0' || c > '9') return std::nullopt;
            value = value * 10 + static_cast<std::size_t>(c - '0');
        }
        return value;
    }

    Val lookup(std::string_view name) {
        const std::size_t first_end = std::min(name.find_first_of(".["), name.size());
        const std::string_view first = name.substr(0, first_end);
        Val value;
        std::optional<std::size_t> index = number(first);
        if (first.empty()) {
            if (manual_) fail("cannot switch from manual field specification to automatic field numbering");
            automatic_ = true;
            index = next_++;
        } else if (index) {
            if (automatic_) fail("cannot switch from manual field specification to automatic field numbering");
            manual_ = true;
        }
        if (index) {
            if (*index >= args_.pos.size())
                fail("Replacement index " + std::to_string(*index) + " out of range for positional args tuple");
            value = args_.pos[*index];
        } else {
            const auto it =
                std::find_if(args_.kw.begin(), args_.kw.end(), [&](const auto& kw) { return kw.first == first; });
            if (it == args_.kw.end()) fail("the format string asks for the missing name '" + std::string(first) + "'");
            value = it->second;
        }
        for (std::size_t pos = first_end; pos < name.size();) {
            if (name[pos] == '.') {
                const std::size_t end = std::min(name.find_first_of(".[", pos + 1), name.size());
                if (end == pos + 1) fail("Empty attribute in format string");
                value = get_attribute(heap_, value, name.substr(pos + 1, end - pos - 1));
                pos = end;
            } else if (name[pos] == '[') {
                const std::size_t end = name.find(']', pos);
                if (end == std::string_view::npos) fail("Missing ']' in format string");
                if (end == pos + 1) fail("Empty attribute in format string");
                const std::string_view key = name.substr(pos + 1, end - pos - 1);
                const auto at = number(key);
                value = get_item(heap_, value,
                                 at ? Val::integer(static_cast<std::int64_t>(*at)) : heap_.str(std::string(key)));
                pos = end + 1;
            } else {
                fail("Only '.' or '[' may follow ']' in format field specifier");
            }
        }
        return value;
    }

    Heap& heap_;
    const Args& args_;
    std::size_t next_ = 0;
    bool automatic_ = false, manual_ = false;
};

}  // namespace

std::string format_value(Heap& heap, const Val& value, std::string_view text) {
    if (text.empty()) return to_str(heap, value);
    if (value.is_string()) return format_text(heap, value.text(), parse_spec(text));
    if (value.is_int_like()) {
        const Spec spec = parse_spec(text);
        if (spec.type == 0 || std::string_view("bcdnoxX").find(spec.type) != std::string_view::npos) {
            return format_integer(heap, value.as_int(), spec);
        }
        if (std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos)
            return format_real(heap, value.as_real(), spec);
        fail("Unknown format code '" + std::string(1, spec.type) + "' for object of type 'int'");
    }
    if (value.is(Val::Kind::real)) {
        const Spec spec = parse_spec(text);
        if (spec.type != 0 && std::string_view("eEfFgGn%").find(spec.type) == std::string_view::npos) {
            fail("Unknown format code '" + std::string(1, spec.type) + "' for object of type 'float'");
        }
        return format_real(heap, value.as_real(), spec);
    }
    fail("unsupported format string passed to " + std::string(type_name(value)) + ".__format__");
}

std::string percent_format(Heap& heap, std::string_view text, const Val& args) {
    heap.work(text.size());
    return PercentFormat(heap, text, args).run();
}

std::string brace_format(Heap& heap, std::string_view text, const Args& args) {
    heap.work(text.size());
    return BraceFormat(heap, args).run(text, 2);
}

}  // namespace freehold::jinja
