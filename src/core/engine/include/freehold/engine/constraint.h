// What an answer may be, as the engine sees it: tokens that may come next. Grammars (core/grammar) are one kind.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "freehold/grammar/grammar.h"
#include "freehold/grammar/matcher.h"
#include "freehold/models/decoder.h"

namespace freehold {

// One answer on its way. Called on the engine's thread only.
class TokenConstraint {
 public:
    virtual ~TokenConstraint() = default;
    TokenConstraint() = default;
    TokenConstraint(const TokenConstraint&) = delete;
    TokenConstraint& operator=(const TokenConstraint&) = delete;
    // One bit per token of the vocabulary, bit set: allowed; stop ids only where the answer may end.
    virtual void mask(std::span<std::uint32_t> bits) = 0;
    // The answer goes on with this token; false, and nothing changes, where it is not allowed.
    virtual bool accept(Token token) = 0;
    // Takes back the last n accepted tokens (guesses that were refused).
    virtual void rollback(std::size_t n) = 0;
    // Nothing can follow but a stop id.
    [[nodiscard]] virtual bool is_over() const = 0;
};

// A rule for answers, shared by requests; each answer begins its own walk.
class Constraint {
 public:
    virtual ~Constraint() = default;
    Constraint() = default;
    Constraint(const Constraint&) = delete;
    Constraint& operator=(const Constraint&) = delete;
    [[nodiscard]] virtual std::unique_ptr<TokenConstraint> begin(std::span<const Token> stop_ids) const = 0;
};

// `trie`: of the model's tokenizer (LoadedModel::token_trie).
[[nodiscard]] std::shared_ptr<const Constraint> make_constraint(std::shared_ptr<const Grammar> grammar,
                                                                std::shared_ptr<const TokenTrie> trie);

}  // namespace freehold
