// Expressions of a running template.
#include <algorithm>

#include "guards.h"
#include "library.h"
#include "objects.h"
#include "ops.h"
#include "runtime.h"

namespace freehold::jinja {

Val Runtime::eval(const Expr& expr) {
    heap_.step();
    switch (expr.kind) {
        case ExprKind::constant:
            return expr.value;
        case ExprKind::name:
            return eval_name(expr);
        default:
            break;
    }
    const Level level(*this);
    where_ = expr.pos;
    switch (expr.kind) {
        case ExprKind::tuple:
        case ExprKind::list:
        case ExprKind::dict:
            return eval_container(expr);
        case ExprKind::attribute:
            return get_attribute(heap_, eval(*expr.kids[0]), expr.name);
        case ExprKind::item: {
            const Val object = eval(*expr.kids[0]);
            const Val key = eval(*expr.kids[1]);
            where_ = expr.pos;
            return get_item(heap_, object, key);
        }
        case ExprKind::slice:
            return eval_slice(expr);
        case ExprKind::call:
            return eval_call(expr);
        case ExprKind::filter:
            return eval_filter(expr);
        case ExprKind::test:
            return eval_test(expr);
        case ExprKind::negate:
            return negate(eval(*expr.kids[0]));
        case ExprKind::positive:
            return positive(eval(*expr.kids[0]));
        case ExprKind::logical_not:
            return Val::boolean(!truth(heap_, eval(*expr.kids[0])));
        case ExprKind::logical_and: {
            Val left = eval(*expr.kids[0]);
            return truth(heap_, left) ? eval(*expr.kids[1]) : left;
        }
        case ExprKind::logical_or: {
            Val left = eval(*expr.kids[0]);
            return truth(heap_, left) ? left : eval(*expr.kids[1]);
        }
        case ExprKind::condition:
            return eval_condition(expr);
        case ExprKind::concat:
            return eval_concat(expr);
        case ExprKind::compare:
            return eval_compare(expr);
        case ExprKind::arithmetic: {
            const Val left = eval(*expr.kids[0]);
            const Val right = eval(*expr.kids[1]);
            where_ = expr.pos;
            return arith(heap_, static_cast<Arith>(expr.op), left, right);
        }
        case ExprKind::ns_ref:
        case ExprKind::constant:
        case ExprKind::name:
            break;
    }
    return Val::none();
}

Val Runtime::eval_name(const Expr& expr) {
    const Val& value = slot(expr.var);
    return value.is_missing() ? Val::undefined(expr.name) : value;
}

Val Runtime::eval_container(const Expr& expr) {
    if (expr.kind == ExprKind::dict) {
        Dict dict;
        for (std::size_t i = 0; i + 1 < expr.kids.size(); i += 2) {
            Val key = eval(*expr.kids[i]);
            dict.set(heap_, std::move(key), eval(*expr.kids[i + 1]));
        }
        return heap_.dict(std::move(dict));
    }
    std::vector<Val> items;
    items.reserve(expr.kids.size());
    for (const ExprPtr& kid : expr.kids) items.push_back(eval(*kid));
    return expr.kind == ExprKind::tuple ? heap_.tuple(std::move(items)) : heap_.list(std::move(items));
}

Val Runtime::eval_slice(const Expr& expr) {
    const Val object = eval(*expr.kids[0]);
    const Expr& bounds = *expr.kids[1];
    const auto bound = [&](std::size_t i) { return bounds.kids[i] == nullptr ? Val::none() : eval(*bounds.kids[i]); };
    const Val start = bound(0);
    const Val stop = bound(1);
    const Val step = bound(2);
    where_ = expr.pos;
    return get_slice(heap_, object, start, stop, step);
}

Val Runtime::eval_condition(const Expr& expr) {
    if (truth(heap_, eval(*expr.kids[0]))) return eval(*expr.kids[1]);
    if (expr.kids.size() > 2) return eval(*expr.kids[2]);
    return Val::undefined({}, {},
                          "the inline if-expression on line " + std::to_string(expr.pos.line) +
                              " evaluated to false and no else section was defined.");
}

Val Runtime::eval_concat(const Expr& expr) {
    std::vector<Val> parts;
    parts.reserve(expr.kids.size());
    for (const ExprPtr& kid : expr.kids) parts.push_back(eval(*kid));
    std::string out;
    for (const Val& part : parts) append_str(heap_, out, part);
    return heap_.str(std::move(out));
}

Val Runtime::eval_compare(const Expr& expr) {
    Val left = eval(*expr.kids[0]);
    for (std::size_t i = 0; i < expr.compare.size(); ++i) {
        Val right = eval(*expr.kids[i + 1]);
        where_ = expr.pos;
        bool holds = false;
        switch (expr.compare[i]) {
            case CompareOp::eq:
                holds = equal(heap_, left, right);
                break;
            case CompareOp::ne:
                holds = !equal(heap_, left, right);
                break;
            case CompareOp::lt:
                holds = ordered(heap_, Order::less, left, right);
                break;
            case CompareOp::lteq:
                holds = ordered(heap_, Order::less_equal, left, right);
                break;
            case CompareOp::gt:
                holds = ordered(heap_, Order::greater, left, right);
                break;
            case CompareOp::gteq:
                holds = ordered(heap_, Order::greater_equal, left, right);
                break;
            case CompareOp::in:
                holds = contains(heap_, left, right);
                break;
            case CompareOp::not_in:
                holds = !contains(heap_, left, right);
                break;
        }
        if (!holds) return Val::boolean(false);
        left = std::move(right);
    }
    return Val::boolean(true);
}

void Runtime::eval_arguments(const CallPart& part, Args& args) {
    args.pos.reserve(part.args.size());
    for (const ExprPtr& arg : part.args) args.pos.push_back(eval(*arg));
    // Python takes *args before it evaluates the keywords that stand after it.
    if (part.dyn_args != nullptr) {
        const auto it = iterate(heap_, eval(*part.dyn_args));
        for (Val item; it->next(heap_, item);) args.pos.push_back(std::move(item));
    }
    for (const auto& [name, value] : part.kwargs) args.kw.emplace_back(name, eval(*value));
    if (part.dyn_kwargs == nullptr) return;
    const Val more = eval(*part.dyn_kwargs);
    if (more.is_undefined()) fail_undefined(more.as_undefined());
    if (!more.is(Val::Kind::dict)) fail("argument after ** must be a mapping, not " + std::string(type_name(more)));
    for (const auto& [key, value] : more.as_dict().entries) {
        if (!key.is_string()) fail("keywords must be strings");
        for (const auto& [name, given] : args.kw) {
            heap_.step();
            if (name == key.text()) fail("got multiple values for keyword argument '" + name + "'");
        }
        args.kw.emplace_back(key.text(), value);
    }
}

Val Runtime::eval_call(const Expr& expr, const Val* caller) {
    const Expr& callee = *expr.kids[0];
    Args args;
    const auto arguments = [&] {
        eval_arguments(*expr.call, args);
        if (caller != nullptr) args.kw.emplace_back("caller", *caller);
        where_ = expr.pos;
    };
    if (callee.kind == ExprKind::attribute) {
        // A method of a string, list or dict is called without binding it first.
        const Val object = eval(*callee.kids[0]);
        where_ = callee.pos;
        const MethodLookup method = find_method(object, callee.name);
        if (method.code != nullptr) {
            arguments();
            return method.code(*this, object, args);
        }
        const Val function = get_attribute(heap_, object, callee.name);
        if (function.is_undefined()) {
            where_ = expr.pos;
            fail_undefined(function.as_undefined());
        }
        arguments();
        return call(function, args);
    }
    const Val function = eval(callee);
    arguments();
    return call(function, args);
}

Val Runtime::eval_filter(const Expr& expr) {
    const Val value = expr.kids[0] == nullptr ? block_text_ : eval(*expr.kids[0]);
    Args args;
    eval_arguments(*expr.call, args);
    where_ = expr.pos;
    if (expr.filter == nullptr) fail("no filter named '" + expr.name + "' found");
    return expr.filter->code(*this, value, args);
}

Val Runtime::eval_test(const Expr& expr) {
    const Val value = eval(*expr.kids[0]);
    Args args;
    eval_arguments(*expr.call, args);
    where_ = expr.pos;
    if (expr.test == nullptr) fail("no test named '" + expr.name + "' found");
    return Val::boolean(expr.test->code(*this, value, args));
}

Val Runtime::apply_filter(const Val& name, const Val& value, const Args& args) {
    const FilterEntry* entry = name.is_string() ? find_filter(name.text()) : nullptr;
    if (entry == nullptr) fail("no filter named " + to_repr(heap_, name));
    Args copy = args;
    return entry->code(*this, value, copy);
}

bool Runtime::apply_test(const Val& name, const Val& value, const Args& args) {
    const TestEntry* entry = name.is_string() ? find_test(name.text()) : nullptr;
    if (entry == nullptr) fail("no test named " + to_repr(heap_, name));
    Args copy = args;
    return entry->code(*this, value, copy);
}

}  // namespace freehold::jinja
