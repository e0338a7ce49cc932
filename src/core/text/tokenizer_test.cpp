// The tokenizers' rules one by one: patterns, merges, bytes that are no text, long inputs, special tokens, streams.
#include "freehold/text/tokenizer.h"

#include <gtest/gtest.h>

#include <ctime>

#include "freehold/base/error.h"
#include "pattern.h"
#include "pre_patterns.h"
#include "unicode.h"

namespace freehold {
namespace {

using Ids = std::vector<std::int32_t>;
using Texts = std::vector<std::string>;

// A byte-level vocabulary: all 256 bytes, then the merges given.
ValueMap byte_level_keys(const std::string& pre, const Texts& merges, const Texts& control = {},
                         const Texts& defined = {}) {
    Texts tokens;
    std::vector<std::int32_t> types;
    char32_t next = 0x100;
    for (char32_t b = 0; b < 256; ++b) {
        const bool visible = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
        std::string text;
        text::append_utf8(text, visible ? b : next++);
        tokens.push_back(text);
    }
    for (const auto& merge : merges) {
        const std::size_t space = merge.find(' ');
        tokens.push_back(merge.substr(0, space) + merge.substr(space + 1));
    }
    types.assign(tokens.size(), 1);
    for (const auto& text : control) {
        tokens.push_back(text);
        types.push_back(3);
    }
    for (const auto& text : defined) {
        tokens.push_back(text);
        types.push_back(4);
    }
    return {{"tokenizer.ggml.model", "gpt2"},
            {"tokenizer.ggml.pre", pre},
            {"tokenizer.ggml.tokens", tokens},
            {"tokenizer.ggml.token_type", types},
            {"tokenizer.ggml.merges", merges}};
}

Texts pieces_of(const Tokenizer& tokenizer, std::string_view text, EncodeOptions options = {}) {
    Texts out;
    for (const auto id : tokenizer.encode(text, options)) out.push_back(tokenizer.piece(id, true));
    return out;
}

struct Words : text::PieceSink {
    Texts words;
    void take(const text::Piece& piece) override { words.emplace_back(piece.text); }
};

TEST(PrePatterns, EveryEntryCompilesAndCoversTheText) {
    const std::string sample = "Hello  world's 12345\t\n\n ÄÖ日本語 カナ 한국어 😀!?  \r\n x²";
    for (const auto& pattern : text::all_pre_patterns()) {
        SCOPED_TRACE(std::string(pattern.names));
        Words sink;
        const auto list = text::make_pre_tokenizers(pattern);
        text::pre_tokenize(list, {sample, true, 0}, sink);
        ASSERT_FALSE(sink.words.empty());
        std::size_t bytes = 0;
        for (const auto& word : sink.words) bytes += word.size();
        EXPECT_GE(bytes, sample.size());  // byte characters are longer, and nothing may be lost
    }
    EXPECT_EQ(text::find_pre_pattern("gpt"), nullptr);
    EXPECT_NE(text::find_pre_pattern("llama-v3"), nullptr);
}

TEST(Regex, ReadsOnigurumasDialect) {
    const auto first = [](std::string_view pattern, std::string_view text) -> std::string {
        const auto m = text::Regex(pattern, "test").find(text, 0);
        return m ? std::string(text.substr(m->begin, m->end - m->begin)) : "none";
    };
    EXPECT_EQ(first(R"(\h+)", "xyz 0aF!"), "0aF");  // hexadecimal digits, not blanks
    EXPECT_EQ(first(R"(\s+)",
                    "a\xE1\xA0\x8E"
                    "b"),
              "none");                                 // U+180E is no space any more
    EXPECT_EQ(first(R"(a{1,2}+)", "aaaaa"), "aaaaa");  // repeats again, is no possessive
    EXPECT_EQ(first(R"(a{,2}b)", "aaab"), "aab");
    EXPECT_EQ(first(R"([a-c[x-z]]+)", "--xayb--"), "xayb");  // nested classes are unions
    EXPECT_EQ(first(R"([\s-x]+)", "a-x b"), "-x ");
    EXPECT_EQ(first(R"((?m).+)", "a\nb"), "a\nb");  // Ruby's m
    EXPECT_EQ(first(R"(^b)", "a\nb"), "b");         // ^ is always at lines
    EXPECT_EQ(first(R"(\p{^L}+)", "ab12"), "12");
    EXPECT_EQ(first(R"(\p{Letter}+)", "12ab"), "ab");
    EXPECT_EQ(first(R"(\p{Han}+)", "a\xE4\xB8\x80\xE3\x80\x81"), "\xE4\xB8\x80");  // the script, not its extensions
    EXPECT_EQ(first(R"((?i:'s))", "x'\xC5\xBF"), "'\xC5\xBF");                     // long s
    EXPECT_EQ(first(R"(\p{So})", "\xF0\x9F\xAB\x9C"), "\xF0\x9F\xAB\x9C");         // newer than PCRE2's tables
    EXPECT_EQ(first(R"([^\r\n\p{L}\p{N}]?+\p{L}++)", "!abc"), "!abc");
    EXPECT_THROW(text::Regex("[a&&b]", "test"), Error);
    EXPECT_THROW(text::Regex("(a", "test"), Error);
}

TEST(ByteLevel, MergesByRankThenFromTheLeft) {
    const auto tokenizer = Tokenizer::from_gguf(byte_level_keys("gpt-2", {"b c", "a b", "ab c", "a a", "aa a"}));
    EXPECT_EQ(pieces_of(*tokenizer, "abc"), (Texts{"a", "bc"}));
    EXPECT_EQ(pieces_of(*tokenizer, "ab"), (Texts{"ab"}));
    EXPECT_EQ(pieces_of(*tokenizer, "aaaaa"), (Texts{"aa", "aaa"}));
}

TEST(ByteLevel, IgnoreMergesTakesWholeWords) {
    const Texts merges{"b c", "a b", "ab c"};
    EXPECT_EQ(pieces_of(*Tokenizer::from_gguf(byte_level_keys("llama-bpe", merges)), "abc"), (Texts{"abc"}));
    EXPECT_EQ(pieces_of(*Tokenizer::from_gguf(byte_level_keys("dbrx", merges)), "abc"), (Texts{"a", "bc"}));
}

TEST(ByteLevel, BytesThatAreNoTextComeBack) {
    const auto tokenizer = Tokenizer::from_gguf(byte_level_keys("qwen2", {"a b"}));
    std::string all;
    for (int i = 0; i < 70000; ++i) all.push_back(static_cast<char>((i * 7919 + i / 255) & 0xFF));
    for (const std::string& text : {std::string("\xFF\xFE"
                                                "ab\xC3"),
                                    std::string("\xED\xA0\x80 \xF4\x90\x80\x80"), all,
                                    std::string("\xF4\x80\x80\x80 \x80"), std::string("\0a\0", 3)}) {
        EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
    }
}

TEST(ByteLevel, SpecialTokensOnlyWhenAsked) {
    const auto tokenizer = Tokenizer::from_gguf(byte_level_keys("gpt-2", {}, {"<|end|>"}, {"[x]", "[x][x]"}));
    const auto end = tokenizer->find("<|end|>").value();
    EXPECT_EQ(tokenizer->encode("<|end|>", {.parse_special = true}), (Ids{end}));
    EXPECT_EQ(tokenizer->encode("<|end|>").size(), 7U);
    EXPECT_EQ(tokenizer->encode("[x][x][x]"), (Ids{tokenizer->find("[x][x]").value(), tokenizer->find("[x]").value()}));
    EXPECT_EQ(tokenizer->decode(Ids{end, 'A'}), "A");
    EXPECT_EQ(tokenizer->decode(Ids{end}, true), "<|end|>");
    EXPECT_EQ(tokenizer->stop_ids(), (Ids{end}));
    EXPECT_EQ(tokenizer->decode(Ids{-5, 1 << 30}), "");
    EXPECT_THROW((void)tokenizer->token(-1), Error);
}

TEST(SentencePiece, ScoresDriveTheMerges) {
    Texts tokens{"<unk>", "<s>", "</s>"};
    std::vector<std::int32_t> types{2, 3, 3};
    std::vector<float> scores{0, 0, 0};
    for (int b = 0; b < 256; ++b) {
        char text[8];
        (void)std::snprintf(text, sizeof text, "<0x%02X>", static_cast<unsigned>(b));
        tokens.emplace_back(text);
        types.push_back(6);
        scores.push_back(0);
    }
    for (const auto& [text, score] : std::vector<std::pair<std::string, float>>{{"\xE2\x96\x81", -9},
                                                                                {"a", -9},
                                                                                {"b", -9},
                                                                                {"ab", -2},
                                                                                {"ba", -1},
                                                                                {"\xE2\x96\x81"
                                                                                 "a",
                                                                                 -3},
                                                                                {"aba", -4}}) {
        tokens.push_back(text);
        types.push_back(1);
        scores.push_back(score);
    }
    const ValueMap keys{{"tokenizer.ggml.model", "llama"},
                        {"tokenizer.ggml.tokens", tokens},
                        {"tokenizer.ggml.token_type", types},
                        {"tokenizer.ggml.scores", scores}};
    const auto tokenizer = Tokenizer::from_gguf(keys);
    EXPECT_TRUE(tokenizer->adds_bos());
    EXPECT_EQ(tokenizer->bos(), 1);
    const auto texts = [&](std::string_view text) {
        Texts out;
        for (const auto id : tokenizer->encode(text, {.add_special = false})) out.push_back(tokenizer->token(id).text);
        return out;
    };
    EXPECT_EQ(texts("ab"), (Texts{"\xE2\x96\x81", "ab"}));
    EXPECT_EQ(texts("aba"), (Texts{"\xE2\x96\x81"
                                   "a",
                                   "ba"}));
    EXPECT_EQ(texts("\xC3\xA9"), (Texts{"\xE2\x96\x81", "<0xC3>", "<0xA9>"}));
    EXPECT_EQ(texts(""), Texts{});
    EXPECT_EQ(tokenizer->encode(""), (Ids{1}));
    for (const std::string& text : {std::string("a b\xFF"), std::string("  \xC3"), std::string("\n\xF0\x9F\x98\x80")}) {
        EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
    }
    // In the middle of a text the leading space stays.
    EXPECT_EQ(tokenizer->piece(tokenizer
                                   ->find("\xE2\x96\x81"
                                          "a")
                                   .value()),
              " a");
    StreamDecoder middle(tokenizer, false, false);
    EXPECT_EQ(middle.push(tokenizer
                              ->find("\xE2\x96\x81"
                                     "a")
                              .value()),
              " a");
}

TEST(StreamDecoder, WaitsForWholeCharacters) {
    const auto tokenizer = Tokenizer::from_gguf(byte_level_keys("gpt-2", {}));
    StreamDecoder stream(tokenizer);
    const Ids ids = tokenizer->encode("\xF0\x9F\x98\x80!");
    ASSERT_EQ(ids.size(), 5U);
    EXPECT_EQ(stream.push(ids[0]), "");
    EXPECT_EQ(stream.push(ids[1]), "");
    EXPECT_EQ(stream.push(ids[2]), "");
    EXPECT_EQ(stream.push(ids[3]), "\xF0\x9F\x98\x80");
    EXPECT_EQ(stream.push(ids[4]), "!");
    EXPECT_EQ(stream.push(ids[0]), "");
    EXPECT_EQ(stream.push(ids[4]), "\xEF\xBF\xBD!");  // what will never be a character does not hold the rest back
    EXPECT_EQ(stream.push(ids[0]), "");
    EXPECT_EQ(stream.finish(), "\xEF\xBF\xBD");
}

// No input may be quadratic. Processor time, with a bound that leaves room for sanitizers: quadratic work takes
// minutes.
TEST(Tokenizer, LongInputsAreLinear) {
    const Texts merges{"a a", "aa aa", "aaaa aaaa", "\xC4\xA0 \xC4\xA0", "\xC4\xA0\xC4\xA0 \xC4\xA0\xC4\xA0"};
    const std::size_t size = 1U << 18U;
    std::string marks = "o";
    while (marks.size() < size) marks += "\xCC\x81\xCC\xA3";  // combining marks whose order must be changed
    std::string mixed;
    while (mixed.size() < size) mixed += "Word, word 123\n  x=y; \xD0\x9F\xD1\x80 \xE6\x97\xA5\xE6\x9C\xAC ";
    for (const std::string_view pre :
         {"gpt-2", "llama-bpe", "qwen2", "deepseek-llm", "deepseek-v3", "tekken", "gpt-4o", "falcon", "default"}) {
        const auto tokenizer =
            Tokenizer::from_gguf(byte_level_keys(std::string(pre), merges, {"<|end|>"}, {"  ", "\n\n"}));
        for (const std::string& text :
             {std::string(size, 'a'), std::string(size, ' '), std::string(size, '\n'), std::string(size, '!'),
              std::string(size, '7'), std::string(size, '\xFF'), std::string(size, 'A'), marks, mixed}) {
            const std::clock_t begin = std::clock();
            const auto ids = tokenizer->encode(text, {.parse_special = true});
            const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
            EXPECT_LT(seconds, 15.0) << pre << " " << text.substr(0, 10);
            if (text[0] != 'o') {
                EXPECT_EQ(tokenizer->decode(ids, true), text);
            }
        }
    }
}

TEST(Unicode, BrokenPartsAreReplacedAsTheStandardSays) {
    EXPECT_EQ(text::repair_utf8("a\xF0\x9F\x98z"), "a\xEF\xBF\xBDz");
    EXPECT_EQ(text::repair_utf8("\xC0\xAF"), "\xEF\xBF\xBD\xEF\xBF\xBD");
    EXPECT_EQ(text::repair_utf8("\xED\xA0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
    EXPECT_EQ(text::unfinished_tail("ab\xE2\x82"), 2U);
    EXPECT_EQ(text::unfinished_tail("ab\xE2\x28"), 4U);
    EXPECT_EQ(text::normal_form("e\xCC\x81", text::NormalForm::nfc), "\xC3\xA9");
    EXPECT_EQ(text::normal_form("\xEF\xAC\x81", text::NormalForm::nfkc), "fi");
    EXPECT_EQ(text::normal_form("\xED\x95\x9C", text::NormalForm::nfd), "\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB");
}

}  // namespace
}  // namespace freehold
