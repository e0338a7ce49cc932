// The parsed template: expressions and statements, with every variable already bound to its place (see resolver.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "value.h"

namespace freehold::jinja {

struct Position {
    std::uint32_t line = 0, column = 0;
};

// A variable's place: so many functions outwards, that slot of the activation.
struct Variable {
    std::uint32_t up = 0, slot = 0;
};

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;
struct FilterEntry;
struct TestEntry;

struct CallPart {
    std::vector<ExprPtr> args;
    std::vector<std::pair<std::string, ExprPtr>> kwargs;
    ExprPtr dyn_args, dyn_kwargs;
};

enum class ExprKind : std::uint8_t {
    constant,
    name,
    ns_ref,
    tuple,
    list,
    dict,
    attribute,
    item,
    slice,
    call,
    filter,
    test,
    negate,
    positive,
    logical_not,
    logical_and,
    logical_or,
    condition,
    concat,
    compare,
    arithmetic,
};

enum class CompareOp : std::uint8_t { eq, ne, lt, lteq, gt, gteq, in, not_in };

struct Expr {
    explicit Expr(ExprKind k, Position p) : kind(k), pos(p) {}
    ExprKind kind;
    std::uint8_t op = 0;       // Arith of an arithmetic expression
    std::uint16_t height = 1;  // of the tree below
    Position pos;
    Variable var;                         // name, ns_ref
    std::string name;                     // name, ns_ref (the variable), attribute, filter, test
    std::string attr;                     // ns_ref
    Val value;                            // constant
    std::vector<ExprPtr> kids;            // slice: start, stop, step (null where left out); dict: key, value, ...
    std::vector<CompareOp> compare;       // compare: one per kid after the first
    std::unique_ptr<CallPart> call;       // call, filter, test
    const FilterEntry* filter = nullptr;  // null: unknown, an error once it is called
    const TestEntry* test = nullptr;
};

struct Stmt;
using StmtPtr = std::unique_ptr<Stmt>;
using Body = std::vector<StmtPtr>;

// What happens to a scope's own variables when it is entered.
enum class LoadKind : std::uint8_t { resolve, alias, undefined, param };
struct Load {
    LoadKind kind = LoadKind::undefined;
    std::uint32_t slot = 0;
    std::string name;  // resolve: looked up in the context
    Variable from;     // alias
};
struct Scope {
    std::vector<Load> loads;
    bool clears = true;  // the variables are missing again afterwards
};

struct FunctionInfo {
    std::uint32_t slots = 0;
};

// A macro, the body of a call block, or a block: parameters, defaults and what else it catches.
struct MacroInfo {
    std::string name;  // empty for a call block
    std::vector<std::string> params;
    std::vector<std::uint32_t> param_slots;
    std::vector<ExprPtr> defaults;  // of the last parameters
    bool takes_caller = false, takes_kwargs = false, takes_varargs = false;
    bool explicit_caller = false;
    std::uint32_t caller_slot = 0, kwargs_slot = 0, varargs_slot = 0;
    FunctionInfo function;
    Scope scope;
    Body body;
};

enum class StmtKind : std::uint8_t {
    output,
    if_,
    for_,
    set,
    set_block,
    macro,
    call_block,
    filter_block,
    with,
    generation,
    block,
    break_,
    continue_,
    scope,
};

struct OutputPart {
    std::string data;  // template text, or
    ExprPtr expr;
};

struct ForPart {
    ExprPtr target, iterable, test, test_target;
    bool recursive = false, extended = false;
    std::uint32_t loop_slot = 0;
    FunctionInfo function, test_function;  // used when recursive; used by the test
    Scope scope, else_scope, test_scope;
};

struct Branch {
    ExprPtr test;  // null: else
    Body body;
};

struct Stmt {
    explicit Stmt(StmtKind k, Position p) : kind(k), pos(p) {}
    StmtKind kind;
    Position pos;
    bool toplevel = false;                 // names set here are seen by blocks
    std::vector<OutputPart> parts;         // output
    std::vector<Branch> branches;          // if
    ExprPtr target;                        // set, set_block
    ExprPtr value;                         // set; call_block: the call; filter_block, set_block: the filter chain
    std::vector<ExprPtr> targets, values;  // with
    Body body, else_body;
    Scope scope;   // set_block, filter_block, with
    Variable var;  // macro: where its name lives
    std::unique_ptr<ForPart> loop;
    std::shared_ptr<MacroInfo> macro;  // macro, call_block, generation, block
};

struct TemplateTree {
    FunctionInfo function;
    Scope scope;
    Body body;
    std::vector<std::pair<std::string, std::shared_ptr<MacroInfo>>> blocks;
    std::optional<std::uint32_t> self_slot;
};

}  // namespace freehold::jinja
