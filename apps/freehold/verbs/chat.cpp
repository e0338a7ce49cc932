// freehold chat: talk with a model.
#include "../chat_loop.h"
#include "verbs.h"

namespace freehold::cli {

Action setup_chat(CLI::App& app) {
    auto o = std::make_shared<ChatOptions>();
    add_model_flags(app, o->model);
    app.add_option("-s,--system", o->system, "A system message")->type_name("TEXT");
    app.add_option("--load", o->load, "Go on with a conversation that /save wrote")->type_name("FILE");
    app.add_option("--set", o->settings, "Define a variable of the chat template, k=v")
        ->type_name("K=V")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    app.add_flag("--stats,--verbose", o->stats, "Say after each answer how many tokens and how fast");
    add_sampling_flags(app, o->sampling);
    add_speculation_flags(app, o->model);
    add_adapter_flag(app, o->model);
    app.footer(
        "Inside: /help lists the commands; Ctrl-C stops an answer; Ctrl-D leaves; \"\"\" begins and ends a text of "
        "several\n"
        "lines, and so does a \\ at the end of a line. Without a terminal each line of standard input is one message;\n"
        "with --json each answer is one JSON object on a line.\n\n"
        "Examples\n"
        "  freehold chat smollm2:135m\n"
        "  freehold chat smollm2:135m --system \"Answer in one sentence.\"");
    return [o] { return chat_loop(*o); };
}

}  // namespace freehold::cli
