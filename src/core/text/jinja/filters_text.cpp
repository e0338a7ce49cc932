// Filters on text and numbers.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "library.h"
#include "numbers.h"
#include "objects.h"
#include "ops.h"
#include "runtime.h"
#include "unicode.h"

namespace freehold::jinja {
namespace {

// What soft_str makes of a value: strings stay what they are.
Val soft(Runtime& rt, const Val& value) {
    return value.is_string() ? value : rt.heap().str(to_str(rt.heap(), value));
}

Val like(Runtime& rt, const Val& text, std::string out) {
    return rt.heap().str(std::move(out), text.as_str().markup);
}

Val filter_abs(Runtime&, const Val& value, Args& args) {
    const Bound bound("abs", args, {}, 0);
    if (value.is_undefined()) fail("bad operand type for abs(): 'Undefined'");
    if (value.is(Val::Kind::real)) return Val::real(std::fabs(value.as_real()));
    if (!value.is_int_like()) fail("bad operand type for abs(): '" + std::string(type_name(value)) + "'");
    return value.as_int() < 0 ? negate(value) : Val::integer(value.as_int());
}

Val filter_capitalize(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("capitalize", args, {}, 0);
    const Val text = soft(rt, value);
    return like(rt, text, to_capital(text.text()));
}

Val filter_center(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("center", args, {"width"}, 0);
    Args width;
    width.pos.push_back(Val::integer(bound.integer(0, 80)));
    const Val text = soft(rt, value);
    return find_string_method("center").code(rt, text, width);
}

Val filter_escape(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("escape", args, {}, 0);
    return rt.heap().str(escaped(rt.heap(), value), true);
}

Val filter_forceescape(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("forceescape", args, {}, 0);
    const std::string text = to_str(rt.heap(), value);
    rt.heap().check_size(text.size() * 5);
    return rt.heap().str(escape_html(text), true);
}

Val filter_safe(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("safe", args, {}, 0);
    return rt.heap().str(to_str(rt.heap(), value), true);
}

Val filter_string(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("string", args, {}, 0);
    return soft(rt, value);
}

Val filter_upper(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("upper", args, {}, 0);
    const Val text = soft(rt, value);
    rt.heap().work(text.text().size() * 4);
    return like(rt, text, to_upper(text.text()));
}

Val filter_lower(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("lower", args, {}, 0);
    const Val text = soft(rt, value);
    rt.heap().work(text.text().size() * 4);
    return like(rt, text, to_lower(text.text()));
}

Val filter_title(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("title", args, {}, 0);
    const Val whole = soft(rt, value);
    const std::string_view text = whole.text();
    rt.heap().work(text.size() * 4);
    const auto divides = [](char32_t c) {
        return c == '-' || is_space(c) || c == '(' || c == '{' || c == '[' || c == '<';
    };
    std::string out;
    for (std::size_t pos = 0; pos < text.size();) {
        const std::size_t start = pos;
        std::size_t first_end = pos;
        const bool dividers = divides(decode_at(text, first_end));
        std::size_t next = pos;
        while (next < text.size()) {
            std::size_t after = next;
            if (divides(decode_at(text, after)) != dividers) break;
            next = after;
        }
        pos = next;
        if (dividers) {
            out += text.substr(start, pos - start);
        } else {
            out += to_upper(text.substr(start, first_end - start));
            out += to_lower(text.substr(first_end, pos - first_end));
        }
    }
    return rt.heap().str(std::move(out));
}

Val filter_trim(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("trim", args, {"chars"}, 0);
    const Val text = soft(rt, value);
    if (!bound.given(0)) return like(rt, text, std::string(strip(text.text(), nullptr, true, true)));
    const std::string_view chars = bound.text(0);
    return like(rt, text, std::string(strip(text.text(), &chars, true, true)));
}

Val filter_replace(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("replace", args, {"old", "new", "count"}, 2);
    Heap& heap = rt.heap();
    const std::int64_t count = bound.given(2) ? bound.integer(2, -1) : -1;
    return heap.str(
        replace_text(heap, to_str(heap, value), to_str(heap, bound.at(0)), to_str(heap, bound.at(1)), count));
}

Val filter_format(Runtime& rt, const Val& value, Args& args) {
    Heap& heap = rt.heap();
    if (!args.pos.empty() && !args.kw.empty())
        fail("format cannot take positional and keyword arguments at the same time");
    Val values;
    if (!args.kw.empty()) {
        Dict dict;
        for (const auto& [name, item] : args.kw) dict.set(heap, heap.str(name), item);
        values = heap.dict(std::move(dict));
    } else {
        values = heap.tuple(std::move(args.pos));
    }
    return heap.str(percent_format(heap, soft(rt, value).text(), values));
}

Val filter_indent(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("indent", args, {"width", "first", "blank"}, 0);
    Heap& heap = rt.heap();
    if (value.is_undefined()) fail_undefined(value.as_undefined());
    if (!value.is_string()) fail("indent needs a string, not " + std::string(type_name(value)));
    std::string by = "    ";
    if (bound[0] != nullptr) {
        if (bound.at(0).is_string()) {
            by = bound.text(0);
        } else {
            const std::int64_t width = std::max<std::int64_t>(bound.integer(0, 4), 0);
            heap.check_size(static_cast<std::uint64_t>(width));
            by.assign(static_cast<std::size_t>(width), ' ');
        }
    }
    const bool first = bound.flag(heap, 1, false), blank = bound.flag(heap, 2, false);
    const std::string text = std::string(value.text()) + "\n";
    std::string out;
    if (first) out += by;
    bool start = true;
    for (const std::string_view line : split_lines(text, false)) {
        heap.step();
        heap.check_size(out.size() + by.size() + line.size());
        if (!start) {
            out += '\n';
            if (blank || !line.empty()) out += by;
        }
        start = false;
        out += line;
    }
    return like(rt, value, std::move(out));
}

Val filter_truncate(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("truncate", args, {"length", "killwords", "end", "leeway"}, 0);
    Heap& heap = rt.heap();
    const std::int64_t most = bound.integer(0, 255);
    const std::string end = bound[2] != nullptr ? std::string(bound.text(2)) : "...";
    const std::int64_t leeway = bound.given(3) ? bound.integer(3, 5) : 5;
    const auto end_points = static_cast<std::int64_t>(count_points(end));
    if (most < end_points)
        fail("truncate: expected length >= " + std::to_string(end_points) + ", got " + std::to_string(most));
    if (leeway < 0) fail("truncate: expected leeway >= 0, got " + std::to_string(leeway));
    if (length(heap, value) - most <= leeway) return value;
    if (!value.is_string()) fail("truncate needs a string, not " + std::string(type_name(value)));
    std::string_view head =
        value.text().substr(0, point_offset(value.text(), static_cast<std::size_t>(most - end_points)));
    if (!bound.flag(heap, 1, false)) {
        const std::size_t space = head.rfind(' ');
        if (space != std::string_view::npos) head = head.substr(0, space);
    }
    return heap.str(std::string(head) + end);
}

// The pieces of a line that may not be broken: runs of white space, words, parts of words that end in a hyphen, dashes.
class WrapChunks {
 public:
    WrapChunks(std::u32string text, bool hyphens) : text_(std::move(text)), hyphens_(hyphens) {}

