// Who we are to a registry: Freehold's own file, then those that docker, podman and oras write.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

namespace freehold::registry {

struct Credentials {
    std::string user, password;
    std::string identity_token;  // docker's identitytoken: exchanged for a token of the registry
    std::string from;            // the file, for messages
};

// Files, in this order: `own` (registries.json of the store), $REGISTRY_AUTH_FILE, $DOCKER_CONFIG/config.json or
// ~/.docker/config.json. Their form is docker's: {"auths":{"HOST[:PORT]":{"auth":"base64 of user:password"}}}; our own
// may say "username" and "password" in clear too, and must be readable by its owner only. Error{denied} otherwise,
// Error{bad_file} for a file that cannot be understood. Programs that keep passwords (credsStore, credHelpers) are not
// started; `notice` is told. nullopt: nobody, which is enough for public models.
[[nodiscard]] std::optional<Credentials> find_credentials(const std::string& host, const std::filesystem::path& own,
                                                          const std::function<void(const std::string&)>& notice);

[[nodiscard]] std::string base64(std::string_view bytes);
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

}  // namespace freehold::registry
