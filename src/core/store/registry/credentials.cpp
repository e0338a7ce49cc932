// Reads the files in which passwords of registries lie; nothing is ever written to them.
// Docker keys its own hub by an address of long ago, so several spellings of a host are tried.
#include "credentials.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <array>
#include <cstdlib>
#include <vector>

#include "../disk.h"
#include "../json.h"
#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/value.h"

namespace freehold::registry {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

std::vector<fs::path> others() {
    std::vector<fs::path> out;
    if (const std::string file = variable("REGISTRY_AUTH_FILE"); !file.empty()) out.emplace_back(file);
    if (const std::string folder = variable("DOCKER_CONFIG"); !folder.empty()) {
        out.push_back(fs::path(folder) / "config.json");
    } else if (const std::string home = variable("HOME"); !home.empty()) {
        out.push_back(fs::path(home) / ".docker" / "config.json");
    }
    return out;
}

std::vector<std::string> spellings(const std::string& host) {
    if (host == "docker.io" || host == "index.docker.io" || host == "registry-1.docker.io")
        return {"https://index.docker.io/v1/", "docker.io", "index.docker.io", "registry-1.docker.io"};
    return {host, "https://" + host, "http://" + host, "https://" + host + "/v2/", "https://" + host + "/v1/"};
}

void check_private(const fs::path& path) {
    struct stat st {};
    if (::stat(path.c_str(), &st) == 0 && (st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        throw Error(ErrorKind::denied, fmt::format("{} holds passwords and others may read it.", path.string()),
                    fmt::format("chmod 600 {}", path.string()));
}

std::optional<Credentials> entry_of(const ValueMap& entry, const std::string& what) {
    Credentials out;
    out.from = what;
    out.user = json::text(entry, "username", what, false);
    out.password = json::text(entry, "password", what, false);
    out.identity_token = json::text(entry, "identitytoken", what, false);
    if (const std::string both = json::text(entry, "auth", what, false); !both.empty()) {
        const auto plain = from_base64(both);
        const auto colon = plain ? plain->find(':') : std::string::npos;
        if (colon == std::string::npos)
            throw Error(ErrorKind::bad_file, fmt::format("{}: an \"auth\" is not the base64 of user:password.", what),
                        "Log in once more with the program that wrote it.");
        out.user = plain->substr(0, colon);
        out.password = plain->substr(colon + 1);
        // What docker writes beside an identity token.
        while (out.password.ends_with('\0')) out.password.pop_back();
    }
    if (out.user.empty() && out.identity_token.empty()) return std::nullopt;
    return out;
}

}  // namespace

std::string base64(std::string_view bytes) {
    std::string out;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        std::uint32_t word = 0;
        for (std::size_t k = 0; k < 3; ++k)
            word = word << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0U);
        for (std::size_t k = 0; k < 4; ++k) out += i + k > bytes.size() ? '=' : kAlphabet[word >> (18 - 6 * k) & 63];
    }
    return out;
}

std::optional<std::string> from_base64(std::string_view text) {
    std::string out;
    std::uint32_t word = 0;
    int bits = 0;
    while (text.ends_with('=')) text.remove_suffix(1);
    for (const char c : text) {
        const auto digit = kAlphabet.find(c);
        if (digit == std::string_view::npos) return std::nullopt;
        word = word << 6 | static_cast<std::uint32_t>(digit);
        bits += 6;
        if (bits < 8) continue;
        bits -= 8;
        out += static_cast<char>(word >> bits & 255);
    }
    return out;
}

std::optional<Credentials> find_credentials(const std::string& host, const fs::path& own,
                                            const std::function<void(const std::string&)>& notice) {
    std::vector<fs::path> files = others();
    if (!own.empty()) files.insert(files.begin(), own);
    for (const fs::path& path : files) {
        if (!disk::facts(path)) continue;
        const std::string what = path.string();
        if (path == own) check_private(path);
        const Value tree = parse_json(read_text(path, 1 << 20), what);
        const ValueMap& map = json::object(tree, what, "the document");
        if (const ValueMap* auths = json::maybe_object(map, "auths", what)) {
            for (const std::string& spelling : spellings(host)) {
                const ValueMap* entry = json::maybe_object(*auths, spelling, what);
                if (entry == nullptr) continue;
                if (auto found = entry_of(*entry, what)) return found;
            }
        }
        const ValueMap* helpers = json::maybe_object(map, "credHelpers", what);
        const bool helped = (helpers != nullptr && helpers->find(host) != nullptr) ||
                            !json::text(map, "credsStore", what, false).empty();
        if (helped && notice)
            notice(fmt::format("{} leaves the password of {} to another program, which is not started; put it into {}.",
                               what, host, own.string()));
    }
    return std::nullopt;
}

}  // namespace freehold::registry
