// Documents that other rooms make for a bundle, so that the room that packs need not know them.
#pragma once

#include <vector>

#include "freehold/bundle/pack.h"

namespace freehold::cli {

// In the order in which the bundle lists them. They must not differ between two runs over the same model.
[[nodiscard]] std::vector<bundle::Document> bundle_documents(const Store& store, const bundle::PackSource& source);

}  // namespace freehold::cli
