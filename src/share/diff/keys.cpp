// Flattening and comparing. Values are compared as their JSON text, in which 1 and 1.0 differ, as they do for programs
// that read them.
#include "keys.h"

#include <fmt/format.h>

#include "freehold/base/hash.h"
#include "freehold/base/printable.h"

namespace freehold::diff {
namespace {

constexpr std::size_t kMostText = 400;
constexpr std::size_t kMostKeys = 100000;

}  // namespace

std::string leaf_text(const Value& value) {
    const std::string text = to_json(value);
    if (text.size() <= kMostText) return printable(text, kMostText);
    const std::string digest = sha256_hex(std::as_bytes(std::span(text))).substr(0, 16);
    const std::string what = value.as_string() ? fmt::format("{} bytes", value.as_string()->size())
                                               : fmt::format("{} entries", value.size());
    return fmt::format("{}... ({}, {})", printable(text.substr(0, 120), 120), what, digest);
}

void flatten(const ValueMap& map, const std::string& prefix, Flat& out,
             const std::function<bool(std::string_view)>& wanted) {
    for (const ValueEntry& entry : map) {
        if (out.size() >= kMostKeys) return;
        const std::string key = prefix.empty() ? entry.key : prefix + "." + entry.key;
        if (wanted && !wanted(key)) continue;
        if (const auto* inner = entry.value.get<ValueMap>(); inner != nullptr && !inner->empty())
            flatten(*inner, key, out, wanted);
        else
            out[printable(key)] = leaf_text(entry.value);
    }
}

std::vector<KeyChange> compare_keys(const Flat& a, const Flat& b) {
    std::vector<KeyChange> out;
    auto left = a.begin();
    auto right = b.begin();
    while (left != a.end() || right != b.end()) {
        if (right == b.end() || (left != a.end() && left->first < right->first)) {
            out.push_back({left->first, Change::removed, left->second, {}});
            ++left;
        } else if (left == a.end() || right->first < left->first) {
            out.push_back({right->first, Change::added, {}, right->second});
            ++right;
        } else {
            if (left->second != right->second)
                out.push_back({left->first, Change::changed, left->second, right->second});
            ++left;
            ++right;
        }
    }
    return out;
}

}  // namespace freehold::diff
