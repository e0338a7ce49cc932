// /openapi.json from the table of routes. A row describes its own operation; what many rows share is said here once:
// sets of fields ("x-fields" of a body names them), schemas to refer to, parameters in paths, and how errors look.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "common.h"

namespace freehold::server {
namespace {

// Fields of bodies, by the name of their set; as read_sampling, read_local_samplers and read_constraints read them.
constexpr const char* kFieldSets = R"json({
"sampling": {
  "temperature": {"type": "number", "minimum": 0, "maximum": 100},
  "top_p": {"type": "number", "minimum": 0, "maximum": 1},
  "top_k": {"type": "integer", "minimum": -1, "maximum": 1073741824},
  "min_p": {"type": "number", "minimum": 0, "maximum": 1},
  "typical_p": {"type": "number", "minimum": 0, "maximum": 1},
  "repetition_penalty": {"type": "number", "minimum": 0.01, "maximum": 100},
  "repeat_penalty": {"type": "number", "minimum": 0.01, "maximum": 100},
  "presence_penalty": {"type": "number", "minimum": -100, "maximum": 100},
  "frequency_penalty": {"type": "number", "minimum": -100, "maximum": 100},
  "repeat_last_n": {"type": "integer", "minimum": -1, "maximum": 1073741824},
  "penalty_last_n": {"type": "integer", "minimum": -1, "maximum": 1073741824},
  "seed": {"type": "integer", "minimum": -9223372036854775808, "maximum": 18446744073709551615},
  "stop": {"oneOf": [{"type": "string"}, {"type": "array", "maxItems": 64, "items": {"type": "string"}}]},
  "stop_token_ids": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 2147483647}},
  "logit_bias": {"type": "object", "propertyNames": {"pattern": "^[0-9]{1,6}$"},
    "additionalProperties": {"type": "number", "minimum": -100, "maximum": 100}},
  "n": {"type": "integer", "minimum": 1, "maximum": 128},
  "ignore_eos": {"type": "boolean"}, "cache_prompt": {"type": "boolean"}, "skip_special_tokens": {"type": "boolean"},
  "min_tokens": {"type": "integer", "minimum": 0, "maximum": 1073741824},
  "top_n_sigma": {"type": "number", "minimum": -1, "maximum": 1000000},
  "xtc_probability": {"type": "number", "minimum": 0, "maximum": 1},
  "xtc_threshold": {"type": "number", "minimum": 0, "maximum": 1},
  "dry_multiplier": {"type": "number", "minimum": 0, "maximum": 1000000},
  "dry_base": {"type": "number", "minimum": 1, "maximum": 1000000},
  "dry_allowed_length": {"type": "integer", "minimum": 0, "maximum": 1073741824},
  "dry_penalty_last_n": {"type": "integer", "minimum": -1, "maximum": 1073741824},
  "dry_sequence_breakers": {"type": "array", "maxItems": 64, "items": {"type": "string"}},
  "dynatemp_range": {"type": "number", "minimum": 0, "maximum": 1000000},
  "dynatemp_exponent": {"type": "number", "minimum": 0, "maximum": 1000000},
  "mirostat": {"type": "integer", "enum": [0, 2]},
  "mirostat_tau": {"type": "number", "minimum": 0, "maximum": 1000000},
  "mirostat_eta": {"type": "number", "minimum": 0, "maximum": 1000000},
  "min_keep": {"type": "integer", "minimum": 0, "maximum": 1073741824},
  "samplers": {"type": "array", "maxItems": 32, "items": {"type": "string"}}},
"constraints": {
  "response_format": {"oneOf": [
    {"type": "object", "required": ["type"], "properties": {"type": {"enum": ["text", "json_object"]}}},
    {"type": "object", "required": ["type", "json_schema"], "properties": {"type": {"const": "json_schema"},
      "json_schema": {"type": "object", "required": ["schema"], "properties": {"name": {"type": "string"},
        "schema": {"$ref": "#/components/schemas/Schema"}, "strict": {"type": "boolean"}}}}}]},
  "json_schema": {"$ref": "#/components/schemas/Schema"},
  "guided_json": {"$ref": "#/components/schemas/Schema"},
  "grammar": {"type": "string", "description": "GBNF"},
  "guided_grammar": {"type": "string", "description": "GBNF"},
  "guided_regex": {"type": "string"},
  "guided_choice": {"type": "array", "minItems": 1, "maxItems": 4096, "items": {"type": "string"}},
  "structured_outputs": {"type": "object", "properties": {"json": {"$ref": "#/components/schemas/Schema"},
    "choice": {"type": "array", "minItems": 1, "maxItems": 4096, "items": {"type": "string"}},
    "regex": {"type": "string"}, "grammar": {"type": "string"}}}},
