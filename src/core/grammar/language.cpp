// Terms of regular languages: the laws that keep them few (associativity, idempotence, units), and their derivatives.
#include "language.h"

#include <algorithm>
#include <deque>
#include <string>

#include "freehold/base/error.h"

namespace freehold::grammar {

namespace {

constexpr int kDepth = 2000;  // of a term; readers allow 200 levels, derivatives add a few

[[noreturn]] void too_large(const char* what) {
    throw Error(ErrorKind::limit, std::string("The regular expression needs too many ") + what + ".",
                "Use a simpler pattern, shorter lists or smaller nested repetitions.");
}

std::uint64_t mix(std::uint64_t h, std::uint64_t x) noexcept {
    h ^= x + 0x9E3779B97F4A7C15ULL + (h << 6U) + (h >> 2U);
    return h * 0xFF51AFD7ED558CCDULL;
}

}  // namespace

Ranges normalised(Ranges ranges) {
    std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) { return a.first < b.first; });
    Ranges out;
    for (const Range& r : ranges) {
        if (r.last < r.first) continue;
        if (!out.empty() && r.first <= out.back().last + 1) {
            out.back().last = std::max(out.back().last, r.last);
        } else {
            out.push_back(r);
        }
    }
    return out;
}

Ranges complement(const Ranges& ranges) {
    Ranges out;
    CodePoint next = 0;
    for (const Range& r : normalised(ranges)) {
        if (r.first > kLastCodePoint) break;
        if (r.first > next) out.push_back({next, r.first - 1});
        next = r.last + 1;
    }
    if (next <= kLastCodePoint) out.push_back({next, kLastCodePoint});
    return out;
}

Regexes::Regexes(RegexLimits limits) : limits_(limits) {
    nodes_.push_back({Kind::nothing, false, false, 0, 0, 0});
    nodes_.push_back({Kind::empty, true, false, 0, 0, 0});
    any_ = set({{0, kLastCodePoint}});
    all_ = rep(any_, 0);
}

Rx Regexes::intern(const Node& node, std::span<const Rx> parts) {
    std::uint64_t h = mix(static_cast<std::uint64_t>(node.kind), node.c);
    if (parts.empty()) {
        h = mix(mix(h, node.a), node.b);
    } else {
        for (const Rx p : parts) h = mix(h, p);
    }
    const auto [begin, end] = index_.equal_range(h);
    for (auto at = begin; at != end; ++at) {
        const Node& other = nodes_[at->second];
        if (other.kind != node.kind || other.c != node.c) continue;
        if (parts.empty() ? (other.a == node.a && other.b == node.b) : std::ranges::equal(list(other), parts)) {
            return at->second;
        }
    }
    if (nodes_.size() >= limits_.terms) too_large("states");
    Node stored = node;
    if (!parts.empty()) {
        stored.a = static_cast<std::uint32_t>(lists_.size());
        stored.b = static_cast<std::uint32_t>(parts.size());
        lists_.insert(lists_.end(), parts.begin(), parts.end());
        if (lists_.size() > 8 * limits_.terms) too_large("alternatives");
    }
    const auto id = static_cast<Rx>(nodes_.size());
    nodes_.push_back(stored);
    index_.emplace(h, id);
    return id;
}

Rx Regexes::set(const Ranges& ranges) {
    Ranges wanted = normalised(ranges);
    if (wanted.empty()) return nothing();
    for (const Range& r : wanted) {
        if (r.first <= kSpecialMark && kSpecialMark <= r.last) last_symbol_ = kSpecialMark;
    }
    std::uint64_t h = 7;
    for (const Range& r : wanted) h = mix(mix(h, r.first), r.last);
    const auto [begin, end] = set_index_.equal_range(h);
    for (auto at = begin; at != end; ++at) {
        if (sets_[at->second] == wanted) return intern({Kind::set, false, false, at->second, 0, 0});
    }
    const auto id = static_cast<std::uint32_t>(sets_.size());
    sets_.push_back(std::move(wanted));
    set_index_.emplace(h, id);
    return intern({Kind::set, false, false, id, 0, 0});
}

Rx Regexes::literal(std::u32string_view text) {
    Rx r = empty();
    for (std::size_t i = text.size(); i-- > 0;) {
        const auto c = static_cast<CodePoint>(text[i]);
        r = cat(set({{c, c}}), r);
    }
    return r;
}

