// Recursive descent over the tokens; every level of nesting is counted, so a hostile template cannot exhaust the stack.
#include "parser.h"

#include <algorithm>
#include <array>
#include <initializer_list>

#include "freehold/base/error.h"
#include "lexer.h"
#include "library.h"
#include "numbers.h"
#include "ops.h"

namespace freehold::jinja {
namespace {

constexpr std::uint16_t kMaxHeight = 600;  // of one expression tree: a chain of operators leans to the left

using Words = std::initializer_list<std::string_view>;

class Parser {
 public:
    Parser(std::string_view source, int depth) : tokens_(tokenize(source)), max_depth_(depth) {}

    TemplateTree run() {
        tree_.body = statements({});
        return std::move(tree_);
    }

 private:
    // ---- tokens
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
    [[nodiscard]] std::string describe(const Lexeme& token) const {
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

    class Nesting {
     public:
        explicit Nesting(Parser& parser) : parser_(parser) {
            if (++parser_.depth_ > parser_.max_depth_) {
                throw Error(ErrorKind::limit,
                            "the chat template nests more than " + std::to_string(parser_.max_depth_) +
                                " levels deep at line " + std::to_string(parser_.now().pos.line),
                            "No chat template needs that; use another one.");
            }
        }
        ~Nesting() { --parser_.depth_; }
        Nesting(const Nesting&) = delete;
        Nesting& operator=(const Nesting&) = delete;

     private:
        Parser& parser_;
    };

    // ---- expressions
    static ExprPtr make(ExprKind kind, Position pos) { return std::make_unique<Expr>(kind, pos); }

    static ExprPtr add(ExprPtr parent, ExprPtr kid) {
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

    static ExprPtr binary(ExprKind kind, Position pos, ExprPtr left, ExprPtr right) {
        return add(add(make(kind, pos), std::move(left)), std::move(right));
    }

    ExprPtr expression(bool with_condition = true) {
        const Nesting nesting(*this);
        return with_condition ? condition() : logical_or();
    }

    ExprPtr condition() {
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

    ExprPtr logical_or() {
        ExprPtr left = logical_and();
        while (is_word("or")) {
            const Position pos = take().pos;
            left = binary(ExprKind::logical_or, pos, std::move(left), logical_and());
        }
        return left;
    }

    ExprPtr logical_and() {
        ExprPtr left = logical_not();
        while (is_word("and")) {
            const Position pos = take().pos;
            left = binary(ExprKind::logical_and, pos, std::move(left), logical_not());
        }
        return left;
    }

    ExprPtr logical_not() {
        if (!is_word("not")) return comparison();
        const Nesting nesting(*this);
        const Position pos = take().pos;
        return add(make(ExprKind::logical_not, pos), logical_not());
    }

    ExprPtr comparison() {
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

    ExprPtr arithmetic(Position pos, Arith op, ExprPtr left, ExprPtr right) {
        ExprPtr node = binary(ExprKind::arithmetic, pos, std::move(left), std::move(right));
        node->op = static_cast<std::uint8_t>(op);
        return node;
    }

    ExprPtr sum() {
        ExprPtr left = concatenation();
        while (is(Token::add) || is(Token::sub)) {
            const Lexeme& token = take();
            left = arithmetic(token.pos, token.token == Token::add ? Arith::add : Arith::sub, std::move(left),
                              concatenation());
        }
        return left;
    }

    ExprPtr concatenation() {
        ExprPtr first = product();
        if (!is(Token::tilde)) return first;
        ExprPtr node = add(make(ExprKind::concat, now().pos), std::move(first));
        while (skip(Token::tilde)) node = add(std::move(node), product());
        return node;
    }

    ExprPtr product() {
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

    ExprPtr power() {
        ExprPtr left = unary(true);
        while (is(Token::pow)) {
            const Position pos = take().pos;
            left = arithmetic(pos, Arith::pow, std::move(left), unary(true));
        }
        return left;
    }

    ExprPtr unary(bool with_filter) {
        ExprPtr node;
        if (is(Token::sub) || is(Token::add)) {
            const Nesting nesting(*this);
            const Lexeme& token = take();
            node =
                add(make(token.token == Token::sub ? ExprKind::negate : ExprKind::positive, token.pos), unary(false));
        } else {
            node = primary(false);
        }
        node = postfix(std::move(node));
        return with_filter ? filters_and_tests(std::move(node)) : std::move(node);
    }

    ExprPtr constant(Position pos, Val value) {
        ExprPtr node = make(ExprKind::constant, pos);
        node->value = std::move(value);
        return node;
    }

    ExprPtr primary(bool with_namespace) {
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

    static Val integer_literal(const Lexeme& token) {
        try {
            if (const auto value = parse_int(token.text, 0)) return Val::integer(*value);
        } catch (const Error&) {
            fail_at(token.pos, "the integer " + token.text.substr(0, 40) + " does not fit into 64 bits");
        }
        fail_at(token.pos, "bad integer " + token.text.substr(0, 40));
    }

    struct TupleMode {
        bool simplified = false, with_condition = true, parentheses = false, with_namespace = false;
        std::string_view end_word = {};
    };

    ExprPtr tuple_or_expression(const TupleMode& mode) {
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

    ExprPtr list_literal() {
        ExprPtr node = make(ExprKind::list, take().pos);
        while (!is(Token::rbracket)) {
            if (!node->kids.empty()) expect(Token::comma);
            if (is(Token::rbracket)) break;
            node = add(std::move(node), expression());
        }
        expect(Token::rbracket);
        return node;
    }

    ExprPtr dict_literal() {
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

    ExprPtr postfix(ExprPtr node) {
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

    ExprPtr filters_and_tests(ExprPtr node) {
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

    ExprPtr subscript(ExprPtr object) {
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

    // What stands between brackets: an expression, or the bounds of a slice (three kids, null where left out).
    struct Subscript {
        ExprPtr expr;
        bool is_slice = false;
    };

    Subscript subscript_key() {
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

    std::unique_ptr<CallPart> call_arguments(Expr& owner) {
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

    ExprPtr call(ExprPtr callee) {
        ExprPtr node = add(make(ExprKind::call, now().pos), std::move(callee));
        node->call = call_arguments(*node);
        return node;
    }

    std::string dotted_name() {
        std::string name = expect(Token::name).text;
        while (skip(Token::dot)) name += "." + expect(Token::name).text;
        return name;
    }

    // After the pipe: one filter on `node` (null in filter blocks).
    ExprPtr filter(ExprPtr node) {
        ExprPtr out = make(ExprKind::filter, now().pos);
        out->name = dotted_name();
        out->filter = find_filter(out->name);
        out = add(std::move(out), std::move(node));
        out->call = is(Token::lparen) ? call_arguments(*out) : std::make_unique<CallPart>();
        return out;
    }

    ExprPtr filter_chain() {
        ExprPtr node = filter(nullptr);
        while (skip(Token::pipe)) node = filter(std::move(node));
        return node;
    }

    ExprPtr test(ExprPtr node) {
        const Position pos = take().pos;
        const bool negated = skip_word("not");
        ExprPtr out = make(ExprKind::test, now().pos);
        out->name = dotted_name();
        out->test = find_test(out->name);
        out = add(std::move(out), std::move(node));
        out->call = std::make_unique<CallPart>();
        if (is(Token::lparen)) {
            out->call = call_arguments(*out);
        } else if ((is(Token::name) || is(Token::string) || is(Token::integer) || is(Token::real) ||
                    is(Token::lbracket) || is(Token::lbrace)) &&
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

    // ---- assignment targets
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

    ExprPtr assign_target(std::string_view end_word, bool with_namespace) {
        const Nesting nesting(*this);
        ExprPtr target =
            tuple_or_expression(TupleMode{.simplified = true, .with_namespace = with_namespace, .end_word = end_word});
        check_target(*target);
        return target;
    }

    std::string target_name() {
        const Lexeme& token = expect(Token::name);
        static constexpr std::array<std::string_view, 6> kConstants{"true", "false", "none", "True", "False", "None"};
        if (std::find(kConstants.begin(), kConstants.end(), token.text) != kConstants.end()) {
            fail_at(token.pos, "cannot assign to '" + token.text + "'");
        }
        return token.text;
    }

    // ---- statements
    // Until one of the words opens a tag (the word is the next token then); the whole rest if there are none.
    Body statements(const Words& until) {
        const Nesting nesting(*this);
        Body body;
        const auto output = [&]() -> Stmt& {
            if (body.empty() || body.back()->kind != StmtKind::output || !open_output_) {
                body.push_back(std::make_unique<Stmt>(StmtKind::output, now().pos));
            }
            open_output_ = true;
            return *body.back();
        };
        open_output_ = false;
        while (!is(Token::eof)) {
            if (is(Token::data)) {
                output().parts.push_back({take().text, nullptr});
            } else if (is(Token::variable_begin)) {
                Stmt& stmt = output();
                take();
                stmt.parts.push_back({{}, tuple_or_expression(TupleMode{})});
                expect(Token::variable_end);
            } else {
                expect(Token::block_begin);
                open_output_ = false;
                if (is_one_of(until)) return body;
                statement(body, until);
                expect(Token::block_end);
                open_output_ = false;
            }
        }
        if (until.size() != 0) {
            std::string wanted;
            for (const std::string_view word : until)
                wanted += (wanted.empty() ? "'" : " or '") + std::string(word) + "'";
            fail_at(now().pos, "the template ends where " + wanted + " was expected");
        }
        return body;
    }

    // The body of a tag: skips an optional colon, its end, and the statements.
    Body tag_body(const Words& until) {
        skip(Token::colon);
        expect(Token::block_end);
        return statements(until);
    }
    Body tag_body_to(std::string_view word) {
        Body body = tag_body({word});
        take();
        return body;
    }

    void statement(Body& body, const Words& until) {
        const Lexeme& token = now();
        if (token.token != Token::name) fail_at(token.pos, "expected the name of a tag, got " + describe(token));
        const std::string& word = token.text;
        const Position pos = token.pos;
        if (word == "for") return for_loop(body, pos);
        if (word == "if") return if_chain(body, pos);
        if (word == "set") return set(body, pos);
        if (word == "macro") return macro(body, pos);
        if (word == "call") return call_block(body, pos);
        if (word == "filter") return filter_block(body, pos);
        if (word == "with") return with_block(body, pos);
        if (word == "generation") return generation(body, pos);
        if (word == "print") return print(body, pos);
        if (word == "block") return block(body, pos);
        if (word == "autoescape") return autoescape(body, pos);
        if (word == "break" || word == "continue") {
            take();
            if (loops_ == 0) fail_at(pos, "'" + word + "' outside of a loop");
            body.push_back(std::make_unique<Stmt>(word == "break" ? StmtKind::break_ : StmtKind::continue_, pos));
            return;
        }
        if (word == "include" || word == "import" || word == "from" || word == "extends") {
            fail_at(pos, "the tag '" + word + "' is refused: a chat template has access to no other file");
        }
        std::string message = "unknown tag '" + word + "'";
        if (until.size() != 0) message += ", expected '" + std::string(*until.begin()) + "'";
        fail_at(pos, message);
    }

    void for_loop(Body& body, Position pos) {
        take();
        auto stmt = std::make_unique<Stmt>(StmtKind::for_, pos);
        stmt->loop = std::make_unique<ForPart>();
        ForPart& loop = *stmt->loop;
        loop.target = assign_target("in", false);
        expect_word("in");
        loop.iterable = tuple_or_expression(TupleMode{.with_condition = false, .end_word = "recursive"});
        if (skip_word("if")) loop.test = expression();
        loop.recursive = skip_word("recursive");
        ++loops_;
        stmt->body = tag_body({"endfor", "else"});
        --loops_;
        if (take().text == "else") {
            const int loops = loops_;
            if (loop.recursive) loops_ = 0;
            stmt->else_body = tag_body_to("endfor");
            loops_ = loops;
            if (stmt->else_body.empty()) stmt->else_body.push_back(std::make_unique<Stmt>(StmtKind::output, pos));
        }
        body.push_back(std::move(stmt));
    }

    void if_chain(Body& body, Position pos) {
        auto stmt = std::make_unique<Stmt>(StmtKind::if_, pos);
        take();
        while (true) {
            Branch branch;
            branch.test = tuple_or_expression(TupleMode{.with_condition = false});
            branch.body = tag_body({"elif", "else", "endif"});
            stmt->branches.push_back(std::move(branch));
            const std::string& word = take().text;
            if (word == "elif") continue;
            if (word == "else") stmt->branches.push_back(Branch{nullptr, tag_body_to("endif")});
            break;
        }
        body.push_back(std::move(stmt));
    }

    void set(Body& body, Position pos) {
        take();
        ExprPtr target = assign_target({}, true);
        if (skip(Token::assign)) {
            auto stmt = std::make_unique<Stmt>(StmtKind::set, pos);
            stmt->target = std::move(target);
            stmt->value = tuple_or_expression(TupleMode{});
            body.push_back(std::move(stmt));
            return;
        }
        auto stmt = std::make_unique<Stmt>(StmtKind::set_block, pos);
        stmt->target = std::move(target);
        if (skip(Token::pipe)) stmt->value = filter_chain();
        stmt->body = tag_body_to("endset");
        body.push_back(std::move(stmt));
    }

    // The body of a function: loops outside it cannot be left from within.
    Body function_body(std::string_view end_word) {
        const int loops = loops_;
        loops_ = 0;
        Body body = tag_body_to(end_word);
        loops_ = loops;
        return body;
    }

    void signature(MacroInfo& info) {
        expect(Token::lparen);
        while (!is(Token::rparen)) {
            if (!info.params.empty()) expect(Token::comma);
            const Position pos = now().pos;
            std::string name = target_name();
            if (std::find(info.params.begin(), info.params.end(), name) != info.params.end()) {
                fail_at(pos, "the parameter '" + name + "' is repeated");
            }
            info.params.push_back(std::move(name));
            if (skip(Token::assign)) {
                info.defaults.push_back(expression());
            } else if (!info.defaults.empty()) {
                fail_at(pos, "a parameter without a default follows one with a default");
            }
        }
        expect(Token::rparen);
    }

    void macro(Body& body, Position pos) {
        take();
        auto stmt = std::make_unique<Stmt>(StmtKind::macro, pos);
        stmt->macro = std::make_shared<MacroInfo>();
        stmt->macro->name = target_name();
        signature(*stmt->macro);
        stmt->macro->body = function_body("endmacro");
        body.push_back(std::move(stmt));
    }

    void call_block(Body& body, Position pos) {
        take();
        auto stmt = std::make_unique<Stmt>(StmtKind::call_block, pos);
        stmt->macro = std::make_shared<MacroInfo>();
        if (is(Token::lparen)) signature(*stmt->macro);
        stmt->value = expression();
        if (stmt->value->kind != ExprKind::call) fail_at(pos, "a call block needs a call");
        for (const auto& [name, value] : stmt->value->call->kwargs) {
            if (name == "caller") fail_at(pos, "the keyword argument 'caller' is repeated");
        }
        stmt->macro->body = function_body("endcall");
        body.push_back(std::move(stmt));
    }

    void generation(Body& body, Position pos) {
        take();
        auto stmt = std::make_unique<Stmt>(StmtKind::generation, pos);
        stmt->macro = std::make_shared<MacroInfo>();
        stmt->macro->body = function_body("endgeneration");
        body.push_back(std::move(stmt));
    }

    void filter_block(Body& body, Position pos) {
        take();
        auto stmt = std::make_unique<Stmt>(StmtKind::filter_block, pos);
        stmt->value = filter_chain();
        stmt->body = tag_body_to("endfilter");
        body.push_back(std::move(stmt));
    }

    void with_block(Body& body, Position pos) {
        take();
        auto stmt = std::make_unique<Stmt>(StmtKind::with, pos);
        while (!is(Token::block_end)) {
            if (!stmt->targets.empty()) expect(Token::comma);
            stmt->targets.push_back(assign_target({}, false));
            expect(Token::assign);
            stmt->values.push_back(expression());
        }
        stmt->body = tag_body_to("endwith");
        body.push_back(std::move(stmt));
    }

    void print(Body& body, Position pos) {
        take();
        auto stmt = std::make_unique<Stmt>(StmtKind::output, pos);
        while (!is(Token::block_end)) {
            if (!stmt->parts.empty()) expect(Token::comma);
            stmt->parts.push_back({{}, expression()});
        }
        body.push_back(std::move(stmt));
    }

    void block(Body& body, Position pos) {
        take();
        auto stmt = std::make_unique<Stmt>(StmtKind::block, pos);
        stmt->macro = std::make_shared<MacroInfo>();
        stmt->macro->name = expect(Token::name).text;
        for (const auto& [name, info] : tree_.blocks) {
            if (name == stmt->macro->name) fail_at(pos, "block '" + name + "' is defined twice");
        }
        if (is_word("scoped") || is_word("required"))
            fail_at(pos, "blocks that are scoped or required are not supported");
        tree_.blocks.emplace_back(stmt->macro->name, stmt->macro);
        stmt->macro->body = function_body("endblock");
        skip_word(stmt->macro->name);
        body.push_back(std::move(stmt));
    }

    void autoescape(Body& body, Position pos) {
        take();
        const ExprPtr on = expression();
        if (on->kind != ExprKind::constant || !on->value.is(Val::Kind::boolean) || on->value.as_bool()) {
            fail_at(pos, "autoescape is refused: a chat template makes text, not HTML");
        }
        auto stmt = std::make_unique<Stmt>(StmtKind::scope, pos);
        stmt->body = tag_body_to("endautoescape");
        body.push_back(std::move(stmt));
    }

    std::vector<Lexeme> tokens_;
    std::size_t at_ = 0;
    int depth_ = 0, max_depth_;
    int loops_ = 0;
    bool open_output_ = false;
    TemplateTree tree_;
};

}  // namespace

TemplateTree parse_template(std::string_view source, int depth) {
    return Parser(source, depth).run();
}

}  // namespace freehold::jinja
