// What a text is: candidates by shared anchors, the best one by alignment, differences sorted into those that SPDX
// allows and those that make another licence; then the same again for the words that are left.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "added.h"
#include "align.h"
#include "clauses.h"
#include "differences.h"
#include "library.h"
#include "words_scan.h"

namespace freehold::licence {
namespace {

constexpr double kAltered = 0.85;  // share of words in common above which a text is a known licence with changes
constexpr double kNearest = 0.5;   // ... and below which not even likeness is told
constexpr std::size_t kMatches = 16;
constexpr std::uint32_t kLeastWords = 12;

struct Candidate {
    const Template* text = nullptr;
    Alignment a;  // file places are of the whole file
    std::vector<Hunk> changes;
    double similarity = 0;
    double score = 0;
    [[nodiscard]] bool exact() const noexcept { return changes.empty(); }
};

// Changes that only a few equal words part are one change to a reader.
void join(std::vector<Hunk>& hunks) {
    constexpr std::uint32_t kApart = 3;
    std::vector<Hunk> out;
    for (const Hunk& h : hunks) {
        if (!out.empty() && h.t0 - out.back().t1 <= kApart && h.f0 - out.back().f1 <= kApart) {
            out.back().t1 = h.t1;
            out.back().f1 = h.f1;
        } else {
            out.push_back(h);
        }
    }
    hunks = std::move(out);
}

Candidate weigh(const File& file, const Template& t, Range where) {
    Candidate c;
    c.text = &t;
    c.a = align(t.ids, t.grams, std::span(file.ids).subspan(where.begin, where.end - where.begin));
    if (c.a.matched == 0) return c;
    c.a.f0 += where.begin;
    c.a.f1 += where.begin;
    for (std::uint32_t& p : c.a.partner)
        if (p != Alignment::kNone) p += where.begin;
    for (Hunk& h : c.a.hunks) {
        h.f0 += where.begin;
        h.f1 += where.begin;
    }
    settle(file, t, c.a);
    std::uint32_t allowed_words = 0, changed = 0;
    for (const Hunk& h : c.a.hunks) {
        const std::uint32_t size = (h.t1 - h.t0) + (h.f1 - h.f0);
        if (allowed(file, t, h)) {
            allowed_words += size;
        } else {
            changed += size;
            c.changes.push_back(h);
        }
    }
    addresses(file, t, c.a, c.changes);
    const std::size_t words_only = c.changes.size();
    punctuation(file, t, c.a, c.changes);
    changed += static_cast<std::uint32_t>(c.changes.size() - words_only);
    const double both = 2.0 * c.a.matched;
    c.similarity = both / (both + changed);
    // Nothing but the loose parts of a licence is no licence.
    if (c.a.matched * 2 < t.words.size() && allowed_words > c.a.matched) c.similarity /= 2;
    c.score = c.a.matched - 3.0 * changed;
    return c;
}

// Of two that explain about the same words, the one from which fewer edits lead here: a clause that is taken away is
// one edit, its sister without that clause differs in many places. Else the one that explains more.
bool closer(const Candidate& a, const Candidate& b) {
    const bool sisters = 4 * std::min(a.a.matched, b.a.matched) > 3 * std::max(a.a.matched, b.a.matched);
    if (sisters && a.changes.size() != b.changes.size()) return a.changes.size() < b.changes.size();
    return a.score > b.score;
}

std::vector<Candidate> candidates(const File& file, Range where) {
    constexpr std::size_t kTried = 8;
    const Library& library = Library::get();
    const auto hits = library.hits(std::span(file.ids).subspan(where.begin, where.end - where.begin));
    std::vector<std::pair<double, const Template*>> ranked;
    for (std::size_t i = 0; i < hits.size(); ++i) {
        const Template& t = library.templates()[i];
        const double share = t.grams.empty() ? 0 : static_cast<double>(hits[i]) / static_cast<double>(t.grams.size());
        // A licence whose loose parts are long may show a small share of its anchors.
        if (share >= 0.3 || (hits[i] >= 60 && share >= 0.15)) ranked.emplace_back(share, &t);
    }
    std::ranges::sort(ranked, [](const auto& a, const auto& b) { return a.first > b.first; });
    if (ranked.size() > kTried) ranked.resize(kTried);
    std::vector<Candidate> out;
    for (const auto& [share, t] : ranked) out.push_back(weigh(file, *t, where));
    return out;
}

Change describe(const File& file, const Candidate& c, const Hunk& h) {
    const Template& t = *c.text;
    Change out;
    const bool mark = h.f0 == h.f1 && h.t0 == h.t1;  // only a mark between two words
    out.kind = mark           ? Change::Kind::reworded
               : h.f0 == h.f1 ? Change::Kind::removed
               : h.t0 == h.t1 ? Change::Kind::added
                              : Change::Kind::reworded;
    const std::uint32_t last_word = static_cast<std::uint32_t>(t.words.size()) - 1;
    const std::uint32_t first_clause = t.clause_of[std::min(h.t0, last_word)];
    const std::uint32_t last_clause = t.clause_of[std::min(h.t1 > h.t0 ? h.t1 - 1 : h.t0, last_word)];
    out.clause = t.clause_names[first_clause];
    if (last_clause != first_clause) out.clause += " to " + t.clause_names[last_clause];
    // A few words alone tell nothing: they are shown with their neighbours.
    const std::uint32_t around = std::max(h.t1 - h.t0, h.f1 - h.f0) <= 5 ? 4 : 0;
    const Range ours{h.t0 - std::min(h.t0, around), std::min<std::uint32_t>(last_word + 1, h.t1 + around)};
    const Range theirs{std::max(c.a.f0, h.f0 - std::min(h.f0, around)), std::min(c.a.f1, h.f1 + around)};
    if (out.kind != Change::Kind::added || around > 0) out.original = slice(t.source, t.words, ours);
    if (out.kind != Change::Kind::removed || around > 0) out.found = slice(file.source, file.words, theirs);
    const std::uint32_t at = std::min<std::uint32_t>(h.f0, static_cast<std::uint32_t>(file.words.size()) - 1);
    out.line = file.words[at].line;
    out.operative = mark || std::max(h.t1 - h.t0, h.f1 - h.f0) >= 8;
    const auto carries = [](const Word& w) {
        return operative(w.text) || std::isdigit(static_cast<unsigned char>(w.text[0])) != 0;
    };
    for (std::uint32_t i = h.t0; i < h.t1; ++i) out.operative = out.operative || carries(t.words[i]);
    for (std::uint32_t i = h.f0; i < h.f1; ++i) out.operative = out.operative || carries(file.words[i]);
    const auto touch = [&](Question q) {
        if (std::ranges::find(out.touches, q) == out.touches.end()) out.touches.push_back(q);
    };
    for (std::size_t q = 0; q < kQuestions; ++q) {
        if (!t.facts[q]) continue;
        for (const Range& r : t.facts[q]->quotes)
            if (touches_range(h, r)) touch(static_cast<Question>(q));
    }
    for (const Range& r : t.restrictions)
        if (touches_range(h, r)) touch(Question::use_limits);
    for (const Worry& w : find_worries(file.source, file.words, file.ids, {h.f0, h.f1})) touch(w.question);
    std::ranges::sort(out.touches);
    out.operative = out.operative || !out.touches.empty();
    return out;
}

Match match_of(const File& file, Candidate c) {
    Match m;
    const Template& t = *c.text;
    m.known = &Library::get().known_of(t);
    m.likeness = t.notice ? Likeness::notice : c.exact() ? Likeness::exact : Likeness::altered;
    m.similarity = c.similarity;
    m.first_line = file.words[c.a.f0].line;
    m.last_line = file.words[c.a.f1 - 1].line;
    if (!t.notice && m.known->reviewed) m.clauses = answer_clauses(file.source, file.words, t, c.a, c.changes);
    join(c.changes);
    for (const Hunk& h : c.changes) m.changes.push_back(describe(file, c, h));
    return m;
}

// "SPDX-License-Identifier: MIT OR Apache-2.0" lines; words of the tag that stand in `where`.
void find_references(const File& file, TextReport& report) {
    constexpr std::string_view kTag = "SPDX-License-Identifier:";
    std::uint32_t line = 1;
    std::size_t counted = 0;
    for (std::size_t at = file.source.find(kTag); at != std::string_view::npos && report.matches.size() < 64;
         at = file.source.find(kTag, at + 1)) {
        line += static_cast<std::uint32_t>(std::count(file.source.begin() + static_cast<long>(counted),
                                                      file.source.begin() + static_cast<long>(at), '\n'));
        counted = at;
        const std::size_t begin = at + kTag.size();
        std::string words(file.source.substr(begin, std::min(file.source.find('\n', begin) - begin, std::size_t{200})));
        std::erase_if(words, [](char c) {
            return std::isalnum(static_cast<unsigned char>(c)) == 0 &&
                   std::string_view(" .-+()").find(c) == std::string_view::npos;
        });
        while (!words.empty() && (words.back() == ' ' || words.back() == '-')) words.pop_back();
        words.erase(0, words.find_first_not_of(' '));
        if (words.empty()) continue;
        Match m;
        m.likeness = Likeness::reference;
        m.expression = words;
        m.known = find_known(words);
        m.first_line = m.last_line = line;
        m.similarity = 1;
        report.matches.push_back(std::move(m));
    }
}

class Examiner {
 public:
    explicit Examiner(std::string_view source) : file_{source, split_words(source), {}} {
        file_.ids = Library::get().number(file_.words);
    }

