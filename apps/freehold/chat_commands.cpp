// What each command does; answers to commands go to stderr, so that a saved stdout holds answers of the model only.
#include "chat_commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "answer_json.h"
#include "console.h"
#include "freehold/base/file.h"
#include "input.h"

namespace freehold::cli {
namespace {

struct Command {
    const char* name;
    const char* argument;
    const char* help;
    bool needs_chat;
    void (*run)(ChatState& state, const std::string& argument);
};

void say(const std::string& text) {
    err(text + "\n");
}

void help(ChatState& state, const std::string& argument);

void system_message(ChatState& state, const std::string& text) {
    if (text.empty()) {
        for (const Value& message : state.chat->messages()) {
            const auto* map = message.get<ValueMap>();
            const Value* role = map == nullptr ? nullptr : map->find("role");
            const Value* content = map == nullptr ? nullptr : map->find("content");
            if (role != nullptr && content != nullptr && role->as_string() == "system") {
                say(std::string(content->as_string().value_or("")));
                return;
            }
        }
        say("There is no system message. /system TEXT sets one, /system - removes it.");
        return;
    }
    state.chat->set_system(text == "-" ? "" : text);
    say(text == "-" ? "The system message is gone." : "The system message is set; it counts from the next answer on.");
}

void set_one(ChatState& state, const std::string& argument) {
    const auto space = argument.find(' ');
    if (argument.empty() || space == std::string::npos) {
        err(show_sampling(state.generation()));
        return;
    }
    const std::string name = argument.substr(0, space);
    const std::string value = argument.substr(argument.find_first_not_of(' ', space));
    set_sampling(state.generation(), name, value, *state.session.model);
    say(fmt::format("{} is {} now.", name, value));
}

void temperature(ChatState& state, const std::string& argument) {
    if (argument.empty()) {
        say(fmt::format("temperature is {:.6g}.", state.generation().sampler.temperature));
    } else {
        set_one(state, "temperature " + argument);
    }
}

void regenerate(ChatState& state, const std::string& /*argument*/) {
    if (state.chat->messages().empty())
        throw Error(ErrorKind::usage, "There is no answer to make again yet.", "Ask something first.");
    state.answer_again();
}

void undo(ChatState& state, const std::string& /*argument*/) {
    say(state.chat->drop_last(true) ? "The last question and its answer are forgotten." : "There is nothing to undo.");
}

void clear(ChatState& state, const std::string& /*argument*/) {
    state.chat->clear();
    state.last.reset();
    say("The conversation begins anew; the system message stays.");
}

void save(ChatState& state, const std::string& path) {
    if (path.empty()) throw Error(ErrorKind::usage, "/save needs a file.", "/save talk.json");
    ValueMap map;
    map.set("freehold_chat", std::int64_t{1});
    map.set("model", state.session.name());
    map.set("messages", state.chat->messages());
    write_text_atomic(path, to_json(Value(std::move(map)), 2) + "\n");
    say(fmt::format("{} messages are in {}.", state.chat->messages().size(), path));
}

void load(ChatState& state, const std::string& path) {
    if (path.empty()) throw Error(ErrorKind::usage, "/load needs a file.", "/load talk.json");
    load_conversation(state, path);
    say(fmt::format("{} messages are loaded.", state.chat->messages().size()));
}

void tokens(ChatState& state, const std::string& text) {
    if (!text.empty()) {
        const Tokenizer& tokenizer = state.session.model->need_tokenizer();
        EncodeOptions encode;
        encode.add_special = false;
        const auto ids = tokenizer.encode(text, encode);
        std::string line;
        for (const auto id : ids)
            line += fmt::format("{}:{} ", id, to_json(Value(valid_utf8(tokenizer.piece(id, true)))));
        say(fmt::format("{} tokens: {}", ids.size(), line));
        return;
    }
    const int context = state.session.engine->context();
    const std::size_t used = state.chat && !state.chat->messages().empty() ? state.chat->prompt_tokens().size() : 0;
    say(fmt::format("The conversation takes {} of {} tokens.", with_thousands(used),
                    with_thousands(static_cast<std::uint64_t>(context))));
}

void stats(ChatState& state, const std::string& /*argument*/) {
    if (state.last) say("Last answer: " + answer_stats(*state.last) + ".");
    const EngineStats s = state.session.engine->stats();
    std::string text = fmt::format("So far: {} prompt tokens computed, {} taken from the cache, {} tokens answered",
                                   with_thousands(s.prefill_tokens), with_thousands(s.cached_tokens),
                                   with_thousands(s.decoded_tokens));
    if (s.decode_seconds > 0)
        text += fmt::format(" at {:.1f}/s", static_cast<double>(s.decoded_tokens) / s.decode_seconds);
    say(text + fmt::format("; keys and values take {}.", human_bytes(s.page_bytes_used)));
}

void model(ChatState& state, const std::string& /*argument*/) {
    const Decoder& decoder = state.session.model->need_decoder();
    say(fmt::format("{}: {}, {} parameters, profile {}, keys and values in {}, context {}, {} thread{}, {}.",
                    state.session.name(), decoder.spec().family, human_count(decoder.n_params()),
                    profile_name(decoder.profile()), kv_name(state.session.model->kv()),
                    with_thousands(static_cast<std::uint64_t>(state.session.engine->context())),
                    state.session.host->threads().size(), state.session.host->threads().size() == 1 ? "" : "s",
                    state.session.host->kernels().name));
}

void quit(ChatState& state, const std::string& /*argument*/) {
    state.leave = true;
}

constexpr std::array kCommands = {
    Command{"help", "", "This list", false, help},
    Command{"system", "[TEXT | -]", "Show, set or remove the system message", true, system_message},
    Command{"temperature", "[X]", "Show or set the temperature", false, temperature},
    Command{"set", "[NAME VALUE]", "Show the settings of the answer, or set one", false, set_one},
    Command{"regenerate", "", "Another answer to the last question", true, regenerate},
    Command{"undo", "", "Forget the last question and its answer", true, undo},
    Command{"clear", "", "Begin a new conversation", true, clear},
    Command{"save", "FILE", "Save the conversation", true, save},
    Command{"load", "FILE", "Go on with a saved conversation", true, load},
    Command{"tokens", "[TEXT]", "How full the context is, or the tokens of a text", false, tokens},
    Command{"stats", "", "Counts and rates", false, stats},
    Command{"model", "", "What is running", false, model},
    Command{"quit", "", "Leave (Ctrl-D does too)", false, quit},
};

void help(ChatState& state, const std::string& /*argument*/) {
    const int width = stderr_is_terminal() ? terminal_width() : 80;
    std::string text;
    for (const Command& command : kCommands) {
        if (command.needs_chat && !state.chat) continue;
        const std::string left = fmt::format("  /{} {}", command.name, command.argument);
        text += width < 60 ? left + "\n      " + command.help + "\n" : fmt::format("{:<26}{}\n", left, command.help);
    }
    text += wrapped(
        "\nCtrl-C stops an answer. \"\"\" begins and ends a text of several lines; a \\ at the end of a line, or "
        "Alt-Enter, goes on in the next. "
        "Up and Down walk through what you typed, Ctrl-R searches it. A message that begins with a slash is written "
        "with two.",
        width);
    say(text);
}

}  // namespace

void run_command(ChatState& state, const std::string& line) {
    const auto space = line.find_first_of(" \n");
    std::string name = line.substr(1, space == std::string::npos ? std::string::npos : space - 1);
    std::string argument = space == std::string::npos ? std::string() : line.substr(space + 1);
    argument.erase(0, std::min(argument.find_first_not_of(" \n"), argument.size()));
    while (argument.ends_with(' ') || argument.ends_with('\n')) argument.pop_back();
    if (name == "exit" || name == "bye") name = "quit";
    if (name == "?") name = "help";
    for (const Command& command : kCommands) {
        if (name != command.name) continue;
        if (command.needs_chat && !state.chat) {
            throw Error(ErrorKind::unsupported,
                        fmt::format("/{} needs a conversation, and this model has no chat template.", name),
                        "It completes each line on its own.");
        }
        command.run(state, argument);
        return;
    }
    const Command* near = nullptr;
    std::size_t least = 3;
    for (const Command& command : kCommands) {
        const std::size_t distance =
            std::string_view(command.name).starts_with(name) && !name.empty() ? 0 : edit_distance(name, command.name);
        if (distance < least) {
            near = &command;
            least = distance;
        }
    }
    throw Error(ErrorKind::usage, fmt::format("There is no command /{}.", name),
                near != nullptr ? fmt::format("Did you mean /{}? /help lists them all.", near->name)
                                : "/help lists them; a message that begins with a slash is written with two.");
}

std::vector<std::string> complete_command(std::string_view text) {
    std::vector<std::string> words;
    if (!text.starts_with('/')) return words;
    for (const Command& command : kCommands) {
        const std::string word = fmt::format("/{}", command.name);
        if (word.starts_with(text)) words.push_back(word);
    }
    return words;
}

void load_conversation(ChatState& state, const std::string& path) {
    if (!state.chat) throw Error(ErrorKind::unsupported, "A base model without a chat template keeps no conversation.");
    const Value saved = parse_json(read_text(path, 256U << 20U), path);
    const auto* map = saved.get<ValueMap>();
    const Value* messages = map != nullptr ? map->find("messages") : &saved;
    const auto* list = messages == nullptr ? nullptr : messages->get<ValueList>();
    if (list == nullptr)
        throw Error(ErrorKind::bad_file, fmt::format("{} holds no list of messages.", path),
                    "/save writes such a file; a JSON list of {\"role\", \"content\"} will do.");
    for (std::size_t i = 0; i < list->size(); ++i) {
        const auto* message = (*list)[i].get<ValueMap>();
        const Value* role = message == nullptr ? nullptr : message->find("role");
        if (role == nullptr || !role->as_string())
            throw Error(ErrorKind::bad_file, fmt::format("{}: message {} has no role.", path, i));
    }
    state.chat->set_messages(*list);
}

}  // namespace freehold::cli
