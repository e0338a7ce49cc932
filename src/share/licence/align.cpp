// Anchors, the longest chain of them, and the longest common subsequence of what lies between.
#include "align.h"

#include <algorithm>
#include <utility>

namespace freehold::licence {
namespace {

struct Anchor {
    std::uint32_t f = 0, t = 0;
};

// The window of the file in which most of the template's anchors lie; a file may hold the same licence twice.
std::span<const Anchor> best_window(std::span<const Anchor> anchors, std::size_t template_words) {
    const auto width = static_cast<std::uint32_t>(template_words + template_words / 2 + 60);
    std::unordered_map<std::uint32_t, std::uint32_t> inside;
    std::size_t first = 0, best_first = 0, best_last = 0, best = 0;
    for (std::size_t last = 0; last < anchors.size(); ++last) {
        ++inside[anchors[last].t];
        while (anchors[last].f - anchors[first].f > width) {
            const auto found = inside.find(anchors[first].t);
            if (--found->second == 0) inside.erase(found);
            ++first;
        }
        if (inside.size() > best) {
            best = inside.size();
            best_first = first;
            best_last = last + 1;
        }
    }
    return anchors.subspan(best_first, best_last - best_first);
}

// The longest chain that goes forward in both texts.
std::vector<Anchor> longest_chain(std::span<const Anchor> anchors) {
    std::vector<std::size_t> tails, before(anchors.size(), anchors.size());
    for (std::size_t i = 0; i < anchors.size(); ++i) {
        const auto place =
            std::ranges::lower_bound(tails, anchors[i].t, {}, [&](std::size_t k) { return anchors[k].t; });
        if (place != tails.begin()) before[i] = *(place - 1);
        if (place == tails.end()) {
            tails.push_back(i);
        } else {
            *place = i;
        }
    }
    std::vector<Anchor> chain;
    if (tails.empty()) return chain;
    for (std::size_t i = tails.back(); i < anchors.size(); i = before[i]) chain.push_back(anchors[i]);
    std::ranges::reverse(chain);
    return chain;
}

class Aligner {
 public:
    Aligner(std::span<const Id> text, std::span<const Id> file) : t_(text), f_(file) {
        out_.partner.assign(text.size(), Alignment::kNone);
    }

    Alignment run(std::vector<Anchor> chain) {
        if (chain.empty()) return std::move(out_);
        constexpr std::uint32_t kSlack = 2;
        const Anchor head = chain.front();
        const std::uint32_t begin = head.f - std::min(head.f, head.t + kSlack);
        between(0, head.t, begin, head.f);
        std::uint32_t t = head.t, f = head.f;
        for (const Anchor& a : chain) {
            if (a.t < t || a.f < f) {  // overlaps the anchor before, on one diagonal or not
                if (a.t + kGram <= t || a.f + kGram <= f || a.t - t != a.f - f) continue;
            }
            if (a.t >= t && a.f >= f) between(t, a.t, f, a.f);
            for (std::uint32_t k = 0; k < kGram; ++k)
                if (a.t + k >= t && a.f + k >= f) pair(a.t + k, a.f + k);
            t = a.t + kGram;
            f = a.f + kGram;
        }
        const auto rest = static_cast<std::uint32_t>(t_.size()) - t;
        const auto end = static_cast<std::uint32_t>(std::min<std::size_t>(f_.size(), f + rest + kSlack));
        between(t, t + rest, f, end);
        finish();
        return std::move(out_);
    }

 private:
    // Two anchors of one hash need not be the same words.
    void pair(std::uint32_t t, std::uint32_t f) {
        if (t_[t] == f_[f]) out_.partner[t] = f;
    }

    // Longest common subsequence of two short stretches; equal ends go first, and stretches too long to compare stay
    // apart.
    void between(std::uint32_t t0, std::uint32_t t1, std::uint32_t f0, std::uint32_t f1) {
        while (t0 < t1 && f0 < f1 && t_[t0] == f_[f0]) pair(t0++, f0++);
        while (t0 < t1 && f0 < f1 && t_[t1 - 1] == f_[f1 - 1]) pair(--t1, --f1);
        const std::size_t m = t1 - t0, n = f1 - f0;
        constexpr std::size_t kCells = 4U << 20;
        if (m == 0 || n == 0 || m > 0xfff0 || n > 0xfff0 || (m + 1) * (n + 1) > kCells) return;
        table_.assign((m + 1) * (n + 1), 0);
        const auto at = [&](std::size_t i, std::size_t k) -> std::uint16_t& { return table_[i * (n + 1) + k]; };
        for (std::size_t i = m; i-- > 0;)
            for (std::size_t k = n; k-- > 0;)
                at(i, k) = t_[t0 + i] == f_[f0 + k] ? static_cast<std::uint16_t>(at(i + 1, k + 1) + 1)
                                                    : std::max(at(i + 1, k), at(i, k + 1));
        std::size_t i = 0, k = 0;
        while (i < m && k < n) {
            if (t_[t0 + i] == f_[f0 + k] && at(i, k) == at(i + 1, k + 1) + 1) {
                pair(t0 + static_cast<std::uint32_t>(i++), f0 + static_cast<std::uint32_t>(k++));
            } else if (at(i + 1, k) >= at(i, k + 1)) {
                ++i;
            } else {
                ++k;
            }
        }
    }

