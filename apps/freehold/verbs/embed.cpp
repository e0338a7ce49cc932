// freehold embed: texts to vectors, and texts in the order of how well they answer a question.
#include "freehold/engine/embed.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdlib>

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
    std::string file, query;
    bool jsonl = false, truncate = false;
    int dimensions = 0;
};

// Each line of a file is a text; with --jsonl, a JSON string.
std::vector<std::string> read_texts(const Options& o) {
    if (o.file.empty()) return o.texts;
    std::vector<std::string> texts = o.texts;
    const std::string input = read_input(o.file);
    int number = 0;
    for (std::size_t at = 0; at < input.size();) {
        const std::size_t end = std::min(input.find('\n', at), input.size());
        const std::string_view line = std::string_view(input).substr(at, end - at);
        at = end + 1;
        ++number;
        if (!o.jsonl) {
            texts.emplace_back(line);
            continue;
        }
        if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
        const Value value = parse_json(line, fmt::format("line {} of {}", number, o.file));
        if (!value.as_string())
            throw Error(ErrorKind::usage, fmt::format("Line {} of {} is no JSON string.", number, o.file),
                        "With --jsonl each line is one JSON string.");
        texts.emplace_back(*value.as_string());
    }
    return texts;
}

// The shortest decimal that is this float, as a double, so that it prints in nine digits and not in seventeen.
double shortest(float x) {
    return std::strtod(fmt::format("{}", x).c_str(), nullptr);
}

ValueMap head_of(const Session& session, const Embedder& embedder) {
    ValueMap map = describe_session(session);
    map.set("kv", "f32");
    map.set("pooling", std::string(pooling_name(embedder.spec().pooling)));
    map.set("pooling_known", embedder.spec().pooling_known);
    map.set("max_tokens", std::int64_t{embedder.spec().max_tokens});
    return map;
}

void tell_cut(std::size_t cut, const Embedder& embedder) {
    if (cut == 0) return;
    notice(fmt::format("{} text{} longer than {} tokens: the end was left out.", cut, cut == 1 ? " is" : "s are",
                       embedder.spec().max_tokens));
}

void print_vectors(const Session& session, const Embedder& embedder, const std::vector<TextVector>& vectors,
                   double seconds, bool json) {
    std::uint64_t tokens = 0;
    ValueList data;
    std::string lines;
    for (const TextVector& v : vectors) {
        tokens += v.tokens;
        if (!json) {
            lines += fmt::format("{}\n", fmt::join(v.vector, " "));
            continue;
        }
        ValueList numbers;
        for (const float x : v.vector) numbers.emplace_back(shortest(x));
        ValueMap item;
        item.set("index", std::uint64_t{data.size()});
        item.set("tokens", std::uint64_t{v.tokens});
        item.set("left_out", std::uint64_t{v.left_out});
        item.set("embedding", std::move(numbers));
        data.emplace_back(std::move(item));
    }
    if (!json) return out(lines);
    ValueMap map = head_of(session, embedder);
    map.set("normalised", embedder.spec().normalise);
    map.set("dimensions", std::uint64_t{vectors.empty() ? 0 : vectors.front().vector.size()});
    map.set("tokens", tokens);
    map.set("seconds", seconds);
    map.set("data", std::move(data));
    out(to_json(Value(std::move(map))) + "\n");
}

void print_ranks(const Session& session, const Embedder& embedder, const RerankResult& result,
                 const std::vector<std::string>& texts, double seconds, bool json) {
    ValueList data;
    for (const RankedDocument& d : result.documents) {
        if (!json) {
            out(fmt::format("{:>8.4f}  {}\n", d.score, texts[d.index]));
            continue;
        }
        ValueMap item;
        item.set("index", std::uint64_t{d.index});
        item.set("score", shortest(d.score));
        item.set("logit", shortest(d.logit));
        item.set("tokens", std::uint64_t{d.tokens});
        item.set("left_out", std::uint64_t{d.left_out});
        item.set("text", valid_utf8(texts[d.index]));
        data.emplace_back(std::move(item));
    }
    if (!json) return;
    ValueMap map = head_of(session, embedder);
    map.set("by", result.by == RerankBy::classifier ? "classifier" : "cosine");
    map.set("tokens", result.tokens);
    map.set("seconds", seconds);
    map.set("data", std::move(data));
    out(to_json(Value(std::move(map)), 2) + "\n");
}

int embed_verb(const Options& o) {
    const std::vector<std::string> texts = read_texts(o);
    if (texts.empty())
        throw Error(ErrorKind::usage, "There is no text.",
                    "Give texts on the command line, or -f FILE (- for standard input).");
    const Session session = open_session(o.model, nullptr);
    Embedder embedder(*session.host, session.model);
    const InterruptGuard guard;
    ProgressBar bar(!stderr_is_terminal());
    EmbedOptions options;
    options.dimensions = o.dimensions;
    options.truncate = o.truncate;
    options.progress = bar.callback();
    const auto begin = std::chrono::steady_clock::now();
    const auto seconds = [&] {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    };
    std::size_t cut = 0;
    if (!o.query.empty()) {
        const RerankResult result = embedder.rerank(o.query, texts, options);
        bar.clear();
        print_ranks(session, embedder, result, texts, seconds(), o.model.json);
        for (const RankedDocument& d : result.documents) cut += d.left_out > 0 ? 1 : 0;
    } else {
        const std::vector<EmbedInput> inputs(texts.begin(), texts.end());
        const std::vector<TextVector> vectors = embedder.embed(inputs, options);
        bar.clear();
        print_vectors(session, embedder, vectors, seconds(), o.model.json);
        for (const TextVector& v : vectors) cut += v.left_out > 0 ? 1 : 0;
    }
    tell_cut(cut, embedder);
    return 0;
}

}  // namespace

Action setup_embed(CLI::App& app) {
    auto o = std::make_shared<Options>();
    app.add_option("MODEL", o->model.model, "An embedding model by name, or the path of its folder or GGUF file")
        ->required()
        ->type_name("MODEL");
    app.add_option("TEXT", o->texts, "Texts, each an argument of its own")->type_name("TEXT");
    app.add_option("-f,--file", o->file, "A file with a text on each line; - for standard input")->type_name("FILE");
    app.add_flag("--jsonl", o->jsonl, "Each line of the file is a JSON string");
    app.add_option("--query", o->query, "Put the texts in the order of how well they answer this question")
        ->type_name("TEXT");
    app.add_option("--dimensions", o->dimensions, "Keep the first N numbers of each vector (default: all)")
        ->type_name("N")
        ->check(CLI::Range(1, 1 << 20));
    app.add_flag("--truncate", o->truncate, "Leave out the end of texts that are too long (default: refuse them)");
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
        "A vector a line, its numbers separated by blanks; with --query a text a line, the best first, with its "
        "score:\n"
        "a cross-encoder's judgement where the model is one, else the cosine of the vectors (--json says which).\n\n"
        "Examples\n"
        "  freehold embed minilm \"A cat sat on the mat.\" \"Stock prices fell.\" --json\n"
        "  freehold embed minilm -f sentences.txt > vectors.txt\n"
        "  freehold embed minilm --query \"Who was the first on the moon?\" -f passages.txt");
    return [o] { return embed_verb(*o); };
}

}  // namespace freehold::cli
