// Every clause of every known text, taken away or turned into its opposite one at a time: never the original, and the
// clause is named. The few cases in which what is left is another known licence are listed.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <set>
#include <stdexcept>

#include "library.h"

namespace freehold::licence {
namespace {

const Match* main_match(const TextReport& r) {
    for (const Match& m : r.matches)
        if (m.likeness == Likeness::exact || m.likeness == Likeness::altered) return &m;
    return nullptr;
}

std::string told(const TextReport& r) {
    std::string out;
    for (const Match& m : r.matches) {
        out += fmt::format("  {} {} {:.4f}\n", m.known != nullptr ? m.known->id : "?", likeness_key(m.likeness),
                           m.similarity);
        for (const Change& c : m.changes)
            out += fmt::format("     {}: -[{}] +[{}]\n", c.clause, c.original.substr(0, 120), c.found.substr(0, 120));
    }
    return out;
}

struct Piece {
    std::string name;
    std::uint32_t begin = 0, end = 0;  // words
    bool bound = false;                // has words that may not be replaced or left out
};

std::vector<Piece> pieces_of(const Template& t) {
    std::vector<Piece> out;
    for (std::uint32_t i = 0; i < t.words.size(); ++i) {
        if (i == 0 || t.clause_of[i] != t.clause_of[i - 1])
            out.push_back({t.clause_names[t.clause_of[i]], i, i, false});
        out.back().end = i + 1;
        const Word& w = t.words[i];
        out.back().bound = out.back().bound || (!t.is_loose[i] && !w.marker && !w.notice && !w.url);
    }
    return out;
}

class Every : public testing::TestWithParam<std::string> {};

const Template& text_named(const std::string& id) {
    for (const Template& t : Library::get().templates())
        if (!t.notice && Library::get().known_of(t).id == id) return t;
    throw std::runtime_error(id);
}

// The clause of a change is told from its first to its last word.
bool names(const Change& c, const std::string& clause) {
    return c.clause == clause || c.clause.starts_with(clause + " to ") || c.clause.ends_with(" to " + clause);
}

testing::AssertionResult found(const Template& t, const TextReport& r, const Piece& piece) {
    const Known& known = Library::get().known_of(t);
    const Match* m = main_match(r);
    // Nothing is called a licence of which too little is left.
    const double share = static_cast<double>(piece.end - piece.begin) / static_cast<double>(t.words.size());
    if (m == nullptr) {
        if (share > 0.1) return testing::AssertionSuccess();
        return testing::AssertionFailure() << known.id << " is not recognised without " << piece.name << "\n"
                                           << told(r);
    }
    if (m->likeness == Likeness::exact) {
        // What is left of BSD-3-Clause without its third clause is BSD-2-Clause, and so on.
        static const std::set<std::pair<std::string, std::string>> kInside = {
            {"BSD-3-Clause", "BSD-2-Clause"},
            {"BSD-3-Clause-Clear", "BSD-3-Clause"},
            {"MIT", "MIT-0"},
            {"LicenseRef-Kimi-K2-modified-MIT", "MIT"}};
        if (kInside.contains({known.id, m->known->id})) return testing::AssertionSuccess();
        return testing::AssertionFailure() << known.id << " is " << m->known->id << " without " << piece.name;
    }
    // A change can make it more like its sister than like itself, when it is the clause in which they differ.
    if (m->known != &known) {
        if (m->changes.size() <= 2) return testing::AssertionSuccess();
        return testing::AssertionFailure() << known.id << " became " << m->known->id << "\n" << told(r);
    }
    for (const Change& c : m->changes)
        if (names(c, piece.name)) return testing::AssertionSuccess();
    return testing::AssertionFailure() << known.id << ": the change in [" << piece.name << "] is told as\n" << told(r);
}

TEST_P(Every, ClauseThatIsTakenAwayIsNamed) {
    const Template& t = text_named(GetParam());
    int tried = 0, failed = 0;
    for (const Piece& piece : pieces_of(t)) {
        if (!piece.bound) continue;
        ++tried;
        const std::string text =
            t.source.substr(0, t.words[piece.begin].begin) + t.source.substr(t.words[piece.end - 1].end);
        const auto result = found(t, examine(text), piece);
        if (!result && ++failed <= 5) ADD_FAILURE() << "removed: " << result.message();
    }
    EXPECT_GT(tried, 0);
    EXPECT_EQ(failed, 0) << "of " << tried;
}

TEST_P(Every, ClauseThatIsTurnedAroundIsNamed) {
    const Template& t = text_named(GetParam());
    static const std::set<std::string> kVerbs = {"may", "shall", "must",  "will",   "can",
                                                 "is",  "are",   "agree", "grants", "permitted"};
    int failed = 0, tried = 0;
    for (const Piece& piece : pieces_of(t)) {
        for (std::uint32_t i = piece.begin; i + 1 < piece.end; ++i) {
            if (!kVerbs.contains(t.words[i].text) || t.is_loose[i] || t.is_loose[i + 1]) continue;
            const bool denied = t.words[i + 1].text == "not";
            const std::string text =
                denied ? t.source.substr(0, t.words[i].end) + t.source.substr(t.words[i + 1].end)
                       : t.source.substr(0, t.words[i].end) + " not" + t.source.substr(t.words[i].end);
            ++tried;
            const auto result = found(t, examine(text), {piece.name, i, i + 1, true});
            if (!result && ++failed <= 5)
                ADD_FAILURE() << "turned at \"" << t.source.substr(t.words[i].begin, 60) << "\": " << result.message();
            break;
        }
    }
    EXPECT_EQ(failed, 0) << "of " << tried;
}

// A full stop where a sentence went on, and the other way round.
TEST_P(Every, SentenceThatIsCutOrJoinedIsNamed) {
    const Template& t = text_named(GetParam());
    int failed = 0, tried = 0;
    for (const Piece& piece : pieces_of(t)) {
        for (std::uint32_t i = piece.begin; i + 1 < piece.end; ++i) {
            const std::string_view gap =
                std::string_view(t.source).substr(t.words[i].end, t.words[i + 1].begin - t.words[i].end);
            const bool plain = std::ranges::none_of(std::array{i, i + 1}, [&](std::uint32_t k) {
                return t.is_loose[k] || t.words[k].marker || t.words[k].notice || t.words[k].url;
            });
            const char next = t.source[t.words[i + 1].begin];
            if (!plain || gap != ". " || next < 'A' || next > 'Z') continue;
            ++tried;
            const std::string text = t.source.substr(0, t.words[i].end) + " " + t.source.substr(t.words[i + 1].begin);
            const auto result = found(t, examine(text), {piece.name, i, i + 1, true});
            if (!result && ++failed <= 5) ADD_FAILURE() << "joined: " << result.message();
            break;
        }
    }
    EXPECT_EQ(failed, 0) << "of " << tried;
}

std::vector<std::string> all_texts() {
    std::vector<std::string> out;
    for (const Known& known : known_licences()) out.push_back(known.id);
    return out;
}

std::string name_of(const testing::TestParamInfo<std::string>& info) {
    std::string out = info.param;
    for (char& c : out)
        if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
    return out;
}

INSTANTIATE_TEST_SUITE_P(Licences, Every, testing::ValuesIn(all_texts()), name_of);

}  // namespace
}  // namespace freehold::licence
