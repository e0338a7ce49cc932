// Sorts differences, and settles where they lie when several places are possible.
#include "differences.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include "added.h"
#include "addresses.h"
#include "words_scan.h"

namespace freehold::licence {
namespace {

constexpr std::uint32_t kLongestName = 30;

// May these words of the file stand where the template has a name, or nothing?
bool harmless(const File& file, Range words) {
    if (words.end - words.begin > 60) return false;
    if (!only_names(file, words, kLongestName) && !added_sentences(file, words).empty()) return false;
    return find_worries(file.source, file.words, file.ids, words).empty();
}

// Does a sentence end in what stands between two words? nullopt: it cannot be told, since a heading, a list or a table
// may end there without a mark.
std::optional<bool> stops(std::string_view source, const Word& before, const Word& after) {
    const std::string_view gap = source.substr(before.end, after.begin - before.end);
    if (gap.find_first_of(":|<>") != std::string_view::npos || std::ranges::count(gap, '\n') > 1) return std::nullopt;
    const std::size_t mark = gap.find_first_of(".;!?");
    // A line that begins with a bullet begins anew.
    const std::size_t line = gap.find('\n');
    if (line != std::string_view::npos && gap.find_first_of("-*", line) != std::string_view::npos) return std::nullopt;
    if (mark == std::string_view::npos) return false;
    if (mark + 1 >= gap.size()) return std::nullopt;  // "3.1", "e.g."
    // "Inc. of", "v. 2": a full stop that ends no sentence.
    const char next = source[after.begin];
    if (gap[mark] == '.' && !(next >= 'A' && next <= 'Z')) return std::nullopt;
    return true;
}

}  // namespace

bool allowed(const File& file, const Template& t, const Hunk& h) {
    // What is hidden or crossed out has no place within a licence, and an address of terms is terms.
    for (std::uint32_t i = h.f0; i < h.f1; ++i)
        if (file.words[i].hidden || (file.words[i].url && foreign_terms(address_of(file, i)))) return false;
    bool words_free = true, near_loose = false, file_free = true, notice = false;
    for (std::uint32_t i = h.t0; i < h.t1; ++i) {
        const Word& w = t.words[i];
        words_free = words_free && (t.is_loose[i] || w.marker || w.notice || w.url);
        near_loose = near_loose || t.is_loose[i];
        notice = notice || w.notice;
    }
    near_loose = near_loose || (h.t0 > 0 && t.is_loose[h.t0 - 1] && h.t0 < t.words.size() && t.is_loose[h.t0]) ||
                 (h.t0 == h.t1 && h.t0 > 0 && t.is_loose[h.t0 - 1]) ||
                 (h.t0 == h.t1 && h.t1 < t.words.size() && t.is_loose[h.t1]);
    bool has_notice = notice;
    for (std::uint32_t i = h.f0; i < h.f1; ++i) {
        const Word& w = file.words[i];
        file_free = file_free && (w.marker || w.notice || w.url);
        has_notice = has_notice || w.notice;
    }
    if (words_free && file_free) return !has_notice || harmless(file, {h.f0, h.f1});
    if (words_free && (near_loose || notice)) return harmless(file, {h.f0, h.f1});
    std::string ours, theirs;
    for (std::uint32_t i = h.t0; i < h.t1; ++i)
        if (!t.words[i].marker) ours += t.words[i].text;
    for (std::uint32_t i = h.f0; i < h.f1; ++i)
        if (!file.words[i].marker) theirs += file.words[i].text;
    return ours == theirs;
}

void settle(const File& file, const Template& t, Alignment& a) {
    const auto begins_clause = [&](std::uint32_t i) {
        return i == 0 || i >= t.words.size() || t.clause_of[i] != t.clause_of[i - 1];
    };
    for (std::size_t k = 0; k < a.hunks.size(); ++k) {
        Hunk& h = a.hunks[k];
        const bool removed = h.f0 == h.f1;
        if (!removed && h.t0 != h.t1) continue;
        const std::uint32_t t_low = k == 0 ? 0 : a.hunks[k - 1].t1, f_low = k == 0 ? a.f0 : a.hunks[k - 1].f1;
        const auto t_high = static_cast<std::uint32_t>(k + 1 < a.hunks.size() ? a.hunks[k + 1].t0 : t.words.size());
        const std::uint32_t f_high = k + 1 < a.hunks.size() ? a.hunks[k + 1].f0 : a.f1;
        std::uint32_t left = 0, right = 0;
        const auto same = [&](std::uint32_t x, std::uint32_t y) {
            return removed ? t.ids[x] == t.ids[y] : file.ids[x] == file.ids[y];
        };
        const std::uint32_t begin = removed ? h.t0 : h.f0, end = removed ? h.t1 : h.f1;
        while (h.t0 - left > t_low && h.f0 - left > f_low && same(begin - left - 1, end - left - 1)) ++left;
        while (h.t1 + right < t_high && h.f1 + right < f_high && same(begin + right, end + right)) ++right;
        if (left + right == 0) continue;
        std::int64_t best = 0;
        int rank = -1;
        for (std::int64_t by = -std::int64_t{left}; by <= std::int64_t{right}; ++by) {
            const auto at_t = static_cast<std::uint32_t>(h.t0 + by), at_f = static_cast<std::uint32_t>(h.f0 + by);
            const bool line = removed ? t.words[at_t].starts_line : file.words[at_f].starts_line;
            const int here = begins_clause(at_t) ? 2 : line ? 1 : 0;
            if (here > rank || (here == rank && by == 0)) {
                rank = here;
                best = by;
            }
        }
        const auto move = [&](std::uint32_t& value) { value = static_cast<std::uint32_t>(value + best); };
        for (std::uint32_t* value : {&h.t0, &h.t1, &h.f0, &h.f1}) move(*value);
        // The words that changed sides.
        const auto low = static_cast<std::uint32_t>(std::min<std::int64_t>(h.t0, h.t0 - best));
        const auto high = static_cast<std::uint32_t>(std::max<std::int64_t>(h.t1, h.t1 - best));
        for (std::uint32_t i = low; i < high; ++i)
            a.partner[i] = i < h.t0 ? h.f0 - (h.t0 - i) : i >= h.t1 ? h.f1 + (i - h.t1) : Alignment::kNone;
    }
}

namespace {

// "https://www.llama.com/x" -> "llama.com": whose address it is.
std::string owner_of(std::string_view address) {
    std::string host(address);
    std::ranges::transform(host, host.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    if (const std::size_t scheme = host.find("://"); scheme != std::string::npos) host.erase(0, scheme + 3);
    host.resize(std::min(host.find_first_of("/?#:"), host.size()));
    if (const std::size_t at = host.rfind('@'); at != std::string::npos) host.erase(0, at + 1);
    const std::size_t last = host.rfind('.');
    if (last == std::string::npos || last == 0) return host;
    const std::size_t before = host.rfind('.', last - 1);
    return before == std::string::npos ? host : host.substr(before + 1);
}

}  // namespace

void addresses(const File& file, const Template& t, const Alignment& a, std::vector<Hunk>& changes) {
    for (std::uint32_t i = 0; i < t.words.size(); ++i) {
        const std::uint32_t f = a.partner[i];
        if (f == Alignment::kNone || !t.words[i].url || t.is_loose[i] || !file.words[f].url) continue;
        const auto text = [](std::string_view source, const Word& w) {
            return source.substr(w.begin, w.end - w.begin);
        };
        if (owner_of(text(t.source, t.words[i])) != owner_of(text(file.source, file.words[f])))
            changes.push_back({i, i + 1, f, f + 1});
    }
    std::ranges::sort(changes, {}, &Hunk::t0);
}

void punctuation(const File& file, const Template& t, const Alignment& a, std::vector<Hunk>& changes) {
    const auto free = [](const Word& w) { return w.marker || w.notice || w.url; };
    for (std::uint32_t i = 0; i + 1 < t.words.size(); ++i) {
        const std::uint32_t f = a.partner[i];
        if (f == Alignment::kNone || a.partner[i + 1] != f + 1) continue;
        if (t.is_loose[i] || t.is_loose[i + 1] || free(t.words[i]) || free(t.words[i + 1]) || free(file.words[f]) ||
            free(file.words[f + 1]))
            continue;
        const auto ours = stops(t.source, t.words[i], t.words[i + 1]);
        const auto theirs = stops(file.source, file.words[f], file.words[f + 1]);
        if (ours && theirs && *ours != *theirs) changes.push_back({i + 1, i + 1, f + 1, f + 1});
    }
    std::ranges::sort(changes, {}, &Hunk::t0);
}

}  // namespace freehold::licence
