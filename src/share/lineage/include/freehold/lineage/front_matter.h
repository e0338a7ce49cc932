// The front matter of a model card (README.md), read as hostile text: the subset of YAML that cards use for scalars and
// lists of scalars at the top level. What is nested deeper is kept as text and not looked into.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace freehold::lineage {

struct FrontMatter {
    bool there = false;
    std::map<std::string, std::vector<std::string>> values;  // key to its scalar, or to the items of its list
    std::string yaml;                                        // as it stands between the two lines
    std::string prose;                                       // what follows

    // The first value of a key; empty when there is none.
    [[nodiscard]] std::string one(std::string_view key) const;
    [[nodiscard]] std::vector<std::string> all(std::string_view key) const;
};

// At most 1000 values of 500 bytes; the rest is left out. Never throws.
[[nodiscard]] FrontMatter read_front_matter(std::string_view card);

}  // namespace freehold::lineage