Rx Regexes::cat(Rx a, Rx b) {
    if (a == nothing() || b == nothing()) return nothing();
    if (a == empty()) return b;
    if (b == empty()) return a;
    // To the right, so that a derivative looks at the head only.
    std::vector<Rx> heads;
    while (nodes_[a].kind == Kind::cat) {
        heads.push_back(nodes_[a].a);
        a = nodes_[a].b;
    }
    if (a == all_ && b == all_) {
        b = all_;
    } else {
        const bool searched = nodes_[a].searched || nodes_[b].searched;
        b = intern({Kind::cat, nullable(a) && nullable(b), searched, a, b, 0});
    }
    while (!heads.empty()) {
        a = heads.back();
        heads.pop_back();
        const bool searched = nodes_[a].searched || nodes_[b].searched;
        b = intern({Kind::cat, nullable(a) && nullable(b), searched, a, b, 0});
    }
    return b;
}

Rx Regexes::cat(std::initializer_list<Rx> parts) {
    Rx r = empty();
    for (auto at = parts.end(); at != parts.begin();) r = cat(*--at, r);
    return r;
}

Rx Regexes::make_list(Kind kind, std::vector<Rx> parts) {
    if (parts.size() > limits_.list) too_large("alternatives");
    bool is_nullable = kind == Kind::both;
    bool searched = kind == Kind::both;
    for (const Rx p : parts) {
        is_nullable = kind == Kind::both ? is_nullable && nullable(p) : is_nullable || nullable(p);
        searched = searched || nodes_[p].searched;
    }
    return intern({kind, is_nullable, searched, 0, 0, 0}, parts);
}

Rx Regexes::alt(std::vector<Rx> parts) {
    std::vector<Rx> flat;
    Ranges chars;
    for (const Rx p : parts) {
        const Node& n = nodes_[p];
        if (n.kind == Kind::nothing) continue;
        if (p == all_) return all_;
        if (n.kind == Kind::alt) {
            for (const Rx q : list(n)) flat.push_back(q);
        } else {
            flat.push_back(p);
        }
    }
    // Single characters are one set.
    std::size_t sets = 0;
    for (const Rx p : flat) sets += nodes_[p].kind == Kind::set ? 1U : 0U;
    if (sets > 1) {
        std::vector<Rx> rest;
        for (const Rx p : flat) {
            if (nodes_[p].kind == Kind::set) {
                const Ranges& r = sets_[nodes_[p].a];
                chars.insert(chars.end(), r.begin(), r.end());
            } else {
                rest.push_back(p);
            }
        }
        rest.push_back(set(chars));
        flat = std::move(rest);
    }
    std::sort(flat.begin(), flat.end());
    flat.erase(std::unique(flat.begin(), flat.end()), flat.end());
    if (flat.size() > 1 && flat.front() == empty()) {
        // The empty text adds nothing where another part has it.
        if (std::any_of(flat.begin() + 1, flat.end(), [this](Rx p) { return nullable(p); })) flat.erase(flat.begin());
    }
    if (flat.empty()) return nothing();
    if (flat.size() == 1) return flat.front();
    if (flat.size() == 2 && flat.front() == empty()) return rep(flat.back(), 0, 1);
    return make_list(Kind::alt, std::move(flat));
}

Rx Regexes::both(std::vector<Rx> parts) {
    std::vector<Rx> flat;
    for (const Rx p : parts) {
        const Node& n = nodes_[p];
        if (n.kind == Kind::nothing) return nothing();
        if (p == all_) continue;
        if (n.kind == Kind::both) {
            for (const Rx q : list(n)) flat.push_back(q);
        } else {
            flat.push_back(p);
        }
    }
    std::sort(flat.begin(), flat.end());
    flat.erase(std::unique(flat.begin(), flat.end()), flat.end());
    if (flat.empty()) return all_;
    if (flat.size() == 1) return flat.front();
    if (flat.front() == empty()) {
        return std::all_of(flat.begin(), flat.end(), [this](Rx p) { return nullable(p); }) ? empty() : nothing();
    }
    for (const Rx p : flat) {
        if (nodes_[p].kind == Kind::non && std::binary_search(flat.begin(), flat.end(), nodes_[p].a)) return nothing();
    }
    return make_list(Kind::both, std::move(flat));
}

Rx Regexes::non(Rx a) {
    if (nodes_[a].kind == Kind::non) return nodes_[a].a;
    if (a == nothing()) return all_;
    if (a == all_) return nothing();
    return intern({Kind::non, !nullable(a), true, a, 0, 0});
}

Rx Regexes::rep(Rx a, std::uint32_t least, std::uint32_t most) {
    if (most < least) return nothing();
    if (most == 0 || a == empty()) return empty();
    if (a == nothing()) return least == 0 ? empty() : nothing();
    if (least == 1 && most == 1) return a;
    if (nullable(a) && least > 0) least = 0;  // (a?){3,5} is (a?){0,5}
    const Node& n = nodes_[a];
    if (n.kind == Kind::rep && n.b == 0 && n.c == kNoBound) return a;  // (x*){m,n}
    if (n.kind == Kind::rep && n.b <= 1 && n.c == kNoBound && least <= 1 && most == kNoBound) {
        return rep(n.a, n.b * least, kNoBound);  // (x+)*
    }
    if (n.kind == Kind::rep && n.b <= 1 && n.c != kNoBound && most != kNoBound &&
        static_cast<std::uint64_t>(n.c) * most < kNoBound) {
        return rep(n.a, n.b * least, n.c * most);  // every count between is reached
    }
    if (n.kind == Kind::rep && n.b <= 1 && most == kNoBound) return rep(n.a, n.b * least, kNoBound);
    return intern({Kind::rep, least == 0 || n.nullable, n.searched, a, least, most});
}

