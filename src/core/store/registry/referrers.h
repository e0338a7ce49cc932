// Documents that refer to a manifest: by the referrers API of a registry, or by the tag "sha256-..." where it has none.
#pragma once

#include <string>
#include <vector>

#include "client.h"
#include "freehold/store/push.h"
#include "upload.h"

namespace freehold::registry {

struct Subject {
    std::string media_type, digest;
    std::uint64_t size = 0;
};

struct Referrer {
    std::string digest, artifact_type;
    std::uint64_t size = 0;
};

// Pushes one document; the digest of its manifest.
[[nodiscard]] std::string attach_one(const Client& client, const Subject& subject, const Attachment& document,
                                     const UploadOptions& options);
// Manifests that refer to `digest`, of one type or (empty) of any.
[[nodiscard]] std::vector<Referrer> referrers_of(const Client& client, const std::string& digest,
                                                 std::string_view artifact_type);
// The document behind one of them. Error{bad_file|limit|network}.
[[nodiscard]] Attachment document_of(const Client& client, const Referrer& referrer);
// The layers of a manifest that are documents of this type; none for one that is no manifest of files.
[[nodiscard]] std::vector<Attachment> documents_in(const Client& client, const RemoteManifest& manifest,
                                                   std::string_view media_type);

}  // namespace freehold::registry