"tools": {
  "tools": {"type": "array", "maxItems": 128, "items": {"$ref": "#/components/schemas/Tool"}},
  "tool_choice": {"oneOf": [{"enum": ["none", "auto", "required"]},
    {"type": "object", "required": ["type", "function"], "properties": {"type": {"const": "function"},
      "function": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}}}]},
  "parallel_tool_calls": {"type": "boolean"}}
})json";

constexpr const char* kSchemas = R"json({
"Schema": {"type": "object", "description": "A JSON Schema (draft 2020-12)", "properties": {
  "type": {"enum": ["object", "array", "string", "integer", "number", "boolean", "null"]},
  "properties": {"type": "object", "additionalProperties": {"type": "object", "properties": {
    "type": {"enum": ["string", "integer", "number", "boolean", "null"]}, "enum": {"type": "array"}}}},
  "required": {"type": "array", "items": {"type": "string"}},
  "items": {"type": "object"}, "enum": {"type": "array"}, "pattern": {"type": "string"},
  "minLength": {"type": "integer"}, "maxLength": {"type": "integer"},
  "minimum": {"type": "number"}, "maximum": {"type": "number"},
  "minItems": {"type": "integer"}, "maxItems": {"type": "integer"},
  "additionalProperties": {"type": ["boolean", "object"]}}},
"Tool": {"type": "object", "required": ["type", "function"], "properties": {"type": {"const": "function"},
  "function": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "minLength": 1},
    "description": {"type": "string"}, "parameters": {"$ref": "#/components/schemas/Schema"},
    "strict": {"type": "boolean"}}}}},
"TextParts": {"type": "array", "items": {"type": "object", "required": ["type", "text"],
  "properties": {"type": {"const": "text"}, "text": {"type": "string"}}}},
"ToolCall": {"type": "object", "required": ["function"], "properties": {"id": {"type": "string"},
  "type": {"const": "function"}, "function": {"type": "object", "required": ["name"], "properties": {
    "name": {"type": "string"}, "arguments": {"type": ["string", "object"]}}}}},
"ChatMessage": {"oneOf": [
  {"type": "object", "required": ["role", "content"], "properties": {
    "role": {"enum": ["system", "developer", "user", "tool"]}, "name": {"type": "string"},
    "tool_call_id": {"type": "string"},
    "content": {"oneOf": [{"type": "string"}, {"$ref": "#/components/schemas/TextParts"}]}}},
  {"type": "object", "required": ["role"], "properties": {"role": {"const": "assistant"},
    "content": {"oneOf": [{"type": "string"}, {"type": "null"}, {"$ref": "#/components/schemas/TextParts"}]},
    "reasoning_content": {"type": "string"},
    "tool_calls": {"type": "array", "items": {"$ref": "#/components/schemas/ToolCall"}}}}]},
"Error": {"type": "object", "required": ["error"], "properties": {"error": {"type": ["object", "string"]}},
  "description": "What was wrong, where, and the way out; `error` is a text in Ollama's dialect"}
})json";

constexpr const char* kErrors =
    R"json({"description": "What was wrong, where, and the way out", "content": {"application/json": {"schema":
{"$ref": "#/components/schemas/Error"}}}})json";

// "{id...}" is "{id}" in OpenAPI.
std::string openapi_path(std::string pattern) {
    for (std::size_t at = pattern.find("...}"); at != std::string::npos; at = pattern.find("...}"))
        pattern.erase(at, 3);
    return pattern;
}

std::string lower(std::string text) {
    std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return text;
}

