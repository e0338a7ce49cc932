// Answers on which somebody relies: a bundle's own forms are evidence of nothing, copies are no checkpoints, data that
// the card calls by other names is not taken for the training data, and no open category stands against a claim.
#include <gtest/gtest.h>

#include <algorithm>

#include "complete_folder.h"
#include "freehold/bundle/pack.h"
#include "freehold/openness/report.h"

namespace freehold::openness {
namespace {

namespace fs = std::filesystem;
using C = Component;
using testing::Scratch;
using testing::write_file;

Report look(const fs::path& at) {
    const Scratch home;
    const Store store = Store::open(home.path());
    return examine(find_target(store, at.string()));
}

std::string answer(const Report& r, const std::string& need) {
    const std::vector<std::string> needs = {need};
    return licence::verdict_key(judge(r, needs).at(0).verdict);
}

TEST(OpennessOfABundle, WhatThePackerWroteIsEvidenceOfNothing) {
    const Scratch scratch;
    const fs::path model = scratch / "model", packed = scratch / "packed";
    fs::create_directories(model);
    write_file(model / "LICENSE", licence_file("MIT"));
    write_file(model / "model.safetensors", testing::tiny_safetensors(3));
    write_file(model / "config.json", "{\"model_type\": \"small\", \"hidden_size\": 32, \"vocab_size\": 256}\n");
    write_file(model / "README.md",
               "---\nlicense: mit\nbase_model: some/base\n---\n# Plain model\nNothing is said of any data.\n");
    bundle::PackOptions options;
    options.out = packed;
    options.tool_version = "0.1.0";
    static_cast<void>(bundle::Pack::prepare(bundle::source_of_path(model), options).write(options));
    ASSERT_TRUE(fs::exists(packed / "documents/training-content-summary.json"));
    const Report before = look(model), after = look(packed);
    for (const char* need : {"training-data", "data-information", "training-code", "commercial", "open-weights"})
        EXPECT_EQ(answer(after, need), answer(before, need)) << need;
    EXPECT_EQ(answer(after, "training-data"), "no");
    EXPECT_EQ(answer(after, "data-information"), "no");
    for (std::size_t i = 0; i < kComponents; ++i)
        EXPECT_EQ(after.parts[i].presence, before.parts[i].presence) << info(after.parts[i].component).key;
    ASSERT_FALSE(after.bases.empty());
    EXPECT_EQ(after.bases[0].name, "some/base");
    EXPECT_EQ(after.category, before.category);
    // A licence that is only named stays a claim, though the packer lays its text down beside it.
    fs::remove(model / "LICENSE");
    fs::remove_all(packed);
    static_cast<void>(bundle::Pack::prepare(bundle::source_of_path(model), options).write(options));
    EXPECT_EQ(answer(look(model), "commercial"), "ask counsel");
    EXPECT_EQ(answer(look(packed), "commercial"), "ask counsel");
    // The empty form alone is no data either.
    fs::create_directories(model / "documents");
    fs::copy_file(packed / "documents/training-content-summary.json",
                  model / "documents/training-content-summary.json");
    EXPECT_EQ(answer(look(model), "training-data"), "no");
}

class Whole : public ::testing::Test {
 protected:
    Whole() { write_complete(folder()); }
    [[nodiscard]] fs::path folder() const { return scratch_ / "model"; }
    void card(const std::string& front, const std::string& more) const {
        const std::string text = testing::read_file(folder() / "README.md");
        write_file(folder() / "README.md", front + text + "\n" + more + "\n");
    }
    Scratch scratch_;
};

TEST_F(Whole, DataThatTheCardNamesOtherwiseIsNotShownToBeIt) {
    EXPECT_EQ(answer(look(folder()), "training-data"), "yes");
    card("---\ndatasets:\n- some/corpus\n- other/pairs\n---\n", "");
    const Report r = look(folder());
    EXPECT_EQ(answer(r, "training-data"), "ask counsel");
    EXPECT_EQ(answer(r, "data-information"), "ask counsel");
    EXPECT_NE(r.category, Category::open_source_ai);
}

TEST_F(Whole, ABaseThatIsNotHereKeepsItFromOpenSourceAi) {
    card("---\nbase_model: some/base\n---\n", "");
    const Report r = look(folder());
    EXPECT_NE(r.category, Category::open_source_ai);
    EXPECT_EQ(answer(r, "data-information"), "ask counsel");
}

TEST_F(Whole, AFileThatTheCardSpeaksOfAndThatIsMissingCounts) {
    EXPECT_EQ(look(folder()).category, Category::open_source_ai);
    card("", "The script is in this repository: `train_script.py`.");
    EXPECT_NE(look(folder()).category, Category::open_source_ai);
}

TEST_F(Whole, TheFinalWeightsOnceMoreAreNoCheckpoint) {
    fs::copy_file(folder() / "model.safetensors", folder() / "checkpoint-500/model.safetensors",
                  fs::copy_options::overwrite_existing);
    EXPECT_EQ(look(folder()).part(C::parameters_intermediate).presence, Presence::hollow);
}

TEST_F(Whole, NoOpenCategoryStandsAgainstAClaimAboutTheWeights) {
    write_file(folder() / "model.safetensors.license", "SPDX-License-Identifier: CC-BY-NC-4.0\n");
    Report r = look(folder());
    EXPECT_EQ(r.category, Category::restricted_weights);
    EXPECT_EQ(answer(r, "commercial"), "no");
    fs::remove(folder() / "model.safetensors.license");
    fs::create_directories(folder() / "docs");
    write_file(folder() / "docs/LICENSE-MODEL.md", licence_file("CC-BY-NC-4.0"));
    r = look(folder());
    EXPECT_EQ(r.category, Category::restricted_weights) << r.category_reason;
    EXPECT_EQ(answer(r, "commercial"), "no");
}

}  // namespace
}  // namespace freehold::openness
