// Words that nobody sees grant nothing; titles and addresses that bound a licence are added terms; and wordings that
// belong to a licence leave it what it is.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "freehold/base/file.h"
#include "freehold/licence/licence.h"
#include "hidden.h"

namespace freehold::licence {
namespace {

namespace fs = std::filesystem;

std::string text_of(std::string_view id) {
    return read_text(fs::path(FREEHOLD_SOURCE_DIR) / "src/share/licence/texts" / fmt::format("{}.txt", id));
}

std::string with(std::string text, std::string_view from, std::string_view to) {
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
}

std::string told(const TextReport& r) {
    std::string out;
    for (const Match& m : r.matches) {
        out += fmt::format("{} {}\n", m.known != nullptr ? m.known->id : "?", likeness_key(m.likeness));
        for (const Change& c : m.changes) out += fmt::format("   {}: -[{}] +[{}]\n", c.clause, c.original, c.found);
    }
    return out;
}

bool exact(const TextReport& r) {
    return std::ranges::any_of(r.matches, [](const Match& m) { return m.likeness == Likeness::exact; });
}

TEST(HiddenSpans, AreThoseThatAreNotSeen) {
    const auto left = [](std::string_view text) {
        std::string out;
        std::size_t from = 0;
        for (const HiddenSpan& s : hidden_spans(text)) {
            out += text.substr(from, s.begin - from);
            from = s.end;
        }
        return out + std::string(text.substr(from));
    };
    EXPECT_EQ(left("a <!-- b --> c"), "a  c");
    EXPECT_EQ(left("a <!-- b"), "a ");
    EXPECT_EQ(left("a ~~b~~ c"), "a  c");
    EXPECT_EQ(left("a <s>b</s> <DEL>c</DEL> d"), "a   d");
    EXPECT_EQ(left("a <span style=\"display: none\">b</span> c"), "a  c");
    EXPECT_EQ(left("<div hidden>b</div>c"), "c");
    for (const char* seen :
         {"Title\n~~~~~\n\ntext ~~~", "a ~~ b ~~ c", "a ~~b\n\nc~~", "<s>[INST] hi", "a < b > c", "<span>b</span>"})
        EXPECT_EQ(left(seen), seen);
}

TEST(HiddenWords, GrantNothingAndAlterTheText) {
    const std::string mit = text_of("MIT"), words = "sublicense, and/or sell";
    ASSERT_NE(mit.find(words), std::string::npos);
    for (const char* form :
         {"~~{}~~", "<s>{}</s>", "<del>{}</del>", "<!-- {} -->", "<i style=\"display:none\">{}</i>"}) {
        const TextReport r = examine(with(mit, words, fmt::format(fmt::runtime(form), words)));
        EXPECT_FALSE(exact(r)) << form << "\n" << told(r);
    }
    const TextReport hidden = examine("All rights reserved.\n\n<!--\n" + mit + "\n-->\n");
    EXPECT_FALSE(exact(hidden)) << told(hidden);
    EXPECT_TRUE(hidden.unknown_terms);
    EXPECT_FALSE(exact(examine(with(mit, "to use, copy", "to <!-- non-commercially --> use, copy"))));
    // A comment beside the text that says nothing of terms is none of this.
    EXPECT_TRUE(exact(examine("<!-- SPDX-License-Identifier: MIT -->\n\n" + mit)));
    EXPECT_TRUE(exact(examine("<!-- Copyright 2024 Acme -->\n\n" + mit)));
}

TEST(TitlesAndAddresses, ThatBoundALicenceAreAddedTerms) {
    const std::string mit = text_of("MIT");
    for (const char* title : {"For Academic Purposes", "Academic Edition", "Students and Teachers",
                              "Acme Enterprise Customers", "Research Preview", "Confidential"})
        EXPECT_FALSE(exact(examine(fmt::format("{}\n\nCopyright (c) 2024 Acme\n\n{}", title, mit)))) << title;
    for (const char* title : {"The MIT License (MIT)", "Small Model", "For Kineto software", "Acme Research"})
        EXPECT_TRUE(exact(examine(fmt::format("{}\n\nCopyright (c) 2024 Acme\n\n{}", title, mit)))) << title;
    for (const char* address :
         {"https://acme.example/non-commercial-terms", "See https://acme.example/eula for details.",
          "https://opensource.org/licenses/MIT https://acme.example/terms",
          "https://creativecommons.org/licenses/by-nc/4.0/"})
        EXPECT_FALSE(exact(examine(fmt::format("{}\n\n{}\n", mit, address)))) << address;
    EXPECT_FALSE(exact(examine(with(mit, "without restriction", "without restriction (https://acme.example/terms)"))));
    for (const char* address : {"https://opensource.org/licenses/MIT", "https://acme.example/small",
                                "https://github.com/acme/small/blob/main/LICENSE"})
        EXPECT_TRUE(exact(examine(fmt::format("{}\n\n{}\n", mit, address)))) << address;
}

TEST(ThreeClauses, InTheWordingsOfTheirHoldersAreExact) {
    const std::string bsd = text_of("BSD-3-Clause");
    const std::string clause = "Neither the name of the ORGANIZATION nor the names of its contributors";
    for (const char* wording : {"Neither the name of the NumPy Developers nor the names of any contributors",
                                "Neither the name Meta nor the names of its contributors",
                                "Neither the name of the copyright holder nor the names of its contributors"}) {
        const TextReport r = examine(with(bsd, clause, wording));
        ASSERT_FALSE(r.matches.empty());
        EXPECT_EQ(r.matches[0].known->id, "BSD-3-Clause");
        EXPECT_TRUE(exact(r)) << wording << "\n" << told(r);
    }
    const std::string head =
        "BSD License\n\nFor Kineto software\n\nCopyright (c) Meta Platforms, Inc. and affiliates.\n\nAll contributions "
        "by "
        "Microsoft:\nCopyright (c) Microsoft Corporation. (The Azure AI Platform team)\n\n";
    EXPECT_TRUE(exact(examine(head + bsd))) << told(examine(head + bsd));
    for (const char* wording : {"Neither the name of users nor the names of its contributors, unless they pay,",
                                "Either the name of the ORGANIZATION or the names of its contributors"})
        EXPECT_FALSE(exact(examine(with(bsd, clause, wording)))) << wording;
}

}  // namespace
}  // namespace freehold::licence
