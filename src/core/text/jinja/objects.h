// The objects a template can meet beside plain data: ranges, views and iterators, namespaces, functions, helpers.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "value.h"

namespace freehold::jinja {

struct Range final : Object {
    Range(std::int64_t start_, std::int64_t stop_, std::int64_t step_);
    [[nodiscard]] std::string_view type() const noexcept override { return "range"; }
    void repr(Heap& heap, std::string& out) const override;
    [[nodiscard]] std::optional<Val> attribute(Heap& heap, std::string_view name) override;
    [[nodiscard]] std::optional<std::int64_t> length(Heap&) override { return count; }
    [[nodiscard]] std::shared_ptr<Iterator> iterate(Heap& heap, const std::shared_ptr<Object>& self) override;
    [[nodiscard]] std::int64_t at(std::int64_t i) const noexcept;
    [[nodiscard]] bool same(const Range& other) const noexcept;

    std::int64_t start, stop, step, count;
};

// d.keys(), d.values(), d.items().
struct DictView final : Object {
    enum class What : std::uint8_t { keys, values, items };
    DictView(Val dict_, What what_);
    [[nodiscard]] std::string_view type() const noexcept override;
    void repr(Heap& heap, std::string& out) const override;
    [[nodiscard]] std::optional<std::int64_t> length(Heap& heap) override;
    [[nodiscard]] std::shared_ptr<Iterator> iterate(Heap& heap, const std::shared_ptr<Object>& self) override;
    [[nodiscard]] Val element(Heap& heap, std::size_t i) const;
    [[nodiscard]] bool equals(Heap& heap, const DictView& other) const;

    Val dict;
    What what;
};

// Over a list, tuple, string, dict (its keys), range or view, forwards or backwards.
struct SequenceIterator final : Iterator {
    SequenceIterator(Heap& heap, Val source_, bool backwards_);
    [[nodiscard]] std::string_view type() const noexcept override { return backwards ? "reversed" : "iterator"; }
    [[nodiscard]] bool next(Heap& heap, Val& out) override;

    Val source;
    bool backwards;
    std::size_t position = 0;  // of a string: bytes
    std::size_t count = 0;

 private:
    [[nodiscard]] std::int64_t length_of(Heap& heap) const;
};

// One that a function makes: map, select, batch, ...
struct LazyIterator final : Iterator {
    using Pull = std::function<bool(Heap&, Val&)>;
    LazyIterator(Pull pull_, std::uint16_t depth_) : pull(std::move(pull_)) { depth = depth_; }
    [[nodiscard]] bool next(Heap& heap, Val& out) override;

    Pull pull;
    bool done = false;
};

struct Namespace final : Object {
    [[nodiscard]] std::string_view type() const noexcept override { return "Namespace"; }
    void repr(Heap& heap, std::string& out) const override;
    [[nodiscard]] std::optional<Val> attribute(Heap& heap, std::string_view name) override;
    void set(std::string name, Val value);
    void clear() noexcept override { attributes.clear(); }

    std::vector<std::pair<std::string, Val>> attributes;
};

// A function that the interpreter provides, or a method bound to its object.
struct Builtin final : Object {
    using Code = Val (*)(Runtime&, const Val& self, Args&);
    Builtin(std::string_view name_, Code code_, Val self_ = Val::none());
    [[nodiscard]] std::string_view type() const noexcept override { return "builtin_function_or_method"; }
    void repr(Heap& heap, std::string& out) const override;
    [[nodiscard]] std::optional<Val> attribute(Heap& heap, std::string_view name) override;
    [[nodiscard]] bool callable() const noexcept override { return true; }
    [[nodiscard]] Val call(Runtime& runtime, Args& args) override { return code(runtime, self, args); }

    std::string_view name;
    Code code;
    Val self;
};

struct Cycler final : Object, std::enable_shared_from_this<Cycler> {
    explicit Cycler(std::vector<Val> items_);
    [[nodiscard]] std::string_view type() const noexcept override { return "Cycler"; }
    [[nodiscard]] std::optional<Val> attribute(Heap& heap, std::string_view name) override;
    [[nodiscard]] Val next();

    std::vector<Val> items;
    std::size_t position = 0;
};

struct Joiner final : Object {
    explicit Joiner(Val separator_) : separator(std::move(separator_)) {}
    [[nodiscard]] std::string_view type() const noexcept override { return "Joiner"; }
    [[nodiscard]] std::optional<Val> attribute(Heap& heap, std::string_view name) override;
    [[nodiscard]] bool callable() const noexcept override { return true; }
    [[nodiscard]] Val call(Runtime& runtime, Args& args) override;

    Val separator;
    bool used = false;
};

// Methods of strings, lists, tuples and dicts by name; null if the type has none of that name.
// `unsafe` tells of those that exist and may not be touched (append, update, __class__, ...).
struct MethodLookup {
    std::string_view name;
    Builtin::Code code = nullptr;
    bool unsafe = false;
};
[[nodiscard]] MethodLookup find_method(const Val& object, std::string_view name) noexcept;
[[nodiscard]] MethodLookup find_string_method(std::string_view name) noexcept;
[[nodiscard]] MethodLookup find_container_method(const Val& object, std::string_view name) noexcept;
[[nodiscard]] MethodLookup find_range_method(std::string_view name) noexcept;

// range, dict, namespace, cycler, joiner, raise_exception, strftime_now; null if there is none of that name.
[[nodiscard]] std::optional<Val> find_global(Heap& heap, std::string_view name);

// strftime in the C locale and UTC.
[[nodiscard]] std::string format_time(Heap& heap, std::string_view format, std::int64_t now);

// Arguments of a call laid on named parameters as Python does it; fails with the function's name on a mismatch.
class Bound {
 public:
    Bound(std::string_view function, Args& args, std::initializer_list<std::string_view> names, std::size_t required,
          bool positional_only = false);
    // The value of parameter i, or null if the call left it out.
    [[nodiscard]] const Val* operator[](std::size_t i) const noexcept {
        return values_[i].is_missing() ? nullptr : &values_[i];
    }
    [[nodiscard]] const Val& at(std::size_t i) const noexcept { return values_[i]; }
    // Typed access, with the default for one left out; fails on a value of another type.
    [[nodiscard]] std::int64_t integer(std::size_t i, std::int64_t otherwise) const;
    [[nodiscard]] bool flag(Heap& heap, std::size_t i, bool otherwise) const;
    [[nodiscard]] std::string_view text(std::size_t i) const;
    [[nodiscard]] bool given(std::size_t i) const noexcept { return !values_[i].is_missing() && !values_[i].is_none(); }

 private:
    std::string_view function_;
    std::vector<Val> values_;
};

}  // namespace freehold::jinja