    TextReport run() {
        const auto n = static_cast<std::uint32_t>(file_.words.size());
        report_.words = n;
        const std::size_t front = front_matter_end(file_.source);
        while (front_ < n && file_.words[front_].begin < front) ++front_;
        segment({front_, n});
        std::ranges::sort(report_.matches, {}, &Match::first_line);
        std::ranges::sort(outside_, {}, &Range::begin);
        for (const Range& r : outside_) report_.words_outside += r.end - r.begin;
        tell_added();
        tell_worries();
        find_references(file_, report_);
        return std::move(report_);
    }

 private:
    void segment(Range where) {
        if (where.begin >= where.end) return;
        if (where.end - where.begin < kLeastWords || report_.matches.size() >= kMatches) {
            outside_.push_back(where);
            return;
        }
        std::vector<Candidate> found = candidates(file_, where);
        std::erase_if(found, [](const Candidate& c) { return c.a.matched == 0; });
        auto best = found.end();
        for (auto it = found.begin(); it != found.end(); ++it) {
            const double need = it->text->notice ? 0.95 : kAltered;
            if (it->similarity < need) continue;
            if (best == found.end() || closer(*it, *best)) best = it;
        }
        if (best == found.end()) {
            outside_.push_back(where);
            for (Candidate& c : found) {
                if (c.similarity < kNearest || c.text->notice) continue;
                if (report_.nearest.empty() || report_.nearest.front().similarity < c.similarity) {
                    report_.nearest.assign(1, match_of(file_, std::move(c)));
                    report_.nearest.front().clauses.clear();
                }
            }
            return;
        }
        const Range region{best->a.f0, best->a.f1};
        report_.matches.push_back(match_of(file_, std::move(*best)));
        segment({where.begin, region.begin});
        segment({region.end, where.end});
    }

