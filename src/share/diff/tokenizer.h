// Tokenizers of two models, whatever form their files have.
#pragma once

#include "freehold/diff/diff.h"
#include "freehold/formats/model_files.h"

namespace freehold::diff {

// `notes` receives what could not be read. Nothing is built from the tokenizers: their files are compared.
[[nodiscard]] Tokenizer compare_tokenizers(const ModelFiles& a, const ModelFiles& b, std::vector<std::string>& notes);

}  // namespace freehold::diff
