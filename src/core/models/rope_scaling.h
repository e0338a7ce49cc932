// Rotary frequencies as the containers write them: one place for the scalings that more than one family knows.
#pragma once

#include <string>

#include "freehold/models/spec.h"
#include "meta_reader.h"

namespace freehold {

// config.json, both spellings: `section` is "rope_parameters" or one of its classes ("rope_parameters.full_attention"),
// beside the older rope_theta + rope_scaling. theta_key names the older key of theta. partial: the family rotates part
// of a head (and n_dims is that part); else a part that is not the whole is refused.
[[nodiscard]] RopeSpec read_hf_rope(const MetaReader& meta, const std::string& section, const std::string& theta_key,
                                    const std::string& scaling_key, double default_theta, int n_dims, int context,
                                    bool partial = false);
// What yarn multiplies by so that scores keep their spread: 0.1 * mscale * ln(factor) + 1, or 1 where nothing is
// stretched.
[[nodiscard]] double yarn_amplitude(double factor, double mscale);
// How much of a head is rotated: rope_parameters.partial_rotary_factor, or the older `key`, or `otherwise`.
[[nodiscard]] int rotated_part(const MetaReader& meta, std::string_view key, double otherwise, int head_dim);
// GGUF: rope.freq_base, rope.scaling.*, and divisors in rope_freqs.weight, which replace the scaling keys, or in
// rope_factors_short.weight and rope_factors_long.weight (longrope).
// yarn_truncate: whether yarn's band begins and ends at whole pairs, which such files do not say.
[[nodiscard]] RopeSpec read_gguf_rope(const MetaReader& meta, double default_theta, int n_dims, int context,
                                      bool yarn_truncate = true);

}  // namespace freehold
