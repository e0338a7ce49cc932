// The doors: each way to say a grammar, and checks of whole texts.
#include "freehold/grammar/grammar.h"

#include <fmt/format.h>

#include <algorithm>

#include "freehold/base/error.h"
#include "gbnf.h"
#include "regex_parse.h"
#include "runner.h"
#include "schema.h"

namespace freehold {

using grammar::kDead;
using grammar::Op;
using grammar::Program;
using grammar::Terminal;

JsonSchemaOptions JsonSchemaOptions::serving() {
    JsonSchemaOptions o;
    o.blanks = 8;
    o.plain_numbers = true;
    o.plain_escapes = true;
    return o;
}

Grammar::Grammar(std::shared_ptr<const Program> program, std::vector<std::string> notes)
    : program_(std::move(program)), notes_(std::move(notes)), runner_(std::make_shared<grammar::Runner>()) {
    runner_->current = std::make_shared<grammar::Masks>(program_);
}
Grammar::~Grammar() = default;

std::size_t Grammar::viable_prefix(std::string_view text) const {
    const std::lock_guard lock(runner_->mutex);
    if (runner_->current->full()) runner_->current = std::make_shared<grammar::Masks>(program_);
    auto& a = runner_->current->automaton;
    std::uint32_t state = a.start();
    for (std::size_t i = 0; i < text.size(); ++i) {
        a.begin_budget();
        state = a.step(state, static_cast<std::uint8_t>(text[i]));
        if (state == kDead) return i;
    }
    return text.size();
}

bool Grammar::matches(std::string_view text) const {
    const std::lock_guard lock(runner_->mutex);
    if (runner_->current->full()) runner_->current = std::make_shared<grammar::Masks>(program_);
    auto& a = runner_->current->automaton;
    std::uint32_t state = a.start();
    for (const char c : text) {
        a.begin_budget();
        state = a.step(state, static_cast<std::uint8_t>(c));
        if (state == kDead) return false;
    }
    return a.may_end(state);
}

namespace {

// Patterns whose masks would take long at every token are refused before the answer begins: other answers wait
// meanwhile, and memory grows with each.
void refuse_wide(const Program& p, std::size_t budget) {
    constexpr std::size_t kMostWays = 40;
    constexpr std::size_t kForLong = 40;
    grammar::Regexes regexes = p.regexes;  // what is found on the way is not the program's
    const auto look = [&](grammar::Rx r) {
        if (!regexes.stays_wide(r, kMostWays, kForLong, budget)) return;
        throw Error(ErrorKind::limit,
                    fmt::format("The pattern can go on in more than {} ways at once over long stretches of a text, "
                                "which would slow every token down.",
                                kMostWays),
                    "Repeat fewer times behind what may begin anywhere, as in .*a.{100}.");
    };
    for (const Terminal& t : p.terminals) {
        if (t.kind == Terminal::Kind::text || t.kind == Terminal::Kind::string) look(t.arg);
    }
    for (const auto& object : p.objects) {
        for (const auto& other : object.others) look(other.keys);
    }
}

// A schema that came as a tree of values may hold lists in other forms than text gives.
Value parsed_schema(std::string_view json) {
    try {
        return parse_json(json, "the schema");
    } catch (const Error& e) {
        throw Error(ErrorKind::usage, e.message(), e.hint());
    }
}

}  // namespace

std::shared_ptr<const Grammar> Grammar::from_json_schema(const Value& schema, const JsonSchemaOptions& options) {
    return from_json_schema_text(to_json(schema), options);
}

std::shared_ptr<const Grammar> Grammar::from_json_schema_text(std::string_view json, const JsonSchemaOptions& options) {
    auto p = std::make_shared<Program>();
    if (options.blanks) p->blanks = static_cast<std::uint32_t>(std::clamp(*options.blanks, 0, 200));
    p->plain_escapes = options.plain_escapes;
    std::vector<std::string> notes;
    const std::uint32_t value = grammar::SchemaCompiler(*p, options, notes).compile(parsed_schema(json));
    p->root = value;
    p->settle();
    refuse_wide(*p, 20'000);
    return std::shared_ptr<const Grammar>(new Grammar(std::move(p), std::move(notes)));
}

std::shared_ptr<const Grammar> Grammar::json_object(const JsonSchemaOptions& options) {
    return from_json_schema_text(R"({"type": "object"})", options);
}

std::shared_ptr<const Grammar> Grammar::from_regex(std::string_view pattern, const GrammarLimits&) {
    auto p = std::make_shared<Program>();
    const grammar::Rx r = grammar::parse_pattern(p->regexes, pattern, grammar::PatternUse::whole);
    if (!p->regexes.possible(r)) {
        throw Error(ErrorKind::usage, "No text matches the regular expression.", "Correct the pattern.");
    }
    p->root = p->rule("root");
    p->alternative(p->root, {{Op::Kind::terminal, p->terminal({Terminal::Kind::text, false, r})}});
    p->settle();
    refuse_wide(*p, 20'000);
    return std::shared_ptr<const Grammar>(new Grammar(std::move(p)));
}

std::shared_ptr<const Grammar> Grammar::from_gbnf(std::string_view text, const GrammarLimits&) {
    auto p = std::make_shared<Program>();
    p->root = grammar::compile_gbnf(*p, text);
    if (p->rules[p->root].starts.empty()) {
        throw Error(ErrorKind::usage, "No text matches the grammar.", "Correct its rule root.");
    }
    p->settle();
    return std::shared_ptr<const Grammar>(new Grammar(std::move(p)));
}

std::shared_ptr<const Grammar> Grammar::from_choice(std::span<const std::string> choices) {
    if (choices.empty()) throw Error(ErrorKind::usage, "The list of choices is empty.", "Give at least one text.");
    auto p = std::make_shared<Program>();
    std::vector<grammar::Rx> parts;
    std::size_t total = 0;
    for (std::size_t i = 0; i < choices.size(); ++i) {
        total += choices[i].size();
        if (total > 1'000'000) {
            throw Error(ErrorKind::limit, "The choices have more than a million bytes.", "Give fewer or shorter ones.");
        }
        parts.push_back(p->regexes.literal(grammar::code_points(choices[i], fmt::format("Choice {}", i))));
    }
    const grammar::Rx r = p->regexes.alt(std::move(parts));
    p->root = p->rule("root");
    p->alternative(p->root, {{Op::Kind::terminal, p->terminal({Terminal::Kind::text, false, r})}});
    p->settle();
    return std::shared_ptr<const Grammar>(new Grammar(std::move(p)));
}

}  // namespace freehold
