// What follows an operand in an expression: attributes, subscripts and slices, calls, filters and tests.
#include <algorithm>
#include <array>

#include "expression_parser.h"
#include "library.h"

namespace freehold::jinja {

ExprPtr ExpressionParser::postfix(ExprPtr node) {
    while (true) {
        if (is(Token::dot) || is(Token::lbracket)) {
            node = subscript(std::move(node));
        } else if (is(Token::lparen)) {
            node = call(std::move(node));
        } else {
            return node;
        }
    }
}

ExprPtr ExpressionParser::filters_and_tests(ExprPtr node) {
    while (true) {
        if (is(Token::pipe)) {
            take();
            node = filter(std::move(node));
        } else if (is_word("is")) {
            node = test(std::move(node));
        } else if (is(Token::lparen)) {
            node = call(std::move(node));
        } else {
            return node;
        }
    }
}

ExprPtr ExpressionParser::subscript(ExprPtr object) {
    const Lexeme& token = take();
    if (token.token == Token::dot) {
        const Lexeme& name = take();
        if (name.token == Token::name) {
            ExprPtr node = add(make(ExprKind::attribute, token.pos), std::move(object));
            node->name = name.text;
            return node;
        }
        if (name.token != Token::integer) fail_at(name.pos, "expected a name or a number after the dot");
        return binary(ExprKind::item, token.pos, std::move(object), constant(name.pos, integer_literal(name)));
    }
    std::vector<Subscript> keys;
    while (!is(Token::rbracket)) {
        if (!keys.empty()) expect(Token::comma);
        keys.push_back(subscript_key());
    }
    expect(Token::rbracket);
    if (keys.size() == 1) {
        return binary(keys[0].is_slice ? ExprKind::slice : ExprKind::item, token.pos, std::move(object),
                      std::move(keys[0].expr));
    }
    ExprPtr tuple = make(ExprKind::tuple, token.pos);
    for (Subscript& key : keys) {
        if (key.is_slice) fail_at(key.expr->pos, "a slice cannot stand among other subscripts");
        tuple = add(std::move(tuple), std::move(key.expr));
    }
    return binary(ExprKind::item, token.pos, std::move(object), std::move(tuple));
}

ExpressionParser::Subscript ExpressionParser::subscript_key() {
    const Position pos = now().pos;
    std::array<ExprPtr, 3> bounds;
    if (!is(Token::colon)) {
        bounds[0] = expression();
        if (!is(Token::colon)) return {std::move(bounds[0]), false};
    }
    take();
    const auto absent = [&] { return is(Token::rbracket) || is(Token::comma); };
    if (!is(Token::colon) && !absent()) bounds[1] = expression();
    if (skip(Token::colon) && !absent()) bounds[2] = expression();
    ExprPtr node = make(ExprKind::slice, pos);
    for (ExprPtr& bound : bounds) node = add(std::move(node), std::move(bound));
    return {std::move(node), true};
}

std::unique_ptr<CallPart> ExpressionParser::call_arguments(Expr& owner) {
    const Position pos = expect(Token::lparen).pos;
    auto part = std::make_unique<CallPart>();
    const auto ensure = [&](bool condition) {
        if (!condition) fail_at(pos, "invalid syntax for function call expression");
    };
    const auto grow = [&](const ExprPtr& kid) {
        owner.height = std::max<std::uint16_t>(owner.height, static_cast<std::uint16_t>(kid->height + 1));
    };
    bool comma = false;
    while (!is(Token::rparen)) {
        if (comma) {
            expect(Token::comma);
            if (is(Token::rparen)) break;
        }
        if (skip(Token::mul)) {
            ensure(part->dyn_args == nullptr && part->dyn_kwargs == nullptr);
            part->dyn_args = expression();
            grow(part->dyn_args);
        } else if (skip(Token::pow)) {
            ensure(part->dyn_kwargs == nullptr);
            part->dyn_kwargs = expression();
            grow(part->dyn_kwargs);
        } else if (is(Token::name) && ahead().token == Token::assign) {
            ensure(part->dyn_kwargs == nullptr);
            std::string key = take().text;
            take();
            for (const auto& [name, value] : part->kwargs) {
                if (name == key) fail_at(pos, "the keyword argument '" + key + "' is repeated");
            }
            ExprPtr value = expression();
            grow(value);
            part->kwargs.emplace_back(std::move(key), std::move(value));
        } else {
            ensure(part->dyn_args == nullptr && part->dyn_kwargs == nullptr && part->kwargs.empty());
            part->args.push_back(expression());
            grow(part->args.back());
        }
        comma = true;
    }
    expect(Token::rparen);
    return part;
}

ExprPtr ExpressionParser::call(ExprPtr callee) {
    ExprPtr node = add(make(ExprKind::call, now().pos), std::move(callee));
    node->call = call_arguments(*node);
    return node;
}

std::string ExpressionParser::dotted_name() {
    std::string name = expect(Token::name).text;
    while (skip(Token::dot)) name += "." + expect(Token::name).text;
    return name;
}

// After the pipe: one filter on `node` (null in filter blocks).
ExprPtr ExpressionParser::filter(ExprPtr node) {
    ExprPtr out = make(ExprKind::filter, now().pos);
    out->name = dotted_name();
    out->filter = find_filter(out->name);
    out = add(std::move(out), std::move(node));
    out->call = is(Token::lparen) ? call_arguments(*out) : std::make_unique<CallPart>();
    return out;
}

ExprPtr ExpressionParser::filter_chain() {
    ExprPtr node = filter(nullptr);
    while (skip(Token::pipe)) node = filter(std::move(node));
    return node;
}

ExprPtr ExpressionParser::test(ExprPtr node) {
    const Position pos = take().pos;
    const bool negated = skip_word("not");
    ExprPtr out = make(ExprKind::test, now().pos);
    out->name = dotted_name();
    out->test = find_test(out->name);
    out = add(std::move(out), std::move(node));
    out->call = std::make_unique<CallPart>();
    if (is(Token::lparen)) {
        out->call = call_arguments(*out);
    } else if ((is(Token::name) || is(Token::string) || is(Token::integer) || is(Token::real) || is(Token::lbracket) ||
                is(Token::lbrace)) &&
               !is_one_of({"else", "or", "and"})) {
        if (is_word("is")) fail_at(now().pos, "tests cannot be chained with is");
        const Nesting nesting(*this);
        ExprPtr argument = postfix(primary(false));
        out->height = std::max<std::uint16_t>(out->height, static_cast<std::uint16_t>(argument->height + 1));
        out->call->args.push_back(std::move(argument));
    }
    if (!negated) return out;
    return add(make(ExprKind::logical_not, pos), std::move(out));
}

}  // namespace freehold::jinja
