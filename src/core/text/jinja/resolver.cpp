// Scopes are worked out once, before any rendering: each scope lists where its own variables start from (the context,
// an outer scope, nothing, a parameter), and each name becomes a slot of the function it lives in.
#include "resolver.h"

#include <algorithm>
#include <array>
#include <map>
#include <unordered_map>

#include "lexer.h"

namespace freehold::jinja {
namespace {

// Names whose mere use changes how a loop, macro or template is run.
enum Special : std::size_t { kLoop, kCaller, kKwargs, kVarargs, kSelf, kSuper, kSpecials };
constexpr std::array<std::string_view, kSpecials> kSpecialNames{"loop", "caller", "kwargs", "varargs", "self", "super"};

enum class Use : std::uint8_t { none, load, store };

// How each special name is met first in a piece of the tree, in reading order.
struct Summary {
    std::array<Use, kSpecials> first{};
    bool stores_loop = false;

    void name(std::string_view text, bool store) {
        for (std::size_t i = 0; i < kSpecials; ++i) {
            if (kSpecialNames[i] == text && first[i] == Use::none) first[i] = store ? Use::store : Use::load;
        }
    }
    void then(const Summary& next) {
        for (std::size_t i = 0; i < kSpecials; ++i) {
            if (first[i] == Use::none) first[i] = next.first[i];
        }
        stores_loop = stores_loop || next.stores_loop;
    }
    [[nodiscard]] bool loads(Special special) const { return first[special] == Use::load; }
};

struct Function {
    Function* parent;
    FunctionInfo* info;
    std::uint32_t depth;
    std::map<std::pair<std::uint32_t, std::string>, std::uint32_t> slots;

    Function(Function* parent_, FunctionInfo& info_)
        : parent(parent_), info(&info_), depth(parent_ == nullptr ? 0 : parent_->depth + 1) {}

    // Scopes of the same nesting share their slots, as the local variables of one function do.
    std::uint32_t slot(std::uint32_t level, const std::string& name) {
        const auto [it, added] = slots.try_emplace({level, name}, info->slots);
        if (added) ++info->slots;
        return it->second;
    }
};

struct Place {
    Function* function;
    std::uint32_t slot;
};

class Symbols {
 public:
    Symbols(Symbols* parent, Function& function, Scope& scope)
        : parent_(parent), function_(function), scope_(scope), level_(parent == nullptr ? 0 : parent->level_ + 1) {}

    [[nodiscard]] const Place* find(const std::string& name) const {
        for (const Symbols* s = this; s != nullptr; s = s->parent_) {
            if (const auto it = s->refs_.find(name); it != s->refs_.end()) return &it->second;
        }
        return nullptr;
    }

    std::uint32_t parameter(const std::string& name) { return define(name, Load{LoadKind::param, 0, {}, {}}); }

    void load(const std::string& name) {
        if (find(name) == nullptr) define(name, Load{LoadKind::resolve, 0, name, {}});
    }

    // In a branch of an `if` the variable may stay what it was before.
    void store(const std::string& name, bool in_branch) {
        if (refs_.contains(name)) return;
        if (const Place* outer = parent_ == nullptr ? nullptr : parent_->find(name)) {
            define(name, Load{LoadKind::alias, 0, {}, at(*outer)});
        } else if (in_branch) {
            define(name, Load{LoadKind::resolve, 0, name, {}});
        } else {
            define(name, Load{LoadKind::undefined, 0, {}, {}});
        }
    }

    [[nodiscard]] Variable at(const Place& place) const {
        return {function_.depth - place.function->depth, place.slot};
    }
    [[nodiscard]] Function& function() const { return function_; }

 private:
    std::uint32_t define(const std::string& name, Load load) {
        load.slot = function_.slot(level_, name);
        const bool known = !refs_.insert_or_assign(name, Place{&function_, load.slot}).second;
        if (known) {
            // Only a special parameter (caller, kwargs, varargs) is found out after the name was met.
            const auto it = std::find_if(scope_.loads.begin(), scope_.loads.end(),
                                         [&](const Load& l) { return l.slot == load.slot; });
            *it = std::move(load);
            return it->slot;
        }
        scope_.loads.push_back(std::move(load));
        return scope_.loads.back().slot;
    }

    Symbols* parent_;
    Function& function_;
    Scope& scope_;
    std::uint32_t level_;
    std::unordered_map<std::string, Place> refs_;
};

struct Frame {
    Symbols& symbols;
    bool toplevel = false;
    bool soft = false;  // inside an `if`: unknown filters are an error only when they are called
};

class Resolver {
 public:
    explicit Resolver(TemplateTree& tree) : tree_(tree) {}

