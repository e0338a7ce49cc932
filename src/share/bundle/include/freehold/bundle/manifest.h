// What is signed of a model: the in-toto statement of OpenSSF model signing v1.0, one SHA-256 for each file.
// Read strictly: what the reference verifier lets through (no files at all, names twice, files that the signer chose to
// leave out) is refused here.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace freehold::bundle {

inline constexpr const char* kSignatureFile = "model.sig";
inline constexpr const char* kPayloadType = "application/vnd.in-toto+json";

struct Resource {
    std::string name;    // relative, '/' between parts
    std::string digest;  // SHA-256, 64 lower-case hex digits
};

struct Statement {
    std::string subject;  // the name of the folder when it was signed; says nothing
    std::string root;     // SHA-256 over the digests of all files, hex
    std::vector<Resource> files;
    std::vector<std::string> ignored;  // paths that the signer left out
};

// What is wrong with a name of a file in a bundle; empty: nothing. Absolute and climbing names, empty parts, control
// characters, backslashes, drive letters, and what is no UTF-8.
[[nodiscard]] std::string name_fault(std::string_view name);

// Sorted by the bytes of the names; compact JSON. Error{usage} when there is no file.
[[nodiscard]] std::string write_statement(std::string_view subject, std::vector<Resource> files);

// SHA-256 over the raw digests in this order.
[[nodiscard]] std::string root_digest(const std::vector<Resource>& files);

// Error{bad_file} naming `what` and the fault, Error{unsupported} for digests by shards or by another function.
[[nodiscard]] Statement parse_statement(std::string_view payload, const std::string& what);

}  // namespace freehold::bundle
