// freehold logits: the numbers themselves, for people who check; needs no tokenizer.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "../console.h"
#include "../input.h"
#include "../interrupt.h"
#include "../progress_bar.h"
#include "../session.h"
#include "freehold/base/file.h"
#include "freehold/engine/perplexity.h"
#include "verbs.h"

namespace freehold::cli {
namespace {

struct Options {
    ModelFlags model;
    std::string tokens, tokens_file, output;
    int top = 10;
};

// Version 1.0 of NumPy's file format: a header of a multiple of 64 bytes, then the numbers, little-endian, row by row.
std::string npy_header(std::size_t rows, std::size_t columns) {
    std::string description =
        fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows, columns);
    description.append(63 - (10 + description.size()) % 64, ' ');
    description += '\n';
    std::string header("\x93NUMPY\x01\x00", 8);
    header += static_cast<char>(description.size() & 0xFFU);
    header += static_cast<char>(description.size() >> 8U);
    return header + description;
}

ValueMap row_json(const LoadedModel& model, std::int32_t position, std::span<const float> logits,
                  const Kernels& kernels, int top) {
    const double log_sum = log_sum_exp(kernels, logits);
    ValueList best;
    for (const TokenLogprob& entry : top_logprobs(logits, log_sum, top)) {
        ValueMap map;
        map.set("id", std::int64_t{entry.token});
        if (model.tokenizer()) map.set("token", valid_utf8(model.tokenizer()->piece(entry.token, true)));
        map.set("logit", static_cast<double>(logits[static_cast<std::size_t>(entry.token)]));
        map.set("logprob", static_cast<double>(entry.logprob));
        best.emplace_back(std::move(map));
    }
    ValueMap row;
    row.set("position", std::int64_t{position});
    row.set("top", std::move(best));
    return row;
}

int logits_verb(const Options& o) {
    if (o.tokens.empty() == o.tokens_file.empty()) {
        throw Error(ErrorKind::usage, "`freehold logits` needs token ids.",
                    "Give --tokens 1,2,3, or --tokens-file FILE (- for standard input).");
    }
    const std::vector<Token> ids = parse_ids(o.tokens.empty() ? read_input(o.tokens_file) : o.tokens);
    if (ids.empty())
        throw Error(ErrorKind::usage, "There are no token ids in what was given.",
                    "Ids are separated by commas or blanks: 1,2,3.");
    EngineOptions engine_options;
    engine_options.max_sequences = 1;
    const Session session = open_session(o.model, &engine_options);
    const auto vocab = static_cast<std::size_t>(session.engine->vocab());
    const InterruptGuard guard;
    ProgressBar bar(!stderr_is_terminal());
    const Progress progress = bar.callback();
    std::optional<AtomicFile> file;
    if (!o.output.empty()) {
        file.emplace(o.output);
        file->write(npy_header(ids.size(), vocab));
    }
    ValueList rows;
    std::string lines;
    std::uint64_t done = 0, broken = 0;
    token_logits(
        *session.engine, ids,
        [&](std::int32_t position, std::span<const float> logits) {
            progress({"computing logits", ++done, ids.size(), "tokens"});
            if (!std::all_of(logits.begin(), logits.end(), [](float v) { return std::isfinite(v); })) ++broken;
            if (file) {
                file->write(std::as_bytes(logits));
                return;
            }
            ValueMap row = row_json(*session.model, position, logits, session.host->kernels(), o.top);
            if (!o.model.json) {
                lines += fmt::format("{:>6}", position);
                const auto* best = row.find("top")->get<ValueList>();
                for (const Value& entry : *best) {
                    const auto* map = entry.get<ValueMap>();
                    const Value* token = map->find("token");
                    lines += fmt::format("  {}{}:{:.4f}", *map->find("id")->as_int(),
                                         token != nullptr ? to_json(*token) : "", *map->find("logit")->as_double());
                }
                lines += '\n';
            } else {
                rows.emplace_back(std::move(row));
            }
        },
        session.adapter);
    bar.clear();
    if (broken > 0) {
        notice(
            fmt::format("{} of {} rows hold logits that are no finite numbers: the weights are damaged, or overflow in "
                        "this profile.",
                        with_thousands(broken), with_thousands(ids.size())));
    }
    if (file) {
        file->commit();
        if (!o.model.json)
            notice(fmt::format("{} {} of {} logits {} in {}.", with_thousands(ids.size()),
                               ids.size() == 1 ? "row" : "rows", with_thousands(vocab), ids.size() == 1 ? "is" : "are",
                               o.output));
    }
    if (o.model.json) {
        ValueMap map = describe_session(session);
        map.set("rows", std::uint64_t{ids.size()});
        map.set("vocab", std::uint64_t{vocab});
        map.set("rows_not_finite", broken);
        if (file) {
            map.set("file", o.output);
        } else {
            map.set("logits", std::move(rows));
        }
        out(to_json(Value(std::move(map)), 2) + "\n");
    } else if (!file) {
        out(lines);
    }
    return 0;
}

}  // namespace

Action setup_logits(CLI::App& app) {
    auto o = std::make_shared<Options>();
    add_model_flags(app, o->model);
    add_adapter_flag(app, o->model);
    app.add_option("-t,--tokens", o->tokens, "Token ids: 1,2,3")->type_name("IDS");
    app.add_option("--tokens-file", o->tokens_file, "A file with token ids; - for standard input")->type_name("FILE");
    app.add_option("-o,--output", o->output, "Write all logits as float32 to this NumPy file, one row a token")
        ->type_name("FILE.npy");
    app.add_option("--top", o->top, "Without -o: print the N highest of each row (default 10)")
        ->type_name("N")
        ->check(CLI::Range(1, 1000));
    app.footer(
        "Row i holds the logits of the token that follows token i.\n\n"
        "Examples\n"
        "  freehold logits smollm2:135m --tokens 1,4093,253 --profile f32 -o logits.npy\n"
        "  freehold tokenize smollm2:135m \"Once upon a\" | freehold logits smollm2:135m --tokens-file - --top 3");
    return [o] { return logits_verb(*o); };
}

}  // namespace freehold::cli
