// The sampling chain and log-probabilities. Random numbers are keyed by (seed, answer, position), never by slot or
// batch.
#include "freehold/engine/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "freehold/base/error.h"
#include "freehold/base/printable.h"
#include "freehold/base/random.h"
#include "sampler_stages.h"

namespace freehold {

namespace {

constexpr std::array kStages = {Stage::bias,        Stage::penalties, Stage::dry,     Stage::top_n_sigma,
                                Stage::temperature, Stage::top_k,     Stage::top_p,   Stage::min_p,
                                Stage::typical_p,   Stage::xtc,       Stage::mirostat};

struct Alias {
    std::string_view name;
    Stage stage;
};
constexpr std::array kAliases = {Alias{"temp", Stage::temperature}, Alias{"dynatemp", Stage::temperature},
                                 Alias{"typ_p", Stage::typical_p},  Alias{"typical", Stage::typical_p},
                                 Alias{"typ", Stage::typical_p},    Alias{"nucleus", Stage::top_p}};

bool moves_logits(Stage s) noexcept {
    return s == Stage::bias || s == Stage::penalties || s == Stage::dry;
}

void need(bool ok, const char* option, double value, const char* range) {
    if (ok) return;
    throw Error(ErrorKind::usage, fmt::format("Sampling option {} is {}, which is out of range.", option, value),
                fmt::format("Give {} {}.", option, range));
}

}  // namespace

class SamplerScratch {
 public:
    explicit SamplerScratch(int vocab) { candidates.counts.assign(static_cast<std::size_t>(vocab), 0); }
    Candidates candidates;
};

std::shared_ptr<SamplerScratch> make_sampler_scratch(int vocab) {
    return std::make_shared<SamplerScratch>(vocab);
}

std::string_view stage_name(Stage stage) noexcept {
    switch (stage) {
        case Stage::bias:
            return "bias";
        case Stage::penalties:
            return "penalties";
        case Stage::temperature:
            return "temperature";
        case Stage::top_k:
            return "top_k";
        case Stage::typical_p:
            return "typical_p";
        case Stage::top_p:
            return "top_p";
        case Stage::min_p:
            return "min_p";
        case Stage::dry:
            return "dry";
        case Stage::top_n_sigma:
            return "top_n_sigma";
        case Stage::xtc:
            return "xtc";
        case Stage::mirostat:
            return "mirostat";
    }
    return "";
}

std::optional<Stage> stage_from_name(std::string_view name) noexcept {
    const auto same = [&](std::string_view known) {
        return std::equal(known.begin(), known.end(), name.begin(), name.end(),
                          [](char a, char b) { return a == (b == '-' ? '_' : b); });
    };
    for (const Stage s : kStages) {
        if (same(stage_name(s))) return s;
    }
    for (const Alias& a : kAliases) {
        if (same(a.name)) return a.stage;
    }
    return std::nullopt;
}

std::vector<Stage> chain_from_names(std::span<const std::string> names) {
    std::vector<Stage> chain;
    for (const std::string& name : names) {
        const auto stage = stage_from_name(name);
        if (!stage) {
            std::string known;
            for (const Stage s : kStages) known += fmt::format("{}{}", known.empty() ? "" : ", ", stage_name(s));
            throw Error(ErrorKind::usage, fmt::format("There is no sampler \"{}\".", printable(name)),
                        fmt::format("Samplers: {}.", known));
        }
        chain.push_back(*stage);
    }
    return chain;
}

std::span<const Stage> default_chain() noexcept {
    return kStages;
}

void check(const SamplerOptions& o, int vocab) {
    const auto within = [](float x, double lo, double hi) {
        return std::isfinite(x) && static_cast<double>(x) >= lo && static_cast<double>(x) <= hi;
    };
    const auto d = [](float x) { return static_cast<double>(x); };
    need(within(o.temperature, 0, 1e6), "temperature", d(o.temperature), "0 (greedy) or more");
    need(o.top_k >= 0, "top_k", o.top_k, "0 (off) or more");
    need(within(o.top_p, 0, 1), "top_p", d(o.top_p), "between 0 and 1 (off)");
    need(within(o.min_p, 0, 1), "min_p", d(o.min_p), "between 0 (off) and 1");
    need(within(o.typical_p, 0, 1), "typical_p", d(o.typical_p), "between 0 and 1 (off)");
    need(within(o.repetition_penalty, 1e-6, 1e6), "repetition_penalty", d(o.repetition_penalty), "above 0; 1 is off");
    need(within(o.presence_penalty, -100, 100), "presence_penalty", d(o.presence_penalty), "between -100 and 100");
    need(within(o.frequency_penalty, -100, 100), "frequency_penalty", d(o.frequency_penalty), "between -100 and 100");
    need(o.penalty_last_n >= -1, "penalty_last_n", o.penalty_last_n, "-1 (all tokens) or more");
    need(within(o.top_n_sigma, 0, 1e6), "top_n_sigma", d(o.top_n_sigma), "0 (off) or more");
    need(within(o.xtc_probability, 0, 1), "xtc_probability", d(o.xtc_probability), "between 0 (off) and 1");
    need(within(o.xtc_threshold, 0, 1), "xtc_threshold", d(o.xtc_threshold), "between 0 and 1");
    need(within(o.dry_multiplier, 0, 1e6), "dry_multiplier", d(o.dry_multiplier), "0 (off) or more");
    need(within(o.dry_base, 1, 1e6), "dry_base", d(o.dry_base), "1 or more");
    need(o.dry_allowed_length >= 0, "dry_allowed_length", o.dry_allowed_length, "0 or more");
    need(o.dry_last_n >= -1, "dry_last_n", o.dry_last_n, "-1 (all tokens) or more");
    need(within(o.dynatemp_range, 0, 1e6), "dynatemp_range", d(o.dynatemp_range), "0 (off) or more");
    need(within(o.dynatemp_exponent, 0, 1e6), "dynatemp_exponent", d(o.dynatemp_exponent), "0 or more");
    need(o.mirostat == 0 || o.mirostat == 2, "mirostat", o.mirostat, "0 (off) or 2 (version 2)");
    need(within(o.mirostat_tau, 0, 1e6), "mirostat_tau", d(o.mirostat_tau), "0 or more");
    need(within(o.mirostat_eta, 0, 1e6), "mirostat_eta", d(o.mirostat_eta), "0 or more");
    need(o.min_keep >= 1, "min_keep", o.min_keep, "1 or more");
    for (const auto& [token, bias] : o.logit_bias) {
        if (token < 0 || token >= vocab) {
            throw Error(ErrorKind::usage,
                        fmt::format("logit_bias names token {}, but the vocabulary has {} tokens.", token, vocab),
                        fmt::format("Token ids go from 0 to {}.", vocab - 1));
        }
        need(!std::isnan(bias) && bias < std::numeric_limits<float>::infinity(), "logit_bias", d(bias),
             "a number, or -infinity to ban a token");
    }
}

struct Sampler::Impl {
    SamplerOptions options;
    const Kernels& kernels;
    int vocab;
    std::shared_ptr<SamplerScratch> scratch;
    std::vector<std::unique_ptr<SamplerStage>> stages;
    bool plain_greedy = false;

