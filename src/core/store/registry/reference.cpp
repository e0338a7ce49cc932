// Addresses of registries. A name without a host is refused: nobody should fetch from a registry that they did not
// name.
#include "reference.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "../layout.h"
#include "freehold/base/error.h"
#include "freehold/base/printable.h"
#include "freehold/store/store.h"

namespace freehold::registry {
namespace {

[[noreturn]] void wrong(std::string_view text, const std::string& why) {
    throw Error(ErrorKind::usage,
                fmt::format("\"{}\" names nothing in a registry: {}.", printable(text), printable(why)),
                "Write oci:HOST[:PORT]/NAME[:TAG], or oci:HOST/NAME@sha256:DIGEST.");
}

bool is_port(std::string_view text) {
    return !text.empty() && text.size() <= 5 && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

std::string checked_host(std::string_view text, std::string_view whole) {
    std::string host;
    for (const char c : text) host += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const auto bracket = host.starts_with('[') ? host.find(']') : 0;
    if (bracket == std::string::npos) wrong(whole, "its address in [] has no end");
    const auto colon = host.find(':', bracket);
    const std::string name = host.substr(0, colon);
    if (colon != std::string::npos && !is_port(std::string_view(host).substr(colon + 1)))
        wrong(whole, fmt::format("\"{}\" is no port", host.substr(colon + 1)));
    const bool good = std::ranges::all_of(name, [&](char c) {
        const bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
        return word || (bracket > 0 && (c == '[' || c == ']' || c == ':'));
    });
    if (name.empty() || !good) wrong(whole, fmt::format("\"{}\" is no host", name));
    if (name != "localhost" && name.find('.') == std::string::npos && colon == std::string::npos && bracket == 0)
        wrong(whole, fmt::format("\"{}\" is not the name of a registry, as it has neither a dot nor a port", name));
    return host;
}

}  // namespace

std::string Reference::str() const {
    std::string out = fmt::format("oci:{}/{}", host, name);
    if (!tag.empty()) out += ":" + tag;
    if (!digest.empty()) out += "@" + digest;
    return out;
}

std::string Reference::api_host() const {
    return host == "docker.io" || host == "index.docker.io" ? "registry-1.docker.io" : host;
}

Reference parse_reference(std::string_view text) {
    std::string_view rest = text;
    if (rest.starts_with("oci:")) rest.remove_prefix(4);
    if (rest.starts_with("//")) rest.remove_prefix(2);
    Reference out;
    const auto slash = rest.find('/');
    if (slash == std::string_view::npos) wrong(text, "there is no '/' between a host and a name");
    out.host = checked_host(rest.substr(0, slash), text);
    rest.remove_prefix(slash + 1);
    if (const auto at = rest.find('@'); at != std::string_view::npos) {
        out.digest = std::string(rest.substr(at + 1));
        rest = rest.substr(0, at);
        if (!layout::is_digest(out.digest))
            wrong(text, "what follows the '@' must be sha256: and 64 lower-case hex digits");
    }
    const auto named = ModelName::try_parse(rest);
    const std::string_view name = rest.substr(0, rest.find(':'));
    if (!named || named->name != name) {
        if (named) wrong(text, "names in registries have no capital letters");
        static_cast<void>(ModelName::parse(rest));  // throws, and says what is wrong
    }
    out.name = named->name;
    if (name.size() < rest.size() || out.digest.empty()) out.tag = named->tag;
    if (out.api_host() != out.host && out.name.find('/') == std::string::npos) out.name.insert(0, "library/");
    return out;
}

}  // namespace freehold::registry
