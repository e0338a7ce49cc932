// The conversation of `freehold chat` and of `freehold run` without a prompt.
#pragma once

#include <string>
#include <vector>

#include "sampling_flags.h"
#include "session.h"

namespace freehold::cli {

struct ChatOptions {
    ModelFlags model;
    SamplingFlags sampling;
    std::string system;
    std::vector<std::string> settings;  // k=v for the template
    bool stats = false;                 // after every answer
    std::string load;                   // a conversation that /save wrote
};
// Returns the exit code. With a terminal: line editing, history, Ctrl-C stops the answer. Without: a message a line.
int chat_loop(const ChatOptions& options);

}  // namespace freehold::cli
