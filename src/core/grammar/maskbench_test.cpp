// The schemas of MaskBench, where they are at hand: each is compiled or refused with its reason, each instance gets the
// right verdict. (bench_maskbench walks the same with a vocabulary and says what masks cost.)
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "freehold/base/error.h"
#include "freehold/grammar/grammar.h"

namespace freehold {
namespace {

struct Score {
    int schemas = 0, refused = 0, wrong = 0, verdicts = 0;
};

void judge(const Value& row, Score& score) {
    const auto& fields = *row.get<ValueMap>();
    const std::string name(fields.find("name")->as_string().value_or(""));
    ++score.schemas;
    std::shared_ptr<const Grammar> grammar;
    try {
        grammar = Grammar::from_json_schema(*fields.find("schema"));
    } catch (const Error& error) {
        // usage: some schemas of the collection can be fulfilled by nothing.
        EXPECT_TRUE(error.kind() == ErrorKind::unsupported || error.kind() == ErrorKind::usage)
            << name << ": " << error.message();
        EXPECT_FALSE(error.message().empty());
        ++score.refused;
        return;
    }
    for (const Value& test : *fields.find("tests")->get<ValueList>()) {
        const auto& instance = *test.get<ValueMap>();
        ++score.verdicts;
        const std::string text = to_json(*instance.find("data"));
        if (grammar->matches(text) == *instance.find("valid")->as_bool()) continue;
        ++score.wrong;
        ADD_FAILURE() << name << " judges wrongly: " << text.substr(0, 200);
    }
}

TEST(MaskBench, EverySchemaIsCompiledOrRefusedAndNoVerdictIsWrong) {
    const char* shared = std::getenv("FREEHOLD_SHARED_DATA");
    if (shared == nullptr) GTEST_SKIP() << "FREEHOLD_SHARED_DATA does not name the folder of shared test data";
    std::ifstream in(std::filesystem::path(shared) / "jsonschema" / "maskbench.jsonl", std::ios::binary);
    if (!in) GTEST_SKIP() << "FREEHOLD_SHARED_DATA holds no jsonschema/maskbench.jsonl";
    Score score;
    for (std::string line; std::getline(in, line);) judge(parse_json(line, "a line of MaskBench"), score);
    EXPECT_EQ(score.wrong, 0);
    EXPECT_GT(score.verdicts, 2000);
    EXPECT_LE(score.refused, score.schemas * 3 / 100);
    RecordProperty("schemas", score.schemas);
    RecordProperty("refused", score.refused);
}

}  // namespace
}  // namespace freehold
