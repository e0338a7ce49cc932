// Formulas of the sampling stages, as docs/sampling.md states them.
#include "sampler_stages.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace freehold {

namespace {

constexpr float kGone = -std::numeric_limits<float>::infinity();

// Walks the candidates from the best by `better(a, b)` (a strict order without ties) until `enough(index)` says so, and
// leaves in c.order the ones walked. The vocabulary is never sorted as a whole: selections grow by eight.
template <class Better, class Enough>
void best_until(Candidates& c, Better&& better, Enough&& enough) {
    c.order.resize(c.size());
    for (std::size_t i = 0; i < c.size(); ++i) c.order[i] = static_cast<std::uint32_t>(i);
    std::size_t done = 0;
    for (std::size_t want = 64; done < c.size(); want *= 8) {
        const std::size_t to = std::min(want, c.size());
        const auto at = [&](std::size_t i) { return c.order.begin() + static_cast<std::ptrdiff_t>(i); };
        if (to < c.size()) std::nth_element(at(done), at(to), c.order.end(), better);
        std::sort(at(done), at(to), better);
        for (; done < to; ++done) {
            if (enough(c.order[done])) {
                c.order.resize(done + 1);
                return;
            }
        }
    }
}

// Keeps what best_until() left.
void keep_ordered(Candidates& c) {
    std::sort(c.order.begin(), c.order.end());
    std::size_t next = 0;
    c.filter([&](std::size_t i) {
        if (next == c.order.size() || c.order[next] != i) return false;
        ++next;
        return true;
    });
}

class Bias final : public SamplerStage {
 public:
    explicit Bias(std::vector<std::pair<Token, float>> bias) : bias_(std::move(bias)) {}
    void apply(Candidates& c, const SampleContext&, const Kernels&) const override {
        for (const auto& [token, value] : bias_) {
            if (const std::size_t i = c.find(token); i < c.size()) c.logit[i] += value;
        }
    }

 private:
    std::vector<std::pair<Token, float>> bias_;
};

class Penalties final : public SamplerStage {
 public:
    explicit Penalties(const SamplerOptions& o)
        : repetition_(o.repetition_penalty),
          presence_(o.presence_penalty),
          frequency_(o.frequency_penalty),
          last_n_(o.penalty_last_n),
          prompt_(o.penalize_prompt) {}

    void apply(Candidates& c, const SampleContext& context, const Kernels&) const override {
        auto past = prompt_ ? context.history : context.history.subspan(context.prompt_tokens);
        if (last_n_ >= 0) past = past.last(std::min(past.size(), static_cast<std::size_t>(last_n_)));
        c.seen.clear();
        for (const Token t : past) {
            if (c.counts[static_cast<std::size_t>(t)]++ == 0) c.seen.push_back(t);
        }
        for (const Token t : c.seen) {
            const auto count = static_cast<float>(std::exchange(c.counts[static_cast<std::size_t>(t)], 0U));
            const std::size_t i = c.find(t);
            if (i == c.size()) continue;
            float& x = c.logit[i];
            x = x > 0 ? x / repetition_ : x * repetition_;
            x -= count * frequency_ + presence_;
        }
    }

 private:
    float repetition_, presence_, frequency_;
    int last_n_;
    bool prompt_;
};

class Temperature final : public SamplerStage {
 public:
    explicit Temperature(float t) : t_(t) {}
    void apply(Candidates& c, const SampleContext&, const Kernels&) const override {
        for (float& x : c.logit) x /= t_;
    }

 private:
    float t_;
};

class TopK final : public SamplerStage {
 public:
    explicit TopK(std::size_t k) : k_(k) {}
    void apply(Candidates& c, const SampleContext&, const Kernels&) const override { c.keep_best(k_); }

 private:
    std::size_t k_;
};

class TopP final : public SamplerStage {
 public:
    TopP(double p, std::size_t min_keep) : p_(p), min_keep_(min_keep) {}
    void apply(Candidates& c, const SampleContext&, const Kernels& kernels) const override {
        const double enough = p_ * c.softmax(kernels);
        double mass = 0;
        std::size_t kept = 0;
        best_until(
            c,
            [&](std::uint32_t a, std::uint32_t b) {
                return c.logit[a] != c.logit[b] ? c.logit[a] > c.logit[b] : a < b;
            },
            [&](std::uint32_t i) {
                mass += static_cast<double>(c.prob[i]);
                return ++kept >= min_keep_ && mass >= enough;
            });
        keep_ordered(c);
    }

