// push: a stored model into an OCI registry (distribution-spec 1.1), as a ModelPack artefact that any OCI client reads.
// Beside pull the only code that opens outgoing connections (law 8). What a killed push had sent is not sent again.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/base/progress.h"
#include "freehold/store/store.h"

namespace freehold {

// A document that goes with a version without changing it: a signature, a report, an advisory. It becomes an artefact
// of its own whose "subject" is the model (referrers).
struct Attachment {
    std::string name;        // file name
    std::string media_type;  // "application/vnd.cyclonedx+json"
    std::string text;
};
// The media type that a file name stands for (model.sig, *.cdx.json, *.spdx.json, *.sarif, *.advisory.json), or
// application/octet-stream.
[[nodiscard]] std::string attachment_type(std::string_view file_name);

struct RegistryOptions {
    bool plain_http = false;  // http to other machines too
    int attempts = 5;         // for each part, with growing pauses
    Progress progress;
    std::function<void(const std::string&)> notice;
};

struct PushOptions : RegistryOptions {
    std::uint64_t chunk = 16ULL << 20;    // bytes of a part; a killed push loses one at most
    std::vector<std::string> mount_from;  // repositories of the same registry that have some of it
    std::vector<Attachment> attachments;
};

struct PushResult {
    std::string reference;  // "oci:host/name:tag"
    std::string digest;     // of the manifest there
    bool was_present = false;
    std::uint64_t bytes_sent = 0, bytes_present = 0, bytes_mounted = 0;
    std::uint64_t bytes_resumed = 0;    // that an earlier push, which was stopped, had sent
    std::vector<std::string> attached;  // digests of their manifests
    double seconds = 0;
};

// `to`: oci:HOST[:PORT]/NAME[:TAG]. What is private to this machine (paths of linked files, the path of a local source,
// the scanner's note) is not sent. Throws Error{usage|network|denied|bad_file|io|cancelled}.
PushResult push(const Store& store, const StoredModel& model, std::string_view to, const PushOptions& options = {});

// Attaches documents to what is there already: a tag or digest, also one that somebody else pushed.
std::vector<std::string> attach(const Store& store, std::string_view to, const std::vector<Attachment>& attachments,
                                const RegistryOptions& options = {});

struct RemoteAttachment {
    std::string digest;  // of its manifest
    Attachment document;
};
// What is attached to a version in a registry; `media_type` empty: everything. A document of more than 64 MiB, or one
// that does not fit its digest, is told by `notice` and left out. Throws Error{network|denied|not_found|...}.
[[nodiscard]] std::vector<RemoteAttachment> attachments_of(const Store& store, std::string_view reference,
                                                           std::string_view media_type,
                                                           const RegistryOptions& options = {});

}  // namespace freehold