    Candidates& run(const SampleContext& context) {
        Candidates& c = scratch->candidates;
        c.logit.assign(context.logits.begin(), context.logits.end());
        // A broken model may give NaN, which no ordering survives; it is as unlikely as can be.
        for (float& x : c.logit) {
            if (std::isnan(x)) x = -std::numeric_limits<float>::infinity();
        }
        c.id.resize(c.logit.size());
        for (std::size_t i = 0; i < c.id.size(); ++i) c.id[i] = static_cast<Token>(i);
        if (!context.mask.empty()) {
            c.filter([&](std::size_t i) { return (context.mask[i / 32] >> (i % 32) & 1U) != 0; });
            if (c.size() == 0) {
                throw Error(ErrorKind::unsupported, "The constraint on this answer allows no token at this place.",
                            "The constraint cannot be fulfilled with this model's vocabulary; loosen it.");
            }
        }
        if (!context.banned.empty()) {
            const auto allowed = [&](std::size_t i) {
                return std::find(context.banned.begin(), context.banned.end(), c.id[i]) == context.banned.end();
            };
            bool any = false;
            for (std::size_t i = 0; i < c.size() && !any; ++i) any = allowed(i);
            if (any) c.filter(allowed);
        }
        const auto usable = [&] {
            return std::ranges::any_of(c.logit, [](float x) { return x > -std::numeric_limits<float>::infinity(); });
        };
        const bool biased = !options.logit_bias.empty() && usable();
        for (const auto& stage : stages) stage->apply(c, context, kernels);
        if (biased && !usable()) {
            throw Error(ErrorKind::usage,
                        context.mask.empty() ? "The logit_bias bans every token."
                                             : "The logit_bias bans every token that the form of the answer allows.",
                        "Ban fewer tokens, or ask for another form.");
        }
        return c;
    }

    Token greedy(std::span<const Token> ids, std::span<const float> logits) const {
        const std::size_t best = kernels.argmax(logits.data(), logits.size());
        if (std::isnan(logits[best]) || logits[best] == -std::numeric_limits<float>::infinity()) bad_logits();
        return ids.empty() ? static_cast<Token>(best) : ids[best];
    }

