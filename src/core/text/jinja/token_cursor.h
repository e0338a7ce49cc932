// Where a parser stands in the tokens of a template, and how deep it has nested: what its expressions and its
// statements have in common.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/base/error.h"
#include "lexer.h"

namespace freehold::jinja {

using Words = std::initializer_list<std::string_view>;

class TokenCursor {
 protected:
    // Nothing may nest deeper than `depth` levels.
    TokenCursor(std::string_view source, int depth) : tokens_(tokenize(source)), max_depth_(depth) {}

    [[nodiscard]] const Lexeme& now() const { return tokens_[at_]; }
    [[nodiscard]] const Lexeme& ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
    const Lexeme& take() {
        const Lexeme& token = tokens_[at_];
        if (at_ + 1 < tokens_.size()) ++at_;
        return token;
    }
    [[nodiscard]] bool is(Token token) const { return now().token == token; }
    [[nodiscard]] bool is_word(std::string_view word) const { return is(Token::name) && now().text == word; }
    [[nodiscard]] bool is_one_of(const Words& words) const {
        return is(Token::name) && std::find(words.begin(), words.end(), now().text) != words.end();
    }
    bool skip(Token token) {
        if (!is(token)) return false;
        take();
        return true;
    }
    bool skip_word(std::string_view word) {
        if (!is_word(word)) return false;
        take();
        return true;
    }
    [[nodiscard]] static std::string describe(const Lexeme& token) {
        return "'" + (token.token == Token::name ? token.text : std::string(token_name(token.token))) + "'";
    }
    const Lexeme& expect(Token token) {
        if (!is(token)) {
            fail_at(now().pos, "expected '" + std::string(token_name(token)) + "', got " + describe(now()));
        }
        return take();
    }
    void expect_word(std::string_view word) {
        if (!is_word(word)) fail_at(now().pos, "expected '" + std::string(word) + "', got " + describe(now()));
        take();
    }

    // One level of nesting, for as long as it lives. Error{limit} when that is one too many.
    class Nesting {
     public:
        explicit Nesting(TokenCursor& cursor) : cursor_(cursor) {
            if (++cursor_.depth_ > cursor_.max_depth_) {
                throw Error(ErrorKind::limit,
                            "the chat template nests more than " + std::to_string(cursor_.max_depth_) +
                                " levels deep at line " + std::to_string(cursor_.now().pos.line),
                            "No chat template needs that; use another one.");
            }
        }
        ~Nesting() { --cursor_.depth_; }
        Nesting(const Nesting&) = delete;
        Nesting& operator=(const Nesting&) = delete;

     private:
        TokenCursor& cursor_;
    };

 private:
    std::vector<Lexeme> tokens_;
    std::size_t at_ = 0;
    int depth_ = 0, max_depth_;
};

}  // namespace freehold::jinja
