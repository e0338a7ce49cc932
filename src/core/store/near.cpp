// Edit distance with two rows, bounded to short names so that a hint never costs time.
// See near.h for what counts as near.
#include "near.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace freehold::detail {
namespace {

constexpr std::size_t kLongest = 96;

std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before(b.size() + 1), row(b.size() + 1);
    std::iota(before.begin(), before.end(), std::size_t{0});
    for (std::size_t i = 0; i < a.size(); ++i) {
        row[0] = i + 1;
        for (std::size_t j = 0; j < b.size(); ++j) {
            const std::size_t change = before[j] + (a[i] == b[j] ? 0 : 1);
            row[j + 1] = std::min({change, before[j + 1] + 1, row[j] + 1});
        }
        std::swap(before, row);
    }
    return before[b.size()];
}

}  // namespace

std::vector<std::string> nearest(std::string_view name, const std::vector<std::string>& among, std::size_t at_most) {
    std::vector<std::pair<std::size_t, std::string>> ranked;
    const std::string_view bare = name.ends_with(":latest") ? name.substr(0, name.size() - 7) : name;
    for (const std::string& other : among) {
        if (other.size() > kLongest || bare.size() > kLongest || bare.empty()) continue;
        const std::size_t d = distance(bare, other);
        const bool begins = other.starts_with(bare) || bare.starts_with(other);
        if (begins || d * 3 <= std::max(bare.size(), other.size())) ranked.emplace_back(begins ? 0 : d, other);
    }
    std::sort(ranked.begin(), ranked.end());
    std::vector<std::string> out;
    for (auto& [d, other] : ranked) {
        if (out.size() < at_most && std::find(out.begin(), out.end(), other) == out.end())
            out.push_back(std::move(other));
    }
    return out;
}

}  // namespace freehold::detail
