// Tokenizers against the libraries of their makers: every folder of tests/golden/tokenizers, and, where
// FREEHOLD_SHARED_DATA names the folder, the published vectors of real vocabularies.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/formats/model_files.h"
#include "freehold/text/tokenizer.h"

namespace freehold {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<std::int32_t>;

const fs::path kGolden = fs::path(FREEHOLD_SOURCE_DIR) / "tests" / "golden" / "tokenizers";

Ids ids_of(const Value& list) {
    Ids out;
    for (std::size_t i = 0; i < list.size(); ++i) out.push_back(static_cast<std::int32_t>(*list.at(i).as_int()));
    return out;
}

std::string text_of(const Value& value) {
    return std::string(*value.as_string());
}

std::shared_ptr<const Tokenizer> load(const fs::path& folder) {
    if (fs::exists(folder / "tokenizer.json")) return Tokenizer::from_hf(read_text(folder / "tokenizer.json"), nullptr);
    return Tokenizer::from_sentencepiece(read_text(folder / "tokenizer.model"), nullptr);
}

std::vector<fs::path> folders() {
    std::vector<fs::path> out;
    for (const auto& entry : fs::directory_iterator(kGolden)) {
        if (entry.is_directory()) out.push_back(entry.path());
    }
    std::sort(out.begin(), out.end());
    return out;
}

// Each row: the text, its ids with special tokens unread, its ids with all that the file adds, and both decodings.
TEST(TokenizerGolden, EncodesAndDecodesAsTheMakersLibraries) {
    ASSERT_GE(folders().size(), 20U);
    for (const fs::path& folder : folders()) {
        const auto tokenizer = load(folder);
        const bool sentence_piece = fs::exists(folder / "tokenizer.model");
        const Value lines = parse_json(read_text(folder / "lines.json"), "lines.json");
        ASSERT_GE(lines.size(), 90U);
        for (std::size_t i = 0; i < lines.size(); ++i) {
            SCOPED_TRACE(folder.filename().string() + " line " + std::to_string(i));
            const Value row = lines.at(i);
            const std::string text = text_of(row.at(0));
            const Ids plain = tokenizer->encode(text, {.add_special = false, .parse_special = false});
            EXPECT_EQ(plain, ids_of(row.at(1)));
            const Ids parsed =
                tokenizer->encode(text, {.add_special = !sentence_piece, .parse_special = !sentence_piece});
            EXPECT_EQ(parsed, ids_of(row.at(2)));
            const std::string shown = tokenizer->decode(parsed, true);
            if (sentence_piece && std::find(parsed.begin(), parsed.end(), tokenizer->unk()) != parsed.end()) continue;
            // Bytes that are no text are U+FFFD there and themselves here.
            if (text_of(row.at(3)).find("\xEF\xBF\xBD") != std::string::npos) continue;
            EXPECT_EQ(shown, text_of(row.at(3)));
            EXPECT_EQ(tokenizer->decode(parsed, false), text_of(row.at(4)));
            StreamDecoder stream(tokenizer, true);
            std::string streamed;
            for (const auto id : parsed) streamed += stream.push(id);
            EXPECT_EQ(streamed + stream.finish(), tokenizer->decode(parsed, true, true));
        }
    }
}

// The same vocabulary through GGUF's keys gives the ids that tokenizer.json gives.
TEST(TokenizerGolden, GgufKeysGiveTheSameIds) {
    const std::vector<std::pair<std::string, std::string>> kinds{
        {"gpt2", "gpt-2"},    {"llama3", "llama-bpe"}, {"qwen", "qwen2"},   {"deepseek", "deepseek-v3"},
        {"falcon", "falcon"}, {"starcoder", "smollm"}, {"o200k", "gpt-4o"}, {"inverted", "dbrx"},
        {"tekken", "tekken"}, {"bloom", "bloom"}};
    for (const auto& [folder, pre] : kinds) {
        const Value json = parse_json(read_text(kGolden / folder / "tokenizer.json"), "tokenizer.json");
        const auto& root = *json.get<ValueMap>();
        const auto& vocab = *find(root, "model.vocab")->get<ValueMap>();
        const Value& merges = *find(root, "model.merges");
        const Value& added = *find(root, "added_tokens");
        std::vector<std::string> tokens(vocab.size() + added.size());
        std::vector<std::int32_t> types(tokens.size(), 1);
        std::size_t count = 0;
        const auto put = [&](std::int64_t id, std::string text, std::int32_t type) {
            const auto index = static_cast<std::size_t>(id);
            tokens.at(index) = std::move(text);
            types.at(index) = type;
            count = std::max(count, index + 1);
        };
        for (const auto& entry : vocab) put(*entry.value.as_int(), entry.key, 1);
        for (std::size_t i = 0; i < added.size(); ++i) {
            const Value entry = added.at(i);
            const auto& token = *entry.get<ValueMap>();
            put(*token.find("id")->as_int(), text_of(*token.find("content")),
                *token.find("special")->as_bool() ? 3 : 4);
        }
        tokens.resize(count);
        types.resize(count);
        std::vector<std::string> pairs;
        for (std::size_t i = 0; i < merges.size(); ++i)
            pairs.push_back(text_of(merges.at(i).at(0)) + " " + text_of(merges.at(i).at(1)));
        const ValueMap meta{{"tokenizer.ggml.model", "gpt2"},  {"tokenizer.ggml.pre", pre},
                            {"tokenizer.ggml.tokens", tokens}, {"tokenizer.ggml.token_type", types},
                            {"tokenizer.ggml.merges", pairs},  {"tokenizer.ggml.add_bos_token", false}};
        const auto tokenizer = Tokenizer::from_gguf(meta);
        EXPECT_EQ(tokenizer->pre(), pre);
        const Value lines = parse_json(read_text(kGolden / folder / "lines.json"), "lines.json");
        for (std::size_t i = 0; i < lines.size(); ++i) {
            SCOPED_TRACE(folder + " line " + std::to_string(i));
            const Value row = lines.at(i);
            const Ids ids = tokenizer->encode(text_of(row.at(0)), {.add_special = false, .parse_special = false});
            EXPECT_EQ(ids, ids_of(row.at(1)));
        }
    }
}

struct Published {
    std::string vectors, vocabulary;  // the name in the files .inp and .out; a GGUF or a packed tokenizer.json
};

TEST(TokenizerGolden, PublishedVectorsOfRealVocabularies) {
    const char* shared = std::getenv("FREEHOLD_SHARED_DATA");
    if (shared == nullptr) GTEST_SKIP() << "FREEHOLD_SHARED_DATA does not name the folder of shared test data";
    const fs::path folder = fs::path(shared) / "tokenizers" / "vectors";
    if (!fs::exists(folder)) GTEST_SKIP() << "there is no " << folder;
    int files = 0;
    for (const auto& entry : fs::directory_iterator(folder)) {
        const fs::path vocabulary = entry.path();
        if (vocabulary.extension() != ".gguf" || !fs::exists(vocabulary.string() + ".out")) continue;
        const auto tokenizer = Tokenizer::from_gguf(ModelFiles::open(vocabulary)->meta());
        const std::string texts = read_text(vocabulary.string() + ".inp");
        std::istringstream expected(read_text(vocabulary.string() + ".out"));
        constexpr std::string_view kBetween = "\n__ggml_vocab_test__\n";
        std::string line;
        for (std::size_t at = 0; at != std::string::npos && std::getline(expected, line);) {
            const std::size_t end = texts.find(kBetween, at);
            const std::string text = texts.substr(at, end == std::string::npos ? end : end - at);
            Ids ids;
            std::istringstream numbers(line);
            for (std::int32_t id = 0; numbers >> id;) ids.push_back(id);
            EXPECT_EQ(tokenizer->encode(text, {.add_special = false}), ids) << vocabulary << ": " << text;
            at = end == std::string::npos ? end : end + kBetween.size();
        }
        ++files;
    }
    EXPECT_GE(files, 6);
}

}  // namespace
}  // namespace freehold
