// The frames of JSON objects (which keys may come, when it may close) and arrays (how many items, which must be found).
#include <algorithm>
#include <bit>

#include "automaton.h"

namespace freehold::grammar {

namespace {

bool bit(const std::vector<std::uint64_t>& bits, std::uint32_t i) noexcept {
    return i / 64 < bits.size() && (bits[i / 64] >> (i % 64) & 1U) != 0;
}

std::uint32_t missing(const ObjectShape& o, const std::vector<std::uint64_t>& seen) noexcept {
    int n = 0;
    for (std::size_t i = 0; i < o.required.size(); ++i) {
        n += std::popcount(o.required[i] & ~(i < seen.size() ? seen[i] : 0));
    }
    return static_cast<std::uint32_t>(n);
}

std::uint32_t unseen(const ObjectShape& o, const std::vector<std::uint64_t>& seen) noexcept {
    int n = static_cast<int>(o.values.size());
    for (const std::uint64_t w : seen) n -= std::popcount(w);
    return static_cast<std::uint32_t>(n);
}

}  // namespace

bool Automaton::name_allowed(const ObjectShape& o, const Data& d, std::uint32_t name) const {
    if (o.values[name] == kNone || bit(d.seen, name)) return false;
    const bool is_required = bit(o.required, name);
    if (o.most != kNone) {
        if (d.count >= o.most) return false;
        if (!is_required && d.count + 1 + missing(o, d.seen) > o.most) return false;
    }
    if (!o.pinned) return true;
    // Names before it can no longer come, so none of them may be required; and enough must be left for the least.
    std::uint32_t left = 0;
    for (std::uint32_t n = 0; n < o.order.size(); ++n) {
        if (bit(d.seen, n)) continue;
        if (o.order[n] < o.order[name] && bit(o.required, n)) return false;
        if (o.order[n] > o.order[name] && o.values[n] != kNone) ++left;
    }
    return !o.others.empty() || d.count + 1 + left >= o.least;
}

bool Automaton::others_allowed(const ObjectShape& o, const Data& d) const {
    if (o.others.empty()) return false;
    const std::uint32_t needed = missing(o, d.seen);
    if (o.pinned && needed > 0) return false;
    return o.most == kNone || d.count + 1 + needed <= o.most;
}

bool Automaton::any_key(const ObjectShape& o, const Data& d) const {
    if (others_allowed(o, d)) return true;
    if (unseen(o, d.seen) == 0) return false;
    for (std::uint32_t n = 0; n < o.values.size(); ++n) {
        if (name_allowed(o, d, n)) return true;
    }
    return false;
}

bool Automaton::may_close(const ObjectShape& o, const Data& d) const {
    return d.count >= o.least && missing(o, d.seen) == 0 && (!o.needs_hit || d.hits > 0);
}

bool Automaton::key_allowed(std::uint32_t shape, const Data& d, const WordPlace& w, bool whole) const {
    const ObjectShape& o = program_->objects[shape];
    if (whole && w.first < w.last && program_->lists[w.list].words[w.first].size() == w.depth) {
        return name_allowed(o, d, w.first);  // a named key is never one of the others
    }
    const bool other = std::any_of(w.others.begin(), w.others.end(),
                                   [&](Rx r) { return whole ? rx_.nullable(r) : r != rx_.nothing(); });
    if (other && others_allowed(o, d)) return true;
    if (whole) return false;
    for (std::uint32_t n = w.first; n < w.last; ++n) {
        if (name_allowed(o, d, n)) return true;
    }
    return false;
}

bool Automaton::any_in(Rx r, CodePoint first, CodePoint last) {
    for (CodePoint c = first; c <= last;) {
        if (rx_.derivative(r, c) != rx_.nothing()) return true;
        // On to the end of the stretch on which the derivative stays the same.
        CodePoint floor = c;
        CodePoint ceiling = last;
        while (floor < ceiling) {
            const CodePoint middle = floor + (ceiling - floor + 1) / 2;
            if (rx_.constant_on(r, c, middle)) {
                floor = middle;
            } else {
                ceiling = middle - 1;
            }
        }
        c = floor + 1;
    }
    return false;
}

bool Automaton::key_goes_on(std::uint32_t shape, const Data& d, const WordPlace& w, const Ranges& next) {
    const ObjectShape& o = program_->objects[shape];
    if (others_allowed(o, d)) {
        for (const Rx r : w.others) {
            for (const auto& [first, last] : next) {
                if (any_in(r, first, last)) return true;
            }
        }
    }
    const auto& words = program_->lists[w.list].words;
    for (std::uint32_t n = w.first; n < w.last; ++n) {
        if (words[n].size() <= w.depth) continue;
        const CodePoint c = words[n][w.depth];
        const bool may = std::any_of(next.begin(), next.end(),
                                     [c](const auto& range) { return c >= range.first && c <= range.last; });
        if (may && name_allowed(o, d, n)) return true;
    }
    return false;
}

void Automaton::enter_object(Frame f, std::uint32_t shape, std::uint32_t data, std::uint32_t callers) {
    const ObjectShape& o = program_->objects[shape];
    const auto& p = *program_;
    switch (f) {
        case f_object_open:
        case f_object_value:
            if (may_close(o, data_[data]))
                add_thread(start_of(p.json_close_object), place(f_object_end, shape), 0, callers);
            if (!any_key(o, data_[data])) break;
            if (f == f_object_value) {
                add_thread(start_of(p.json_comma), place(f_object_comma, shape), data, callers);
                break;
            }
            [[fallthrough]];
        case f_object_comma:
            add_thread(start_of(o.key_terminal), place(f_object_key, shape), data, callers);
            break;
        case f_object_key:
            add_thread(start_of(p.json_colon), place(f_object_colon, shape), data, callers);
            break;
        case f_object_colon: {
            Data d = data_[data];
            const std::uint32_t value = d.pending;
            d.pending = kNone;
            call(value, place(f_object_value, shape), intern_data(std::move(d)), callers);
            break;
        }
        default:
            break;
    }
}

void Automaton::enter_array(Frame f, std::uint32_t shape, std::uint32_t data, std::uint32_t callers) {
    const ArrayShape& a = program_->arrays[shape];
    const Data d = data_[data];
    const auto& p = *program_;
    if (f == f_array_comma) return enter_item(shape, data, callers);
    const bool enough = d.count >= a.least && (!a.counted || d.hits >= a.least_hits);
    if (enough) add_thread(start_of(p.json_close_array), place(f_object_end, 0), 0, callers);
    bool more = a.most == kNone || d.count < a.most;
    if (a.distinct) {
        more = more && std::any_of(a.choices.begin(), a.choices.end(), [&](const std::uint32_t& c) {
                   return !bit(d.seen, static_cast<std::uint32_t>(&c - a.choices.data()));
               });
    } else if (d.count >= a.first.size()) {
        more = more && (a.rest != kNone || a.rest_hit != kNone);
    }
    if (!more) return;
    if (f == f_array_open) {
        enter_item(shape, data, callers);
    } else {
        add_thread(start_of(p.json_comma), place(f_array_comma, shape), data, callers);
    }
}

void Automaton::enter_item(std::uint32_t shape, std::uint32_t data, std::uint32_t callers) {
    const ArrayShape& a = program_->arrays[shape];
    const Data d = data_[data];
    Data next = d;
    // Counted as far as a bound or a place asks.
    const std::uint32_t reach =
        std::max({static_cast<std::uint32_t>(a.first.size()), a.least, a.most == kNone ? 0 : a.most});
    if (next.count < reach) ++next.count;
    if (a.distinct) {
        for (std::uint32_t i = 0; i < a.choices.size(); ++i) {
            if (bit(d.seen, i)) continue;
            Data chosen = next;
            chosen.seen.resize((a.choices.size() + 63) / 64);
            chosen.seen[i / 64] |= std::uint64_t{1} << (i % 64);
            call(a.choices[i], place(f_array_value, shape), intern_data(std::move(chosen)), callers);
        }
        return;
    }
    const bool is_first = d.count < a.first.size();
    const std::uint32_t plain = is_first ? a.first[d.count] : a.rest;
    if (!a.counted) {
        if (plain != kNone) call(plain, place(f_array_value, shape), intern_data(std::move(next)), callers);
        return;
    }
    const std::uint32_t hit = is_first ? a.first_hit[d.count] : a.rest_hit;
    // Hits that are missing must fit into the items that are left.
    const std::uint32_t left = a.most == kNone ? kNone : a.most - d.count - 1;
    const std::uint32_t lacking = a.least_hits > d.hits ? a.least_hits - d.hits : 0;
    if (plain != kNone && (left == kNone || lacking <= left)) {
        call(plain, place(f_array_value, shape), intern_data(next), callers);
    }
    if (hit != kNone && (a.most_hits == kNone || d.hits < a.most_hits) && (left == kNone || lacking <= left + 1)) {
        if (next.hits < std::max(a.least_hits, a.most_hits == kNone ? 0 : a.most_hits)) ++next.hits;
        call(hit, place(f_array_value, shape), intern_data(std::move(next)), callers);
    }
}

}  // namespace freehold::grammar
