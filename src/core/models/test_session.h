// One sequence through a Decoder with pages of its own: what tests use where the program would use the engine.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "freehold/models/decoder.h"

namespace freehold::test {

class Session {
 public:
    Session(const Decoder& decoder, ThreadPool& threads, KvType type = KvType::F32,
            const Kernels& kernels = active_kernels())
        : decoder_(decoder), threads_(threads), kernels_(kernels), layout_(decoder.kv_layout(type)) {
        table_.layout = &layout_;
        table_.pages.resize(layout_.groups.size());
    }

    // Feeds tokens behind those fed before, `chunk` rows at a time (0: all at once); logits of every row.
    std::vector<float> feed(std::span<const Token> tokens, std::size_t chunk = 0) {
        const auto vocab = static_cast<std::size_t>(decoder_.spec().vocab);
        std::vector<float> logits(tokens.size() * vocab);
        if (chunk == 0) chunk = tokens.size();
        for (std::size_t at = 0; at < tokens.size(); at += chunk) {
            const std::size_t n = std::min(chunk, tokens.size() - at);
            step(tokens.subspan(at, n), std::span(logits).subspan(at * vocab, n * vocab));
        }
        return logits;
    }

    // The pages for `tokens` more tokens; positions go on from where the sequence is.
    void reserve(std::size_t tokens) {
        const std::size_t pages = (position_ + tokens + kPageTokens - 1) / kPageTokens;
        for (std::size_t g = 0; g < layout_.groups.size(); ++g) {
            while (table_.pages[g].size() < pages) {
                memory_.push_back(std::vector<float>(layout_.groups[g].page_bytes() / sizeof(float) + 16, 0.0F));
                table_.pages[g].push_back(reinterpret_cast<std::byte*>(memory_.back().data()));
            }
        }
    }

    [[nodiscard]] const PageTable& table() const { return table_; }
    [[nodiscard]] std::size_t position() const { return position_; }
    void advance(std::size_t n) { position_ += n; }
    Probe* probe = nullptr;
    const Adapter* adapter = nullptr;

 private:
    void step(std::span<const Token> tokens, std::span<float> logits) {
        reserve(tokens.size());
        std::vector<std::int32_t> positions;
        for (std::size_t i = 0; i < tokens.size(); ++i) positions.push_back(static_cast<std::int32_t>(position_ + i));
        const std::vector<std::uint8_t> wants(tokens.size(), 1);
        const Segment segment{0, static_cast<std::uint32_t>(tokens.size()), {&table_, probe, adapter}};
        Arena arena(decoder_.scratch_bytes(tokens.size(), tokens.size(), threads_.size()));
        Exec exec{threads_, kernels_, arena};
        decoder_.forward(exec, {tokens, positions, wants, std::span(&segment, 1)}, logits);
        position_ += tokens.size();
    }

    const Decoder& decoder_;
    ThreadPool& threads_;
    const Kernels& kernels_;
    KvLayout layout_;
    PageTable table_;
    std::vector<std::vector<float>> memory_;
    std::size_t position_ = 0;
};

// Largest absolute difference over largest absolute value of `want`.
inline double difference(std::span<const float> got, std::span<const float> want) {
    EXPECT_EQ(got.size(), want.size());
    double worst = 0, top = 0;
    for (std::size_t i = 0; i < std::min(got.size(), want.size()); ++i) {
        const double d = std::fabs(static_cast<double>(got[i]) - static_cast<double>(want[i]));
        worst = std::max(worst, std::isfinite(d) ? d : INFINITY);
        top = std::max(top, std::fabs(static_cast<double>(want[i])));
    }
    return worst / top;
}

}  // namespace freehold::test
