// A JSON Schema as a set of places ("this schema must hold", "that one must not") and the plain shapes they come to.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "freehold/grammar/grammar.h"
#include "number.h"
#include "program.h"

namespace freehold::grammar {

// A schema that must hold or, with the lowest bit set, must not: 2 * place + negated.
using Atom = std::uint32_t;
using Key = std::vector<Atom>;  // all of them hold; sorted, unique. {kNever}: nothing does. {}: anything.
constexpr Atom kNever = 0xFFFFFFFE;

// One alternative of a schema: what must hold for a value of each type that it may have.
struct Flat {
    enum Type : std::uint8_t {
        null = 1,
        yes = 2,
        no = 4,
        number = 8,
        string = 16,
        array = 32,
        object = 64,
        every = 127
    };
    std::uint8_t types = every;

    NumberRule numbers;

    std::optional<std::set<std::u32string>> words;
    std::set<std::u32string> not_words;
    std::vector<Rx> patterns;
    std::uint32_t least_length = 0, most_length = kNoBound;

    struct Items {  // of one schema: places of the first items, place of the rest
        std::vector<Key> first;
        Key rest;
    };
    std::vector<Items> items;
    std::uint32_t least_items = 0, most_items = kNone;
    struct Contains {
        Key what;
        std::uint32_t least = 1, most = kNone;
    };
    std::vector<Contains> contains;
    bool distinct = false;

    struct Properties {  // of one schema: what `additional` means depends on its neighbours
        std::vector<std::pair<std::u32string, Key>> named;
        std::vector<std::pair<Rx, Key>> patterns;
        Key additional;
    };
    std::vector<Properties> properties;
    std::set<std::u32string> required, forbidden;
    std::vector<Key> names;  // propertyNames
    std::uint32_t least_properties = 0, most_properties = kNone;
    std::optional<std::size_t> another;  // a key is needed that properties[i] calls additional
};

// "/" and the name as a JSON pointer has it (RFC 6901).
[[nodiscard]] std::string escaped_pointer_token(std::string_view token);

class SchemaCompiler {
 public:
    SchemaCompiler(Program& program, const JsonSchemaOptions& options, std::vector<std::string>& notes);
    // The rule of a whole schema; the compiler keeps a copy of it. `where` stands before pointers in messages.
    std::uint32_t compile(const Value& schema, std::string where = "#");

 private:
    struct Place {
        const Value* schema;
        std::string pointer;
        const Value* root;  // of the resource it belongs to
        std::string base;   // URI of that resource
    };
    enum class Draft : std::uint8_t { d3, d4, d6, d7, d2019, d2020, unknown };

    // schema_index.cpp: names of schemas, references.
    void index(const Value& root);
    std::uint32_t place_of(const Value& schema, const std::string& pointer, const Value* root, const std::string& base);
    std::uint32_t child(std::uint32_t parent, const Value& schema, const std::string& tokens);
    std::uint32_t resolve(std::uint32_t from, const std::string& reference, const char* keyword);
    void refuse_circle(std::uint32_t at);
    [[nodiscard]] const Value* unevaluated(std::uint32_t at, const ValueMap& s, const char* name) const;
    [[nodiscard]] bool stands_alone(std::uint32_t at) const;
    void check_exact(std::uint32_t at, const Value& number) const;
    [[noreturn]] void refuse(std::uint32_t at, std::string_view keyword, const std::string& why) const;
    [[noreturn]] void malformed(std::uint32_t at, std::string_view keyword, const std::string& must) const;

    // schema_expand.cpp: places to alternatives.
    struct Branch {
        Flat flat;
        std::vector<Atom> pending;
        std::set<Atom> seen;
    };
    const std::vector<Flat>& expand(const Key& key);
    void apply(Branch branch, Atom atom, std::vector<Branch>& out);
    void hold(Branch branch, std::uint32_t at, std::vector<Branch>& out);
    void fail(Branch branch, std::uint32_t at, std::vector<Branch>& out);
    void hold_types(Flat& f, std::uint32_t at, const ValueMap& s) const;
    void hold_numbers(Flat& f, std::uint32_t at, const ValueMap& s) const;
    void hold_strings(Flat& f, std::uint32_t at, const ValueMap& s);
    void hold_arrays(Flat& f, std::uint32_t at, const ValueMap& s);
    void hold_objects(Flat& f, std::uint32_t at, const ValueMap& s);
    void hold_values(Branch& b, std::uint32_t at, const std::vector<const Value*>& values, std::vector<Atom>& literals);
    [[nodiscard]] Key key_of(std::uint32_t at, const Value& schema, const std::string& tokens);
    [[nodiscard]] std::uint32_t literal_place(std::uint32_t at, const Value& value);
    [[nodiscard]] Rx pattern(std::uint32_t at, std::string_view keyword, std::string_view text);
    [[nodiscard]] std::optional<Rx> format(std::uint32_t at, std::string_view name);
    [[nodiscard]] bool never(const Key& key, int depth);
    [[nodiscard]] bool never(const Flat& f, int depth);
    [[nodiscard]] bool prune(Flat& f);
    [[nodiscard]] Key property_key(const Flat& f, const std::u32string& name);
    [[nodiscard]] Rx language(const Flat& f);
    [[nodiscard]] static Key joined(const Key& a, const Key& b);
    void tick();

    // schema_rules.cpp: alternatives to rules.
    std::uint32_t rule_of(const Key& key);
    void build(std::uint32_t rule, const Key& key);
    std::optional<std::uint32_t> object_shape(const Flat& f, const std::string& name);
    std::optional<std::uint32_t> array_shape(const Flat& f, const std::string& name);
    [[nodiscard]] Rx key_language(const Key& key);
    void remove_endless();

    Program& program_;
    const JsonSchemaOptions& options_;
    std::vector<std::string>& notes_;
    std::chrono::steady_clock::time_point deadline_;
    std::size_t work_ = 0;
    std::string where_;
    Draft draft_ = Draft::unknown;
    std::deque<Value> owned_;
    std::vector<Place> places_;
    std::unordered_map<const Value*, std::uint32_t> place_index_;
    std::map<std::string, std::uint32_t> uris_;  // with a fragment for anchors
    std::map<std::pair<const Value*, int>, std::uint32_t> literals_;
    std::map<Key, std::vector<Flat>> expanded_;
    std::map<std::pair<Key, int>, bool> never_;
    std::set<Key> never_open_;
    std::map<Key, std::uint32_t> rules_;
    std::vector<std::pair<std::uint32_t, Key>> to_build_;
    std::map<std::string, Rx, std::less<>> patterns_;
    int depth_ = 0;
};

// What a format that is asserted allows: a pattern; nothing for a format that is only a note. Error-free.
struct KnownFormat {
    bool known = false;        // a standard names it
    std::string_view pattern;  // "" when it is known and cannot be honoured
};
[[nodiscard]] KnownFormat known_format(std::string_view name);

}  // namespace freehold::grammar
