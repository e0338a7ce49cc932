// The search for the likeliest text: greedy, or with several hypotheses at once, as transformers' generation defines
// them (length penalty, early stopping, forbidden and forced tokens). Knows tokens and logits, nothing of models.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "freehold/kernels/kernels.h"
#include "freehold/models/translation_spec.h"

namespace freehold {

class BeamSearch {
 public:
    // Error{usage} when the vocabulary is too small for so many beams.
    BeamSearch(const SearchOptions& options, std::int32_t vocab);

    // The rows to compute next: which row of the step before each goes on from, and its token. The first step has one
    // row, the start token.
    struct Row {
        std::size_t parent = 0;
        Token token = 0;
    };
    [[nodiscard]] bool done() const noexcept { return done_; }
    [[nodiscard]] std::span<const Row> rows() const noexcept { return rows_; }
    // logits: [rows][vocab], overwritten.
    void step(const Kernels& kernels, std::span<float> logits);

    // When done: the best text, without the start token, with the end token if it ends; its score (beams: the sum of
    // log-probabilities over the length penalty; greedy: the sum).
    struct Found {
        std::vector<Token> tokens;
        double score = 0;
        bool ended = false;  // false: cut at the longest length
    };
    [[nodiscard]] Found best() const;

 private:
    struct Hypothesis {
        std::vector<Token> tokens;  // the start token first
        float score = 0;
        bool finished = false;
    };
    [[nodiscard]] bool ends(Token t) const;
    void process(float* row) const;
    void greedy(const Kernels& kernels, float* row);
    void beams(std::span<float> logits);

    SearchOptions options_;
    std::size_t vocab_;
    std::vector<Row> rows_;
    std::vector<Hypothesis> running_, found_;  // best first
    int length_ = 1;
    bool improvable_ = true, done_ = false;
};

}  // namespace freehold
