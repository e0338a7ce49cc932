// Keys and values in pages: which layers share a page table, how a page is laid out, and what a sequence knows of its
// own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "freehold/kernels/kv_page.h"

namespace freehold {

// Layers with the same window and row shape. Page layout: [layer of the group][KV head]{ K, V }, each as kv_page.h
// says. Of latent attention there is no V: a key's first v_dim numbers are its value.
struct KvGroup {
    std::vector<int> layers;  // layer numbers, ascending
    int window = 0;           // 0: sees everything; else key j is visible to query i iff i - window < j <= i
    int n_kv_heads = 0, head_dim = 0, v_dim = 0;
    KvType type = KvType::F16;
    bool v_in_k = false;

    [[nodiscard]] std::size_t head_bytes() const noexcept {
        return kv_side_bytes(type, static_cast<std::size_t>(head_dim)) +
               (v_in_k ? 0 : kv_side_bytes(type, static_cast<std::size_t>(v_dim)));
    }
    [[nodiscard]] std::size_t layer_bytes() const noexcept {
        return head_bytes() * static_cast<std::size_t>(n_kv_heads);
    }
    [[nodiscard]] std::size_t page_bytes() const noexcept { return layer_bytes() * layers.size(); }
    [[nodiscard]] std::size_t k_offset(int layer_in_group, int head) const noexcept {
        return static_cast<std::size_t>(layer_in_group) * layer_bytes() + static_cast<std::size_t>(head) * head_bytes();
    }
    [[nodiscard]] std::size_t v_offset(int layer_in_group, int head) const noexcept {  // where v_in_k is false
        return k_offset(layer_in_group, head) + kv_side_bytes(type, static_cast<std::size_t>(head_dim));
    }
};

struct KvLayout {
    std::vector<KvGroup> groups;
    std::vector<int> group_of_layer;  // [n_layers]
    std::vector<int> index_in_group;  // [n_layers]
    [[nodiscard]] std::size_t bytes_per_token() const noexcept;
};

// One sequence's pages: pages[g][position / 16] for every position that was or will be written this step. Owned by the
// engine's pool (or by a training step); the decoder only writes rows of the current batch and reads what may be seen.
// A null page is allowed where no row of the batch may look (behind the window).
struct PageTable {
    const KvLayout* layout = nullptr;  // what Decoder::kv_layout() gave for the KV type of these pages
    std::vector<std::vector<std::byte*>> pages;
};

}  // namespace freehold
