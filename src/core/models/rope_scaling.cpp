// Scalings of rotary frequencies: none, linear, dynamic, llama3, yarn, longrope. Anything else is refused by name,
// never ignored.
#include "rope_scaling.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "freehold/kernels/kernels.h"

namespace freehold {
namespace {

constexpr double kMaxTheta = 1e15, kMaxFactor = 1e6;

double frequency(const RopeSpec& r, int pair) {
    return fh_pow(r.theta, -2.0 * pair / r.n_dims);
}

// Long wavelengths are stretched by `factor`, short ones kept, and a band between the two is blended.
void apply_llama3(RopeSpec& r, double factor, double low_factor, double high_factor, double original) {
    const double longest = original / low_factor, shortest = original / high_factor;
    for (int i = 0; i < r.n_dims / 2; ++i) {
        const double wavelength = 2 * std::numbers::pi / frequency(r, i);
        double divisor = 1;
        if (wavelength > longest) {
            divisor = factor;
        } else if (wavelength >= shortest) {
            const double smooth = (original / wavelength - low_factor) / (high_factor - low_factor);
            divisor = 1 / ((1 - smooth) / factor + smooth);
        }
        r.divisors.push_back(static_cast<float>(divisor));
    }
}

// The pair at which a wave turns `turns` times within the original context.
double pair_of(const RopeSpec& r, double turns, double original) {
    return r.n_dims * fh_log_double(original / (turns * 2 * std::numbers::pi)) / (2 * fh_log_double(r.theta));
}

void apply_yarn(RopeSpec& r, double factor, double beta_fast, double beta_slow, double original, bool truncate) {
    double low = pair_of(r, beta_fast, original), high = pair_of(r, beta_slow, original);
    if (truncate) {
        low = std::floor(low);
        high = std::ceil(high);
    }
    low = std::max(low, 0.0);
    high = std::min(high, static_cast<double>(r.n_dims - 1));
    if (low == high) high += 0.001;
    for (int i = 0; i < r.n_dims / 2; ++i) {
        const double ramp = std::clamp((i - low) / (high - low), 0.0, 1.0);
        r.divisors.push_back(static_cast<float>(1 / (ramp / factor + (1 - ramp))));
    }
}

// A divisor for every pair.
std::vector<float> listed(const MetaReader& meta, const std::string& key, int n_dims) {
    const Value* const list = meta.raw(key);
    if (list == nullptr) meta.refuse(key, "is missing");
    if (list->size() != static_cast<std::size_t>(n_dims / 2)) {
        meta.refuse(key, "has " + std::to_string(list->size()) + " numbers where " + std::to_string(n_dims / 2) +
                             " were expected, one for each rotated pair");
    }
    std::vector<float> out;
    for (std::size_t i = 0; i < list->size(); ++i) {
        const std::optional<double> x = list->at(i).as_double();
        if (!x || !std::isfinite(*x) || *x < 1e-9 || *x > 1e9)
            meta.refuse(key, "has a value at " + std::to_string(i) + " that is no positive number");
        out.push_back(static_cast<float>(*x));
    }
    return out;
}

double longrope_amplitude(double factor, double original) {
    return factor <= 1 || original <= 1 ? 1.0 : std::sqrt(1 + fh_log_double(factor) / fh_log_double(original));
}

void read_longrope(RopeSpec& r, const MetaReader& meta, const std::string& at, int context) {
    // Phi-3 says the original context outside of the section.
    constexpr std::string_view kOriginal = "original_max_position_embeddings";
    const std::string inside = at + "." + std::string(kOriginal);
    r.original_context =
        meta.has(inside) ? meta.whole(inside, 1, 1 << 24) : meta.whole_or(kOriginal, context, 1, 1 << 24);
    r.divisors = listed(meta, at + ".short_factor", r.n_dims);
    r.long_divisors = listed(meta, at + ".long_factor", r.n_dims);
    const double factor =
        meta.real_or(at + ".factor", static_cast<double>(context) / r.original_context, 1e-6, kMaxFactor);
    r.attn_factor = meta.real_or(at + ".attention_factor", longrope_amplitude(factor, r.original_context), 1e-6, 1e6);
}

std::vector<float> divisors_of(const MetaReader& meta, const Tensor& t, const std::string& name, int n_dims) {
    if (t.shape().numel() != n_dims / 2) {
        meta.refuse("rope.dimension_count", "says " + std::to_string(n_dims) + " but tensor '" + name + "' is " +
                                                t.shape().str() + " and not [" + std::to_string(n_dims / 2) + "]");
    }
    const Tensor values = t.to_f32();
    std::vector<float> out(values.f32().begin(), values.f32().end());
    for (const float d : out) {
        if (!std::isfinite(d) || d <= 0)
            meta.refuse("rope.dimension_count", "comes with '" + name + "' that has values that are not positive");
    }
    return out;
}

}  // namespace

double yarn_amplitude(double factor, double mscale) {
    return factor <= 1 ? 1.0 : 0.1 * mscale * fh_log_double(factor) + 1.0;
}

int rotated_part(const MetaReader& meta, std::string_view key, double otherwise, int head_dim) {
    constexpr std::string_view kNewer = "rope_parameters.partial_rotary_factor";
    const double part = meta.real_or(meta.has(kNewer) ? kNewer : key, otherwise, 0, 1);
    return static_cast<int>(part * head_dim);
}

RopeSpec read_hf_rope(const MetaReader& meta, const std::string& section, const std::string& theta_key,
                      const std::string& scaling_key, double default_theta, int n_dims, int context, bool partial) {
    RopeSpec r;
    r.n_dims = n_dims;
    const bool newer = meta.has(section);
    const std::string at = newer ? section : scaling_key;
    r.theta = newer && meta.has(section + ".rope_theta") ? meta.real(section + ".rope_theta", 1e-3, kMaxTheta)
                                                         : meta.real_or(theta_key, default_theta, 1e-3, kMaxTheta);
    if (at.empty() || !meta.has(at)) return r;
    if (!partial && meta.real_or(at + ".partial_rotary_factor", 1.0, 0, 1) != 1.0)
        meta.not_handled(at + ".partial_rotary_factor", "is not 1");
    const std::string type =
        meta.has(at + ".rope_type") ? *meta.text(at + ".rope_type") : meta.text(at + ".type").value_or("default");
    if (type == "default") return r;
    const auto factor = [&] { return meta.real(at + ".factor", 1e-6, kMaxFactor); };
    const auto original = [&] { return meta.real_or(at + ".original_max_position_embeddings", context, 1, 1e9); };
    // Early files of Phi-3 call longrope "su" or "yarn".
    if (type == "longrope" || type == "su" || (type == "yarn" && meta.has(at + ".short_factor"))) {
        read_longrope(r, meta, at, context);
    } else if (type == "linear") {
        r.factor = factor();
    } else if (type == "llama3") {
        const double low = meta.real(at + ".low_freq_factor", 1e-6, 1e6),
                     high = meta.real(at + ".high_freq_factor", 1e-6, 1e6);
        if (high <= low) meta.refuse(at + ".high_freq_factor", "is not greater than low_freq_factor");
        apply_llama3(r, factor(), low, high, original());
    } else if (type == "yarn") {
        const double f = factor();
        apply_yarn(r, f, meta.real_or(at + ".beta_fast", 32, 1e-3, 1e6), meta.real_or(at + ".beta_slow", 1, 1e-3, 1e6),
                   original(), meta.flag_or(at + ".truncate", true));
        const double mscale = meta.real_or(at + ".mscale", 0, 0, 1e3),
                     all = meta.real_or(at + ".mscale_all_dim", 0, 0, 1e3);
        const double otherwise =
            mscale > 0 && all > 0 ? yarn_amplitude(f, mscale) / yarn_amplitude(f, all) : yarn_amplitude(f, 1.0);
        r.attn_factor = meta.real_or(at + ".attention_factor", otherwise, 1e-6, 1e6);
    } else if (type == "dynamic") {
        r.dynamic_factor = factor();
        r.original_context = context;
    } else {
        meta.not_handled(at + ".rope_type",
                         "is \"" + type + "\" where default, linear, dynamic, llama3, yarn or longrope was expected");
    }
    return r;
}

RopeSpec read_gguf_rope(const MetaReader& meta, double default_theta, int n_dims, int context, bool yarn_truncate) {
    RopeSpec r;
    r.n_dims = n_dims;
    r.theta = meta.real_or("rope.freq_base", default_theta, 1e-3, kMaxTheta);
    if (const Tensor* const freqs = meta.files().find_tensor("rope_freqs.weight"); freqs != nullptr) {
        r.divisors = divisors_of(meta, *freqs, "rope_freqs.weight", n_dims);
        return r;
    }
    const Tensor* const shorter = meta.files().find_tensor("rope_factors_short.weight");
    const Tensor* const longer = meta.files().find_tensor("rope_factors_long.weight");
    if (shorter != nullptr && longer != nullptr) {
        r.original_context = meta.whole_or("rope.scaling.original_context_length", context, 1, 1 << 24);
        r.divisors = divisors_of(meta, *shorter, "rope_factors_short.weight", n_dims);
        r.long_divisors = divisors_of(meta, *longer, "rope_factors_long.weight", n_dims);
        r.attn_factor = meta.real_or("rope.scaling.attn_factor", 1, 1e-6, 1e6);
        return r;
    }
    const std::string type = meta.text("rope.scaling.type").value_or(meta.has("rope.scale_linear") ? "linear" : "none");
    if (type == "none") return r;
    const double factor = meta.has("rope.scaling.factor") ? meta.real("rope.scaling.factor", 0, kMaxFactor)
                                                          : meta.real_or("rope.scale_linear", 1, 0, kMaxFactor);
    if (factor == 0) return r;  // converters write 0 for "no scaling"
    if (type == "linear") {
        r.factor = factor;
    } else if (type == "yarn") {
        apply_yarn(r, factor, meta.real_or("rope.scaling.yarn_beta_fast", 32, 1e-3, 1e6),
                   meta.real_or("rope.scaling.yarn_beta_slow", 1, 1e-3, 1e6),
                   meta.real_or("rope.scaling.original_context_length", context, 1, 1e9), yarn_truncate);
        // Converters write the attention_factor of a config.json, which is the whole amplitude, as yarn_attn_factor.
        r.attn_factor = meta.real_or("rope.scaling.attn_factor", 1, 1e-6, 1e6) *
                        meta.real_or("rope.scaling.yarn_attn_factor", yarn_amplitude(factor, 1.0), 1e-6, 1e6);
    } else {
        meta.not_handled("rope.scaling.type", "is \"" + type + "\"");
    }
    return r;
}

}  // namespace freehold
