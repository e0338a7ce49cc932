// Runs a parsed template once: activations of its functions, loops, macros, and the evaluation of expressions.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ast.h"
#include "value.h"

namespace freehold::jinja {

// The variables of one running function.
struct Activation final : Object {
    Activation(std::uint32_t count, std::shared_ptr<Activation> parent_) : slots(count), parent(std::move(parent_)) {}
    [[nodiscard]] std::string_view type() const noexcept override { return "frame"; }
    void clear() noexcept override {
        slots.clear();
        parent.reset();
    }

    std::vector<Val> slots;
    std::shared_ptr<Activation> parent;
};

struct Macro final : Object {
    Macro(std::shared_ptr<const MacroInfo> info_, std::shared_ptr<Activation> closure_)
        : info(std::move(info_)), closure(std::move(closure_)) {}
    [[nodiscard]] std::string_view type() const noexcept override { return "Macro"; }
    void repr(Heap& heap, std::string& out) const override;
    [[nodiscard]] std::optional<Val> attribute(Heap& heap, std::string_view name) override;
    [[nodiscard]] bool callable() const noexcept override { return true; }
    [[nodiscard]] Val call(Runtime& runtime, Args& args) override;

    std::shared_ptr<const MacroInfo> info;
    std::shared_ptr<Activation> closure;
};

// The `loop` of a for loop.
struct Loop final : Object, std::enable_shared_from_this<Loop> {
    Loop(Heap& heap, Val iterable_, std::shared_ptr<Iterator> iterator_);
    [[nodiscard]] std::string_view type() const noexcept override { return "LoopContext"; }
    void repr(Heap& heap, std::string& out) const override;
    [[nodiscard]] std::optional<Val> attribute(Heap& heap, std::string_view name) override;
    [[nodiscard]] std::optional<std::int64_t> length(Heap& heap) override { return total(heap); }
    [[nodiscard]] bool callable() const noexcept override { return true; }
    [[nodiscard]] Val call(Runtime& runtime, Args& args) override;
    void clear() noexcept override;

    [[nodiscard]] bool next(Heap& heap, Val& out);
    [[nodiscard]] std::int64_t total(Heap& heap);
    [[nodiscard]] const Val& peek(Heap& heap);  // missing at the end

    Val iterable, after, current, before, changed;
    std::shared_ptr<Iterator> iterator;
    std::int64_t index0 = -1, count = -1, depth0 = 0;
    const Stmt* recursive = nullptr;      // the statement, if the loop may be called
    std::shared_ptr<Activation> closure;  // where it stands
};

class Runtime {
 public:
    Runtime(const TemplateTree& tree, const TemplateLimits& limits, std::int64_t now);
    Runtime(const Runtime&) = delete;
    Runtime& operator=(const Runtime&) = delete;

    [[nodiscard]] std::string render(const ValueMap& context);

    [[nodiscard]] Heap& heap() noexcept { return heap_; }
    [[nodiscard]] std::int64_t now() const noexcept { return now_; }
    [[nodiscard]] Val call(const Val& callee, Args& args);
    [[nodiscard]] Val call_macro(const Macro& macro, Args& args);
    [[nodiscard]] Val call_block(const MacroInfo& block);
    [[nodiscard]] std::string run_recursive(const Stmt& stmt, const std::shared_ptr<Activation>& closure,
                                            const Val& iterable, std::int64_t depth);
    // A filter or test by name, as `map` and `select` call them.
    [[nodiscard]] Val apply_filter(const Val& name, const Val& value, const Args& args);
    [[nodiscard]] bool apply_test(const Val& name, const Val& value, const Args& args);
    [[nodiscard]] const TemplateTree& tree() const noexcept { return tree_; }

 private:
    enum class Flow : std::uint8_t { normal, break_, continue_ };
    class Level;          // counts nesting
    class InActivation;   // runs in another activation for a while
    class InBuffer;       // writes to another buffer for a while
    struct FilteredLoop;  // for x in y if cond

    [[nodiscard]] Val eval(const Expr& expr);
    [[nodiscard]] Val eval_name(const Expr& expr);
    [[nodiscard]] Val eval_container(const Expr& expr);
    [[nodiscard]] Val eval_call(const Expr& expr, const Val* caller = nullptr);
    [[nodiscard]] Val eval_filter(const Expr& expr);
    [[nodiscard]] Val eval_test(const Expr& expr);
    [[nodiscard]] Val eval_condition(const Expr& expr);
    [[nodiscard]] Val eval_compare(const Expr& expr);
    [[nodiscard]] Val eval_concat(const Expr& expr);
    [[nodiscard]] Val eval_slice(const Expr& expr);
    void eval_arguments(const CallPart& part, Args& args);

    [[nodiscard]] Flow exec(const Body& body);
    [[nodiscard]] Flow exec(const Stmt& stmt);
    void exec_output(const Stmt& stmt);
    [[nodiscard]] Flow exec_if(const Stmt& stmt);
    [[nodiscard]] Flow exec_for(const Stmt& stmt);
    [[nodiscard]] Flow exec_loop(const Stmt& stmt, const Val& iterable, const std::shared_ptr<Activation>& outer,
                                 std::int64_t depth);
    void exec_set(const Stmt& stmt);
    [[nodiscard]] Flow exec_set_block(const Stmt& stmt);
    [[nodiscard]] Flow exec_filter_block(const Stmt& stmt);
    [[nodiscard]] Flow exec_with(const Stmt& stmt);
    void exec_macro(const Stmt& stmt);
    void exec_call_block(const Stmt& stmt);
    void write_text(const Val& value);

    void enter(const Scope& scope);
    void leave(const Scope& scope);
    void assign(const Expr& target, const Val& value, bool toplevel);
    void check_namespaces(const Expr& target);
    [[nodiscard]] Val rebuild(const Expr& target);
    [[nodiscard]] Val& slot(Variable var);
    [[nodiscard]] Val resolve(std::string_view name) const;
    void keep_if_held(const std::shared_ptr<Activation>& activation);

    const TemplateTree& tree_;
    TemplateLimits limits_;
    Heap heap_;
    std::int64_t now_;
    Dict context_;
    Dict exported_;  // what the top level has set, for blocks
    std::shared_ptr<Activation> frame_;
    Buffer* out_ = nullptr;
    Val block_text_;  // what a filter chain without a value works on
    Position where_;
    int level_ = 0;
    int calls_ = 0;
};

}  // namespace freehold::jinja
