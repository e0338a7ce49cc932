// Rotary frequencies as the containers write them: one place for the scalings that more than one family knows.
#pragma once

#include <string>

#include "freehold/models/spec.h"
#include "meta_reader.h"

namespace freehold {

// config.json, both spellings: `section` is "rope_parameters" or one of its classes ("rope_parameters.full_attention"),
// beside the older rope_theta + rope_scaling. theta_key names the older key of theta.
[[nodiscard]] RopeSpec read_hf_rope(const MetaReader& meta, const std::string& section, const std::string& theta_key,
                                    const std::string& scaling_key, double default_theta, int n_dims, int context);
// GGUF: rope.freq_base, rope.scaling.*, and divisors in rope_freqs.weight, which replace the scaling keys.
[[nodiscard]] RopeSpec read_gguf_rope(const MetaReader& meta, double default_theta, int n_dims, int context);

}  // namespace freehold
