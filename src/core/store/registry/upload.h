// Blobs on their way into a registry: those that are there are not sent, those of a neighbouring repository are
// mounted, large ones go in chunks, and where a killed push stopped is written down (law 9).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "client.h"

namespace freehold::registry {

struct Blob {
    std::string digest;
    std::uint64_t size = 0;
    std::filesystem::path at;  // empty: `text` is it
    std::string text;
    std::string name;  // for messages and progress
};

struct Sent {
    enum class How : std::uint8_t { present, mounted, sent };
    How how = How::sent;
    std::uint64_t bytes = 0;         // over the wire in this call
    std::uint64_t resumed_from = 0;  // bytes that an earlier push had sent
};

struct UploadOptions {
    std::filesystem::path state_dir;      // of this destination; notes of unfinished blobs lie here
    std::vector<std::string> mount_from;  // repositories of the same registry that may have the blob
    std::uint64_t chunk = 16ULL << 20;
    int attempts = 5;
    std::function<void(std::uint64_t done)> progress;  // bytes of this blob; may throw Error{cancelled}
    std::function<void(const std::string&)> notice;
};

// Throws Error{network|denied|bad_file|io|cancelled}; what was sent by then is gone on with by the next call.
[[nodiscard]] Sent upload(const Client& client, const Blob& blob, const UploadOptions& options);

}  // namespace freehold::registry
