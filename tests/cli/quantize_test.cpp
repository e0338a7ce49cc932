// freehold quantize from the outside: the story model as GGUF files, run from those files.
#include <gtest/gtest.h>
#include <unistd.h>

#include "command_line.h"
#include "freehold/base/value.h"

namespace freehold {
namespace {

namespace fs = std::filesystem;
using test::freehold_says;
using test::Said;
using test::stories_model;

class QuantizeVerb : public testing::Test {
 protected:
    void TearDown() override { fs::remove(out_); }
    [[nodiscard]] std::string arguments(const std::string& type) const {
        return "quantize " + stories_model() + " " + out_.string() + " --type " + type + " ";
    }
    fs::path out_ = fs::path(testing::TempDir()) / ("freehold_quantized_" + std::to_string(::getpid()) + ".gguf");
};

TEST_F(QuantizeVerb, ExactFloatsTellTheSameStory) {
    const Said said = freehold_says(arguments("f32"));
    ASSERT_EQ(said.code, 0) << said.err;
    EXPECT_NE(said.err.find("as f32"), std::string::npos) << "it says first what it will take: " << said.err;
    const std::string rest = " '' --temperature 0 --max-tokens 60";
    EXPECT_EQ(freehold_says("run " + out_.string() + rest).out, freehold_says("run " + stories_model() + rest).out);
}

TEST_F(QuantizeVerb, EightBitsStillTellOneAndJsonSaysWhatWasMade) {
    const Said said = freehold_says(arguments("Q8_0") + "--json --threads 2");
    ASSERT_EQ(said.code, 0) << said.err;
    const Value value = parse_json(said.out, "stdout");
    const auto& map = *value.get<ValueMap>();
    EXPECT_EQ(map.find("type")->as_string(), "q8_0");
    EXPECT_EQ(map.find("file_bytes")->as_int(), static_cast<std::int64_t>(fs::file_size(out_)));
    EXPECT_EQ(freehold_says("run " + out_.string() + " '' --temperature 0 --max-tokens 5").out, "Once upon a time,\n");
}

TEST_F(QuantizeVerb, WhatIsMadeKnowsWhatItWasMadeFrom) {
    ASSERT_EQ(freehold_says(arguments("f32")).code, 0);
    const fs::path small = out_.string() + ".q8.gguf";
    ASSERT_EQ(freehold_says("pull " + out_.string() + " --as stories:whole --no-panels").code, 0);
    ASSERT_EQ(freehold_says("quantize stories:whole " + small.string() + " --type q8_0").code, 0);
    ASSERT_EQ(freehold_says("pull " + small.string() + " --as stories:small --no-panels").code, 0);
    const Said said = freehold_says("lineage stories:small --json");
    ASSERT_EQ(said.code, 0) << said.err;
    const Value value = parse_json(said.out, "stdout");
    const Value parent = find(*value.get<ValueMap>(), "tree.parents")->at(0);
    EXPECT_EQ(parent.get<ValueMap>()->find("name")->as_string(), "stories:whole") << said.out;
    EXPECT_EQ(parent.get<ValueMap>()->find("relation")->as_string(), "quantised from");
    EXPECT_NE(freehold_says("lineage stories:whole").out.find("made from it: stories:small"), std::string::npos);
    fs::remove(small);
    freehold_says("rm stories:small stories:whole");
}

// Into the other container and back again: each is known to be made from the one before.
TEST_F(QuantizeVerb, WhatIsConvertedKnowsWhatItWasMadeFrom) {
    ASSERT_EQ(freehold_says(arguments("f32")).code, 0);
    const fs::path folder = out_.string() + ".folder", back = out_.string() + ".back.gguf";
    ASSERT_EQ(freehold_says("pull " + out_.string() + " --as stories:whole --no-panels").code, 0);
    const Said converted = freehold_says("convert stories:whole " + folder.string());
    ASSERT_EQ(converted.code, 0) << converted.err;
    ASSERT_EQ(freehold_says("pull " + folder.string() + " --as stories:folder --no-panels").code, 0);
    ASSERT_EQ(freehold_says("convert stories:folder " + back.string()).code, 0);
    ASSERT_EQ(freehold_says("pull " + back.string() + " --as stories:back --no-panels").code, 0);
    const Said said = freehold_says("lineage stories:back --json");
    ASSERT_EQ(said.code, 0) << said.err;
    const Value value = parse_json(said.out, "stdout");
    const Value parent = find(*value.get<ValueMap>(), "tree.parents")->at(0);
    EXPECT_EQ(parent.get<ValueMap>()->find("name")->as_string(), "stories:folder") << said.out;
    EXPECT_EQ(parent.get<ValueMap>()->find("relation")->as_string(), "converted from");
    EXPECT_NE(freehold_says("lineage stories:whole").out.find("made from it: stories:back"), std::string::npos);
    fs::remove_all(folder);
    fs::remove(back);
    freehold_says("rm stories:back stories:folder stories:whole");
}

TEST_F(QuantizeVerb, RefusesToOverwriteAndWritesNothingWhenDry) {
    EXPECT_EQ(freehold_says(arguments("q4_0") + "--dry-run").code, 0);
    EXPECT_FALSE(fs::exists(out_));
    ASSERT_EQ(freehold_says(arguments("q4_0")).code, 0);
    const auto size = fs::file_size(out_);
    const Said again = freehold_says(arguments("q8_0"));
    EXPECT_NE(again.code, 0);
    EXPECT_NE(again.err.find("--force"), std::string::npos) << again.err;
    EXPECT_EQ(fs::file_size(out_), size);
    EXPECT_EQ(freehold_says(arguments("q8_0") + "--force").code, 0);
    EXPECT_GT(fs::file_size(out_), size);
    EXPECT_NE(freehold_says(arguments("q9")).err.find("q4_k_m"), std::string::npos);
}

}  // namespace
}  // namespace freehold
