// See generation_parts.h: no state here, so that the state machine of generation.cpp can be read alone.
#include "generation_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "freehold/engine/session.h"
#include "freehold/server/errors.h"

namespace freehold::server {
namespace {

std::uint64_t draw_seed() {
    thread_local std::mt19937_64 generator{(std::uint64_t{std::random_device{}()} << 32U) ^ std::random_device{}()};
    return generator() >> 11U;  // exact in a double, so that JSON can carry it
}

void add_alternatives(const Tokenizer& tokenizer, const std::vector<TokenLogprob>& others, std::size_t most,
                      TokenPiece& piece) {
    for (const TokenLogprob& other : std::span(others).first(std::min(most, others.size()))) {
        piece.alternatives.push_back({other.token, token_bytes(tokenizer, other.token), other.logprob});
    }
}

}  // namespace

SamplerOptions sampler_options(const LoadedModel& model, const SamplingWishes& wishes) {
    SamplerOptions o = recommended_sampler(model);
    const auto take = [](const auto& wish, auto& option) {
        if (wish) option = *wish;
    };
    take(wishes.temperature, o.temperature);
    take(wishes.top_p, o.top_p);
    take(wishes.min_p, o.min_p);
    take(wishes.typical_p, o.typical_p);
    take(wishes.top_k, o.top_k);
    take(wishes.repetition_penalty, o.repetition_penalty);
    take(wishes.presence_penalty, o.presence_penalty);
    take(wishes.frequency_penalty, o.frequency_penalty);
    take(wishes.penalty_last_n, o.penalty_last_n);
    // OpenAI's penalties look at the answer only; the repetition penalty of the models' makers at the prompt too.
    if ((o.presence_penalty != 0 || o.frequency_penalty != 0) && !wishes.repetition_penalty) o.penalize_prompt = false;
    o.logit_bias = wishes.logit_bias;
    o.seed = wishes.seed.value_or(0);
    if (!wishes.seed && o.temperature > 0) o.seed = draw_seed();
    if (wishes.adjust) wishes.adjust(o, model);
    return o;
}

void check_length(const Engine& engine, std::span<const Token> prompt, std::optional<int> max_tokens) {
    const auto vocab = static_cast<Token>(engine.vocab());
    const auto foreign = std::ranges::find_if(prompt, [&](Token id) { return id < 0 || id >= vocab; });
    if (foreign != prompt.end()) {
        throw field_error("prompt",
                          fmt::format("The prompt holds the token {}, but ids go from 0 to {}.", *foreign, vocab - 1),
                          "Encode the text with this model's own tokenizer (POST /tokenize).");
    }
    const auto context = static_cast<std::size_t>(engine.context());
    const auto asked = static_cast<std::size_t>(max_tokens.value_or(1));
    if (prompt.size() + asked <= context) return;
    const bool fits_alone = prompt.size() < context;
    const std::string what =
        max_tokens && fits_alone
            ? fmt::format("The prompt has {} tokens and {} more are asked for", prompt.size(), asked)
            : fmt::format("The prompt has {} tokens", prompt.size());
    throw RequestError(400, ErrorKind::limit, fmt::format("{}, but the context is {} tokens.", what, context),
                       fits_alone ? fmt::format("Ask for at most {} tokens.", context - prompt.size())
                                  : fmt::format("Shorten the prompt to fewer than {} tokens.", context),
                       "messages", "context_length_exceeded");
}

TokenPiece piece_of(const Tokenizer& tokenizer, const SampledToken& token, std::size_t most) {
    TokenPiece piece{token.token, token_bytes(tokenizer, token.token), token.logprob, {}};
    add_alternatives(tokenizer, token.alternatives, most, piece);
    return piece;
}

std::vector<TokenPiece> prompt_pieces(const Tokenizer& tokenizer, std::span<const Token> prompt, const Outcome& outcome,
                                      std::size_t most) {
    std::vector<TokenPiece> pieces;
    for (std::size_t i = 0; i < prompt.size(); ++i) {
        TokenPiece piece{prompt[i], token_bytes(tokenizer, prompt[i]), 0, {}};
        if (i > 0 && i - 1 < outcome.prompt_logprobs.size()) piece.logprob = outcome.prompt_logprobs[i - 1].logprob;
        if (i > 0 && i - 1 < outcome.prompt_alternatives.size()) {
            add_alternatives(tokenizer, outcome.prompt_alternatives[i - 1], most, piece);
        }
        pieces.push_back(std::move(piece));
    }
    return pieces;
}

}  // namespace freehold::server
