// freehold embed over the tiny encoders: shapes of the output, files, limits, ranks.
#include <gtest/gtest.h>

#include <cmath>

#include "command_line.h"
#include "freehold/base/value.h"

namespace freehold {
namespace {

using test::freehold_says;
using test::Said;

std::string encoder(const std::string& name) {
    return std::string(FREEHOLD_SOURCE_DIR) + "/tests/golden/encoders/" + name;
}

const Value& at(const Value& value, std::string_view path) {
    const Value* found = find(*value.get<ValueMap>(), path);
    if (found == nullptr) throw std::runtime_error("no " + std::string(path));
    return *found;
}

TEST(Embed, VectorsAsJsonAndAsLines) {
    const Said json = freehold_says("embed " + encoder("bert") + " 'the sea' 'stone house' --json");
    ASSERT_EQ(json.code, 0) << json.err;
    const Value value = parse_json(json.out, "stdout");
    EXPECT_EQ(at(value, "pooling").as_string(), "mean");
    EXPECT_EQ(at(value, "dimensions").as_int(), 32);
    EXPECT_EQ(at(value, "tokens").as_int(), 8);
    ASSERT_EQ(at(value, "data").size(), 2U);
    double length = 0;
    const Value vector = at(at(value, "data").at(1), "embedding");
    for (std::size_t i = 0; i < vector.size(); ++i) length += *vector.at(i).as_double() * *vector.at(i).as_double();
    EXPECT_NEAR(length, 1.0, 1e-5);
    const Said lines = freehold_says("embed " + encoder("bert") + " -f - --dimensions 3", "the sea\nstone house\n");
    EXPECT_EQ(lines.code, 0) << lines.err;
    EXPECT_EQ(std::count(lines.out.begin(), lines.out.end(), '\n'), 2);
    EXPECT_EQ(std::count(lines.out.begin(), lines.out.end(), ' '), 4);
}

TEST(Embed, TooLongIsToldAndCutOnlyWhenAsked) {
    std::string text;
    for (int i = 0; i < 60; ++i) text += "sea ";
    const Said refused = freehold_says("embed " + encoder("bert") + " '" + text + "'");
    EXPECT_EQ(refused.code, 5);
    EXPECT_NE(refused.err.find("62 tokens"), std::string::npos) << refused.err;
    const Said cut = freehold_says("embed " + encoder("bert") + " --truncate '" + text + "'");
    EXPECT_EQ(cut.code, 0);
    EXPECT_NE(cut.err.find("left out"), std::string::npos) << cut.err;
    EXPECT_EQ(freehold_says("embed " + encoder("bert")).code, 2) << "no text";
    EXPECT_EQ(freehold_says("embed " + encoder("bert") + " -f - --jsonl", "5\n").code, 2);
}

TEST(Embed, RanksByAQuestion) {
    const Said said = freehold_says("embed " + encoder("bert") + " --query 'stone house' wind 'stone house' sea");
    ASSERT_EQ(said.code, 0) << said.err;
    EXPECT_EQ(said.out.find("  1.0000  stone house\n"), 0U) << said.out;
    const Value judged = parse_json(
        freehold_says("embed " + encoder("bert-cross") + " --query 'stone house' wind 'stone house' --json").out,
        "stdout");
    EXPECT_EQ(at(judged, "by").as_string(), "classifier");
}

TEST(Embed, AnEncoderDoesNotWrite) {
    const Said said = freehold_says("run " + encoder("bert") + " 'hello'");
    EXPECT_EQ(said.code, 4);
    EXPECT_NE(said.err.find("freehold embed"), std::string::npos) << said.err;
}

}  // namespace
}  // namespace freehold
