// Expressions of templates, with Jinja's grammar and precedence: the half of the parser that statements stand on.
// Every level of nesting and the height of every tree is counted, so a hostile template cannot exhaust the stack.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "ops.h"
#include "token_cursor.h"

namespace freehold::jinja {

class ExpressionParser : protected TokenCursor {
 protected:
    using TokenCursor::TokenCursor;

    // One expression; without a condition where `if` would belong to the tag around it.
    ExprPtr expression(bool with_condition = true);

    // `simplified` takes names and literals alone; a tuple ends before `end_word`; () is one only in `parentheses`.
    struct TupleMode {
        bool simplified = false, with_condition = true, parentheses = false, with_namespace = false;
        std::string_view end_word = {};
    };
    ExprPtr tuple_or_expression(const TupleMode& mode);

    // What a filter or set block does with its text: filters on null, in a chain.
    ExprPtr filter_chain();

    // A name, a tuple of them, or (with_namespace) the attribute of a namespace.
    ExprPtr assign_target(std::string_view end_word, bool with_namespace);
    std::string target_name();

 private:
    static ExprPtr make(ExprKind kind, Position pos) { return std::make_unique<Expr>(kind, pos); }
    // Hangs `kid` (which may be null) below `parent`. Error{limit} when the tree gets too high.
    static ExprPtr add(ExprPtr parent, ExprPtr kid);
    static ExprPtr binary(ExprKind kind, Position pos, ExprPtr left, ExprPtr right);
    static ExprPtr arithmetic(Position pos, Arith op, ExprPtr left, ExprPtr right);
    static ExprPtr constant(Position pos, Val value);

    // The operators, from the weakest to the strongest.
    ExprPtr condition();
    ExprPtr logical_or();
    ExprPtr logical_and();
    ExprPtr logical_not();
    ExprPtr comparison();
    ExprPtr sum();
    ExprPtr concatenation();
    ExprPtr product();
    ExprPtr power();
    ExprPtr unary(bool with_filter);

    ExprPtr primary(bool with_namespace);
    ExprPtr list_literal();
    ExprPtr dict_literal();

    // What stands between brackets: an expression, or the bounds of a slice (three kids, null where left out).
    struct Subscript {
        ExprPtr expr;
        bool is_slice = false;
    };

    // What follows an operand.
    ExprPtr postfix(ExprPtr node);
    ExprPtr filters_and_tests(ExprPtr node);
    ExprPtr subscript(ExprPtr object);
    Subscript subscript_key();
    std::unique_ptr<CallPart> call_arguments(Expr& owner);
    ExprPtr call(ExprPtr callee);
    std::string dotted_name();
    ExprPtr filter(ExprPtr node);
    ExprPtr test(ExprPtr node);
};

// The value of a token of digits. Error{bad_file} when it does not fit into 64 bits.
[[nodiscard]] Val integer_literal(const Lexeme& token);

}  // namespace freehold::jinja
