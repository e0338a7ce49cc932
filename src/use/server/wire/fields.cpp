// Typed reading of JSON with errors that name the field.
#include "fields.h"

#include <fmt/format.h>

#include <cmath>

namespace freehold::server {

const char* type_of(const Value& value) noexcept {
    if (value.is_null()) return "null";
    if (value.get<bool>() != nullptr) return "a boolean";
    if (value.get<std::string>() != nullptr) return "a string";
    if (value.get<ValueMap>() != nullptr) return "an object";
    if (value.get<ValueList>() != nullptr) return "a list";
    if (value.as_double() || value.as_int() || value.get<std::uint64_t>() != nullptr) return "a number";
    return "a list";
}

ValueMap read_body(const HttpRequest& request) {
    if (request.body.find_first_not_of(" \t\r\n") == std::string::npos) {
        throw RequestError(400, ErrorKind::usage, "The request has no body.", "Send a JSON object.");
    }
    Value value;
    try {
        value = parse_json(request.body, "The body");
    } catch (const Error& error) {
        throw RequestError(400, ErrorKind::usage, error.message(), error.hint());
    }
    if (value.get<ValueMap>() == nullptr) {
        throw RequestError(400, ErrorKind::usage, fmt::format("The body is {}, not an object.", type_of(value)),
                           "Send a JSON object.");
    }
    return *value.get<ValueMap>();
}

const Value* Fields::find(std::string_view name) const noexcept {
    const Value* value = map_.find(name);
    return value == nullptr || value->is_null() ? nullptr : value;
}

std::string Fields::path(std::string_view name) const {
    return path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name);
}

void Fields::fail(std::string_view name, const std::string& message, const std::string& hint) const {
    throw field_error(path(name), message, hint);
}

std::optional<std::string> Fields::string(std::string_view name) const {
    const Value* value = find(name);
    if (value == nullptr) return std::nullopt;
    const auto text = value->as_string();
    if (!text) fail(name, fmt::format("{} is {}, not a string.", path(name), type_of(*value)));
    return std::string(*text);
}

std::string Fields::need_string(std::string_view name) const {
    auto text = string(name);
    if (!text) fail(name, fmt::format("{} is missing.", path(name)));
    return *text;
}

std::optional<bool> Fields::boolean(std::string_view name) const {
    const Value* value = find(name);
    if (value == nullptr) return std::nullopt;
    const bool* yes = value->get<bool>();
    if (yes == nullptr) fail(name, fmt::format("{} is {}, not true or false.", path(name), type_of(*value)));
    return *yes;
}

std::optional<double> Fields::number(std::string_view name, double low, double high) const {
    const Value* value = find(name);
    if (value == nullptr) return std::nullopt;
    double number = 0;
    if (const auto* wide = value->get<std::uint64_t>()) {
        number = static_cast<double>(*wide);
    } else if (const auto real = value->get<double>()) {
        number = *real;
    } else if (const auto* whole = value->get<std::int64_t>()) {
        number = static_cast<double>(*whole);
    } else {
        fail(name, fmt::format("{} is {}, not a number.", path(name), type_of(*value)));
    }
    if (!std::isfinite(number) || number < low || number > high) {
        fail(name, fmt::format("{} is {}, but it goes from {} to {}.", path(name), number, low, high));
    }
    return number;
}

std::optional<float> Fields::real(std::string_view name, double low, double high) const {
    const auto value = number(name, low, high);
    return value ? std::optional<float>(static_cast<float>(*value)) : std::nullopt;
}

std::optional<std::int64_t> Fields::integer(std::string_view name, std::int64_t low, std::int64_t high) const {
    const Value* value = find(name);
    if (value == nullptr) return std::nullopt;
    std::optional<std::int64_t> number;
    if (const auto* whole = value->get<std::int64_t>()) {
        number = *whole;
    } else if (const auto* real = value->get<double>();
               real != nullptr && std::trunc(*real) == *real && std::abs(*real) < 9007199254740993.0) {
        number = static_cast<std::int64_t>(*real);
    } else if (value->get<std::uint64_t>() == nullptr && value->get<double>() == nullptr) {
        fail(name, fmt::format("{} is {}, not a whole number.", path(name), type_of(*value)));
    }
    if (!number || *number < low || *number > high) {
        fail(name, fmt::format("{} must be a whole number from {} to {}.", path(name), low, high));
    }
    return number;
}

const ValueMap* Fields::object(std::string_view name) const {
    const Value* value = find(name);
    if (value == nullptr) return nullptr;
    const auto* map = value->get<ValueMap>();
    if (map == nullptr) fail(name, fmt::format("{} is {}, not an object.", path(name), type_of(*value)));
    return map;
}

const ValueList* Fields::list(std::string_view name) const {
    const Value* value = find(name);
    if (value == nullptr) return nullptr;
    const auto* list = value->get<ValueList>();
    if (list == nullptr) fail(name, fmt::format("{} is {}, not a list.", path(name), type_of(*value)));
    return list;
}

std::vector<std::string> Fields::strings(std::string_view name, std::size_t most) const {
    const Value* value = find(name);
    std::vector<std::string> out;
    if (value == nullptr) return out;
    if (const auto text = value->as_string()) {
        out.emplace_back(*text);
        return out;
    }
    const auto* list = value->get<ValueList>();
    if (list == nullptr) {
        fail(name, fmt::format("{} is {}, not a string or a list of strings.", path(name), type_of(*value)));
    }
    for (const Value& item : *list) {
        const auto text = item.as_string();
        if (!text) fail(name, fmt::format("{} holds {}, not only strings.", path(name), type_of(item)));
        out.emplace_back(*text);
    }
    if (out.size() > most) {
        fail(name, fmt::format("{} holds {} strings, but at most {} are taken.", path(name), out.size(), most));
    }
    return out;
}

}  // namespace freehold::server
