// Statements, scopes and calls of a running template. Expressions are in evaluate.cpp.
#include "runtime.h"

#include <algorithm>

#include "freehold/base/error.h"
#include "guards.h"
#include "library.h"
#include "objects.h"
#include "ops.h"

namespace freehold::jinja {
namespace {

// `self` of a template with blocks: its attributes are the blocks, to be called.
struct BlockSelf final : Object {
    [[nodiscard]] std::string_view type() const noexcept override { return "TemplateReference"; }
    [[nodiscard]] std::optional<Val> attribute(Heap& heap, std::string_view name) override;
    explicit BlockSelf(const TemplateTree& tree_) : tree(tree_) {}
    const TemplateTree& tree;
};

struct BlockCall final : Object {
    explicit BlockCall(std::shared_ptr<const MacroInfo> info_) : info(std::move(info_)) {}
    [[nodiscard]] std::string_view type() const noexcept override { return "BlockReference"; }
    [[nodiscard]] bool callable() const noexcept override { return true; }
    [[nodiscard]] Val call(Runtime& runtime, Args& args) override {
        if (!args.pos.empty() || !args.kw.empty()) fail("a block takes no arguments");
        return runtime.call_block(*info);
    }
    std::shared_ptr<const MacroInfo> info;
};

std::optional<Val> BlockSelf::attribute(Heap& heap, std::string_view name) {
    for (const auto& [block, info] : tree.blocks) {
        if (block == name) return Val::object(heap.make<BlockCall>(info));
    }
    return std::nullopt;
}

Val loop_cycle(Runtime&, const Val& self, Args& args) {
    if (!args.kw.empty()) fail("cycle() takes no keyword arguments");
    if (args.pos.empty()) fail("no items for cycling given");
    return args.pos[static_cast<std::size_t>(self.as<Loop>()->index0) % args.pos.size()];
}

Val loop_changed(Runtime& rt, const Val& self, Args& args) {
    if (!args.kw.empty()) fail("changed() takes no keyword arguments");
    Loop& loop = *self.as<Loop>();
    Val values = rt.heap().tuple(std::move(args.pos));
    if (!loop.changed.is_missing() && equal(rt.heap(), loop.changed, values)) return Val::boolean(false);
    loop.changed = std::move(values);
    return Val::boolean(true);
}

}  // namespace

// ---- macros and loops as objects

void Macro::repr(Heap&, std::string& out) const {
    out += "<Macro ";
    if (info->name.empty()) {
        out += "None";
    } else {
        append_quoted(out, info->name);
    }
    out += '>';
}

std::optional<Val> Macro::attribute(Heap& heap, std::string_view name) {
    if (name == "name") return info->name.empty() ? Val::none() : heap.str(info->name);
    if (name == "catch_kwargs") return Val::boolean(info->takes_kwargs);
    if (name == "catch_varargs") return Val::boolean(info->takes_varargs);
    if (name == "caller") return Val::boolean(info->takes_caller);
    if (name == "explicit_caller") return Val::boolean(info->explicit_caller);
    if (name == "arguments") {
        std::vector<Val> names;
        for (const std::string& param : info->params) names.push_back(heap.str(param));
        return heap.tuple(std::move(names));
    }
    return std::nullopt;
}

Val Macro::call(Runtime& runtime, Args& args) {
    return runtime.call_macro(*this, args);
}

Loop::Loop(Heap& heap, Val iterable_, std::shared_ptr<Iterator> iterator_)
    : iterable(std::move(iterable_)), iterator(std::move(iterator_)) {
    if (!iterable.is_missing()) count = try_length(heap, iterable).value_or(-1);
}

void Loop::repr(Heap& heap, std::string& out) const {
    // Printing asks for the length, which may take in what is left of the iterable.
    auto& self = const_cast<Loop&>(*this);
    out += "<LoopContext " + std::to_string(index0 + 1) + "/" + std::to_string(self.total(heap)) + ">";
}

void Loop::clear() noexcept {
    iterable = after = current = before = changed = Val();
    iterator.reset();
    closure.reset();
}

bool Loop::next(Heap& heap, Val& out) {
    Val item;
    if (!after.is_missing()) {
        item = std::exchange(after, Val());
    } else if (!iterator->next(heap, item)) {
        return false;
    }
    ++index0;
    before = std::move(current);
    current = item;
    out = std::move(item);
    return true;
}

std::int64_t Loop::total(Heap& heap) {
    if (count < 0) {
        std::vector<Val> rest;
        for (Val item; iterator->next(heap, item);) rest.push_back(std::move(item));
        count = static_cast<std::int64_t>(rest.size()) + index0 + 1 + (after.is_missing() ? 0 : 1);
        iterator = heap.make<SequenceIterator>(heap, heap.list(std::move(rest)), false);
    }
    return count;
}

const Val& Loop::peek(Heap& heap) {
    if (after.is_missing()) {
        Val item;
        if (iterator->next(heap, item)) after = std::move(item);
    }
    return after;
}

std::optional<Val> Loop::attribute(Heap& heap, std::string_view name) {
    if (name == "index") return Val::integer(index0 + 1);
    if (name == "index0") return Val::integer(index0);
    if (name == "first") return Val::boolean(index0 == 0);
    if (name == "last") return Val::boolean(peek(heap).is_missing());
    if (name == "length") return Val::integer(total(heap));
    if (name == "revindex") return Val::integer(total(heap) - index0);
    if (name == "revindex0") return Val::integer(total(heap) - index0 - 1);
    if (name == "previtem") {
        if (index0 == 0) return Val::undefined("previtem", {}, "there is no previous item");
        return before;
    }
    if (name == "nextitem") {
        const Val& item = peek(heap);
        return item.is_missing() ? Val::undefined("nextitem", {}, "there is no next item") : item;
    }
    if (name == "depth") return Val::integer(depth0 + 1);
    if (name == "depth0") return Val::integer(depth0);
    if (name == "cycle") return Val::object(heap.make<Builtin>("cycle", loop_cycle, Val::object(shared_from_this())));
    if (name == "changed")
        return Val::object(heap.make<Builtin>("changed", loop_changed, Val::object(shared_from_this())));
    return std::nullopt;
}

Val Loop::call(Runtime& runtime, Args& args) {
    const Bound bound("loop", args, {"iterable"}, 1);
    if (recursive == nullptr) fail("the loop must have the 'recursive' marker to be called recursively");
    return runtime.heap().str(runtime.run_recursive(*recursive, closure, bound.at(0), depth0 + 1));
}

// ---- the template as a whole

Runtime::Runtime(const TemplateTree& tree, const TemplateLimits& limits, std::int64_t now)
    : tree_(tree), limits_(limits), heap_(limits), now_(now) {}

std::string Runtime::render(const ValueMap& context) {
    try {
        for (const std::string_view name :
             {"range", "dict", "namespace", "cycler", "joiner", "raise_exception", "strftime_now"}) {
            context_.set(heap_, heap_.str(std::string(name)), *find_global(heap_, name));
        }
        for (const ValueEntry& entry : context) {
            context_.set(heap_, heap_.str(entry.key), import_value(heap_, entry.value, 1));
        }
        frame_ = heap_.make<Activation>(tree_.function.slots, nullptr);
        heap_.keep(frame_);
        Buffer out(heap_);
        out_ = &out;
        if (tree_.self_slot) frame_->slots[*tree_.self_slot] = Val::object(heap_.make<BlockSelf>(tree_));
        enter(tree_.scope);
        (void)exec(tree_.body);
        return out.take();
    } catch (const Error& error) {
        std::string message = "chat template, line " + std::to_string(where_.line) + ", column " +
                              std::to_string(where_.column) + ": " + error.message();
        throw Error(error.kind(), std::move(message), error.hint());
    }
}

Val Runtime::resolve(std::string_view name) const {
    if (const Val* value = exported_.find(name)) return *value;
    if (const Val* value = context_.find(name)) return *value;
    return {};
}

Val& Runtime::slot(Variable var) {
    Activation* activation = frame_.get();
    for (std::uint32_t i = 0; i < var.up; ++i) activation = activation->parent.get();
    return activation->slots[var.slot];
}

void Runtime::enter(const Scope& scope) {
    for (const Load& load : scope.loads) {
        switch (load.kind) {
            case LoadKind::param:
                break;
            case LoadKind::resolve:
                frame_->slots[load.slot] = resolve(load.name);
                break;
            case LoadKind::alias:
                frame_->slots[load.slot] = slot(load.from);
                break;
            case LoadKind::undefined:
                frame_->slots[load.slot] = Val();
                break;
        }
    }
}

void Runtime::leave(const Scope& scope) {
    for (const Load& load : scope.loads) frame_->slots[load.slot] = Val();
}

void Runtime::keep_if_held(const std::shared_ptr<Activation>& activation) {
    if (activation.use_count() > 1) heap_.keep(activation);
}

// ---- statements

Runtime::Flow Runtime::exec(const Body& body) {
    const Level level(*this);
    for (const StmtPtr& stmt : body) {
        const Flow flow = exec(*stmt);
        if (flow != Flow::normal) return flow;
    }
    return Flow::normal;
}

Runtime::Flow Runtime::exec(const Stmt& stmt) {
    heap_.step();
    where_ = stmt.pos;
    switch (stmt.kind) {
        case StmtKind::output:
            exec_output(stmt);
            return Flow::normal;
        case StmtKind::if_:
            return exec_if(stmt);
        case StmtKind::for_:
            return exec_for(stmt);
        case StmtKind::set:
            exec_set(stmt);
            return Flow::normal;
        case StmtKind::set_block:
            return exec_set_block(stmt);
        case StmtKind::filter_block:
            return exec_filter_block(stmt);
        case StmtKind::with:
            return exec_with(stmt);
        case StmtKind::macro:
            exec_macro(stmt);
            return Flow::normal;
        case StmtKind::call_block:
            exec_call_block(stmt);
            return Flow::normal;
        case StmtKind::generation: {
            Args none;
            write_text(call_macro(Macro(stmt.macro, frame_), none));
            return Flow::normal;
        }
        case StmtKind::block:
            write_text(call_block(*stmt.macro));
            return Flow::normal;
        case StmtKind::scope: {
            enter(stmt.scope);
            const Flow flow = exec(stmt.body);
            leave(stmt.scope);
            return flow;
        }
        case StmtKind::break_:
            return Flow::break_;
        case StmtKind::continue_:
            return Flow::continue_;
    }
    return Flow::normal;
}

void Runtime::exec_output(const Stmt& stmt) {
    for (const OutputPart& part : stmt.parts) {
        if (part.expr == nullptr) {
            heap_.work(part.data.size());
            out_->append(part.data);
            continue;
        }
        const Val value = eval(*part.expr);
        if (value.is_string()) {
            heap_.work(value.text().size());
            out_->append(value.text());
        } else {
            out_->append(to_str(heap_, value));
        }
    }
}

// What goes into the output as it is must be a string, as Python's join asks.
void Runtime::write_text(const Val& value) {
    if (!value.is_string()) fail("expected a string for the output, not " + std::string(type_name(value)));
    out_->append(value.text());
}

Runtime::Flow Runtime::exec_if(const Stmt& stmt) {
    for (const Branch& branch : stmt.branches) {
        if (branch.test == nullptr || truth(heap_, eval(*branch.test))) return exec(branch.body);
    }
    return Flow::normal;
}

// The items that pass the test, bound and tested in an activation of their own.
struct Runtime::FilteredLoop final : Iterator {
    FilteredLoop(Runtime& runtime_, const Stmt& stmt, std::shared_ptr<Iterator> source_,
                 const std::shared_ptr<Activation>& outer)
        : runtime(runtime_),
          loop(*stmt.loop),
          source(std::move(source_)),
          activation(runtime_.heap_.make<Activation>(loop.test_function.slots, outer)) {}

