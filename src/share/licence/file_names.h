// Which files of a model speak of terms, by their names.
#pragma once

#include <string>
#include <string_view>

namespace freehold::licence {

// The last part of a path in lower case.
[[nodiscard]] std::string base_name(std::string_view path);

// "LICENSE", "MODEL_LICENSE.md", "COPYING.model", "USE_POLICY.md", "TERMS.txt", "LEGAL.md", "LICENSE.json",
// "LICENSES/MIT.txt".
[[nodiscard]] bool is_licence_name(std::string_view path);

// "NOTICE", "COPYRIGHT": says first of all whose work it is.
[[nodiscard]] bool is_notice_name(std::string_view path);

// "MODEL_CARD.md", "README.txt", "USAGE.md" at the top of the folder: read like a card's sentences.
[[nodiscard]] bool is_spoken_name(std::string_view path);

// The ending of documents whose words are not read here ("pdf"), or null.
[[nodiscard]] const char* closed_document(std::string_view name);

// "model.safetensors.license": a line beside a file of weights.
[[nodiscard]] bool beside_weights(std::string_view name);

}  // namespace freehold::licence