    // Words that stand equal by chance inside a long difference: they make it unreadable, so they are let go.
    void drop_islands() {
        const auto n = static_cast<std::uint32_t>(t_.size());
        std::uint32_t t = 0;
        while (t < n) {
            if (out_.partner[t] == Alignment::kNone) {
                ++t;
                continue;
            }
            std::uint32_t end = t + 1;
            while (end < n && out_.partner[end] != Alignment::kNone && out_.partner[end] == out_.partner[end - 1] + 1)
                ++end;
            std::uint32_t before = t, after = end;
            while (before > 0 && out_.partner[before - 1] == Alignment::kNone) --before;
            while (after < n && out_.partner[after] == Alignment::kNone) ++after;
            const std::uint32_t left_file = before == 0 ? 0 : out_.partner[t] - out_.partner[before - 1] - 1;
            const std::uint32_t right_file = after == n ? 0 : out_.partner[after] - out_.partner[end - 1] - 1;
            const std::uint32_t length = end - t;
            const std::uint32_t left = std::max(t - before, left_file), right = std::max(after - end, right_file);
            const bool inner = before > 0 && after < n;
            const bool edge =
                (before == 0 && out_.partner[t] > 0 && right_file > length) || (after == n && left_file > length);
            if ((inner && length <= 3 && left >= 2 * length + 2 && right >= 2 * length + 2) || (edge && length <= 2))
                std::fill(out_.partner.begin() + t, out_.partner.begin() + end, Alignment::kNone);
            t = end;
        }
    }

    void finish() {
        drop_islands();
        std::uint32_t f = Alignment::kNone, t = 0;
        const auto n = static_cast<std::uint32_t>(t_.size());
        for (std::uint32_t i = 0; i < n; ++i) {
            const std::uint32_t p = out_.partner[i];
            if (p == Alignment::kNone) continue;
            ++out_.matched;
            if (f == Alignment::kNone) {
                out_.f0 = f = p;
            }
            if (i > t || p > f) out_.hunks.push_back({t, i, f, p});
            t = i + 1;
            f = p + 1;
        }
        if (out_.matched == 0) return;
        if (t < n) out_.hunks.push_back({t, n, f, f});
        out_.f1 = f;
    }

    std::span<const Id> t_, f_;
    Alignment out_;
    std::vector<std::uint16_t> table_;
};

}  // namespace

std::uint64_t gram_hash(std::span<const Id> words, std::size_t at) noexcept {
    std::uint64_t h = 0x9e3779b97f4a7c15ULL;
    for (std::size_t k = 0; k < kGram; ++k) {
        h ^= words[at + k];
        h *= 0xff51afd7ed558ccdULL;
        h ^= h >> 32;
    }
    return h;
}

Grams unique_grams(std::span<const Id> words) {
    Grams out;
    if (words.size() < kGram) return out;
    constexpr std::uint32_t kTwice = 0xffffffffU;
    for (std::uint32_t i = 0; i + kGram <= words.size(); ++i) {
        const auto [place, fresh] = out.try_emplace(gram_hash(words, i), i);
        if (!fresh) place->second = kTwice;
    }
    std::erase_if(out, [](const auto& entry) { return entry.second == kTwice; });
    return out;
}

Alignment align(std::span<const Id> text, const Grams& grams, std::span<const Id> file) {
    std::vector<Anchor> anchors;
    for (std::uint32_t f = 0; f + kGram <= file.size(); ++f) {
        const auto found = grams.find(gram_hash(file, f));
        if (found != grams.end()) anchors.push_back({f, found->second});
    }
    return Aligner(text, file).run(longest_chain(best_window(anchors, text.size())));
}

}  // namespace freehold::licence
