// The /commands of a chat: one table from which help, completion and "did you mean" are made.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chat_loop.h"
#include "freehold/engine/chat.h"

namespace freehold::cli {

struct ChatState {
    ChatOptions options;
    Session session;
    std::unique_ptr<Chat> chat;  // null: a base model, `completion` is used
    GenerateOptions completion;
    std::optional<Answer> last;
    std::function<void()> answer_again;  // shows another answer to the last question
    bool leave = false;

    [[nodiscard]] GenerateOptions& generation() { return chat ? chat->options : completion; }
};

// `line` begins with a slash. Throws Error{usage} with the nearest command for one that does not exist.
void run_command(ChatState& state, const std::string& line);
[[nodiscard]] std::vector<std::string> complete_command(std::string_view text);
// Messages that /save wrote, or a plain JSON list of messages.
void load_conversation(ChatState& state, const std::string& path);

}  // namespace freehold::cli
