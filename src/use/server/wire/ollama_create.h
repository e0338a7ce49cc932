// POST /api/create, and the blobs that it is made of.
#pragma once

#include <filesystem>
#include <string>

#include "freehold/server/http.h"
#include "freehold/server/service.h"

namespace freehold::server {

// {digest} of the path, checked. Throws RequestError 400.
[[nodiscard]] std::string blob_digest(const HttpRequest& http);
// Where a blob waits that was sent and belongs to no model yet.
[[nodiscard]] std::filesystem::path upload_path(const Store& store, const std::string& digest);

// from (a model) or files (blobs that were sent), quantize, adapters, template, system, parameters, messages, license.
void ollama_create(Service& service, const RequestPtr& http, const ResponderPtr& responder);
// What it was made of, as a Modelfile says it.
[[nodiscard]] std::string modelfile_of(const KnownModel& known);

}  // namespace freehold::server
