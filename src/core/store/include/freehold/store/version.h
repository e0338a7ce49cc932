// One version under several digests: manifests are written anew when a model is pushed or pulled.
#pragma once

#include <string_view>

#include "freehold/store/store.h"

namespace freehold {

// Is this one of the manifests by which the version is or was known: here, in a registry it was pulled from, or in the
// store of who pushed it there?
[[nodiscard]] bool is_version(const StoredModel& model, std::string_view manifest_digest);

}  // namespace freehold
