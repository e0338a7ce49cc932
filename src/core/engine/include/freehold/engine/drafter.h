// Guesses at what comes next, which the model then checks in one pass: speculation. A guess is taken only where it is
// the token that would have been chosen anyway, so a drafter decides how fast an answer comes and never what it says
// (Leviathan et al., "Fast Inference from Transformers via Speculative Decoding", with exact equality in place of
// rejection sampling: random numbers here depend on the position alone).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "freehold/models/decoder.h"

namespace freehold {

class Host;
class LoadedModel;

// One sequence that wants a guess. `tokens` and `most` are given, `guess` is filled: at most `most` tokens.
struct DraftWish {
    std::uint64_t id = 0;           // the same for a sequence as long as it runs
    std::span<const Token> tokens;  // prompt and answer so far
    std::size_t most = 0;
    std::vector<Token> guess;
};

// Called on the engine's thread only.
class Drafter {
 public:
    virtual ~Drafter() = default;
    Drafter() = default;
    Drafter(const Drafter&) = delete;
    Drafter& operator=(const Drafter&) = delete;
    virtual void propose(std::span<DraftWish> wishes) = 0;
    // This sequence is over.
    virtual void forget(std::uint64_t /*id*/) {}
};

// Looks the last tokens up in what the sequence says already ("prompt lookup"): free, and good where an answer repeats
// its prompt or itself.
[[nodiscard]] std::unique_ptr<Drafter> make_ngram_drafter();

// A smaller model with the same vocabulary, which answers greedily. Takes its own pages (`kv_bytes`, 0: as an engine
// chooses) from the host. Throws Error{usage} when the vocabularies differ: `target` is the model that checks.
[[nodiscard]] std::unique_ptr<Drafter> make_model_drafter(Host& host, std::shared_ptr<const LoadedModel> draft,
                                                          const LoadedModel& target, std::uint64_t kv_bytes = 0);

}  // namespace freehold
