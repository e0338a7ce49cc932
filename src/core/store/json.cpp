// Reading known keys out of a parsed JSON tree: one place for the sentences that a wrong type gets.
// A missing key and a key of the wrong kind are told apart, since the way out differs.
#include "json.h"

#include <fmt/format.h>

#include "freehold/base/error.h"

namespace freehold::json {
namespace {

[[noreturn]] void wrong(std::string_view what, std::string_view key, std::string_view expected) {
    throw Error(ErrorKind::bad_file, fmt::format("{}: \"{}\" must be {}.", what, key, expected));
}

const Value* get(const ValueMap& map, std::string_view key, std::string_view what, bool required) {
    const Value* value = map.find(key);
    if (value != nullptr && !value->is_null()) return value;
    if (required) throw Error(ErrorKind::bad_file, fmt::format("{}: key \"{}\" is missing.", what, key));
    return nullptr;
}

bool is_list(const Value& value) {
    return value.get<ValueList>() != nullptr || value.get<std::vector<std::string>>() != nullptr ||
           value.get<std::vector<float>>() != nullptr || value.get<std::vector<std::int32_t>>() != nullptr;
}

}  // namespace

const ValueMap& object(const Value& value, std::string_view what, std::string_view where) {
    const auto* map = value.get<ValueMap>();
    if (map == nullptr) wrong(what, where, "an object");
    return *map;
}

std::string text(const ValueMap& map, std::string_view key, std::string_view what, bool required) {
    const Value* value = get(map, key, what, required);
    if (value == nullptr) return {};
    const auto string = value->as_string();
    if (!string) wrong(what, key, "a text");
    return std::string(*string);
}

std::uint64_t size(const ValueMap& map, std::string_view key, std::string_view what, bool required) {
    const Value* value = get(map, key, what, required);
    if (value == nullptr) return 0;
    const auto number = value->as_int();
    if (!number || *number < 0) wrong(what, key, "a whole number, 0 or more");
    return static_cast<std::uint64_t>(*number);
}

const Value* list(const ValueMap& map, std::string_view key, std::string_view what, bool required) {
    const Value* value = get(map, key, what, required);
    if (value == nullptr) return nullptr;
    if (!is_list(*value)) wrong(what, key, "a list");
    return value;
}

const ValueMap* maybe_object(const ValueMap& map, std::string_view key, std::string_view what) {
    const Value* value = get(map, key, what, false);
    return value == nullptr ? nullptr : &object(*value, what, key);
}

}  // namespace freehold::json
