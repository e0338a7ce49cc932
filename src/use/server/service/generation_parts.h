// What a generation computes without being one: its sampler from wishes and the model's own, the check of lengths,
// tokens as clients see them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "freehold/server/generation.h"

namespace freehold::server {

// The model's recommended settings under the client's wishes. Draws a seed where none is given and one is used.
[[nodiscard]] SamplerOptions sampler_options(const LoadedModel& model, const SamplingWishes& wishes);

// What the engine would refuse is refused before the answer begins, with the same numbers: a prompt with ids outside of
// the vocabulary, or one that with the tokens asked for exceeds the context (RequestError 400).
void check_length(const Engine& engine, std::span<const Token> prompt, std::optional<int> max_tokens);

// A sampled token with its bytes and at most `most` alternatives: the engine may have given more, for the prompt's
// sake.
[[nodiscard]] TokenPiece piece_of(const Tokenizer& tokenizer, const SampledToken& token, std::size_t most);
// The prompt's tokens the same way; the first has no probability.
[[nodiscard]] std::vector<TokenPiece> prompt_pieces(const Tokenizer& tokenizer, std::span<const Token> prompt,
                                                    const Outcome& outcome, std::size_t most);

}  // namespace freehold::server
