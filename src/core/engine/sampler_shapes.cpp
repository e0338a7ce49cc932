// Stages that look at the shape of the distribution: top-n-sigma, dynamic temperature, exclusion of top choices (XTC),
// mirostat version 2. Formulas as docs/sampling.md states them.
#include <algorithm>
#include <cmath>
#include <limits>

#include "freehold/base/random.h"
#include "sampler_stages.h"

namespace freehold {

namespace {

constexpr double kLn2 = 0.69314718055994530942;

class TopNSigma final : public SamplerStage {
 public:
    explicit TopNSigma(double n) : n_(n) {}
    void apply(Candidates& c, const SampleContext&, const Kernels& kernels) const override {
        double sum = 0;
        double squares = 0;
        double count = 0;
        for (const float x : c.logit) {
            if (!std::isfinite(x)) continue;
            sum += static_cast<double>(x);
            ++count;
        }
        if (count == 0) return;
        const double mean = sum / count;
        for (const float x : c.logit) {
            if (!std::isfinite(x)) continue;
            const double d = static_cast<double>(x) - mean;
            squares += d * d;
        }
        const double least = static_cast<double>(c.max(kernels)) - n_ * std::sqrt(squares / count);
        c.filter([&](std::size_t i) { return static_cast<double>(c.logit[i]) >= least; });
    }

 private:
    double n_;
};

class DynamicTemperature final : public SamplerStage {
 public:
    DynamicTemperature(float t, float range, float exponent)
        : low_(std::max(0.0F, t - range)), high_(t + range), exponent_(exponent) {}
    void apply(Candidates& c, const SampleContext&, const Kernels& kernels) const override {
        if (c.size() < 2) return;
        const double total = c.softmax(kernels);
        if (!(total > 0)) return;
        const double max = static_cast<double>(c.max(kernels));
        const double log_total = fh_log_double(total);
        double entropy = 0;
        for (std::size_t i = 0; i < c.size(); ++i) {
            if (!(c.prob[i] > 0)) continue;
            const double surprise = log_total + max - static_cast<double>(c.logit[i]);
            entropy += static_cast<double>(c.prob[i]) / total * surprise;
        }
        const double share = std::clamp(entropy / fh_log_double(static_cast<double>(c.size())), 0.0, 1.0);
        float scaled = static_cast<float>(share);
        if (exponent_ != 1.0F) scaled = share > 0 ? fh_exp(exponent_ * static_cast<float>(fh_log_double(share))) : 0;
        if (exponent_ == 0.0F) scaled = 1;
        const float t = low_ + (high_ - low_) * scaled;
        constexpr float kColdest = 1e-6F;  // below it only the likeliest can be drawn
        if (t < kColdest) {
            c.keep_best(1);
            return;
        }
        for (float& x : c.logit) x /= t;
    }

 private:
    float low_, high_, exponent_;
};

class Xtc final : public SamplerStage {
 public:
    explicit Xtc(const SamplerOptions& o)
        : probability_(static_cast<double>(o.xtc_probability)),
          threshold_(static_cast<double>(o.xtc_threshold)),
          min_keep_(static_cast<std::size_t>(std::max(o.min_keep, 1))),
          seed_(o.seed) {}
    void apply(Candidates& c, const SampleContext& context, const Kernels& kernels) const override {
        const double u =
            Random(seed_, RandomUse::xtc, context.choice, static_cast<std::uint32_t>(context.history.size())).uniform();
        if (u >= probability_) return;
        const double least = threshold_ * c.softmax(kernels);
        std::size_t above = 0;
        std::size_t stays = 0;  // the least likely of them; of equals the highest id
        for (std::size_t i = 0; i < c.size(); ++i) {
            if (static_cast<double>(c.prob[i]) < least) continue;
            if (above++ == 0 || c.logit[i] <= c.logit[stays]) stays = i;
        }
        if (above < 2 || c.size() - (above - 1) < min_keep_) return;
        c.filter([&](std::size_t i) { return i == stays || static_cast<double>(c.prob[i]) < least; });
    }

 private:
    double probability_, threshold_;
    std::size_t min_keep_;
    std::uint64_t seed_;
};

class Mirostat final : public SamplerStage {
 public:
    Mirostat(double tau, double eta) : tau_(tau), eta_(eta) {}
    void apply(Candidates& c, const SampleContext& context, const Kernels& kernels) const override {
        const double mu = mu_of(context.state);
        const double total = c.softmax(kernels);
        const double whole = fh_log_double(total) + static_cast<double>(c.max(kernels));
        const double least = whole - mu * kLn2;  // a logit below it surprises by more than mu bits
        std::size_t kept = 0;
        for (const float x : c.logit) kept += static_cast<double>(x) >= least ? 1U : 0U;
        if (kept == 0) {
            c.keep_best(1);
        } else {
            c.filter([&](std::size_t i) { return static_cast<double>(c.logit[i]) >= least; });
        }
    }
    void chosen(const Candidates& c, std::size_t index, double total, SamplerState& state) const override {
        const double surprise = (fh_log_double(total) - fh_log_double(static_cast<double>(c.prob[index]))) / kLn2;
        state.mu = mu_of(&state) - eta_ * (surprise - tau_);
    }

 private:
    [[nodiscard]] double mu_of(const SamplerState* state) const {
        return state != nullptr && state->mu ? *state->mu : 2 * tau_;
    }
    double tau_, eta_;
};

}  // namespace

std::unique_ptr<SamplerStage> make_top_n_sigma(const SamplerOptions& o) {
    if (o.top_n_sigma <= 0) return nullptr;
    return std::make_unique<TopNSigma>(static_cast<double>(o.top_n_sigma));
}

std::unique_ptr<SamplerStage> make_dynamic_temperature(const SamplerOptions& o) {
    return std::make_unique<DynamicTemperature>(o.temperature, o.dynatemp_range, o.dynatemp_exponent);
}

std::unique_ptr<SamplerStage> make_xtc(const SamplerOptions& o) {
    if (o.xtc_probability <= 0 || o.xtc_threshold > 0.5F) return nullptr;
    return std::make_unique<Xtc>(o);
}

std::unique_ptr<SamplerStage> make_mirostat(const SamplerOptions& o) {
    if (o.mirostat == 0) return nullptr;
    return std::make_unique<Mirostat>(static_cast<double>(o.mirostat_tau), static_cast<double>(o.mirostat_eta));
}

}  // namespace freehold
