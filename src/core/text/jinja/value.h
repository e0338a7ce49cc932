// Runtime values of a template: Python's types as far as a template can see them, immutable but for namespaces and
// helpers, and the Heap that counts what one rendering may spend (steps, bytes, nesting).
#pragma once

// With sanitizers, GCC 12 takes the unused members of a moved-from variant for uninitialised reads.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "freehold/text/chat_template.h"

namespace freehold::jinja {

class Heap;
class Runtime;
struct Object;
struct Str;
struct List;
struct Dict;

// A value that is not there: prints as nothing; most operations on it fail with its message.
struct Undefined {
    std::string name;   // the variable, attribute or element asked for
    std::string owner;  // type of the object that lacks it; empty for a variable
    std::string hint;   // says it all when set
};

[[noreturn]] void fail(std::string message);        // what Python would raise
[[noreturn]] void fail_limit(std::string message);  // a bound of TemplateLimits

class Val {
 public:
    enum class Kind : std::uint8_t { missing, undefined, none, boolean, integer, real, string, list, dict, object };
    struct Missing {};
    struct None {};
    using Data = std::variant<Missing, std::shared_ptr<const Undefined>, None, bool, std::int64_t, double,
                              std::shared_ptr<const Str>, std::shared_ptr<const List>, std::shared_ptr<const Dict>,
                              std::shared_ptr<Object>>;

    Val() = default;  // missing: a variable that was never set
    explicit Val(Data data) : data_(std::move(data)) {}
    static Val none() { return Val(Data(None{})); }
    static Val boolean(bool b) { return Val(Data(b)); }
    static Val integer(std::int64_t i) { return Val(Data(i)); }
    static Val real(double d) { return Val(Data(d)); }
    static Val object(std::shared_ptr<Object> o) { return Val(Data(std::move(o))); }
    static Val undefined(std::string name, std::string owner = {}, std::string hint = {});
    // A string outside any rendering (constants of the template).
    static Val constant(std::string text);

    [[nodiscard]] Kind kind() const noexcept { return static_cast<Kind>(data_.index()); }
    [[nodiscard]] bool is(Kind k) const noexcept { return kind() == k; }
    [[nodiscard]] bool is_missing() const noexcept { return is(Kind::missing); }
    [[nodiscard]] bool is_undefined() const noexcept { return is(Kind::undefined); }
    [[nodiscard]] bool is_none() const noexcept { return is(Kind::none); }
    [[nodiscard]] bool is_string() const noexcept { return is(Kind::string); }
    // bool is an int in Python.
    [[nodiscard]] bool is_int_like() const noexcept { return is(Kind::integer) || is(Kind::boolean); }
    [[nodiscard]] bool is_number() const noexcept { return is_int_like() || is(Kind::real); }

    // Only for the kind that the caller has checked.
    [[nodiscard]] bool as_bool() const { return std::get<bool>(data_); }
    [[nodiscard]] std::int64_t as_int() const {
        return is(Kind::boolean) ? std::int64_t{as_bool()} : std::get<std::int64_t>(data_);
    }
    [[nodiscard]] double as_real() const {
        return is(Kind::real) ? std::get<double>(data_) : static_cast<double>(as_int());
    }
    [[nodiscard]] const Undefined& as_undefined() const { return *std::get<std::shared_ptr<const Undefined>>(data_); }
    [[nodiscard]] const Str& as_str() const { return *std::get<std::shared_ptr<const Str>>(data_); }
    [[nodiscard]] std::string_view text() const;  // of a string
    [[nodiscard]] const List& as_list() const { return *std::get<std::shared_ptr<const List>>(data_); }
    [[nodiscard]] const Dict& as_dict() const { return *std::get<std::shared_ptr<const Dict>>(data_); }
    [[nodiscard]] const std::shared_ptr<Object>& as_object() const { return std::get<std::shared_ptr<Object>>(data_); }
    template <class T>
    [[nodiscard]] T* as() const noexcept;  // object of that class, or null

    [[nodiscard]] bool is_list() const noexcept;  // list, not tuple
    [[nodiscard]] bool is_tuple() const noexcept;
    [[nodiscard]] std::uint16_t depth() const noexcept;
    [[nodiscard]] bool same_object(const Val& other) const noexcept;  // Python's `is`, as far as it is defined
    [[nodiscard]] const Data& data() const noexcept { return data_; }