    void run() {
        Function root(nullptr, tree_.function);
        Symbols symbols(nullptr, root, tree_.scope);
        if (summary(tree_.body).loads(kSelf)) tree_.self_slot = symbols.parameter("self");
        analyze(symbols, tree_.body, false);
        Frame frame{symbols, true, false};
        bind(frame, tree_.body);
        for (const auto& [name, info] : tree_.blocks) bind_block(*info);
    }

 private:
    // ---- first use of the special names
    static void note(Summary& out, const Expr* expr, bool store = false) {
        if (expr == nullptr) return;
        if (expr->kind == ExprKind::name) {
            out.name(expr->name, store);
            if (store && expr->name == "loop") out.stores_loop = true;
        }
        for (const ExprPtr& kid : expr->kids) note(out, kid.get(), store);
        if (expr->call == nullptr) return;
        for (const ExprPtr& arg : expr->call->args) note(out, arg.get());
        for (const auto& [name, value] : expr->call->kwargs) note(out, value.get());
        note(out, expr->call->dyn_args.get());
        note(out, expr->call->dyn_kwargs.get());
    }

    // `with` targets and parameters shadow a name without being an assignment to it.
    static void shadow(Summary& out, const Expr& target) {
        Summary inner;
        note(inner, &target, true);
        inner.stores_loop = false;
        out.then(inner);
    }

    Summary summary(const Body& body) {
        Summary out;
        for (const StmtPtr& stmt : body) out.then(summary(*stmt));
        return out;
    }

    const Summary& summary(const Stmt& stmt) {
        if (const auto it = summaries_.find(&stmt); it != summaries_.end()) return it->second;
        Summary out;
        switch (stmt.kind) {
            case StmtKind::output:
                for (const OutputPart& part : stmt.parts) note(out, part.expr.get());
                break;
            case StmtKind::if_:
                for (const Branch& branch : stmt.branches) {
                    note(out, branch.test.get());
                    out.then(summary(branch.body));
                }
                break;
            case StmtKind::for_:
                note(out, stmt.loop->target.get(), true);
                note(out, stmt.loop->iterable.get());
                out.then(summary(stmt.body));
                out.then(summary(stmt.else_body));
                note(out, stmt.loop->test.get());
                break;
            case StmtKind::set:
                note(out, stmt.target.get(), true);
                note(out, stmt.value.get());
                break;
            case StmtKind::set_block:
                note(out, stmt.target.get(), true);
                note(out, stmt.value.get());
                out.then(summary(stmt.body));
                break;
            case StmtKind::macro:
            case StmtKind::call_block:
            case StmtKind::generation:
                note(out, stmt.value.get());
                for (const std::string& param : stmt.macro->params) out.name(param, true);
                for (const ExprPtr& value : stmt.macro->defaults) note(out, value.get());
                out.then(summary(stmt.macro->body));
                break;
            case StmtKind::filter_block:
                out.then(summary(stmt.body));
                note(out, stmt.value.get());
                break;
            case StmtKind::with:
                for (const ExprPtr& target : stmt.targets) shadow(out, *target);
                for (const ExprPtr& value : stmt.values) note(out, value.get());
                out.then(summary(stmt.body));
                break;
            case StmtKind::scope:
                out.then(summary(stmt.body));
                break;
            case StmtKind::block:
            case StmtKind::break_:
            case StmtKind::continue_:
                break;
        }
        return summaries_.emplace(&stmt, out).first->second;
    }

    // ---- what a scope reads and sets itself, in order
    static void analyze(Symbols& symbols, const Expr* expr) {
        if (expr == nullptr) return;
        if (expr->kind == ExprKind::name) symbols.load(expr->name);
        for (const ExprPtr& kid : expr->kids) analyze(symbols, kid.get());
        if (expr->call == nullptr) return;
        for (const ExprPtr& arg : expr->call->args) analyze(symbols, arg.get());
        for (const auto& [name, value] : expr->call->kwargs) analyze(symbols, value.get());
        analyze(symbols, expr->call->dyn_args.get());
        analyze(symbols, expr->call->dyn_kwargs.get());
    }

    enum class Target : std::uint8_t { store, branch_store, param };
    static void analyze_target(Symbols& symbols, const Expr& target, Target how) {
        if (target.kind == ExprKind::ns_ref) {
            symbols.load(target.name);
        } else if (target.kind == ExprKind::tuple) {
            for (const ExprPtr& item : target.kids) analyze_target(symbols, *item, how);
        } else if (how == Target::param) {
            (void)symbols.parameter(target.name);
        } else {
            symbols.store(target.name, how == Target::branch_store);
        }
    }

