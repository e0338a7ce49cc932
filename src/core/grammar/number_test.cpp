// Numbers under a mask: every way that it opens ends, and ends in a number that the schema takes. The short languages
// are listed whole, by hand.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "freehold/base/error.h"
#include "freehold/grammar/grammar.h"
#include "freehold/grammar/matcher.h"

namespace freehold {
namespace {

// All that a mask of single bytes lets through, from the first byte to the end; what has no end shows as "...".
std::vector<std::string> everything(const char* schema, std::size_t longest) {
    JsonSchemaOptions o = JsonSchemaOptions::serving();
    o.blanks = 0;
    std::vector<std::string> bytes;
    for (int b = 0; b < 128; ++b) bytes.emplace_back(1, static_cast<char>(b));
    Matcher m(Grammar::from_json_schema_text(schema, o), make_token_trie(bytes), {});
    std::vector<std::string> out;
    std::string path;
    const std::function<void()> look = [&] {
        std::vector<std::uint32_t> bits(4);
        m.mask(bits);
        const bool end = m.may_end();
        if (end) out.push_back(path);
        if (path.size() == longest) {
            out.push_back(path + "...");
            return;
        }
        bool more = false;
        for (int b = 0; b < 128; ++b) {
            if ((bits[static_cast<std::size_t>(b) / 32] >> (b % 32) & 1U) == 0) continue;
            more = true;
            path.push_back(static_cast<char>(b));
            EXPECT_TRUE(m.accept(b));
            look();
            m.rollback(1);
            path.pop_back();
        }
        if (!more && !end) out.push_back("dead end behind " + path);
    };
    look();
    std::sort(out.begin(), out.end());
    return out;
}

TEST(GrammarSchema, EveryWayThroughANumberEnds) {
    using Texts = std::vector<std::string>;
    EXPECT_EQ(everything(R"({"type":"number","multipleOf":0.1,"minimum":0.15,"maximum":0.95})", 12),
              (Texts{"0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9"}));
    EXPECT_EQ(everything(R"({"type":"number","multipleOf":0.25,"minimum":0.2,"maximum":1})", 12),
              (Texts{"0.25", "0.5", "0.50", "0.75", "1", "1.0", "1.00"}));
    EXPECT_EQ(everything(R"({"type":"integer","multipleOf":7,"exclusiveMinimum":-14,"maximum":14})", 12),
              (Texts{"-0", "-7", "0", "14", "7"}));
    EXPECT_EQ(everything(R"({"enum":[0.3,12.25]})", 12), (Texts{"0.3", "0.30", "12.25"}));
    EXPECT_EQ(everything(R"({"type":"integer","not":{"multipleOf":2},"minimum":1,"maximum":8})", 12),
              (Texts{"1", "3", "5", "7"}));
    for (const char* never : {R"({"type":"integer","not":{"multipleOf":1}})",
                              R"({"type":"number","multipleOf":0.1,"minimum":0.11,"maximum":0.19})",
                              R"({"type":"number","minimum":0.5,"exclusiveMaximum":0.5})"}) {
        EXPECT_THROW(static_cast<void>(Grammar::from_json_schema_text(never, JsonSchemaOptions::serving())), Error)
            << never;
    }
}

// Where there are too many texts for a list: some at random, each to its end. The longest way is what the digits allow.
TEST(GrammarSchema, NumbersEndWithoutBoundsToo) {
    std::vector<std::string> bytes;
    for (int b = 0; b < 128; ++b) bytes.emplace_back(1, static_cast<char>(b));
    const auto trie = make_token_trie(bytes);
    JsonSchemaOptions o = JsonSchemaOptions::serving();
    o.blanks = 0;
    for (const char* schema :
         {R"({"type":"number"})", R"({"type":"integer"})", R"({"type":"number","multipleOf":0.01})",
          R"({"type":"number","multipleOf":1e-300,"minimum":1e200})", R"({"type":"number","exclusiveMinimum":0})",
          R"({"type":"number","exclusiveMinimum":0,"exclusiveMaximum":5e-324})",
          R"({"type":"number","exclusiveMinimum":0.9999999999999999,"exclusiveMaximum":1})",
          R"({"type":"number","multipleOf":0.3,"not":{"enum":[0,0.3,0.6]},"minimum":0})",
          R"({"type":"number","multipleOf":0.07,"not":{"multipleOf":0.02},"maximum":1e25,"minimum":1e24})"}) {
        const auto grammar = Grammar::from_json_schema_text(schema, o);
        std::uint64_t random = 1;
        for (int i = 0; i < 10; ++i) {
            Matcher m(grammar, trie, {});
            std::vector<std::uint32_t> bits(4);
            std::string text;
            for (;;) {
                m.mask(bits);
                std::vector<int> may;
                for (int b = 0; b < 128; ++b) {
                    if ((bits[static_cast<std::size_t>(b) / 32] >> (b % 32) & 1U) != 0) may.push_back(b);
                }
                if (may.empty()) break;
                random = random * 6364136223846793005ULL + 1442695040888963407ULL;
                // Half of them are as long as can be.
                const bool zero = i % 2 == 1 && std::find(may.begin(), may.end(), '0') != may.end() && !text.empty();
                const int next = zero ? '0' : may[(random >> 33U) % may.size()];
                ASSERT_TRUE(m.accept(next));
                text.push_back(static_cast<char>(next));
                ASSERT_LT(text.size(), 1200U) << schema << " has no end: " << text;
            }
            EXPECT_TRUE(m.may_end()) << schema << " has a dead end behind " << text;
            EXPECT_TRUE(grammar->matches(text)) << schema << text;
        }
    }
}

}  // namespace
}  // namespace freehold
