// freehold perplexity: how well a model predicts a text that it is given.
#include "freehold/engine/perplexity.h"

#include <fmt/format.h>

#include "../console.h"
#include "../input.h"
#include "../interrupt.h"
#include "../progress_bar.h"
#include "../session.h"
#include "verbs.h"

namespace freehold::cli {
namespace {

struct Options {
    ModelFlags model;
    std::string text;
    int chunks = 0;
};

int perplexity_verb(Options o) {
    if (o.model.context == 0) o.model.context = 512;
    const std::string text = read_input(o.text);
    EngineOptions engine_options;
    engine_options.max_sequences = 1;
    engine_options.prefix_cache = false;
    const Session session = open_session(o.model, &engine_options);
    const Tokenizer& tokenizer = session.model->need_tokenizer();
    const InterruptGuard guard;
    ProgressBar bar(o.model.json && !stderr_is_terminal());
    PerplexityOptions options;
    options.context = o.model.context;
    options.max_chunks = o.chunks;
    options.replace_first_by_bos = tokenizer.adds_bos();
    options.bos = tokenizer.bos().value_or(0);
    options.adapter = session.adapter;
    options.progress = bar.callback();
    const std::vector<Token> ids = tokenizer.encode(text);
    const PerplexityResult result = perplexity(*session.engine, ids, options);
    bar.clear();
    if (o.model.json) {
        ValueMap map = describe_session(session);
        map.set("text", o.text);
        map.set("tokens", std::uint64_t{ids.size()});
        map.set("context", std::int64_t{options.context});
        map.set("chunks", result.chunks);
        map.set("scored_tokens", result.scored_tokens);
        map.set("perplexity", result.perplexity);
        map.set("standard_error", result.standard_error);
        map.set("nll", result.nll);
        map.set("nll_standard_error", result.nll_error);
        map.set("seconds", result.seconds);
        out(to_json(Value(std::move(map)), 2) + "\n");
    } else {
        out(fmt::format("perplexity {:.4f} +- {:.4f}  ({} tokens scored in {} chunks of {}, profile {}, kv {}, {})\n",
                        result.perplexity, result.standard_error, with_thousands(result.scored_tokens), result.chunks,
                        options.context, profile_name(session.model->need_decoder().profile()),
                        kv_name(session.model->kv()), human_seconds(result.seconds)));
    }
    return 0;
}

}  // namespace

Action setup_perplexity(CLI::App& app) {
    auto o = std::make_shared<Options>();
    add_model_flags(app, o->model);
    add_adapter_flag(app, o->model);
    app.add_option("TEXTFILE", o->text, "A text; - for standard input")->required()->type_name("TEXTFILE");
    app.add_option("--chunks", o->chunks, "Score the first N chunks only (default: all)")
        ->type_name("N")
        ->check(CLI::Range(1, 1 << 30));
    app.footer(
        "The text is cut into chunks of --context tokens (default 512); the second half of each chunk is scored, each "
        "token\n"
        "given all before it in its chunk. Lower is better; only figures with the same context and tokenizer "
        "compare.\n\n"
        "Examples\n"
        "  freehold perplexity smollm2:135m wiki.txt --context 2048\n"
        "  freehold perplexity smollm2:135m wiki.txt --profile f32 --chunks 10 --json");
    return [o] { return perplexity_verb(*o); };
}

}  // namespace freehold::cli
