// The openness report as a row of the server's route table: for models of the store, whose digests are known.
#pragma once

#include <vector>

#include "freehold/server/http.h"
#include "freehold/server/model_pool.h"

namespace freehold::cli {

// GET /freehold/v1/openness/{name...}: the JSON of `freehold openness --json`; ?format=html gives the page instead. Who
// may not use the model is told that there is none. The pool must outlive the rows.
[[nodiscard]] std::vector<server::Route> openness_routes(const server::ModelPool& pool);

}  // namespace freehold::cli