    // Sentences beside a licence that are not known to be harmless are riders to it, whatever they say.
    void tell_added() {
        std::vector<const Known*> here;
        for (const Match& m : report_.matches)
            if (m.known != nullptr) here.push_back(m.known);
        if (here.empty()) return;
        std::vector<Range> added = added_in_front_matter(file_, {0, front_});
        for (const Range& r : outside_)
            for (const Range& one : added_sentences(file_, r, here)) added.push_back(one);
        for (const Range& r : added) {
            Match* m = licence_at(file_.words[r.begin].line);
            if (m == nullptr) continue;
            Change& c = add_rider(*m, r);
            for (const Worry& w : find_worries(file_.source, file_.words, file_.ids, r)) {
                c.touches.push_back(w.question);
                if (!m->clauses.empty()) doubt(m->clauses[static_cast<std::size_t>(w.question)], w);
            }
            std::ranges::sort(c.touches);
            c.touches.erase(std::unique(c.touches.begin(), c.touches.end()), c.touches.end());
        }
    }

    // Words that belong to no licence: what worries there is a rider to the licence that stands before them.
    void tell_worries() {
        std::size_t legal = 0;
        for (const Range& r : outside_) {
            for (Worry& w : find_worries(file_.source, file_.words, file_.ids, r)) {
                ride(w, r);
                report_.worries.push_back(std::move(w));
            }
            for (std::uint32_t i = r.begin; i < r.end; ++i) legal += legal_word(file_.words[i].text) ? 1 : 0;
        }
        const bool has_text = std::ranges::any_of(report_.matches, [](const Match& m) {
            return m.likeness == Likeness::exact || m.likeness == Likeness::altered;
        });
        const bool many = report_.words_outside >= 60 && legal * 40 >= report_.words_outside;
        report_.unknown_terms = (!has_text && (!report_.worries.empty() || (legal >= 4 && many))) ||
                                (has_text && many && report_.words_outside > 200 && legal >= 12);
        if (has_text && !report_.unknown_terms) report_.nearest.clear();
    }

