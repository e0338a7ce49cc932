// What the fields of a request ask of the form of its answer, as grammars that the engine's masks are made of.
#include <fmt/format.h>

#include "freehold/engine/constraint.h"
#include "freehold/engine/loaded_model.h"
#include "freehold/grammar/grammar.h"
#include "freehold/output/format.h"
#include "freehold/output/tools.h"
#include "freehold/server/errors.h"
#include "freehold/server/service.h"

namespace freehold::server {
namespace {

using Wish = Service::ConstraintWish;
using GrammarPtr = std::shared_ptr<const Grammar>;

JsonSchemaOptions options_of(bool strict) {
    JsonSchemaOptions options = JsonSchemaOptions::serving();
    options.closed_objects = options.pin_order = strict;
    return options;
}

GrammarPtr compile(const Wish& wish) {
    switch (wish.kind) {
        case Wish::Kind::json_object:
            return Grammar::json_object(options_of(false));
        case Wish::Kind::json_schema:
            return Grammar::from_json_schema(wish.schema, options_of(wish.strict));
        case Wish::Kind::regex:
            return Grammar::from_regex(wish.text);
        case Wish::Kind::grammar:
            return Grammar::from_gbnf(wish.text);
        case Wish::Kind::choice:
            return Grammar::from_choice(wish.choices);
    }
    return nullptr;
}

// A refusal is the client's to mend: it names the field, and the grammar's message the place in it.
[[noreturn]] void refuse(const Error& error, const std::string& param) {
    if (error.kind() == ErrorKind::internal || error.kind() == ErrorKind::out_of_memory) throw error;
    throw RequestError(400, error.kind(), error.message(), error.hint(), param, "invalid_schema");
}

void hold(Request& request, const LoadedModel& model, GrammarPtr grammar) {
    request.constraint = make_constraint(std::move(grammar), model.token_trie());
}

// Control tokens of the vocabulary that these texts hold: there the token itself is meant, not its letters.
std::vector<std::string> control_tokens(const Tokenizer& tokenizer, const std::vector<std::string>& texts) {
    std::vector<std::string> found;
    for (std::int32_t id = 0; id < tokenizer.size(); ++id) {
        const TokenInfo& info = tokenizer.token(id);
        if (info.kind != TokenInfo::Kind::control || info.text.empty()) continue;
        for (const auto& text : texts) {
            if (text.find(info.text) == std::string::npos) continue;
            found.push_back(info.text);
            break;
        }
    }
    return found;
}

void hold_to_tags(Request& request, const LoadedModel& model, const output::ToolTags& wanted) {
    const bool section = !wanted.section_begin.empty() || !wanted.section_end.empty();
    TagOptions options;
    options.triggers = wanted.at_least_one ? std::vector<std::string>() : wanted.triggers;
    options.at_least_one = wanted.at_least_one;
    // Where calls stand in a section of their own, it holds one.
    options.at_most_one = wanted.stop_after_first || section;
    options.separator = wanted.between;
    std::vector<TagFormat> tags;
    std::vector<std::string> texts = options.triggers;
    for (const auto& tag : wanted.tags) {
        TagFormat format;
        format.begin = wanted.section_begin + tag.begin;
        format.end = tag.end + wanted.section_end;
        if (!tag.schema.is_null()) format.schema = tag.schema;
        format.json = options_of(tag.strict);
        format.name = tag.name;
        texts.push_back(format.begin);
        texts.push_back(format.end);
        tags.push_back(std::move(format));
    }
    options.control_tokens = control_tokens(model.need_tokenizer(), texts);
    hold(request, model, Grammar::from_tags(tags, options));
}

}  // namespace

void enable_constraints(Service& service) {
    service.constraints = [](const Wish& wish) -> std::function<void(Request&, const LoadedModel&)> {
        try {
            return [grammar = compile(wish)](Request& request, const LoadedModel& model) {
                hold(request, model, grammar);
            };
        } catch (const Error& error) {
            refuse(error, wish.param);
        }
    };
    service.tools = [](const Service::ToolWish& wish) -> std::function<void(Request&, const LoadedModel&)> {
        return [wish](Request& request, const LoadedModel& model) {
            try {
                const auto tags = output::tool_tags(output::format_of(model), wish.tools, wish.choice, wish.parallel);
                if (tags) hold_to_tags(request, model, *tags);
            } catch (const RequestError&) {
                throw;
            } catch (const Error& error) {
                refuse(error, "tools");
            }
        };
    };
}

}  // namespace freehold::server
