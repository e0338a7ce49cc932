// From a row of logits to a token: a chain of stages built per request. Stateless: all that a stage may depend on is
// the logits, the tokens so far, the seed and the index of the choice, so a rejected draft needs no roll-back.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "freehold/kernels/kernels.h"
#include "freehold/models/decoder.h"

namespace freehold {

// The stages there are; names as in `--samplers`. See docs/sampling.md for each formula.
enum class Stage : std::uint8_t { bias, penalties, temperature, top_k, typical_p, top_p, min_p };
[[nodiscard]] std::string_view stage_name(Stage stage) noexcept;
[[nodiscard]] std::optional<Stage> stage_from_name(std::string_view name) noexcept;
// bias, penalties, temperature, top_k, top_p, min_p, typical_p: the order of transformers, for which the settings in
// generation_config.json files are meant. llama.cpp truncates first and applies the temperature last.
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
    std::uint64_t seed = 0;
    int min_keep = 1;          // what top_p, min_p and typical_p leave at least
    std::vector<Stage> chain;  // empty: default_chain()
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

// One row, its tokens so far, and which choice of its request this is.
struct SampleContext {
    std::span<const float> logits;        // [vocab], not changed
    std::span<const Token> history;       // prompt and answer so far
    std::size_t prompt_tokens = 0;        // how much of the history is prompt
    std::uint32_t choice = 0;             // which of the answers of its request; the position is history.size()
    std::span<const std::uint32_t> mask;  // empty, or one bit per token, bit set: allowed (constraints)
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
