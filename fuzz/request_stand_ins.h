// What stands behind the dialects in fuzz_request: nobody computes anything, but what would be computed is looked at.
#pragma once

#include "freehold/server/service.h"

namespace freehold::fuzz {

// Holds a request that a dialect let through against what templates and engine expect; aborts otherwise.
void look_at(const server::GenerationRequest& request);
// A service whose pool knows every model; "made" was created with settings of its own, "missing" is not there.
[[nodiscard]] server::Service& service();
// How many requests have reached the generator.
[[nodiscard]] std::uint64_t generations() noexcept;

}  // namespace freehold::fuzz
