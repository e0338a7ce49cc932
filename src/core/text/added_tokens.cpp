// A trie over the contents of added tokens, and the rules about the white space and words around them.
#include "added_tokens.h"

#include <fmt/format.h>

#include <algorithm>

#include "freehold/base/error.h"
#include "unicode.h"

namespace freehold::text {
namespace {

constexpr std::size_t kMaxContent = 1024;  // bounds the work per position of the text

std::size_t char_before(std::string_view text, std::size_t end) noexcept {
    std::size_t at = end - 1;
    while (at > 0 && end - at < 4 && (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80U) --at;
    return at;
}

bool word_before(std::string_view text, std::size_t at) noexcept {
    if (at == 0) return false;
    const Utf8Char c = utf8_at(text.substr(0, at), char_before(text, at));
    return c.valid && is_word(c.code);
}

bool word_after(std::string_view text, std::size_t at) noexcept {
    if (at >= text.size()) return false;
    const Utf8Char c = utf8_at(text, at);
    return c.valid && is_word(c.code);
}

std::size_t skip_space_left(std::string_view text, std::size_t at, std::size_t stop) noexcept {
    while (at > stop) {
        const std::size_t before = char_before(text, at);
        const Utf8Char c = utf8_at(text.substr(0, at), before);
        if (before < stop || !c.valid || !is_white_space(c.code)) break;
        at = before;
    }
    return at;
}

std::size_t skip_space_right(std::string_view text, std::size_t at) noexcept {
    while (at < text.size()) {
        const Utf8Char c = utf8_at(text, at);
        if (!c.valid || !is_white_space(c.code)) break;
        at += c.length;
    }
    return at;
}

}  // namespace

void AddedTokens::add(AddedToken token) {
    if (token.content.empty()) return;
    if (token.content.size() > kMaxContent) {
        throw Error(ErrorKind::bad_file,
                    fmt::format("the added token with the id {} is {} bytes long; at most {} make sense", token.id,
                                token.content.size(), kMaxContent));
    }
    std::uint32_t at = 0;
    for (const char c : token.content) {
        const auto byte = static_cast<unsigned char>(c);
        auto& children = nodes_[at].children;
        auto it = std::lower_bound(children.begin(), children.end(), byte,
                                   [](const auto& child, unsigned char b) { return child.first < b; });
        if (it != children.end() && it->first == byte) {
            at = it->second;
            continue;
        }
        const auto fresh = static_cast<std::uint32_t>(nodes_.size());
        children.insert(it, {byte, fresh});
        nodes_.emplace_back();
        at = fresh;
    }
    if (nodes_[at].token >= 0) return;  // the first of two equals stays
    nodes_[at].token = static_cast<std::int32_t>(tokens_.size());
    begins_[static_cast<unsigned char>(token.content.front())] = true;
    tokens_.push_back(std::move(token));
}

bool AddedTokens::next(std::string_view text, std::size_t from, std::size_t done, bool parse_special,
                       Found& found) const {
    if (tokens_.empty()) return false;
    for (std::size_t at = from; at < text.size(); ++at) {
        if (!begins_[static_cast<unsigned char>(text[at])]) continue;
        std::uint32_t node = 0;
        std::int32_t best = -1;
        std::size_t best_end = at;
        for (std::size_t i = at; i < text.size(); ++i) {
            const auto byte = static_cast<unsigned char>(text[i]);
            const auto& children = nodes_[node].children;
            const auto it = std::lower_bound(children.begin(), children.end(), byte,
                                             [](const auto& child, unsigned char b) { return child.first < b; });
            if (it == children.end() || it->first != byte) break;
            node = it->second;
            if (nodes_[node].token >= 0) {
                best = nodes_[node].token;
                best_end = i + 1;
            }
        }
        if (best < 0) continue;
        const AddedToken& token = tokens_[static_cast<std::size_t>(best)];
        const bool wanted = (parse_special || !token.special) &&
                            !(token.single_word && (word_before(text, at) || word_after(text, best_end)));
        if (!wanted || at < done) {
            // A refused match still uses up its text, as in the makers' own matcher.
            at = best_end - 1;
            continue;
        }
        found.id = token.id;
        found.next = best_end;
        found.begin = token.lstrip ? skip_space_left(text, at, done) : at;
        found.end = token.rstrip ? skip_space_right(text, best_end) : best_end;
        return true;
    }
    return false;
}

}  // namespace freehold::text
