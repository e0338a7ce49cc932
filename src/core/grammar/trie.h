// A vocabulary as a tree of bytes in depth-first order, and the parts of it that most masks are made of.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace freehold::grammar {

// Nodes in depth-first order: a node's subtree is the `size` nodes from it on.
struct TrieNode {
    std::uint32_t size = 1;
    std::int32_t token = -1;  // that ends here; more of them with the same bytes follow in `twins`
    std::uint16_t depth = 0;  // bytes before this one
    std::uint8_t byte = 0;
    bool twins = false;
};

class ByteTree {
 public:
    ByteTree() = default;
    // Pairs of bytes and token; empty bytes are left out.
    explicit ByteTree(std::vector<std::pair<std::string_view, std::int32_t>> tokens);
    [[nodiscard]] std::span<const TrieNode> nodes() const noexcept { return nodes_; }
    [[nodiscard]] std::size_t depth() const noexcept { return depth_; }
    // Sets the bits of all tokens that end at this node.
    void mark(std::uint32_t node, std::span<std::uint32_t> bits) const {
        const TrieNode& n = nodes_[node];
        if (n.token < 0) return;
        bits[static_cast<std::size_t>(n.token) / 32] |= 1U << (static_cast<std::uint32_t>(n.token) % 32);
        if (n.twins) mark_twins(n.token, bits);
    }

 private:
    void mark_twins(std::int32_t token, std::span<std::uint32_t> bits) const;
    std::vector<TrieNode> nodes_;
    std::vector<std::pair<std::int32_t, std::int32_t>> twins_;  // (first token, another), sorted
    std::size_t depth_ = 0;
};

class Trie {
 public:
    explicit Trie(std::vector<std::string> tokens);
    [[nodiscard]] std::int32_t vocab() const noexcept { return static_cast<std::int32_t>(tokens_.size()); }
    [[nodiscard]] std::size_t words() const noexcept { return (tokens_.size() + 31) / 32; }
    [[nodiscard]] std::string_view bytes(std::int32_t token) const { return tokens_[static_cast<std::size_t>(token)]; }
    [[nodiscard]] const ByteTree& all() const noexcept { return all_; }
    // Tokens of whole characters that need no escape in a JSON string, and the others.
    [[nodiscard]] const ByteTree& safe() const noexcept { return safe_; }
    [[nodiscard]] const ByteTree& other() const noexcept { return other_; }
    // Safe tokens of at most n characters; n is cut to longest_safe().
    [[nodiscard]] std::span<const std::uint32_t> safe_up_to(std::size_t n) const;
    [[nodiscard]] std::size_t longest_safe() const noexcept { return longest_safe_; }
    [[nodiscard]] std::size_t longest() const noexcept { return all_.depth(); }

 private:
    std::vector<std::string> tokens_;
    ByteTree all_, safe_, other_;
    std::size_t longest_safe_ = 0;
    std::vector<std::vector<std::uint32_t>> safe_masks_;  // [characters]; empty: as the one before
};

}  // namespace freehold::grammar
