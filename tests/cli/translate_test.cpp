// freehold translate over the tiny encoder-decoders: lines and JSON, files and pipes, tasks, and what is refused.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "command_line.h"
#include "freehold/base/value.h"

namespace freehold {
namespace {

using test::freehold_says;
using test::Said;

std::string translator(const std::string& name) {
    return "--model " + std::string(FREEHOLD_SOURCE_DIR) + "/tests/golden/translators/" + name;
}

const Value& at(const Value& value, std::string_view path) {
    const Value* found = find(*value.get<ValueMap>(), path);
    if (found == nullptr) throw std::runtime_error("no " + std::string(path));
    return *found;
}

TEST(Translate, LinesOfArgumentsFilesAndPipesAreOneEach) {
    const std::string how = "translate " + translator("marian") + " --max-tokens 12 --beams 2 ";
    const Said arguments = freehold_says(how + "'the sea' warm");
    ASSERT_EQ(arguments.code, 0) << arguments.err;
    EXPECT_EQ(std::count(arguments.out.begin(), arguments.out.end(), '\n'), 2);
    EXPECT_EQ(freehold_says(how, "the sea\nwarm\n").out, arguments.out);
    EXPECT_EQ(freehold_says(how + "-f -", "the sea\r\nwarm").out, arguments.out);
    const std::string::size_type first = arguments.out.find('\n') + 1;
    EXPECT_EQ(freehold_says(how + "-f -", "\nthe sea\n\nwarm\n \n").out,
              "\n" + arguments.out.substr(0, first) + "\n" + arguments.out.substr(first) + "\n")
        << "blank lines stay";
    EXPECT_EQ(freehold_says(how, "").code, 2) << "no text";
}

TEST(Translate, JsonSaysHowEachCameAbout) {
    const Said said =
        freehold_says("translate " + translator("marian") + " 'the sea' warm --json --beams 3 --max-tokens 9");
    ASSERT_EQ(said.code, 0) << said.err;
    const Value value = parse_json(said.out, "stdout");
    EXPECT_EQ(at(value, "beams").as_int(), 3);
    ASSERT_EQ(at(value, "data").size(), 2U);
    const Value item = at(value, "data").at(1);
    EXPECT_EQ(at(item, "index").as_int(), 1);
    EXPECT_LE(*at(item, "tokens").as_int(), 9);
    EXPECT_LT(*at(item, "score").as_double(), 0);
    EXPECT_TRUE(at(item, "finish").as_string() == "stop" || at(item, "finish").as_string() == "length");
}

TEST(Translate, TasksAreThoseOfTheModel) {
    const Said unknown = freehold_says("translate " + translator("t5") + " --task translation_en_to_xx 'the sea'");
    EXPECT_EQ(unknown.code, 2);
    EXPECT_NE(unknown.err.find("translation_en_to_de"), std::string::npos) << unknown.err;
    const Said task = freehold_says("translate " + translator("t5") + " --task translation_en_to_de 'the sea' --json");
    const Said prefix =
        freehold_says("translate " + translator("t5") + " 'translate English to German: the sea' --beams 4 --json");
    ASSERT_EQ(task.code, 0) << task.err;
    ASSERT_EQ(prefix.code, 0) << prefix.err;
    EXPECT_EQ(at(at(parse_json(task.out, "stdout"), "data").at(0), "source_tokens").as_int(),
              at(at(parse_json(prefix.out, "stdout"), "data").at(0), "source_tokens").as_int());
    EXPECT_NE(freehold_says("translate " + translator("t5") + " 'the sea'").err.find("--task"), std::string::npos);
    EXPECT_EQ(prefix.err.find("--task"), std::string::npos) << prefix.err;
}

TEST(Translate, OtherVerbsNameIt) {
    const std::string marian = translator("marian").substr(8);
    for (const std::string verb : {"run", "embed"}) {
        const Said said = freehold_says(verb + " " + marian + " 'the sea'");
        EXPECT_NE(said.code, 0) << verb;
        EXPECT_NE(said.err.find("freehold translate"), std::string::npos) << verb << ": " << said.err;
    }
    const std::string llama = std::string(FREEHOLD_SOURCE_DIR) + "/tests/golden/models/llama";
    EXPECT_EQ(freehold_says("translate --model " + llama + " hello").code, freehold_says("run " + marian + " a").code);
}

}  // namespace
}  // namespace freehold