    static void analyze(Symbols& symbols, const Body& body, bool in_branch) {
        for (const StmtPtr& stmt : body) analyze(symbols, *stmt, in_branch);
    }

    static void analyze(Symbols& symbols, const Stmt& stmt, bool in_branch) {
        const Target store = in_branch ? Target::branch_store : Target::store;
        switch (stmt.kind) {
            case StmtKind::output:
                for (const OutputPart& part : stmt.parts) analyze(symbols, part.expr.get());
                break;
            case StmtKind::if_:
                for (const Branch& branch : stmt.branches) {
                    analyze(symbols, branch.test.get());
                    analyze(symbols, branch.body, true);
                }
                break;
            case StmtKind::for_:
                analyze(symbols, stmt.loop->iterable.get());
                break;
            case StmtKind::set:
                analyze(symbols, stmt.value.get());
                analyze_target(symbols, *stmt.target, store);
                break;
            case StmtKind::set_block:
                analyze_target(symbols, *stmt.target, store);
                break;
            case StmtKind::macro:
                symbols.store(stmt.macro->name, in_branch);
                break;
            case StmtKind::call_block:
            case StmtKind::filter_block:
                analyze(symbols, stmt.value.get());
                break;
            case StmtKind::with:
                for (const ExprPtr& value : stmt.values) analyze(symbols, value.get());
                break;
            case StmtKind::generation:
            case StmtKind::block:
            case StmtKind::scope:
            case StmtKind::break_:
            case StmtKind::continue_:
                break;
        }
    }

    // ---- names to slots
    void bind(const Frame& frame, Expr* expr) {
        if (expr == nullptr) return;
        switch (expr->kind) {
            case ExprKind::name:
            case ExprKind::ns_ref:
                frame.symbols.load(expr->name);
                expr->var = frame.symbols.at(*frame.symbols.find(expr->name));
                return;
            case ExprKind::filter:
                if (expr->filter == nullptr && !frame.soft) fail_at(expr->pos, "no filter named '" + expr->name + "'");
                break;
            case ExprKind::test:
                if (expr->test == nullptr && !frame.soft) fail_at(expr->pos, "no test named '" + expr->name + "'");
                break;
            default:
                break;
        }
        Frame inner = frame;
        inner.soft = frame.soft || expr->kind == ExprKind::condition;
        for (const ExprPtr& kid : expr->kids) bind(inner, kid.get());
        if (expr->call == nullptr) return;
        for (const ExprPtr& arg : expr->call->args) bind(inner, arg.get());
        for (const auto& [name, value] : expr->call->kwargs) bind(inner, value.get());
        bind(inner, expr->call->dyn_args.get());
        bind(inner, expr->call->dyn_kwargs.get());
    }

    void bind(const Frame& frame, Body& body) {
        for (const StmtPtr& stmt : body) bind(frame, *stmt);
    }

    void bind(const Frame& frame, Stmt& stmt) {
        stmt.toplevel = frame.toplevel;
        switch (stmt.kind) {
            case StmtKind::output:
                for (OutputPart& part : stmt.parts) bind(frame, part.expr.get());
                break;
            case StmtKind::if_: {
                Frame soft = frame;
                soft.soft = true;
                for (Branch& branch : stmt.branches) {
                    bind(soft, branch.test.get());
                    bind(soft, branch.body);
                }
                break;
            }
            case StmtKind::for_:
                bind_for(frame, stmt);
                break;
            case StmtKind::set:
                bind(frame, stmt.value.get());
                bind(frame, stmt.target.get());
                break;
            case StmtKind::set_block:
            case StmtKind::filter_block:
            case StmtKind::scope: {
                Symbols symbols(&frame.symbols, frame.symbols.function(), stmt.scope);
                analyze(symbols, stmt.body, false);
                analyze(symbols, stmt.value.get());
                const Frame inner{symbols, false, false};
                bind(inner, stmt.body);
                bind(inner, stmt.value.get());
                bind(frame, stmt.target.get());
                break;
            }
            case StmtKind::with: {
                Symbols symbols(&frame.symbols, frame.symbols.function(), stmt.scope);
                for (const ExprPtr& target : stmt.targets) analyze_target(symbols, *target, Target::param);
                analyze(symbols, stmt.body, false);
                const Frame inner{symbols, false, false};
                for (const ExprPtr& target : stmt.targets) bind(inner, target.get());
                for (const ExprPtr& value : stmt.values) bind(frame, value.get());
                bind(inner, stmt.body);
                break;
            }
            case StmtKind::macro:
                bind_macro(frame, *stmt.macro, stmt.pos);
                stmt.var = frame.symbols.at(*frame.symbols.find(stmt.macro->name));
                break;
            case StmtKind::call_block:
            case StmtKind::generation:
                bind_macro(frame, *stmt.macro, stmt.pos);
                bind(frame, stmt.value.get());
                break;
            case StmtKind::block:
            case StmtKind::break_:
            case StmtKind::continue_:
                break;
        }
    }

