// The folder's own words against what lies in it: what the licence review finds reaches the category, and sentences
// that say that data or code are not there, or under which other terms, take their rows away.
#include <gtest/gtest.h>

#include <algorithm>

#include "complete_folder.h"
#include "freehold/openness/report.h"

namespace freehold::openness {
namespace {

namespace fs = std::filesystem;
using C = Component;
using testing::Scratch;
using testing::write_file;

class OwnWords : public ::testing::Test {
 protected:
    OwnWords() { write_complete(folder()); }
    [[nodiscard]] fs::path folder() const { return scratch_ / "model"; }
    [[nodiscard]] Report look() const {
        const Scratch home;
        const Store store = Store::open(home.path());
        return examine(find_target(store, folder().string()));
    }
    // The report with words put before or after those of a file, which is as before afterwards.
    [[nodiscard]] Report with(const std::string& name, const std::string& before, const std::string& after) const {
        const fs::path at = folder() / name;
        const bool there = fs::exists(at);
        const std::string kept = there ? testing::read_file(at) : "";
        fs::create_directories(at.parent_path());
        write_file(at, before + kept + after);
        Report r = look();
        if (there)
            write_file(at, kept);
        else
            fs::remove(at);
        return r;
    }
    static std::string answer(const Report& r, const std::string& need) {
        const std::vector<std::string> needs = {need};
        return licence::verdict_key(judge(r, needs).at(0).verdict);
    }
    static std::string told(const Report& r) {
        std::string out = fmt::format("{}: {}\n", category_key(r.category), r.category_reason);
        for (const ChecklistItem& i : r.checklist)
            out += fmt::format("  {} {} {} {}\n", i.key, status_key(i.status), i.found, i.missing);
        for (const Part& p : r.parts)
            out += fmt::format("  {} {} {}\n", info(p.component).key, presence_key(p.presence), p.licence.trouble);
        return out;
    }

