// What goes through a decoder in one step: ragged rows, each one token of one sequence at one position.
#pragma once

#include <cstdint>
#include <span>

#include "freehold/ops/kv.h"

namespace freehold {

using Token = std::int32_t;
inline constexpr Token kNoTarget = -1;  // as the target of a row: its log-probability is not wanted
class Probe;
class Adapter;

// Per sequence: where its past lies and how it differs from its batch mates.
struct SeqRef {
    const PageTable* pages = nullptr;
    Probe* probe = nullptr;            // null: nobody looks
    const Adapter* adapter = nullptr;  // null: the model as it is (adapter.h)
    // Encoder-decoders: keys and values of the text that is read, and how many. Encoding writes them; sequences that
    // write from the same text may share them.
    const PageTable* cross = nullptr;
    std::uint32_t n_cross = 0;
    std::uint32_t first_cross = 0;  // the text's first row among those that were encoded (training)
};

// Rows of a sequence are contiguous and ascending in position, without a gap.
struct Segment {
    std::uint32_t first_row = 0, n_rows = 0;
    SeqRef seq;
};

struct Batch {
    std::span<const Token> tokens;               // [rows]
    std::span<const std::int32_t> positions;     // [rows]
    std::span<const std::uint8_t> wants_logits;  // [rows]
    std::span<const Segment> segments;           // cover all rows in order
    std::span<const std::uint8_t> types = {};    // [rows] token types of encoders; empty: all 0
};

}  // namespace freehold
