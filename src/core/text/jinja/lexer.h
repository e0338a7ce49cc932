// Cuts a template into tokens as Jinja does with trim_blocks and lstrip_blocks on. Linear in the size of the source.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ast.h"

namespace freehold::jinja {

enum class Token : std::uint8_t {
    data,
    variable_begin,
    variable_end,
    block_begin,
    block_end,
    name,
    string,
    integer,
    real,
    add,
    sub,
    div,
    floordiv,
    mul,
    mod,
    pow,
    tilde,
    lbracket,
    rbracket,
    lparen,
    rparen,
    lbrace,
    rbrace,
    eq,
    ne,
    gt,
    gteq,
    lt,
    lteq,
    assign,
    dot,
    colon,
    pipe,
    comma,
    semicolon,
    eof,
};

struct Lexeme {
    Token token = Token::eof;
    Position pos;
    std::string text;  // data, name, string (unescaped), number (as written, without underscores)
};

// Error{bad_file} with line and column.
[[nodiscard]] std::vector<Lexeme> tokenize(std::string_view source);

[[nodiscard]] std::string_view token_name(Token token) noexcept;
[[noreturn]] void fail_at(Position pos, const std::string& message);

}  // namespace freehold::jinja