// Every parameter of the path that the row does not describe itself is a text.
void add_path_parameters(ValueMap& operation, const std::string& path) {
    ValueList parameters;
    if (const Value* own = operation.find("parameters")) parameters = *own->get<ValueList>();
    for (std::size_t begin = path.find('{'); begin != std::string::npos; begin = path.find('{', begin + 1)) {
        const std::string name = path.substr(begin + 1, path.find('}', begin) - begin - 1);
        const bool there = std::ranges::any_of(parameters, [&](const Value& parameter) {
            const Value* its = parameter.get<ValueMap>()->find("name");
            return its != nullptr && its->as_string() == name;
        });
        if (there) continue;
        parameters.push_back(
            ValueMap{{"name", name}, {"in", "path"}, {"required", true}, {"schema", ValueMap{{"type", "string"}}}});
    }
    if (!parameters.empty()) operation.set("parameters", std::move(parameters));
}

// A copy in which each schema with "x-fields" has the fields of the sets it names, behind its own; its own win.
Value with_fields(const Value& value, const ValueMap& sets) {
    if (const auto* list = value.get<ValueList>()) {
        ValueList out;
        for (const Value& item : *list) out.push_back(with_fields(item, sets));
        return out;
    }
    const auto* map = value.get<ValueMap>();
    if (map == nullptr) return value;
    ValueMap out;
    for (const auto& [name, item] : *map) out.set(name, with_fields(item, sets));
    const Value* wanted = map->find("x-fields");
    if (wanted == nullptr) return out;
    ValueMap properties;
    if (const Value* own = out.find("properties")) properties = *own->get<ValueMap>();
    for (std::size_t i = 0; i < wanted->size(); ++i) {
        const Value* set = sets.find(*wanted->at(i).as_string());
        if (set == nullptr) throw Error(ErrorKind::internal, "A body of /openapi.json names fields that do not exist.");
        for (const auto& [name, field] : *set->get<ValueMap>()) {
            if (properties.find(name) == nullptr) properties.set(name, field);
        }
    }
    out.erase("x-fields");
    out.set("properties", std::move(properties));
    return out;
}

}  // namespace

Value openapi_document(const std::vector<Route>& routes, const std::string& version) {
    const Value sets = parse_json(kFieldSets, "field sets"), errors = parse_json(kErrors, "errors");
    ValueMap paths;
    for (const Route& route : routes) {
        const std::string path = openapi_path(route.pattern);
        const Value* present = paths.find(path);
        ValueMap item = present != nullptr ? *present->get<ValueMap>() : ValueMap{};
        Value operation;
        try {
            operation = parse_json(route.operation, route.method + " " + route.pattern);
        } catch (const Error& error) {
            throw Error(ErrorKind::internal, error.message());
        }
        if (operation.get<ValueMap>() == nullptr) {
            throw Error(ErrorKind::internal,
                        fmt::format("{} {} has no operation for /openapi.json.", route.method, route.pattern));
        }
        const Value complete = with_fields(operation, *sets.get<ValueMap>());
        ValueMap described = *complete.get<ValueMap>();
        add_path_parameters(described, path);
        if (const Value* responses = described.find("responses")) {
            ValueMap all = *responses->get<ValueMap>();
            if (all.find("default") == nullptr) all.set("default", errors);
            described.set("responses", std::move(all));
        }
        described.set("x-role", role_name(route.role));
        if (route.role == Role::everyone) described.set("security", ValueList{});
        item.set(lower(route.method), std::move(described));
        paths.set(path, std::move(item));
    }
    ValueMap document;
    document.set("openapi", "3.1.0");
    document.set("info", ValueMap{{"title", "Freehold"}, {"version", version}});
    document.set("security", ValueList{ValueMap{{"key", ValueList{}}}});
    document.set("components",
                 ValueMap{{"securitySchemes", ValueMap{{"key", ValueMap{{"type", "http"}, {"scheme", "bearer"}}}}},
                          {"schemas", parse_json(kSchemas, "schemas")}});
    document.set("paths", std::move(paths));
    return document;
}

void add_openapi_route(std::vector<Route>& routes, const std::string& version) {
    Route route;
    route.method = "GET";
    route.pattern = "/openapi.json";
    route.role = Role::everyone;
    route.operation = R"json({"operationId": "openapi", "tags": ["System"], "summary": "This document",
"responses": {"200": {"description": "OpenAPI 3.1", "content": {"application/json": {"schema": {"type": "object"}}}}}})json";
    routes.push_back(std::move(route));
    const std::string text = to_json(openapi_document(routes, version));
    routes.back().handler = [text](const RequestPtr&, const ResponderPtr& responder) {
        responder->send(200, {{"Content-Type", "application/json"}}, text);
    };
}

}  // namespace freehold::server
