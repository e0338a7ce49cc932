// Which numbers are allowed, and whether the beginning of one can still become such a number.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "decimal.h"

namespace freehold::grammar {

struct NumberRule {
    std::optional<Decimal> least, most;
    bool above = false, below = false;            // least, most themselves are excluded
    std::optional<Decimal> step;                  // multiples of it; 1 for integers
    std::vector<Decimal> off_steps;               // not a multiple of any of these
    std::vector<Decimal> excluded;                // none of these
    std::optional<std::vector<Decimal>> allowed;  // one of these
    bool plain = false;                           // no exponent, and no ".0" behind integers

    [[nodiscard]] bool integer() const { return step && step->exponent >= 0; }
    [[nodiscard]] bool free() const {
        return !least && !most && !step && off_steps.empty() && excluded.empty() && !allowed;
    }
    [[nodiscard]] bool matches(const Decimal& value) const;
    // No number matches.
    [[nodiscard]] bool impossible() const;
    friend bool operator==(const NumberRule&, const NumberRule&) = default;
};

// Every number that matches, where the rule lists them or bounds few integers; nothing: there may be more.
[[nodiscard]] std::optional<std::vector<Decimal>> few_numbers(const NumberRule& rule);
// Both at once.
[[nodiscard]] NumberRule meet(const NumberRule& a, const NumberRule& b);

// Where in the syntax of a JSON number a text stands.
enum class NumberPhase : std::uint8_t { begin, minus, zero, whole, point, fraction, e, e_sign, exponent, wrong };
[[nodiscard]] NumberPhase next_phase(NumberPhase phase, char c) noexcept;
[[nodiscard]] inline bool complete(NumberPhase p) noexcept {
    return p == NumberPhase::zero || p == NumberPhase::whole || p == NumberPhase::fraction ||
           p == NumberPhase::exponent;
}

// Can this beginning (syntactically right) become a number that matches? Where it says yes there is a way to the end.
// Exponents are followed only behind one digit before the point and where the usual writers use them: below 1e-3 and
// from 1e15 on. Digits are bounded on both sides of the point: written plainly by those of the step or of the list of
// numbers, else by 40 or by what the bounds need (100 where exponents are allowed).
[[nodiscard]] bool viable(const NumberRule& rule, std::string_view text, NumberPhase phase);
// Every number that begins so matches, in any way of writing it on.
[[nodiscard]] bool settled(const NumberRule& rule, std::string_view text, NumberPhase phase);

}  // namespace freehold::grammar
