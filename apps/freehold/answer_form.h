// What `run` may be told of the form of an answer: a JSON schema, a pattern, a grammar, a list of choices.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/engine/constraint.h"
#include "freehold/engine/loaded_model.h"

namespace freehold::cli {

struct AnswerFormFlags {
    std::string json_schema, regex, grammar;  // text, or @ and the name of a file
    std::vector<std::string> choices;
    [[nodiscard]] int asked() const;  // how many forms
};
void add_answer_form_flags(CLI::App& app, AnswerFormFlags& flags);

// Null: the answer is free. `prompt`: as rendered by a chat template, so that a model's thinking may come first;
// nothing for plain text. Throws Error{usage} for more than one form, and what the grammar says of its source.
[[nodiscard]] std::shared_ptr<const Constraint> answer_form(const AnswerFormFlags& flags, const LoadedModel& model,
                                                            std::optional<std::string_view> prompt);

}  // namespace freehold::cli
