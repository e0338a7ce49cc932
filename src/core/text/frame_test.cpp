// Frames of one text and of two, against what Hugging Face's tokenizers wrote (tests/oracle/make_tiny_encoders.py).
#include <gtest/gtest.h>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/value.h"
#include "freehold/text/tokenizer.h"

namespace freehold {
namespace {

std::vector<std::int32_t> ids(const ValueMap& map, const char* key) {
    std::vector<std::int32_t> out;
    const Value& list = *map.find(key);
    for (std::size_t i = 0; i < list.size(); ++i) out.push_back(static_cast<std::int32_t>(*list.at(i).as_int()));
    return out;
}

class Frames : public testing::TestWithParam<const char*> {};

TEST_P(Frames, AreThoseOfTheReference) {
    const std::string folder = std::string(FREEHOLD_SOURCE_DIR) + "/tests/golden/encoders/" + GetParam();
    const auto tokenizer = Tokenizer::from_hf(read_text(folder + "/tokenizer.json"), nullptr);
    EXPECT_TRUE(tokenizer->knows_pairs());
    const Value expected = parse_json(read_text(folder + "/expected.json"), "expected.json");
    const Value& texts = *find(*expected.get<ValueMap>(), "texts");
    for (std::size_t i = 0; i < texts.size(); ++i) {
        const Value entry = texts.at(i);
        const auto& map = *entry.get<ValueMap>();
        const std::string text(*map.find("text")->as_string());
        const Framed framed = tokenizer->frame(text);
        EXPECT_EQ(framed.ids, tokenizer->encode(text)) << text;
        EXPECT_EQ(framed.types, std::vector<std::uint8_t>(framed.ids.size(), 0));
        const auto want = ids(map, "ids");
        EXPECT_TRUE(std::equal(want.begin(), want.end(), framed.ids.begin())) << text;
        for (std::size_t most = 2; most < framed.ids.size(); ++most) {
            const Framed cut = tokenizer->frame(text, most);
            ASSERT_EQ(cut.ids.size(), most);
            EXPECT_EQ(cut.left_out, framed.ids.size() - most);
            EXPECT_TRUE(std::equal(cut.ids.begin(), cut.ids.end() - 1, framed.ids.begin()));
            EXPECT_EQ(cut.ids.back(), framed.ids.back());
        }
    }
    EXPECT_THROW(static_cast<void>(tokenizer->frame("house", 1)), Error);
    const std::string_view name = GetParam();
    const std::size_t longest = name == "roberta" || name == "xlm-roberta" ? 42 : 44;
    for (const char* key : {"pairs", "cuts"}) {
        const Value& pairs = *find(*expected.get<ValueMap>(), key);
        for (std::size_t i = 0; i < pairs.size(); ++i) {
            const Value entry = pairs.at(i);
            const auto& map = *entry.get<ValueMap>();
            const auto want = ids(map, "ids"), types = ids(map, "types");
            const Value* const limit = map.find("limit");
            const std::size_t most = limit == nullptr ? longest : static_cast<std::size_t>(*limit->as_int());
            const Framed framed =
                tokenizer->frame_pair(*map.find("first")->as_string(), *map.find("second")->as_string(), most);
            EXPECT_EQ(framed.ids, want) << key << " " << i;
            EXPECT_EQ(std::vector<std::int32_t>(framed.types.begin(), framed.types.end()), types) << key << " " << i;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Tiny, Frames,
                         testing::Values("bert", "bert-cross", "roberta-cross", "roberta", "xlm-roberta"));

TEST(Frames, PairsThatNobodyDescribedAreRefused) {
    const std::string folder = std::string(FREEHOLD_SOURCE_DIR) + "/tests/golden/encoders/bert";
    std::string json = read_text(folder + "/tokenizer.json");
    const std::size_t at = json.find("\"post_processor\":");
    ASSERT_NE(at, std::string::npos);
    json.replace(at, 17, "\"post_processor\":null,\"unused\":");
    const auto tokenizer = Tokenizer::from_hf(json, nullptr);
    EXPECT_FALSE(tokenizer->knows_pairs());
    EXPECT_THROW(static_cast<void>(tokenizer->frame_pair("a", "b")), Error);
}

}  // namespace
}  // namespace freehold
