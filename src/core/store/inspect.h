// A shallow look into a model before it is stored: does it open, and what is it?
// Weights are mapped but not read; whatever the readers refuse never becomes a model of the store.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "freehold/store/source.h"
#include "freehold/store/store.h"

namespace freehold::detail {

// The path among the fetched files that ModelFiles::open is to be given.
[[nodiscard]] std::filesystem::path entry_point(const std::vector<FetchedFile>& files);
// Fills architecture, container, parameters, quantisation, context and, where the files name it, the licence.
// Error{bad_file|unsupported} from the readers; Error{bad_file} if there are no weights in it.
void inspect(const std::vector<FetchedFile>& files, ModelRecord& record);

}  // namespace freehold::detail