    std::vector<std::u32string> split() {
        std::vector<std::u32string> out;
        for (std::size_t pos = 0; pos < text_.size();) {
            const std::size_t end = std::max(next(pos), pos + 1);
            out.push_back(text_.substr(pos, end - pos));
            pos = end;
        }
        return out;
    }

 private:
    static bool space(char32_t c) { return c == ' ' || (c >= 9 && c <= 13); }
    [[nodiscard]] char32_t at(std::size_t i) const { return i < text_.size() ? text_[i] : 0; }
    [[nodiscard]] bool letter(std::size_t i) const { return i < text_.size() && is_alpha(text_[i]); }
    [[nodiscard]] bool word(std::size_t i) const { return i < text_.size() && (text_[i] == '_' || is_alnum(text_[i])); }
    [[nodiscard]] bool word_punct(std::size_t i) const {
        return word(i) ||
               (i < text_.size() && std::u32string_view(U"!\"'&.,?").find(text_[i]) != std::u32string_view::npos);
    }
    // Two or more dashes, then a word.
    [[nodiscard]] std::size_t dashes(std::size_t i) const {
        std::size_t end = i;
        while (at(end) == '-') ++end;
        return end - i >= 2 && word(end) ? end : i;
    }

    [[nodiscard]] std::size_t next(std::size_t pos) const {
        std::size_t end = pos;
        if (space(at(pos))) {
            while (end < text_.size() && space(text_[end])) ++end;
            return end;
        }
        if (!hyphens_) {
            while (end < text_.size() && !space(text_[end])) ++end;
            return end;
        }
        if (pos > 0 && word_punct(pos - 1) && dashes(pos) != pos) return dashes(pos);
        for (end = pos + 1;; ++end) {
            if (at(end) == '-' && end >= 1) {
                const std::size_t after = end + 1;
                const bool before_ok = (end >= 2 && letter(end - 1) && letter(end - 2)) ||
                                       (end >= 3 && letter(end - 1) && at(end - 2) == '-' && letter(end - 3));
                const bool after_ok =
                    letter(after) && (letter(after + 1) || (at(after + 1) == '-' && letter(after + 2)));
                if (before_ok && after_ok) return after;
            }
            if (end >= text_.size() || space(text_[end])) return end;
            if (word_punct(end - 1) && dashes(end) != end) return end;
        }
    }

