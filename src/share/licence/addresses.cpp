// Nothing is fetched: an address is read by its host and its path.
#include "addresses.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>

#include "claims.h"

namespace freehold::licence {
namespace {

std::string lower(std::string_view s) {
    std::string out(s);
    std::ranges::transform(out, out.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return out;
}

// "https://www.acme.example/a/b" as host and path, in lower case.
struct Parts {
    std::string host, path;
    [[nodiscard]] bool at(std::string_view owner) const {
        return host == owner || (host.ends_with(owner) && host[host.size() - owner.size() - 1] == '.');
    }
};
Parts parts_of(std::string_view address) {
    const std::string one = lower(address);
    const std::size_t scheme = one.find("://");
    const std::string rest = one.substr(scheme == std::string::npos ? 0 : scheme + 3);
    const std::size_t slash = std::min(rest.find_first_of("/?#"), rest.size());
    return {rest.substr(0, slash), rest.substr(slash)};
}

constexpr auto kCodeHosts =
    std::to_array<std::string_view>({"codeberg.org", "github.com", "gitlab.com", "huggingface.co", "modelscope.cn"});

}  // namespace

std::string_view address_of(const File& file, std::uint32_t i) {
    return file.source.substr(file.words[i].begin, file.words[i].end - file.words[i].begin);
}

bool foreign_terms(std::string_view written) {
    constexpr auto kPublishers = std::to_array<std::string_view>(
        {"apache.org", "boost.org", "choosealicense.com", "creativecommons.org", "fsf.org", "gnu.org",
         "mit-license.org", "mozilla.org", "opensource.org", "spdx.org", "unlicense.org", "wikipedia.org"});
    constexpr auto kTerms =
        std::to_array<std::string_view>({"agreement", "commercial", "condition", "contract", "eula", "legal", "licens",
                                         "licenc", "polic", "pricing", "restrict", "terms", "/tos"});
    const auto any = [](const auto& list, auto&& test) { return std::ranges::any_of(list, test); };
    while (!written.empty()) {
        const std::size_t end = std::min(written.find_first_of(" \t\r\n()<>[]|"), written.size());
        const Parts one = parts_of(written.substr(0, end));
        written.remove_prefix(std::min(written.size(), end + 1));
        const std::string_view path = one.path;
        const auto at = [&](std::string_view owner) { return one.at(owner); };
        if (any(kPublishers, at)) {
            if (path.find("-nc") != std::string_view::npos || path.find("-nd") != std::string_view::npos) return true;
            continue;
        }
        // Where everybody keeps models and code, a page of a licence is the rule; other terms than that are none.
        const bool shared = any(kCodeHosts, at);
        if (any(kTerms, [&](std::string_view t) {
                const bool licence = t == "licens" || t == "licenc" || t == "agreement";
                return !(shared && licence) && path.find(t) != std::string_view::npos;
            }))
            return true;
    }
    return false;
}

const Known* licence_at(std::string_view address) {
    const Parts one = parts_of(address);
    const std::string_view path = one.path;
    // The part of the path after `mark`, up to the next slash.
    const auto after = [&](std::string_view mark) -> std::string {
        const std::size_t at = path.find(mark);
        if (at == std::string_view::npos) return {};
        std::string_view rest = path.substr(at + mark.size());
        return std::string(rest.substr(0, rest.find_first_of("/?#")));
    };
    if (one.at("creativecommons.org")) {
        if (path.find("/zero/") != std::string_view::npos) return find_known("cc0-1.0");
        const std::string kind = after("/licenses/");
        return kind.empty() ? nullptr : find_known(fmt::format("cc-{}-{}", kind, after("/licenses/" + kind + "/")));
    }
    if (one.at("apache.org"))
        return path.find("license-2.0") != std::string_view::npos ? find_known("apache-2.0") : nullptr;
    if (one.at("opensource.org") || one.at("choosealicense.com") || one.at("spdx.org")) {
        std::string id = after("/licenses/");
        if (id.empty()) id = after("/license/");
        if (id.ends_with(".html")) id.resize(id.size() - 5);
        return id.empty() ? nullptr : find_known(id);
    }
    if (one.at("ai.google.dev") && path.find("gemma") != std::string_view::npos) return find_known("gemma");
    if ((one.at("llama.com") || one.at("meta.com")) && path.find("licen") != std::string_view::npos) {
        const Known* named = licence_of_base(path);
        return named != nullptr ? named : find_known("llama2");
    }
    if (std::ranges::any_of(kCodeHosts, [&](std::string_view h) { return one.at(h); })) return licence_of_base(path);
    return nullptr;
}

}  // namespace freehold::licence
