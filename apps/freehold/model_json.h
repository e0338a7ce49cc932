// Stored models as JSON, one shape for pull, list, show and cp.
#pragma once

#include "freehold/base/value.h"
#include "freehold/store/store.h"

namespace freehold::cli {

[[nodiscard]] ValueMap stored_model_json(const StoredModel& model);
[[nodiscard]] ValueMap licence_json(const Licence& licence);

}  // namespace freehold::cli
