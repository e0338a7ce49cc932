// The arithmetic of plans.
#include "freehold/plan/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "freehold/base/error.h"
#include "freehold/tensor/dtype.h"

namespace freehold::plan {
namespace {

double bytes_a_value(DType type) {
    const DTypeTraits& t = traits(type);
    return static_cast<double>(t.bytes) / t.block;
}

// Rows in blocks take whole blocks.
std::uint64_t row_bytes(DType type, std::int64_t cols) {
    const DTypeTraits& t = traits(type);
    const auto n = static_cast<std::uint64_t>(cols);
    return (n + t.block - 1) / t.block * t.bytes;
}

struct Sums {
    std::uint64_t all = 0, token = 0;
};

void add(Sums& sums, const PlannedTensor& t, std::uint64_t bytes_each) {
    sums.all += bytes_each * static_cast<std::uint64_t>(t.copies);
    if (t.lookup) {
        sums.token += bytes_each / static_cast<std::uint64_t>(std::max<std::int64_t>(1, t.rows));
    } else {
        sums.token += bytes_each * static_cast<std::uint64_t>(t.used);
    }
}

WeightRow row_of(const ModelShape& shape, std::string type, bool quantised, const auto& bytes_each) {
    Sums sums;
    for (const PlannedTensor& t : shape.tensors) add(sums, t, bytes_each(t));
    const std::uint64_t n = shape.total();
    return {std::move(type), n == 0 ? 0 : 8.0 * static_cast<double>(sums.all) / static_cast<double>(n), sums.all,
            sums.token, quantised};
}

bool is_matrix(const PlannedTensor& t) {
    return t.rows > 1 && t.name.ends_with("weight");
}

DType two_bits(const ModelShape& shape, const PlannedTensor& t) {
    if (t.name == "output.weight" || (t.name == "token_embd.weight" && shape.tied)) return DType::Q6_K;
    const auto has = [&](std::string_view part) { return t.name.find(part) != std::string::npos; };
    if (has("attn_v.") || has("attn_kv_b.") || has("attn_output.") || has("ffn_down")) return DType::Q3_K;
    return DType::Q2_K;
}

// Bytes that the weights of a step of `streams` tokens take: experts are read once for all who chose them.
double step_bytes(const ModelShape& shape, const WeightRow& weights, int streams) {
    if (shape.n_experts == 0 || streams <= 1) return static_cast<double>(weights.token_bytes);
    double shared = 0, chosen = 0;
    for (const PlannedTensor& t : shape.tensors) {
        const double numbers = static_cast<double>(t.each());
        if (t.copies > 1) {
            const double p = static_cast<double>(t.used) / static_cast<double>(t.copies);
            chosen += numbers * static_cast<double>(t.copies) * (1 - std::pow(1 - p, streams));
        } else {
            shared += t.lookup ? static_cast<double>(t.cols) * streams : numbers;
        }
    }
    return (shared + chosen) * weights.bits / 8;
}

}  // namespace

CacheType cache_type(std::string_view name) {
    if (name == "f32") return CacheType::f32;
    if (name == "f16") return CacheType::f16;
    if (name == "q8_0" || name == "q8") return CacheType::q8_0;
    throw Error(ErrorKind::usage, fmt::format("There is no cache of type \"{}\".", name), "Choose f32, f16 or q8_0.");
}

std::string_view cache_name(CacheType type) noexcept {
    return type == CacheType::f32 ? "f32" : type == CacheType::f16 ? "f16" : "q8_0";
}

std::vector<WeightRow> weight_rows(const ModelShape& shape) {
    std::vector<WeightRow> rows;
    static constexpr const char* kMixes[] = {"f32",    "bf16",   "f16",  "q8_0",  "q6_k",
                                             "q5_k_m", "q4_k_m", "q4_0", "q3_k_m"};
    for (const char* name : kMixes) {
        const QuantMix& mix = quant_mix(name);
        rows.push_back(row_of(shape, name, traits(mix.base).quantised, [&](const PlannedTensor& t) {
            const DType type = mixed_type(
                mix, {shape.n_layers, shape.n_experts, std::max(1, shape.n_heads / shape.kv_heads), shape.tied}, t.name,
                Shape{std::max<std::int64_t>(t.rows, 1), t.cols});
            return row_bytes(type, t.cols) * static_cast<std::uint64_t>(t.rows);
        }));
        // The makers' own form stands beside eight bits.
        if (std::string_view(name) == "q8_0" && (shape.native == "fp8" || shape.family == "deepseek_v3")) {
            rows.push_back(row_of(shape, "fp8", false, [&](const PlannedTensor& t) -> std::uint64_t {
                const bool kept = !t.matrix || t.name == "output.weight" || t.name.find("ffn_gate_inp") != t.name.npos;
                if (kept) return t.each() * 2;
                const auto blocks = static_cast<std::uint64_t>((t.rows + 127) / 128 * ((t.cols + 127) / 128));
                return t.each() + 4 * blocks;
            }));
        }
    }
    rows.push_back(row_of(shape, "q2_k", true, [&](const PlannedTensor& t) {
        DType type = DType::F32;
        if (is_matrix(t) && t.name.find("ffn_gate_inp") == std::string::npos &&
            t.name.find("position_embd") == std::string::npos)
            type = t.cols % 256 == 0 ? two_bits(shape, t) : DType::Q4_0;
        return row_bytes(type, t.cols) * static_cast<std::uint64_t>(t.rows);
    }));
    return rows;
}

std::uint64_t cache_bytes(const ModelShape& shape, CacheType type, std::int64_t tokens) {
    const DType stored = type == CacheType::f32 ? DType::F32 : type == CacheType::f16 ? DType::F16 : DType::Q8_0;
    double bytes = 0;
    for (const CacheShape& layer : shape.cache) {
        const std::int64_t reach = layer.window > 0 ? std::min<std::int64_t>(tokens, layer.window) : tokens;
        bytes += bytes_a_value(stored) * static_cast<double>(layer.numbers) * static_cast<double>(reach);
    }
    return static_cast<std::uint64_t>(bytes);
}

Rates rates(const ModelShape& shape, const WeightRow& weights, CacheType cache, const Machine& machine,
            std::int64_t context, int streams) {
    Rates r;
    const double n = std::max(1, streams);
    const double kv = static_cast<double>(cache_bytes(shape, cache, std::max<std::int64_t>(1, context / 2)));
    const double bandwidth = machine.read_gbytes_per_s * 1e9 * kDecodeShare;
    const double peak = (weights.quantised ? machine.int8_gops : machine.float_gflops) * 1e9 * kPrefillShare;
    // Operations of a token: two a weight, and those of attention at the middle of the context. A latent cache is
    // attended as it is while decoding, and unfolded for a prompt.
    double decoding = 0, reading = 0;
    for (const CacheShape& layer : shape.cache) {
        const double reach = layer.window > 0 ? std::min<double>(static_cast<double>(context) / 2, layer.window)
                                              : static_cast<double>(context) / 2;
        const double unfolded = shape.head_dim + shape.v_dim;
        reading += 2.0 * shape.n_heads * unfolded * reach;
        decoding += 2.0 * shape.n_heads * (layer.latent ? 2.0 * layer.value_dim : unfolded) * reach;
    }
    const double weights_work = 2.0 * static_cast<double>(shape.active());
    const double work = weights_work + decoding, prompt_work = weights_work + reading;
    const double seconds_memory = bandwidth > 0 ? (step_bytes(shape, weights, streams) + n * kv) / bandwidth : 0;
    const double seconds_work = peak > 0 ? n * work / peak : 0;
    const double step = std::max(seconds_memory, seconds_work);
    if (bandwidth > 0 && step > 0) {
        r.decode = 1 / step;
        r.decode_all = n / step;
    }
    if (peak > 0 && prompt_work > 0) r.prefill = peak / prompt_work;
    return r;
}

Holding holding(const ModelShape& shape, const WeightRow& weights, CacheType cache, const Machine& machine,
                std::int64_t context, int streams) {
    Holding h;
    h.bytes = weights.bytes + cache_bytes(shape, cache, context) * static_cast<std::uint64_t>(std::max(1, streams)) +
              kProgramBytes;
    const double usable = static_cast<double>(machine.memory) * kUsableMemory - static_cast<double>(kProgramBytes);
    if (usable > 0)
        h.machines = static_cast<std::uint64_t>(
            std::max(1.0, std::ceil((static_cast<double>(h.bytes) - static_cast<double>(kProgramBytes)) / usable)));
    return h;
}

Cost cost(const Use& use, const Rates& rates, const Holding& holding) {
    Cost c;
    const double out = use.tokens_per_day * use.output_share, in = use.tokens_per_day - out;
    const double a_day = 24 * 3600.0;
    const auto seconds = [&](double tokens) {
        const double o = tokens * use.output_share;
        return (rates.prefill > 0 ? (tokens - o) / rates.prefill : 0) +
               (rates.decode_all > 0 ? o / rates.decode_all : 0);
    };
    c.busy = seconds(use.tokens_per_day) / a_day;
    const double sets = std::max(1.0, std::ceil(c.busy));
    const double machines = static_cast<double>(holding.machines);
    c.machines = sets * machines;
    c.own = c.machines * use.machine_price_per_hour * kHoursPerMonth;
    c.hosted = kDaysPerMonth * (in * use.hosted_price_in + out * use.hosted_price_out) / 1e6;
    // Use at which the first set of machines costs what the hosted one does.
    const double a_token =
        kDaysPerMonth * ((1 - use.output_share) * use.hosted_price_in + use.output_share * use.hosted_price_out) / 1e6;
    if (a_token > 0 && machines > 0) {
        const double even = machines * use.machine_price_per_hour * kHoursPerMonth / a_token;
        if (seconds(even) <= a_day) c.even_tokens_per_day = even;
    }
    return c;
}

}  // namespace freehold::plan
