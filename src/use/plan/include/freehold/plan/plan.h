// Memory, rates and costs of a model that need not be here. Plain arithmetic over a ModelShape; every assumption is a
// field or a constant with its reason.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "freehold/formats/quantise.h"
#include "freehold/plan/shape.h"

namespace freehold::plan {

// Of the bandwidth that reading memory reaches, decoding gets this share, and prompts this one of the arithmetic: the
// middle of docs/performance.md.
inline constexpr double kDecodeShare = 0.7, kPrefillShare = 0.6;
// Beside weights and cache: scratch, tokenizer, the program.
inline constexpr std::uint64_t kProgramBytes = 500'000'000;
// Of a machine's memory, what a model may fill.
inline constexpr double kUsableMemory = 0.92;
inline constexpr double kHoursPerMonth = 730.5, kDaysPerMonth = 30.4375;

enum class CacheType : std::uint8_t { f32, f16, q8_0 };
[[nodiscard]] CacheType cache_type(std::string_view name);  // Error{usage}
[[nodiscard]] std::string_view cache_name(CacheType type) noexcept;

struct WeightRow {
    std::string type;               // "q4_k_m"
    double bits = 0;                // a weight
    std::uint64_t bytes = 0;        // of all weights
    std::uint64_t token_bytes = 0;  // read for one token
    bool quantised = false;         // products in 8 bits
};
// F32 to Q2_K; `q2_k` is an estimate (attention values and down projections in Q3_K), the others follow the rules of
// `freehold quantize`. FP8 with a scale for 128 x 128 where the maker's files are so.
[[nodiscard]] std::vector<WeightRow> weight_rows(const ModelShape& shape);

// Bytes of the cache of one sequence of that length.
[[nodiscard]] std::uint64_t cache_bytes(const ModelShape& shape, CacheType type, std::int64_t tokens);

struct Machine {
    double read_gbytes_per_s = 0;
    double int8_gops = 0;     // of products in 8 bits
    double float_gflops = 0;  // of products in floats
    std::uint64_t memory = 0;
};

struct Rates {
    double decode = 0;      // tokens/s of one stream
    double decode_all = 0;  // of all streams together
    double prefill = 0;     // tokens/s of a prompt
};
// `streams` sequences decode together, each at the middle of `context`: the weights are read once for all of them, of
// the experts those that at least one is expected to choose.
[[nodiscard]] Rates rates(const ModelShape& shape, const WeightRow& weights, CacheType cache, const Machine& machine,
                          std::int64_t context, int streams);

struct Holding {
    std::uint64_t bytes = 0;  // weights, the caches of all streams, the program
    std::uint64_t machines = 0;
};
[[nodiscard]] Holding holding(const ModelShape& shape, const WeightRow& weights, CacheType cache,
                              const Machine& machine, std::int64_t context, int streams);

struct Use {
    double tokens_per_day = 0;
    double output_share = 0.25;
    double machine_price_per_hour = 0;
    double hosted_price_in = 0, hosted_price_out = 0;  // a million tokens
};
struct Cost {
    double machines = 0;             // rented the whole month: those that hold it, or more where one set is too slow
    double own = 0, hosted = 0;      // a month
    double busy = 0;                 // share of the month that one set works (over 1: too slow alone)
    double even_tokens_per_day = 0;  // use at which both cost the same; 0: no such use within what the machines can do
};
[[nodiscard]] Cost cost(const Use& use, const Rates& rates, const Holding& holding);

}  // namespace freehold::plan
