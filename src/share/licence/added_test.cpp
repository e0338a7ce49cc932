// Words beside a licence: boilerplate leaves it what it is, any other sentence is a rider that no yes survives.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "freehold/base/file.h"
#include "freehold/licence/review.h"

namespace freehold::licence {
namespace {

namespace fs = std::filesystem;
// A folder that is gone when the test is over.
class Scratch {
 public:
    Scratch() : path_(fs::temp_directory_path() / fmt::format("freehold-riders-{}-{}", ::getpid(), ++made_)) {
        fs::create_directories(path_);
    }
    ~Scratch() { fs::remove_all(path_); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    [[nodiscard]] const fs::path& path() const { return path_; }
    [[nodiscard]] fs::path operator/(const std::string& name) const { return path_ / name; }

 private:
    static inline int made_ = 0;
    fs::path path_;
};

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
        out += fmt::format("{} {}\n", m.known != nullptr ? m.known->id : "?", likeness_key(m.likeness));
        for (const Change& c : m.changes)
            out += fmt::format("   {} line {}: -[{}] +[{}]\n", c.clause, c.line, c.original, c.found);
    }
    return out;
}

Verdict need(const Review& r, const std::string& name) {
    const std::vector<std::string> needs = {name};
    return judge(r, needs).at(0).verdict;
}

struct Rider {
    const char* licence;
    const char* before;
    const char* after;
};

constexpr Rider kRiders[] = {
    {"MIT", "", "Acme may revoke these rights at any time by written notice."},
    {"MIT", "", "Users in the healthcare sector must obtain written consent from Acme before use."},
    {"MIT", "", "Model outputs belong to Acme."},
    {"MIT", "", "Das Modell darf nicht kommerziell genutzt werden."},
    {"MIT", "", "The moon is made of cheese, says Acme."},
    {"MIT", "This file describes a licence that Acme considered and rejected. The model is proprietary.", ""},
    {"MIT", "Valid until 31 December 2024.", ""},
    {"MIT", "Licensor: Acme. Licensee: University of Vienna, exclusively.", ""},
    {"MIT", "The following licence applies to the tokenizer alone:", ""},
    {"MIT", "Copyright (c) 2024 Acme Corp. Commercial use requires a paid licence from Acme.", ""},
    {"MIT", "Copyright (c) 2024 Acme Corp. and companies pay 10000 EUR yearly", ""},
    {"MIT", "This project is licensed under the GPL License.", ""},
    {"Apache-2.0", "", "Additional terms: the weights are excluded from this license."},
    {"Apache-2.0", "", "This licence covers the code only. The weights are under the Acme Model Terms."},
    {"Apache-2.0", "", "Licensee pays a fee of 5 percent of turnover."},
    {"Apache-2.0", "This model may only be used in the territory of Austria.", ""},
    {"CC0-1.0", "", "Not valid for persons in Austria."},
    {"OpenMDW-1.0", "", "Employees of competitors are excluded."},
    {"BSD-3-Clause", "",
     "You acknowledge that this software is not designed or licensed for the design of any nuclear facility."},
    {"Llama-3.1", "", "8. Monitoring. Licensee reports its users to Meta each quarter."},
};

TEST(LicenceRiders, AnySentenceBesideALicenceIsAddedTermsAndNoYesSurvives) {
    for (const Rider& rider : kRiders) {
        std::string text = text_of(rider.licence);
        if (*rider.before != '\0') text = fmt::format("{}\n\n{}", rider.before, text);
        if (*rider.after != '\0') text += fmt::format("\n\n{}\n", rider.after);
        const TextReport r = examine(text);
        const Match* m = main_match(r);
        ASSERT_NE(m, nullptr) << rider.before << rider.after;
        EXPECT_EQ(m->likeness, Likeness::altered) << rider.before << rider.after << "\n" << told(r);
        ASSERT_FALSE(m->changes.empty()) << told(r);
        const Scratch scratch;
        write_text_atomic(scratch / "LICENSE", text);
        const Review review = licence::review(subject_of_path(scratch.path()));
        for (const Need& n : all_needs())
            EXPECT_NE(need(review, n.name), Verdict::yes) << n.name << ": " << rider.before << rider.after;
    }
}

TEST(LicenceRiders, WhatEverybodyPutsThereIsNone) {
    const std::string mit = text_of("MIT"), apache = text_of("Apache-2.0"), bsd = text_of("BSD-3-Clause");
    for (const std::string& text :
         {"MIT License\n\nCopyright (c) 2020 Jane Doe\n\n" + mit,
          "The MIT License (MIT)\nCopyright (c) 2018-2024, Acme Research Limited and contributors. All rights "
          "reserved.\n\n" +
              mit,
          "# Small Model\n\nSPDX-License-Identifier: MIT\n\nCopyright 2016-present The Example Authors\n\n" + mit,
          "This project is licensed under the MIT License.\n\n" + mit, "https://opensource.org/licenses/MIT\n\n" + mit,
          "Copyright 2018- The Hugging Face team. All rights reserved.\n\n" + apache,
          "Copyright (C) 1999 The Regents of the University of California.\nAll rights reserved.\n\n" + bsd}) {
        const TextReport r = examine(text);
        const Match* m = main_match(r);
        ASSERT_NE(m, nullptr) << text.substr(0, 200);
        EXPECT_EQ(m->likeness, Likeness::exact) << text.substr(0, 200) << "\n" << told(r);
    }
}

TEST(LicenceRiders, ReferencesBetweenClausesAndAddressesOfOthersCount) {
    std::string gemma = text_of("Gemma-2024-04-01");
    const std::string from = "2.1, 3.3, 4.2 to";
    const std::size_t at = gemma.find(from);
    ASSERT_NE(at, std::string::npos);
    gemma.replace(at, from.size(), "2.1, 4.2 to");
    const TextReport r = examine(gemma);
    ASSERT_NE(main_match(r), nullptr);
    EXPECT_EQ(main_match(r)->likeness, Likeness::altered) << told(r);
    std::string llama = text_of("Llama-3");
    const std::string address = "https://llama.meta.com/llama3/use-policy";
    const std::size_t policy = llama.find(address);
    ASSERT_NE(policy, std::string::npos);
    llama.replace(policy, address.size(), "https://evil.example/policy");
    EXPECT_EQ(main_match(examine(llama))->likeness, Likeness::altered);
}

// The texts as other projects and their publishers hand them out, front matter and appended policies too.
TEST(LicenceRiders, TheTextsOfOthersAreIdentifiedAsTheyLie) {
    const char* shared = std::getenv("FREEHOLD_SHARED_DATA");
    const fs::path folder = shared != nullptr ? fs::path(shared) / "licences" : fs::path();
    if (shared == nullptr || !fs::exists(folder / "scancode"))
        GTEST_SKIP() << "FREEHOLD_SHARED_DATA does not name a folder with licences/scancode.";
    int seen = 0;
    for (const fs::path& part : {folder, folder / "scancode"}) {
        for (const auto& entry : fs::directory_iterator(part)) {
            const std::string name = entry.path().filename().string();
            if (!entry.is_regular_file() || name == "PROVENANCE.md") continue;
            ++seen;
            const TextReport r = examine(read_text(entry.path()));
            ASSERT_FALSE(r.matches.empty()) << name;
            for (const Match& m : r.matches) EXPECT_NE(m.likeness, Likeness::altered) << name << "\n" << told(r);
        }
    }
    EXPECT_GE(seen, 48);
}

TEST(LicenceRiders, QuotesNameTheirOwnClauses) {
    const auto quote = [](std::string_view id, Question q, std::string_view words) -> std::string {
        const TextReport r = examine(text_of(id));
        for (const Quote& one : main_match(r)->clauses[static_cast<std::size_t>(q)].quotes)
            if (one.text.find(words) != std::string::npos) return one.place;
        return "no such quote";
    };
    EXPECT_EQ(quote("OPT-175B", Question::termination, "We may terminate"), "7.b");
    EXPECT_EQ(quote("Apache-2.0", Question::modify, "You must cause any modified files"), "4.b");
    EXPECT_EQ(quote("Llama-2", Question::termination, "any licenses granted to you"), "5.c");
}

class Beside : public ::testing::Test {
 protected:
    void put(const std::string& name, std::string_view text) {
        fs::create_directories((scratch_ / name).parent_path());
        write_text_atomic(scratch_ / name, text);
    }
    [[nodiscard]] Review look() const { return review(subject_of_path(scratch_.path())); }
    static bool has(const Review& r, std::string_view key) {
        return std::ranges::any_of(r.findings, [&](const Finding& f) { return f.key == key; });
    }
    Scratch scratch_;
};

TEST_F(Beside, CardsThatSayOtherwiseMakeAYesDoubtful) {
    put("LICENSE", text_of("Apache-2.0"));
    put("README.md", "---\nlicense: apache-2.0\n---\n# A model\n\nIt writes poems.\n");
    EXPECT_EQ(need(look(), "commercial"), Verdict::yes);
    put("README.md",
        "---\nlicense: apache-2.0\n---\n# A model\n\nThe code is Apache 2.0. The model weights are licensed under CC "
        "BY-NC "
        "4.0 and may not be used commercially.\n");
    EXPECT_EQ(need(look(), "commercial"), Verdict::no);
    EXPECT_TRUE(has(look(), "claim-contradicts-text"));
    put("README.md", "# A model\n\nIt must not be used for military purposes.\n");
    EXPECT_EQ(need(look(), "no-use-limits"), Verdict::ask);
    EXPECT_EQ(need(look(), "modify"), Verdict::yes);
    put("README.md",
        "# A model\n\nIt is released for research use only. Commercial use requires permission from us.\n");
    EXPECT_EQ(need(look(), "commercial"), Verdict::ask);
    for (const char* base : {"This is a fine-tuned version of meta-llama/Llama-2-7b-hf.", "Fine-tuned from Llama 2."}) {
        put("README.md", fmt::format("# A model\n\n{}\n", base));
        EXPECT_TRUE(has(look(), "base-terms-missing")) << base;
        EXPECT_EQ(need(look(), "commercial"), Verdict::ask) << base;
    }
    for (const char* base :
         {"meta-llama/Llama-Guard-3-8B", "google/gemma-7b", "google/codegemma-7b",
          "deepseek-ai/DeepSeek-R1-Distill-Llama-8B", "deepseek-ai/deepseek-llm-7b-base", "codellama/CodeLlama-7b-hf",
          "lmsys/vicuna-7b-v1.5", "facebook/opt-6.7b", "mistralai/Mistral-Large-Instruct-2407",
          "mistralai/Codestral-22B-v0.1", "Qwen/Qwen2.5-3B", "Qwen/Qwen-7B", "bigcode/starcoder",
          "stabilityai/stable-diffusion-xl-base-1.0", "CohereForAI/c4ai-command-r-v01"}) {
        put("README.md", fmt::format("---\nlicense: apache-2.0\n\"base_model\": {}\n---\n# A model\n", base));
        EXPECT_TRUE(has(look(), "base-terms-missing")) << base;
    }
    for (const char* base : {"google/gemma-4-E2B", "mistralai/Mistral-Large-3", "Qwen/Qwen2.5-7B", "Qwen/Qwen2-7B",
                             "deepseek-ai/DeepSeek-V3.2", "openai/gpt-oss-20b"}) {
        put("README.md", fmt::format("---\nlicense: apache-2.0\nbase_model: {}\n---\n# A model\n", base));
        EXPECT_FALSE(has(look(), "base-terms-missing")) << base;
    }
    put("README.md", "# A model\n\nIt is better than what was fine-tuned from Llama 2.\n");
    EXPECT_FALSE(has(look(), "base-terms-missing"));
}

TEST_F(Beside, MetadataThatSaysOtherwiseCounts) {
    put("LICENSE", text_of("MIT"));
    put("model.safetensors.license", "SPDX-License-Identifier: CC-BY-NC-4.0\n");
    EXPECT_EQ(need(look(), "commercial"), Verdict::no);
    fs::remove(scratch_ / "model.safetensors.license");
    put("config.json", R"({"model_type": "x", "license": "cc-by-nc-4.0"})");
    EXPECT_EQ(need(look(), "commercial"), Verdict::no);
    put("config.json", R"({"model_type": "x", "_name_or_path": "meta-llama/Llama-2-7b-hf"})");
    EXPECT_EQ(need(look(), "commercial"), Verdict::ask);
    put("config.json", "{}");
    std::string head = R"({"__metadata__":{"license":"cc-by-nc-4.0"}})";
    std::string file(8, '\0');
    file[0] = static_cast<char>(head.size());
    put("model.safetensors", file + head);
    EXPECT_EQ(need(look(), "commercial"), Verdict::no);
}

TEST_F(Beside, LicenceFilesOfOtherNamesAreSeen) {
    for (const char* name :
         {"TERMS.md", "AGREEMENT.txt", "COPYING.model", "USE_RESTRICTIONS.txt", "a/b/c/d/e/LICENSE"}) {
        put("LICENSE", text_of("Apache-2.0"));
        put(name, text_of("CC-BY-NC-4.0"));
        EXPECT_EQ(need(look(), "commercial"), Verdict::no) << name;
        fs::remove(scratch_ / name);
    }
    put("MODEL_LICENSE.pdf", "%PDF-1.4 nothing that is read here");
    EXPECT_EQ(need(look(), "commercial"), Verdict::ask);
    EXPECT_TRUE(has(look(), "text-unreadable"));
    fs::remove(scratch_ / "MODEL_LICENSE.pdf");
    EXPECT_EQ(need(look(), "commercial"), Verdict::yes);
    put("1/2/3/4/5/6/7/8/9/10/11/12/13/LICENSE", text_of("CC-BY-NC-4.0"));
    EXPECT_TRUE(has(look(), "files-left-out"));
    EXPECT_EQ(need(look(), "commercial"), Verdict::ask);
}

TEST_F(Beside, SilenceAboutTheEndIsNoPromise) {
    put("LICENSE", text_of("MIT"));
    EXPECT_EQ(need(look(), "irrevocable"), Verdict::ask);
    put("LICENSE", text_of("BUSL-1.1"));
    EXPECT_NE(need(look(), "train-others"), Verdict::yes);
    put("LICENSE", text_of("Stability-Community-2024"));
    EXPECT_NE(need(look(), "no-share-alike"), Verdict::yes);
}

}  // namespace
}  // namespace freehold::licence
