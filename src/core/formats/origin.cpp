// Keys of provenance are hostile input as all keys are: only what has the form of a digest counts.
#include "freehold/formats/origin.h"

#include <algorithm>

namespace freehold {
namespace {

bool is_digest(std::string_view text) {
    constexpr std::string_view kPrefix = "sha256:";
    return text.size() == kPrefix.size() + 64 && text.starts_with(kPrefix) &&
           text.find_first_not_of("0123456789abcdef", kPrefix.size()) == std::string_view::npos;
}

}  // namespace

std::vector<std::string> digests_in(std::string_view text) {
    std::vector<std::string> out;
    while (!text.empty() && out.size() < kMostSources) {
        const std::size_t end = std::min(text.find(' '), text.size());
        if (is_digest(text.substr(0, end))) out.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return out;
}

std::string digests_text(const std::vector<std::string>& digests) {
    std::string out;
    for (std::size_t i = 0; i < std::min(digests.size(), kMostSources); ++i) out += (i == 0 ? "" : " ") + digests[i];
    return out;
}

std::vector<std::string> sources_named(const ValueMap& meta) {
    std::vector<std::string> out;
    for (const char* const key : {kQuantisedFrom, kConvertedFrom, kQuantisedBefore}) {
        const Value* const said = meta.find(key);
        if (said == nullptr) continue;
        for (std::string& digest : digests_in(said->as_string().value_or("")))
            if (std::ranges::find(out, digest) == out.end()) out.push_back(std::move(digest));
    }
    if (out.size() > kMostSources) out.resize(kMostSources);
    return out;
}

}  // namespace freehold
