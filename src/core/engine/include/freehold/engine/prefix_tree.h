// The tree of prefixes whose keys and values are in pages: what one request computed serves all that begin alike.
// Belongs to one engine, that is to one model, profile and KV type; only the engine's thread touches it.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/engine/kv_pool.h"
#include "freehold/models/decoder.h"

namespace freehold {

// What besides the tokens decides keys and values; prefixes are shared between equal keys only.
struct PrefixKey {
    std::string tenant, adapter, interventions;
};

// A node stands for one page: its path from the root is the whole prefix, compared token by token, so no collision of
// hashes can ever hand out somebody else's past. Inner nodes hold full pages; a leaf may hold a partial one (the tail
// of a finished request), which is never shared but copied by who continues it.
class PrefixTree {
 public:
    using NodeId = std::uint32_t;
    static constexpr NodeId kNone = 0xFFFFFFFFU;

    explicit PrefixTree(KvPool& pool);
    ~PrefixTree();
    PrefixTree(const PrefixTree&) = delete;
    PrefixTree& operator=(const PrefixTree&) = delete;

    // The root for a key, made when it is new. Pin it before anything else is called.
    [[nodiscard]] NodeId root(const PrefixKey& key);
    // The child whose page holds exactly these 16 tokens, or kNone.
    [[nodiscard]] NodeId child(NodeId parent, std::span<const Token> page) const;
    // The child that begins with most of `tokens` (up to 16) and has a page in every group: whose page to copy.
    struct Head {
        NodeId node = kNone;
        int tokens = 0;
    };
    [[nodiscard]] Head longest_head(NodeId parent, std::span<const Token> tokens) const;
    [[nodiscard]] NodeId parent(NodeId node) const noexcept;
    // Page of a group, kNoPage when it was dropped (window groups only).
    [[nodiscard]] PageId page(NodeId node, int group) const noexcept;
    // 0 for a root, else the number of tokens in the node's page.
    [[nodiscard]] int tokens(NodeId node) const noexcept;

    // Adds a page (1 to 16 tokens; the tree takes its own reference) or, when the node exists, gives it the pages that
    // it lacks. Fewer than 16 tokens make a leaf that is evicted like others; kNone when a longer one is there already.
    NodeId insert(NodeId parent, std::span<const Token> page, std::span<const PageId> pages);

    // A pinned node and all above it stay. Pinning marks the node as just used.
    void pin(NodeId node);
    void unpin(NodeId node);

    // Frees at least `bytes` from pages that nobody refers to, the longest unused first, and says how much it freed
    // (less when there is no more). Window pages that no likely continuation looks at go first.
    std::uint64_t evict(std::uint64_t bytes);
    [[nodiscard]] std::uint64_t size() const noexcept { return live_; }  // nodes that hold pages

 private:
    // Padded with -1: a shorter page sorts just before those that begin with it.
    using Key = std::array<Token, kPageTokens>;
    struct Node {
        NodeId parent = kNone;
        Key key{};
        int n_tokens = 0;
        std::uint32_t pins = 0;
        std::uint64_t used = 0;  // tick of the last use
        bool live = false;
        std::map<Key, NodeId> children;
        std::vector<PageId> pages;  // [group]; empty for a root
        std::string name;           // of a root: its key
    };

    [[nodiscard]] static Key make_key(std::span<const Token> tokens);
    [[nodiscard]] bool evictable(const Node& n) const noexcept { return n.live && n.pins == 0 && n.children.empty(); }
    [[nodiscard]] bool complete(const Node& n) const noexcept;
    void enlist(NodeId id);
    void delist(NodeId id);
    std::uint64_t drop_page(Node& n, int group);
    std::uint64_t remove(NodeId id);
    std::uint64_t drop_window_pages(bool all);

    KvPool& pool_;
    std::vector<Node> nodes_;
    std::vector<NodeId> vacant_;
    std::map<std::string, NodeId, std::less<>> roots_;
    std::set<std::pair<std::uint64_t, NodeId>> leaves_;  // evictable, longest unused first
    std::uint64_t tick_ = 0, live_ = 0;
    std::uint64_t inserted_since_scan_ = 0;
    bool has_windows_ = false;
};

}  // namespace freehold
