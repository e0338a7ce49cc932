// Log-likelihood of texts through the engine, like anybody's requests.
#include "freehold/engine/perplexity.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

namespace freehold {

namespace {

Outcome run_prompt(Engine& engine, Request request) {
    request.max_tokens = 0;
    Outcome outcome = engine.run(std::move(request));
    if (outcome.error) throw Error(*outcome.error);
    return outcome;
}

}  // namespace

PerplexityResult perplexity(Engine& engine, std::span<const Token> tokens, const PerplexityOptions& options) {
    const auto begin = std::chrono::steady_clock::now();
    if (options.context < 4 || options.context > engine.context()) {
        throw Error(ErrorKind::limit, fmt::format("A window of {} tokens was asked for.", options.context),
                    fmt::format("Give one from 4 to {} tokens.", engine.context()));
    }
    const auto window = static_cast<std::size_t>(options.context);
    std::size_t chunks = tokens.size() / window;
    if (options.max_chunks > 0) chunks = std::min(chunks, static_cast<std::size_t>(options.max_chunks));
    if (chunks == 0) {
        throw Error(ErrorKind::limit,
                    fmt::format("The text has {} tokens, fewer than one window of {}.", tokens.size(), window),
                    "Give a longer text or a smaller window.");
    }
    PerplexityResult result;
    result.chunks = chunks;
    double sum = 0;
    double squares = 0;
    for (std::size_t c = 0; c < chunks; ++c) {
        Request r;
        use_adapter(r, options.adapter);
        const auto part = tokens.subspan(c * window, window);
        r.prompt.assign(part.begin(), part.end());
        if (options.replace_first_by_bos) r.prompt.front() = options.bos;
        r.prompt_logprobs_from = static_cast<int>(window / 2 + 1);
        r.cache = CacheUse::none;  // a text to be measured is no prefix of anybody's conversation
        for (const TokenLogprob& t : run_prompt(engine, std::move(r)).prompt_logprobs) {
            const double nll = -static_cast<double>(t.logprob);
            sum += nll;
            squares += nll * nll;
            result.logprobs.push_back(t.logprob);
        }
        if (options.progress) options.progress({"scoring", (c + 1) * window, chunks * window, "tokens"});
    }
    const auto n = static_cast<double>(result.logprobs.size());
    result.scored_tokens = result.logprobs.size();
    result.nll = sum / n;
    const double variance = std::max(0.0, squares / n - result.nll * result.nll);
    result.nll_error = n > 1 ? std::sqrt(variance / (n - 1)) : 0;
    result.perplexity = std::exp(result.nll);
    result.standard_error = result.perplexity * result.nll_error;
    result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return result;
}

std::vector<float> token_logprobs(Engine& engine, std::span<const Token> tokens) {
    Request r;
    r.prompt.assign(tokens.begin(), tokens.end());
    r.prompt_logprobs_from = 1;
    r.cache = CacheUse::none;
    std::vector<float> out;
    for (const TokenLogprob& t : run_prompt(engine, std::move(r)).prompt_logprobs) out.push_back(t.logprob);
    return out;
}

void token_logits(Engine& engine, std::span<const Token> tokens,
                  const std::function<void(std::int32_t position, std::span<const float> logits)>& on_row,
                  const std::shared_ptr<const LoadedAdapter>& adapter) {
    Request r;
    use_adapter(r, adapter);
    r.prompt.assign(tokens.begin(), tokens.end());
    r.logits_from = 0;
    r.on_logits = on_row;
    r.cache = CacheUse::none;
    run_prompt(engine, std::move(r));
}

}  // namespace freehold
