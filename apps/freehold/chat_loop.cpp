// Reads messages and commands, shows answers as they come, keeps the terminal usable whatever happens.
#include "chat_loop.h"

#include <fmt/format.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "answer_json.h"
#include "chat_commands.h"
#include "console.h"
#include "interrupt.h"
#include "template_settings.h"
#include "terminal/line_editor.h"
#include "terminal/word_wrap.h"

namespace freehold::cli {
namespace {

std::filesystem::path history_file() {
    const char* off = std::getenv("FREEHOLD_NO_HISTORY");
    if (off != nullptr && *off != '\0') return {};
    return default_home() / "history";
}

// One message: a line; lines that end in a backslash; or everything between """ and """.
LineEditor::Line read_message(LineEditor& editor, const std::string& prompt) {
    LineEditor::Line first = editor.read(prompt);
    if (first.end != LineEditor::End::line) return first;
    constexpr std::string_view kFence = "\"\"\"";
    const bool fenced = first.text.starts_with(kFence);
    if (fenced) first.text.erase(0, kFence.size());
    for (;;) {
        if (fenced) {
            if (const auto end = first.text.find(kFence); end != std::string::npos) {
                first.text.resize(end);
                return first;
            }
            first.text += '\n';
        } else if (first.text.ends_with('\\')) {
            first.text.back() = '\n';
        } else {
            return first;
        }
        const LineEditor::Line more = editor.read("... ");
        if (more.end == LineEditor::End::interrupted) return more;
        if (more.end == LineEditor::End::end_of_input) return first;
        first.text += more.text;
    }
}

// While an answer streams, keys that are pressed wait unseen for the next prompt; Ctrl-C stays a signal.
class SilentKeys {
 public:
    SilentKeys() : active_(stdin_is_terminal() && ::tcgetattr(STDIN_FILENO, &saved_) == 0) {
        if (!active_) return;
        termios silent = saved_;
        silent.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON);
        ::tcsetattr(STDIN_FILENO, TCSADRAIN, &silent);
    }
    ~SilentKeys() {
        if (active_) ::tcsetattr(STDIN_FILENO, TCSADRAIN, &saved_);
    }
    SilentKeys(const SilentKeys&) = delete;
    SilentKeys& operator=(const SilentKeys&) = delete;

 private:
    termios saved_{};
    bool active_;
};

void show_answer(ChatState& state, const std::function<Answer(const TextCallback&)>& ask) {
    const bool json = state.options.model.json;
    WordWrap wrap(stdout_is_terminal() ? terminal_width() : 0);
    clear_interrupt();
    const SilentKeys silent;
    const Answer answer = ask(json ? TextCallback() : [&](std::string_view piece) { out(wrap.push(piece)); });
    state.last = answer;
    if (json) {
        out(to_json(Value(answer_json(answer, *state.session.model, 0))) + "\n");
    } else {
        out(wrap.finish());
        out(wrap.at_line_start() ? "" : "\n");
        if (answer.finish == FinishReason::cancelled) err(styled_err("(stopped)", Style::dim) + "\n");
        if (answer.finish == FinishReason::length)
            err(styled_err("(the answer reached its bound; /set max-tokens N changes it)", Style::dim) + "\n");
        if (state.options.stats)
            err(styled_err(
                    stderr_is_terminal() ? wrapped(answer_stats(answer), terminal_width()) : answer_stats(answer),
                    Style::dim) +
                "\n");
        if (stdout_is_terminal()) out("\n");
    }
}

void send(ChatState& state, const std::string& text) {
    show_answer(state, [&](const TextCallback& on_text) {
        if (state.chat) return state.chat->send(text, on_text, interrupt_flag());
        return complete(*state.session.engine, *state.session.model, text, state.completion, on_text, interrupt_flag());
    });
}

void greet(const ChatState& state) {
    err(fmt::format("{}  {}\n", styled_err(state.session.name(), Style::bold),
                    styled_err("/help lists the commands, Ctrl-D leaves", Style::dim)));
    if (!state.chat)
        notice(
            "This is a base model without a chat template: it goes on with what you type, and remembers nothing of "
            "earlier lines.");
}

}  // namespace

int chat_loop(const ChatOptions& options) {
    const InterruptGuard guard(5);
    EngineOptions engine_options;
    engine_options.max_sequences = 1;
    ChatState state;
    state.options = options;
    state.session = open_session(options.model, &engine_options);
    state.completion = generate_options(options.sampling, *state.session.model);
    state.completion.adapter = state.session.adapter;
    if (state.session.model->template_sources().contains("default")) {
        state.chat = std::make_unique<Chat>(*state.session.engine, state.session.model);
        state.chat->options = state.completion;
        for (const auto& setting : options.settings) add_template_setting(state.chat->inputs.extra, setting);
        if (!options.system.empty()) state.chat->set_system(options.system);
    } else if (!options.system.empty()) {
        throw Error(ErrorKind::usage, "A system message needs a chat template, and this model has none.",
                    "This is a base model: it completes text.");
    }
    if (!options.load.empty()) load_conversation(state, options.load);

    // A terminal that knows no control sequences gets lines without an editor.
    const char* kind = std::getenv("TERM");
    const bool dumb = kind != nullptr && std::string_view(kind) == "dumb";
    const bool terminal = stdin_is_terminal() && !dumb;
    History history(terminal ? history_file() : std::filesystem::path());
    LineEditor editor(history);
    editor.set_completer(complete_command);
    state.answer_again = [&] {
        show_answer(state,
                    [&](const TextCallback& on_text) { return state.chat->regenerate(on_text, interrupt_flag()); });
    };
    if (terminal) greet(state);
    int result = 0;
    const std::string prompt = styled("> ", Style::cyan);
    while (!state.leave) {
        clear_interrupt();
        const LineEditor::Line line = read_message(editor, prompt);
        if (line.end == LineEditor::End::end_of_input) break;
        if (line.end == LineEditor::End::interrupted) {
            if (!terminal) return exit_code(ErrorKind::cancelled);
            if (line.text.empty()) err(styled_err("Ctrl-D or /quit leaves.", Style::dim) + "\n");
            continue;
        }
        const std::string& text = line.text;
        if (text.find_first_not_of(" \t\n") == std::string::npos) continue;
        if (terminal) history.add(text);
        try {
            if (text.starts_with("//")) {
                send(state, text.substr(1));
            } else if (text.starts_with('/')) {
                run_command(state, text);
            } else {
                send(state, text);
            }
            // Piped input that is stopped is stopped as a whole.
            if (!terminal && interrupted()) return exit_code(ErrorKind::cancelled);
        } catch (const Error& error) {
            report(error, options.model.json);
            if (!terminal) result = exit_code(error.kind());
        }
    }
    return result;
}

}  // namespace freehold::cli
