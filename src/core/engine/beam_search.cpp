// Greedy and beam search. Candidates of a step are the best continuations over all beams; those that end become
// finished texts, the others run on.
#include "beam_search.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "freehold/base/error.h"

namespace freehold {
namespace {

constexpr float kNever = -1.0e9F;  // a score of what does not count, as in transformers

struct Candidate {
    float score;
    std::size_t index;  // beam * vocab + token
};

// The n highest, best first; of equal ones the lower index.
std::vector<Candidate> highest(std::span<const float> scores, std::size_t n) {
    std::vector<Candidate> best;
    for (std::size_t i = 0; i < scores.size(); ++i) {
        if (best.size() == n && !(scores[i] > best.back().score)) continue;
        const auto at = std::find_if(best.begin(), best.end(), [&](const Candidate& c) { return scores[i] > c.score; });
        best.insert(at, {scores[i], i});
        if (best.size() > n) best.pop_back();
    }
    return best;
}

}  // namespace

BeamSearch::BeamSearch(const SearchOptions& options, std::int32_t vocab)
    : options_(options), vocab_(static_cast<std::size_t>(vocab)) {
    const std::size_t kept =
        static_cast<std::size_t>(options.beams) * std::max<std::size_t>(2, options.ends.size() + 1);
    if (options.beams > 1 && kept > vocab_)
        throw Error(ErrorKind::usage, std::to_string(options.beams) + " beams are too many for a vocabulary of " +
                                          std::to_string(vocab) + ".");
    rows_ = {{0, options.start}};
    running_ = {{{options.start}, 0, false}};
    done_ = options.max_length <= 1;
}

bool BeamSearch::ends(Token t) const {
    return std::find(options_.ends.begin(), options_.ends.end(), t) != options_.ends.end();
}

// Tokens that must not be, and the one that must.
void BeamSearch::process(float* row) const {
    constexpr float kOut = -std::numeric_limits<float>::infinity();
    for (const Token t : options_.suppressed) row[t] = kOut;
    if (options_.forced_end && length_ == options_.max_length - 1) {
        std::fill_n(row, vocab_, kOut);
        row[*options_.forced_end] = 0;
    }
}

void BeamSearch::step(const Kernels& kernels, std::span<float> logits) {
    for (std::size_t r = 0; r < rows_.size(); ++r) {
        float* const row = logits.data() + r * vocab_;
        const float top = kernels.max_value(row, vocab_);
        const auto sum = static_cast<float>(fh_log_double(kernels.exp_sum(row, top, vocab_, nullptr)));
        for (std::size_t i = 0; i < vocab_; ++i) row[i] = row[i] - top - sum;
    }
    if (options_.beams == 1)
        greedy(kernels, logits.data());
    else
        beams(logits);
}

void BeamSearch::greedy(const Kernels& kernels, float* row) {
    process(row);
    const std::size_t best = kernels.argmax(row, vocab_);
    Hypothesis& h = running_.front();
    h.score += row[best];
    h.tokens.push_back(static_cast<Token>(best));
    rows_ = {{0, static_cast<Token>(best)}};
    ++length_;
    h.finished = ends(static_cast<Token>(best));
    done_ = h.finished || length_ >= options_.max_length;
    if (done_) found_ = running_;
}

void BeamSearch::beams(std::span<float> logits) {
    const auto n = static_cast<std::size_t>(options_.beams);
    for (std::size_t r = 0; r < rows_.size(); ++r) {
        float* const row = logits.data() + r * vocab_;
        process(row);
        for (std::size_t i = 0; i < vocab_; ++i) row[i] += running_[r].score;
    }
    const std::vector<Candidate> best =
        highest(logits.first(rows_.size() * vocab_), n * std::max<std::size_t>(2, options_.ends.size() + 1));
    const bool last = length_ + 1 >= options_.max_length;
    const bool full = options_.early_stopping == EarlyStopping::yes && found_.size() == n &&
                      std::all_of(found_.begin(), found_.end(), [](const Hypothesis& h) { return h.finished; });
    const auto penalty =
        static_cast<float>(fh_pow(static_cast<double>(length_), static_cast<double>(options_.length_penalty)));
    std::vector<Hypothesis> next;
    std::vector<Row> rows;
    bool all_hit = true;
    for (std::size_t i = 0; i < best.size(); ++i) {
        const std::size_t parent = best[i].index / vocab_;
        const auto token = static_cast<Token>(best[i].index % vocab_);
        const bool hit = last || ends(token);
        all_hit = all_hit && hit;
        if (!hit && next.size() < n) {
            next.push_back({running_[parent].tokens, best[i].score, false});
            next.back().tokens.push_back(token);
            rows.push_back({parent, token});
        }
        // Only what is among the best `n` may be a result; the others are there so that enough run on.
        if (hit && i < n && !full && improvable_) {
            Hypothesis h{running_[parent].tokens, best[i].score / penalty, true};
            h.tokens.push_back(token);
            const auto at =
                std::find_if(found_.begin(), found_.end(), [&](const Hypothesis& o) { return h.score > o.score; });
            found_.insert(at, std::move(h));
            if (found_.size() > n) found_.pop_back();
        }
    }
    ++length_;
    // Can what runs still become better than the worst that is finished? Places that are not taken can always be.
    const int hypothetical = options_.early_stopping == EarlyStopping::never && options_.length_penalty > 0
                                 ? options_.max_length - 1
                                 : length_ - 1;
    if (!next.empty()) {
        const float possible =
            next.front().score / static_cast<float>(fh_pow(hypothetical, static_cast<double>(options_.length_penalty)));
        const float worst = found_.size() < n ? kNever : found_.back().score;
        improvable_ = improvable_ && possible > worst;
    }
    const bool now_full = options_.early_stopping == EarlyStopping::yes && found_.size() == n;
    done_ = all_hit || !improvable_ || now_full;
    running_ = std::move(next);
    rows_ = std::move(rows);
}

BeamSearch::Found BeamSearch::best() const {
    const Hypothesis& h = found_.empty() ? running_.front() : found_.front();
    Found f{{h.tokens.begin() + 1, h.tokens.end()}, static_cast<double>(h.score), false};
    f.ended = !f.tokens.empty() && ends(f.tokens.back());
    return f;
}

}  // namespace freehold
