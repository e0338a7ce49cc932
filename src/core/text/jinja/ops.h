// Python's operators and protocols on template values: printing, comparing, arithmetic, subscripts, iteration.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "value.h"

namespace freehold::jinja {

[[nodiscard]] bool truth(Heap& heap, const Val& value);
void append_str(Heap& heap, std::string& out, const Val& value);   // str()
void append_repr(Heap& heap, std::string& out, const Val& value);  // repr()
[[nodiscard]] std::string to_str(Heap& heap, const Val& value);
[[nodiscard]] std::string to_repr(Heap& heap, const Val& value);
[[nodiscard]] std::string to_ascii(Heap& heap, const Val& value);  // ascii(): repr() with escapes beyond ASCII
void append_quoted(std::string& out, std::string_view text);       // repr() of a string

enum class Order : std::uint8_t { less, less_equal, greater, greater_equal };
[[nodiscard]] bool equal(Heap& heap, const Val& a, const Val& b);
[[nodiscard]] bool ordered(Heap& heap, Order op, const Val& a, const Val& b);
[[nodiscard]] bool contains(Heap& heap, const Val& item, const Val& container);

enum class Arith : std::uint8_t { add, sub, mul, div, floordiv, mod, pow };
[[nodiscard]] Val arith(Heap& heap, Arith op, const Val& a, const Val& b);
[[nodiscard]] Val negate(const Val& value);
[[nodiscard]] Val positive(const Val& value);

// Number of elements; nullopt where Python's len() would raise.
[[nodiscard]] std::optional<std::int64_t> try_length(Heap& heap, const Val& value);
[[nodiscard]] std::int64_t length(Heap& heap, const Val& value);
// A fresh iterator (or the iterator itself); null where Python's iter() would raise.
[[nodiscard]] std::shared_ptr<Iterator> try_iterate(Heap& heap, const Val& value);
[[nodiscard]] std::shared_ptr<Iterator> iterate(Heap& heap, const Val& value);
// Backwards; null where Python's reversed() would raise.
[[nodiscard]] std::shared_ptr<Iterator> try_reversed(Heap& heap, const Val& value);
// All elements, as list() takes them.
[[nodiscard]] std::vector<Val> collect(Heap& heap, const Val& value);

// obj[key], then the attribute of that name; undefined if neither is there.
[[nodiscard]] Val get_item(Heap& heap, const Val& object, const Val& key);
// obj.name, then obj["name"]; undefined if neither is there. Unsafe attributes are undefined too.
[[nodiscard]] Val get_attribute(Heap& heap, const Val& object, std::string_view name);
// Only the attribute (no item); nullopt if there is none.
[[nodiscard]] std::optional<Val> own_attribute(Heap& heap, const Val& object, std::string_view name);
// obj[start:stop:step]; missing bounds are none.
[[nodiscard]] Val get_slice(Heap& heap, const Val& object, const Val& start, const Val& stop, const Val& step);

[[noreturn]] void fail_undefined(const Undefined& undefined);
[[nodiscard]] std::string undefined_message(const Undefined& undefined);

// Where `needle` is found in [begin, end) of `text` (bytes); npos if nowhere. Linear time.
[[nodiscard]] std::size_t find_text(std::string_view text, std::string_view needle, std::size_t begin, std::size_t end);
[[nodiscard]] std::size_t rfind_text(std::string_view text, std::string_view needle, std::size_t begin,
                                     std::size_t end);

// str.replace: at most `count` times (negative: all), from the left.
[[nodiscard]] std::string replace_text(Heap& heap, std::string_view text, std::string_view from, std::string_view to,
                                       std::int64_t count);
// The five characters that matter to HTML, escaped.
[[nodiscard]] std::string escape_html(std::string_view text);
// `value` as escaped text: markup stays as it is.
[[nodiscard]] std::string escaped(Heap& heap, const Val& value);

}  // namespace freehold::jinja
