// How well a model predicts a given text: log-likelihood in windows, perplexity with its standard error; raw logits by
// row.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "freehold/base/progress.h"
#include "freehold/engine/engine.h"
#include "freehold/engine/loaded_adapter.h"

namespace freehold {

// The convention of llama.cpp's llama-perplexity: the text is cut into chunks of `context` tokens without overlap (a
// rest that is shorter is left out); where the model adds BOS, the first token of each chunk is replaced by it; the
// second half of each chunk is scored: tokens context/2 + 1 to context - 1, each given all before it in its chunk.
struct PerplexityOptions {
    int context = 512;
    int max_chunks = 0;                 // 0: all
    bool replace_first_by_bos = false;  // set it from Tokenizer::adds_bos()
    Token bos = 0;
    std::shared_ptr<const LoadedAdapter> adapter;  // null: the model as it is
    Progress progress;                             // in tokens; may throw Error{cancelled}
};

struct PerplexityResult {
    double perplexity = 0;      // exp(mean negative log-likelihood)
    double standard_error = 0;  // of the perplexity, by the delta method, tokens taken as independent
    double nll = 0;             // mean, in nats per token
    double nll_error = 0;       // its standard error
    std::uint64_t scored_tokens = 0;
    std::uint64_t chunks = 0;
    double seconds = 0;
    std::vector<float> logprobs;  // of every scored token, in order
};
// Error{limit} when `tokens` has fewer than one chunk or the context is too long for the engine.
[[nodiscard]] PerplexityResult perplexity(Engine& engine, std::span<const Token> tokens,
                                          const PerplexityOptions& options);

// Log-probability of each token given all before it in one sequence of at most the engine's context: [tokens.size() -
// 1].
[[nodiscard]] std::vector<float> token_logprobs(Engine& engine, std::span<const Token> tokens);

// Raw logits, one row a token, in order; row i predicts token i + 1. Memory stays bounded; needs no tokenizer.
void token_logits(Engine& engine, std::span<const Token> tokens,
                  const std::function<void(std::int32_t position, std::span<const float> logits)>& on_row,
                  const std::shared_ptr<const LoadedAdapter>& adapter = nullptr);

}  // namespace freehold
