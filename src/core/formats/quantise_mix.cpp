// The mixtures, as files of these names are made everywhere: value and down projections, which suffer most, get more
// bits in the first and last eighth of the layers and in every third between; the head gets six.
#include "quantise_mix.h"

#include <fmt/format.h>

#include <array>
#include <charconv>

#include "freehold/base/error.h"

namespace freehold {
namespace {

constexpr QuantMix kMixes[] = {
    {"f32", DType::F32, 0, "exact floats, four bytes a weight"},
    {"f16", DType::F16, 1, "half floats"},
    {"bf16", DType::BF16, 32, "brain floats"},
    {"q8_0", DType::Q8_0, 7, "8 bits, hardly distinguishable from the original"},
    {"q6_k", DType::Q6_K, 18, "6 bits"},
    {"q5_k_m", DType::Q5_K, 17, "5 bits, 6 where it matters"},
    {"q5_k_s", DType::Q5_K, 16, "5 bits"},
    {"q5_1", DType::Q5_1, 9, "5 bits with a minimum, blocks of 32"},
    {"q5_0", DType::Q5_0, 8, "5 bits, blocks of 32"},
    {"q4_k_m", DType::Q4_K, 15, "4 bits, 6 where it matters: the usual choice"},
    {"q4_k_s", DType::Q4_K, 14, "4 bits, 5 in a few places"},
    {"iq4_nl", DType::IQ4_NL, 25, "4 bits of a table, blocks of 32"},
    {"q4_1", DType::Q4_1, 3, "4 bits with a minimum, blocks of 32"},
    {"q4_0", DType::Q4_0, 2, "4 bits, blocks of 32"},
    {"q3_k_l", DType::Q3_K, 13, "3 bits, 5 where it matters"},
    {"q3_k_m", DType::Q3_K, 12, "3 bits, 4 and 5 where it matters"},
    {"q3_k_s", DType::Q3_K, 11, "3 bits"},
};

bool has(std::string_view name, std::string_view part) {
    return name.find(part) != std::string_view::npos;
}

// The number in "blk.N.", else 0.
int layer_of(std::string_view name) {
    int layer = 0;
    if (name.starts_with("blk.")) std::from_chars(name.data() + 4, name.data() + name.size(), layer);
    return layer;
}

bool more_bits(int layer, int n) {
    return layer < n / 8 || layer >= 7 * n / 8 || (layer - n / 8) % 3 == 2;
}

DType for_values(const QuantMix& mix, const MixModel& m, int layer) {
    if (m.n_experts == 8) return DType::Q8_0;
    if (mix.name == "q3_k_m") return layer < 2 ? DType::Q5_K : DType::Q4_K;
    if (mix.name == "q3_k_l") return DType::Q5_K;
    if (mix.name == "iq4_nl" && m.heads_per_kv >= 4) return DType::Q5_K;
    if ((mix.name == "q4_k_m" || mix.name == "q5_k_m") && more_bits(layer, m.n_layers)) return DType::Q6_K;
    if (mix.name == "q4_k_s" && layer < 4) return DType::Q5_K;
    return mix.base;
}

DType for_down(const QuantMix& mix, const MixModel& m, int layer) {
    const bool early = layer < m.n_layers / 8;
    if (mix.name == "q3_k_m") return layer < m.n_layers / 16 ? DType::Q5_K : DType::Q4_K;
    if (mix.name == "q3_k_l") return DType::Q5_K;
    if ((mix.name == "q4_k_m" || mix.name == "q5_k_m") && more_bits(layer, m.n_layers)) return DType::Q6_K;
    if ((mix.name == "q4_k_s" || mix.name == "iq4_nl") && early) return DType::Q5_K;
    return mix.base;
}

DType for_attention_output(const QuantMix& mix, const MixModel& m) {
    if (m.n_experts == 8) {
        const bool small =
            mix.base == DType::Q4_K || mix.base == DType::IQ4_NL || mix.name == "q3_k_s" || mix.name == "q3_k_m";
        return small ? DType::Q5_K : mix.base;
    }
    if (mix.name == "q3_k_m") return DType::Q4_K;
    if (mix.name == "q3_k_l") return DType::Q5_K;
    return mix.base;
}

DType wanted(const QuantMix& mix, const MixModel& m, std::string_view name, std::int64_t width) {
    const int layer = layer_of(name);
    const bool embedding = name == "token_embd.weight" || name == "per_layer_token_embd.weight";
    if (name == "output.weight" || (embedding && m.tied)) {
        if (mix.base == DType::Q8_0 || width % traits(mix.base).block != 0) return DType::Q8_0;
        return DType::Q6_K;
    }
    if (has(name, "attn_v.weight") || has(name, "attn_qkv.weight") || has(name, "attn_kv_b.weight"))
        return for_values(mix, m, layer);
    if (has(name, "attn_k.weight") && m.n_experts == 8) return DType::Q8_0;
    if (has(name, "ffn_down")) return for_down(mix, m, layer);
    if (has(name, "attn_output.weight")) return for_attention_output(mix, m);
    return mix.base;
}

// Blocks of 256 do not fit every width; the next type with blocks of 32 and no fewer bits does.
DType fallback(DType type) {
    switch (type) {
        case DType::Q3_K:
            return DType::Q4_0;
        case DType::Q4_K:
            return DType::Q5_0;
        case DType::Q5_K:
            return DType::Q5_1;
        case DType::Q6_K:
            return DType::Q8_0;
        default:
            return DType::F16;
    }
}

}  // namespace

std::span<const QuantMix> quant_mixes() noexcept {
    return kMixes;
}

const QuantMix& quant_mix(std::string_view name) {
    std::string lower(name);
    for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    std::string known;
    for (const QuantMix& mix : kMixes) {
        if (mix.name == lower) return mix;
        known += (known.empty() ? "" : ", ") + std::string(mix.name);
    }
    throw Error(ErrorKind::usage, fmt::format("There is no type \"{}\" to quantise to.", name),
                fmt::format("Choose one of: {}.", known));
}

bool mix_touches(std::string_view name, const Shape& shape) {
    // Small or sensitive: norms, routers, positions, convolutions and states of recurrent layers.
    static constexpr std::array kKept = {"_norm.weight", "ffn_gate_inp", "position_embd",   "token_types",
                                         "pos_embd",     "ssm_conv1d",   "shortconv",       "altup",
                                         "laurel",       "rel_pos",      "attn_rel_b",      "per_layer_model_proj",
                                         "time_mix_",    "patch_embd",   "ffn_gate_tid2eid"};
    if (shape.rank() < 2 || shape.rows() <= 1 || !name.ends_with("weight")) return false;
    for (const char* part : kKept)
        if (has(name, part)) return false;
    return true;
}

MixChoice mix_choice(const QuantMix& mix, const MixModel& model, std::string_view name, const Shape& shape) {
    if (!traits(mix.base).quantised) return {mix.base, false};
    const DType want = wanted(mix, model, name, shape.last());
    if (shape.last() % traits(want).block == 0) return {want, false};
    const DType next = fallback(want);
    return {shape.last() % traits(next).block == 0 ? next : DType::F16, true};
}

DType mixed_type(const QuantMix& mix, const MixModel& model, std::string_view name, const Shape& shape) {
    return mix_touches(name, shape) ? mix_choice(mix, model, name, shape).type : DType::F32;
}

}  // namespace freehold
