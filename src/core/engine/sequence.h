// One request while it is in the engine: its tokens, its pages, and how far it has come. Private to the engine.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <vector>

#include "freehold/engine/engine.h"
#include "freehold/engine/prefix_tree.h"

namespace freehold {

using Clock = std::chrono::steady_clock;

struct Sequence {
    Sequence(RequestId id_, Request request_, Sampler sampler_, std::size_t limit_)
        : id(id_), request(std::move(request_)), sampler(std::move(sampler_)), limit(limit_) {}

    RequestId id;
    Request request;
    Sampler sampler;
    SamplerState sampler_state;  // moves with each choice; rows behind a wrong guess are never chosen from
    std::size_t limit;           // tokens at which the answer ends
    std::vector<Token> tokens;   // prompt and answer
    std::size_t n_prompt = 0;
    std::size_t computed = 0;  // positions [0, computed) have their keys and values in pages
    // Prompt positions whose logits are still wanted (by on_logits or for log-probabilities): [next_logit_row,
    // logit_end).
    std::size_t next_logit_row = 0, logit_end = 0;

    // Pages by group and position / 16; kNoPage behind a window. `table` says the same in addresses.
    std::vector<std::vector<PageId>> pages;
    std::vector<std::size_t> first_page;  // [group] pages before it were let go
    PageTable table;
    PrefixTree::NodeId cursor = PrefixTree::kNone;  // stands for pages [0, cursor_pages), pinned
    std::size_t cursor_pages = 0;
    bool reads = false, writes = false;    // the tree
    std::size_t pages_planned = 0;         // that admission counted for it
    std::size_t rows = 0;                  // of the present step
    std::size_t high_water = 0;            // positions ever computed here: [0, high_water) less what came from the tree
    std::size_t computed_prompt_rows = 0;  // prompt positions computed for the first time

    std::unique_ptr<TokenConstraint> constraint;  // how far the answer has come in its form; null: it has none

    // Guesses of the present step behind `tokens`, and what earlier ones taught.
    std::vector<Token> draft;
    std::size_t draft_reach = 1;  // how many are worth trying
    std::size_t draft_pause = 0;  // tokens to go without
    std::size_t draft_fails = 0;  // in a row

    Outcome outcome;
    bool done = false;
    std::uint32_t choices = 0;
    Clock::time_point submitted, first_row, first_token;
    bool had_row = false, had_token = false;

    // The token at a position of the present step, guesses included.
    [[nodiscard]] Token fed(std::size_t position) const noexcept {
        return position < tokens.size() ? tokens[position] : draft[position - tokens.size()];
    }
    [[nodiscard]] std::size_t pending() const noexcept { return tokens.size() - computed; }
    // Positions before it may come from the tree; at least the last token is computed, for its logits.
    [[nodiscard]] std::size_t follow_limit() const noexcept {
        const std::size_t last = tokens.size() - 1;
        return next_logit_row < logit_end ? std::min(last, next_logit_row) : last;
    }
    [[nodiscard]] bool wants_logits(std::size_t position) const noexcept {
        if (position >= next_logit_row && position < logit_end) return true;
        return position + 1 >= tokens.size() && limit > n_prompt;
    }
};

}  // namespace freehold
