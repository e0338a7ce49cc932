// The methods of strings, lists, tuples and dicts that a template may call, with Python's meaning.
#include <algorithm>
#include <array>
#include <limits>

#include "numbers.h"
#include "objects.h"
#include "ops.h"
#include "runtime.h"
#include "unicode.h"

namespace freehold::jinja {
namespace {

constexpr std::size_t kNowhere = std::string_view::npos;

Val make_text(Runtime& rt, const Val& self, std::string text) {
    return rt.heap().str(std::move(text), self.as_str().markup);
}

void no_arguments(const Args& args, std::string_view name) {
    if (!args.pos.empty() || !args.kw.empty()) fail(std::string(name) + "() takes no arguments");
}

// The byte range of characters [start, stop) as str.find and its kin take it; false if it is empty in Python's sense
// (start behind the end), where even an empty needle is not found.
bool byte_range(const Val& self, const Bound& bound, std::size_t at, std::size_t& begin, std::size_t& end) {
    const Str& s = self.as_str();
    const auto n = static_cast<std::int64_t>(s.points);
    const auto clamp = [&](std::size_t i, std::int64_t otherwise) {
        if (!bound.given(i)) return otherwise;
        std::int64_t v = bound.integer(i, otherwise);
        if (v < 0) v = std::max<std::int64_t>(v < -n ? 0 : v + n, 0);
        return v;
    };
    const std::int64_t start = clamp(at, 0);
    const std::int64_t stop = std::min(clamp(at + 1, n), n);
    if (start > n || start > stop) return false;
    begin = s.ascii() ? static_cast<std::size_t>(start) : point_offset(s.text, static_cast<std::size_t>(start));
    end = s.ascii() ? static_cast<std::size_t>(stop) : point_offset(s.text, static_cast<std::size_t>(stop));
    return true;
}

Val point_index(const Val& self, std::size_t byte) {
    const Str& s = self.as_str();
    return Val::integer(
        static_cast<std::int64_t>(s.ascii() ? byte : count_points(std::string_view(s.text).substr(0, byte))));
}

template <bool kRight, bool kMust>
Val str_find(Runtime& rt, const Val& self, Args& args) {
    const Bound bound("find", args, {"sub", "start", "end"}, 1, true);
    const std::string_view needle = bound.text(0);
    rt.heap().work(self.text().size());
    std::size_t begin = 0, end = 0, hit = kNowhere;
    if (byte_range(self, bound, 1, begin, end)) {
        hit = kRight ? rfind_text(self.text(), needle, begin, end) : find_text(self.text(), needle, begin, end);
    }
    if (hit != kNowhere) return point_index(self, hit);
    if (kMust) fail("substring not found");
    return Val::integer(-1);
}

Val str_count(Runtime& rt, const Val& self, Args& args) {
    const Bound bound("count", args, {"sub", "start", "end"}, 1, true);
    const std::string_view needle = bound.text(0);
    rt.heap().work(self.text().size());
    std::size_t begin = 0, end = 0;
    if (!byte_range(self, bound, 1, begin, end)) return Val::integer(0);
    if (needle.empty())
        return Val::integer(static_cast<std::int64_t>(count_points(self.text().substr(begin, end - begin)) + 1));
    std::int64_t n = 0;
    for (std::size_t hit = find_text(self.text(), needle, begin, end); hit != kNowhere;
         hit = find_text(self.text(), needle, hit + needle.size(), end)) {
        rt.heap().step();
        ++n;
    }
    return Val::integer(n);
}

template <bool kEnd>
Val str_affix(Runtime& rt, const Val& self, Args& args) {
    constexpr std::string_view name = kEnd ? "endswith" : "startswith";
    const Bound bound(name, args, {"prefix", "start", "end"}, 1, true);
    std::size_t begin = 0, end = 0;
    const bool inside = byte_range(self, bound, 1, begin, end);
    const std::string_view text = inside ? self.text().substr(begin, end - begin) : std::string_view();
    const auto matches = [&](const Val& affix) {
        if (!affix.is_string()) {
            fail(std::string(name) + " first arg must be str or a tuple of str, not " + std::string(type_name(affix)));
        }
        rt.heap().step();
        return inside && (kEnd ? text.ends_with(affix.text()) : text.starts_with(affix.text()));
    };
    if (bound.at(0).is_tuple()) {
        for (const Val& affix : bound.at(0).as_list().items) {
            if (matches(affix)) return Val::boolean(true);
        }
        return Val::boolean(false);
    }
    return Val::boolean(matches(bound.at(0)));
}

template <bool kLeft, bool kRight>
Val str_strip(Runtime& rt, const Val& self, Args& args) {
    const Bound bound("strip", args, {"chars"}, 0, true);
    if (!bound.given(0)) return make_text(rt, self, std::string(strip(self.text(), nullptr, kLeft, kRight)));
    const std::string_view chars = bound.text(0);
    rt.heap().work(self.text().size() + chars.size());
    return make_text(rt, self, std::string(strip(self.text(), &chars, kLeft, kRight)));
}

template <std::string (*kFn)(std::string_view)>
Val str_map(Runtime& rt, const Val& self, Args& args) {
    no_arguments(args, "the string method");
    rt.heap().work(self.text().size() * 4);
    return make_text(rt, self, kFn(self.text()));
}

// All characters satisfy the predicate, and there is at least one.
template <bool (*kIs)(char32_t) noexcept>
Val str_all(Runtime& rt, const Val& self, Args& args) {
    no_arguments(args, "the string method");
    rt.heap().work(self.text().size());
    const std::string_view text = self.text();
    for (std::size_t pos = 0; pos < text.size();) {
        if (!kIs(decode_at(text, pos))) return Val::boolean(false);
    }
    return Val::boolean(!text.empty());
}

Val str_isascii(Runtime&, const Val& self, Args& args) {
    no_arguments(args, "isascii");
    return Val::boolean(self.as_str().ascii());
}

Val str_isprintable(Runtime& rt, const Val& self, Args& args) {
    if (self.text().empty()) return Val::boolean(true);
    return str_all<is_printable>(rt, self, args);
}

Val str_isidentifier(Runtime&, const Val& self, Args& args) {
    no_arguments(args, "isidentifier");
    const std::string_view text = self.text();
    for (std::size_t pos = 0; pos < text.size();) {
        const bool first = pos == 0;
        const char32_t code = decode_at(text, pos);
        if (!(first ? is_identifier_start(code) : is_identifier_part(code))) return Val::boolean(false);
    }
    return Val::boolean(!text.empty());
}

Val str_islower(Runtime& rt, const Val& self, Args& args) {
    no_arguments(args, "islower");
    rt.heap().work(self.text().size());
    return Val::boolean(is_lower_text(self.text()));
}

Val str_isupper(Runtime& rt, const Val& self, Args& args) {
    no_arguments(args, "isupper");
    rt.heap().work(self.text().size());
    return Val::boolean(is_upper_text(self.text()));
}

Val str_istitle(Runtime& rt, const Val& self, Args& args) {
    no_arguments(args, "istitle");
    rt.heap().work(self.text().size());
    bool cased = false, in_word = false;
    const std::string_view text = self.text();
    for (std::size_t pos = 0; pos < text.size();) {
        const char32_t code = decode_at(text, pos);
        if (is_upper(code) || is_title(code)) {
            if (in_word) return Val::boolean(false);
            in_word = cased = true;
        } else if (is_lower(code)) {
            if (!in_word) return Val::boolean(false);
            cased = true;
        } else {
            in_word = false;
        }
    }
    return Val::boolean(cased);
}

std::vector<std::string_view> split_space(std::string_view text, std::int64_t most, bool right) {
    std::vector<std::string_view> parts;
    std::string_view rest = strip(text, nullptr, !right, right);
    while (!rest.empty()) {
        if (most >= 0 && static_cast<std::int64_t>(parts.size()) >= most) {
            // What is left stays whole, but for the white space at its outer end.
            parts.push_back(strip(rest, nullptr, !right, right));
            break;
        }
        std::size_t cut = right ? rest.size() : 0;
        while (right ? cut > 0 : cut < rest.size()) {
            const std::size_t start = right ? previous_point(rest, cut) : cut;
            std::size_t pos = start;
            if (is_space(decode_at(rest, pos))) break;
            cut = right ? start : pos;
        }
        parts.push_back(right ? rest.substr(cut) : rest.substr(0, cut));
        rest = strip(right ? rest.substr(0, cut) : rest.substr(cut), nullptr, !right, right);
    }
    return parts;
}

template <bool kRight>
Val str_split(Runtime& rt, const Val& self, Args& args) {
    Heap& heap = rt.heap();
    const Bound bound("split", args, {"sep", "maxsplit"}, 0);
    const std::int64_t most = bound.integer(1, -1);
    const std::string_view text = self.text();
    heap.work(text.size());
    std::vector<std::string_view> parts;
    if (!bound.given(0)) {
        parts = split_space(text, most, kRight);
    } else {
        const std::string_view sep = bound.text(0);
        if (sep.empty()) fail("empty separator");
        std::size_t begin = 0, end = text.size();
        while (most < 0 || static_cast<std::int64_t>(parts.size()) < most) {
            const std::size_t hit = kRight ? rfind_text(text, sep, 0, end) : find_text(text, sep, begin, text.size());
            if (hit == kNowhere) break;
            heap.step();
            if (kRight) heap.work(end - hit + sep.size());
            parts.push_back(kRight ? text.substr(hit + sep.size(), end - hit - sep.size())
                                   : text.substr(begin, hit - begin));
            if (kRight) {
                end = hit;
            } else {
                begin = hit + sep.size();
            }
        }
        parts.push_back(kRight ? text.substr(0, end) : text.substr(begin));
    }
    if (kRight) std::reverse(parts.begin(), parts.end());
    std::vector<Val> items;
    items.reserve(parts.size());
    for (const std::string_view part : parts) items.push_back(make_text(rt, self, std::string(part)));
    return heap.list(std::move(items));
}

Val str_splitlines(Runtime& rt, const Val& self, Args& args) {
    const Bound bound("splitlines", args, {"keepends"}, 0);
    std::vector<Val> items;
    for (const std::string_view line : split_lines(self.text(), bound.flag(rt.heap(), 0, false))) {
        items.push_back(make_text(rt, self, std::string(line)));
    }
    return rt.heap().list(std::move(items));
}

template <bool kRight>
Val str_partition(Runtime& rt, const Val& self, Args& args) {
    const Bound bound("partition", args, {"sep"}, 1, true);
    const std::string_view sep = bound.text(0), text = self.text();
    if (sep.empty()) fail("empty separator");
    rt.heap().work(text.size());
    const std::size_t hit = kRight ? rfind_text(text, sep, 0, text.size()) : find_text(text, sep, 0, text.size());
    std::array<std::string_view, 3> parts{text, "", ""};
    if (hit != kNowhere) {
        parts = {text.substr(0, hit), sep, text.substr(hit + sep.size())};
    } else if (kRight) {
        parts = {"", "", text};
    }
    std::vector<Val> items;
    items.reserve(parts.size());
    for (const std::string_view part : parts) items.push_back(make_text(rt, self, std::string(part)));
    return rt.heap().tuple(std::move(items));
}

Val str_join(Runtime& rt, const Val& self, Args& args) {
    Heap& heap = rt.heap();
    const Bound bound("join", args, {"iterable"}, 1, true);
    std::string out;
    bool first = true;
    const auto it = iterate(heap, bound.at(0));
    for (Val item; it->next(heap, item);) {
        if (!item.is_string()) fail("join() needs strings, not " + std::string(type_name(item)));
        heap.check_size(out.size() + self.text().size() + item.text().size());
        if (!first) out += self.text();
        first = false;
        out += self.as_str().markup ? escaped(heap, item) : std::string(item.text());
    }
    return make_text(rt, self, std::move(out));
}

Val str_replace(Runtime& rt, const Val& self, Args& args) {
    const Bound bound("replace", args, {"old", "new", "count"}, 2, true);
    return make_text(rt, self,
                     replace_text(rt.heap(), self.text(), bound.text(0), bound.text(1), bound.integer(2, -1)));
}

template <bool kPrefix>
Val str_remove(Runtime& rt, const Val& self, Args& args) {
    const Bound bound("removeprefix", args, {"affix"}, 1, true);
    const std::string_view affix = bound.text(0);
    std::string_view text = self.text();
    if (kPrefix && text.starts_with(affix)) text.remove_prefix(affix.size());
    if (!kPrefix && text.ends_with(affix)) text.remove_suffix(affix.size());
    return make_text(rt, self, std::string(text));
}

enum class Side : std::uint8_t { left, right, both };

template <Side kSide>
Val str_justify(Runtime& rt, const Val& self, Args& args) {
    const Bound bound("center", args, {"width", "fillchar"}, 1, true);
    const std::string_view fill = bound[1] != nullptr ? bound.text(1) : std::string_view(" ");
    if (count_points(fill) != 1) fail("the fill character must be exactly one character long");
    const std::int64_t missing = bound.integer(0, 0) - static_cast<std::int64_t>(self.as_str().points);
    if (missing <= 0) return self;
    rt.heap().check_size(static_cast<std::uint64_t>(missing));
    const std::int64_t width = bound.integer(0, 0);
    std::int64_t left = 0;
    if (kSide == Side::right) left = missing;
    if (kSide == Side::both) left = missing / 2 + (missing & width & 1);
    std::string out;
    for (std::int64_t i = 0; i < left; ++i) out += fill;
    out += self.text();
    for (std::int64_t i = left; i < missing; ++i) out += fill;
    return make_text(rt, self, std::move(out));
}

Val str_zfill(Runtime& rt, const Val& self, Args& args) {
    const Bound bound("zfill", args, {"width"}, 1, true);
    const std::int64_t missing = bound.integer(0, 0) - static_cast<std::int64_t>(self.as_str().points);
    if (missing <= 0) return self;
    rt.heap().check_size(static_cast<std::uint64_t>(missing));
    std::string out(self.text());
    const bool sign = !out.empty() && (out[0] == '+' || out[0] == '-');
    out.insert(sign ? 1 : 0, static_cast<std::size_t>(missing), '0');
    return make_text(rt, self, std::move(out));
}

Val str_expandtabs(Runtime& rt, const Val& self, Args& args) {
    const Bound bound("expandtabs", args, {"tabsize"}, 0);
    const std::int64_t size = bound.integer(0, 8);
    std::string out;
    std::int64_t column = 0;
    for (const char c : self.text()) {
        if (c == '\t') {
            if (size <= 0) continue;
            const std::int64_t spaces = size - column % size;
            rt.heap().check_size(out.size() + static_cast<std::uint64_t>(spaces));
            out.append(static_cast<std::size_t>(spaces), ' ');
            column += spaces;
            continue;
        }
        out += c;
        if (c == '\n' || c == '\r') {
            column = 0;
        } else if ((static_cast<unsigned char>(c) & 0xC0U) != 0x80U) {
            ++column;
        }
    }
    return make_text(rt, self, std::move(out));
}

Val str_format(Runtime& rt, const Val& self, Args& args) {
    return make_text(rt, self, brace_format(rt.heap(), self.text(), args));
}

Val str_format_map(Runtime& rt, const Val& self, Args& args) {
    const Bound bound("format_map", args, {"mapping"}, 1, true);
    if (!bound.at(0).is(Val::Kind::dict)) fail("format_map() needs a mapping");
    Args mapped;
    for (const auto& [key, value] : bound.at(0).as_dict().entries) {
        if (key.is_string()) mapped.kw.emplace_back(key.text(), value);
    }
    return make_text(rt, self, brace_format(rt.heap(), self.text(), mapped));
}

Val str_refused(Runtime&, const Val&, Args&) {
    fail("the string methods encode, translate and maketrans are not available to chat templates");
}

Val list_index(Runtime& rt, const Val& self, Args& args) {
    const Bound bound("index", args, {"value", "start", "stop"}, 1, true);
    const auto& items = self.as_list().items;
    const auto n = static_cast<std::int64_t>(items.size());
    const auto clamp = [&](std::size_t i, std::int64_t otherwise) {
        std::int64_t v = bound.integer(i, otherwise);
        if (v < 0) v = v < -n ? 0 : v + n;
        return std::min(v, n);
    };
    for (std::int64_t i = clamp(1, 0), stop = clamp(2, n); i < stop; ++i) {
        if (equal(rt.heap(), items[static_cast<std::size_t>(i)], bound.at(0))) return Val::integer(i);
    }
    fail(to_repr(rt.heap(), bound.at(0)) + " is not in " + std::string(type_name(self)));
}

Val list_count(Runtime& rt, const Val& self, Args& args) {
    const Bound bound("count", args, {"value"}, 1, true);
    std::int64_t n = 0;
    for (const Val& item : self.as_list().items) n += equal(rt.heap(), item, bound.at(0)) ? 1 : 0;
    return Val::integer(n);
}

Val list_copy(Runtime& rt, const Val& self, Args& args) {
    no_arguments(args, "copy");
    return rt.heap().list(self.as_list().items);
}

Val dict_get(Runtime& rt, const Val& self, Args& args) {
    const Bound bound("get", args, {"key", "default"}, 1, true);
    if (const Val* item = self.as_dict().find(rt.heap(), bound.at(0))) return *item;
    return bound[1] != nullptr ? bound.at(1) : Val::none();
}

template <DictView::What kWhat>
Val dict_view(Runtime& rt, const Val& self, Args& args) {
    no_arguments(args, "the dict view");
    return Val::object(rt.heap().make<DictView>(self, kWhat));
}

Val dict_copy(Runtime& rt, const Val& self, Args& args) {
    no_arguments(args, "copy");
    Dict copy;
    for (const auto& [key, value] : self.as_dict().entries) copy.set(rt.heap(), key, value);
    return rt.heap().dict(std::move(copy));
}

Val dict_from_keys(Runtime& rt, const Val&, Args& args) {
    const Val global = *find_global(rt.heap(), "dict");
    const Val function = *own_attribute(rt.heap(), global, "fromkeys");
    return function.as_object()->call(rt, args);
}

struct Entry {
    std::string_view name;
    Builtin::Code code;
};

constexpr std::array<Entry, 48> kStringMethods{{
    {"capitalize", str_map<to_capital>},
    {"casefold", str_map<case_fold>},
    {"center", str_justify<Side::both>},
    {"count", str_count},
    {"encode", str_refused},
    {"endswith", str_affix<true>},
    {"expandtabs", str_expandtabs},
    {"find", str_find<false, false>},
    {"format", str_format},
    {"format_map", str_format_map},
    {"index", str_find<false, true>},
    {"isalnum", str_all<is_alnum>},
    {"isalpha", str_all<is_alpha>},
    {"isascii", str_isascii},
    {"isdecimal", str_all<is_decimal>},
    {"isdigit", str_all<is_digit>},
    {"isidentifier", str_isidentifier},
    {"islower", str_islower},
    {"isnumeric", str_all<is_numeric>},
    {"isprintable", str_isprintable},
    {"isspace", str_all<is_space>},
    {"istitle", str_istitle},
    {"isupper", str_isupper},
    {"join", str_join},
    {"ljust", str_justify<Side::left>},
    {"lower", str_map<to_lower>},
    {"lstrip", str_strip<true, false>},
    {"maketrans", str_refused},
    {"partition", str_partition<false>},
    {"removeprefix", str_remove<true>},
    {"removesuffix", str_remove<false>},
    {"replace", str_replace},
    {"rfind", str_find<true, false>},
    {"rindex", str_find<true, true>},
    {"rjust", str_justify<Side::right>},
    {"rpartition", str_partition<true>},
    {"rsplit", str_split<true>},
    {"rstrip", str_strip<false, true>},
    {"split", str_split<false>},
    {"splitlines", str_splitlines},
    {"startswith", str_affix<false>},
    {"strip", str_strip<true, true>},
    {"swapcase", str_map<swap_case>},
    {"title", str_map<to_title>},
    {"translate", str_refused},
    {"upper", str_map<to_upper>},
    {"zfill", str_zfill},
    {"~", nullptr},
}};

constexpr std::array<std::string_view, 5> kDictUnsafe{"clear", "pop", "popitem", "setdefault", "update"};
constexpr std::array<std::string_view, 8> kListUnsafe{"append", "clear", "pop",    "reverse",
                                                      "insert", "sort",  "extend", "remove"};
// Python's own attributes that every dict has: a key of that name is not reached by dict.name.
constexpr std::array<std::string_view, 34> kDictInternal{"__class__",
                                                         "__class_getitem__",
                                                         "__contains__",
                                                         "__delattr__",
                                                         "__delitem__",
                                                         "__dir__",
                                                         "__doc__",
                                                         "__eq__",
                                                         "__format__",
                                                         "__ge__",
                                                         "__getattribute__",
                                                         "__getitem__",
                                                         "__getstate__",
                                                         "__gt__",
                                                         "__hash__",
                                                         "__init__",
                                                         "__init_subclass__",
                                                         "__ior__",
                                                         "__iter__",
                                                         "__le__",
                                                         "__len__",
                                                         "__lt__",
                                                         "__ne__",
                                                         "__new__",
                                                         "__or__",
                                                         "__reduce__",
                                                         "__reduce_ex__",
                                                         "__repr__",
                                                         "__reversed__",
                                                         "__ror__",
                                                         "__setattr__",
                                                         "__setitem__",
                                                         "__sizeof__",
                                                         "__str__"};

template <std::size_t N>
bool among(const std::array<std::string_view, N>& names, std::string_view name) noexcept {
    return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

MethodLookup find_string_method(std::string_view name) noexcept {
    const auto it = std::lower_bound(kStringMethods.begin(), kStringMethods.end() - 1, name,
                                     [](const Entry& e, std::string_view n) { return e.name < n; });
    if (it->name == name && it->code != nullptr) return {it->name, it->code, false};
    return {};
}

MethodLookup find_container_method(const Val& object, std::string_view name) noexcept {
    if (object.is(Val::Kind::dict)) {
        if (name == "get") return {"get", dict_get, false};
        if (name == "items") return {"items", dict_view<DictView::What::items>, false};
        if (name == "keys") return {"keys", dict_view<DictView::What::keys>, false};
        if (name == "values") return {"values", dict_view<DictView::What::values>, false};
        if (name == "copy") return {"copy", dict_copy, false};
        if (name == "fromkeys") return {"fromkeys", dict_from_keys, false};
        return {name, nullptr, among(kDictUnsafe, name) || (name.starts_with("__") && among(kDictInternal, name))};
    }
    if (name == "index") return {"index", list_index, false};
    if (name == "count") return {"count", list_count, false};
    if (object.is_tuple()) return {};
    if (name == "copy") return {"copy", list_copy, false};
    return {name, nullptr, among(kListUnsafe, name)};
}

MethodLookup find_method(const Val& object, std::string_view name) noexcept {
    switch (object.kind()) {
        case Val::Kind::string:
            return find_string_method(name);
        case Val::Kind::list:
        case Val::Kind::dict:
            return find_container_method(object, name);
        case Val::Kind::object:
            return object.as<Range>() != nullptr ? find_range_method(name) : MethodLookup{};
        default:
            return {};
    }
}

}  // namespace freehold::jinja
