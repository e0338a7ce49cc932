// Which licence a text is: the texts themselves, other copies of them, reflowed, with other holders and headers; one
// clause removed, inverted or added; and bytes that are no licence.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <ostream>
#include <random>

#include "freehold/base/file.h"
#include "library.h"

namespace freehold::licence {
namespace {

namespace fs = std::filesystem;

std::string text_of(std::string_view id) {
    return read_text(fs::path(FREEHOLD_SOURCE_DIR) / "src/share/licence/texts" / fmt::format("{}.txt", id));
}

const Match* main_match(const TextReport& r) {
    for (const Match& m : r.matches)
        if (m.likeness == Likeness::exact || m.likeness == Likeness::altered) return &m;
    return nullptr;
}

std::string told(const TextReport& r) {
    std::string out;
    for (const Match& m : r.matches) {
        out += fmt::format("{} {} {:.4f} lines {}-{}\n", m.known != nullptr ? m.known->id : "?",
                           likeness_key(m.likeness), m.similarity, m.first_line, m.last_line);
        for (const Change& c : m.changes)
            out += fmt::format("   {} line {}: -[{}] +[{}]\n", c.clause, c.line, c.original, c.found);
    }
    for (const Match& m : r.nearest) out += fmt::format("nearest {} {:.4f}\n", m.known->id, m.similarity);
    for (const Worry& w : r.worries) out += fmt::format("worry line {}: {}\n", w.quote.first_line, w.quote.text);
    return out;
}

std::string id_of(std::string_view name) {
    for (const Known& k : known_licences())
        if (k.id == name || k.id == "LicenseRef-" + std::string(name)) return k.id;
    return "not known: " + std::string(name);
}

testing::AssertionResult is_exactly(const TextReport& r, std::string_view name) {
    const Match* m = main_match(r);
    if (m != nullptr && m->likeness == Likeness::exact && m->known->id == id_of(name))
        return testing::AssertionSuccess();
    return testing::AssertionFailure() << "not exactly " << name << ":\n" << told(r);
}

// Other line breaks, other blanks.
std::string reflowed(std::string_view text, std::size_t width) {
    std::string out;
    std::size_t column = 0;
    bool gap = false;
    for (const char c : text) {
        if (c == ' ' || c == '\n' || c == '\t' || c == '\r') {
            gap = true;
            continue;
        }
        if (gap) {
            const bool turn = column >= width;
            out += turn ? "\n" : " ";
            column = turn ? 0 : column + 1;
            gap = false;
        }
        out += c;
        ++column;
    }
    return out;
}

std::string commented(std::string_view text, std::string_view mark) {
    std::string out;
    std::size_t at = 0;
    while (at < text.size()) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        out += fmt::format("{} {}\n", mark, text.substr(at, end - at));
        at = end + 1;
    }
    return out;
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    if (at != std::string::npos) text.replace(at, from.size(), to);
    return text;
}

std::vector<std::string> all_names() {
    std::vector<std::string> out;
    for (const EmbeddedFile& f : embedded_files())
        if (f.name.starts_with("texts/")) out.emplace_back(f.name.substr(6, f.name.size() - 10));
    return out;
}

TEST(Licence, EveryTextIsItself) {
    const auto names = all_names();
    ASSERT_GE(names.size(), 80U);
    for (const std::string& name : names) EXPECT_TRUE(is_exactly(examine(text_of(name)), name));
}

TEST(Licence, EveryTextReflowedIsItself) {
    for (const std::string& name : all_names()) {
        EXPECT_TRUE(is_exactly(examine(reflowed(text_of(name), 40)), name));
        EXPECT_TRUE(is_exactly(examine(reflowed(text_of(name), 1U << 30)), name));
    }
}

TEST(Licence, EveryTextInCommentsIsItself) {
    for (const std::string& name : all_names()) EXPECT_TRUE(is_exactly(examine(commented(text_of(name), "#")), name));
}

TEST(Licence, OtherCopiesAreTheSame) {
    int seen = 0;
    for (const auto& entry : fs::directory_iterator(fs::path(FREEHOLD_TEST_DATA) / "licences/second")) {
        const std::string file = entry.path().filename().string();
        if (!file.ends_with(".txt")) continue;
        ++seen;
        const std::string name =
            file.substr(0, file.size() - std::string_view(".oi.txt").size() - (file.ends_with(".debian.txt") ? 4 : 0));
        EXPECT_TRUE(is_exactly(examine(read_text(entry.path())), name)) << file;
    }
    EXPECT_GE(seen, 20);
}

struct Alteration {
    const char* name;
    const char* from;
    const char* to;
    const char* clause;  // part of the clause's name
    Question touches;
};

void PrintTo(const Alteration& a, std::ostream* out) {
    *out << a.name << " " << a.clause;
}

class Altered : public testing::TestWithParam<Alteration> {};

TEST_P(Altered, IsNotTheOriginalAndTheClauseIsNamed) {
    const Alteration& a = GetParam();
    const TextReport r = examine(replaced(text_of(a.name), a.from, a.to));
    const Match* m = main_match(r);
    ASSERT_NE(m, nullptr) << told(r);
    EXPECT_EQ(m->likeness, Likeness::altered) << told(r);
    EXPECT_EQ(m->known->id, id_of(a.name)) << told(r);
    ASSERT_EQ(m->changes.size(), 1U) << told(r);
    EXPECT_NE(m->changes[0].clause.find(a.clause), std::string::npos) << m->changes[0].clause;
    EXPECT_TRUE(m->changes[0].operative) << told(r);
    EXPECT_NE(std::ranges::find(m->changes[0].touches, a.touches), m->changes[0].touches.end()) << told(r);
    EXPECT_EQ(m->clauses[static_cast<std::size_t>(a.touches)].answer, Answer::unclear);
}

INSTANTIATE_TEST_SUITE_P(
    Licence, Altered,
    testing::Values(
        Alteration{"MIT", "without restriction, including", "with restrictions, including",
                   "Permission is hereby granted", Question::commercial},
        Alteration{"BSD-2-Clause",
                   "Redistributions in binary form must reproduce the above copyright notice, this\n"
                   "list of conditions and the following disclaimer in the documentation and/or\n"
                   "other materials provided with the distribution.\n",
                   "", "Redistributions in binary form", Question::attribution},
        Alteration{"Apache-2.0", "royalty-free, irrevocable\n      copyright license",
                   "royalty-free, revocable\n      copyright license", "2", Question::changes},
        Alteration{"CC-BY-4.0", "Patent and trademark rights are not licensed under this",
                   "Patent and trademark rights are licensed under this", "Section 2.b", Question::patent},
        Alteration{"Llama-3.1", "greater than 700 million", "greater than 70 million", "2", Question::threshold},
        Alteration{
            "Llama-2",
            "            v. You will not use the Llama Materials or any output or results of the\nLlama Materials to "
            "improve any other large language model (excluding Llama 2 or\nderivative works thereof).\n",
            "", "1.b.v", Question::outputs},
        Alteration{"DeepSeek-1.0", "-\tFor military use in any way;\n", "", "Attachment", Question::use_limits},
        Alteration{"Gemma-2024-04-01", "Google reserves the right to restrict (remotely or otherwise)",
                   "Google does not reserve the right to restrict (remotely or otherwise)", "3.2", Question::changes},
        Alteration{"BSD-3-Clause", "may be\nused to endorse", "may not be\nused to endorse", "Neither the name",
                   Question::naming}));

// A revision of the policy that its maker did not date: one word less.
TEST(Licence, OneWordLessIsSeen) {
    const TextReport r =
        examine(read_text(fs::path(FREEHOLD_TEST_DATA) / "licences/second/Llama-4-use-policy.altered"));
    const Match* m = main_match(r);
    ASSERT_NE(m, nullptr);
    EXPECT_EQ(m->known->id, "LicenseRef-Llama-4-use-policy");
    EXPECT_EQ(m->likeness, Likeness::altered);
    ASSERT_EQ(m->changes.size(), 1U) << told(r);
    EXPECT_EQ(m->changes[0].kind, Change::Kind::removed);
    EXPECT_EQ(m->changes[0].line, 78U);
}

TEST(Licence, AnyParagraphThatIsRemovedIsMissed) {
    for (const char* name : {"MIT", "Apache-2.0", "CC-BY-NC-4.0", "Llama-3.3", "Gemma-2025-03-24",
                             "BigScience-OpenRAIL-M", "BSD-2-Clause", "GPL-3.0", "Mistral-MRL-0.1"}) {
        std::string text;  // a line of blanks ends a paragraph too
        for (const char c : text_of(name)) {
            while (c == '\n' && text.ends_with(' ')) text.pop_back();
            text += c;
        }
        const Template* t = nullptr;
        for (const Template& one : Library::get().templates())
            if (Library::get().known_of(one).id == id_of(name) && !one.notice) t = &one;
        ASSERT_NE(t, nullptr);
        const std::vector<Word> words = split_words(text);
        ASSERT_EQ(words.size(), t->words.size());
        std::size_t at = 0;
        int removed = 0;
        while (at < text.size()) {
            const std::size_t end = std::min(text.find("\n\n", at), text.size());
            // Paragraphs whose words are all free (a title, an appendix) may go.
            std::size_t bound = 0;
            for (std::size_t i = 0; i < t->words.size(); ++i)
                if (words[i].begin >= at && words[i].end <= end && !t->is_loose[i] && !t->words[i].marker &&
                    !t->words[i].notice && !t->words[i].url)
                    ++bound;
            if (bound > 0) {
                ++removed;
                const TextReport r = examine(text.substr(0, at) + text.substr(end));
                const Match* m = main_match(r);
                EXPECT_TRUE(m == nullptr || m->likeness == Likeness::altered || m->known->id != id_of(name))
                    << name << " without: " << text.substr(at, std::min<std::size_t>(end - at, 300)) << "\n"
                    << told(r);
            }
            at = end + 2;
        }
        EXPECT_GE(removed, 3) << name;
    }
}

TEST(Licence, RidersAreAddedTerms) {
    const TextReport r = examine(text_of("Apache-2.0") +
                                 "\n\nImportant notice\nThese components are governed by a custom license "
                                 "which prohibits:\nCommercial use without prior written consent\n");
    const Match* m = main_match(r);
    ASSERT_NE(m, nullptr);
    EXPECT_EQ(m->known->id, "Apache-2.0");
    EXPECT_EQ(m->likeness, Likeness::altered) << told(r);
    EXPECT_EQ(m->clauses[static_cast<std::size_t>(Question::commercial)].answer, Answer::unclear);
    EXPECT_FALSE(r.worries.empty());
}

TEST(Licence, HoldersAndHeadersAreFree) {
    const std::string mit =
        "My project\n==========\n\nThe MIT License (MIT)\n\nCopyright (c) 2019-2024 Jane Doe <jane@example.org>\n"
        "Copyright \u00a9 2020 Example S.A.\nAll rights reserved.\n\n" +
        text_of("MIT");
    EXPECT_TRUE(is_exactly(examine(mit), "MIT"));
    std::string bsd = replaced(text_of("BSD-3-Clause"), "the ORGANIZATION", "Google Inc.");
    bsd = replaced(bsd, "THE COPYRIGHT HOLDERS AND CONTRIBUTORS", "THE REGENTS AND CONTRIBUTORS");
    EXPECT_TRUE(is_exactly(examine(bsd), "BSD-3-Clause"));
    bsd = replaced(text_of("BSD-3-Clause"), "the ORGANIZATION", "Google, for commercial purposes only,");
    EXPECT_FALSE(is_exactly(examine(bsd), "BSD-3-Clause"));
    std::string apache =
        replaced(text_of("Apache-2.0"), "[yyyy] [name of copyright owner]", "2023 The Example Authors");
    EXPECT_TRUE(is_exactly(examine(apache), "Apache-2.0"));
}

TEST(Licence, SeveralInOneFile) {
    const TextReport r =
        examine("This work has two licences.\n\n" + text_of("MIT") + "\n---\n\n" + text_of("Apache-2.0"));
    ASSERT_EQ(r.matches.size(), 2U) << told(r);
    EXPECT_EQ(r.matches[0].known->id, "MIT");
    EXPECT_EQ(r.matches[1].known->id, "Apache-2.0");
    EXPECT_EQ(r.matches[0].likeness, Likeness::exact);
    EXPECT_EQ(r.matches[1].likeness, Likeness::exact);
}

TEST(Licence, ReferencesAreClaims) {
    const TextReport r = examine(
        "// SPDX-License-Identifier: MIT\nint main() {}\n/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-3-Clause "
        "*/\n");
    ASSERT_EQ(r.matches.size(), 2U);
    EXPECT_EQ(r.matches[0].likeness, Likeness::reference);
    EXPECT_EQ(r.matches[0].known, find_known("MIT"));
    EXPECT_EQ(r.matches[1].expression, "GPL-2.0-or-later OR BSD-3-Clause");
    EXPECT_EQ(r.matches[1].first_line, 3U);
}

TEST(Licence, UnknownTextsAreUnknown) {
    const TextReport r = examine(
        "ACME MODEL LICENSE\n\nYou are hereby granted a revocable license under this Agreement to use the Model for "
        "research purposes only. "
        "You may not use outputs of the Model to train other models. If you have more than 5 million monthly active "
        "users you must request a "
        "license. The Licensor gives no warranty. This Agreement is governed by the laws of Ruritania.\n");
    EXPECT_EQ(main_match(r), nullptr) << told(r);
    EXPECT_TRUE(r.unknown_terms);
    const auto has = [&](Question q) {
        return std::ranges::any_of(r.worries,
                                   [&](const Worry& w) { return w.question == q && w.quote.first_line == 3; });
    };
    EXPECT_TRUE(has(Question::commercial)) << told(r);
    EXPECT_TRUE(has(Question::outputs)) << told(r);
    EXPECT_TRUE(has(Question::threshold)) << told(r);
    EXPECT_TRUE(has(Question::termination)) << told(r);
    EXPECT_TRUE(has(Question::law)) << told(r);
}

TEST(Licence, ProseIsNoLicence) {
    const TextReport r = examine(
        "# A tokenizer\n\nThis repository holds the code of a tokenizer. Run make to build it, then run the tests.\n");
    EXPECT_TRUE(r.matches.empty());
    EXPECT_FALSE(r.unknown_terms);
    EXPECT_TRUE(r.worries.empty());
}

TEST(Licence, HostileBytes) {
    EXPECT_FALSE(examine(std::string("a\0b", 3)).unreadable.empty());
    EXPECT_FALSE(examine(std::string((4U << 20) + 1, 'a')).unreadable.empty());
    EXPECT_TRUE(examine("").matches.empty());
    EXPECT_TRUE(examine(std::string(1U << 20, 'a')).matches.empty());
    std::string repeated;
    while (repeated.size() < (1U << 20)) repeated += "permission is hereby granted free of charge ";
    EXPECT_EQ(main_match(examine(repeated)), nullptr);
    std::mt19937 random(7);
    std::string noise;
    for (int i = 0; i < 100000; ++i) noise += static_cast<char>(1 + random() % 255);
    EXPECT_EQ(main_match(examine(noise)), nullptr);
}

}  // namespace
}  // namespace freehold::licence
