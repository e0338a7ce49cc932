// POST /api/create.
#pragma once

#include <string>

#include "freehold/server/http.h"
#include "freehold/server/service.h"

namespace freehold::server {

// from (a model) or files (blobs that were sent), quantize, adapters, template, system, parameters, messages, license.
void ollama_create(Service& service, const RequestPtr& http, const ResponderPtr& responder);
// The model that it was created from, where that is still here, is the same, and may be used by `who`; else empty.
[[nodiscard]] std::string parent_of(const ModelPool& pool, const Principal& who, const KnownModel& known);
// What it was made of, as a Modelfile says it. FROM names `parent`, or the model itself where that is empty.
[[nodiscard]] std::string modelfile_of(const KnownModel& known, const std::string& parent);

}  // namespace freehold::server
