// Building the tree of a vocabulary.
#include "trie.h"

#include <algorithm>
#include <optional>

namespace freehold::grammar {

namespace {

// Characters of a token that is whole UTF-8 and may stand in a JSON string as it is.
std::optional<std::size_t> safe_characters(std::string_view bytes) {
    std::size_t n = 0;
    for (std::size_t i = 0; i < bytes.size(); ++n) {
        const auto b = static_cast<std::uint8_t>(bytes[i]);
        if (b < 0x20 || b == '"' || b == '\\') return std::nullopt;
        const std::size_t more = b < 0x80 ? 0 : b < 0xC2 ? 9 : b < 0xE0 ? 1 : b < 0xF0 ? 2 : b < 0xF5 ? 3 : 9;
        if (more == 9 || i + more >= bytes.size() + (more == 0 ? 1 : 0)) return std::nullopt;
        for (std::size_t k = 1; k <= more; ++k) {
            const auto c = static_cast<std::uint8_t>(bytes[i + k]);
            std::uint8_t low = 0x80;
            std::uint8_t high = 0xBF;
            if (k == 1) {
                if (b == 0xE0) low = 0xA0;
                if (b == 0xED) high = 0x9F;
                if (b == 0xF0) low = 0x90;
                if (b == 0xF4) high = 0x8F;
            }
            if (c < low || c > high) return std::nullopt;
        }
        i += more + 1;
    }
    return n;
}

}  // namespace

ByteTree::ByteTree(std::vector<std::pair<std::string_view, std::int32_t>> tokens) {
    std::erase_if(tokens, [](const auto& t) { return t.first.empty() || t.first.size() > 60'000; });
    std::sort(tokens.begin(), tokens.end(), [](const auto& a, const auto& b) {
        // As unsigned bytes.
        const int c =
            std::char_traits<char>::compare(a.first.data(), b.first.data(), std::min(a.first.size(), b.first.size()));
        return c != 0                             ? c < 0
               : a.first.size() != b.first.size() ? a.first.size() < b.first.size()
                                                  : a.second < b.second;
    });
    std::vector<std::uint32_t> path;  // nodes of the present token
    std::string_view before;
    for (const auto& [bytes, token] : tokens) {
        std::size_t same = 0;
        while (same < before.size() && same < bytes.size() && before[same] == bytes[same]) ++same;
        if (same == bytes.size() && same == before.size() && !path.empty()) {
            TrieNode& n = nodes_[path.back()];
            n.twins = true;
            twins_.emplace_back(n.token, token);
            continue;
        }
        path.resize(same);
        for (std::size_t i = same; i < bytes.size(); ++i) {
            path.push_back(static_cast<std::uint32_t>(nodes_.size()));
            nodes_.push_back({1, -1, static_cast<std::uint16_t>(i), static_cast<std::uint8_t>(bytes[i]), false});
        }
        nodes_[path.back()].token = token;
        depth_ = std::max(depth_, bytes.size());
        before = bytes;
    }
    std::vector<std::uint32_t> open;
    for (std::uint32_t i = 0; i <= nodes_.size(); ++i) {
        const std::size_t d = i < nodes_.size() ? nodes_[i].depth : 0;
        while (open.size() > d) {
            nodes_[open.back()].size = i - open.back();
            open.pop_back();
        }
        open.push_back(i);
    }
    std::sort(twins_.begin(), twins_.end());
}

void ByteTree::mark_twins(std::int32_t token, std::span<std::uint32_t> bits) const {
    for (auto at = std::lower_bound(twins_.begin(), twins_.end(), std::pair(token, 0));
         at != twins_.end() && at->first == token; ++at) {
        bits[static_cast<std::size_t>(at->second) / 32] |= 1U << (static_cast<std::uint32_t>(at->second) % 32);
    }
}

Trie::Trie(std::vector<std::string> tokens) : tokens_(std::move(tokens)) {
    constexpr std::size_t kMasks = 32;
    std::vector<std::pair<std::string_view, std::int32_t>> all;
    std::vector<std::pair<std::string_view, std::int32_t>> safe;
    std::vector<std::pair<std::string_view, std::int32_t>> other;
    std::vector<std::pair<std::uint32_t, std::int32_t>> lengths;
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
        if (tokens_[i].empty()) continue;
        const std::pair<std::string_view, std::int32_t> entry(tokens_[i], static_cast<std::int32_t>(i));
        all.push_back(entry);
        if (const auto n = safe_characters(tokens_[i])) {
            safe.push_back(entry);
            lengths.emplace_back(static_cast<std::uint32_t>(*n), entry.second);
        } else {
            other.push_back(entry);
        }
    }
    all_ = ByteTree(std::move(all));
    safe_ = ByteTree(std::move(safe));
    other_ = ByteTree(std::move(other));
    std::sort(lengths.begin(), lengths.end());
    longest_safe_ = lengths.empty() ? 0 : lengths.back().first;
    std::vector<std::uint32_t> mask(words(), 0);
    std::size_t at = 0;
    for (std::size_t n = 0; n <= longest_safe_; ++n) {
        for (; at < lengths.size() && lengths[at].first <= n; ++at) {
            mask[static_cast<std::size_t>(lengths[at].second) / 32] |=
                1U << (static_cast<std::uint32_t>(lengths[at].second) % 32);
        }
        // Few tokens are longer; they share the masks of the lengths that occur.
        if (n <= kMasks || n == longest_safe_ || lengths[at].first == n + 1) {
            safe_masks_.push_back(mask);
        } else {
            safe_masks_.push_back({});  // as the one before
        }
    }
}

std::span<const std::uint32_t> Trie::safe_up_to(std::size_t n) const {
    if (safe_masks_.empty()) return {};
    n = std::min(n, longest_safe_);
    while (safe_masks_[n].empty() && n > 0) --n;
    return safe_masks_[n];
}

}  // namespace freehold::grammar
