// One row per setting: its name, its help, and where its value goes.
#include "sampling_flags.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <random>

#include "freehold/base/error.h"

namespace freehold::cli {
namespace {

// The settings that are one number; `set` takes what from_chars read.
struct Setting {
    const char* name;
    const char* help;
    const char* type;
    std::optional<double> SamplingFlags::*real;
    std::optional<int> SamplingFlags::*whole;
    void (*apply)(GenerateOptions& options, double value);
    double (*get)(const GenerateOptions& options);
};

constexpr std::array kSettings = {
    Setting{"temperature", "0 takes the likeliest token; higher is more varied", "X", &SamplingFlags::temperature,
            nullptr, [](GenerateOptions& o, double v) { o.sampler.temperature = static_cast<float>(v); },
            [](const GenerateOptions& o) { return static_cast<double>(o.sampler.temperature); }},
    Setting{"top-k", "Choose among the K likeliest (0: all)", "K", nullptr, &SamplingFlags::top_k,
            [](GenerateOptions& o, double v) { o.sampler.top_k = static_cast<int>(v); },
            [](const GenerateOptions& o) { return static_cast<double>(o.sampler.top_k); }},
    Setting{"top-p", "Choose among the likeliest that make up this share (1: all)", "P", &SamplingFlags::top_p, nullptr,
            [](GenerateOptions& o, double v) { o.sampler.top_p = static_cast<float>(v); },
            [](const GenerateOptions& o) { return static_cast<double>(o.sampler.top_p); }},
    Setting{"min-p", "Leave out what is less likely than P times the likeliest (0: nothing)", "P",
            &SamplingFlags::min_p, nullptr,
            [](GenerateOptions& o, double v) { o.sampler.min_p = static_cast<float>(v); },
            [](const GenerateOptions& o) { return static_cast<double>(o.sampler.min_p); }},
    Setting{"typical", "Locally typical sampling (1: off)", "P", &SamplingFlags::typical, nullptr,
            [](GenerateOptions& o, double v) { o.sampler.typical_p = static_cast<float>(v); },
            [](const GenerateOptions& o) { return static_cast<double>(o.sampler.typical_p); }},
    Setting{"repetition-penalty", "Makes tokens that were seen less likely (1: off)", "R",
            &SamplingFlags::repetition_penalty, nullptr,
            [](GenerateOptions& o, double v) { o.sampler.repetition_penalty = static_cast<float>(v); },
            [](const GenerateOptions& o) { return static_cast<double>(o.sampler.repetition_penalty); }},
    Setting{"presence-penalty", "Subtracted from the logit of tokens that were seen", "X",
            &SamplingFlags::presence_penalty, nullptr,
            [](GenerateOptions& o, double v) { o.sampler.presence_penalty = static_cast<float>(v); },
            [](const GenerateOptions& o) { return static_cast<double>(o.sampler.presence_penalty); }},
    Setting{"frequency-penalty", "Subtracted once for each time a token was seen", "X",
            &SamplingFlags::frequency_penalty, nullptr,
            [](GenerateOptions& o, double v) { o.sampler.frequency_penalty = static_cast<float>(v); },
            [](const GenerateOptions& o) { return static_cast<double>(o.sampler.frequency_penalty); }},
    Setting{"penalty-last-n", "Only the last N tokens count as seen (-1: all)", "N", nullptr,
            &SamplingFlags::penalty_last_n,
            [](GenerateOptions& o, double v) { o.sampler.penalty_last_n = static_cast<int>(v); },
            [](const GenerateOptions& o) { return static_cast<double>(o.sampler.penalty_last_n); }},
    Setting{"max-tokens", "Stop after N tokens (default: when the answer ends or the context is full)", "N", nullptr,
            &SamplingFlags::max_tokens, [](GenerateOptions& o, double v) { o.max_tokens = static_cast<int>(v); },
            [](const GenerateOptions& o) { return o.max_tokens ? static_cast<double>(*o.max_tokens) : std::nan(""); }},
};

std::pair<Token, float> parse_bias(const std::string& text) {
    Token id = 0;
    const auto equals = text.find('=');
    const char* begin = text.data();
    const char* end = begin + text.size();
    const auto wrong = [&] {
        return Error(
            ErrorKind::usage, fmt::format("\"{}\" is no logit bias.", text),
            "Write TOKEN_ID=BIAS, as in --logit-bias 42=-5, or 42=never to forbid it. `freehold tokenize` tells ids.");
    };
    if (equals == std::string::npos) throw wrong();
    if (const auto r = std::from_chars(begin, begin + equals, id); r.ec != std::errc() || r.ptr != begin + equals)
        throw wrong();
    const std::string_view value = std::string_view(text).substr(equals + 1);
    if (value == "never" || value == "false" || value == "-inf") return {id, -std::numeric_limits<float>::infinity()};
    float bias = 0;
    if (const auto r = std::from_chars(value.data(), end, bias); r.ec != std::errc() || r.ptr != end) throw wrong();
    return {id, bias};
}

std::uint64_t random_seed() {
    std::random_device device;
    // 53 bits, so that any JSON reader gives the number back whole.
    return ((static_cast<std::uint64_t>(device()) << 32U) | device()) >> 11U;
}

void check_options(const GenerateOptions& options, const LoadedModel& model) {
    if (options.max_tokens && *options.max_tokens < 1) {
        throw Error(ErrorKind::usage, fmt::format("An answer of {} tokens makes no sense.", *options.max_tokens),
                    "--max-tokens takes a number from 1.");
    }
    check(options.sampler, model.need_decoder().spec().vocab);
}

}  // namespace

void add_sampling_flags(CLI::App& app, SamplingFlags& flags) {
    for (const Setting& s : kSettings) {
        CLI::Option* option = s.real != nullptr ? app.add_option(fmt::format("--{}", s.name), flags.*s.real, s.help)
                                                : app.add_option(fmt::format("--{}", s.name), flags.*s.whole, s.help);
        option->type_name(s.type)->group("Answer");
    }
    app.add_option("--seed", flags.seed, "The same seed gives the same answer (default: drawn anew)")
        ->type_name("N")
        ->group("Answer");
    app.add_option("--stop", flags.stop, "Stop before this text; may be given several times")
        ->type_name("TEXT")
        ->group("Answer")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    app.add_option("--logit-bias", flags.logit_bias,
                   "ID=BIAS is added to a token's logit; ID=never forbids it; may be given several times")
        ->type_name("ID=BIAS")
        ->group("Answer")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

GenerateOptions generate_options(const SamplingFlags& flags, const LoadedModel& model) {
    GenerateOptions options;
    options.sampler = recommended_sampler(model);
    for (const Setting& s : kSettings) {
        if (s.real != nullptr && flags.*s.real) s.apply(options, *(flags.*s.real));
        if (s.whole != nullptr && flags.*s.whole) s.apply(options, *(flags.*s.whole));
    }
    options.sampler.seed = flags.seed ? *flags.seed : random_seed();
    for (const auto& text : flags.logit_bias) options.sampler.logit_bias.push_back(parse_bias(text));
    options.stop = flags.stop;
    options.logprobs = flags.logprobs;
    if (options.logprobs && (*options.logprobs < 0 || *options.logprobs > 100)) {
        throw Error(ErrorKind::usage, fmt::format("--logprobs {} is out of range.", *options.logprobs),
                    "It takes 0 (the chosen token only) to 100.");
    }
    check_options(options, model);
    return options;
}

void set_sampling(GenerateOptions& options, std::string_view name, std::string_view value, const LoadedModel& model) {
    double number = 0;
    const auto [end, problem] = std::from_chars(value.data(), value.data() + value.size(), number);
    const bool is_number = problem == std::errc() && end == value.data() + value.size();
    if (name == "seed") {
        if (!is_number || number < 0)
            throw Error(ErrorKind::usage, fmt::format("\"{}\" is no seed.", value), "A seed is a number from 0.");
        options.sampler.seed = static_cast<std::uint64_t>(number);
        return;
    }
    for (const Setting& s : kSettings) {
        if (name != s.name) continue;
        if (!is_number || (s.whole != nullptr && (number != std::floor(number) || std::abs(number) > 1e9))) {
            throw Error(ErrorKind::usage, fmt::format("\"{}\" is no value for {}.", value, name), s.help);
        }
        GenerateOptions changed = options;
        s.apply(changed, number);
        check_options(changed, model);
        options = std::move(changed);
        return;
    }
    std::string names;
    for (const Setting& s : kSettings) names += fmt::format("{}, ", s.name);
    throw Error(ErrorKind::usage, fmt::format("There is no setting \"{}\".", name),
                fmt::format("Settings: {}seed.", names));
}

std::string show_sampling(const GenerateOptions& options) {
    std::string text;
    for (const Setting& s : kSettings) {
        const double value = s.get(options);
        text += fmt::format("  {:<20}{}\n", s.name,
                            std::isnan(value) ? std::string("no bound") : fmt::format("{:.6g}", value));
    }
    return text + fmt::format("  {:<20}{}\n", "seed", options.sampler.seed);
}

}  // namespace freehold::cli