 private:
    Data data_;
};

// Python's name of the type, for messages.
[[nodiscard]] std::string_view type_name(const Val& value) noexcept;

// Bytes counted against a heap until the holder dies.
class Charge {
 public:
    Charge() = default;
    Charge(Heap* heap, std::size_t bytes);
    Charge(Charge&& other) noexcept
        : heap_(std::exchange(other.heap_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
    Charge& operator=(Charge&&) = delete;
    ~Charge();

 private:
    Heap* heap_ = nullptr;
    std::size_t bytes_ = 0;
};

struct Str {
    std::string text;
    std::size_t points = 0;  // characters; equal to text.size() when all are ASCII
    bool markup = false;     // came from `escape` or `safe`: escapes what is added to it
    Charge charge;
    [[nodiscard]] bool ascii() const noexcept { return points == text.size(); }
};

struct List {
    std::vector<Val> items;
    bool tuple = false;
    bool group = false;  // a tuple from `groupby`, with the names grouper and list
    std::uint16_t depth = 1;
    Charge charge;
};

// Keys keep their order; the index is built once there are many.
struct Dict {
    std::vector<std::pair<Val, Val>> entries;
    std::uint16_t depth = 1;
    std::unordered_multimap<std::size_t, std::size_t> index;
    Charge charge;

    [[nodiscard]] const Val* find(Heap& heap, const Val& key) const;  // fails on an unhashable key
    [[nodiscard]] const Val* find(std::string_view key) const noexcept;
    void set(Heap& heap, Val key, Val value);
};

// Positional and keyword arguments of one call.
struct Args {
    std::vector<Val> pos;
    std::vector<std::pair<std::string, Val>> kw;
};

struct Iterator;

// Everything that is not plain data.
struct Object {
    Object() = default;
    Object(const Object&) = delete;
    Object& operator=(const Object&) = delete;
    virtual ~Object() = default;
    [[nodiscard]] virtual std::string_view type() const noexcept = 0;
    virtual void repr(Heap& heap, std::string& out) const;
    [[nodiscard]] virtual std::optional<Val> attribute(Heap& heap, std::string_view name);
    [[nodiscard]] virtual std::optional<std::int64_t> length(Heap& heap);
    [[nodiscard]] virtual std::shared_ptr<Iterator> iterate(Heap& heap, const std::shared_ptr<Object>& self);
    [[nodiscard]] virtual bool callable() const noexcept { return false; }
    [[nodiscard]] virtual Val call(Runtime& runtime, Args& args);
    // Drops what it holds on to, so that cycles end with the rendering.
    virtual void clear() noexcept {}
    std::uint16_t depth = 1;
};

template <class T>
T* Val::as() const noexcept {
    return is(Kind::object) ? dynamic_cast<T*>(as_object().get()) : nullptr;
}

// What one rendering may spend, and the only place where its values are made.
class Heap {
 public:
    explicit Heap(const TemplateLimits& limits);
    Heap(const Heap&) = delete;
    Heap& operator=(const Heap&) = delete;
    ~Heap();

    void step(std::uint64_t n = 1) {
        if (steps_ < n) out_of_steps();
        steps_ -= n;
    }
    void work(std::size_t bytes) { step(bytes >> 8U); }  // text that was looked at
    void grow(std::size_t bytes);
    void shrink(std::size_t bytes) noexcept { live_ -= bytes; }
    // Before `bytes` are taken for one text or list.
    void check_size(std::uint64_t bytes) const;
    void check_depth(std::size_t depth) const;
    [[nodiscard]] int max_depth() const noexcept { return limits_.depth; }
    [[nodiscard]] std::uint64_t steps_left() const noexcept { return steps_; }

    [[nodiscard]] Val str(std::string text, bool markup = false);
    [[nodiscard]] Val list(std::vector<Val> items);
    [[nodiscard]] Val tuple(std::vector<Val> items, bool group = false);
    [[nodiscard]] Val dict(Dict dict);
    template <class T, class... A>
    [[nodiscard]] std::shared_ptr<T> make(A&&... args) {
        step();
        return std::make_shared<T>(std::forward<A>(args)...);
    }
    // Printing a namespace may come back to itself: how deep it is.
    [[nodiscard]] int enter_repr() noexcept { return ++repr_depth_; }
    void leave_repr() noexcept { --repr_depth_; }
    // An object that may come to hold itself lives until the rendering ends.
    void keep(std::shared_ptr<Object> object);

 private:
    [[noreturn]] void out_of_steps() const;
    [[nodiscard]] Val sequence(std::vector<Val> items, bool tuple, bool group);

    TemplateLimits limits_;
    std::uint64_t steps_;
    std::size_t live_ = 0;
    int repr_depth_ = 0;
    std::vector<std::shared_ptr<Object>> kept_;
};

// A text that grows while it is written, counted as it grows.
class Buffer {
 public:
    explicit Buffer(Heap& heap) : heap_(heap) {}
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer() { heap_.shrink(text_.size()); }
    void append(std::string_view text) {
        heap_.check_size(text_.size() + text.size());
        heap_.grow(text.size());
        text_ += text;
    }
    [[nodiscard]] const std::string& text() const noexcept { return text_; }
    [[nodiscard]] std::string take() {
        heap_.shrink(text_.size());
        return std::exchange(text_, {});
    }

 private:
    Heap& heap_;
    std::string text_;
};

// Pulls one value after another.
struct Iterator : Object {
    [[nodiscard]] std::string_view type() const noexcept override { return "generator"; }
    [[nodiscard]] virtual bool next(Heap& heap, Val& out) = 0;
    [[nodiscard]] std::shared_ptr<Iterator> iterate(Heap& heap, const std::shared_ptr<Object>& self) override;
};

// Python's hash rules: equal numbers hash alike; lists and dicts fail.
[[nodiscard]] std::size_t hash_value(Heap& heap, const Val& value);

// JSON-like input to a runtime value.
[[nodiscard]] Val import_value(Heap& heap, const Value& value, int depth = 0);

}  // namespace freehold::jinja
