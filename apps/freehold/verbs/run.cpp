// freehold run: one prompt, one answer; a chat when there is a terminal and no prompt.
#include <fmt/format.h>

#include "../answer_form.h"
#include "../answer_json.h"
#include "../chat_loop.h"
#include "../console.h"
#include "../input.h"
#include "../interrupt.h"
#include "../sampling_flags.h"
#include "../session.h"
#include "../template_settings.h"
#include "../terminal/word_wrap.h"
#include "freehold/engine/chat.h"
#include "verbs.h"

namespace freehold::cli {
namespace {

struct Options {
    ModelFlags model;
    SamplingFlags sampling;
    AnswerFormFlags form;
    std::vector<std::string> prompt;
    std::string system;
    std::vector<std::string> settings;
    bool raw = false, stats = false, echo = false, special = false;
};

std::string whole_prompt(const Options& o) {
    std::string prompt = fmt::format("{}", fmt::join(o.prompt, " "));
    if (o.prompt.size() == 1 && prompt == "-") prompt.clear();
    if (stdin_has_text()) {
        std::string more = read_stdin();
        if (!prompt.empty() && !more.empty()) prompt += "\n\n";
        prompt += more;
        // A text that is piped in to be answered ends with a newline that nobody meant.
        if (!o.raw && prompt.ends_with('\n')) prompt.pop_back();
    }
    return prompt;
}

bool uses_template(const Options& o, const LoadedModel& model) {
    return !o.raw && model.template_sources().contains("default");
}

// The prompt as ids; what holds the answer to its form goes into `options`.
std::vector<Token> prompt_tokens(const Options& o, const LoadedModel& model, const std::string& prompt,
                                 GenerateOptions& options) {
    if (!uses_template(o, model)) {
        if (!o.system.empty()) {
            throw Error(ErrorKind::usage, "A system message needs a chat template, and none is used here.",
                        o.raw ? "Leave --raw or --system away."
                              : "This is a base model: it completes text. Put what you want into the prompt.");
        }
        EncodeOptions encode;
        encode.parse_special = o.raw;
        std::vector<Token> ids = model.need_tokenizer().encode(prompt, encode);
        if (ids.empty() && model.need_tokenizer().bos()) ids.push_back(*model.need_tokenizer().bos());
        if (ids.empty())
            throw Error(ErrorKind::usage, "The prompt is empty.",
                        "Give some text: freehold run MODEL \"Once upon a time\"");
        options.constraint = answer_form(o.form, model, std::nullopt);
        return ids;
    }
    ValueList messages;
    if (!o.system.empty()) messages.push_back(chat_message("system", o.system));
    messages.push_back(chat_message("user", prompt));
    TemplateInputs inputs;
    for (const auto& setting : o.settings) add_template_setting(inputs.extra, setting);
    const std::string rendered = render_chat(model, messages, inputs);
    options.constraint = answer_form(o.form, model, rendered);
    return encode_chat(model, rendered);
}

int answer_once(const Options& o) {
    const std::string prompt = whole_prompt(o);
    EngineOptions engine_options;
    engine_options.max_sequences = 1;
    const Session session = open_session(o.model, &engine_options);
    GenerateOptions options = generate_options(o.sampling, *session.model);
    options.show_special = o.special;
    options.adapter = session.adapter;
    options.continues_text = !uses_template(o, *session.model) && !prompt.empty();
    std::vector<Token> ids = prompt_tokens(o, *session.model, prompt, options);

    const InterruptGuard guard;
    WordWrap wrap(stdout_is_terminal() ? terminal_width() : 0);
    const auto show = [&](std::string_view piece) { out(wrap.push(piece)); };
    if (o.echo && !o.model.json) show(prompt);
    const Answer answer = generate(*session.engine, *session.model, std::move(ids), options,
                                   o.model.json ? TextCallback() : TextCallback(show), interrupt_flag());
    if (o.model.json) {
        ValueMap map = describe_session(session);
        map.set("seed", std::uint64_t{options.sampler.seed});
        for (auto& [key, value] : answer_json(answer, *session.model, session.load_seconds)) map.set(key, value);
        out(to_json(Value(std::move(map)), 2) + "\n");
    } else {
        out(wrap.finish());
        // Prompts of shells, tail and read want whole lines, in a pipe too; --json has the text as it is.
        if (!wrap.at_line_start()) out("\n");
    }
    if (o.stats) {
        err(fmt::format("{}\n", styled_err(fmt::format("{}; loaded in {}; profile {}, kv {}, {} thread{}, {}",
                                                       answer_stats(answer), human_seconds(session.load_seconds),
                                                       profile_name(session.model->decoder()->profile()),
                                                       kv_name(session.model->kv()), session.host->threads().size(),
                                                       session.host->threads().size() == 1 ? "" : "s",
                                                       session.host->kernels().name),
                                           Style::dim)));
    }
    return answer.finish == FinishReason::cancelled ? exit_code(ErrorKind::cancelled) : 0;
}

int run_verb(const Options& o) {
    if (o.prompt.empty() && !stdin_has_text()) {
        if (stdin_is_terminal() && stdout_is_terminal() && !o.model.json && o.form.asked() == 0) {
            return chat_loop({o.model, o.sampling, o.system, o.settings, o.stats, {}});
        }
        throw Error(ErrorKind::usage, "There is no prompt.",
                    fmt::format("Give one, freehold run {} \"Why is the sky blue?\", or pipe it in. With a terminal, "
                                "`freehold chat` talks.",
                                o.model.model));
    }
    return answer_once(o);
}

}  // namespace

Action setup_run(CLI::App& app) {
    auto o = std::make_shared<Options>();
    add_model_flags(app, o->model);
    app.add_option("PROMPT", o->prompt,
                   "What to answer; text on standard input is put behind it, - means standard input alone")
        ->type_name("PROMPT");
    app.add_option("-s,--system", o->system, "A system message, for models with a chat template")->type_name("TEXT");
    app.add_option("--set", o->settings,
                   "Define a variable of the chat template, k=v, as in --set enable_thinking=false")
        ->type_name("K=V")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    app.add_flag("--raw", o->raw, "Use no chat template: complete the text as it is; special tokens in it count");
    app.add_flag("--echo", o->echo, "Print the prompt before the answer");
    app.add_flag("--special", o->special, "Show control tokens");
    app.add_flag("--stats,--verbose", o->stats, "Say afterwards, on stderr, how many tokens and how fast");
    add_sampling_flags(app, o->sampling);
    add_answer_form_flags(app, o->form);
    add_speculation_flags(app, o->model);
    add_adapter_flag(app, o->model);
    app.add_option("--logprobs", o->sampling.logprobs,
                   "With --json: log-probability of each token, and of the N likeliest")
        ->type_name("N")
        ->group("Answer");
    app.footer(
        "A model with a chat template answers; a base model completes the text.\n"
        "A newline is put behind an answer that does not end with one; --json has the text as it is.\n\n"
        "Examples\n"
        "  freehold run smollm2:135m \"Why is the sky blue?\"\n"
        "  freehold run smollm2:135m \"Summarise:\" < notes.txt\n"
        "  freehold run ./model.gguf --temperature 0 --max-tokens 50 \"Once upon a time\"\n"
        "  freehold run smollm2:135m+notes \"Write the assessment.\"\n"
        "  freehold run smollm2:135m --json --logprobs 3 \"Say yes or no.\"\n"
        "  freehold run smollm2:135m --choice yes --choice no \"Is the sea salty?\"\n"
        "  freehold run smollm2:135m --json-schema @person.json \"Invent somebody.\"");
    return [o] { return run_verb(*o); };
}

}  // namespace freehold::cli
