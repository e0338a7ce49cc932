// What the keywords of one schema ask of a value, type by type, when the schema must hold.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "freehold/base/error.h"
#include "regex_parse.h"
#include "schema.h"

namespace freehold::grammar {

Key SchemaCompiler::joined(const Key& a, const Key& b) {
    if (a == Key{kNever} || b == Key{kNever}) return {kNever};
    Key out;
    std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
    return out;
}

Key SchemaCompiler::key_of(std::uint32_t at, const Value& schema, const std::string& tokens) {
    if (const auto flag = schema.as_bool(); flag && schema.get<bool>() != nullptr) return *flag ? Key{} : Key{kNever};
    const auto* map = schema.get<ValueMap>();
    if (map == nullptr) malformed(at, tokens.substr(1), "a schema (an object, true or false)");
    if (map->empty()) return {};
    return {2 * child(at, schema, tokens)};
}

Rx SchemaCompiler::pattern(std::uint32_t at, std::string_view keyword, std::string_view text) {
    if (const auto found = patterns_.find(text); found != patterns_.end()) return found->second;
    try {
        const Rx r = parse_pattern(program_.regexes, text, PatternUse::search);
        patterns_.emplace(std::string(text), r);
        return r;
    } catch (const Error& e) {
        throw Error(
            e.kind(),
            fmt::format("The schema at {} has the {} \"{}\": {}", places_[at].pointer, keyword, text, e.message()),
            e.hint());
    }
}

namespace {

std::uint32_t count_of(const Value& v, bool& ok) {
    const auto d = v.as_double();
    ok = d && v.get<bool>() == nullptr && *d >= 0 && *d == std::floor(*d);
    if (!ok) return 0;
    return *d > 4e9 ? kNone - 1 : static_cast<std::uint32_t>(*d);
}

}  // namespace

#define FREEHOLD_COUNT(name, target, better)                   \
    if (const Value* v = s.find(name)) {                       \
        bool ok = false;                                       \
        const std::uint32_t n = count_of(*v, ok);              \
        if (!ok) malformed(at, name, "a whole number from 0"); \
        f.target = std::better(f.target, n);                   \
    }

void SchemaCompiler::hold_types(Flat& f, std::uint32_t at, const ValueMap& s) const {
    const Value* type = s.find("type");
    if (type == nullptr) return;
    std::vector<std::string> names;
    if (const auto* one = type->get<std::string>()) {
        names.push_back(*one);
    } else if (const auto* many = type->get<ValueList>()) {
        for (const Value& v : *many) {
            if (v.get<std::string>() == nullptr) malformed(at, "type", "a name or a list of names");
            names.push_back(*v.get<std::string>());
        }
    } else {
        malformed(at, "type", "a name or a list of names");
    }
    std::uint8_t types = 0;
    bool integer = false;
    for (const std::string& n : names) {
        if (n == "null") {
            types |= Flat::null;
        } else if (n == "boolean") {
            types |= Flat::yes | Flat::no;
        } else if (n == "number") {
            types |= Flat::number;
        } else if (n == "integer") {
            integer = true;
        } else if (n == "string") {
            types |= Flat::string;
        } else if (n == "array") {
            types |= Flat::array;
        } else if (n == "object") {
            types |= Flat::object;
        } else if (n == "any" && draft_ == Draft::d3) {
            types |= Flat::every;
        } else {
            malformed(at, "type", "null, boolean, number, integer, string, array or object");
        }
    }
    if (integer && (types & Flat::number) == 0) {
        types |= Flat::number;
        NumberRule whole;
        whole.step = make_decimal("1");
        whole.plain = draft_ == Draft::d3 || draft_ == Draft::d4;  // there 1.0 is no integer
        f.numbers = meet(f.numbers, whole);
    }
    f.types &= types;
}

void SchemaCompiler::hold_numbers(Flat& f, std::uint32_t at, const ValueMap& s) const {
    NumberRule rule;
    const auto bound = [&](const char* name) -> std::optional<Decimal> {
        const Value* v = s.find(name);
        if (v == nullptr) return std::nullopt;
        const auto d = as_decimal(*v);
        if (!d) malformed(at, name, "a number");
        return d;
    };
    const auto flag = [&](const char* name) {
        const Value* v = s.find(name);
        return v != nullptr && v->get<bool>() != nullptr && *v->get<bool>();
    };
    const auto is_flag = [&](const char* name) {
        const Value* v = s.find(name);
        return v != nullptr && v->get<bool>() != nullptr;
    };
    rule.least = bound("minimum");
    rule.most = bound("maximum");
    // Draft 4 has booleans beside minimum and maximum, later ones numbers of their own.
    rule.above = rule.least && flag("exclusiveMinimum");
    rule.below = rule.most && flag("exclusiveMaximum");
    f.numbers = meet(f.numbers, rule);
    NumberRule open;
    if (!is_flag("exclusiveMinimum")) open.least = bound("exclusiveMinimum");
    if (!is_flag("exclusiveMaximum")) open.most = bound("exclusiveMaximum");
    open.above = open.least.has_value();
    open.below = open.most.has_value();
    f.numbers = meet(f.numbers, open);
    for (const char* name : {"multipleOf", "divisibleBy"}) {
        if (name[0] == 'd' && draft_ != Draft::d3) continue;
        const auto step = bound(name);
        if (!step) continue;
        if (step->zero() || step->negative) malformed(at, name, "above 0");
        NumberRule steps;
        steps.step = step;
        const bool had = f.numbers.step.has_value();
        f.numbers = meet(f.numbers, steps);
        if (had && !f.numbers.step) refuse(at, name, "the common multiples have too many digits");
    }
}

void SchemaCompiler::hold_strings(Flat& f, std::uint32_t at, const ValueMap& s) {
    FREEHOLD_COUNT("minLength", least_length, max)
    FREEHOLD_COUNT("maxLength", most_length, min)
    if (const Value* v = s.find("pattern")) {
        const auto* text = v->get<std::string>();
        if (text == nullptr) malformed(at, "pattern", "a string");
        if ((f.types & Flat::string) != 0) f.patterns.push_back(pattern(at, "pattern", *text));
    }
    if (const Value* v = s.find("format")) {
        const auto* text = v->get<std::string>();
        if (text != nullptr && (f.types & Flat::string) != 0) {
            if (const auto r = format(at, *text)) f.patterns.push_back(*r);
        }
    }
}

std::optional<Rx> SchemaCompiler::format(std::uint32_t at, std::string_view name) {
    const KnownFormat known = known_format(name);
    if (!known.known) {
        const std::string note = fmt::format("format \"{}\" is a note only (no standard defines it)", name);
        if (std::find(notes_.begin(), notes_.end(), note) == notes_.end()) notes_.push_back(note);
        return std::nullopt;
    }
    if (known.pattern.empty()) {
        throw Error(
            ErrorKind::unsupported,
            fmt::format("The schema at {} asks for the format \"{}\", which cannot be checked while text is made.",
                        places_[at].pointer, name),
            "Leave the format out (a name that no standard has, such as \"any-" + std::string(name) +
                "\", is taken as a note) or give a pattern, and check the answer afterwards.");
    }
    Rx r = pattern(at, "format", known.pattern);
    if (name == "hostname" || name == "email") {
        // Labels have at most 63 characters by the pattern; a name has at most 253.
        const std::uint32_t most = name == "email" ? 320 : 253;
        r = program_.regexes.both({r, program_.regexes.rep(program_.regexes.any(), 0, most)});
    }
    return r;
}

void SchemaCompiler::hold_arrays(Flat& f, std::uint32_t at, const ValueMap& s) {
    FREEHOLD_COUNT("minItems", least_items, max)
    FREEHOLD_COUNT("maxItems", most_items, min)
    if ((f.types & Flat::array) == 0) return;
    Flat::Items items;
    bool any = false;
    const Value* first = s.find("prefixItems");
    const Value* rest = s.find("items");
    const char* rest_name = "items";
    const char* first_name = "prefixItems";
    if (rest != nullptr && rest->get<ValueList>() != nullptr) {
        // Before 2020-12: `items` is the list and `additionalItems` the rest.
        first = rest;
        first_name = "items";
        rest = s.find("additionalItems");
        rest_name = "additionalItems";
    }
    if (first != nullptr) {
        const auto* list = first->get<ValueList>();
        if (list == nullptr) malformed(at, first_name, "a list of schemas");
        for (std::size_t i = 0; i < list->size(); ++i) {
            items.first.push_back(key_of(at, (*list)[i], fmt::format("/{}/{}", first_name, i)));
        }
        any = true;
    }
    if (rest != nullptr) {
        items.rest = key_of(at, *rest, fmt::format("/{}", rest_name));
        any = true;
    }
    if (any) f.items.push_back(std::move(items));
    if (const Value* what = s.find("contains")) {
        Flat::Contains c;
        c.what = key_of(at, *what, "/contains");
        if (const Value* v = s.find("minContains")) {
            bool ok = false;
            c.least = count_of(*v, ok);
            if (!ok) malformed(at, "minContains", "a whole number from 0");
        }
        if (const Value* v = s.find("maxContains")) {
            bool ok = false;
            c.most = count_of(*v, ok);
            if (!ok) malformed(at, "maxContains", "a whole number from 0");
        }
        if (c.least > 0 || c.most != kNone) f.contains.push_back(std::move(c));
    }
    if (const Value* v = s.find("uniqueItems"); v != nullptr && v->get<bool>() != nullptr) {
        f.distinct = f.distinct || *v->get<bool>();
    }
}

// The schema of unevaluatedProperties or unevaluatedItems, where it says something: alone it is what
// additionalProperties or items are, for what they leave.
const Value* SchemaCompiler::unevaluated(std::uint32_t at, const ValueMap& s, const char* name) const {
    const Value* v = s.find(name);
    if (v == nullptr || (v->get<bool>() != nullptr && *v->get<bool>())) return nullptr;
    for (const char* other :
         {"allOf", "anyOf", "oneOf", "if", "$ref", "$dynamicRef", "dependentSchemas", "not", "contains"}) {
        if (s.find(other) != nullptr)
            refuse(at, name, fmt::format("beside {} it depends on how the value matched", other));
    }
    return v;
}

// Whether the schema at this place says all that there is to say of an object's properties: nothing beside it, and no
// schema around it, is for the same object.
bool SchemaCompiler::stands_alone(std::uint32_t at) const {
    const auto speaks = [](const Value& schema, std::initializer_list<const char*> names) {
        const auto* map = schema.get<ValueMap>();
        return map != nullptr && std::ranges::any_of(names, [&](const char* n) { return map->find(n) != nullptr; });
    };
    if (speaks(*places_[at].schema, {"allOf", "anyOf", "oneOf", "if", "$ref", "$dynamicRef", "dependentSchemas"}) &&
        speaks(*places_[at].schema, {"properties"})) {
        return false;
    }
    const std::string_view pointer = places_[at].pointer;
    const auto last = pointer.rfind('/');
    if (last == std::string_view::npos || last == 0) return true;
    const auto before = pointer.rfind('/', last - 1);
    const std::string_view token = pointer.substr(last + 1);
    const std::string_view above = pointer.substr(before == std::string_view::npos ? 0 : before + 1,
                                                  last - (before == std::string_view::npos ? 0 : before + 1));
    const bool named =
        above == "properties" || above == "patternProperties" || above == "$defs" || above == "definitions";
    if (above == "allOf" || above == "dependentSchemas") return false;
    if (!named && (token == "if" || token == "then" || token == "else" || token == "not")) return false;
    if (above != "anyOf" && above != "oneOf") return true;
    const std::string_view parent = pointer.substr(0, before == std::string_view::npos ? 0 : before);
    return std::ranges::none_of(
        places_, [&](const Place& place) { return place.pointer == parent && speaks(*place.schema, {"properties"}); });
}

void SchemaCompiler::hold_objects(Flat& f, std::uint32_t at, const ValueMap& s) {
    if (const Value* v = unevaluated(at, s, "unevaluatedItems");
        v != nullptr && s.find("items") == nullptr && (f.types & Flat::array) != 0) {
        if (s.find("prefixItems") != nullptr && !f.items.empty()) {
            f.items.back().rest = key_of(at, *v, "/unevaluatedItems");
        } else {
            f.items.push_back({{}, key_of(at, *v, "/unevaluatedItems")});
        }
    }
    FREEHOLD_COUNT("minProperties", least_properties, max)
    FREEHOLD_COUNT("maxProperties", most_properties, min)
    if ((f.types & Flat::object) == 0) return;
    // Only names that the schema gives are kept from coming twice, so only these can be counted on.
    const auto list_size = [&](const char* name) {
        const Value* v = s.find(name);
        return v == nullptr ? std::size_t{0} : v->size();
    };
    const Value* const others = s.find("additionalProperties");
    const Value* const patterns = s.find("patternProperties");
    const bool open =
        patterns != nullptr || others == nullptr || others->get<bool>() == nullptr || *others->get<bool>();
    if (const Value* least = s.find("minProperties");
        least != nullptr && open && !(options_.closed_objects && others == nullptr) &&
        least->as_int().value_or(0) > static_cast<std::int64_t>(std::max<std::size_t>(1, list_size("required")))) {
        refuse(at, "minProperties", "names that the schema does not give could come twice; give them in required");
    }
    Flat::Properties p;
    bool any = false;
    if (const Value* v = s.find("properties")) {
        const auto* map = v->get<ValueMap>();
        if (map == nullptr) malformed(at, "properties", "an object");
        for (const auto& [name, schema] : *map) {
            p.named.emplace_back(code_points(name, "A property name"),
                                 key_of(at, schema, "/properties/" + escaped_pointer_token(name)));
            const auto* below = schema.get<ValueMap>();
            const Value* needed = below != nullptr ? below->find("required") : nullptr;
            if (needed != nullptr && needed->get<bool>() != nullptr && *needed->get<bool>() && draft_ == Draft::d3) {
                f.required.insert(p.named.back().first);
            }
        }
        any = true;
    }
    if (const Value* v = s.find("patternProperties")) {
        const auto* map = v->get<ValueMap>();
        if (map == nullptr) malformed(at, "patternProperties", "an object");
        for (const auto& [name, schema] : *map) {
            p.patterns.emplace_back(pattern(at, "patternProperties", name),
                                    key_of(at, schema, "/patternProperties/" + escaped_pointer_token(name)));
        }
        any = true;
    }
    if (const Value* v = s.find("additionalProperties")) {
        p.additional = key_of(at, *v, "/additionalProperties");
        any = true;
    } else if (options_.closed_objects && stands_alone(at)) {
        const Value* type = s.find("type");
        const auto* name = type != nullptr ? type->get<std::string>() : nullptr;
        if (s.find("properties") != nullptr || (name != nullptr && *name == "object")) {
            p.additional = {kNever};
            any = true;
        }
    }
    if (const Value* v = unevaluated(at, s, "unevaluatedProperties");
        v != nullptr && s.find("additionalProperties") == nullptr) {
        p.additional = key_of(at, *v, "/unevaluatedProperties");
        any = true;
    }
    if (any) f.properties.push_back(std::move(p));
    if (const Value* v = s.find("required")) {
        if (const auto* list = v->get<ValueList>()) {
            for (const Value& name : *list) {
                if (name.get<std::string>() == nullptr) malformed(at, "required", "a list of names");
                f.required.insert(code_points(*name.get<std::string>(), "A property name"));
            }
        } else if (v->get<bool>() == nullptr || draft_ != Draft::d3) {
            malformed(at, "required", "a list of names");
        }
    }
    if (const Value* v = s.find("propertyNames")) {
        Key k = key_of(at, *v, "/propertyNames");
        if (!k.empty()) f.names.push_back(std::move(k));
    }
}

#undef FREEHOLD_COUNT

}  // namespace freehold::grammar
