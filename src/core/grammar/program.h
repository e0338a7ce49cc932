// A compiled grammar: terminals (regular), rules over them, and the frames of JSON objects and arrays with what they
// must remember. Immutable; an Automaton runs it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "language.h"
#include "number.h"

namespace freehold::grammar {

constexpr std::uint32_t kNone = 0xFFFFFFFF;

// What one symbol of the text may be.
struct Terminal {
    enum class Kind : std::uint8_t {
        text,     // a regular language as it stands
        string,   // a JSON string whose value is in a regular language
        words,    // a JSON string whose value is one of a list
        key,      // a JSON string that an object takes as its next key
        number,   // a JSON number
        literal,  // these bytes
    } kind = Kind::literal;
    bool blanks = false;    // JSON whitespace may stand before it
    std::uint32_t arg = 0;  // text, string: term; words, key: index of the list or object; number: rule; literal: index
};

struct Op {
    enum class Kind : std::uint8_t { terminal, call, end, object, array } kind = Kind::end;
    std::uint32_t arg = 0;
};

struct Rule {
    std::vector<std::uint32_t> starts;  // where its alternatives begin in `code`; each ends with Op end
    bool nullable = false;
    std::uint32_t rank = 0;  // a rule is entered from rules of lower rank only, when both begin at one place
    std::string name;        // for messages
};

struct WordList {
    std::vector<std::u32string> words;  // sorted
};

// Keys may come in any order; a named key comes once.
struct ObjectShape {
    std::uint32_t words = 0;              // list of names
    std::uint32_t key_terminal = 0;       // a terminal of kind key for this shape
    std::vector<std::uint32_t> values;    // [name] rule of its value; kNone: must not come
    std::vector<std::uint64_t> required;  // bit per name
    std::vector<std::uint32_t> order;     // [name] place in the schema
    bool pinned = false;                  // names come in that order, before all others
    struct Others {
        Rx keys;              // a language of keys
        std::uint32_t value;  // rule
        bool hit = false;     // counts for needs_hit
    };
    std::vector<Others> others;             // disjoint
    std::uint32_t least = 0, most = kNone;  // properties
    bool needs_hit = false;                 // one of the keys marked as hit must come
    std::vector<std::uint64_t> hits;        // bit per name
};

struct ArrayShape {
    std::vector<std::uint32_t> first;  // rules of the first items
    std::uint32_t rest = kNone;        // rule of the others; kNone: there are none
    std::uint32_t least = 0, most = kNone;
    // Items that must be found: with `counted`, item rules come in pairs (does not match, matches).
    bool counted = false;
    std::vector<std::uint32_t> first_hit;
    std::uint32_t rest_hit = kNone;
    std::uint32_t least_hits = 0, most_hits = kNone;
    // All different: `rest` is unused, item i of `choices` once.
    bool distinct = false;
    std::vector<std::uint32_t> choices;
};

struct Program {
    Regexes regexes;
    std::vector<Terminal> terminals;
    std::vector<Op> code;
    std::vector<Rule> rules;
    std::vector<NumberRule> numbers;
    std::vector<WordList> lists;
    std::vector<ObjectShape> objects;
    std::vector<ArrayShape> arrays;
    std::vector<std::string> literals;
    std::uint32_t root = 0;
    std::uint32_t blanks = kNone;  // JSON whitespace in a row; kNone: no bound
    bool plain_escapes = false;    // see JsonSchemaOptions
    // Terminals that the frames use; made by the constructor.
    std::uint32_t json_open_object, json_close_object, json_open_array, json_close_array, json_comma, json_colon;

    Program();

    std::uint32_t terminal(const Terminal& t);
    std::uint32_t literal(std::string_view text, bool blanks_before);  // a terminal
    std::uint32_t number(const NumberRule& rule);                      // index
    std::uint32_t rule(std::string name);                              // a new one, without alternatives
    void alternative(std::uint32_t rule_index, std::vector<Op> ops);   // `end` is added
    // Works out what is nullable and the ranks. Error{unsupported} naming a left-recursive rule.
    void settle();
    [[nodiscard]] bool nullable(const Op& op) const;
};

}  // namespace freehold::grammar
