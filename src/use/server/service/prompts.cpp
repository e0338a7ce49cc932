// Prompts of every kind to ids.
#include <fmt/format.h>

#include <algorithm>

#include "freehold/engine/chat.h"
#include "freehold/output/tools.h"
#include "freehold/server/errors.h"
#include "freehold/server/generation.h"

namespace freehold::server {
namespace {

bool has_tool_turns(const ValueList& messages) {
    return std::ranges::any_of(messages, [](const Value& message) {
        const auto* map = message.get<ValueMap>();
        const Value* role = map != nullptr ? map->find("role") : nullptr;
        return role != nullptr && (role->as_string() == "tool" || map->find("tool_calls") != nullptr);
    });
}

PromptFacts encode_messages(const LoadedModel& model, const ChatPrompt& chat) {
    TemplateInputs inputs;
    inputs.tools = chat.tools;
    inputs.extra = chat.kwargs;
    inputs.add_generation_prompt = chat.add_generation_prompt;
    PromptFacts facts;
    try {
        // A template that knows no tools would leave them out without a word: the system message tells of them.
        const bool tell = !chat.tools.empty() || has_tool_turns(chat.messages);
        const ValueList messages = tell && output::format_of(model.template_sources()).needs_prompt
                                       ? output::with_tool_prompt(chat.messages, chat.tools)
                                       : chat.messages;
        facts.text = chat.template_source.empty() ? render_chat(model, messages, inputs)
                                                  : render_chat(*ChatTemplate::parse(chat.template_source),
                                                                model.tokenizer().get(), messages, inputs);
    } catch (const Error& error) {
        // What the template says of these messages is the client's business; a template is part of the model, so a
        // broken one shows with any message.
        const bool limit = error.kind() == ErrorKind::limit;
        throw RequestError(400, limit ? ErrorKind::limit : ErrorKind::usage,
                           error.kind() == ErrorKind::unsupported
                               ? "This model has no chat template: it is a base model."
                               : fmt::format("The model's chat template refuses these messages: {}", error.message()),
                           error.kind() == ErrorKind::unsupported ? "Use /v1/completions with a text." : error.hint(),
                           "messages");
    }
    facts.text += chat.prefill;
    facts.ids = encode_chat(model, facts.text);
    return facts;
}

}  // namespace

PromptFacts encode_prompt(const LoadedModel& model, const Prompt& prompt) {
    if (const auto* chat = std::get_if<ChatPrompt>(&prompt)) return encode_messages(model, *chat);
    PromptFacts facts;
    if (const auto* text = std::get_if<TextPrompt>(&prompt)) {
        const Tokenizer& tokenizer = model.need_tokenizer();
        facts.text = text->text;
        facts.ids = tokenizer.encode(text->text, {text->add_special, text->parse_special});
        if (facts.ids.empty() && tokenizer.bos()) facts.ids.push_back(*tokenizer.bos());
    } else {
        facts.ids = std::get<IdsPrompt>(prompt);
    }
    if (facts.ids.empty()) {
        throw field_error("prompt", "The prompt has no tokens.", "Give at least one.");
    }
    return facts;
}

void check_thinking(const LoadedModel& model, const std::string& name, const Prompt& prompt) {
    const auto* chat = std::get_if<ChatPrompt>(&prompt);
    if (chat == nullptr || chat->thinking_field.empty()) return;
    const auto knows = [](const std::string& source) {
        return source.find("think") != std::string::npos || source.find("reasoning") != std::string::npos;
    };
    const bool can =
        chat->template_source.empty()
            ? std::ranges::any_of(model.template_sources(), [&](const auto& one) { return knows(one.second); })
            : knows(chat->template_source);
    if (can) return;
    throw field_error(chat->thinking_field, fmt::format("\"{}\" does not support thinking.", name),
                      fmt::format("Leave {} out, or ask a model that thinks.", chat->thinking_field));
}

std::string token_bytes(const Tokenizer& tokenizer, Token id) {
    return tokenizer.piece(id, true);
}

}  // namespace freehold::server