    bool next(Heap& heap, Val& out) override {
        const InActivation inside(runtime, activation);
        if (!entered) runtime.enter(loop.test_scope);
        entered = true;
        for (Val item; source->next(heap, item);) {
            runtime.assign(*loop.test_target, item, false);
            if (!truth(heap, runtime.eval(*loop.test))) continue;
            out = runtime.rebuild(*loop.test_target);
            return true;
        }
        return false;
    }

    Runtime& runtime;
    const ForPart& loop;
    std::shared_ptr<Iterator> source;
    std::shared_ptr<Activation> activation;
    bool entered = false;
};

Runtime::Flow Runtime::exec_for(const Stmt& stmt) {
    const Val iterable = eval(*stmt.loop->iterable);
    const std::shared_ptr<Activation> here = frame_;  // frame_ itself changes on the way
    if (!stmt.loop->recursive) return exec_loop(stmt, iterable, here, 0);
    out_->append(run_recursive(stmt, here, iterable, 0));
    return Flow::normal;
}

std::string Runtime::run_recursive(const Stmt& stmt, const std::shared_ptr<Activation>& closure, const Val& iterable,
                                   std::int64_t depth) {
    const CallLevel call(calls_, limits_);
    auto activation = heap_.make<Activation>(stmt.loop->function.slots, closure);
    const ClearOnError clearing(activation.get());
    Buffer buffer(heap_);
    {
        const InActivation inside(*this, activation);
        const InBuffer writing(*this, buffer);
        (void)exec_loop(stmt, iterable, closure, depth);
    }
    keep_if_held(activation);
    return buffer.take();
}

Runtime::Flow Runtime::exec_loop(const Stmt& stmt, const Val& iterable, const std::shared_ptr<Activation>& outer,
                                 std::int64_t depth) {
    const ForPart& part = *stmt.loop;
    std::shared_ptr<Iterator> iterator = iterate(heap_, iterable);
    if (part.test != nullptr) iterator = std::make_shared<FilteredLoop>(*this, stmt, std::move(iterator), outer);
    std::shared_ptr<Loop> loop;
    if (part.extended) {
        loop = heap_.make<Loop>(heap_, part.test == nullptr ? iterable : Val(), iterator);
        loop->depth0 = depth;
        if (part.recursive) {
            loop->recursive = &stmt;
            loop->closure = outer;
        }
    }
    const ClearOnError clearing(loop.get());
    bool finished_once = false;
    for (Val item; loop != nullptr ? loop->next(heap_, item) : iterator->next(heap_, item);) {
        where_ = stmt.pos;
        heap_.step();
        assign(*part.target, item, false);
        if (loop != nullptr) frame_->slots[part.loop_slot] = Val::object(loop);
        enter(part.scope);
        const Flow flow = exec(stmt.body);
        if (flow == Flow::break_) break;
        // A loop whose every round ends in `continue` counts as one that did not run: so does the reference.
        if (flow == Flow::normal) finished_once = true;
    }
    leave(part.scope);
    if (loop != nullptr && loop.use_count() > 1) heap_.keep(loop);
    if (finished_once || stmt.else_body.empty()) return Flow::normal;
    enter(part.else_scope);
    const Flow flow = exec(stmt.else_body);
    leave(part.else_scope);
    return flow;
}

void Runtime::check_namespaces(const Expr& target) {
    if (target.kind == ExprKind::ns_ref) {
        if (slot(target.var).as<Namespace>() == nullptr) fail("cannot assign attribute on non-namespace object");
    }
    for (const ExprPtr& item : target.kids) check_namespaces(*item);
}

void Runtime::assign(const Expr& target, const Val& value, bool toplevel) {
    switch (target.kind) {
        case ExprKind::name:
            slot(target.var) = value;
            if (toplevel && !tree_.blocks.empty()) exported_.set(heap_, heap_.str(target.name), value);
            return;
        case ExprKind::ns_ref: {
            auto* space = slot(target.var).as<Namespace>();
            if (space == nullptr) fail("cannot assign attribute on non-namespace object");
            heap_.step(1 + space->attributes.size() / 4);
            space->set(target.attr, value);
            return;
        }
        default:
            break;
    }
    std::vector<Val> items;
    if (value.is(Val::Kind::list)) {
        items = value.as_list().items;
    } else {
        const auto it = try_iterate(heap_, value);
        if (it == nullptr) fail("cannot unpack non-iterable " + std::string(type_name(value)) + " object");
        for (Val item; items.size() <= target.kids.size() && it->next(heap_, item);) items.push_back(std::move(item));
    }
    if (items.size() != target.kids.size()) {
        fail(items.size() > target.kids.size()
                 ? "too many values to unpack (expected " + std::to_string(target.kids.size()) + ")"
                 : "not enough values to unpack (expected " + std::to_string(target.kids.size()) + ", got " +
                       std::to_string(items.size()) + ")");
    }
    for (std::size_t i = 0; i < items.size(); ++i) assign(*target.kids[i], items[i], toplevel);
}

Val Runtime::rebuild(const Expr& target) {
    if (target.kind == ExprKind::name) return slot(target.var);
    std::vector<Val> items;
    for (const ExprPtr& item : target.kids) items.push_back(rebuild(*item));
    return heap_.tuple(std::move(items));
}

void Runtime::exec_set(const Stmt& stmt) {
    check_namespaces(*stmt.target);
    const Val value = eval(*stmt.value);
    assign(*stmt.target, value, stmt.toplevel);
}

Runtime::Flow Runtime::exec_set_block(const Stmt& stmt) {
    enter(stmt.scope);
    Buffer buffer(heap_);
    {
        const InBuffer writing(*this, buffer);
        const Flow flow = exec(stmt.body);
        if (flow != Flow::normal) return flow;
    }
    Val value = heap_.str(buffer.take());
    if (stmt.value != nullptr) {
        block_text_ = std::move(value);
        value = eval(*stmt.value);
    }
    assign(*stmt.target, value, stmt.toplevel);
    leave(stmt.scope);
    return Flow::normal;
}

Runtime::Flow Runtime::exec_filter_block(const Stmt& stmt) {
    enter(stmt.scope);
    Buffer buffer(heap_);
    {
        const InBuffer writing(*this, buffer);
        const Flow flow = exec(stmt.body);
        if (flow != Flow::normal) return flow;
    }
    block_text_ = heap_.str(buffer.take());
    write_text(eval(*stmt.value));
    leave(stmt.scope);
    return Flow::normal;
}

Runtime::Flow Runtime::exec_with(const Stmt& stmt) {
    enter(stmt.scope);
    for (std::size_t i = 0; i < stmt.targets.size(); ++i) {
        const Val value = eval(*stmt.values[i]);
        assign(*stmt.targets[i], value, false);
    }
    const Flow flow = exec(stmt.body);
    leave(stmt.scope);
    return flow;
}

void Runtime::exec_macro(const Stmt& stmt) {
    const Val macro = Val::object(heap_.make<Macro>(stmt.macro, frame_));
    slot(stmt.var) = macro;
    if (stmt.toplevel && !tree_.blocks.empty()) exported_.set(heap_, heap_.str(stmt.macro->name), macro);
}

void Runtime::exec_call_block(const Stmt& stmt) {
    const Val caller = Val::object(heap_.make<Macro>(stmt.macro, frame_));
    write_text(eval_call(*stmt.value, &caller));
}

// ---- calls

Val Runtime::call(const Val& callee, Args& args) {
    heap_.step();
    if (callee.is_undefined()) fail_undefined(callee.as_undefined());
    if (!callee.is(Val::Kind::object)) fail("'" + std::string(type_name(callee)) + "' object is not callable");
    // A copy, since the call may overwrite the variable that holds the callee.
    const std::shared_ptr<Object> object = callee.as_object();  // NOLINT(performance-unnecessary-copy-initialization)
    return object->call(*this, args);
}

Val Runtime::call_macro(const Macro& macro, Args& args) {
    const CallLevel call(calls_, limits_);
    const MacroInfo& info = *macro.info;
    auto activation = heap_.make<Activation>(info.function.slots, macro.closure);
    const ClearOnError clearing(activation.get());
    const std::string what = info.name.empty() ? "the call block" : "macro '" + info.name + "'";
    const auto take = [&](std::string_view name) -> Val {
        const auto it = std::find_if(args.kw.begin(), args.kw.end(), [&](const auto& kw) { return kw.first == name; });
        if (it == args.kw.end()) return {};
        Val value = std::move(it->second);
        args.kw.erase(it);
        return value;
    };
    const std::size_t given = std::min(args.pos.size(), info.params.size());
    for (std::size_t i = 0; i < info.params.size(); ++i) {
        activation->slots[info.param_slots[i]] = i < given ? args.pos[i] : take(info.params[i]);
    }
    if (info.takes_caller && !info.explicit_caller) {
        Val caller = take("caller");
        if (caller.is_missing() || caller.is_none()) caller = Val::undefined("caller", {}, "No caller defined");
        activation->slots[info.caller_slot] = std::move(caller);
    }
    if (info.takes_kwargs) {
        Dict rest;
        for (const auto& [name, value] : args.kw) rest.set(heap_, heap_.str(name), value);
        activation->slots[info.kwargs_slot] = heap_.dict(std::move(rest));
    } else if (!args.kw.empty()) {
        fail(what + " takes no keyword argument '" + args.kw.front().first + "'");
    }
    if (info.takes_varargs) {
        activation->slots[info.varargs_slot] =
            heap_.tuple(std::vector<Val>(args.pos.begin() + static_cast<std::ptrdiff_t>(given), args.pos.end()));
    } else if (args.pos.size() > info.params.size()) {
        fail(what + " takes not more than " + std::to_string(info.params.size()) + " argument(s)");
    }
    Buffer buffer(heap_);
    {
        const InActivation inside(*this, activation);
        const InBuffer writing(*this, buffer);
        enter(info.scope);
        const std::size_t first_default = info.params.size() - info.defaults.size();
        for (std::size_t i = 0; i < info.params.size(); ++i) {
            Val& param = activation->slots[info.param_slots[i]];
            if (!param.is_missing()) continue;
            Val value = i < first_default
                            ? Val::undefined(info.params[i], {}, "parameter '" + info.params[i] + "' was not provided")
                            : eval(*info.defaults[i - first_default]);
            activation->slots[info.param_slots[i]] = std::move(value);
        }
        (void)exec(info.body);
    }
    keep_if_held(activation);
    return heap_.str(buffer.take());
}

Val Runtime::call_block(const MacroInfo& block) {
    const CallLevel call(calls_, limits_);
    auto activation = heap_.make<Activation>(block.function.slots, nullptr);
    const ClearOnError clearing(activation.get());
    if (block.takes_caller) activation->slots[block.caller_slot] = Val::object(heap_.make<BlockSelf>(tree_));
    if (block.takes_kwargs) {
        activation->slots[block.kwargs_slot] =
            Val::undefined("super", {}, "there is no parent block called '" + block.name + "'.");
    }
    Buffer buffer(heap_);
    {
        const InActivation inside(*this, activation);
        const InBuffer writing(*this, buffer);
        enter(block.scope);
        (void)exec(block.body);
    }
    keep_if_held(activation);
    return heap_.str(buffer.take());
}

}  // namespace freehold::jinja
