// What an answer may be: compiled from a JSON Schema, a regular expression, a GBNF grammar, a list of choices, or text
// with tags (calls of tools). What cannot be honoured is refused with a reason, never ignored. Immutable, shared.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/base/value.h"

namespace freehold {

namespace grammar {
struct Program;
class Runner;
}  // namespace grammar

// How long compiling may take; over: Error{limit}. Depth, sizes and steps have fixed bounds beside it.
struct GrammarLimits {
    std::chrono::milliseconds time{5000};
};

struct JsonSchemaOptions {
    // Whitespace characters in a row between the parts of the JSON; nothing: no bound (any JSON text of the schema is
    // let through). A bound keeps a model from writing blanks for ever.
    std::optional<int> blanks;
    // Properties that the schema names come in its order, before all others. Off: any order.
    bool pin_order = false;
    // Objects whose schema says nothing of additionalProperties take none (OpenAI's strict mode). Off: as the standard.
    bool closed_objects = false;
    // Numbers without exponent, and integers without ".0". Off: every way of writing a number that fits.
    bool plain_numbers = false;
    // In strings only quotes, backslashes and control characters are escaped ("\u0041" for "A" is not let through).
    // Off: every escape of RFC 8259.
    bool plain_escapes = false;
    // For answers of a model: 8 blanks, plain numbers, plain escapes.
    [[nodiscard]] static JsonSchemaOptions serving();
    GrammarLimits limits;
};

// One kind of tagged stretch: `begin`, then what `content` says, then `end`.
struct TagFormat {
    std::string begin, end;       // e.g. "<tool_call>\n{\"name\": \"f\", \"arguments\": " and "}\n</tool_call>"
    std::optional<Value> schema;  // the content is JSON of this schema; nothing: any JSON object
    JsonSchemaOptions json = JsonSchemaOptions::serving();
    std::string name;  // of the tool, for messages
};
struct TagOptions {
    // Free text may stand before and between tags; a tag begins where one of these appears. Each `begin` must start
    // with one of them. Empty: there is no free text.
    std::vector<std::string> triggers;
    bool at_least_one = false;  // the answer may not end without a tag (tool_choice "required")
    bool at_most_one = false;   // the answer ends with the first tag (no parallel calls)
    std::string separator;      // between tags that follow each other without free text
    // Texts of control tokens of the vocabulary: where they stand in triggers, begin or end, the token itself is meant.
    std::vector<std::string> control_tokens;
    GrammarLimits limits;
};

// What may stand before an answer that is held to a form: free text between two marks (thinking).
struct LeadFormat {
    std::string begin, end;  // free text from `begin` to the first `end`; blanks may follow
    bool begun = false;      // the prompt holds `begin` already: the answer starts inside
    std::string otherwise;   // without free text this stands before the answer
    // As for tags.
    std::vector<std::string> control_tokens;
};

class Grammar {
 public:
    // Drafts 4 to 2020-12, told apart by their keywords. `serving`-options for answers of a model, the default for
    // checking texts. Throws Error{usage} for what is no schema and Error{unsupported} for what cannot be honoured;
    // the message names the JSON pointer and the keyword. Error{limit}: too large, too deep, too slow to compile.
    [[nodiscard]] static std::shared_ptr<const Grammar> from_json_schema(const Value& schema,
                                                                         const JsonSchemaOptions& options = {});
    [[nodiscard]] static std::shared_ptr<const Grammar> from_json_schema_text(std::string_view json,
                                                                              const JsonSchemaOptions& options = {});
    // Any JSON object (response_format json_object).
    [[nodiscard]] static std::shared_ptr<const Grammar> json_object(const JsonSchemaOptions& options = {});
    // ECMA-262; the whole answer matches.
    [[nodiscard]] static std::shared_ptr<const Grammar> from_regex(std::string_view pattern,
                                                                   const GrammarLimits& limits = {});
    // llama.cpp's GBNF; the rule `root` is the answer. Left recursion is refused, as there.
    [[nodiscard]] static std::shared_ptr<const Grammar> from_gbnf(std::string_view text,
                                                                  const GrammarLimits& limits = {});
    // One of these texts.
    [[nodiscard]] static std::shared_ptr<const Grammar> from_choice(std::span<const std::string> choices);
    // Free text and tags. An error in the schema of one tag names that tag.
    [[nodiscard]] static std::shared_ptr<const Grammar> from_tags(std::span<const TagFormat> tags,
                                                                  const TagOptions& options);

    // The lead, then an answer of this grammar. Throws Error{usage} where the lead has no end.
    [[nodiscard]] std::shared_ptr<const Grammar> behind(const LeadFormat& lead) const;

    // Things that were taken as a note only, e.g. a format that no standard defines; for a log or a header.
    [[nodiscard]] const std::vector<std::string>& notes() const noexcept { return notes_; }
    // Does this text match from end to end? (Tests, and checks without a model.)
    [[nodiscard]] bool matches(std::string_view text) const;
    // How many bytes of this text could begin an answer.
    [[nodiscard]] std::size_t viable_prefix(std::string_view text) const;

    ~Grammar();
    Grammar(const Grammar&) = delete;
    Grammar& operator=(const Grammar&) = delete;

 private:
    friend class Matcher;
    explicit Grammar(std::shared_ptr<const grammar::Program> program, std::vector<std::string> notes = {});
    std::shared_ptr<const grammar::Program> program_;
    std::vector<std::string> notes_;
    std::shared_ptr<grammar::Runner> runner_;  // states found so far, shared by the matchers, under its lock
};

}  // namespace freehold
