// One repository of one registry (OCI distribution-spec 1.1): who we are to it, manifests, and whether blobs are there.
// Uploads are in upload.h. Everything a registry says is held against the digest that was asked for.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "../http.h"
#include "credentials.h"
#include "freehold/base/error.h"
#include "reference.h"

namespace freehold::registry {

struct ClientOptions {
    bool plain_http = false;            // http to other machines too
    std::filesystem::path credentials;  // Freehold's own file
    std::function<void(const std::string&)> notice;
    int stall_seconds = 60;
    bool push = false;                    // ask for the right to write as well
    std::vector<std::string> mount_from;  // other repositories there that may be read
};

struct RemoteManifest {
    std::string text;        // the very bytes
    std::string media_type;  // as the text itself says, else as the registry says
    std::string digest;      // of the bytes
};

class Client {
 public:
    // Finds out whether a registry on this machine speaks https. Throws Error{network|denied}.
    Client(Reference at, ClientOptions options);

    [[nodiscard]] const Reference& at() const noexcept { return at_; }
    // "https://host/v2/name" and what follows.
    [[nodiscard]] std::string url(std::string_view rest) const;
    // A request that brings its own credentials: to an address of this repository, or where it sent us (Location).
    [[nodiscard]] http::Request request(const std::string& url) const;
    // A Location header, relative or absolute. Error{network} if it is no address that may be used.
    [[nodiscard]] std::string location(const http::Answer& answer, const std::string& asked) const;

    // By tag or digest; what was asked for by digest has it. Error{not_found|bad_file|network|denied}.
    [[nodiscard]] RemoteManifest manifest(const std::string& version) const;
    [[nodiscard]] std::optional<RemoteManifest> find_manifest(const std::string& version) const;
    // nullopt: it is not there; else its size, 0 when the registry does not tell.
    [[nodiscard]] std::optional<std::uint64_t> blob_size(const std::string& digest) const;
    // A small blob, checked.
    [[nodiscard]] std::string small_blob(const std::string& digest, std::uint64_t size, std::uint64_t at_most) const;
    // What the registry answers, whose status is 201.
    http::Answer put_manifest(const std::string& version, const std::string& text, const std::string& media_type) const;

    // The sentence for a status that nobody expected; `doing` is like "took no manifest".
    [[nodiscard]] Error fault(const http::Answer& answer, const std::string& doing) const;

 private:
    std::string authorize(const std::string& challenge) const;
    std::string token(const std::map<std::string, std::string>& bearer) const;
    void find_scheme();

    Reference at_;
    ClientOptions options_;
    std::string base_;  // "https://host/v2/"
    std::string denied_hint_;
    mutable std::optional<std::optional<Credentials>> who_;
    mutable std::string secret_;  // the last value of Authorization that was made
};

// The challenges of a WWW-Authenticate header: scheme in lower case, then its parameters by name.
struct Challenge {
    std::string scheme;
    std::map<std::string, std::string> parameters;
};
[[nodiscard]] std::vector<Challenge> parse_challenges(std::string_view text);

}  // namespace freehold::registry
