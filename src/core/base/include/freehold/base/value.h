// A small tree of values: what GGUF metadata and Hugging Face JSON have in common, without a JSON library in the
// headers.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace freehold {

class Value;
using ValueList = std::vector<Value>;
struct ValueEntry;

// Keys keep the order in which they came (tojson in a template depends on it); lookup is by hash once a map is large.
class ValueMap {
 public:
    ValueMap();
    ValueMap(std::initializer_list<std::pair<std::string, Value>> entries);
    ValueMap(const ValueMap&);
    ValueMap(ValueMap&&) noexcept;
    ValueMap& operator=(const ValueMap&);
    ValueMap& operator=(ValueMap&&) noexcept;
    ~ValueMap();

    [[nodiscard]] const Value* find(std::string_view key) const noexcept;
    // Replaces the value of a key in place, or appends. Returns false if the key was there.
    bool set(std::string key, Value value);
    bool erase(std::string_view key);
    [[nodiscard]] std::size_t size() const noexcept;
    [[nodiscard]] bool empty() const noexcept { return size() == 0; }
    [[nodiscard]] const ValueEntry* begin() const noexcept;  // ValueEntry{key, value}
    [[nodiscard]] const ValueEntry* end() const noexcept;

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// Long homogeneous arrays (tokens, scores, token types) keep their own form: a vocabulary is 256k strings.
class Value {
 public:
    using Data = std::variant<std::monostate, bool, std::int64_t, std::uint64_t, double, std::string, ValueList,
                              ValueMap, std::vector<std::string>, std::vector<float>, std::vector<std::int32_t>>;
    Value() = default;
    template <class T>
    requires std::is_constructible_v<Data, T> Value(T v)
        : data_(std::move(v)) {}                           // NOLINT(google-explicit-constructor): a literal is a value
    Value(const char* text) : data_(std::string(text)) {}  // NOLINT(google-explicit-constructor)
    Value(int number) : data_(std::int64_t{number}) {}     // NOLINT(google-explicit-constructor)

    [[nodiscard]] const Data& data() const noexcept { return data_; }
    [[nodiscard]] bool is_null() const noexcept { return std::holds_alternative<std::monostate>(data_); }
    template <class T>
    [[nodiscard]] const T* get() const noexcept {
        return std::get_if<T>(&data_);
    }
    // Numbers convert between integer and real where the value is exact; anything else is nullopt.
    [[nodiscard]] std::optional<std::int64_t> as_int() const noexcept;
    [[nodiscard]] std::optional<double> as_double() const noexcept;
    [[nodiscard]] std::optional<bool> as_bool() const noexcept;
    [[nodiscard]] std::optional<std::string_view> as_string() const noexcept;
    // Elements of any kind of list, 0 for everything else; at(i) makes a Value of element i (null past the end).
    [[nodiscard]] std::size_t size() const noexcept;
    [[nodiscard]] Value at(std::size_t i) const;

 private:
    Data data_;
};

struct ValueEntry {
    std::string key;
    Value value;
};

// Looks up "a" or "a.b.c": first the whole string as one key (GGUF), then step by step through maps (JSON).
[[nodiscard]] const Value* find(const ValueMap& map, std::string_view path) noexcept;

// JSON text (RFC 8259, UTF-8) to Value; Error{bad_file} naming `what`, line and column. Depth bounded to 200; duplicate
// keys, invalid UTF-8, lone surrogates, NaN and numbers beyond double are refused. Integers become int64, above that
// uint64, above that double; anything with a fraction or exponent is double.
[[nodiscard]] Value parse_json(std::string_view text, std::string_view what);
// Compact with indent < 0, else one entry a line. Reals in the shortest form that reads back equal, always with a point
// or exponent; NaN and infinities as null; bytes that are no UTF-8 as U+FFFD.
[[nodiscard]] std::string to_json(const Value& value, int indent = -1);

}  // namespace freehold