    static ExprPtr copy_target(const Expr& target) {
        auto copy = std::make_unique<Expr>(target.kind, target.pos);
        copy->name = target.name;
        for (const ExprPtr& item : target.kids) copy->kids.push_back(copy_target(*item));
        return copy;
    }

    void bind_for(const Frame& frame, Stmt& stmt) {
        ForPart& loop = *stmt.loop;
        if (summary(stmt).stores_loop)
            fail_at(stmt.pos, "the special variable 'loop' cannot be assigned to inside a loop");
        loop.extended = loop.recursive || summary(stmt.body).loads(kLoop);
        Function own(&frame.symbols.function(), loop.function);
        Function& function = loop.recursive ? own : frame.symbols.function();
        Symbols symbols(&frame.symbols, function, loop.scope);
        if (loop.extended) loop.loop_slot = symbols.parameter("loop");
        analyze_target(symbols, *loop.target, Target::param);
        analyze(symbols, stmt.body, false);
        if (loop.test != nullptr) {
            Function test_function(&frame.symbols.function(), loop.test_function);
            Symbols test_symbols(&frame.symbols, test_function, loop.test_scope);
            analyze_target(test_symbols, *loop.target, Target::param);
            analyze(test_symbols, loop.test.get());
            loop.test_target = copy_target(*loop.target);
            const Frame test_frame{test_symbols, false, false};
            bind(test_frame, loop.test_target.get());
            bind(test_frame, loop.test.get());
        }
        bind(frame, loop.iterable.get());
        const Frame inner{symbols, false, false};
        bind(inner, loop.target.get());
        bind(inner, stmt.body);
        if (!stmt.else_body.empty()) {
            Symbols else_symbols(&frame.symbols, function, loop.else_scope);
            analyze(else_symbols, stmt.else_body, false);
            const Frame else_frame{else_symbols, false, false};
            bind(else_frame, stmt.else_body);
        }
    }

    void bind_macro(const Frame& frame, MacroInfo& info, Position pos) {
        Function function(&frame.symbols.function(), info.function);
        Symbols symbols(&frame.symbols, function, info.scope);
        for (const std::string& param : info.params) info.param_slots.push_back(symbols.parameter(param));
        for (const ExprPtr& value : info.defaults) analyze(symbols, value.get());
        analyze(symbols, info.body, false);
        const auto position_of = [&](std::string_view name) {
            return std::find(info.params.begin(), info.params.end(), name) - info.params.begin();
        };
        const auto count = static_cast<std::ptrdiff_t>(info.params.size());
        const Summary used = summary(info.body);
        info.explicit_caller = position_of("caller") < count;
        if (used.loads(kCaller)) {
            if (info.explicit_caller &&
                position_of("caller") < count - static_cast<std::ptrdiff_t>(info.defaults.size())) {
                fail_at(pos, "the special parameter 'caller' must be left out or be given a default");
            }
            if (!info.explicit_caller) info.caller_slot = symbols.parameter("caller");
            info.takes_caller = true;
        }
        if (used.loads(kKwargs) && position_of("kwargs") == count) {
            info.kwargs_slot = symbols.parameter("kwargs");
            info.takes_kwargs = true;
        }
        if (used.loads(kVarargs) && position_of("varargs") == count) {
            info.varargs_slot = symbols.parameter("varargs");
            info.takes_varargs = true;
        }
        const Frame inner{symbols, false, false};
        for (const ExprPtr& value : info.defaults) bind(inner, value.get());
        bind(inner, info.body);
    }

    void bind_block(MacroInfo& info) {
        Function function(nullptr, info.function);
        Symbols symbols(nullptr, function, info.scope);
        const Summary used = summary(info.body);
        if (used.loads(kSelf)) {
            info.takes_caller = true;  // a block's own use of the place: where `self` goes
            info.caller_slot = symbols.parameter("self");
        }
        if (used.loads(kSuper)) {
            info.takes_kwargs = true;  // likewise `super`
            info.kwargs_slot = symbols.parameter("super");
        }
        analyze(symbols, info.body, false);
        const Frame frame{symbols, false, false};
        bind(frame, info.body);
    }

    TemplateTree& tree_;
    std::unordered_map<const Stmt*, Summary> summaries_;
};

}  // namespace

void resolve_names(TemplateTree& tree) {
    Resolver(tree).run();
}

}  // namespace freehold::jinja
