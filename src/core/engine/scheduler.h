// Which sequences run and how many rows each gets in the next step. Private to the engine.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "page_book.h"
#include "sequence.h"

namespace freehold {

struct SchedulerLimits {
    std::size_t max_sequences = 0, max_rows = 0, max_rows_beside_decoding = 0, chunk = 0, max_logit_rows = 0;
};

// The rules. Everybody who decodes has a row in every step. Prompts share what rows are left, evenly at first, the rest
// to the oldest. Who begins like somebody who computes that page now waits for it. When pages run out the youngest
// gives up its pages and is computed again later; the oldest always goes on, so nothing can block.
class Scheduler {
 public:
    Scheduler(PageBook& book, const SchedulerLimits& limits) : book_(book), limits_(limits) {}

    // Rows of one prompt in a step from now on; no more than the limit that was given at first.
    void set_chunk(std::size_t rows) noexcept { chunk_ = std::min(rows, limits_.chunk); }
    void enqueue(std::unique_ptr<Sequence> s) { waiting_.push_back(std::move(s)); }
    // Moves on what waits, as pages and places allow; sets `rows` of all that run and gets them pages. False: no rows.
    bool plan();
    // Sets a sequence aside until it is resumed; then it waits for a place as old as it is.
    void park(RequestId id);
    void resume(RequestId id);
    // Takes a sequence out, wherever it is; its pages must have been closed. Null when it is not here.
    std::unique_ptr<Sequence> take(RequestId id);

    [[nodiscard]] const std::vector<std::unique_ptr<Sequence>>& running() const noexcept { return running_; }
    [[nodiscard]] const std::vector<std::unique_ptr<Sequence>>& waiting() const noexcept { return waiting_; }
    [[nodiscard]] const std::vector<std::unique_ptr<Sequence>>& parked() const noexcept { return parked_; }
    [[nodiscard]] std::uint64_t preemptions() const noexcept { return preemptions_; }

 private:
    void admit();
    [[nodiscard]] bool fits_now(Sequence& s) const;
    void plan_prompts(std::size_t rows, std::size_t logit_rows);
    [[nodiscard]] bool somebody_computes_page_of(const Sequence& s) const;
    // Rows of s from `computed` on, at most n, that want no more than `logit_rows` logits.
    [[nodiscard]] static std::size_t within_logits(const Sequence& s, std::size_t n, std::size_t logit_rows);
    // Pages for n rows of s; takes them from the youngest if need be. False: s itself gave up its place.
    bool make_rows(Sequence& s, std::size_t n);
    void preempt(std::size_t index);
    void wait_in_order(std::unique_ptr<Sequence> s);

    PageBook& book_;
    SchedulerLimits limits_;
    std::size_t chunk_ = limits_.chunk;
    std::vector<std::unique_ptr<Sequence>> waiting_, running_;  // both oldest first
    std::vector<std::unique_ptr<Sequence>> parked_;
    std::uint64_t preemptions_ = 0;
};

}  // namespace freehold
