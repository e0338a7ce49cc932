// Reading a request's JSON: typed, strict, and with errors that name the field. Unknown fields are left alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/base/value.h"
#include "freehold/server/errors.h"

namespace freehold::server {

// The body as a JSON object. Throws RequestError 400.
[[nodiscard]] ValueMap read_body(const HttpRequest& request);

// A view of one JSON object of the request. null counts as absent everywhere.
class Fields {
 public:
    // `path` is how errors name this object: "" for the body, "messages[3]" inside.
    explicit Fields(const ValueMap& map, std::string path = {}) : map_(map), path_(std::move(path)) {}

    [[nodiscard]] const Value* find(std::string_view name) const noexcept;  // null when absent or JSON null
    [[nodiscard]] bool has(std::string_view name) const noexcept { return find(name) != nullptr; }
    [[nodiscard]] std::string path(std::string_view name) const;
    [[nodiscard]] const std::string& path() const noexcept { return path_; }
    [[nodiscard]] const ValueMap& map() const noexcept { return map_; }

    [[nodiscard]] std::optional<std::string> string(std::string_view name) const;
    [[nodiscard]] std::string need_string(std::string_view name) const;
    [[nodiscard]] std::optional<bool> boolean(std::string_view name) const;
    // A finite number in [low, high].
    [[nodiscard]] std::optional<double> number(std::string_view name, double low, double high) const;
    [[nodiscard]] std::optional<float> real(std::string_view name, double low, double high) const;
    // A whole number in [low, high]; 3.0 is one.
    [[nodiscard]] std::optional<std::int64_t> integer(std::string_view name, std::int64_t low, std::int64_t high) const;
    [[nodiscard]] const ValueMap* object(std::string_view name) const;
    [[nodiscard]] const ValueList* list(std::string_view name) const;  // a JSON list; see Value for typed ones
    // A string or a list of at most `most` strings.
    [[nodiscard]] std::vector<std::string> strings(std::string_view name, std::size_t most) const;

    [[noreturn]] void fail(std::string_view name, const std::string& message, const std::string& hint = {}) const;

 private:
    const ValueMap& map_;
    std::string path_;
};

// Calls `f(const Fields&)` for each object of a list, which is called "path[i]". Throws RequestError 400 for one that
// is no object.
template <class F>
void each_object(const ValueList& list, const std::string& path, F&& f) {
    for (std::size_t i = 0; i < list.size(); ++i) {
        const std::string at = path + "[" + std::to_string(i) + "]";
        const auto* map = list[i].get<ValueMap>();
        if (map == nullptr) throw field_error(at, at + " is no object.");
        f(Fields(*map, at));
    }
}

// "string", "number", "a list", ... for messages.
[[nodiscard]] const char* type_of(const Value& value) noexcept;

}  // namespace freehold::server
