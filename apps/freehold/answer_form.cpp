// The form of an answer, from flags to a mask of tokens.
#include "answer_form.h"

#include <fmt/format.h>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/output/format.h"

namespace freehold::cli {
namespace {

constexpr std::size_t kLargest = std::size_t{16} << 20U;

std::string text_of(const std::string& value) {
    return value.starts_with('@') ? read_text(value.substr(1), kLargest) : value;
}

std::shared_ptr<const Grammar> compile(const AnswerFormFlags& flags) {
    if (!flags.json_schema.empty()) {
        return Grammar::from_json_schema_text(text_of(flags.json_schema), JsonSchemaOptions::serving());
    }
    if (!flags.regex.empty()) return Grammar::from_regex(text_of(flags.regex));
    if (!flags.grammar.empty()) return Grammar::from_gbnf(text_of(flags.grammar));
    return Grammar::from_choice(flags.choices);
}

}  // namespace

int AnswerFormFlags::asked() const {
    return int{!json_schema.empty()} + int{!regex.empty()} + int{!grammar.empty()} + int{!choices.empty()};
}

void add_answer_form_flags(CLI::App& app, AnswerFormFlags& flags) {
    constexpr const char* kGroup = "Form of the answer";
    app.add_option("--json-schema", flags.json_schema, "JSON of this schema; @FILE reads it from a file")
        ->type_name("SCHEMA")
        ->group(kGroup);
    app.add_option("--regex", flags.regex, "Text that matches this pattern (ECMA-262) as a whole")
        ->type_name("PATTERN")
        ->group(kGroup);
    app.add_option("--grammar", flags.grammar, "Text of this GBNF grammar; @FILE reads it from a file")
        ->type_name("GBNF")
        ->group(kGroup);
    app.add_option("--choice", flags.choices, "One of these texts; give it once for each")
        ->type_name("TEXT")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->group(kGroup);
}

std::shared_ptr<const Constraint> answer_form(const AnswerFormFlags& flags, const LoadedModel& model,
                                              std::optional<std::string_view> prompt) {
    if (flags.asked() == 0) return nullptr;
    if (flags.asked() > 1) {
        throw Error(ErrorKind::usage, "The answer is to have more than one form.",
                    "Give one of --json-schema, --regex, --grammar and --choice.");
    }
    auto grammar = compile(flags);
    const auto lead = prompt ? output::lead_of(output::format_of(model.template_sources()), *prompt, false)
                             : std::optional<output::Lead>();
    if (lead) {
        const std::vector<std::string> marks{lead->begin, lead->end, lead->otherwise};
        grammar = grammar->behind({lead->begin, lead->end, lead->begun, lead->otherwise,
                                   output::control_marks(model.need_tokenizer(), marks)});
    }
    return make_constraint(std::move(grammar), model.token_trie());
}

}  // namespace freehold::cli
