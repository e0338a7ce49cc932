// The texts beside the weights: chat template, card, licence, configuration.
#pragma once

#include "freehold/diff/diff.h"
#include "freehold/formats/model_files.h"

namespace freehold::diff {

[[nodiscard]] std::vector<TextChange> compare_templates(const ModelFiles& a, const ModelFiles& b);
[[nodiscard]] Licences compare_licences(const Side& a, const Side& b);
// Front matter into `keys`, what follows into `prose`.
void compare_cards(const Side& a, const Side& b, std::vector<KeyChange>& keys, std::vector<TextChange>& prose);
[[nodiscard]] std::vector<KeyChange> compare_config(const ModelFiles& a, const ModelFiles& b);

}  // namespace freehold::diff
