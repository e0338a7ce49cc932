// Conversations: what a template sees, and one turn after the other.
#include "freehold/engine/chat.h"

#include <fmt/format.h>

#include <ctime>

namespace freehold {

namespace {

std::string_view role_of(const Value& message) {
    const auto* map = message.get<ValueMap>();
    const Value* role = map != nullptr ? map->find("role") : nullptr;
    return role != nullptr ? role->as_string().value_or("") : std::string_view{};
}

std::string special_text(const Tokenizer* tokenizer, const std::optional<std::int32_t>& id) {
    return tokenizer != nullptr && id ? tokenizer->token(*id).text : std::string{};
}

}  // namespace

Value chat_message(std::string_view role, std::string_view content) {
    return ValueMap{{"role", Value(std::string(role))}, {"content", Value(std::string(content))}};
}

std::string render_chat(const ChatTemplate& chat_template, const Tokenizer* tokenizer, const ValueList& messages,
                        const TemplateInputs& inputs) {
    ValueMap context;
    context.set("messages", messages);
    // As transformers passes them: none when there are none.
    context.set("tools", inputs.tools.empty() ? Value() : Value(inputs.tools));
    context.set("documents", Value());
    context.set("add_generation_prompt", Value(inputs.add_generation_prompt));
    const auto special = [&](const char* name, std::optional<std::int32_t> id) {
        if (tokenizer == nullptr || id) context.set(name, Value(special_text(tokenizer, id)));
    };
    using Id = std::optional<std::int32_t>;
    special("bos_token", tokenizer != nullptr ? tokenizer->bos() : Id{});
    special("eos_token", tokenizer != nullptr ? tokenizer->eos() : Id{});
    special("unk_token", tokenizer != nullptr ? tokenizer->unk() : Id{});
    special("pad_token", tokenizer != nullptr ? tokenizer->pad() : Id{});
    for (const ValueEntry& e : inputs.extra) context.set(e.key, e.value);
    return chat_template.render(context, inputs.now.value_or(static_cast<std::int64_t>(std::time(nullptr))));
}

std::string render_chat(const LoadedModel& model, const ValueList& messages, const TemplateInputs& inputs) {
    std::string name = inputs.template_name;
    if (name.empty())
        name = !inputs.tools.empty() && model.template_sources().contains("tool_use") ? "tool_use" : "default";
    const auto chat_template = model.chat_template(name);
    if (!chat_template) {
        if (model.template_sources().empty()) {
            throw Error(ErrorKind::unsupported,
                        fmt::format("{} has no chat template: it is a base model.", model.path().string()),
                        "Let it complete a text with `freehold run MODEL \"Once upon a time\"`, or give a template of "
                        "your own.");
        }
        std::string names;
        for (const auto& [n, source] : model.template_sources()) names += (names.empty() ? "" : ", ") + n;
        throw Error(ErrorKind::not_found, fmt::format("The model has no chat template named {}.", name),
                    fmt::format("It has: {}.", names));
    }
    return render_chat(*chat_template, model.tokenizer().get(), messages, inputs);
}

std::vector<Token> encode_chat(const LoadedModel& model, std::string_view rendered) {
    const Tokenizer& tokenizer = model.need_tokenizer();
    std::vector<Token> ids = tokenizer.encode(rendered, {false, true});
    const auto bos = tokenizer.bos();
    if (tokenizer.adds_bos() && bos && (ids.empty() || ids.front() != *bos)) ids.insert(ids.begin(), *bos);
    return ids;
}

Chat::Chat(Engine& engine, std::shared_ptr<const LoadedModel> model) : engine_(engine), model_(std::move(model)) {
    options.sampler = recommended_sampler(*model_);
}

void Chat::set_system(std::string_view text) {
    const bool has = !messages_.empty() && role_of(messages_.front()) == "system";
    if (text.empty()) {
        if (has) messages_.erase(messages_.begin());
        return;
    }
    if (has) {
        messages_.front() = chat_message("system", text);
    } else {
        messages_.insert(messages_.begin(), chat_message("system", text));
    }
}

void Chat::clear() {
    const bool has = !messages_.empty() && role_of(messages_.front()) == "system";
    messages_.resize(has ? 1 : 0);
}

bool Chat::drop_last(bool question) {
    if (messages_.empty() || role_of(messages_.back()) != "assistant") return false;
    messages_.pop_back();
    if (question && !messages_.empty() && role_of(messages_.back()) == "user") messages_.pop_back();
    return true;
}

std::vector<Token> Chat::prompt_tokens() const {
    return encode_chat(*model_, render_chat(*model_, messages_, inputs));
}

Answer Chat::answer(const TextCallback& on_text, const std::atomic<bool>* cancel) {
    Answer a = generate(engine_, *model_, prompt_tokens(), options, on_text, cancel);
    messages_.push_back(chat_message("assistant", a.text));
    return a;
}

Answer Chat::send(std::string_view text, const TextCallback& on_text, const std::atomic<bool>* cancel) {
    messages_.push_back(chat_message("user", text));
    try {
        return answer(on_text, cancel);
    } catch (...) {
        messages_.pop_back();
        throw;
    }
}

Answer Chat::regenerate(const TextCallback& on_text, const std::atomic<bool>* cancel) {
    if (messages_.empty() || role_of(messages_.back()) != "assistant") {
        throw Error(ErrorKind::usage, "There is no answer yet that could be given anew.", "Ask something first.");
    }
    const Value old = messages_.back();
    messages_.pop_back();
    ++options.sampler.seed;
    try {
        return answer(on_text, cancel);
    } catch (...) {
        messages_.push_back(old);
        throw;
    }
}

}  // namespace freehold
