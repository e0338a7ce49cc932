// What the sentences of a model card say about licences, origins and limits, beside its front matter.
#pragma once

#include <string_view>

#include "claims.h"

namespace freehold::licence {

// Adds to claims (a licence is named: "licensed under CC BY-NC 4.0"), bases ("fine-tuned from Llama 2") and limits.
void read_prose(std::string_view name, std::string_view text, Origins& out);

}  // namespace freehold::licence
