// POST /api/create.
#pragma once

#include <string>

#include "freehold/server/http.h"
#include "freehold/server/service.h"

namespace freehold::server {

// from (a model) or files (blobs that were sent), quantize, adapters, template, system, parameters, messages, license.
void ollama_create(Service& service, const RequestPtr& http, const ResponderPtr& responder);
// What it was made of, as a Modelfile says it.
[[nodiscard]] std::string modelfile_of(const KnownModel& known);

}  // namespace freehold::server
