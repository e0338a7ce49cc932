// Lineages through a store of small files, and cards of every odd form.
#include "freehold/lineage/lineage.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "freehold/base/file.h"
#include "freehold/lineage/front_matter.h"

namespace freehold::lineage {
namespace {

namespace fs = std::filesystem;

class Lineage : public testing::Test {
 protected:
    void SetUp() override {
        root_ = fs::path(testing::TempDir()) / ("freehold_lineage_" + std::to_string(::getpid()) + "_" +
                                                testing::UnitTest::GetInstance()->current_test_info()->name());
        fs::remove_all(root_);
        fs::create_directories(root_);
        store_ = std::make_unique<Store>(Store::open(root_ / "home"));
    }
    void TearDown() override { fs::remove_all(root_); }

    StoredModel add(const std::string& name, const std::vector<std::pair<std::string, std::string>>& files,
                    ModelRecord record = {}) {
        std::vector<NewFile> list;
        for (const auto& [path, bytes] : files) {
            const fs::path at = root_ / (ModelName::parse(name).tag + "-" + path);
            write_text_atomic(at, bytes);
            list.push_back({path, at, {}, NewFile::How::copy, false});
        }
        return store_->add(ModelName::parse(name), list, record);
    }

    fs::path root_;
    std::unique_ptr<Store> store_;
};

TEST_F(Lineage, FromDataOverTheBaseToTheAdapter) {
    ModelRecord first;
    first.source = "hf:someone/base";
    const StoredModel base =
        add("base:1", {{"weights", "w"}, {"README.md", "---\ndatasets:\n- someone/data\n---\n"}}, first);
    ModelRecord second;
    second.parents = {base.digest};
    second.extra.set("relation", "quantised from");
    const StoredModel small = add("base:2", {{"weights", "v"}}, second);
    ModelRecord third;
    third.parents = {small.digest};
    third.extra.set("kind", "adapter");
    const StoredModel adapter = add("notes:3", {{"adapter", "a"}}, third);

    const Node node = trace(*store_, adapter);
    EXPECT_EQ(node.kind, "adapter");
    ASSERT_EQ(node.parents.size(), 1U);
    EXPECT_EQ(node.parents[0].relation, "adapter of");
    EXPECT_EQ(node.parents[0].name, "base:2");
    EXPECT_EQ(node.parents[0].tie, Tie::digest);
    ASSERT_EQ(node.parents[0].parents.size(), 1U);
    const Node& root = node.parents[0].parents[0];
    EXPECT_EQ(root.relation, "quantised from");
    EXPECT_EQ(root.source, "hf:someone/base");
    ASSERT_EQ(root.parents.size(), 1U);
    EXPECT_EQ(root.parents[0].kind, "dataset");
    EXPECT_EQ(root.parents[0].tie, Tie::claim);
    EXPECT_EQ(root.parents[0].evidence, "README.md, datasets");

    const auto made = descendants(*store_, base.digest);
    ASSERT_EQ(made.size(), 2U);
    EXPECT_TRUE(descendants(*store_, adapter.digest).empty());
    EXPECT_GT(tree_lines(node).size(), 4U);
}

TEST_F(Lineage, AParentThatIsGoneIsToldAndItsDigestKept) {
    ModelRecord record;
    record.parents = {"sha256:" + std::string(64, 'a')};
    const Node node = trace(*store_, add("orphan:1", {{"weights", "w"}}, record));
    ASSERT_EQ(node.parents.size(), 1U);
    EXPECT_FALSE(node.parents[0].here);
    EXPECT_EQ(node.parents[0].digest, record.parents[0]);
    EXPECT_FALSE(node.parents[0].gaps.empty());
}

TEST_F(Lineage, WhereNobodySaysAnythingTheGapIsTold) {
    const Node node = trace(*store_, add("mute:1", {{"weights", "w"}}));
    EXPECT_TRUE(node.parents.empty());
    ASSERT_FALSE(node.gaps.empty());
    EXPECT_NE(node.gaps[0].find("not known"), std::string::npos);
}

TEST_F(Lineage, ClaimsOfFilesAreMarkedAndGatheredOnce) {
    const fs::path card = root_ / "card", config = root_ / "config";
    write_text_atomic(card, "---\nbase_model: [a/b]\nbase_model_relation: adapter\n---\n");
    write_text_atomic(config, "{\"base_model_name_or_path\":\"A/B\"}");
    const Node node = trace_files("here", {{"README.md", card}, {"adapter_config.json", config}});
    EXPECT_EQ(node.kind, "adapter");
    ASSERT_EQ(node.parents.size(), 1U);
    EXPECT_EQ(node.parents[0].relation, "adapter of");
    EXPECT_NE(node.parents[0].evidence.find("README.md"), std::string::npos);
    EXPECT_NE(node.parents[0].evidence.find("adapter_config.json"), std::string::npos);
    write_text_atomic(config, "{");
    EXPECT_FALSE(trace_files("here", {{"adapter_config.json", config}}).gaps.empty()) << "what is damaged is told";
}

TEST(FrontMatter, ReadsWhatCardsHold) {
    const FrontMatter m = read_front_matter(
        "---\r\nlicense: \"apache-2.0\"\r\nlanguage:\n  - en\n  - 'de'\ntags: [a, \"b\" , c]\nmodel-index:\n- name: x\n"
        "  results:\n  - task:\n      type: y\n# comment\nempty:\nnothing: null\n---\r\nWords\n---\nmore");
    EXPECT_TRUE(m.there);
    EXPECT_EQ(m.one("license"), "apache-2.0");
    EXPECT_EQ(m.all("language"), (std::vector<std::string>{"en", "de"}));
    EXPECT_EQ(m.all("tags"), (std::vector<std::string>{"a", "b", "c"}));
    EXPECT_EQ(m.one("nothing"), "");
    EXPECT_TRUE(m.all("model-index").empty());
    EXPECT_EQ(m.prose, "Words\n---\nmore");
}

TEST(FrontMatter, TextWithoutOneIsProse) {
    for (const char* card : {"", "words", "--- x\na: b\n---\n", "---\na: b\n", " ---\na: b\n---\n", "---"}) {
        const FrontMatter m = read_front_matter(card);
        EXPECT_FALSE(m.there) << card;
        EXPECT_TRUE(m.values.empty()) << card;
        EXPECT_EQ(m.prose, card);
    }
}

TEST(FrontMatter, IsBounded) {
    std::string card = "---\n";
    for (int i = 0; i < 5000; ++i) card += "k" + std::to_string(i) + ": v\n";
    EXPECT_EQ(read_front_matter(card + "---\n").values.size(), 1000U);
}

}  // namespace
}  // namespace freehold::lineage
