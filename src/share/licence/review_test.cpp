// A whole model: licence files against what the card and the metadata claim, the duties that can be seen, the needs.
#include "freehold/licence/review.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "freehold/base/error.h"
#include "freehold/base/file.h"

namespace freehold::licence {
namespace {

namespace fs = std::filesystem;

std::string text_of(std::string_view id) {
    return read_text(fs::path(FREEHOLD_SOURCE_DIR) / "src/share/licence/texts" / fmt::format("{}.txt", id));
}

class LicenceReview : public testing::Test {
 protected:
    void SetUp() override {
        folder_ = fs::temp_directory_path() / fmt::format("freehold-licence-{}", ::getpid());
        fs::create_directories(folder_);
    }
    void TearDown() override { fs::remove_all(folder_); }

    void put(const std::string& name, std::string_view text) {
        fs::create_directories((folder_ / name).parent_path());
        write_text_atomic(folder_ / name, text);
    }
    [[nodiscard]] Review look() const { return review(subject_of_path(folder_)); }

    static bool has(const Review& r, std::string_view key) {
        return std::ranges::any_of(r.findings, [&](const Finding& f) { return f.key == key; });
    }
    static std::string told(const Review& r) {
        std::string out;
        for (const Finding& f : r.findings) out += fmt::format("{} {} [{}]\n", f.key, f.message, f.where);
        return out;
    }
    static Judgement one(const Review& r, const std::string& need, bool trust = false) {
        const std::vector<std::string> needs = {need};
        return judge(r, needs, trust).at(0);
    }

