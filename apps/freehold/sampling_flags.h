// How an answer is chosen, as flags of the command line and as /set in a chat: one table of names for both.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/engine/session.h"

namespace freehold::cli {

struct SamplingFlags {
    std::optional<double> temperature, top_p, min_p, typical, repetition_penalty, presence_penalty, frequency_penalty;
    std::optional<double> top_n_sigma, xtc_probability, xtc_threshold, dry_multiplier, dry_base, dynatemp_range,
        dynatemp_exponent, mirostat_tau, mirostat_eta;
    std::optional<int> top_k, penalty_last_n, max_tokens, min_tokens, logprobs, dry_allowed_length, dry_last_n,
        mirostat;
    std::optional<std::uint64_t> seed;
    std::vector<std::string> logit_bias;    // "ID=BIAS"
    std::vector<std::string> dry_breakers;  // texts; empty: default_dry_breakers()
    std::string samplers;                   // names with commas or semicolons between them; empty: default_chain()
    std::vector<std::string> stop;
};
void add_sampling_flags(CLI::App& app, SamplingFlags& flags);

// What the model recommends, changed by what the flags say; a seed is drawn when none is given.
// Throws Error{usage} that names the flag and its range.
[[nodiscard]] GenerateOptions generate_options(const SamplingFlags& flags, const LoadedModel& model);

// "temperature 0.9" in a chat. Throws Error{usage} with the names there are.
void set_sampling(GenerateOptions& options, std::string_view name, std::string_view value, const LoadedModel& model);
// Names and present values, one a line.
[[nodiscard]] std::string show_sampling(const GenerateOptions& options);

}  // namespace freehold::cli
