// What documents and heads of files say of the terms of single parts: data cards of the data, heads of code.
#pragma once

#include <string>
#include <vector>

#include "look.h"

namespace freehold::openness {

// Words that bind what lies in a folder to terms that are not open.
struct BoundPart {
    Component component = Component::datasets;
    std::string folder;   // "" or "corpus/"
    std::string trouble;  // a sentence with its place and the quote
};
[[nodiscard]] std::vector<BoundPart> bound_parts(const std::vector<File>& files);

// The comments with which a file of code begins: why by their words it is not open; empty: they do not say so.
[[nodiscard]] std::string bound_head(const File& f);

}  // namespace freehold::openness
