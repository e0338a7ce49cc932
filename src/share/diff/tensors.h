// Tensors of two models, by name.
#pragma once

#include <string>
#include <string_view>

#include "freehold/diff/diff.h"
#include "freehold/formats/model_files.h"

namespace freehold::diff {

[[nodiscard]] Tensors compare_tensors(const ModelFiles& a, const ModelFiles& b, const Options& options);

// "layer 3" of "blk.3.attn_q.weight" or "model.layers.3.mlp.up_proj.weight"; "embedding", "output", "other".
[[nodiscard]] std::string layer_of(std::string_view tensor);
// As people count: "blk.2" before "blk.10".
[[nodiscard]] bool counts_before(std::string_view a, std::string_view b) noexcept;

}  // namespace freehold::diff
