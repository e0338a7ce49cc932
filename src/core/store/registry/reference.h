// oci:HOST[:PORT]/NAME[:TAG][@sha256:HEX], taken apart: which registry, which repository in it, which version.
#pragma once

#include <string>
#include <string_view>

namespace freehold::registry {

struct Reference {
    std::string host;    // as it was written, with its port: "registry.example.org:5000", "docker.io"
    std::string name;    // "org/model"
    std::string tag;     // "latest" where neither tag nor digest was given; empty beside a digest alone
    std::string digest;  // "sha256:..."; empty: the tag counts

    // What stands for the version in addresses: the digest where there is one.
    [[nodiscard]] const std::string& version() const noexcept { return digest.empty() ? tag : digest; }
    [[nodiscard]] std::string str() const;  // "oci:host/name:tag"
    // The host that answers: Docker Hub is called by another name than its models are.
    [[nodiscard]] std::string api_host() const;
};

// With or without "oci:" (or "oci://") in front. Throws Error{usage} that says what is wrong.
[[nodiscard]] Reference parse_reference(std::string_view text);

}  // namespace freehold::registry
