// Where did the last tokens stand before, and what followed them? One table per sequence, grown as it grows.
// A table of open addressing holds the latest place of each run of three tokens; longer matches are preferred.
#include <algorithm>
#include <unordered_map>

#include "freehold/engine/drafter.h"

namespace freehold {

namespace {

constexpr std::size_t kRun = 3;         // tokens that must agree
constexpr std::size_t kLooksBack = 24;  // how far a match is followed to prefer the longer one
constexpr std::size_t kPlaces = 8;      // earlier places of a run that are compared

class Index {
 public:
    // Takes in what was added behind what is known. A sequence only grows.
    void grow(std::span<const Token> tokens) {
        if (tokens.size() < known_) {
            slots_.clear();
            known_ = used_ = 0;
        }
        before_.resize(tokens.size(), 0);
        // A run is entered when something follows it.
        for (std::size_t end = std::max(known_, kRun); end < tokens.size(); ++end) enter(tokens, end);
        known_ = tokens.size();
    }

    // The place behind the best earlier match of the last tokens, or 0.
    [[nodiscard]] std::size_t find(std::span<const Token> tokens) const {
        if (tokens.size() <= kRun || slots_.empty()) return 0;
        std::size_t best = 0, best_length = 0;
        std::size_t at = slots_[slot_of(tokens, tokens.size())];
        for (std::size_t i = 0; i < kPlaces && at != 0; ++i, at = before_[at]) {
            std::size_t length = kRun;
            while (length < kLooksBack && length < at && tokens[at - 1 - length] == tokens[tokens.size() - 1 - length])
                ++length;
            if (length > best_length) {
                best = at;
                best_length = length;
            }
        }
        return best;
    }

 private:
    static bool same_run(std::span<const Token> tokens, std::size_t a, std::size_t b) {
        return std::equal(tokens.begin() + static_cast<std::ptrdiff_t>(a - kRun),
                          tokens.begin() + static_cast<std::ptrdiff_t>(a),
                          tokens.begin() + static_cast<std::ptrdiff_t>(b - kRun));
    }

    // Slot of the run that ends before `end`: where it stands, or the free one where it would.
    [[nodiscard]] std::size_t slot_of(std::span<const Token> tokens, std::size_t end) const {
        std::uint64_t h = 0;
        for (std::size_t i = end - kRun; i < end; ++i)
            h = (h ^ static_cast<std::uint32_t>(tokens[i])) * 0x9E3779B97F4A7C15U;
        std::size_t slot = static_cast<std::size_t>(h >> 32U) & (slots_.size() - 1);
        while (slots_[slot] != 0 && !same_run(tokens, slots_[slot], end)) slot = (slot + 1) & (slots_.size() - 1);
        return slot;
    }

    void enter(std::span<const Token> tokens, std::size_t end) {
        if (slots_.size() < 2 * (used_ + 1)) {
            slots_.assign(std::max<std::size_t>(256, 4 * slots_.size()), 0);
            used_ = 0;
            for (std::size_t e = kRun; e < end; ++e) put(tokens, e);
        }
        put(tokens, end);
    }

    void put(std::span<const Token> tokens, std::size_t end) {
        std::uint32_t& slot = slots_[slot_of(tokens, end)];
        if (slot == 0) ++used_;
        before_[end] = slot;
        slot = static_cast<std::uint32_t>(end);
    }

    std::vector<std::uint32_t> slots_;   // end of the latest such run, 0: free
    std::vector<std::uint32_t> before_;  // [end] the place before that one of the same run
    std::size_t known_ = 0, used_ = 0;
};

class NgramDrafter final : public Drafter {
 public:
    void propose(std::span<DraftWish> wishes) override {
        for (DraftWish& w : wishes) {
            Index& index = indices_[w.id];
            index.grow(w.tokens);
            // A guess may run over the end into itself: what repeats goes on repeating.
            const std::size_t from = index.find(w.tokens);
            if (from == 0) continue;
            for (std::size_t i = 0; i < w.most; ++i) {
                const std::size_t at = from + i;
                w.guess.push_back(at < w.tokens.size() ? w.tokens[at] : w.guess[at - w.tokens.size()]);
            }
        }
    }
    void forget(std::uint64_t id) override { indices_.erase(id); }

 private:
    std::unordered_map<std::uint64_t, Index> indices_;
};

}  // namespace

std::unique_ptr<Drafter> make_ngram_drafter() {
    return std::make_unique<NgramDrafter>();
}

}  // namespace freehold
