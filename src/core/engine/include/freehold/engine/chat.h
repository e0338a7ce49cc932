// A conversation: messages -> the model's own template -> ids -> engine. The prefix of earlier turns stays in the
// cache.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/base/value.h"
#include "freehold/engine/session.h"

namespace freehold {

// What a template may see besides the messages.
struct TemplateInputs {
    ValueList tools;  // empty: the variable is not defined
    ValueMap extra;   // chat_template_kwargs: enable_thinking, date_string, ...
    bool add_generation_prompt = true;
    std::optional<std::int64_t> now;  // Unix time for strftime_now; not set: the clock
    std::string template_name;        // empty: "tool_use" when tools are given and the model has it, else "default"
};

// Messages (ValueMaps with role and content, and whatever else the template knows) to text by the model's template,
// with bos_token, eos_token and the like from its tokenizer. Error{unsupported} when the model has none.
[[nodiscard]] std::string render_chat(const LoadedModel& model, const ValueList& messages,
                                      const TemplateInputs& inputs = {});
// The same for a template without a model (freehold template FILE.jinja); tokenizer may be null: then bos_token and the
// like are empty texts.
[[nodiscard]] std::string render_chat(const ChatTemplate& chat_template, const Tokenizer* tokenizer,
                                      const ValueList& messages, const TemplateInputs& inputs = {});
// Rendered text to ids: special tokens are parsed; BOS is added where the tokenizer does so and the text does not begin
// with it.
[[nodiscard]] std::vector<Token> encode_chat(const LoadedModel& model, std::string_view rendered);

[[nodiscard]] Value chat_message(std::string_view role, std::string_view content);

class Chat {
 public:
    Chat(Engine& engine, std::shared_ptr<const LoadedModel> model);

    // Sets or (with an empty text) removes the system message at the front.
    void set_system(std::string_view text);
    [[nodiscard]] const ValueList& messages() const noexcept { return messages_; }
    void set_messages(ValueList messages) { messages_ = std::move(messages); }
    void clear();  // keeps the system message
    // Removes the last answer (and its question too when `question`); false when there is none.
    bool drop_last(bool question = false);

    GenerateOptions options;  // of the next answers
    TemplateInputs inputs;

    // Adds the user's message and the answer. When the answer is cancelled what was said so far is kept; when it fails
    // (context overflow, ...) the conversation is as before and the error is thrown.
    Answer send(std::string_view text, const TextCallback& on_text = {}, const std::atomic<bool>* cancel = nullptr);
    // Another answer to the last question, with the next seed.
    Answer regenerate(const TextCallback& on_text = {}, const std::atomic<bool>* cancel = nullptr);
    // Ids that the next answer would start from (/tokens).
    [[nodiscard]] std::vector<Token> prompt_tokens() const;

 private:
    Answer answer(const TextCallback& on_text, const std::atomic<bool>* cancel);
    Engine& engine_;
    std::shared_ptr<const LoadedModel> model_;
    ValueList messages_;
};

}  // namespace freehold
