// Trees of settings as flat lists of keys, and what differs between two of them.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/diff/diff.h"

namespace freehold::diff {

using Flat = std::map<std::string, std::string>;  // "rope_scaling.factor" to its value as JSON

// Adds every leaf of the tree; `wanted` says which keys (empty: all). Lists are leaves; long ones become their length,
// beginning and digest, so that two that differ never look alike.
void flatten(const ValueMap& map, const std::string& prefix, Flat& out,
             const std::function<bool(std::string_view)>& wanted = {});
[[nodiscard]] std::string leaf_text(const Value& value);
[[nodiscard]] std::vector<KeyChange> compare_keys(const Flat& a, const Flat& b);

}  // namespace freehold::diff
