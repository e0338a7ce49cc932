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
    Setting{"top-n-sigma", "Keep logits within N standard deviations of the highest (0: all)", "N",
            &SamplingFlags::top_n_sigma, nullptr,
            [](GenerateOptions& o, double v) { o.sampler.top_n_sigma = static_cast<float>(v); },
            [](const GenerateOptions& o) { return static_cast<double>(o.sampler.top_n_sigma); }},
    Setting{"dynatemp-range", "Temperature between T - X and T + X, by how unsure the model is (0: off)", "X",
            &SamplingFlags::dynatemp_range, nullptr,
            [](GenerateOptions& o, double v) { o.sampler.dynatemp_range = static_cast<float>(v); },
            [](const GenerateOptions& o) { return static_cast<double>(o.sampler.dynatemp_range); }},
    Setting{"dynatemp-exponent", "How the range is gone through (1: straight)", "X", &SamplingFlags::dynatemp_exponent,
            nullptr, [](GenerateOptions& o, double v) { o.sampler.dynatemp_exponent = static_cast<float>(v); },
            [](const GenerateOptions& o) { return static_cast<double>(o.sampler.dynatemp_exponent); }},
    Setting{"xtc-probability", "How often the likeliest tokens are left out but for the last of them (0: never)", "P",
            &SamplingFlags::xtc_probability, nullptr,
            [](GenerateOptions& o, double v) { o.sampler.xtc_probability = static_cast<float>(v); },
            [](const GenerateOptions& o) { return static_cast<double>(o.sampler.xtc_probability); }},
    Setting{"xtc-threshold", "What counts as one of the likeliest for it (above 0.5: off)", "P",
            &SamplingFlags::xtc_threshold, nullptr,
            [](GenerateOptions& o, double v) { o.sampler.xtc_threshold = static_cast<float>(v); },
            [](const GenerateOptions& o) { return static_cast<double>(o.sampler.xtc_threshold); }},
    Setting{"dry-multiplier", "Makes tokens that would go on a repetition less likely (0: off)", "X",
            &SamplingFlags::dry_multiplier, nullptr,
            [](GenerateOptions& o, double v) { o.sampler.dry_multiplier = static_cast<float>(v); },
            [](const GenerateOptions& o) { return static_cast<double>(o.sampler.dry_multiplier); }},
    Setting{"dry-base", "Grows with the length of the repetition to this power", "X", &SamplingFlags::dry_base, nullptr,
            [](GenerateOptions& o, double v) { o.sampler.dry_base = static_cast<float>(v); },
            [](const GenerateOptions& o) { return static_cast<double>(o.sampler.dry_base); }},
    Setting{"dry-allowed-length", "Repetitions shorter than N tokens are free", "N", nullptr,
            &SamplingFlags::dry_allowed_length,
            [](GenerateOptions& o, double v) { o.sampler.dry_allowed_length = static_cast<int>(v); },
            [](const GenerateOptions& o) { return static_cast<double>(o.sampler.dry_allowed_length); }},
    Setting{"dry-last-n", "Only the last N tokens are searched for repetitions (-1: all)", "N", nullptr,
            &SamplingFlags::dry_last_n,
            [](GenerateOptions& o, double v) { o.sampler.dry_last_n = static_cast<int>(v); },
            [](const GenerateOptions& o) { return static_cast<double>(o.sampler.dry_last_n); }},
    Setting{"mirostat", "2: hold the surprise of tokens near a target, in place of top-k and the like (0: off)", "N",
            nullptr, &SamplingFlags::mirostat,
            [](GenerateOptions& o, double v) { o.sampler.mirostat = static_cast<int>(v); },
            [](const GenerateOptions& o) { return static_cast<double>(o.sampler.mirostat); }},
    Setting{"mirostat-tau", "The target, in bits", "X", &SamplingFlags::mirostat_tau, nullptr,
            [](GenerateOptions& o, double v) { o.sampler.mirostat_tau = static_cast<float>(v); },
            [](const GenerateOptions& o) { return static_cast<double>(o.sampler.mirostat_tau); }},
    Setting{"mirostat-eta", "How fast it is approached", "X", &SamplingFlags::mirostat_eta, nullptr,
            [](GenerateOptions& o, double v) { o.sampler.mirostat_eta = static_cast<float>(v); },
            [](const GenerateOptions& o) { return static_cast<double>(o.sampler.mirostat_eta); }},
    Setting{"min-tokens", "The answer does not end before N tokens", "N", nullptr, &SamplingFlags::min_tokens,
            [](GenerateOptions& o, double v) { o.min_tokens = static_cast<int>(v); },
            [](const GenerateOptions& o) { return static_cast<double>(o.min_tokens); }},
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

std::vector<std::string> split_names(std::string_view text) {
    std::vector<std::string> names;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find_first_of(",; "), text.size());
        if (end > 0) names.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return names;
}

std::uint64_t random_seed() {
    std::random_device device;
    // 53 bits, so that any JSON reader gives the number back whole.
    return ((static_cast<std::uint64_t>(device()) << 32U) | device()) >> 11U;
}

// Walks the vocabulary, so only for who uses it.
void add_default_breakers(GenerateOptions& options, const LoadedModel& model) {
    if (options.sampler.dry_multiplier > 0 && options.sampler.dry_breakers.empty())
        options.sampler.dry_breakers = dry_breakers(model.need_tokenizer(), default_dry_breakers());
}

void check_options(const GenerateOptions& options, const LoadedModel& model) {
    if (options.max_tokens && *options.max_tokens < 1) {
        throw Error(ErrorKind::usage, fmt::format("An answer of {} tokens makes no sense.", *options.max_tokens),
                    "--max-tokens takes a number from 1.");
    }
    if (options.min_tokens < 0) {
        throw Error(ErrorKind::usage,
                    fmt::format("An answer of at least {} tokens makes no sense.", options.min_tokens),
                    "--min-tokens takes a number from 0.");
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
    app.add_option("--dry-breaker", flags.dry_breakers,
                   "A text that ends a repetition; may be given several times (default: line break, : \" *)")
        ->type_name("TEXT")
        ->group("Answer")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    app.add_option("--samplers", flags.samplers, "The order of the samplers, as in \"dry,top_k,top_p,temperature\"")
        ->type_name("NAMES")
        ->group("Answer");
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
    if (!flags.samplers.empty()) options.sampler.chain = chain_from_names(split_names(flags.samplers));
    if (!flags.dry_breakers.empty())
        options.sampler.dry_breakers = dry_breakers(model.need_tokenizer(), flags.dry_breakers);
    add_default_breakers(options, model);
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
        add_default_breakers(changed, model);
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
