// freehold translate: texts to texts with an encoder-decoder (Marian, T5).
#include "freehold/engine/translate.h"

#include <fmt/format.h>

#include <chrono>

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
    std::vector<std::string> texts;
    std::string file, task, prefix;
    int beams = 0, max_tokens = 0;
    std::optional<float> length_penalty;
};

// Each line of a file is a text; an empty one stays an empty line.
std::vector<std::string> read_texts(const Options& o) {
    std::vector<std::string> texts = o.texts;
    const std::string file = o.file.empty() && texts.empty() && stdin_has_text() ? "-" : o.file;
    if (file.empty()) return texts;
    const std::string input = read_input(file);
    for (std::size_t at = 0; at < input.size();) {
        const std::size_t end = std::min(input.find('\n', at), input.size());
        texts.push_back(input.substr(at, end - at));
        if (texts.back().ends_with('\r')) texts.back().pop_back();
        at = end + 1;
    }
    return texts;
}

bool is_blank(const std::string& text) {
    return text.find_first_not_of(" \t") == std::string::npos;
}

// A model of several tasks that is told none of them: say which there are, once.
void tell_tasks(const Options& o, const Translator& translator, const std::vector<std::string>& texts) {
    const auto& tasks = translator.spec().tasks;
    if (tasks.empty() || !o.task.empty() || !o.prefix.empty()) return;
    std::string names;
    for (const TranslationTask& t : tasks) {
        for (const std::string& text : texts)
            if (text.starts_with(t.prefix)) return;
        names += (names.empty() ? "" : ", ") + t.name;
    }
    notice(fmt::format("The model has tasks, and none was chosen: --task NAME puts its prefix before the text ({}).",
                       names));
}

int translate_verb(const Options& o) {
    const std::vector<std::string> texts = read_texts(o);
    if (texts.empty())
        throw Error(ErrorKind::usage, "There is no text.",
                    "Give texts on the command line, -f FILE with one on each line, or pipe them in.");
    const Session session = open_session(o.model, nullptr);
    Translator translator(*session.host, session.model);
    tell_tasks(o, translator, texts);
    const InterruptGuard guard;
    ProgressBar bar(!stderr_is_terminal());
    TranslateOptions options;
    options.beams = o.beams;
    options.max_tokens = o.max_tokens;
    options.length_penalty = o.length_penalty;
    options.task = o.task;
    options.prefix = o.prefix;
    options.progress = bar.callback();
    const SearchOptions search = translator.search(options);
    std::vector<std::string> wanted;  // blank lines stay what they are
    std::vector<std::size_t> place;
    for (std::size_t i = 0; i < texts.size(); ++i) {
        if (is_blank(texts[i])) continue;
        wanted.push_back(texts[i]);
        place.push_back(i);
    }
    const auto begin = std::chrono::steady_clock::now();
    ValueList data;
    std::size_t shown = 0, cut = 0;
    const auto blanks_until = [&](std::size_t end) {
        for (; shown < end; ++shown) {
            if (!o.model.json) out("\n");
        }
    };
    translator.translate(wanted, options, [&](std::size_t i, const Translation& t) {
        bar.clear();
        cut += t.ended ? 0 : 1;
        blanks_until(place[i]);
        shown = place[i] + 1;
        if (!o.model.json) return out(t.text + "\n");
        ValueMap item;
        item.set("index", std::uint64_t{place[i]});
        item.set("text", valid_utf8(t.text));
        item.set("score", t.score);
        item.set("finish", t.ended ? "stop" : "length");
        item.set("source_tokens", std::uint64_t{t.source_tokens});
        item.set("tokens", std::uint64_t{t.tokens.size()});
        data.emplace_back(std::move(item));
    });
    bar.clear();
    blanks_until(texts.size());
    if (o.model.json) {
        ValueMap map = describe_session(session);
        map.set("kv", kv_name(session.model->kv()));
        map.set("beams", std::int64_t{search.beams});
        map.set("length_penalty", static_cast<double>(search.length_penalty));
        map.set("seconds", std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
        map.set("data", std::move(data));
        out(to_json(Value(std::move(map)), 2) + "\n");
    }
    if (cut > 0)
        notice(fmt::format("{} translation{} cut at {} tokens; --max-tokens allows more.", cut,
                           cut == 1 ? " was" : "s were", search.max_length - 1));
    return 0;
}

}  // namespace

Action setup_translate(CLI::App& app) {
    auto o = std::make_shared<Options>();
    app.add_option("-m,--model", o->model.model,
                   "A model that translates (Marian, T5), by name, or the path of its folder or GGUF file")
        ->required()
        ->type_name("MODEL");
    app.add_option("TEXT", o->texts, "Texts, each an argument of its own")->type_name("TEXT");
    app.add_option("-f,--file", o->file, "A file with a text on each line; - for standard input")->type_name("FILE");
    app.add_option("--beams", o->beams, "Hypotheses to follow; 1: the likeliest token each time (default: the model's)")
        ->type_name("N")
        ->check(CLI::Range(1, 64));
    app.add_option("--max-tokens", o->max_tokens, "Longest translation in tokens (default: the model's, else 511)")
        ->type_name("N")
        ->check(CLI::Range(1, 1 << 20));
    app.add_option("--length-penalty", o->length_penalty,
                   "Scores are divided by length to this power: above 0 favours long ones (default: the model's)")
        ->type_name("X")
        ->check(CLI::Range(-100.0, 100.0));
    app.add_option("--task", o->task, "A task of the model, as its config.json names it: its prefix and its settings")
        ->type_name("NAME");
    app.add_option("--prefix", o->prefix, "Put before each text, as T5 wants it (\"translate English to German: \")")
        ->type_name("TEXT");
    app.add_option("--profile", o->model.profile, "Numeric profile: f32, bf16 or q8 (default: what suits the file)")
        ->type_name("P")
        ->group("Running");
    app.add_option("--threads", o->model.threads, "Threads to compute with (default: all this process may use)")
        ->type_name("N")
        ->check(CLI::Range(1, 1024))
        ->group("Running");
    app.add_flag("--no-repack", o->model.no_repack, "Compute from the file as it is: less memory, slower")
        ->group("Running");
    app.add_flag("-y,--yes", o->model.yes, "Fetch a missing model of the catalogue without asking")->group("Running");
    add_json_flag(app, o->model.json);
    app.footer(
        "A translation a line, in the order of the texts. A model that writes one language of several takes it at the\n"
        "text's beginning: \">>fra<< Good morning.\"\n\n"
        "Examples\n"
        "  freehold translate --model ./opus-mt-en-de \"The sea is calm.\"\n"
        "  freehold translate --model ./opus-mt-en-de -f letter.txt --beams 1 > brief.txt\n"
        "  freehold translate --model ./t5-small --task translation_en_to_de \"The sea is calm.\" --json");
    return [o] { return translate_verb(*o); };
}

}  // namespace freehold::cli
