// A grammar as a constraint of answers.
#include "freehold/engine/constraint.h"

namespace freehold {

namespace {

class GrammarWalk final : public TokenConstraint {
 public:
    GrammarWalk(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const TokenTrie> trie,
                std::span<const Token> stop_ids)
        : matcher_(std::move(grammar), std::move(trie), stop_ids) {}
    void mask(std::span<std::uint32_t> bits) override { matcher_.mask(bits); }
    bool accept(Token token) override { return matcher_.accept(token); }
    void rollback(std::size_t n) override { matcher_.rollback(n); }
    [[nodiscard]] bool is_over() const override { return matcher_.is_over(); }

 private:
    Matcher matcher_;
};

class GrammarConstraint final : public Constraint {
 public:
    GrammarConstraint(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const TokenTrie> trie)
        : grammar_(std::move(grammar)), trie_(std::move(trie)) {}
    [[nodiscard]] std::unique_ptr<TokenConstraint> begin(std::span<const Token> stop_ids) const override {
        return std::make_unique<GrammarWalk>(grammar_, trie_, stop_ids);
    }

 private:
    std::shared_ptr<const Grammar> grammar_;
    std::shared_ptr<const TokenTrie> trie_;
};

}  // namespace

std::shared_ptr<const Constraint> make_constraint(std::shared_ptr<const Grammar> grammar,
                                                  std::shared_ptr<const TokenTrie> trie) {
    return std::make_shared<GrammarConstraint>(std::move(grammar), std::move(trie));
}

}  // namespace freehold
