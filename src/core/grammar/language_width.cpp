// How many ways to go on a text can hold open at once. Each is a part of every state behind it, so that a pattern which
// holds many open for long has a new and large state for each character, and a mask for each token that costs as much.
#include <algorithm>
#include <set>

#include "language.h"

namespace freehold::grammar {

std::size_t Regexes::ways(Rx r, int depth) const {
    const Node& n = nodes_[r];
    if (n.kind == Kind::non) return ways(n.a, depth + 1);
    if ((n.kind != Kind::alt && n.kind != Kind::both) || depth > 32) return 1;
    std::size_t sum = 0;
    for (const Rx part : list(n)) sum += ways(part, depth + 1);
    return sum;
}

bool Regexes::stays_wide(Rx r, std::size_t most, std::size_t for_long, std::size_t& budget) {
    constexpr std::size_t kCandidates = 24;
    std::set<Rx> seen;
    std::size_t row = 0;
    // Towards the widest; where that comes round to a state again, there are few of them.
    while (budget > 0 && seen.insert(r).second) {
        std::vector<CodePoint> from = breaks(r);
        from.insert(from.begin(), 0);
        const std::size_t stride = from.size() / kCandidates + 1;
        Rx best = nothing();
        std::size_t widest = 0;
        for (std::size_t i = 0; i < from.size(); i += stride) {
            if (from[i] > kLastCodePoint || budget == 0) break;
            --budget;
            const Rx next = derivative(r, from[i]);
            if (next == nothing()) continue;
            if (const std::size_t wide = ways(next, 0); wide > widest) {
                widest = wide;
                best = next;
            }
        }
        if (best == nothing()) return false;
        row = widest > most ? row + 1 : 0;
        if (row >= for_long) return true;
        r = best;
    }
    return false;
}

}  // namespace freehold::grammar
