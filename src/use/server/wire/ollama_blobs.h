// Blobs that clients send before POST /api/create makes a model of them.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/server/http.h"
#include "freehold/server/service.h"

namespace freehold::server {

// "sha256:" and 64 hexadecimal digits, or RequestError 400.
[[nodiscard]] std::string blob_digest(std::string_view digest);
// Where a blob waits that somebody of this tenant sent and that belongs to no model yet.
[[nodiscard]] std::filesystem::path upload_path(const Store& store, const std::string& tenant,
                                                const std::string& digest);
// The blob, if whoever asks has sent it or may use a model that it is part of: a digest alone opens nothing, for it is
// no secret.
[[nodiscard]] std::optional<std::filesystem::path> blob_for(const Store& store, const Principal& who,
                                                            const std::string& digest);

// HEAD and POST /api/blobs/{digest}.
[[nodiscard]] std::vector<Route> ollama_blob_routes(Service& service);

}  // namespace freehold::server