    // The licence that words in this line ride on: the last one that begins before, else the first.
    Match* licence_at(std::uint32_t line) {
        Match* before = nullptr;
        for (Match& m : report_.matches)
            if (m.known != nullptr && !m.known->policy && m.likeness != Likeness::notice &&
                (before == nullptr || m.first_line <= line))
                before = &m;
        return before;
    }

    Change& add_rider(Match& m, Range where) {
        m.likeness = Likeness::altered;
        Change c;
        c.kind = Change::Kind::added;
        c.line = file_.words[where.begin].line;
        c.clause = c.line < m.first_line ? "words before the licence" : "words after the licence";
        c.found = slice(file_.source, file_.words, where, 1000);
        c.operative = true;
        m.changes.push_back(std::move(c));
        return m.changes.back();
    }

    void ride(const Worry& w, Range where) {
        Match* m = licence_at(w.quote.first_line);
        if (m == nullptr) return;
        const auto said = std::ranges::find_if(m->changes, [&](const Change& c) {
            return c.kind == Change::Kind::added && std::ranges::find(c.touches, w.question) != c.touches.end();
        });
        if (said != m->changes.end()) return;
        add_rider(*m, where).touches = {w.question};
        if (!m->clauses.empty()) doubt(m->clauses[static_cast<std::size_t>(w.question)], w);
    }

    static bool legal_word(std::string_view w) {
        return w == "license" || w == "licensed" || w == "agreement" || w == "hereby" || w == "permission" ||
               w == "warranty" || w == "copyright" || w == "licensor" || w == "liable" || w == "terms" ||
               w == "restrictions" || w == "granted" || w == "prohibited" || w == "redistribution";
    }

    File file_;
    std::uint32_t front_ = 0;  // words of front matter before the text
    TextReport report_;
    std::vector<Range> outside_;
};

}  // namespace

TextReport examine(std::string_view text) {
    TextReport report;
    report.unreadable = not_a_text(text);
    if (!report.unreadable.empty()) return report;
    return Examiner(text).run();
}

}  // namespace freehold::licence