    Scratch scratch_;
};

TEST_F(OwnWords, WhatTheLicenceReviewFindsReachesTheCategory) {
    ASSERT_EQ(look().category, Category::open_source_ai) << told(look());
    for (const char* words :
         {"The model weights are CC-BY-NC 4.0.", "Commercial usage is prohibited.",
          "For commercial use, contact sales@acme.example.", "It may not be used commercially.",
          "The model inherits the Llama 3.1 Community License.", "It was initialised from Llama-2-7b weights."}) {
        const Report r = with("README.md", "", fmt::format("\n{}\n", words));
        EXPECT_EQ(r.category, Category::restricted_weights) << words << "\n" << told(r);
        EXPECT_EQ(r.mof.mof_class, 0) << words;
        EXPECT_NE(answer(r, "commercial"), "yes") << words;
        EXPECT_NE(answer(r, "open-source-ai"), "yes") << words;
        EXPECT_NE(r.part(C::parameters_final).licence.trouble.find("README.md"), std::string::npos) << told(r);
    }
    for (const char* front :
         {"license: other\nlicense_name: acme-research", "license_link: https://acme.example/terms",
          "extra_gated_prompt: You agree to use it for research only.", "\"license\": \"cc-by-nc-4.0\""})
        EXPECT_EQ(with("README.md", fmt::format("---\n{}\n---\n", front), "").category, Category::restricted_weights)
            << front;
    EXPECT_EQ(with("model_license.md", "", "The weights may be used for research only.\n").category,
              Category::restricted_weights);
    for (const char* words : {"The code is under MIT, the weights under Apache-2.0.",
                              "It must not be used for medical advice.", "It is free for commercial use."}) {
        const Report r = with("README.md", "", fmt::format("\n{}\n", words));
        EXPECT_EQ(r.category, Category::open_source_ai) << words << "\n" << told(r);
        EXPECT_EQ(r.mof.mof_class, 1) << words;
    }
}

TEST_F(OwnWords, DataThatIsNotThereByItsOwnWords) {
    const auto gone = [](const Report& r, const std::string& quote) {
        EXPECT_NE(r.part(C::datasets).presence, Presence::here) << told(r);
        EXPECT_NE(r.checklist[0].status, Status::met) << told(r);
        EXPECT_NE(r.checklist[0].found.find(quote), std::string::npos) << told(r);
        EXPECT_EQ(r.category, Category::open_tooling) << told(r);
        EXPECT_EQ(r.mof.mof_class, 2) << told(r);
        EXPECT_NE(answer(r, "training-data"), "yes");
    };
    for (const char* words :
         {"The training data cannot be released for legal reasons; the corpus folder holds a small sample.",
          "It was trained on 15 trillion tokens of private data that we licensed from publishers.",
          "The training data is not publicly available.", "We are unable to share the pretraining corpus.",
          "We only release a small subset of the data."})
        gone(with("README.md", "", fmt::format("\n{}\n", words)), std::string(words).substr(0, 30));
    gone(with("DATA_CARD.md", "", "\nThe full data set is not public. Only 40 of 2 million records are here.\n"),
         "is not public");
    gone(with("DATA_CARD.md", "", "\nOnly 40 of 2 million records are here.\n"), "Only 40 of 2 million");
    for (const char* words :
         {"No private data was used in training.", "It was trained on public data that was not filtered.",
          "The data was cleaned, and personal data was removed before release.",
          "The training data is here in the folder corpus.", "It does not work with images."}) {
        const Report r = with("README.md", "", fmt::format("\n{}\n", words));
        EXPECT_EQ(r.category, Category::open_source_ai) << words << "\n" << told(r);
    }
}

TEST_F(OwnWords, DataUnderOtherTermsByItsCard) {
    const auto bound = [](const Report& r, const std::string& quote) {
        EXPECT_FALSE(r.part(C::datasets).licence.open) << told(r);
        EXPECT_NE(r.checklist[0].status, Status::met) << told(r);
        EXPECT_NE(r.part(C::datasets).licence.trouble.find(quote), std::string::npos) << told(r);
        EXPECT_LT(r.category, Category::open_source_ai) << told(r);
        EXPECT_NE(r.mof.mof_class, 1) << told(r);
        EXPECT_TRUE(r.part(C::parameters_final).licence.open) << told(r);
    };
    bound(with("DATA_CARD.md", "---\nlicense: cc-by-nc-4.0\n---\n", ""), "DATA_CARD.md:2");
    bound(with("corpus/README.md", "---\nlicense: cc-by-nc-sa-4.0\n---\n# Corpus\nSentences.\n", ""),
          "corpus/README.md:2");
    bound(with("corpus/README.md", "The texts are copyrighted by their publishers and may be used for research only.\n",
               ""),
          "may be used for research only");
    bound(with("README.md", "", "\nThe training data is licensed under CC BY-NC 4.0.\n"), "CC BY-NC 4.0");
    EXPECT_EQ(with("DATA_CARD.md", "---\nlicense: cc-by-4.0\n---\n", "").category, Category::open_source_ai);
}

TEST_F(OwnWords, CodeUnderOtherTermsByItsHead) {
    for (const char* head : {"# Copyright (c) Acme. All rights reserved. Proprietary and confidential.\n",
                             "\"\"\"This file is licensed for non-commercial use only (CC BY-NC 4.0).\"\"\"\n",
                             "# For research use only.\n"}) {
        const Report r = with("train.py", head, "");
        EXPECT_FALSE(r.part(C::training_code).licence.open) << head << told(r);
        EXPECT_NE(r.part(C::training_code).licence.trouble.find("train.py:1"), std::string::npos) << told(r);
        EXPECT_EQ(r.category, Category::permissive_weights) << head << told(r);
        EXPECT_EQ(r.mof.mof_class, 3) << head << told(r);
    }
    for (const char* head : {"# Copyright (c) Acme. All rights reserved.\n# Licensed under the MIT License.\n",
                             "\"\"\"Trains the model.\"\"\"\n", "#!/usr/bin/env python3\n"})
        EXPECT_EQ(with("train.py", head, "").category, Category::open_source_ai) << head;
}

TEST_F(OwnWords, CodeThatEndsBeforeItDoesAnything) {
    const Report r = with("train.py", "raise SystemExit('training code is not released')\n", "");
    EXPECT_EQ(r.part(C::training_code).presence, Presence::hollow) << told(r);
    EXPECT_NE(r.part(C::training_code).evidence.at(0).what.find("training code is not released"), std::string::npos)
        << told(r);
    EXPECT_EQ(r.category, Category::permissive_weights) << told(r);
    EXPECT_EQ(with("evaluate.py", "raise NotImplementedError('internal')\n", "").part(C::evaluation_code).presence,
              Presence::hollow);
    EXPECT_EQ(with("train.py", "import sys\nsys.exit(1)\n", "").part(C::training_code).presence, Presence::hollow);
    const std::string kept = testing::read_file(folder() / "train.py");
    write_file(folder() / "train.py",
               "import torch\nif False:\n    for batch in dataset:\n        optimizer = torch.optim.AdamW()\n        "
               "loss.backward()\n        optimizer.step()\nraise NotImplementedError('the code is internal')\n");
    EXPECT_EQ(look().part(C::training_code).presence, Presence::hollow) << told(look());
    write_file(folder() / "train.py", kept);
    // What leaves a function or ends the program at its end hides nothing.
    const Report good = with(
        "train.py", "def check(x):\n    if x is None:\n        raise ValueError(\n            'x')\n    return x\n\n\n",
        "\n\nif __name__ == '__main__':\n    raise SystemExit(run([]))\n");
    EXPECT_EQ(good.part(C::training_code).presence, Presence::here) << told(good);
    EXPECT_EQ(good.category, Category::open_source_ai) << told(good);
}

TEST_F(OwnWords, CodeThatTheCardSaysIsNotReleased) {
    const Report r = with("README.md", "", "\nThe training code will not be released.\n");
    EXPECT_NE(r.part(C::training_code).presence, Presence::here) << told(r);
    EXPECT_EQ(r.category, Category::permissive_weights) << told(r);
}

}  // namespace
}  // namespace freehold::openness
