// Filters on sequences and mappings. Those that make generators in the reference make lazy iterators here.
#include <algorithm>
#include <array>

#include "library.h"
#include "objects.h"
#include "ops.h"
#include "runtime.h"
#include "unicode.h"

namespace freehold::jinja {
namespace {

Val lazy(Heap& heap, const Val& source, LazyIterator::Pull pull) {
    const auto depth = static_cast<std::uint16_t>(source.depth() + 1);
    heap.check_depth(depth);
    return Val::object(heap.make<LazyIterator>(std::move(pull), depth));
}

// "a.b.0" as the keys a, b, 0; an integer is one key; none is no key.
std::vector<Val> attribute_path(Heap& heap, const Val& attribute) {
    if (attribute.is_missing() || attribute.is_none()) return {};
    if (!attribute.is_string()) return {attribute};
    std::vector<Val> parts;
    std::string_view rest = attribute.text();
    while (true) {
        const std::size_t dot = std::min(rest.find('.'), rest.size());
        const std::string_view part = rest.substr(0, dot);
        const bool number = !part.empty() && part.size() < 18 &&
                            std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
        parts.push_back(number ? Val::integer(std::stoll(std::string(part))) : heap.str(std::string(part)));
        if (dot == rest.size()) return parts;
        rest.remove_prefix(dot + 1);
    }
}

Val follow(Heap& heap, Val item, const std::vector<Val>& path, const Val* otherwise = nullptr) {
    for (const Val& part : path) {
        item = get_item(heap, item, part);
        if (otherwise != nullptr && !otherwise->is_none() && item.is_undefined()) item = *otherwise;
    }
    return item;
}

Val ignore_case(Heap& heap, const Val& value) {
    return value.is_string() ? heap.str(to_lower(value.text()), value.as_str().markup) : value;
}

// What items are sorted, grouped or told apart by.
struct Key {
    std::vector<Val> path;
    bool case_sensitive = false;
    [[nodiscard]] Val of(Heap& heap, const Val& item, const Val* otherwise = nullptr) const {
        Val key = follow(heap, item, path, otherwise);
        return case_sensitive ? key : ignore_case(heap, key);
    }
};

// Stable, and stable backwards too: equal items keep their order.
void sort_by_key(Heap& heap, std::vector<std::pair<Val, Val>>& keyed, bool reverse) {
    if (reverse) std::reverse(keyed.begin(), keyed.end());
    std::stable_sort(keyed.begin(), keyed.end(),
                     [&](const auto& a, const auto& b) { return ordered(heap, Order::less, a.first, b.first); });
    if (reverse) std::reverse(keyed.begin(), keyed.end());
}

Val values_of(Heap& heap, std::vector<std::pair<Val, Val>>& keyed) {
    std::vector<Val> items;
    items.reserve(keyed.size());
    for (auto& [key, item] : keyed) items.push_back(std::move(item));
    return heap.list(std::move(items));
}

Val filter_attr(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("attr", args, {"name"}, 1);
    Heap& heap = rt.heap();
    const std::string_view name = bound.text(0);
    if (auto attribute = own_attribute(heap, value, name)) return *std::move(attribute);
    return Val::undefined(std::string(name), std::string(type_name(value)));
}

Val filter_batch(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("batch", args, {"linecount", "fill_with"}, 1);
    const Val& size = bound.at(0);
    const Val fill = bound[1] != nullptr ? bound.at(1) : Val::none();
    std::shared_ptr<Iterator> source;
    Val held;
    return lazy(rt.heap(), value, [value, size, fill, source, held](Heap& heap, Val& out) mutable {
        if (source == nullptr) source = iterate(heap, value);
        std::vector<Val> row;
        if (!held.is_missing()) row.push_back(std::exchange(held, Val()));
        const auto full = [&] { return equal(heap, Val::integer(static_cast<std::int64_t>(row.size())), size); };
        for (Val item; source->next(heap, item);) {
            if (full()) {
                held = std::move(item);
                out = heap.list(std::move(row));
                return true;
            }
            row.push_back(std::move(item));
            if (row.size() % 1024 == 0) heap.check_size(row.size() * sizeof(Val));
        }
        if (row.empty()) return false;
        if (!fill.is_none()) {
            const Val count = Val::integer(static_cast<std::int64_t>(row.size()));
            if (ordered(heap, Order::less, count, size)) {
                if (!size.is_int_like()) fail("batch needs an integer");
                heap.check_size(static_cast<std::uint64_t>(size.as_int()) * sizeof(Val));
                row.resize(static_cast<std::size_t>(size.as_int()), fill);
            }
        }
        out = heap.list(std::move(row));
        return true;
    });
}

Val filter_slice(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("slice", args, {"slices", "fill_with"}, 1);
    const Val& slices = bound.at(0);
    const Val fill = bound[1] != nullptr ? bound.at(1) : Val::none();
    std::vector<Val> items;
    std::int64_t number = -1;
    return lazy(rt.heap(), value, [value, slices, fill, items, number](Heap& heap, Val& out) mutable {
        if (number < 0) {
            items = collect(heap, value);
            if (slices.is_undefined()) fail_undefined(slices.as_undefined());
            if (!slices.is_int_like()) fail("slice needs an integer");
            if (slices.as_int() == 0) fail("integer division or modulo by zero");
            number = 0;
        }
        const std::int64_t count = slices.as_int();
        if (number >= count) return false;
        const auto total = static_cast<std::int64_t>(items.size());
        const std::int64_t each = total / count, extra = total % count;
        const std::int64_t start = number * each + std::min(number, extra);
        const std::int64_t stop = start + each + (number < extra ? 1 : 0);
        std::vector<Val> column(items.begin() + start, items.begin() + stop);
        if (!fill.is_none() && number >= extra) column.push_back(fill);
        ++number;
        out = heap.list(std::move(column));
        return true;
    });
}

Val filter_length(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("length", args, {}, 0);
    return Val::integer(length(rt.heap(), value));
}

Val filter_default(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("default", args, {"default_value", "boolean"}, 0);
    if (value.is_undefined() || (bound.flag(rt.heap(), 1, false) && !truth(rt.heap(), value))) {
        return bound[0] != nullptr ? bound.at(0) : rt.heap().str({});
    }
    return value;
}

Val filter_dictsort(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("dictsort", args, {"case_sensitive", "by", "reverse"}, 0);
    Heap& heap = rt.heap();
    const bool by_value = bound[1] != nullptr && equal(heap, bound.at(1), heap.str("value"));
    if (bound[1] != nullptr && !by_value && !equal(heap, bound.at(1), heap.str("key"))) {
        fail("dictsort can only sort by either \"key\" or \"value\"");
    }
    if (value.is_undefined()) fail_undefined(value.as_undefined());
    if (!value.is(Val::Kind::dict)) fail("dictsort needs a mapping, not " + std::string(type_name(value)));
    const bool case_sensitive = bound.flag(heap, 0, false);
    std::vector<std::pair<Val, Val>> keyed;
    for (const auto& [key, item] : value.as_dict().entries) {
        const Val& by = by_value ? item : key;
        keyed.emplace_back(case_sensitive ? by : ignore_case(heap, by), heap.tuple({key, item}));
    }
    sort_by_key(heap, keyed, bound.flag(heap, 2, false));
    return values_of(heap, keyed);
}

Val filter_first(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("first", args, {}, 0);
    Val item;
    if (iterate(rt.heap(), value)->next(rt.heap(), item)) return item;
    return Val::undefined({}, {}, "No first item, sequence was empty.");
}

Val filter_last(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("last", args, {}, 0);
    const auto it = try_reversed(rt.heap(), value);
    if (it == nullptr) fail("'" + std::string(type_name(value)) + "' object is not reversible");
    Val item;
    if (it->next(rt.heap(), item)) return item;
    return Val::undefined({}, {}, "No last item, sequence was empty.");
}

Val filter_groupby(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("groupby", args, {"attribute", "default", "case_sensitive"}, 1);
    Heap& heap = rt.heap();
    const Key key{attribute_path(heap, bound.at(0)), bound.flag(heap, 2, false)};
    const Val otherwise = bound[1] != nullptr ? bound.at(1) : Val::none();
    std::vector<std::pair<Val, Val>> keyed;
    for (Val& item : collect(heap, value)) keyed.emplace_back(key.of(heap, item, &otherwise), item);
    sort_by_key(heap, keyed, false);
    std::vector<Val> groups;
    for (std::size_t i = 0; i < keyed.size();) {
        const std::size_t start = i;
        std::vector<Val> members;
        for (; i < keyed.size() && equal(heap, keyed[start].first, keyed[i].first); ++i)
            members.push_back(keyed[i].second);
        if (members.empty()) members.push_back(keyed[i++].second);  // a key that does not even equal itself
        const Val name = key.case_sensitive ? keyed[start].first : follow(heap, members[0], key.path, &otherwise);
        groups.push_back(heap.tuple({name, heap.list(std::move(members))}, true));
    }
    return heap.list(std::move(groups));
}

Val filter_items(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("items", args, {}, 0);
    std::size_t at = 0;
    return lazy(rt.heap(), value, [value, at](Heap& heap, Val& out) mutable {
        if (value.is_undefined()) return false;
        if (!value.is(Val::Kind::dict)) fail("Can only get item pairs from a mapping.");
        const auto& entries = value.as_dict().entries;
        if (at >= entries.size()) return false;
        out = heap.tuple({entries[at].first, entries[at].second});
        ++at;
        return true;
    });
}

Val filter_join(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("join", args, {"d", "attribute"}, 0);
    Heap& heap = rt.heap();
    const std::vector<Val> path = bound[1] != nullptr ? attribute_path(heap, bound.at(1)) : std::vector<Val>{};
    const std::string separator = bound[0] != nullptr ? to_str(heap, bound.at(0)) : std::string();
    std::string out;
    bool first = true;
    const auto it = iterate(heap, value);
    for (Val item; it->next(heap, item);) {
        heap.check_size(out.size() + separator.size());
        if (!first) out += separator;
        first = false;
        append_str(heap, out, path.empty() ? item : follow(heap, item, path));
    }
    return heap.str(std::move(out));
}

Val filter_list(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("list", args, {}, 0);
    return rt.heap().list(collect(rt.heap(), value));
}

Val filter_map(Runtime& rt, const Val& value, Args& args) {
    Args given = std::move(args);
    std::shared_ptr<Iterator> source;
    std::vector<Val> path;
    Val otherwise = Val::none();
    bool by_attribute = false;
    // Bad arguments are found out when the first item is asked for, as in the reference.
    return lazy(
        rt.heap(), value, [&rt, value, given, source, path, otherwise, by_attribute](Heap& heap, Val& out) mutable {
            if (source == nullptr) {
                if (!truth(heap, value)) return false;
                source = iterate(heap, value);
                by_attribute = given.pos.empty() && std::any_of(given.kw.begin(), given.kw.end(),
                                                                [](const auto& kw) { return kw.first == "attribute"; });
                if (by_attribute) {
                    for (const auto& [name, item] : given.kw) {
                        if (name == "attribute") {
                            path = attribute_path(heap, item);
                        } else if (name == "default") {
                            otherwise = item;
                        } else {
                            fail("map() got an unexpected keyword argument '" + name + "'");
                        }
                    }
                } else if (given.pos.empty()) {
                    fail("map requires a filter argument");
                }
            }
            Val item;
            if (!source->next(heap, item)) return false;
            if (by_attribute) {
                out = follow(heap, std::move(item), path, &otherwise);
                return true;
            }
            Args rest;
            rest.pos.assign(given.pos.begin() + 1, given.pos.end());
            rest.kw = given.kw;
            out = rt.apply_filter(given.pos[0], item, rest);
            return true;
        });
}

template <bool kLarger>
Val extreme(Runtime& rt, const Val& value, Args& args) {
    const Bound bound(kLarger ? "max" : "min", args, {"case_sensitive", "attribute"}, 0);
    Heap& heap = rt.heap();
    const Key key{attribute_path(heap, bound.at(1)), bound.flag(heap, 0, false)};
    const auto it = iterate(heap, value);
    Val best, best_key;
    for (Val item; it->next(heap, item);) {
        Val item_key = key.of(heap, item);
        if (best_key.is_missing() || ordered(heap, kLarger ? Order::greater : Order::less, item_key, best_key)) {
            best = std::move(item);
            best_key = std::move(item_key);
        }
    }
    if (best_key.is_missing()) return Val::undefined({}, {}, "No aggregated item, sequence was empty.");
    return best;
}

template <bool kSelect, bool kAttribute>
Val choose(Runtime& rt, const Val& value, Args& args) {
    Args given = std::move(args);
    std::shared_ptr<Iterator> source;
    std::vector<Val> path;
    return lazy(rt.heap(), value, [&rt, value, given, source, path](Heap& heap, Val& out) mutable {
        constexpr std::size_t at = kAttribute ? 1 : 0;
        if (source == nullptr) {
            if (!truth(heap, value)) return false;
            if (kAttribute) {
                if (given.pos.empty()) fail("Missing parameter for attribute name");
                path = attribute_path(heap, given.pos[0]);
            }
            source = iterate(heap, value);
        }
        for (Val item; source->next(heap, item);) {
            const Val tested = kAttribute ? follow(heap, item, path) : item;
            bool holds = false;
            if (given.pos.size() > at) {
                Args rest;
                rest.pos.assign(given.pos.begin() + static_cast<std::ptrdiff_t>(at) + 1, given.pos.end());
                rest.kw = given.kw;
                holds = rt.apply_test(given.pos[at], tested, rest);
            } else {
                holds = truth(heap, tested);
            }
            if (holds == kSelect) {
                out = std::move(item);
                return true;
            }
        }
        return false;
    });
}

Val filter_reverse(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("reverse", args, {}, 0);
    Heap& heap = rt.heap();
    if (value.is_string()) return get_slice(heap, value, Val::none(), Val::none(), Val::integer(-1));
    if (auto it = try_reversed(heap, value)) return Val::object(std::move(it));
    if (try_iterate(heap, value) == nullptr) fail("argument must be iterable");
    std::vector<Val> items = collect(heap, value);
    std::reverse(items.begin(), items.end());
    return heap.list(std::move(items));
}

Val filter_sort(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("sort", args, {"reverse", "case_sensitive", "attribute"}, 0);
    Heap& heap = rt.heap();
    const bool case_sensitive = bound.flag(heap, 1, false);
    std::vector<std::vector<Val>> paths;
    if (bound[2] != nullptr && bound.at(2).is_string()) {
        std::string_view rest = bound.text(2);
        while (true) {
            const std::size_t comma = std::min(rest.find(','), rest.size());
            paths.push_back(attribute_path(heap, heap.str(std::string(rest.substr(0, comma)))));
            if (comma == rest.size()) break;
            rest.remove_prefix(comma + 1);
        }
    } else {
        paths.push_back(attribute_path(heap, bound.at(2)));
    }
    std::vector<std::pair<Val, Val>> keyed;
    for (Val& item : collect(heap, value)) {
        std::vector<Val> keys;
        keys.reserve(paths.size());
        for (const auto& path : paths) keys.push_back(Key{path, case_sensitive}.of(heap, item));
        keyed.emplace_back(heap.list(std::move(keys)), std::move(item));
    }
    sort_by_key(heap, keyed, bound.flag(heap, 0, false));
    return values_of(heap, keyed);
}

Val filter_sum(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("sum", args, {"attribute", "start"}, 0);
    Heap& heap = rt.heap();
    Val total = bound[1] != nullptr ? bound.at(1) : Val::integer(0);
    if (total.is_string()) fail("sum() can't sum strings [use ''.join(seq) instead]");
    const std::vector<Val> path = attribute_path(heap, bound.at(0));
    const auto it = iterate(heap, value);
    for (Val item; it->next(heap, item);) total = arith(heap, Arith::add, total, follow(heap, std::move(item), path));
    return total;
}

Val filter_unique(Runtime& rt, const Val& value, Args& args) {
    const Bound bound("unique", args, {"case_sensitive", "attribute"}, 0);
    const Key key{attribute_path(rt.heap(), bound.at(1)), bound.flag(rt.heap(), 0, false)};
    std::shared_ptr<Iterator> source;
    auto seen = std::make_shared<Dict>();
    return lazy(rt.heap(), value, [value, key, source, seen](Heap& heap, Val& out) mutable {
        if (source == nullptr) source = iterate(heap, value);
        for (Val item; source->next(heap, item);) {
            Val item_key = key.of(heap, item);
            if (seen->find(heap, item_key) != nullptr) continue;
            seen->set(heap, std::move(item_key), Val::none());
            out = std::move(item);
            return true;
        }
        return false;
    });
}

constexpr std::array<FilterEntry, 25> kFilters{{
    {"attr", filter_attr},
    {"batch", filter_batch},
    {"count", filter_length},
    {"d", filter_default},
    {"default", filter_default},
    {"dictsort", filter_dictsort},
    {"first", filter_first},
    {"groupby", filter_groupby},
    {"items", filter_items},
    {"join", filter_join},
    {"last", filter_last},
    {"length", filter_length},
    {"list", filter_list},
    {"map", filter_map},
    {"max", extreme<true>},
    {"min", extreme<false>},
    {"reject", choose<false, false>},
    {"rejectattr", choose<false, true>},
    {"reverse", filter_reverse},
    {"select", choose<true, false>},
    {"selectattr", choose<true, true>},
    {"slice", filter_slice},
    {"sort", filter_sort},
    {"sum", filter_sum},
    {"unique", filter_unique},
}};

const FilterEntry* search(std::span<const FilterEntry> table, std::string_view name) noexcept {
    const auto it = std::lower_bound(table.begin(), table.end(), name,
                                     [](const FilterEntry& e, std::string_view n) { return e.name < n; });
    return it != table.end() && it->name == name ? &*it : nullptr;
}

}  // namespace

std::span<const FilterEntry> sequence_filters() noexcept {
    return kFilters;
}

const FilterEntry* find_filter(std::string_view name) noexcept {
    if (const FilterEntry* entry = search(text_filters(), name)) return entry;
    return search(sequence_filters(), name);
}

}  // namespace freehold::jinja
