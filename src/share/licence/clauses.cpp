// Facts of the table, carried over to the file through the alignment.
#include "clauses.h"

#include <fmt/format.h>

#include <algorithm>

#include "words_scan.h"

namespace freehold::licence {
namespace {

// The words of the file that stand for a range of the template; empty when none of it is there.
Range carried(const Alignment& a, Range r) {
    Range out{Alignment::kNone, 0};
    for (std::uint32_t i = r.begin; i < r.end; ++i) {
        const std::uint32_t p = a.partner[i];
        if (p == Alignment::kNone) continue;
        out.begin = std::min(out.begin, p);
        out.end = std::max(out.end, p + 1);
    }
    return out.begin == Alignment::kNone ? Range{} : out;
}

// One forbidden use for each list item or line.
std::vector<std::string> list_items(std::string_view source, std::span<const Word> words, Range r) {
    std::vector<std::string> out;
    constexpr std::uint32_t kShort = 3;
    std::uint32_t begin = r.begin;
    for (std::uint32_t i = r.begin; i < r.end; ++i) {
        bool ends = i + 1 == r.end;
        if (!ends) {
            const std::string_view gap = source.substr(words[i].end, words[i + 1].begin - words[i].end);
            const bool item = words[i + 1].starts_line &&
                              (words[i + 1].marker || gap.find_first_of(";.-*") != std::string_view::npos ||
                               std::ranges::count(gap, '\n') > 1);
            const bool inside = words[i + 1].marker && gap.find(';') != std::string_view::npos;
            ends = (item || inside) && i + 1 - begin >= kShort;
        }
        if (!ends) continue;
        while (begin < i && words[begin].marker) ++begin;
        out.push_back(slice(source, words, {begin, i + 1}, 300));
        begin = i + 1;
    }
    return out;
}

Clause answer_one(std::string_view source, std::span<const Word> words, const Template& t, const Alignment& a,
                  std::span<const Hunk> changes, Question q) {
    Clause c;
    c.question = q;
    const auto& fact = t.facts[static_cast<std::size_t>(q)];
    if (!fact) {
        c.answer = Answer::unclear;
        c.meaning = "This question was not looked into for this licence.";
        return c;
    }
    c.answer = fact->answer;
    c.meaning = fact->meaning;
    bool altered = false;
    for (const Range& r : fact->quotes) {
        const Range there = carried(a, r);
        if (there.begin == there.end) {
            altered = true;
            continue;
        }
        Quote quote = quote_of(source, words, there);
        const std::string& name = t.clause_names[t.clause_of[r.begin]];
        quote.place = name.starts_with('"') ? std::string() : name.substr(0, name.find(" \""));
        if (c.quotes.empty()) c.place = quote.place;
        c.quotes.push_back(std::move(quote));
        altered = altered || std::ranges::any_of(changes, [&](const Hunk& h) { return touches_range(h, r); });
    }
    if (q == Question::use_limits) {
        for (const Range& r : t.restrictions) {
            const Range there = carried(a, r);
            if (there.begin == there.end) continue;
            for (std::string& item : list_items(source, words, there)) c.items.push_back(std::move(item));
            altered = altered || std::ranges::any_of(changes, [&](const Hunk& h) { return touches_range(h, r); });
        }
    }
    if (altered) {
        c.answer = Answer::unclear;
        c.meaning = "The words that decide this were altered in this text. The original says: " + c.meaning;
    }
    return c;
}

}  // namespace

bool touches_range(const Hunk& h, const Range& r) noexcept {
    if (h.t0 == h.t1) return h.t0 > r.begin && h.t0 < r.end;
    return h.t0 < r.end && r.begin < h.t1;
}

std::vector<Clause> answer_clauses(std::string_view source, std::span<const Word> words, const Template& text,
                                   const Alignment& a, std::span<const Hunk> changes) {
    std::vector<Clause> out;
    for (std::size_t q = 0; q < kQuestions; ++q)
        out.push_back(answer_one(source, words, text, a, changes, static_cast<Question>(q)));
    // What was inserted elsewhere may speak about a question too.
    if (changes.empty()) return out;
    const std::vector<Id> ids = Library::get().number(words);
    for (const Hunk& h : changes) {
        for (const Worry& w : find_worries(source, words, ids, {h.f0, h.f1}))
            doubt(out[static_cast<std::size_t>(w.question)], w);
    }
    return out;
}

void doubt(Clause& clause, const Worry& rider) {
    if (clause.answer != Answer::unclear || clause.meaning.empty())
        clause.meaning =
            fmt::format("Added words speak about this: {} The licence itself says: {}", rider.meaning, clause.meaning);
    clause.answer = Answer::unclear;
    clause.quotes.push_back(rider.quote);
}

}  // namespace freehold::licence
