// Statements of templates: the tags, and what stands between them. Expressions are expression_parser.h's.
#include "parser.h"

#include <algorithm>

#include "expression_parser.h"

namespace freehold::jinja {
namespace {

class Parser : private ExpressionParser {
 public:
    Parser(std::string_view source, int depth) : ExpressionParser(source, depth) {}

    TemplateTree run() {
        tree_.body = statements({});
        return std::move(tree_);
    }

 private:
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

    int loops_ = 0;
    bool open_output_ = false;
    TemplateTree tree_;
};

}  // namespace

TemplateTree parse_template(std::string_view source, int depth) {
    return Parser(source, depth).run();
}

}  // namespace freehold::jinja
