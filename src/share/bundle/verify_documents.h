// What the documents inside a bundle say about its files, held against the files.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "freehold/bundle/verify.h"

namespace freehold::bundle {

using Digests = std::map<std::string, std::string, std::less<>>;  // name to SHA-256, hex

// Index (bundle.json), the two bills of materials and the lineage, where they are there.
void check_documents(const Contents& contents, const Digests& digests, const VerifyOptions& options,
                     const std::function<void(Check)>& add);

}  // namespace freehold::bundle
