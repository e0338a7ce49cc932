// Every named fault of tests/corrupt/tokenizer gets its error: the kind, and a sentence that names the fault.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/text/tokenizer.h"

namespace freehold {
namespace {

namespace fs = std::filesystem;
const fs::path kFolder = fs::path(FREEHOLD_SOURCE_DIR) / "tests" / "corrupt" / "tokenizer";

void load_and_use(const fs::path& file) {
    const std::string bytes = read_text(file);
    std::shared_ptr<const Tokenizer> tokenizer;
    if (file.extension() == ".model") {
        tokenizer = Tokenizer::from_sentencepiece(bytes, nullptr);
    } else if (file.stem().extension() == ".gguf") {
        const Value keys = parse_json(bytes, file.filename().string());
        tokenizer = Tokenizer::from_gguf(*keys.get<ValueMap>());
    } else {
        tokenizer = Tokenizer::from_hf(bytes, nullptr);
    }
    // A pattern that explodes shows itself only here.
    (void)tokenizer->encode(std::string(4000, 'a') + " and some more");
}

TEST(TokenizerCorrupt, EveryFaultIsNamed) {
    std::ifstream expected(kFolder / "EXPECTED.tsv");
    int count = 0;
    for (std::string line; std::getline(expected, line); ++count) {
        const std::size_t first = line.find('\t'), second = line.find('\t', first + 1);
        const std::string name = line.substr(0, first), kind = line.substr(first + 1, second - first - 1),
                          phrase = line.substr(second + 1);
        SCOPED_TRACE(name);
        try {
            load_and_use(kFolder / name);
            ADD_FAILURE() << "no error";
        } catch (const Error& e) {
            EXPECT_EQ(kind_name(e.kind()), kind) << e.message();
            EXPECT_NE(e.message().find(phrase), std::string::npos) << e.message();
        }
    }
    EXPECT_GE(count, 70);
}

}  // namespace
}  // namespace freehold