 private:
    double p_;
    std::size_t min_keep_;
};

class MinP final : public SamplerStage {
 public:
    MinP(float p, std::size_t min_keep) : p_(p), min_keep_(min_keep) {}
    void apply(Candidates& c, const SampleContext&, const Kernels& kernels) const override {
        c.softmax(kernels);
        // The likeliest has exp(0) = 1, so the bound is p itself.
        std::size_t kept = 0;
        for (const float p : c.prob) kept += p >= p_ ? 1U : 0U;
        if (kept < min_keep_) {
            c.keep_best(min_keep_);
        } else {
            c.filter([&](std::size_t i) { return c.prob[i] >= p_; });
        }
    }

 private:
    float p_;
    std::size_t min_keep_;
};

class TypicalP final : public SamplerStage {
 public:
    TypicalP(double p, std::size_t min_keep) : p_(p), min_keep_(min_keep) {}
    void apply(Candidates& c, const SampleContext&, const Kernels& kernels) const override {
        const double total = c.softmax(kernels);
        const double max = static_cast<double>(c.max(kernels));
        const double log_total = fh_log_double(total);
        const auto surprise = [&](std::size_t i) { return log_total + max - static_cast<double>(c.logit[i]); };
        double entropy = 0;
        for (std::size_t i = 0; i < c.size(); ++i) {
            if (c.prob[i] > 0) entropy += static_cast<double>(c.prob[i]) / total * surprise(i);
        }
        const double enough = p_ * total;
        double mass = 0;
        std::size_t kept = 0;
        best_until(
            c,
            [&](std::uint32_t a, std::uint32_t b) {
                const double da = std::abs(surprise(a) - entropy);
                const double db = std::abs(surprise(b) - entropy);
                return da != db ? da < db : a < b;
            },
            [&](std::uint32_t i) {
                mass += static_cast<double>(c.prob[i]);
                return ++kept >= min_keep_ && mass >= enough;
            });
        keep_ordered(c);
    }

 private:
    double p_;
    std::size_t min_keep_;
};

}  // namespace

std::size_t Candidates::find(Token token) const noexcept {
    const auto t = static_cast<std::size_t>(token);
    if (t < id.size() && id[t] == token) return t;  // nothing below it was removed
    const auto it = std::lower_bound(id.begin(), id.end(), token);
    return it != id.end() && *it == token ? static_cast<std::size_t>(it - id.begin()) : id.size();
}

float Candidates::max(const Kernels& kernels) const noexcept {
    return logit.empty() ? kGone : kernels.max_value(logit.data(), logit.size());
}

double Candidates::softmax(const Kernels& kernels) {
    prob.resize(logit.size());
    return logit.empty() ? 0.0 : kernels.exp_sum(logit.data(), max(kernels), logit.size(), prob.data());
}

void Candidates::keep_best(std::size_t k) {
    if (size() <= k) return;
    order.resize(size());
    for (std::size_t i = 0; i < size(); ++i) order[i] = static_cast<std::uint32_t>(i);
    std::nth_element(
        order.begin(), order.begin() + static_cast<std::ptrdiff_t>(k), order.end(),
        [&](std::uint32_t a, std::uint32_t b) { return logit[a] != logit[b] ? logit[a] > logit[b] : a < b; });
    order.resize(k);
    keep_ordered(*this);
}

std::unique_ptr<SamplerStage> make_stage(Stage stage, const SamplerOptions& o) {
    const auto min_keep = static_cast<std::size_t>(std::max(o.min_keep, 1));
    switch (stage) {
        case Stage::bias:
            if (!o.logit_bias.empty()) return std::make_unique<Bias>(o.logit_bias);
            break;
        case Stage::penalties:
            if (o.penalty_last_n != 0 &&
                (o.repetition_penalty != 1.0F || o.presence_penalty != 0.0F || o.frequency_penalty != 0.0F)) {
                return std::make_unique<Penalties>(o);
            }
            break;
        case Stage::dry:
            return make_dry(o);
        case Stage::top_n_sigma:
            return make_top_n_sigma(o);
        case Stage::xtc:
            return make_xtc(o);
        case Stage::mirostat:
            return make_mirostat(o);
        case Stage::temperature:
            if (o.temperature > 0 && o.dynatemp_range > 0) return make_dynamic_temperature(o);
            if (o.temperature != 1.0F && o.temperature > 0) return std::make_unique<Temperature>(o.temperature);
            break;
        case Stage::top_k:
            if (o.top_k > 0) return std::make_unique<TopK>(std::max(static_cast<std::size_t>(o.top_k), min_keep));
            break;
        case Stage::typical_p:
            if (o.typical_p < 1.0F) return std::make_unique<TypicalP>(static_cast<double>(o.typical_p), min_keep);
            break;
        case Stage::top_p:
            if (o.top_p < 1.0F) return std::make_unique<TopP>(static_cast<double>(o.top_p), min_keep);
            break;
        case Stage::min_p:
            if (o.min_p > 0.0F) return std::make_unique<MinP>(o.min_p, min_keep);
            break;
    }
    return nullptr;
}

}  // namespace freehold
