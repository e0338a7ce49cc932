// The tree of prefixes: children ordered by their tokens, so that both the exact page and the one that agrees longest
// are found by one search.
#include "freehold/engine/prefix_tree.h"

#include <algorithm>

#include "freehold/base/error.h"

namespace freehold {

namespace {

std::string root_name(const PrefixKey& key) {
    // Lengths first: no choice of texts makes two keys look alike.
    std::string name;
    for (const std::string* part : {&key.tenant, &key.adapter, &key.interventions}) {
        name += std::to_string(part->size()) + ":" + *part;
    }
    return name;
}

int common(std::span<const Token> a, std::span<const Token> b) {
    const auto n = std::min(a.size(), b.size());
    std::size_t i = 0;
    while (i < n && a[i] == b[i]) ++i;
    return static_cast<int>(i);
}

}  // namespace

PrefixTree::PrefixTree(KvPool& pool) : pool_(pool) {
    for (const KvGroup& g : pool.layout().groups) has_windows_ = has_windows_ || g.window > 0;
}

PrefixTree::~PrefixTree() {
    for (Node& n : nodes_) {
        for (int g = 0; n.live && g < static_cast<int>(n.pages.size()); ++g) drop_page(n, g);
    }
}

PrefixTree::Key PrefixTree::make_key(std::span<const Token> tokens) {
    Key key;
    key.fill(-1);
    std::copy_n(tokens.begin(), std::min<std::size_t>(tokens.size(), key.size()), key.begin());
    return key;
}

bool PrefixTree::complete(const Node& n) const noexcept {
    return std::none_of(n.pages.begin(), n.pages.end(), [](PageId p) { return p == kNoPage; });
}

PrefixTree::NodeId PrefixTree::root(const PrefixKey& key) {
    const std::string name = root_name(key);
    if (const auto it = roots_.find(name); it != roots_.end()) return it->second;
    NodeId id = 0;
    if (!vacant_.empty()) {
        id = vacant_.back();
        vacant_.pop_back();
    } else {
        id = static_cast<NodeId>(nodes_.size());
        nodes_.emplace_back();
    }
    nodes_[id] = Node{};
    nodes_[id].live = true;
    nodes_[id].name = name;
    roots_.emplace(name, id);
    enlist(id);
    return id;
}

PrefixTree::NodeId PrefixTree::child(NodeId parent, std::span<const Token> page) const {
    const auto& children = nodes_[parent].children;
    const auto it = children.find(make_key(page));
    return it == children.end() || nodes_[it->second].n_tokens != kPageTokens ? kNone : it->second;
}

PrefixTree::Head PrefixTree::longest_head(NodeId parent, std::span<const Token> tokens) const {
    const auto& children = nodes_[parent].children;
    Head best;
    // In lexicographic order the keys that agree longest are neighbours of the one sought.
    const auto consider = [&](std::map<Key, NodeId>::const_iterator it) {
        const Node& n = nodes_[it->second];
        if (!complete(n)) return;
        const int m = common(tokens, std::span(n.key).first(static_cast<std::size_t>(n.n_tokens)));
        if (m > best.tokens) best = {it->second, m};
    };
    auto it = children.lower_bound(make_key(tokens));
    if (it != children.end()) consider(it);
    if (it != children.begin()) consider(std::prev(it));
    return best;
}

PrefixTree::NodeId PrefixTree::parent(NodeId node) const noexcept {
    return nodes_[node].parent;
}
int PrefixTree::tokens(NodeId node) const noexcept {
    return nodes_[node].n_tokens;
}

PageId PrefixTree::page(NodeId node, int group) const noexcept {
    return nodes_[node].pages[static_cast<std::size_t>(group)];
}

PrefixTree::NodeId PrefixTree::insert(NodeId parent, std::span<const Token> page, std::span<const PageId> pages) {
    const auto take = [&](Node& n) {
        for (int g = 0; g < pool_.n_groups(); ++g) {
            PageId& mine = n.pages[static_cast<std::size_t>(g)];
            const PageId offered = pages[static_cast<std::size_t>(g)];
            if (mine != kNoPage || offered == kNoPage) continue;
            mine = offered;
            pool_.retain(g, mine);
            pool_.set_cached(g, mine, true);
        }
    };
    const Key key = make_key(page);
    auto& children = nodes_[parent].children;
    auto next = children.lower_bound(key);
    if (next != children.end()) {
        Node& n = nodes_[next->second];
        const int m = common(page, std::span(n.key).first(static_cast<std::size_t>(n.n_tokens)));
        if (n.key == key || (m == static_cast<int>(page.size()) && page.size() < kPageTokens)) {
            take(n);
            const NodeId found = next->second;
            if (evictable(n)) {
                delist(found);
                n.used = ++tick_;
                enlist(found);
            }
            return n.key == key ? found : kNone;
        }
    }
    // A partial page that this one continues has nothing to offer any more. Nobody pins partial pages.
    if (next != children.begin()) {
        const auto before = std::prev(next);
        const Node& n = nodes_[before->second];
        const auto n_tokens = static_cast<std::size_t>(n.n_tokens);
        if (n_tokens < page.size() && common(page, std::span(n.key).first(n_tokens)) == n.n_tokens && evictable(n)) {
            remove(before->second);
        }
    }
    // remove() keeps the parent: whoever inserts has it pinned.
    NodeId id = 0;
    if (!vacant_.empty()) {
        id = vacant_.back();
        vacant_.pop_back();
    } else {
        id = static_cast<NodeId>(nodes_.size());
        nodes_.emplace_back();
    }
    Node& n = nodes_[id];
    n = Node{};
    n.live = true;
    n.parent = parent;
    n.key = key;
    n.n_tokens = static_cast<int>(page.size());
    n.pages.assign(static_cast<std::size_t>(pool_.n_groups()), kNoPage);
    n.used = ++tick_;
    take(n);
    delist(parent);
    nodes_[parent].children.emplace(key, id);
    ++live_;
    ++inserted_since_scan_;
    enlist(id);
    return id;
}

void PrefixTree::pin(NodeId node) {
    delist(node);
    ++nodes_[node].pins;
    nodes_[node].used = ++tick_;
}

void PrefixTree::unpin(NodeId node) {
    --nodes_[node].pins;
    enlist(node);
}

void PrefixTree::enlist(NodeId id) {
    if (evictable(nodes_[id])) leaves_.emplace(nodes_[id].used, id);
}

void PrefixTree::delist(NodeId id) {
    leaves_.erase({nodes_[id].used, id});
}

std::uint64_t PrefixTree::drop_page(Node& n, int group) {
    PageId& page = n.pages[static_cast<std::size_t>(group)];
    if (page == kNoPage) return 0;
    const bool last = pool_.references(group, page) == 1;
    pool_.set_cached(group, page, false);
    pool_.release(group, page);
    page = kNoPage;
    return last ? pool_.layout().groups[static_cast<std::size_t>(group)].page_bytes() : 0;
}

std::uint64_t PrefixTree::remove(NodeId id) {
    delist(id);
    Node& n = nodes_[id];
    std::uint64_t freed = 0;
    for (int g = 0; g < static_cast<int>(n.pages.size()); ++g) freed += drop_page(n, g);
    if (n.parent == kNone) {
        roots_.erase(n.name);
    } else {
        nodes_[n.parent].children.erase(n.key);
        enlist(n.parent);
        --live_;
    }
    n = Node{};
    vacant_.push_back(id);
    return freed;
}

std::uint64_t PrefixTree::drop_window_pages(bool all) {
    std::uint64_t freed = 0;
    for (int g = 0; g < pool_.n_groups(); ++g) {
        const int window = pool_.layout().groups[static_cast<std::size_t>(g)].window;
        if (window == 0) continue;
        // Kept: what a continuation from a leaf, a branching point or a running sequence's place would look at.
        std::vector<std::uint8_t> keep(nodes_.size(), 0);
        const int reach = all ? 0 : (window + kPageTokens - 1) / kPageTokens + 1;
        for (NodeId id = 0; id < nodes_.size() && !all; ++id) {
            const Node& n = nodes_[id];
            if (!n.live || (n.children.size() == 1 && n.pins == 0)) continue;
            NodeId up = id;
            for (int i = 0; i < reach && up != kNone; ++i, up = nodes_[up].parent) keep[up] = 1;
        }
        for (NodeId id = 0; id < nodes_.size(); ++id) {
            Node& n = nodes_[id];
            if (!n.live || n.pages.empty() || keep[id] != 0) continue;
            const PageId page = n.pages[static_cast<std::size_t>(g)];
            if (page != kNoPage && pool_.references(g, page) == 1) freed += drop_page(n, g);
        }
    }
    return freed;
}

std::uint64_t PrefixTree::evict(std::uint64_t bytes) {
    std::uint64_t freed = 0;
    // The scan looks at every node, so it waits until enough is new since the last one.
    if (has_windows_ && inserted_since_scan_ * 8 >= live_) {
        inserted_since_scan_ = 0;
        freed += drop_window_pages(false);
    }
    while (freed < bytes && !leaves_.empty()) freed += remove(leaves_.begin()->second);
    if (freed < bytes && has_windows_) freed += drop_window_pages(true);
    return freed;
}

}  // namespace freehold
