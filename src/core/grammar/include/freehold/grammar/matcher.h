// Walks one answer through a grammar: which tokens may come next, what happened so far, and back again.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "freehold/grammar/grammar.h"
#include "freehold/text/tokenizer.h"

namespace freehold {

namespace grammar {
class Trie;
}

// The vocabulary as a tree of bytes. Built once for a tokenizer and shared by all; immutable.
class TokenTrie {
 public:
    ~TokenTrie();
    [[nodiscard]] std::int32_t vocab() const noexcept;
    [[nodiscard]] const grammar::Trie& trie() const noexcept { return *trie_; }

 private:
    friend std::shared_ptr<const TokenTrie> make_token_trie(const Tokenizer&, std::int32_t);
    friend std::shared_ptr<const TokenTrie> make_token_trie(std::span<const std::string>);
    explicit TokenTrie(std::unique_ptr<const grammar::Trie> trie);
    std::unique_ptr<const grammar::Trie> trie_;
};
// `vocab`: width of the model's logits where it is more than the tokenizer has (what is beyond is never allowed).
// Control tokens take part only where a grammar names them; unused and unknown ones never.
[[nodiscard]] std::shared_ptr<const TokenTrie> make_token_trie(const Tokenizer& tokenizer, std::int32_t vocab = 0);
// From the bytes of each token; "" for a token that has none. A control token begins with the byte 0xFF.
[[nodiscard]] std::shared_ptr<const TokenTrie> make_token_trie(std::span<const std::string> tokens);

// One answer. Used by one thread at a time; clones may go to other threads.
class Matcher {
 public:
    // end_ids: tokens that end the answer (stop ids of the model and of the request); allowed only where it may end.
    Matcher(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const TokenTrie> trie,
            std::span<const std::int32_t> end_ids);
    ~Matcher();
    Matcher(const Matcher& other);
    Matcher& operator=(const Matcher&) = delete;
    [[nodiscard]] std::unique_ptr<Matcher> clone() const { return std::make_unique<Matcher>(*this); }

    // One bit per token, (vocab + 31) / 32 words, bit set: allowed. Error{limit} when a bound on steps is passed.
    void mask(std::span<std::uint32_t> bits);
    [[nodiscard]] bool allows(std::int32_t token);
    // The answer goes on with this token. False, and nothing changes, where it is not allowed.
    bool accept(std::int32_t token);
    // Takes back the last n accepted tokens.
    void rollback(std::size_t n);
    [[nodiscard]] std::size_t accepted() const noexcept;  // tokens so far
    // Text that must come next, whatever the tokens: "" mostly. At most 256 bytes.
    [[nodiscard]] std::string forced();

    [[nodiscard]] bool may_end() const;  // the text so far is a whole answer
    [[nodiscard]] bool is_over() const;  // and nothing can follow, or an end token was accepted

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace freehold