bool Regexes::in_set(std::uint32_t set, CodePoint c) const noexcept {
    const Ranges& r = sets_[set];
    const auto at = std::upper_bound(r.begin(), r.end(), c, [](CodePoint x, const Range& y) { return x < y.first; });
    return at != r.begin() && c <= (at - 1)->last;
}

Rx Regexes::derivative(Rx r, CodePoint c) {
    return derive(r, c, 0);
}

Rx Regexes::derive(Rx r, CodePoint c, int depth) {
    if (depth > kDepth) too_large("levels");
    const Node n = nodes_[r];
    switch (n.kind) {
        case Kind::nothing:
        case Kind::empty:
            return nothing();
        case Kind::set:
            return in_set(n.a, c) ? empty() : nothing();
        default:
            break;
    }
    // All code points between two breaks have the derivative of the first of them.
    const auto& edges = breaks(r);
    const auto at = std::upper_bound(edges.begin(), edges.end(), c);
    const CodePoint representative = at == edges.begin() ? 0 : *(at - 1);
    const std::uint64_t key = (static_cast<std::uint64_t>(r) << 32U) | representative;
    if (const auto found = derivatives_.find(key); found != derivatives_.end()) return found->second;
    Rx result = nothing();
    switch (n.kind) {
        case Kind::cat: {
            std::vector<Rx> parts;
            Rx tail = r;
            while (nodes_[tail].kind == Kind::cat) {
                const Rx head = nodes_[tail].a;
                const Rx rest = nodes_[tail].b;
                parts.push_back(cat(derive(head, c, depth + 1), rest));
                tail = rest;
                if (!nullable(head)) break;
                if (nodes_[tail].kind != Kind::cat) parts.push_back(derive(tail, c, depth + 1));
            }
            result = alt(std::move(parts));
            break;
        }
        case Kind::alt:
        case Kind::both: {
            std::vector<Rx> parts;
            parts.reserve(n.b);
            for (std::uint32_t i = 0; i < n.b; ++i) {
                const Rx d = derive(lists_[n.a + i], c, depth + 1);
                if (n.kind == Kind::both && d == nothing()) {
                    parts.assign(1, nothing());
                    break;
                }
                parts.push_back(d);
            }
            result = n.kind == Kind::alt ? alt(std::move(parts)) : both(std::move(parts));
            break;
        }
        case Kind::non:
            result = non(derive(n.a, c, depth + 1));
            break;
        case Kind::rep: {
            const Rx d = derive(n.a, c, depth + 1);
            if (d == nothing()) break;
            const std::uint32_t least = n.b == 0 ? 0 : n.b - 1;
            const std::uint32_t most = n.c == kNoBound ? kNoBound : n.c - 1;
            result = cat(d, rep(n.a, least, most));
            break;
        }
        default:
            break;
    }
    if (derivatives_.size() > 8 * limits_.terms) too_large("transitions");
    derivatives_.emplace(key, result);
    return result;
}

void Regexes::collect(Rx r, std::vector<CodePoint>& out, int depth) const {
    if (depth > kDepth) too_large("levels");
    const Node& n = nodes_[r];
    switch (n.kind) {
        case Kind::nothing:
        case Kind::empty:
            return;
        case Kind::set:
            for (const Range& range : sets_[n.a]) {
                out.push_back(range.first);
                out.push_back(range.last + 1);
            }
            return;
        case Kind::cat: {
            Rx tail = r;
            while (nodes_[tail].kind == Kind::cat) {
                const Rx head = nodes_[tail].a;
                collect(head, out, depth + 1);
                tail = nodes_[tail].b;
                if (!nullable(head)) return;
            }
            collect(tail, out, depth + 1);
            return;
        }
        case Kind::alt:
        case Kind::both:
            for (const Rx p : list(n)) collect(p, out, depth + 1);
            return;
        case Kind::non:
        case Kind::rep:
            collect(n.a, out, depth + 1);
            return;
    }
}

const std::vector<CodePoint>& Regexes::breaks(Rx r) {
    if (const auto found = breaks_.find(r); found != breaks_.end()) return found->second;
    std::vector<CodePoint> out;
    collect(r, out, 0);
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    out.shrink_to_fit();
    return breaks_.emplace(r, std::move(out)).first->second;
}

