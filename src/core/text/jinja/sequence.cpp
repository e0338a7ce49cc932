// Subscripts, attributes, slices, iteration and the text searches of the template interpreter.
#include <algorithm>
#include <cstring>
#include <limits>

#include "objects.h"
#include "ops.h"
#include "unicode.h"

namespace freehold::jinja {
namespace {

Val undefined_of(const Val& object, std::string_view name) {
    const std::string owner = object.is_none() ? "None" : std::string(type_name(object));
    return Val::undefined(std::string(name), owner);
}

std::int64_t count_of(const Val& value) {
    if (value.is_string()) return static_cast<std::int64_t>(value.as_str().points);
    return static_cast<std::int64_t>(value.as_list().items.size());
}

Val string_point(Heap& heap, const Val& value, std::int64_t index) {
    const Str& s = value.as_str();
    heap.step();
    std::size_t begin = static_cast<std::size_t>(index);
    if (!s.ascii()) {
        heap.work(s.text.size());
        begin = point_offset(s.text, begin);
    }
    std::size_t end = begin;
    (void)decode_at(s.text, end);
    return heap.str(s.text.substr(begin, end - begin), s.markup);
}

// Python's slice.indices for a bound that may be none.
std::int64_t clamp_bound(const Val& bound, std::int64_t otherwise, std::int64_t n, std::int64_t low,
                         std::int64_t high) {
    if (bound.is_none()) return otherwise;
    if (!bound.is_int_like()) {
        if (bound.is_undefined()) fail("slice indices must be integers or None, not Undefined");
        fail("slice indices must be integers or None");
    }
    std::int64_t i = bound.as_int();
    if (i < 0) i = i < -n ? low : std::max(i + n, low);
    return std::min(std::max(i, low), high);
}

}  // namespace

std::optional<std::int64_t> try_length(Heap& heap, const Val& value) {
    switch (value.kind()) {
        case Val::Kind::undefined:
            return 0;
        case Val::Kind::string:
        case Val::Kind::list:
            return count_of(value);
        case Val::Kind::dict:
            return static_cast<std::int64_t>(value.as_dict().entries.size());
        case Val::Kind::object:
            return value.as_object()->length(heap);
        default:
            return std::nullopt;
    }
}

std::int64_t length(Heap& heap, const Val& value) {
    if (const auto n = try_length(heap, value)) return *n;
    fail("object of type '" + std::string(type_name(value)) + "' has no len()");
}

std::shared_ptr<Iterator> try_iterate(Heap& heap, const Val& value) {
    switch (value.kind()) {
        case Val::Kind::undefined:
        case Val::Kind::string:
        case Val::Kind::list:
        case Val::Kind::dict:
            return heap.make<SequenceIterator>(heap, value, false);
        case Val::Kind::object:
            return value.as_object()->iterate(heap, value.as_object());
        default:
            return nullptr;
    }
}

std::shared_ptr<Iterator> iterate(Heap& heap, const Val& value) {
    if (auto it = try_iterate(heap, value)) return it;
    fail("'" + std::string(type_name(value)) + "' object is not iterable");
}

std::shared_ptr<Iterator> try_reversed(Heap& heap, const Val& value) {
    switch (value.kind()) {
        case Val::Kind::undefined:
        case Val::Kind::string:
        case Val::Kind::list:
        case Val::Kind::dict:
            return heap.make<SequenceIterator>(heap, value, true);
        case Val::Kind::object:
            if (value.as<Range>() == nullptr && value.as<DictView>() == nullptr) return nullptr;
            return heap.make<SequenceIterator>(heap, value, true);
        default:
            return nullptr;
    }
}

std::vector<Val> collect(Heap& heap, const Val& value) {
    if (value.is(Val::Kind::list)) {
        heap.step(1 + value.as_list().items.size() / 8);
        return value.as_list().items;
    }
    std::vector<Val> items;
    const auto it = iterate(heap, value);
    for (Val item; it->next(heap, item);) {
        heap.step();
        items.push_back(std::move(item));
        if (items.size() % 1024 == 0) heap.check_size(items.size() * sizeof(Val));
    }
    return items;
}

std::optional<Val> own_attribute(Heap& heap, const Val& object, std::string_view name) {
    if (object.is_undefined()) {
        if (name.starts_with("__") && name.ends_with("__")) return std::nullopt;
        fail_undefined(object.as_undefined());
    }
    const MethodLookup method = find_method(object, name);
    if (method.unsafe) {
        return Val::undefined(std::string(name), std::string(type_name(object)),
                              "access to attribute '" + std::string(name) + "' of '" + std::string(type_name(object)) +
                                  "' object is unsafe.");
    }
    if (method.code != nullptr) {
        return Val::object(heap.make<Builtin>(method.name, method.code, object));
    }
    if (object.is(Val::Kind::object)) return object.as_object()->attribute(heap, name);
    if (object.is_tuple() && object.as_list().group) {
        if (name == "grouper") return object.as_list().items[0];
        if (name == "list") return object.as_list().items[1];
    }
    if (object.is_number()) {
        if (name == "real" || name == "numerator") {
            if (object.is_int_like()) return Val::integer(object.as_int());
            if (name == "real") return object;
        }
        if (name == "imag") return object.is_int_like() ? Val::integer(0) : Val::real(0.0);
        if (name == "denominator" && object.is_int_like()) return Val::integer(1);
    }
    return std::nullopt;
}

Val get_attribute(Heap& heap, const Val& object, std::string_view name) {
    heap.step();
    if (object.is(Val::Kind::dict)) {
        // Few names are methods of a dict: look there first, as Python does.
        const MethodLookup method = find_container_method(object, name);
        if (method.code == nullptr && !method.unsafe) {
            if (const Val* item = object.as_dict().find(name)) return *item;
            return undefined_of(object, name);
        }
    }
    if (auto attribute = own_attribute(heap, object, name)) return *std::move(attribute);
    if (object.is_undefined()) fail_undefined(object.as_undefined());
    return undefined_of(object, name);
}

Val get_item(Heap& heap, const Val& object, const Val& key) {
    heap.step();
    if (object.is_undefined()) fail_undefined(object.as_undefined());
    if (object.is(Val::Kind::dict)) {
        const bool hashable = key.is_string() || key.is_number() || key.is_none() || key.is_tuple() ||
                              key.is_undefined() || key.is(Val::Kind::object);
        if (hashable) {
            if (const Val* item = object.as_dict().find(heap, key)) return *item;
        }
    } else if (key.is_int_like()) {
        std::int64_t i = key.as_int();
        if (object.is_string() || object.is(Val::Kind::list)) {
            const std::int64_t n = count_of(object);
            if (i < 0) i += n;
            if (i >= 0 && i < n) {
                return object.is_string() ? string_point(heap, object, i)
                                          : object.as_list().items[static_cast<std::size_t>(i)];
            }
        } else if (const auto* range = object.as<Range>()) {
            if (i < 0) i += range->count;
            if (i >= 0 && i < range->count) return Val::integer(range->at(i));
        }
    }
    if (key.is_string()) {
        if (auto attribute = own_attribute(heap, object, key.text())) return *std::move(attribute);
        return undefined_of(object, key.text());
    }
    return undefined_of(object, to_repr(heap, key));
}

Val get_slice(Heap& heap, const Val& object, const Val& start, const Val& stop, const Val& step) {
    heap.step();
    if (object.is_undefined()) fail_undefined(object.as_undefined());
    const Range* range = object.as<Range>();
    if (!object.is_string() && !object.is(Val::Kind::list) && range == nullptr) {
        fail("'" + std::string(type_name(object)) + "' object cannot be sliced");
    }
    if (!step.is_none() && !step.is_int_like()) fail("slice indices must be integers or None");
    const std::int64_t by = step.is_none() ? 1 : step.as_int();
    if (by == 0) fail("slice step cannot be zero");
    const std::int64_t n = range != nullptr ? range->count : count_of(object);
    const std::int64_t low = by < 0 ? -1 : 0;
    const std::int64_t high = by < 0 ? n - 1 : n;
    const std::int64_t from = clamp_bound(start, by < 0 ? n - 1 : 0, n, low, high);
    const std::int64_t to = clamp_bound(stop, by < 0 ? -1 : n, n, low, high);
    if (range != nullptr) {
        std::int64_t stride = 0;
        if (__builtin_mul_overflow(range->step, by, &stride))
            fail("an integer of the template does not fit into 64 bits");
        return Val::object(heap.make<Range>(range->at(from), range->at(to), stride));
    }
    if (object.is_string()) {
        const Str& s = object.as_str();
        heap.work(s.text.size());
        if (by == 1) {
            if (from >= to) return heap.str({}, s.markup);
            if (s.ascii())
                return heap.str(s.text.substr(static_cast<std::size_t>(from), static_cast<std::size_t>(to - from)),
                                s.markup);
            const std::size_t begin = point_offset(s.text, static_cast<std::size_t>(from));
            const std::string_view rest = std::string_view(s.text).substr(begin);
            return heap.str(std::string(rest.substr(0, point_offset(rest, static_cast<std::size_t>(to - from)))),
                            s.markup);
        }
        std::vector<std::size_t> offsets;
        offsets.reserve(s.points + 1);
        for (std::size_t pos = 0; pos < s.text.size(); (void)decode_at(s.text, pos)) offsets.push_back(pos);
        offsets.push_back(s.text.size());
        std::string out;
        for (std::int64_t i = from; by > 0 ? i < to : i > to;) {
            const auto at = static_cast<std::size_t>(i);
            out.append(s.text, offsets[at], offsets[at + 1] - offsets[at]);
            if (__builtin_add_overflow(i, by, &i)) break;
        }
        return heap.str(std::move(out), s.markup);
    }
    const List& list = object.as_list();
    std::vector<Val> items;
    for (std::int64_t i = from; by > 0 ? i < to : i > to;) {
        items.push_back(list.items[static_cast<std::size_t>(i)]);
        if (__builtin_add_overflow(i, by, &i)) break;
    }
    return list.tuple ? heap.tuple(std::move(items)) : heap.list(std::move(items));
}

std::size_t find_text(std::string_view text, std::string_view needle, std::size_t begin, std::size_t end) {
    if (begin > end || end > text.size() || needle.size() > end - begin) return std::string_view::npos;
    if (needle.empty()) return begin;
    const void* hit = memmem(text.data() + begin, end - begin, needle.data(), needle.size());
    if (hit == nullptr) return std::string_view::npos;
    return static_cast<std::size_t>(static_cast<const char*>(hit) - text.data());
}

std::size_t rfind_text(std::string_view text, std::string_view needle, std::size_t begin, std::size_t end) {
    if (begin > end || end > text.size() || needle.size() > end - begin) return std::string_view::npos;
    if (needle.empty()) return end;
    // Knuth-Morris-Pratt from the right: linear however the text repeats itself.
    const std::size_t m = needle.size();
    const auto pattern = [&](std::size_t i) { return needle[m - 1 - i]; };
    std::vector<std::size_t> border(m, 0);
    for (std::size_t i = 1, k = 0; i < m; ++i) {
        while (k > 0 && pattern(i) != pattern(k)) k = border[k - 1];
        if (pattern(i) == pattern(k)) ++k;
        border[i] = k;
    }
    std::size_t k = 0;
    for (std::size_t at = end; at > begin;) {
        --at;
        while (k > 0 && text[at] != pattern(k)) k = border[k - 1];
        if (text[at] == pattern(k)) ++k;
        if (k == m) return at;
    }
    return std::string_view::npos;
}

std::string replace_text(Heap& heap, std::string_view text, std::string_view from, std::string_view to,
                         std::int64_t count) {
    heap.work(text.size());
    std::string out;
    std::uint64_t left = count < 0 ? std::numeric_limits<std::uint64_t>::max() : static_cast<std::uint64_t>(count);
    if (from.empty()) {
        // Between all characters, as Python has it.
        std::size_t pos = 0;
        while (true) {
            if (left > 0) {
                --left;
                heap.step();
                out += to;
                heap.check_size(out.size());
            }
            if (pos >= text.size()) return out;
            const std::size_t start = pos;
            (void)decode_at(text, pos);
            out += text.substr(start, pos - start);
        }
    }
    std::size_t pos = 0;
    while (left > 0) {
        const std::size_t hit = find_text(text, from, pos, text.size());
        if (hit == std::string_view::npos) break;
        heap.step();
        heap.check_size(out.size() + (hit - pos) + to.size());
        out += text.substr(pos, hit - pos);
        out += to;
        pos = hit + from.size();
        --left;
    }
    out += text.substr(pos);
    return out;
}

std::string escape_html(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (const char c : text) {
        switch (c) {
            case '&':
                out += "&amp;";
                break;
            case '<':
                out += "&lt;";
                break;
            case '>':
                out += "&gt;";
                break;
            case '\'':
                out += "&#39;";
                break;
            case '"':
                out += "&#34;";
                break;
            default:
                out += c;
        }
    }
    return out;
}

std::string escaped(Heap& heap, const Val& value) {
    if (value.is_string() && value.as_str().markup) return std::string(value.text());
    const std::string text = to_str(heap, value);
    heap.check_size(text.size() * 5);
    return escape_html(text);
}

}  // namespace freehold::jinja
