// Numbers digit by digit: the numbers that begin with a text lie in intervals, and the rule must meet one of them.
#include "number.h"

#include <algorithm>

namespace freehold::grammar {

namespace {

constexpr std::int64_t kSmallExponent = -4;  // writers use exponents at or below it
constexpr std::int64_t kLargeExponent = 15;  // and at or above this

Decimal power(std::int64_t n) {
    return {false, "1", n};
}

NumberRule mirrored(const NumberRule& r) {
    NumberRule m = r;
    m.least = r.most ? std::optional(r.most->negated()) : std::nullopt;
    m.most = r.least ? std::optional(r.least->negated()) : std::nullopt;
    m.above = r.below;
    m.below = r.above;
    for (Decimal& d : m.excluded) d = d.negated();
    if (m.allowed) {
        for (Decimal& d : *m.allowed) d = d.negated();
    }
    return m;
}

// Natural numbers of any length: decimal digits without zeros in front, "" is zero.
using Natural = std::string;

Natural natural(const Decimal& d, std::int64_t scale) {  // d / 10^scale, where that is whole
    if (d.zero()) return {};
    return d.digits + std::string(static_cast<std::size_t>(d.exponent - scale), '0');
}

Natural natural(Wide value) {
    Natural n;
    for (; value != 0; value /= 10) n.push_back(static_cast<char>('0' + static_cast<int>(value % 10)));
    std::reverse(n.begin(), n.end());
    return n;
}

int order(const Natural& a, const Natural& b) {
    if (a.size() != b.size()) return a.size() < b.size() ? -1 : 1;
    return a.compare(b);
}

Natural sum(const Natural& a, const Natural& b) {
    Natural n;
    int carry = 0;
    for (std::size_t i = 0; i < std::max(a.size(), b.size()) || carry != 0; ++i) {
        if (i < a.size()) carry += a[a.size() - 1 - i] - '0';
        if (i < b.size()) carry += b[b.size() - 1 - i] - '0';
        n.push_back(static_cast<char>('0' + carry % 10));
        carry /= 10;
    }
    std::reverse(n.begin(), n.end());
    return n;
}

// n / 10^zeros, rounded up.
Natural shortened(Natural n, std::int64_t zeros) {
    const auto keep = n.size() - std::min(n.size(), static_cast<std::size_t>(zeros));
    const bool more = n.find_first_not_of('0', keep) != Natural::npos;
    n.resize(keep);
    return more ? sum(n, "1") : n;
}

Decimal decimal(const Natural& n, std::int64_t scale) {
    const std::size_t last = n.find_last_not_of('0');
    if (last == Natural::npos) return {};
    return {false, n.substr(0, last + 1), scale + static_cast<std::int64_t>(n.size() - 1 - last)};
}

// How many digits a number of this rule has at most before and behind the point. Whatever the rule can tell apart fits
// in, and a bit more, so every rule that a number can meet is met by one of these; without an end, a text could grow
// by zeros for ever.
struct Digits {
    std::int64_t whole = 0, places = 0;
};

Digits digits_of(const NumberRule& r) {
    const std::int64_t usual = r.plain ? 40 : 100;
    const auto spare = static_cast<std::int64_t>(3 + std::to_string(r.excluded.size() + r.off_steps.size()).size());
    std::int64_t low = 0, high = 0, list_low = 0, list_high = 0;
    const auto see = [](const Decimal& d, std::int64_t& lowest, std::int64_t& highest) {
        if (d.zero()) return;
        lowest = std::min(lowest, d.exponent);
        highest = std::max(highest, d.magnitude());
    };
    for (const auto* d : {&r.least, &r.most, &r.step}) {
        if (*d) see(**d, low, high);
    }
    for (const Decimal& d : r.off_steps) see(d, low, high);
    for (const Decimal& d : r.excluded) see(d, low, high);
    if (r.allowed) {
        for (const Decimal& d : *r.allowed) see(d, list_low, list_high);
    }
    Digits n{std::max(usual, std::max(high, list_high) + 1 + spare), std::max(usual, spare - std::min(low, list_low))};
    if (!r.plain) return n;
    if (r.allowed) return {list_high + 1, -list_low};
    if (r.step) n.places = std::max<std::int64_t>(0, -r.step->exponent);
    return n;
}

// Is there a match in [a, a + 10^width) with no digit below 10^grid? a >= 0, and a has none either.
bool some_in(const NumberRule& r, const Decimal& a, std::int64_t width, std::int64_t grid) {
    if (r.most && compare(a, *r.most) > 0) return false;
    std::int64_t scale = std::min(grid, width);
    for (const auto* d : {&r.least, &r.most, &r.step}) {
        if (*d && !(*d)->zero()) scale = std::min(scale, (*d)->exponent);
    }
    if (!a.zero()) scale = std::min(scale, a.exponent);
    Natural low = natural(a, scale);
    Natural end = sum(low, natural(power(width), scale));  // open
    if (r.allowed) {
        const Decimal open = decimal(end, scale);
        return std::any_of(r.allowed->begin(), r.allowed->end(), [&](const Decimal& d) {
            return !d.negative && compare(d, a) >= 0 && compare(d, open) < 0 && r.matches(d);
        });
    }
    if (r.least && !r.least->negative) {
        Natural least = natural(*r.least, scale);
        if (r.above) least = sum(least, "1");
        if (order(least, low) > 0) low = std::move(least);
    }
    if (r.most) {
        Natural most = natural(*r.most, scale);
        if (!r.below) most = sum(most, "1");
        if (order(most, end) < 0) end = std::move(most);
    }
    // From here on in steps: `size` of these units are one.
    const std::int64_t unit = r.step ? r.step->exponent : scale;
    Wide size = 1;
    if (r.step) {
        if (std::any_of(r.off_steps.begin(), r.off_steps.end(),
                        [&](const Decimal& off) { return r.step->is_multiple_of(off); })) {
            return false;
        }
        size = *Decimal{false, r.step->digits, 0}.scaled(0);
    }
    low = shortened(std::move(low), unit - scale);
    end = shortened(std::move(end), unit - scale);
    Wide rest = 0;
    for (const char c : low) rest = (rest * 10 + (c - '0')) % size;
    Natural at = rest == 0 ? low : sum(low, natural(size - rest));
    // Of so many steps in a row, one is a multiple of none of the others, whatever these are.
    const std::size_t others = r.off_steps.size();
    const std::size_t tries = (r.excluded.size() + 1) * (others == 0 ? 1 : 8 + 2 * others * others);
    for (std::size_t i = 0; i < tries && order(at, end) < 0; ++i, at = sum(at, natural(size))) {
        if ((others == 0 && r.excluded.empty()) || r.matches(decimal(at, unit))) return true;
    }
    return false;
}

// The largest power of ten that a match may reach; nothing: no bound.
std::optional<std::int64_t> reach(const NumberRule& r) {
    if (r.allowed) {
        std::int64_t m = -1'000'000;
        for (const Decimal& d : *r.allowed) m = std::max(m, d.zero() ? 0 : d.magnitude());
        return m;
    }
    if (!r.most) return std::nullopt;
    return r.most->zero() ? -400 : r.most->magnitude();
}

// Some number mantissa * 10^E, where the mantissa lies in [a, a + 10^width), 1 <= a < 10, and E passes.
template <class Passes>
bool some_exponent(const NumberRule& r, const Decimal& a, std::int64_t width, std::int64_t grid, const Passes& passes) {
    if (r.most && (r.most->negative || r.most->zero())) return false;
    const std::int64_t top = std::min<std::int64_t>(reach(r).value_or(320), 320);
    std::int64_t bottom = -330;
    if (r.least && !r.least->negative && !r.least->zero()) bottom = std::max(bottom, r.least->magnitude());
    if (r.step) bottom = std::max(bottom, r.step->exponent);
    for (std::int64_t e = top; e >= bottom; --e) {
        if ((e > kSmallExponent && e < kLargeExponent) || !passes(e)) continue;
        Decimal moved = a;
        moved.exponent += e;
        if (some_in(r, moved, width + e, grid + e)) return true;
    }
    return false;
}

}  // namespace

bool NumberRule::matches(const Decimal& value) const {
    if (least) {
        const int c = compare(value, *least);
        if (c < 0 || (c == 0 && above)) return false;
    }
    if (most) {
        const int c = compare(value, *most);
        if (c > 0 || (c == 0 && below)) return false;
    }
    if (step && !value.is_multiple_of(*step)) return false;
    if (std::any_of(off_steps.begin(), off_steps.end(), [&](const Decimal& s) { return value.is_multiple_of(s); })) {
        return false;
    }
    if (std::find(excluded.begin(), excluded.end(), value) != excluded.end()) return false;
    return !allowed || std::find(allowed->begin(), allowed->end(), value) != allowed->end();
}

bool NumberRule::impossible() const {
    if (allowed) return std::none_of(allowed->begin(), allowed->end(), [this](const Decimal& d) { return matches(d); });
    return !viable(*this, "", NumberPhase::begin);
}

std::optional<std::vector<Decimal>> few_numbers(const NumberRule& rule) {
    constexpr Wide kFew = 64;
    std::vector<Decimal> candidates;
    if (rule.allowed) {
        candidates = *rule.allowed;
    } else {
        if (!rule.integer() || !rule.least || !rule.most) return std::nullopt;
        const auto first = rule.least->scaled(0), last = rule.most->scaled(0);
        if (!first || !last || *last - *first >= kFew) return std::nullopt;
        for (Wide n = *first; n <= *last; ++n) {
            // Beyond 64 bits nobody lists integers.
            if (n != static_cast<std::int64_t>(n)) return std::nullopt;
            candidates.push_back(make_decimal(std::to_string(static_cast<std::int64_t>(n))));
        }
    }
    std::vector<Decimal> out;
    for (Decimal& d : candidates) {
        if (rule.matches(d) && std::find(out.begin(), out.end(), d) == out.end()) out.push_back(std::move(d));
    }
    return out;
}

NumberRule meet(const NumberRule& a, const NumberRule& b) {
    NumberRule r = a;
    if (b.least) {
        const int c = r.least ? compare(*b.least, *r.least) : 1;
        if (c > 0) {
            r.least = b.least;
            r.above = b.above;
        } else if (c == 0) {
            r.above = r.above || b.above;
        }
    }
    if (b.most) {
        const int c = r.most ? compare(*b.most, *r.most) : -1;
        if (c < 0) {
            r.most = b.most;
            r.below = b.below;
        } else if (c == 0) {
            r.below = r.below || b.below;
        }
    }
    if (b.step) r.step = r.step ? common_multiple(*r.step, *b.step) : b.step;
    r.off_steps.insert(r.off_steps.end(), b.off_steps.begin(), b.off_steps.end());
    r.excluded.insert(r.excluded.end(), b.excluded.begin(), b.excluded.end());
    if (b.allowed) {
        if (r.allowed) {
            std::erase_if(*r.allowed, [&](const Decimal& d) {
                return std::find(b.allowed->begin(), b.allowed->end(), d) == b.allowed->end();
            });
        } else {
            r.allowed = b.allowed;
        }
    }
    r.plain = r.plain || b.plain;
    return r;
}

NumberPhase next_phase(NumberPhase phase, char c) noexcept {
    using P = NumberPhase;
    const bool digit = c >= '0' && c <= '9';
    switch (phase) {
        case P::begin:
            if (c == '-') return P::minus;
            [[fallthrough]];
        case P::minus:
            return c == '0' ? P::zero : digit ? P::whole : P::wrong;
        case P::zero:
        case P::whole:
            if (digit && phase == P::whole) return P::whole;
            return c == '.' ? P::point : (c == 'e' || c == 'E') ? P::e : P::wrong;
        case P::point:
            return digit ? P::fraction : P::wrong;
        case P::fraction:
            return digit ? P::fraction : (c == 'e' || c == 'E') ? P::e : P::wrong;
        case P::e:
            if (c == '+' || c == '-') return P::e_sign;
            [[fallthrough]];
        case P::e_sign:
        case P::exponent:
            return digit ? P::exponent : P::wrong;
        case P::wrong:
            break;
    }
    return P::wrong;
}

bool viable(const NumberRule& rule, std::string_view text, NumberPhase phase) {
    using P = NumberPhase;
    const bool negative = text.starts_with('-');
    if (phase == P::begin) {
        return viable(rule, "-", P::minus) || std::any_of("0123456789", &"0123456789"[10], [&](char c) {
                   return viable(rule, std::string_view(&c, 1), c == '0' ? P::zero : P::whole);
               });
    }
    const NumberRule r = negative ? mirrored(rule) : rule;
    if (negative) text.remove_prefix(1);
    if (phase == P::minus) {
        return std::any_of("0123456789", &"0123456789"[10],
                           [&](char c) { return viable(r, std::string_view(&c, 1), c == '0' ? P::zero : P::whole); });
    }
    const std::size_t e_at = text.find_first_of("eE");
    const std::string_view mantissa_text = text.substr(0, e_at);
    const std::size_t point = mantissa_text.find('.');
    const bool scientific = mantissa_text[0] != '0' && (point == 1 || mantissa_text.size() == 1) && !r.plain;
    const Decimal mantissa = make_decimal(mantissa_text);
    if (e_at != std::string_view::npos) {
        if (!scientific) return false;
        std::string_view e_text = text.substr(e_at + 1);
        const bool minus = e_text.starts_with('-');
        if (minus || e_text.starts_with('+')) e_text.remove_prefix(1);
        const auto passes = [&](std::int64_t e) {
            if (!e_text.empty() || minus || phase == P::e_sign) {
                if ((e < 0) != minus) return false;
            }
            const std::string plain = std::to_string(e < 0 ? -e : e);
            if (phase != P::exponent || plain.starts_with(e_text)) return true;
            return plain.size() == 1 && ("0" + plain).starts_with(e_text);
        };
        // The mantissa is said: the interval is the number itself and whatever is too close to tell.
        if (r.most && (r.most->negative || r.most->zero())) return false;
        const std::int64_t top = std::min<std::int64_t>(reach(r).value_or(320), 320);
        for (std::int64_t e = top; e >= -330; --e) {
            if ((e > kSmallExponent && e < kLargeExponent) || !passes(e)) continue;
            Decimal moved = mantissa;
            moved.exponent += e;
            if (r.matches(moved)) return true;
        }
        return false;
    }
    const Digits most = digits_of(r);
    if (point != std::string_view::npos) {
        const auto places = static_cast<std::int64_t>(mantissa_text.size() - point - 1);
        if ((r.plain && r.integer()) || places > most.places || most.places == 0) return false;
        if (some_in(r, mantissa, -places, -most.places)) return true;
        return scientific && some_exponent(r, mantissa, -places, -most.places, [](std::int64_t) { return true; });
    }
    // Digits before the point: more may follow, unless it is a zero.
    const auto length = static_cast<std::int64_t>(mantissa_text.size());
    if (length > most.whole) return false;
    const std::int64_t further =
        mantissa_text == "0"
            ? 0
            : std::clamp<std::int64_t>(reach(r).value_or(most.whole) + 1 - length, 0, most.whole - length);
    for (std::int64_t k = 0; k <= further; ++k) {
        Decimal moved = mantissa;
        if (!moved.zero()) moved.exponent += k;
        // With so many digits all of them are below the least.
        if (!moved.zero() && r.least && !r.least->negative && r.least->magnitude() > length - 1 + k) continue;
        if (some_in(r, moved, k, -most.places)) return true;
    }
    return scientific && some_exponent(r, mantissa, 0, -most.places, [](std::int64_t) { return true; });
}

bool settled(const NumberRule& rule, std::string_view text, NumberPhase phase) {
    if (rule.step || !rule.off_steps.empty() || !rule.excluded.empty() || rule.allowed) return false;
    if (phase == NumberPhase::begin || phase == NumberPhase::minus || phase == NumberPhase::wrong) return false;
    const bool negative = text.starts_with('-');
    // What it can still become reaches from nearly nothing to beyond all bounds.
    const auto& far = negative ? rule.least : rule.most;
    const auto& near = negative ? rule.most : rule.least;
    if (far) return false;
    if (!near) return true;
    if (near->zero()) {
        const bool open = negative ? rule.below : rule.above;
        return !open || text.find_first_of("123456789") < text.find_first_of("eE");
    }
    return near->negative != negative;
}

}  // namespace freehold::grammar
