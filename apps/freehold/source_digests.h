// The files with weights that something is made from, by digest, so that its lineage can be told (origin.h).
#pragma once

#include <string>

#include "freehold/base/progress.h"
#include "freehold/formats/model_files.h"
#include "freehold/store/store.h"

namespace freehold::cli {

// Digests with blanks between them. Of a stored model they are known; other files are read.
[[nodiscard]] std::string digests_of_source(const Store& store, const LocatedModel& located, const ModelFiles& model,
                                            const Progress& progress);

}  // namespace freehold::cli
