// The filters and tests by name.
#pragma once

#include <span>
#include <string_view>

#include "value.h"

namespace freehold::jinja {

// value|name(args) and value is name(args).
struct FilterEntry {
    std::string_view name;
    Val (*code)(Runtime&, const Val& value, Args& args);
};
struct TestEntry {
    std::string_view name;
    bool (*code)(Runtime&, const Val& value, Args& args);
};

// Null if there is none of that name.
[[nodiscard]] const FilterEntry* find_filter(std::string_view name) noexcept;
[[nodiscard]] const TestEntry* find_test(std::string_view name) noexcept;

// The tables that find_filter searches, each sorted by name.
[[nodiscard]] std::span<const FilterEntry> text_filters() noexcept;
[[nodiscard]] std::span<const FilterEntry> sequence_filters() noexcept;

// json.dumps with the options of transformers' tojson.
struct JsonOptions {
    bool ensure_ascii = false, sort_keys = false;
    bool indented = false;
    std::string indent, item_separator, key_separator;
};
[[nodiscard]] std::string dump_json(Heap& heap, const Val& value, const JsonOptions& options);

}  // namespace freehold::jinja
