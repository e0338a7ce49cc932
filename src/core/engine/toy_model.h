// A model for tests of the engine: keys are integers chained over the whole prefix, logits a mix of all keys in view,
// so that one wrong, missing or stale page changes everything that follows. Two groups, one of them with a window.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <set>
#include <vector>

#include "freehold/engine/step_model.h"

namespace freehold {

inline std::uint32_t toy_mix(std::uint32_t a, std::uint32_t b) {
    std::uint32_t h = a * 0x9E3779B1U ^ (b + 0x7F4A7C15U + (a << 6U) + (a >> 2U));
    h ^= h >> 15U;
    h *= 0x85EBCA77U;
    return h ^ h >> 13U;
}

class ToyModel final : public StepModel {
 public:
    explicit ToyModel(int vocab = 50, int context = 4096, int window = 20) : vocab_(vocab), context_(context) {
        for (const int w : {0, window}) {
            KvGroup g;
            g.layers = {static_cast<int>(layout_.groups.size())};
            g.window = w;
            g.n_kv_heads = g.head_dim = g.v_dim = 1;
            g.type = KvType::F32;
            layout_.groups.push_back(g);
        }
        layout_.group_of_layer = {0, 1};
        layout_.index_in_group = {0, 0};
    }

    [[nodiscard]] int vocab() const noexcept override { return vocab_; }
    [[nodiscard]] int context() const noexcept override { return context_; }
    [[nodiscard]] const KvLayout& kv_layout() const noexcept override { return layout_; }

    void forward(const Batch& batch, std::span<float> logits) override {
        check_no_shared_writes(batch);
        ++steps;
        rows += batch.tokens.size();
        std::size_t out = 0;
        for (const Segment& s : batch.segments) {
            for (std::uint32_t r = s.first_row; r < s.first_row + s.n_rows; ++r) {
                const std::int32_t at = batch.positions[r];
                const std::uint32_t before = at == 0 ? 0U : read(*s.seq.pages, 0, at - 1);
                const std::uint32_t key = toy_mix(before, static_cast<std::uint32_t>(batch.tokens[r]));
                write(*s.seq.pages, 0, at, key);
                write(*s.seq.pages, 1, at, key ^ 0x5555U);
                if (batch.wants_logits[r] == 0) continue;
                std::uint32_t h = 1;
                for (std::int32_t j = 0; j <= at; ++j) h = toy_mix(h, read(*s.seq.pages, 0, j));
                for (std::int32_t j = std::max(0, at - layout_.groups[1].window + 1); j <= at; ++j) {
                    h = toy_mix(h, read(*s.seq.pages, 1, j));
                }
                fill(h, logits.subspan(out, static_cast<std::size_t>(vocab_)));
                out += static_cast<std::size_t>(vocab_);
            }
        }
        EXPECT_EQ(out, logits.size());
        if (on_forward) on_forward();
    }

    // The logits after these tokens, without any pages.
    [[nodiscard]] std::vector<float> reference(std::span<const Token> tokens) const {
        std::vector<std::uint32_t> keys;
        for (const Token t : tokens)
            keys.push_back(toy_mix(keys.empty() ? 0U : keys.back(), static_cast<std::uint32_t>(t)));
        std::uint32_t h = 1;
        for (const std::uint32_t k : keys) h = toy_mix(h, k);
        const auto window = static_cast<std::size_t>(layout_.groups[1].window);
        for (std::size_t j = keys.size() > window ? keys.size() - window : 0; j < keys.size(); ++j) {
            h = toy_mix(h, keys[j] ^ 0x5555U);
        }
        std::vector<float> out(static_cast<std::size_t>(vocab_));
        fill(h, out);
        return out;
    }

    std::uint64_t steps = 0, rows = 0;
    std::function<void()> on_forward;

 private:
    static void fill(std::uint32_t h, std::span<float> out) {
        for (std::size_t v = 0; v < out.size(); ++v) {
            out[v] = static_cast<float>(toy_mix(h, static_cast<std::uint32_t>(v)) % 10000U) / 1000.0F;
        }
    }

    [[nodiscard]] std::byte* slot(const PageTable& table, int group, std::int32_t position, bool value) const {
        const auto& pages = table.pages[static_cast<std::size_t>(group)];
        const auto index = static_cast<std::size_t>(position / kPageTokens);
        if (index >= pages.size() || pages[index] == nullptr) {
            ADD_FAILURE() << "no page for position " << position << " in group " << group;
            return nullptr;
        }
        const KvGroup& g = layout_.groups[static_cast<std::size_t>(group)];
        const std::size_t offset = value ? g.v_offset(0, 0) : g.k_offset(0, 0);
        return pages[index] + offset + static_cast<std::size_t>(position % kPageTokens) * 4;
    }
    [[nodiscard]] std::uint32_t read(const PageTable& table, int group, std::int32_t position) const {
        std::uint32_t k = 0;
        std::uint32_t v = 0;
        const std::byte* at = slot(table, group, position, false);
        if (at == nullptr) return 0;
        std::memcpy(&k, at, 4);
        std::memcpy(&v, slot(table, group, position, true), 4);
        EXPECT_EQ(k, v);
        return k;
    }
    void write(const PageTable& table, int group, std::int32_t position, std::uint32_t x) const {
        std::byte* at = slot(table, group, position, false);
        if (at == nullptr) return;
        std::memcpy(at, &x, 4);
        std::memcpy(slot(table, group, position, true), &x, 4);
    }
    // A page that one sequence writes in this step is in nobody else's table.
    static void check_no_shared_writes(const Batch& batch) {
        std::map<const std::byte*, std::set<std::size_t>> users;
        for (std::size_t i = 0; i < batch.segments.size(); ++i) {
            for (const auto& group : batch.segments[i].seq.pages->pages) {
                for (const std::byte* p : group) {
                    if (p != nullptr) users[p].insert(i);
                }
            }
        }
        for (const Segment& s : batch.segments) {
            for (std::uint32_t r = s.first_row; r < s.first_row + s.n_rows; ++r) {
                for (const auto& group : s.seq.pages->pages) {
                    const std::byte* p = group[static_cast<std::size_t>(batch.positions[r] / kPageTokens)];
                    EXPECT_EQ(users[p].size(), 1U) << "a shared page is written at position " << batch.positions[r];
                }
            }
        }
    }

    int vocab_, context_;
    KvLayout layout_;
};

}  // namespace freehold
