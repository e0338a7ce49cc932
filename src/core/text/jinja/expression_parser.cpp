// Recursive descent over operators, literals and assignment targets, one function a level of precedence.
#include "expression_parser.h"

#include <algorithm>
#include <array>

#include "freehold/base/error.h"
#include "numbers.h"

namespace freehold::jinja {
namespace {

constexpr std::uint16_t kMaxHeight = 600;  // of one expression tree: a chain of operators leans to the left

void check_target(const Expr& target) {
    switch (target.kind) {
        case ExprKind::name:
        case ExprKind::ns_ref:
            return;
        case ExprKind::tuple:
            for (const ExprPtr& item : target.kids) check_target(*item);
            return;
        default:
            fail_at(target.pos, "this cannot be assigned to");
    }
}

}  // namespace

ExprPtr ExpressionParser::add(ExprPtr parent, ExprPtr kid) {
    if (kid != nullptr) {
        parent->height = std::max<std::uint16_t>(parent->height, static_cast<std::uint16_t>(kid->height + 1));
        if (parent->height > kMaxHeight) {
            throw Error(ErrorKind::limit,
                        "the chat template has an expression of more than " + std::to_string(kMaxHeight) +
                            " operations in a row at line " + std::to_string(parent->pos.line),
                        "No chat template needs that; use another one.");
        }
    }
    parent->kids.push_back(std::move(kid));
    return parent;
}

ExprPtr ExpressionParser::binary(ExprKind kind, Position pos, ExprPtr left, ExprPtr right) {
    return add(add(make(kind, pos), std::move(left)), std::move(right));
}

ExprPtr ExpressionParser::expression(bool with_condition) {
    const Nesting nesting(*this);
    return with_condition ? condition() : logical_or();
}

ExprPtr ExpressionParser::condition() {
    const Position pos = now().pos;
    ExprPtr value = logical_or();
    while (skip_word("if")) {
        ExprPtr test = logical_or();
        ExprPtr node = binary(ExprKind::condition, pos, std::move(test), std::move(value));
        if (skip_word("else")) {
            const Nesting nesting(*this);
            node = add(std::move(node), condition());
        }
        value = std::move(node);
    }
    return value;
}

ExprPtr ExpressionParser::logical_or() {
    ExprPtr left = logical_and();
    while (is_word("or")) {
        const Position pos = take().pos;
        left = binary(ExprKind::logical_or, pos, std::move(left), logical_and());
    }
    return left;
}

ExprPtr ExpressionParser::logical_and() {
    ExprPtr left = logical_not();
    while (is_word("and")) {
        const Position pos = take().pos;
        left = binary(ExprKind::logical_and, pos, std::move(left), logical_not());
    }
    return left;
}

ExprPtr ExpressionParser::logical_not() {
    if (!is_word("not")) return comparison();
    const Nesting nesting(*this);
    const Position pos = take().pos;
    return add(make(ExprKind::logical_not, pos), logical_not());
}

ExprPtr ExpressionParser::comparison() {
    const Position pos = now().pos;
    ExprPtr first = sum();
    ExprPtr node;
    while (true) {
        CompareOp op = CompareOp::eq;
        switch (now().token) {
            case Token::eq:
                op = CompareOp::eq;
                break;
            case Token::ne:
                op = CompareOp::ne;
                break;
            case Token::lt:
                op = CompareOp::lt;
                break;
            case Token::lteq:
                op = CompareOp::lteq;
                break;
            case Token::gt:
                op = CompareOp::gt;
                break;
            case Token::gteq:
                op = CompareOp::gteq;
                break;
            default:
                if (is_word("in")) {
                    op = CompareOp::in;
                } else if (is_word("not") && ahead().token == Token::name && ahead().text == "in") {
                    op = CompareOp::not_in;
                    take();
                } else {
                    return node != nullptr ? std::move(node) : std::move(first);
                }
        }
        take();
        if (node == nullptr) node = add(make(ExprKind::compare, pos), std::move(first));
        node = add(std::move(node), sum());
        node->compare.push_back(op);
    }
}

ExprPtr ExpressionParser::arithmetic(Position pos, Arith op, ExprPtr left, ExprPtr right) {
    ExprPtr node = binary(ExprKind::arithmetic, pos, std::move(left), std::move(right));
    node->op = static_cast<std::uint8_t>(op);
    return node;
}

ExprPtr ExpressionParser::sum() {
    ExprPtr left = concatenation();
    while (is(Token::add) || is(Token::sub)) {
        const Lexeme& token = take();
        left = arithmetic(token.pos, token.token == Token::add ? Arith::add : Arith::sub, std::move(left),
                          concatenation());
    }
    return left;
}

ExprPtr ExpressionParser::concatenation() {
    ExprPtr first = product();
    if (!is(Token::tilde)) return first;
    ExprPtr node = add(make(ExprKind::concat, now().pos), std::move(first));
    while (skip(Token::tilde)) node = add(std::move(node), product());
    return node;
}

ExprPtr ExpressionParser::product() {
    ExprPtr left = power();
    while (true) {
        Arith op = Arith::mul;
        switch (now().token) {
            case Token::mul:
                op = Arith::mul;
                break;
            case Token::div:
                op = Arith::div;
                break;
            case Token::floordiv:
                op = Arith::floordiv;
                break;
            case Token::mod:
                op = Arith::mod;
                break;
            default:
                return left;
        }
        const Position pos = take().pos;
        left = arithmetic(pos, op, std::move(left), power());
    }
}

ExprPtr ExpressionParser::power() {
    ExprPtr left = unary(true);
    while (is(Token::pow)) {
        const Position pos = take().pos;
        left = arithmetic(pos, Arith::pow, std::move(left), unary(true));
    }
    return left;
}

ExprPtr ExpressionParser::unary(bool with_filter) {
    ExprPtr node;
    if (is(Token::sub) || is(Token::add)) {
        const Nesting nesting(*this);
        const Lexeme& token = take();
        node = add(make(token.token == Token::sub ? ExprKind::negate : ExprKind::positive, token.pos), unary(false));
    } else {
        node = primary(false);
    }
    node = postfix(std::move(node));
    return with_filter ? filters_and_tests(std::move(node)) : std::move(node);
}

ExprPtr ExpressionParser::constant(Position pos, Val value) {
    ExprPtr node = make(ExprKind::constant, pos);
    node->value = std::move(value);
    return node;
}

ExprPtr ExpressionParser::primary(bool with_namespace) {
    const Lexeme& token = now();
    const Position pos = token.pos;
    switch (token.token) {
        case Token::name: {
            take();
            const std::string& word = token.text;
            if (word == "true" || word == "True") return constant(pos, Val::boolean(true));
            if (word == "false" || word == "False") return constant(pos, Val::boolean(false));
            if (word == "none" || word == "None") return constant(pos, Val::none());
            if (with_namespace && skip(Token::dot)) {
                ExprPtr node = make(ExprKind::ns_ref, pos);
                node->name = word;
                node->attr = expect(Token::name).text;
                return node;
            }
            ExprPtr node = make(ExprKind::name, pos);
            node->name = word;
            return node;
        }
        case Token::string: {
            std::string text;
            while (is(Token::string)) text += take().text;
            return constant(pos, Val::constant(std::move(text)));
        }
        case Token::integer: {
            take();
            return constant(pos, integer_literal(token));
        }
        case Token::real:
            take();
            return constant(pos, Val::real(parse_float(token.text).value_or(0)));
        case Token::lparen: {
            const Nesting nesting(*this);
            take();
            ExprPtr node = tuple_or_expression(TupleMode{.parentheses = true});
            expect(Token::rparen);
            return node;
        }
        case Token::lbracket:
            return list_literal();
        case Token::lbrace:
            return dict_literal();
        default:
            fail_at(pos, "unexpected " + describe(token));
    }
}

Val integer_literal(const Lexeme& token) {
    try {
        if (const auto value = parse_int(token.text, 0)) return Val::integer(*value);
    } catch (const Error&) {
        fail_at(token.pos, "the integer " + token.text.substr(0, 40) + " does not fit into 64 bits");
    }
    fail_at(token.pos, "bad integer " + token.text.substr(0, 40));
}

ExprPtr ExpressionParser::tuple_or_expression(const TupleMode& mode) {
    const Position pos = now().pos;
    std::vector<ExprPtr> items;
    bool is_tuple = false;
    while (true) {
        if (!items.empty()) expect(Token::comma);
        if (is(Token::variable_end) || is(Token::block_end) || is(Token::rparen)) break;
        if (!mode.end_word.empty() && is_word(mode.end_word)) break;
        items.push_back(mode.simplified ? primary(mode.with_namespace) : expression(mode.with_condition));
        if (!is(Token::comma)) break;
        is_tuple = true;
    }
    if (!is_tuple) {
        if (!items.empty()) return std::move(items.front());
        if (!mode.parentheses) fail_at(now().pos, "expected an expression, got " + describe(now()));
    }
    ExprPtr node = make(ExprKind::tuple, pos);
    for (ExprPtr& item : items) node = add(std::move(node), std::move(item));
    return node;
}

ExprPtr ExpressionParser::list_literal() {
    ExprPtr node = make(ExprKind::list, take().pos);
    while (!is(Token::rbracket)) {
        if (!node->kids.empty()) expect(Token::comma);
        if (is(Token::rbracket)) break;
        node = add(std::move(node), expression());
    }
    expect(Token::rbracket);
    return node;
}

ExprPtr ExpressionParser::dict_literal() {
    ExprPtr node = make(ExprKind::dict, take().pos);
    while (!is(Token::rbrace)) {
        if (!node->kids.empty()) expect(Token::comma);
        if (is(Token::rbrace)) break;
        node = add(std::move(node), expression());
        expect(Token::colon);
        node = add(std::move(node), expression());
    }
    expect(Token::rbrace);
    return node;
}

ExprPtr ExpressionParser::assign_target(std::string_view end_word, bool with_namespace) {
    const Nesting nesting(*this);
    ExprPtr target =
        tuple_or_expression(TupleMode{.simplified = true, .with_namespace = with_namespace, .end_word = end_word});
    check_target(*target);
    return target;
}

std::string ExpressionParser::target_name() {
    const Lexeme& token = expect(Token::name);
    static constexpr std::array<std::string_view, 6> kConstants{"true", "false", "none", "True", "False", "None"};
    if (std::find(kConstants.begin(), kConstants.end(), token.text) != kConstants.end()) {
        fail_at(token.pos, "cannot assign to '" + token.text + "'");
    }
    return token.text;
}

}  // namespace freehold::jinja
