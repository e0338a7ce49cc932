// DRY ("don't repeat yourself", by P. E. Weidmann): a token that would go on a repetition of what was said is made less
// likely, the more so the longer the repetition is.
#include <algorithm>
#include <cmath>
#include <map>

#include "sampler_stages.h"

namespace freehold {

namespace {

class Dry final : public SamplerStage {
 public:
    explicit Dry(const SamplerOptions& o)
        : multiplier_(static_cast<double>(o.dry_multiplier)),
          base_(static_cast<double>(o.dry_base)),
          allowed_(static_cast<std::size_t>(o.dry_allowed_length)),
          last_n_(o.dry_last_n),
          breakers_(o.dry_breakers) {
        std::sort(breakers_.begin(), breakers_.end());
    }

    void apply(Candidates& c, const SampleContext& context, const Kernels&) const override {
        auto past = context.history;
        if (last_n_ >= 0) past = past.last(std::min(past.size(), static_cast<std::size_t>(last_n_)));
        const std::size_t n = past.size();
        if (n < 2) return;
        const auto back = [&](std::size_t i) { return past[n - 1 - i]; };
        std::size_t whole = 0;  // tokens at the end before a breaker comes
        while (whole < n && !breaks(back(whole))) ++whole;
        if (whole < allowed_ || whole == 0) return;

        // same[i]: how many tokens at the end of the past also end i tokens earlier; the Z function of the past read
        // backwards, linear in its length.
        std::vector<std::size_t> same(n, 0);
        std::size_t from = 0;
        std::size_t to = 0;  // [from, to) is the match that reaches furthest
        for (std::size_t i = 1; i < n; ++i) {
            std::size_t length = i < to ? std::min(to - i, same[i - from]) : 0;
            while (i + length < n && back(length) == back(i + length)) ++length;
            same[i] = length;
            if (i + length > to) {
                from = i;
                to = i + length;
            }
        }
        std::map<Token, std::size_t> longest;
        for (std::size_t i = 1; i < n; ++i) {
            const std::size_t length = std::min(same[i], whole);
            if (length == 0 || length < allowed_) continue;
            const Token next = back(i - 1);
            if (breaks(next)) continue;
            std::size_t& best = longest[next];
            best = std::max(best, length);
        }
        for (const auto& [token, length] : longest) {
            if (const std::size_t i = c.find(token); i < c.size()) {
                c.logit[i] -= static_cast<float>(multiplier_ * power(length - allowed_));
            }
        }
    }

 private:
    [[nodiscard]] bool breaks(Token token) const {
        return std::binary_search(breakers_.begin(), breakers_.end(), token);
    }
    // By multiplication, so that it has the same bits everywhere; bounded, so that a logit stays a number.
    [[nodiscard]] double power(std::size_t exponent) const noexcept {
        constexpr double kMost = 1e30;
        double p = 1;
        if (base_ == 1) return p;
        for (std::size_t i = 0; i < exponent && p < kMost; ++i) p *= base_;
        return std::min(p, kMost);
    }

    double multiplier_, base_;
    std::size_t allowed_;
    int last_n_;
    std::vector<Token> breakers_;
};

}  // namespace

std::unique_ptr<SamplerStage> make_dry(const SamplerOptions& o) {
    if (o.dry_multiplier <= 0 || o.dry_last_n == 0) return nullptr;
    return std::make_unique<Dry>(o);
}

}  // namespace freehold