    fs::path folder_;
};

TEST_F(LicenceReview, FewWordsInALicenceFileAreTermsToo) {
    for (const char* words :
         {"All rights reserved.", "For academic use.",
          "The model weights are proprietary to Acme and may be used by Acme customers under a signed agreement only.",
          "Use of the weights is limited to academic institutions. Companies need a contract with Acme."}) {
        for (const char* name : {"LICENSE-MODEL", "MODEL_LICENSE.txt", "TERMS.txt", "EULA.txt", "USE_POLICY.md"}) {
            put("LICENSE", text_of("Apache-2.0"));
            put("README.md", "---\nlicense: apache-2.0\n---\n# A model\n");
            put(name, words);
            const Review r = look();
            EXPECT_EQ(one(r, "commercial").verdict, Verdict::ask) << name << ": " << words;
            EXPECT_NE(told(r).find(std::string("terms-unknown ") + name), std::string::npos) << told(r);
            std::filesystem::remove(folder_ / name);
        }
        put("LICENSE", words);
        EXPECT_EQ(one(look(), "commercial", true).verdict, Verdict::ask) << words;
    }
    // Where a notice says whose work it is, nothing is added to the licence.
    put("LICENSE", text_of("Apache-2.0"));
    put("NOTICE", "Acme Models\nCopyright 2025 Acme\n");
    EXPECT_EQ(one(look(), "commercial").verdict, Verdict::yes);
}

TEST_F(LicenceReview, TextAndCardAgree) {
    put("LICENSE", text_of("Apache-2.0"));
    put("README.md", "---\nlicense: apache-2.0\ntags:\n- text\n---\n# A model\n");
    const Review r = look();
    ASSERT_EQ(r.licences().size(), 1U);
    ASSERT_EQ(r.claims.size(), 1U);
    EXPECT_EQ(r.claims[0].line, 2U);
    EXPECT_TRUE(r.findings.empty()) << told(r);
    EXPECT_EQ(one(r, "commercial").verdict, Verdict::yes);
    EXPECT_EQ(one(r, "train-others").verdict, Verdict::yes);
    EXPECT_EQ(one(r, "patents").verdict, Verdict::yes);
    EXPECT_EQ(one(r, "no-attribution").verdict, Verdict::no);
    const Judgement j = one(r, "redistribute");
    EXPECT_EQ(j.verdict, Verdict::yes);
    ASSERT_FALSE(j.quotes.empty());
    EXPECT_GT(j.quotes[0].first_line, 1U);
    EXPECT_NE(j.quotes[0].text.find("You may reproduce and distribute copies"), std::string::npos);
}

TEST_F(LicenceReview, CardContradictsText) {
    put("LICENSE", text_of("Llama-3.1"));
    put("README.md", "---\nlicense: mit\n---\n");
    const Review r = look();
    EXPECT_TRUE(has(r, "claim-contradicts-text")) << told(r);
    EXPECT_TRUE(has(r, "duty-card-says"));
    EXPECT_TRUE(has(r, "duty-notice-says"));
    EXPECT_TRUE(has(r, "duty-policy-text"));
    EXPECT_EQ(one(r, "no-naming").verdict, Verdict::no);
    EXPECT_EQ(one(r, "no-threshold").verdict, Verdict::no);
    EXPECT_EQ(one(r, "modify").verdict, Verdict::ask) << "a contradiction is for counsel";
}

TEST_F(LicenceReview, DutiesThatAreMet) {
    put("LICENSE", text_of("Llama-3.1"));
    put("USE_POLICY.md", text_of("Llama-3.1-use-policy"));
    put("NOTICE",
        "Llama 3.1 is licensed under the Llama 3.1 Community License, Copyright (c) Meta Platforms, Inc. All Rights "
        "Reserved.\n");
    put("README.md",
        "---\nlicense: llama3.1\nbase_model: meta-llama/Llama-3.1-8B\nmodel_name: Llama-Doctor\n---\nBuilt with "
        "Llama.\n");
    const Review r = look();
    EXPECT_TRUE(r.findings.empty()) << told(r);
    EXPECT_EQ(one(r, "no-use-limits").verdict, Verdict::no);
}

TEST_F(LicenceReview, BaseModelsBind) {
    put("LICENSE", text_of("MIT"));
    put("README.md", "---\nlicense: mit\nbase_model:\n  - meta-llama/Llama-3.2-1B\n---\n");
    EXPECT_TRUE(has(look(), "base-terms-missing")) << told(look());
}

TEST_F(LicenceReview, ClaimsAlone) {
    put("README.md", "---\nlicense: apache-2.0\n---\n");
    const Review r = look();
    EXPECT_TRUE(has(r, "claim-without-text"));
    EXPECT_EQ(one(r, "commercial").verdict, Verdict::ask);
    EXPECT_EQ(one(r, "commercial", true).verdict, Verdict::yes);
    put("README.md", "---\nlicense: cc-by-nc-4.0\n---\n");
    EXPECT_EQ(one(look(), "commercial", true).verdict, Verdict::no);
    put("README.md", "---\nlicense: other\nlicense_name: acme-1\n---\n");
    EXPECT_TRUE(has(look(), "claim-unknown"));
    EXPECT_EQ(one(look(), "commercial", true).verdict, Verdict::ask);
}

TEST_F(LicenceReview, NothingAtAll) {
    put("README.md", "# A model\n");
    EXPECT_TRUE(has(look(), "no-licence"));
    EXPECT_EQ(one(look(), "commercial").verdict, Verdict::ask);
}

TEST_F(LicenceReview, AlteredTextsAreNeverAYes) {
    std::string text = text_of("MIT");
    text.replace(text.find("shall be\nincluded"), 8, "need not be");
    put("LICENSE", text);
    const Review r = look();
    EXPECT_TRUE(has(r, "text-altered"));
    EXPECT_EQ(one(r, "commercial").verdict, Verdict::ask);
}

TEST_F(LicenceReview, UnknownTermsAreForCounsel) {
    put("LICENSE", text_of("MIT") + "\n");
    put("LICENSES/OTHER.txt",
        "ACME AGREEMENT. You are hereby granted a license for research purposes only under the terms of this "
        "Agreement.\n");
    const Judgement j = one(look(), "commercial");
    EXPECT_EQ(j.verdict, Verdict::ask);
    ASSERT_EQ(j.quotes.size(), 1U);
}

TEST_F(LicenceReview, TheStrictestOfSeveralDecides) {
    put("LICENSE", text_of("MIT"));
    put("LICENSE-weights.txt", text_of("CC-BY-NC-4.0"));
    const Review r = look();
    EXPECT_TRUE(has(r, "several-licences"));
    EXPECT_EQ(one(r, "commercial").verdict, Verdict::no);
}

TEST_F(LicenceReview, NeedsThatAreNotKnown) {
    put("LICENSE", text_of("MIT"));
    EXPECT_THROW((void)one(look(), "world-peace"), Error);
    EXPECT_THROW((void)subject_of_path(folder_ / "nowhere"), Error);
}

// The answers of the table, one row for each licence: commercial, modify, redistribute, outputs, use limits, naming,
// threshold; y n c (conditional) - (silent).
struct Row {
    const char* name;
    const char* answers;
};
TEST(LicenceTable, AnswersAreThoseOfTheReview) {
    constexpr std::array kRows = {
        Row{"MIT", "yyy-nnn"},
        Row{"Apache-2.0", "yyy-nnn"},
        Row{"BSD-3-Clause", "yyy-nnn"},
        Row{"Llama-2", "cycnyny"},
        Row{"Llama-3", "cycnyyy"},
        Row{"Llama-3.1", "cyccyyy"},
        Row{"Llama-3.2", "cyccyyy"},
        Row{"Llama-3.3", "cyccyyy"},
        Row{"Llama-4", "cyccyyy"},
        Row{"Gemma-2024-04-01", "yyccynn"},
        Row{"OPT-175B", "ncccynn"},
        Row{"LLaMA-1", "ncccynn"},
        Row{"BigScience-OpenRAIL-M", "yyccynn"},
        Row{"BigScience-BLOOM-RAIL-1.0", "yyccynn"},
        Row{"BigCode-OpenRAIL-M-1.0", "yyccynn"},
        Row{"CreativeML-OpenRAIL-M", "yyccynn"},
        Row{"DeepSeek-1.0", "yyccynn"},
        Row{"Falcon-2-11B", "yyccyyn"},
        Row{"Stability-Community-2024", "cycnyyy"},
        Row{"Tongyi-Qianwen-2023", "cycncny"},
        Row{"Qwen-2024", "cyccCyy"},
        Row{"Mistral-MNPL-0.1", "nccyynn"},
        Row{"Mistral-MRL-0.1", "ncccynn"},
        Row{"OpenMDW-1.0", "yyyynnn"},
        Row{"CC-BY-4.0", "yyycnnn"},
        Row{"CC-BY-SA-4.0", "yyycnnn"},
        Row{"CC-BY-NC-4.0", "ncccynn"},
        Row{"CC-BY-ND-4.0", "ycccnnn"},
        Row{"CDLA-Permissive-2.0", "yyyynnn"},
        Row{"ODbL-1.0", "yyccnnn"},
    };
    constexpr std::array kAsked = {Question::commercial, Question::modify, Question::redistribute, Question::outputs,
                                   Question::use_limits, Question::naming, Question::threshold};
    for (const Row& row : kRows) {
        const TextReport r = examine(text_of(row.name));
        ASSERT_FALSE(r.matches.empty()) << row.name;
        const Match& m = r.matches.front();
        ASSERT_EQ(m.clauses.size(), kQuestions) << row.name;
        for (std::size_t i = 0; i < kAsked.size(); ++i) {
            const Clause& c = m.clauses[static_cast<std::size_t>(kAsked[i])];
            const char letter = c.answer == Answer::silent ? '-' : *answer_key(c.answer);
            EXPECT_EQ(letter, row.answers[i] == 'C' ? 'c' : row.answers[i])
                << row.name << " " << question_key(kAsked[i]);
        }
    }
}

// Where an answer is more than silence, the words of the text are shown; the lists of forbidden uses are complete.
TEST(LicenceTable, QuotesAreInTheText) {
    for (const Known& k : known_licences()) {
        if (!k.reviewed) continue;
        const std::string name = k.id.starts_with("LicenseRef-") ? k.id.substr(11) : k.id;
        const TextReport r = examine(text_of(name));
        const Match& m = r.matches.front();
        for (const Clause& c : m.clauses) {
            EXPECT_NE(c.answer, Answer::unclear) << name << " " << question_key(c.question);
            const bool grant = c.question == Question::commercial || c.question == Question::modify ||
                               c.question == Question::redistribute;
            if (grant || (c.answer == Answer::yes && c.question != Question::outputs)) {
                EXPECT_FALSE(c.quotes.empty()) << name << " " << question_key(c.question);
            }
            for (const Quote& q : c.quotes) EXPECT_GE(q.text.size(), 8U) << name << " " << q.text;
        }
    }
    const auto items = [](std::string_view name) {
        return examine(text_of(name))
            .matches.front()
            .clauses[static_cast<std::size_t>(Question::use_limits)]
            .items.size();
    };
    EXPECT_EQ(items("BigScience-OpenRAIL-M"), 13U);
    EXPECT_EQ(items("BigCode-OpenRAIL-M-1.0"), 14U);
    EXPECT_EQ(items("DeepSeek-1.0"), 11U);
    EXPECT_EQ(items("BigScience-BLOOM-RAIL-1.0"), 13U);
    EXPECT_EQ(items("CreativeML-OpenRAIL-M"), 11U);
}

// One truth: what the store tells before a download is what the text says.
TEST(LicenceTable, CategoriesAgreeWithClauses) {
    for (const Known& k : known_licences()) {
        if (!k.reviewed || k.tags.empty()) continue;
        const std::string name = k.id.starts_with("LicenseRef-") ? k.id.substr(11) : k.id;
        const Match m = examine(text_of(name)).matches.front();
        const auto answer = [&](Question q) { return m.clauses[static_cast<std::size_t>(q)].answer; };
        const LicenceCategory expected = answer(Question::commercial) == Answer::no ? LicenceCategory::non_commercial
                                         : answer(Question::use_limits) != Answer::no ||
                                                 answer(Question::threshold) == Answer::yes ||
                                                 answer(Question::modify) != Answer::yes
                                             ? LicenceCategory::custom
                                         : answer(Question::share_alike) == Answer::yes ? LicenceCategory::copyleft
                                                                                        : LicenceCategory::permissive;
        for (const std::string& tag : k.tags)
            EXPECT_EQ(licence_category_name(classify_licence(tag).category),
                      std::string(licence_category_name(expected)))
                << tag;
    }
}

}  // namespace
}  // namespace freehold::licence