    std::u32string text_;
    bool hyphens_;
};

void wrap_line(Heap& heap, std::string_view line, std::size_t width, bool break_long, bool hyphens,
               std::vector<std::string>& out) {
    std::u32string text;
    for (std::size_t pos = 0; pos < line.size();) text += decode_at(line, pos);
    std::vector<std::u32string> chunks = WrapChunks(text, hyphens).split();
    std::reverse(chunks.begin(), chunks.end());
    const auto blank = [](const std::u32string& s) {
        return std::all_of(s.begin(), s.end(), [](char32_t c) { return is_space(c); });
    };
    bool any = false;
    while (!chunks.empty()) {
        heap.step();
        std::vector<std::u32string> current;
        std::size_t size = 0;
        if (any && blank(chunks.back())) chunks.pop_back();
        while (!chunks.empty() && size + chunks.back().size() <= width) {
            size += chunks.back().size();
            current.push_back(std::move(chunks.back()));
            chunks.pop_back();
        }
        if (!chunks.empty() && chunks.back().size() > width) {
            const std::size_t left = width > size ? width - size : 0;
            if (break_long) {
                std::size_t cut = width < 1 ? 1 : left;
                std::u32string& chunk = chunks.back();
                if (hyphens && chunk.size() > left) {
                    const std::size_t hyphen = left == 0 ? std::u32string::npos : chunk.substr(0, left).rfind(U'-');
                    if (hyphen != std::u32string::npos && hyphen > 0 &&
                        chunk.substr(0, hyphen).find_first_not_of(U'-') != std::u32string::npos) {
                        cut = hyphen + 1;
                    }
                }
                current.push_back(chunk.substr(0, cut));
                chunk.erase(0, cut);
            } else if (current.empty()) {
                current.push_back(std::move(chunks.back()));
                chunks.pop_back();
            }
        }
        if (!current.empty() && blank(current.back())) current.pop_back();
        if (current.empty()) continue;
        std::string text_line;
        for (const std::u32string& chunk : current) {
            for (const char32_t c : chunk) append_utf8(text_line, c);
        }
        out.push_back(std::move(text_line));
        any = true;
    }
}

Val filter_wordwrap(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("wordwrap", args, {"width", "break_long_words", "wrapstring", "break_on_hyphens"}, 0);
    Heap& heap = rt.heap();
    const std::int64_t width = bound.integer(0, 79);
    if (!value.is_string()) {
        if (value.is_undefined()) fail_undefined(value.as_undefined());
        fail("wordwrap needs a string, not " + std::string(type_name(value)));
    }
    const std::string with = bound.given(2) ? std::string(bound.text(2)) : "\n";
    heap.work(value.text().size() * 16);
    std::string out;
    bool first = true;
    for (const std::string_view line : split_lines(value.text(), false)) {
        if (width <= 0) fail("invalid width " + std::to_string(width) + " (must be > 0)");
        std::vector<std::string> lines;
        wrap_line(heap, line, static_cast<std::size_t>(width), bound.flag(heap, 1, true), bound.flag(heap, 3, true),
                  lines);
        if (!first) out += with;
        first = false;
        for (std::size_t i = 0; i < lines.size(); ++i) {
            heap.check_size(out.size() + with.size() + lines[i].size());
            if (i != 0) out += with;
            out += lines[i];
        }
    }
    return heap.str(std::move(out));
}

Val filter_wordcount(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("wordcount", args, {}, 0);
    const Val text = soft(rt, value);
    rt.heap().work(text.text().size());
    std::int64_t words = 0;
    bool inside = false;
    for (std::size_t pos = 0; pos < text.text().size();) {
        const char32_t code = decode_at(text.text(), pos);
        const bool word = code == '_' || is_alnum(code);
        if (word && !inside) ++words;
        inside = word;
    }
    return Val::integer(words);
}

Val filter_int(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("int", args, {"default", "base"}, 0);
    const Val otherwise = bound[0] != nullptr ? bound.at(0) : Val::integer(0);
    if (value.is_undefined()) fail_undefined(value.as_undefined());
    if (value.is_string()) {
        rt.heap().work(value.text().size());
        const std::int64_t base = bound.integer(1, 10);
        const bool base_ok = base == 0 || (base >= 2 && base <= 36);
        if (base_ok) {
            if (const auto number = parse_int(value.text(), static_cast<int>(base))) return Val::integer(*number);
        }
        const auto number = parse_float(value.text());
        if (!number || !std::isfinite(*number)) return otherwise;
        return Val::integer(truncate_real(*number));
    }
    if (value.is(Val::Kind::real)) {
        if (std::isnan(value.as_real())) return otherwise;
        return Val::integer(truncate_real(value.as_real()));
    }
    return value.is_int_like() ? Val::integer(value.as_int()) : otherwise;
}

Val filter_float(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("float", args, {"default"}, 0);
    const Val otherwise = bound[0] != nullptr ? bound.at(0) : Val::real(0.0);
    if (value.is_undefined()) fail_undefined(value.as_undefined());
    if (value.is_number()) return Val::real(value.as_real());
    if (!value.is_string()) return otherwise;
    rt.heap().work(value.text().size());
    const auto number = parse_float(value.text());
    return number ? Val::real(*number) : otherwise;
}

Val filter_round(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("round", args, {"precision", "method"}, 0);
    const std::string method = bound[1] != nullptr ? to_str(rt.heap(), bound.at(1)) : "common";
    if (method != "common" && method != "ceil" && method != "floor") fail("method must be common, ceil or floor");
    if (value.is_undefined()) fail_undefined(value.as_undefined());
    if (!value.is_number()) fail("type " + std::string(type_name(value)) + " doesn't define __round__ method");
    const bool none = bound[0] != nullptr && bound.at(0).is_none();
    const std::int64_t precision = none ? 0 : bound.integer(0, 0);
    if (method != "common") {
        if (none) fail("unsupported operand type(s) for **: 'int' and 'NoneType'");
        const Val scale = arith(rt.heap(), Arith::pow, Val::integer(10), Val::integer(precision));
        const Val scaled = arith(rt.heap(), Arith::mul, value, scale);
        const double whole = method == "ceil" ? std::ceil(scaled.as_real()) : std::floor(scaled.as_real());
        return arith(rt.heap(), Arith::div, Val::integer(truncate_real(whole)), scale);
    }
    if (value.is_int_like()) {
        if (precision >= 0) return Val::integer(value.as_int());
        if (precision < -18) return Val::integer(0);
        std::int64_t unit = 1;
        for (std::int64_t i = 0; i < -precision; ++i) unit *= 10;
        // To the nearest multiple, half to even.
        const std::int64_t v = value.as_int();
        std::int64_t low = v / unit;
        if (v % unit < 0) --low;
        const std::uint64_t rest =
            static_cast<std::uint64_t>(v) - static_cast<std::uint64_t>(low) * static_cast<std::uint64_t>(unit);
        const std::uint64_t other = static_cast<std::uint64_t>(unit) - rest;
        if (rest > other || (rest == other && (low & 1) != 0)) ++low;
        return arith(rt.heap(), Arith::mul, Val::integer(low), Val::integer(unit));
    }
    if (none) return Val::integer(truncate_real(round_real(value.as_real(), 0)));
    return Val::real(round_real(value.as_real(), precision));
}

Val filter_filesizeformat(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("filesizeformat", args, {"binary"}, 0);
    Heap& heap = rt.heap();
    if (value.is_undefined()) fail_undefined(value.as_undefined());
    std::optional<double> bytes;
    if (value.is_number()) bytes = value.as_real();
    if (value.is_string()) bytes = parse_float(value.text());
    if (!bytes) fail("filesizeformat needs a number");
    const bool binary = bound.flag(heap, 0, false);
    const double base = binary ? 1024 : 1000;
    static constexpr std::array<std::string_view, 8> kDecimal{"kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"};
    static constexpr std::array<std::string_view, 8> kBinary{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"};
    if (*bytes == 1) return heap.str("1 Byte");
    if (*bytes < base) return heap.str(std::to_string(truncate_real(*bytes)) + " Bytes");
    double unit = base;
    for (std::size_t i = 0; i < kDecimal.size(); ++i) {
        unit *= base;
        if (*bytes < unit || i + 1 == kDecimal.size()) {
            return heap.str(format_value(heap, Val::real(base * *bytes / unit), ".1f") + " " +
                            std::string(binary ? kBinary.at(i) : kDecimal.at(i)));
        }
    }
    return heap.str({});
}

std::string url_quote(std::string_view text, bool query) {
    static constexpr char kHex[] = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                           c == '.' || c == '-' || c == '~' || (c == '/' && !query);
        if (plain) {
            out += c;
        } else if (query && c == ' ') {
            out += '+';
        } else {
            out += '%';
            out += kHex[byte >> 4U];
            out += kHex[byte & 0xFU];
        }
    }
    return out;
}

Val filter_urlencode(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("urlencode", args, {}, 0);
    Heap& heap = rt.heap();
    const auto it = value.is_string() ? nullptr : try_iterate(heap, value);
    if (it == nullptr) return heap.str(url_quote(to_str(heap, value), false));
    std::string out;
    const auto add = [&](const Val& key, const Val& item) {
        if (!out.empty()) out += '&';
        out += url_quote(to_str(heap, key), true) + "=" + url_quote(to_str(heap, item), true);
        heap.check_size(out.size());
    };
    if (value.is(Val::Kind::dict)) {
        for (const auto& [key, item] : value.as_dict().entries) add(key, item);
    } else {
        for (Val pair; it->next(heap, pair);) {
            const std::vector<Val> parts = collect(heap, pair);
            if (parts.size() != 2) fail("urlencode needs pairs");
            add(parts[0], parts[1]);
        }
    }
    return heap.str(std::move(out));
}

// The numeric entities and the few names that plain text meets.
std::string unescape_html(std::string_view text) {
    static constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kNames{{{"amp", "&"},
                                                                                          {"lt", "<"},
                                                                                          {"gt", ">"},
                                                                                          {"quot", "\""},
                                                                                          {"apos", "'"},
                                                                                          {"nbsp", "\u00a0"},
                                                                                          {"raquo", "\u00bb"},
                                                                                          {"laquo", "\u00ab"}}};
    std::string out;
    for (std::size_t pos = 0; pos < text.size();) {
        const std::size_t end =
            text[pos] == '&' ? text.substr(0, std::min(text.size(), pos + 12)).find(';', pos) : std::string_view::npos;
        if (end == std::string_view::npos) {
            out += text[pos++];
            continue;
        }
        const std::string_view name = text.substr(pos + 1, end - pos - 1);
        const auto known = std::find_if(kNames.begin(), kNames.end(), [&](const auto& n) { return n.first == name; });
        std::optional<std::int64_t> code;
        if (name.size() > 1 && name[0] == '#') {
            const bool hex = name[1] == 'x' || name[1] == 'X';
            const std::string_view digits = name.substr(hex ? 2 : 1);
            if (digits.find_first_not_of(hex ? "0123456789abcdefABCDEF" : "0123456789") == std::string_view::npos)
                code = parse_int(digits, hex ? 16 : 10);
        }
        if (known != kNames.end()) {
            out += known->second;
        } else if (code && *code > 0 && *code <= 0x10FFFF) {
            append_utf8(out, static_cast<char32_t>(*code));
        } else {
            out += text[pos++];
            continue;
        }
        pos = end + 1;
    }
    return out;
}

Val filter_striptags(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("striptags", args, {}, 0);
    Heap& heap = rt.heap();
    const std::string text = to_str(heap, value);
    heap.work(text.size() * 4);
    std::string kept;
    std::size_t pos = 0;
    for (std::size_t start = text.find('<'); start != std::string::npos; start = text.find('<', pos)) {
        const bool comment = text.compare(start, 4, "<!--") == 0;
        const std::size_t end = comment ? text.find("-->", start + 4) : text.find('>', start);
        if (end == std::string::npos) break;
        kept.append(text, pos, start - pos);
        pos = end + (comment ? 3 : 1);
    }
    kept.append(text, pos);
    std::string joined;
    std::string_view rest = strip(kept, nullptr, true, true);
    bool gap = false;
    for (std::size_t at = 0; at < rest.size();) {
        const std::size_t start = at;
        const char32_t code = decode_at(rest, at);
        if (is_space(code)) {
            gap = true;
            continue;
        }
        if (gap) joined += ' ';
        gap = false;
        joined += rest.substr(start, at - start);
    }
    return heap.str(unescape_html(joined));
}

Val filter_xmlattr(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("xmlattr", args, {"autospace"}, 0);
    Heap& heap = rt.heap();
    if (!value.is(Val::Kind::dict)) fail("xmlattr needs a mapping, not " + std::string(type_name(value)));
    std::string out;
    for (const auto& [key, item] : value.as_dict().entries) {
        if (item.is_none() || item.is_undefined()) continue;
        if (!key.is_string()) fail("xmlattr needs strings as names");
        if (key.text().find_first_of(" \t\n\r\f\v/>=") != std::string_view::npos)
            fail("invalid character in an attribute name");
        if (!out.empty()) out += ' ';
        out += escaped(heap, key) + "=\"" + escaped(heap, item) + "\"";
        heap.check_size(out.size());
    }
    if (bound.flag(heap, 0, true) && !out.empty()) out.insert(0, 1, ' ');
    return heap.str(std::move(out));
}

Val filter_tojson(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("tojson", args, {"ensure_ascii", "indent", "separators", "sort_keys"}, 0);
    Heap& heap = rt.heap();
    JsonOptions options;
    options.ensure_ascii = bound.flag(heap, 0, false);
    options.sort_keys = bound.flag(heap, 3, false);
    options.item_separator = ", ";
    options.key_separator = ": ";
    if (bound.given(1)) {
        options.indented = true;
        options.item_separator = ",";
        if (bound.at(1).is_string()) {
            options.indent = bound.text(1);
        } else {
            const std::int64_t width = std::max<std::int64_t>(bound.integer(1, 0), 0);
            heap.check_size(static_cast<std::uint64_t>(width));
            options.indent.assign(static_cast<std::size_t>(width), ' ');
        }
    }
    if (bound.given(2)) {
        const std::vector<Val> separators = collect(heap, bound.at(2));
        if (separators.size() != 2 || !separators[0].is_string() || !separators[1].is_string()) {
            fail("tojson: separators must be two strings");
        }
        options.item_separator = separators[0].text();
        options.key_separator = separators[1].text();
    }
    return heap.str(dump_json(heap, value, options));
}

constexpr std::array<FilterEntry, 26> kFilters{{
    {"abs", filter_abs},
    {"capitalize", filter_capitalize},
    {"center", filter_center},
    {"e", filter_escape},
    {"escape", filter_escape},
    {"filesizeformat", filter_filesizeformat},
    {"float", filter_float},
    {"forceescape", filter_forceescape},
    {"format", filter_format},
    {"indent", filter_indent},
    {"int", filter_int},
    {"lower", filter_lower},
    {"replace", filter_replace},
    {"round", filter_round},
    {"safe", filter_safe},
    {"string", filter_string},
    {"striptags", filter_striptags},
    {"title", filter_title},
    {"tojson", filter_tojson},
    {"trim", filter_trim},
    {"truncate", filter_truncate},
    {"upper", filter_upper},
    {"urlencode", filter_urlencode},
    {"wordcount", filter_wordcount},
    {"wordwrap", filter_wordwrap},
    {"xmlattr", filter_xmlattr},
}};

}  // namespace

std::span<const FilterEntry> text_filters() noexcept {
    return kFilters;
}

}  // namespace freehold::jinja