    [[noreturn]] static void bad_logits() {
        throw Error(ErrorKind::internal,
                    "The model gave no usable logits for this token (all are NaN or minus infinity).",
                    "Check the model file: `freehold doctor --verify` looks at its bytes.");
    }
};

Sampler::Sampler(const SamplerOptions& options, int vocab, const Kernels& kernels,
                 std::shared_ptr<SamplerScratch> scratch)
    : impl_(std::make_unique<Impl>(Impl{options, kernels, vocab, std::move(scratch), {}})) {
    check(options, vocab);
    if (!impl_->scratch) impl_->scratch = make_sampler_scratch(vocab);
    const bool greedy = options.temperature == 0.0F;
    std::vector<Stage> chain = options.chain;
    if (chain.empty()) chain.assign(kStages.begin(), kStages.end());
    // A bias may be a ban, which no list of other samplers lifts.
    if (std::find(chain.begin(), chain.end(), Stage::bias) == chain.end()) chain.insert(chain.begin(), Stage::bias);
    if (options.mirostat != 0) {
        std::erase_if(chain, [](Stage s) { return !moves_logits(s) && s != Stage::temperature; });
        chain.push_back(Stage::mirostat);
    }
    for (const Stage s : chain) {
        // Truncation cannot change which token is the highest, so greedy needs only what moves logits.
        if (greedy && !moves_logits(s)) continue;
        if (auto stage = make_stage(s, options)) impl_->stages.push_back(std::move(stage));
    }
    impl_->plain_greedy = greedy && impl_->stages.empty();
}

Sampler::~Sampler() = default;
Sampler::Sampler(Sampler&&) noexcept = default;
Sampler& Sampler::operator=(Sampler&&) noexcept = default;

const SamplerOptions& Sampler::options() const noexcept {
    return impl_->options;
}

Token Sampler::sample(const SampleContext& context) const {
    if (impl_->plain_greedy && context.mask.empty() && context.banned.empty()) return impl_->greedy({}, context.logits);
    Candidates& c = impl_->run(context);
    if (impl_->options.temperature == 0.0F) return impl_->greedy(c.id, c.logit);
    const double total = c.softmax(impl_->kernels);
    if (!(total > 0)) Impl::bad_logits();
    const double at = Random(impl_->options.seed, RandomUse::sample, context.choice,
                             static_cast<std::uint32_t>(context.history.size()))
                          .uniform() *
                      total;
    double sum = 0;
    std::optional<std::size_t> last;
    for (std::size_t i = 0; i < c.size(); ++i) {
        if (!(c.prob[i] > 0)) continue;
        last = i;
        sum += static_cast<double>(c.prob[i]);
        if (sum > at) break;
    }
    // The running sum may end a rounding below `total`, which was added in another order: then it is the last.
    if (!last) Impl::bad_logits();
    if (context.state != nullptr) {
        for (const auto& stage : impl_->stages) stage->chosen(c, *last, total, *context.state);
    }
    return c.id[*last];
}

std::vector<std::pair<Token, double>> Sampler::distribution(const SampleContext& context) const {
    Candidates& c = impl_->run(context);
    std::vector<std::pair<Token, double>> out;
    if (impl_->options.temperature == 0.0F) {
        out.emplace_back(impl_->greedy(c.id, c.logit), 1.0);
        return out;
    }
    const double total = c.softmax(impl_->kernels);
    for (std::size_t i = 0; i < c.size(); ++i) {
        if (c.prob[i] > 0) out.emplace_back(c.id[i], static_cast<double>(c.prob[i]) / total);
    }
    return out;
}

double log_sum_exp(const Kernels& kernels, std::span<const float> logits) {
    const float max = kernels.max_value(logits.data(), logits.size());
    return static_cast<double>(max) + fh_log_double(kernels.exp_sum(logits.data(), max, logits.size(), nullptr));
}

float token_logprob(std::span<const float> logits, double log_sum, Token token) noexcept {
    return static_cast<float>(static_cast<double>(logits[static_cast<std::size_t>(token)]) - log_sum);
}

std::vector<TokenLogprob> top_logprobs(std::span<const float> logits, double log_sum, int n) {
    const auto better = [&](Token a, Token b) {
        const float x = logits[static_cast<std::size_t>(a)];
        const float y = logits[static_cast<std::size_t>(b)];
        return x != y ? x > y : a < b;
    };
    // A heap of the n best so far, worst on top: one pass, and most tokens lose against its top at once.
    std::vector<Token> heap;
    const auto want = std::min(static_cast<std::size_t>(std::max(n, 0)), logits.size());
    if (want == 0) return {};
    heap.reserve(want);
    for (std::size_t i = 0; i < logits.size(); ++i) {
        const auto t = static_cast<Token>(i);
        if (heap.size() < want) {
            heap.push_back(t);
            std::push_heap(heap.begin(), heap.end(), better);
        } else if (better(t, heap.front())) {
            std::pop_heap(heap.begin(), heap.end(), better);
            heap.back() = t;
            std::push_heap(heap.begin(), heap.end(), better);
        }
    }
    std::sort(heap.begin(), heap.end(), better);
    std::vector<TokenLogprob> out;
    out.reserve(want);
    for (const Token t : heap) out.push_back({t, token_logprob(logits, log_sum, t)});
    return out;
}

}  // namespace freehold
