// From a row of logits to a token: a chain of stages built per request. A stage depends on the logits, the tokens so
// far, the seed and the index of the choice only. The one thing that is remembered, the bound of mirostat, belongs to
// the sequence and moves only with tokens that are chosen, so a rejected draft needs no roll-back.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "freehold/kernels/kernels.h"
#include "freehold/models/decoder.h"

namespace freehold {

// The stages there are; names as in `--samplers`. See docs/sampling.md for each formula.
enum class Stage : std::uint8_t {
    bias,
    penalties,
    dry,
    top_n_sigma,
    temperature,
    top_k,
    top_p,
    min_p,
    typical_p,
    xtc,
    mirostat
};
[[nodiscard]] std::string_view stage_name(Stage stage) noexcept;
// Also the names that clients of llama.cpp send: temp, dynatemp, typ_p, typical, nucleus, and '-' for '_'.
[[nodiscard]] std::optional<Stage> stage_from_name(std::string_view name) noexcept;
// Throws Error{usage} that names the unknown one and those there are.
[[nodiscard]] std::vector<Stage> chain_from_names(std::span<const std::string> names);
// The order of the enum: that of transformers, for which the settings in generation_config.json files are meant.
// llama.cpp truncates first and applies the temperature last.
[[nodiscard]] std::span<const Stage> default_chain() noexcept;

struct SamplerOptions {
    float temperature = 1.0F;         // 0: greedy, the highest logit after bias and penalties; lower id wins a tie
    int top_k = 0;                    // keep the k likeliest; 0: off
    float top_p = 1.0F;               // keep the smallest set of likeliest tokens with mass >= p; 1: off
    float min_p = 0.0F;               // keep tokens with probability >= min_p * that of the likeliest; 0: off
    float typical_p = 1.0F;           // locally typical sampling (Meister et al.); 1: off
    float repetition_penalty = 1.0F;  // logit > 0 ? logit / r : logit * r for tokens seen; 1: off
    float presence_penalty = 0.0F;    // logit -= p for tokens seen
    float frequency_penalty = 0.0F;   // logit -= f * count
    int penalty_last_n = -1;          // the last n tokens count as seen; -1: all, 0: none
    bool penalize_prompt = true;  // false: only the answer's tokens count (OpenAI's presence and frequency penalties)
    std::vector<std::pair<Token, float>> logit_bias;  // added; -infinity bans
    float top_n_sigma = 0.0F;  // keep logits >= max - n * their standard deviation (Tang et al.); 0: off
    // Exclude top choices: with this probability all but the least likely of the tokens with p >= xtc_threshold go.
    float xtc_probability = 0.0F;  // 0: off
    float xtc_threshold = 0.1F;    // above 0.5 no two tokens can reach it: off
    // Don't repeat yourself: logit -= multiplier * base ^ (n - allowed_length) for a token that would go on a
    // repetition of n >= allowed_length tokens, which no breaker may be part of.
    float dry_multiplier = 0.0F;  // 0: off
    float dry_base = 1.75F;
    int dry_allowed_length = 2;
    int dry_last_n = -1;              // tokens that are looked at; -1: all, 0: off
    std::vector<Token> dry_breakers;  // in any order; see dry_breakers() in session.h
    // Temperature between temperature - range and temperature + range, by how unsure the model is; 0: off.
    float dynatemp_range = 0.0F;
    float dynatemp_exponent = 1.0F;
    // 2: mirostat version 2 (Basu et al.) holds the surprise of tokens near tau bits. The stages that remove tokens
    // (top_k, top_p, min_p, typical_p, top_n_sigma, xtc) have no part then. 0: off.
    int mirostat = 0;
    float mirostat_tau = 5.0F;
    float mirostat_eta = 0.1F;
    std::uint64_t seed = 0;
    int min_keep = 1;          // what top_p, min_p, typical_p and xtc leave at least
    std::vector<Stage> chain;  // empty: default_chain(). A chain that does not name `bias` begins with it
};
// Throws Error{usage} that names the option and its range.
void check(const SamplerOptions& options, int vocab);

// A token and the natural logarithm of its probability under the raw model distribution (log-softmax of the logits as
// the model gives them: before bias, penalties, temperature and truncation).
struct TokenLogprob {
    Token token = 0;
    float logprob = 0;
    friend bool operator==(const TokenLogprob&, const TokenLogprob&) = default;
};

// What a sequence remembers from choice to choice; only sample() changes it, and a token that is sampled counts.
struct SamplerState {
    std::optional<double> mu;  // of mirostat, in bits; not set: 2 tau
};

// One row, its tokens so far, and which choice of its request this is.
struct SampleContext {
    std::span<const float> logits;        // [vocab], not changed
    std::span<const Token> history;       // prompt and answer so far
    std::size_t prompt_tokens = 0;        // how much of the history is prompt
    std::uint32_t choice = 0;             // which of the answers of its request; the position is history.size()
    std::span<const std::uint32_t> mask;  // empty, or one bit per token, bit set: allowed (constraints)
    // Tokens that may not come now (stop ids before min_tokens); where the mask allows nothing else, they may.
    std::span<const Token> banned = {};
    SamplerState* state = nullptr;  // null: as at the beginning of an answer, nothing is remembered
};

// Buffers of the size of the vocabulary, shared by the samplers of one thread.
class SamplerScratch;
[[nodiscard]] std::shared_ptr<SamplerScratch> make_sampler_scratch(int vocab);

class Sampler {
 public:
    // scratch: null makes its own. Samplers that share one must stay on one thread.
    Sampler(const SamplerOptions& options, int vocab, const Kernels& kernels,
            std::shared_ptr<SamplerScratch> scratch = nullptr);
    ~Sampler();
    Sampler(Sampler&&) noexcept;
    Sampler& operator=(Sampler&&) noexcept;

    // The chosen token. Throws Error{limit} when the mask allows nothing, Error{internal} when all logits are NaN.
    [[nodiscard]] Token sample(const SampleContext& context) const;
    // What remains after the chain with its probabilities, ascending by id (for tests and for showing).
    [[nodiscard]] std::vector<std::pair<Token, double>> distribution(const SampleContext& context) const;
    [[nodiscard]] const SamplerOptions& options() const noexcept;

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// log(sum(exp(logits))) in double, sums by NUMERICS rule 5.
[[nodiscard]] double log_sum_exp(const Kernels& kernels, std::span<const float> logits);
[[nodiscard]] float token_logprob(std::span<const float> logits, double log_sum, Token token) noexcept;
// The n likeliest, best first, ties to the lower id, without sorting the vocabulary.
[[nodiscard]] std::vector<TokenLogprob> top_logprobs(std::span<const float> logits, double log_sum, int n);

}  // namespace freehold