bool Regexes::constant_on(Rx r, CodePoint first, CodePoint last) {
    const auto& edges = breaks(r);
    const auto at = std::upper_bound(edges.begin(), edges.end(), first);
    return at == edges.end() || *at > last;
}

bool Regexes::possible(Rx r) {
    if (r == nothing()) return false;
    if (!nodes_[r].searched || nullable(r)) return true;
    if (const auto found = possible_.find(r); found != possible_.end()) return found->second;
    // Depth first, with the way back kept: whoever leads to a text is possible. A search that ends without one has
    // shown that nothing it saw is.
    std::unordered_map<Rx, Rx> from;
    std::vector<Rx> stack{r};
    from.emplace(r, r);
    Rx hit = nothing();
    while (!stack.empty() && hit == nothing()) {
        const Rx at = stack.back();
        stack.pop_back();
        std::vector<CodePoint> points = breaks(at);
        points.push_back(0);
        for (const CodePoint c : points) {
            if (c > last_symbol_) continue;
            const Rx next = derivative(at, c);
            if (next == nothing() || from.contains(next)) continue;
            const auto known = possible_.find(next);
            if (known != possible_.end() && !known->second) continue;
            from.emplace(next, at);
            if (!nodes_[next].searched || nullable(next) || known != possible_.end()) {
                hit = next;
                break;
            }
            stack.push_back(next);
        }
        if (from.size() > limits_.search) too_large("steps to see whether anything can match");
    }
    if (hit == nothing()) {
        for (const auto& [seen, before] : from) possible_[seen] = false;
        return false;
    }
    for (Rx at = hit;; at = from[at]) {
        possible_[at] = true;
        if (at == r) break;
    }
    return true;
}

bool Regexes::counter(Rx r, Counter& out) const noexcept {
    if (r == any_) {
        out = {1, 1};
        return true;
    }
    if (r == empty()) {
        out = {0, 0};
        return true;
    }
    const Node& n = nodes_[r];
    if (n.kind != Kind::rep || n.a != any_) return false;
    out = {n.b, n.c};
    return true;
}

template <class F>
Rx Regexes::rebuild(Rx r, const F& on_set, bool mirror, std::unordered_map<Rx, Rx>& memo, int depth) {
    if (depth > kDepth) too_large("levels");
    if (const auto found = memo.find(r); found != memo.end()) return found->second;
    const Node n = nodes_[r];
    Rx result = r;
    switch (n.kind) {
        case Kind::nothing:
        case Kind::empty:
            break;
        case Kind::set:
            result = on_set(r, n.a);
            break;
        case Kind::cat: {
            std::vector<Rx> parts;
            Rx tail = r;
            while (nodes_[tail].kind == Kind::cat) {
                const Rx head = nodes_[tail].a;
                tail = nodes_[tail].b;
                parts.push_back(rebuild(head, on_set, mirror, memo, depth + 1));
            }
            parts.push_back(rebuild(tail, on_set, mirror, memo, depth + 1));
            if (mirror) std::reverse(parts.begin(), parts.end());
            result = empty();
            for (std::size_t i = parts.size(); i-- > 0;) result = cat(parts[i], result);
            break;
        }
        case Kind::alt:
        case Kind::both: {
            std::vector<Rx> parts;
            for (std::uint32_t i = 0; i < n.b; ++i) {
                parts.push_back(rebuild(lists_[n.a + i], on_set, mirror, memo, depth + 1));
            }
            result = n.kind == Kind::alt ? alt(std::move(parts)) : both(std::move(parts));
            break;
        }
        case Kind::non:
            result = non(rebuild(n.a, on_set, mirror, memo, depth + 1));
            break;
        case Kind::rep:
            result = rep(rebuild(n.a, on_set, mirror, memo, depth + 1), n.b, n.c);
            break;
    }
    memo.emplace(r, result);
    return result;
}

Rx Regexes::without(Rx r, CodePoint symbol) {
    std::unordered_map<Rx, Rx> memo;
    const auto strike = [&](Rx node, std::uint32_t set_id) {
        if (!in_set(set_id, symbol)) return node;
        Ranges left;
        for (const Range& x : sets_[set_id]) {
            if (symbol < x.first || symbol > x.last) {
                left.push_back(x);
                continue;
            }
            if (x.first < symbol) left.push_back({x.first, symbol - 1});
            if (symbol < x.last) left.push_back({symbol + 1, x.last});
        }
        return set(left);
    };
    return rebuild(r, strike, false, memo, 0);
}

Rx Regexes::mirrored(Rx r) {
    std::unordered_map<Rx, Rx> memo;
    return rebuild(
        r, [](Rx node, std::uint32_t) { return node; }, true, memo, 0);
}

}  // namespace freehold::grammar
