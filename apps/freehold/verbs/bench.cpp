// freehold bench: how fast a model reads a prompt (pp) and writes an answer (tg), with the spread of repeated runs.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <optional>

#include "../console.h"
#include "../interrupt.h"
#include "../memory_estimate.h"
#include "../peer_bench.h"
#include "../progress_bar.h"
#include "../session.h"
#include "freehold/base/random.h"
#include "freehold/kernels/peaks.h"
#include "verbs.h"

namespace freehold::cli {
namespace {

struct Options {
    ModelFlags model;
    std::vector<int> prompt = {512}, generate = {128}, depth = {0}, sequences = {1};
    int repetitions = 5;
    bool no_peaks = false;
    std::string compare;
};

struct Case {
    int n_prompt = 0, n_gen = 0, n_seq = 1, depth = 0;
    [[nodiscard]] std::string name() const {
        return n_gen > 0 ? fmt::format("tg{}", n_gen) : fmt::format("pp{}", n_prompt);
    }
};

double median_of(const std::vector<double>& sorted) {
    const std::size_t n = sorted.size();
    return n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

struct Result {
    Case what;
    std::vector<double> rates;  // tokens per second of each repetition, sorted
    std::vector<double> peer;   // of the program that is compared with, or empty
    [[nodiscard]] double median() const { return median_of(rates); }
};

std::vector<Token> random_tokens(int count, int vocab, std::uint64_t seed) {
    Random random(seed, RandomUse::test);
    std::vector<Token> ids;
    ids.reserve(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i)
        ids.push_back(static_cast<Token>(random.next() % static_cast<std::uint32_t>(vocab)));
    return ids;
}

Request plain_request(std::vector<Token> prompt, int max_tokens) {
    Request request;
    request.prompt = std::move(prompt);
    request.max_tokens = max_tokens;
    request.sampler.temperature = 0;
    return request;
}

// Tokens per second of one repetition. What lies before the measured part (depth) comes from the prefix cache; it is
// the same in every repetition, so that it is read once: 32,768 tokens take longer than all that is measured behind
// them.
double measure(Engine& engine, const Case& c, std::uint64_t seed) {
    for (int s = 0; s < c.n_seq; ++s) {
        const std::uint64_t key = seed + static_cast<std::uint64_t>(s);
        std::vector<Token> past = random_tokens(c.depth, engine.vocab(), static_cast<std::uint64_t>(s) + 1);
        if (!past.empty()) static_cast<void>(engine.run(plain_request(past, 0), interrupt_flag()));
        check_interrupt();
        const auto fresh = random_tokens(std::max(c.n_prompt, 1), engine.vocab(), key + 1'000'003);
        past.insert(past.end(), fresh.begin(), fresh.end());
        Request request = plain_request(std::move(past), c.n_gen > 0 ? c.n_gen + 1 : 0);
        request.cache = c.depth > 0 ? CacheUse::share : CacheUse::none;
        request.on_token = [](const SampledToken&) { return !interrupted(); };
        engine.submit(std::move(request));
    }
    const EngineStats before = engine.stats();
    engine.drain();
    check_interrupt();
    const EngineStats after = engine.stats();
    // A token of the answer costs one decoding step; the first one comes out of the prompt.
    const double tokens = c.n_gen > 0 ? static_cast<double>(c.n_gen) * c.n_seq
                                      : static_cast<double>(after.prefill_tokens - before.prefill_tokens);
    const double seconds =
        c.n_gen > 0 ? after.decode_seconds - before.decode_seconds : after.prefill_seconds - before.prefill_seconds;
    return seconds > 0 ? tokens / seconds : 0;
}

std::uint64_t file_bytes(const LoadedModel& model) {
    std::uint64_t bytes = 0;
    std::error_code ignored;
    for (const auto& file : model.files()->files()) bytes += std::filesystem::file_size(file, ignored);
    return bytes;
}

struct Machine {
    Peaks peaks;
    double weight_bytes = 0;          // of all weights
    double operations_per_token = 0;  // multiply and add
    double expert_share = 0;          // of the weights: those of experts
    double chosen_share = 1;          // of the experts: those that one token chooses
    KvLayout kv;

    // Weights that a step of so many sequences reads: of the experts those that at least one of them chose, as if by
    // lot.
    [[nodiscard]] double step_bytes(int n_seq) const {
        return weight_bytes * (1 - expert_share * std::pow(1 - chosen_share, n_seq));
    }
    // Keys and values that one more token of a sequence of `past` tokens looks at.
    [[nodiscard]] double cache_bytes(int past) const {
        double bytes = 0;
        for (const KvGroup& g : kv.groups)
            bytes +=
                static_cast<double>(g.page_bytes()) / kPageTokens * (g.window > 0 ? std::min(past, g.window) : past);
        return bytes;
    }
};

Machine describe_machine(const Session& session, bool measure_them) {
    Machine m;
    const Decoder& decoder = session.model->need_decoder();
    const std::uint64_t panels = decoder.panel_bytes();
    m.weight_bytes = static_cast<double>(panels > 0 ? panels : decoder.weight_bytes());
    double weights = 0;
    for (const auto& [name, tensor] : session.model->files()->tensors()) {
        if (tensor.shape().rank() > 1) weights += static_cast<double>(tensor.shape().numel());
    }
    const Routing& routing = decoder.spec().routing;
    if (routing.n_experts > 0 && weights > 0) {
        m.expert_share = static_cast<double>(expert_parameters(decoder.spec())) / weights;
        m.chosen_share = static_cast<double>(routing.n_used) / routing.n_experts;
    }
    m.operations_per_token = 2.0 * weights * (1 - m.expert_share * (1 - m.chosen_share));
    m.kv = decoder.kv_layout(session.model->kv());
    if (measure_them) m.peaks = measure_peaks(session.host->threads());
    return m;
}

double peak_of(const Peaks& peaks, Profile profile) {
    switch (profile) {
        case Profile::f32:
            return peaks.f32_gflops * 1e9;
        case Profile::bf16:
            return peaks.bf16_gflops * 1e9;
        case Profile::q8:
            return peaks.int8_gops * 1e9;
    }
    return 0;
}

ValueMap to_value(const Result& result, const Session& session, const Machine& machine) {
    ValueMap map;
    map.set("test", result.what.name());
    map.set("model", session.name());
    map.set("file_bytes", file_bytes(*session.model));
    map.set("n_prompt", std::int64_t{result.what.n_prompt});
    map.set("n_gen", std::int64_t{result.what.n_gen});
    map.set("n_seq", std::int64_t{result.what.n_seq});
    map.set("depth", std::int64_t{result.what.depth});
    map.set("threads", std::int64_t{session.host->threads().size()});
    map.set("isa", std::string(session.host->kernels().name));
    map.set("profile", std::string(profile_name(session.model->need_decoder().profile())));
    map.set("kv", std::string(kv_name(session.model->kv())));
    map.set("repack", session.model->options().repack);
    const auto spread = [](const std::vector<double>& sorted) {
        ValueMap rates;
        rates.set("median", median_of(sorted));
        rates.set("min", sorted.front());
        rates.set("max", sorted.back());
        return rates;
    };
    map.set("tokens_per_second", spread(result.rates));
    if (!result.peer.empty()) {
        map.set("peer_tokens_per_second", spread(result.peer));
        map.set("ratio_to_peer", result.median() / median_of(result.peer));
    }
    map.set("repetitions", std::uint64_t{result.rates.size()});
    const double steps = result.median() / result.what.n_seq;
    const double bandwidth = machine.peaks.read_gbytes_per_s * 1e9;
    const double peak = peak_of(machine.peaks, session.model->need_decoder().profile());
    const double bytes_per_step =
        machine.step_bytes(result.what.n_seq) +
        result.what.n_seq * machine.cache_bytes(result.what.depth + result.what.n_prompt + result.what.n_gen / 2);
    map.set("share_of_bandwidth",
            result.what.n_gen > 0 && bandwidth > 0 ? Value(steps * bytes_per_step / bandwidth) : Value());
    map.set("share_of_peak", peak > 0 ? Value(result.median() * machine.operations_per_token / peak) : Value());
    return map;
}

std::vector<Case> cases_of(const Options& o) {
    std::vector<Case> cases;
    for (const int depth : o.depth) {
        for (const int n_seq : o.sequences) {
            for (const int n : o.prompt) {
                if (n > 0) cases.push_back({n, 0, n_seq, depth});
            }
            for (const int n : o.generate) {
                if (n > 0) cases.push_back({0, n, n_seq, depth});
            }
        }
    }
    if (cases.empty())
        throw Error(ErrorKind::usage, "There is nothing to measure.", "Give --prompt or --gen a number above 0.");
    return cases;
}

// The engine speaks of a prompt, which nobody gave.
double measure_or_say(Engine& engine, const Case& c, std::uint64_t seed) {
    try {
        return measure(engine, c, seed);
    } catch (const Error& e) {
        if (e.kind() != ErrorKind::limit) throw;
        throw Error(ErrorKind::limit, fmt::format("{} at depth {} does not fit. {}", c.name(), c.depth, e.message()),
                    "Give smaller numbers to --depth, --prompt or --gen.");
    }
}

int bench_verb(const Options& o) {
    const std::vector<Case> cases = cases_of(o);
    EngineOptions engine_options;
    engine_options.max_sequences = *std::ranges::max_element(o.sequences);
    engine_options.draft_tokens = 0;  // every token is computed, or the figures would tell of the text
    const Session session = open_session(o.model, &engine_options);
    std::optional<PeerBench> peer;
    if (!o.compare.empty()) {
        if (session.model->files()->files().size() != 1)
            throw Error(ErrorKind::unsupported, "--compare needs a model of one file, which the peer reads as well.",
                        "Compare with a GGUF file.");
        peer.emplace(o.compare, session.model->files()->files().front().string());
    }
    const InterruptGuard guard;
    ProgressBar bar(!stderr_is_terminal());
    const Progress progress = bar.callback();
    std::vector<Result> results;
    const auto total = cases.size() * static_cast<std::size_t>(o.repetitions + 1);
    std::uint64_t done = 0;
    for (const Case& c : cases) {
        Result result{c, {}, {}};
        // The first run warms caches and pages up, and is not counted.
        for (int i = 0; i <= o.repetitions; ++i) {
            progress({fmt::format("measuring {}", c.name()), done++, total, "runs"});
            if (i == 0 || c.depth == 0) session.engine->clear_cache();
            const double rate = measure_or_say(*session.engine, c, static_cast<std::uint64_t>(i) * 7919 + 1);
            if (i > 0) result.rates.push_back(rate);
            // Turn by turn: a machine that changes its mind does so to both.
            if (i > 0 && peer && c.n_seq == 1)
                result.peer.push_back(peer->measure({c.n_prompt, c.n_gen, c.depth, session.host->threads().size()}));
        }
        std::ranges::sort(result.rates);
        std::ranges::sort(result.peer);
        results.push_back(std::move(result));
    }
    const Machine machine = describe_machine(session, !o.no_peaks);
    bar.clear();
    ValueList list;
    for (const Result& result : results) list.emplace_back(to_value(result, session, machine));
    if (o.model.json) {
        out(to_json(Value(std::move(list)), 2) + "\n");
        return 0;
    }
    std::vector<Table::Column> columns{{"TEST"},
                                       {"SEQUENCES", true, true},
                                       {"DEPTH", true, true},
                                       {"TOKENS/S", true},
                                       {"MIN", true, true},
                                       {"MAX", true, true},
                                       {"OF BANDWIDTH", true, true},
                                       {"OF PEAK", true, true}};
    if (peer) columns.insert(columns.end(), {{"PEER", true}, {"RATIO", true}});
    Table table(columns);
    for (std::size_t i = 0; i < results.size(); ++i) {
        const Result& r = results[i];
        const auto* map = list[i].get<ValueMap>();
        const auto share = [&](const char* key) {
            const auto value = map->find(key)->as_double();
            return value ? fmt::format("{:.0f} %", *value * 100) : std::string("-");
        };
        std::vector<std::string> cells{r.what.name(),
                                       std::to_string(r.what.n_seq),
                                       std::to_string(r.what.depth),
                                       fmt::format("{:.1f}", r.median()),
                                       fmt::format("{:.1f}", r.rates.front()),
                                       fmt::format("{:.1f}", r.rates.back()),
                                       share("share_of_bandwidth"),
                                       share("share_of_peak")};
        if (peer) {
            cells.push_back(r.peer.empty() ? "-" : fmt::format("{:.1f}", median_of(r.peer)));
            cells.push_back(r.peer.empty() ? "-" : fmt::format("{:.2f}x", r.median() / median_of(r.peer)));
        }
        table.add(std::move(cells));
    }
    out(fmt::format("{}: {}, profile {}, kv {}, {} thread{}, {}\n", session.name(),
                    human_bytes(file_bytes(*session.model)), profile_name(session.model->need_decoder().profile()),
                    kv_name(session.model->kv()), session.host->threads().size(),
                    session.host->threads().size() == 1 ? "" : "s", session.host->kernels().name));
    out(table.str(stdout_is_terminal() ? terminal_width() : 0));
    return 0;
}

}  // namespace

Action setup_bench(CLI::App& app) {
    auto o = std::make_shared<Options>();
    add_model_flags(app, o->model);
    constexpr int kMost = 1 << 20;
    const auto list = [&](const char* name, std::vector<int>& values, int least, int most, const char* help) {
        app.add_option(name, values, help)
            ->type_name("N,...")
            ->delimiter(',')
            ->expected(1, 64)
            ->check(CLI::Range(least, most));
    };
    list("-p,--prompt", o->prompt, 0, kMost, "Lengths of prompts to read (default 512; 0: none)");
    list("-n,--gen", o->generate, 0, kMost, "Lengths of answers to write (default 128; 0: none)");
    list("--depth", o->depth, 0, kMost, "Tokens that the context holds already (default 0)");
    list("--sequences", o->sequences, 1, 1024, "How many at once (default 1); rates are of all together");
    app.add_option("-r,--repetitions", o->repetitions, "Runs that count (default 5), after one that does not")
        ->type_name("N")
        ->check(CLI::Range(1, 1000));
    app.add_flag("--no-peaks", o->no_peaks, "Do not measure what the machine can do; shares are left out");
    app.add_option("--compare", o->compare,
                   "Path of a peer's llama-bench (and arguments): run in turns with ours on the same file and threads")
        ->type_name("PROGRAM");
    app.footer(
        "pp512 reads a prompt of 512 tokens; tg128 writes 128. Median, least and most of the repetitions are printed, "
        "with\n"
        "the share of the memory bandwidth and of the arithmetic peak that this machine showed in the same run.\n\n"
        "Examples\n"
        "  freehold bench smollm2:135m\n"
        "  freehold bench smollm2:135m --prompt 128,512 --gen 64 --depth 0,1024 --json\n"
        "  freehold bench ./model.gguf --compare ~/llama.cpp/build/bin/llama-bench");
    return [o] { return bench_verb(*o); };
}

}  // namespace freehold::cli
