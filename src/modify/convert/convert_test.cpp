// Tiny models from one container into the other and back compute what transformers computes; tokenizers give the same
// tokens; what cannot be carried is said, and nothing is left behind.
#include "freehold/convert/convert.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <functional>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/formats/origin.h"
#include "freehold/formats/quantise.h"
#include "freehold/text/tokenizer.h"
#include "golden.h"
#include "parts.h"
#include "test_session.h"

namespace freehold {
namespace {

namespace fs = std::filesystem;

class Folder {
 public:
    Folder() : path_(fs::temp_directory_path() / ("freehold-convert-" + std::to_string(getpid()))) {
        fs::remove_all(path_);
        fs::create_directories(path_);
    }
    ~Folder() { fs::remove_all(path_); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    [[nodiscard]] fs::path operator/(const char* name) const { return path_ / name; }
    [[nodiscard]] std::size_t entries() const {
        return static_cast<std::size_t>(std::distance(fs::directory_iterator(path_), fs::directory_iterator()));
    }

 private:
    fs::path path_;
};

ConvertOptions without_tokenizer(DType type = DType::None) {
    ConvertOptions options;
    options.type = type;
    options.tokenizer = false;
    return options;
}

std::vector<float> logits_of(const fs::path& path, const std::vector<Token>& tokens) {
    ThreadPool threads(2);
    const auto decoder = Decoder::load(ModelFiles::open(path), {Profile::f32, true, {}}, threads);
    test::Session session(*decoder, threads);
    return session.feed(tokens, 0);
}

class Convert : public testing::TestWithParam<const char*> {};

TEST_P(Convert, ThereAndBackComputesTheSame) {
    const test::Golden golden = test::read_golden(GetParam());
    const Folder at;
    const auto source = ModelFiles::open(test::golden_folder(GetParam()));
    const ConvertReport there = convert_to_gguf(source, at / "model.gguf", without_tokenizer());
    EXPECT_EQ(there.bytes, fs::file_size(at / "model.gguf"));
    const std::vector<float> in_gguf = logits_of(at / "model.gguf", golden.tokens);
    EXPECT_LE(test::difference(in_gguf, golden.logits), 1e-4);
    // What is not said twice: the folder's own answer is as near.
    const std::vector<float> in_folder = logits_of(test::golden_folder(GetParam()), golden.tokens);
    EXPECT_LE(test::difference(in_gguf, in_folder), 1e-5);

    static_cast<void>(convert_to_folder(ModelFiles::open(at / "model.gguf"), at / "folder", without_tokenizer()));
    const std::vector<float> again = logits_of(at / "folder", golden.tokens);
    EXPECT_LE(test::difference(again, in_folder), 1e-5);
    EXPECT_EQ(at.entries(), 2U) << "something temporary is left";
    const auto back = ModelFiles::open(at / "folder");
    for (const auto& [name, tensor] : source->tensors()) {
        const Tensor* other = back->find_tensor(name);
        if (other == nullptr || name.find("norm") != std::string::npos) continue;  // prefixes; 1 + w - 1
        const Tensor a = tensor.to_f32(), b = other->to_f32();
        ASSERT_EQ(a.shape(), b.shape()) << name;
        EXPECT_EQ(std::memcmp(a.data(), b.data(), a.nbytes()), 0) << name;
    }
}

INSTANTIATE_TEST_SUITE_P(Families, Convert,
                         testing::Values("llama", "llama-linear", "llama-yarn", "gemma3", "gpt2", "qwen3moe-all",
                                         "olmoe"),
                         [](const auto& which) {
                             std::string name = which.param;
                             for (char& c : name) c = c == '-' ? '_' : c;
                             return name;
                         });

// Where the result comes from goes along, there and back, with what the source said of itself.
TEST(ConvertModels, NameTheFilesThatTheyWereMadeFrom) {
    const Folder at;
    const std::string first = "sha256:" + std::string(64, 'a'), second = "sha256:" + std::string(64, 'b');
    ConvertOptions options = without_tokenizer();
    options.source = first + " " + second;
    static_cast<void>(convert_to_gguf(ModelFiles::open(test::golden_folder("llama")), at / "model.gguf", options));
    const auto there = ModelFiles::open(at / "model.gguf");
    EXPECT_EQ(there->meta().find(kConvertedFrom)->as_string(), options.source);
    EXPECT_EQ(there->meta().find(kQuantisedBefore), nullptr);
    options.source = "sha256:" + std::string(64, 'c');
    static_cast<void>(convert_to_folder(there, at / "folder", options));
    EXPECT_EQ(sources_named(ModelFiles::open(at / "folder")->meta()),
              (std::vector<std::string>{options.source, first, second}));
    // Through a quantised file too.
    static_cast<void>(
        convert_to_gguf(ModelFiles::open(at / "folder"), at / "again.gguf", without_tokenizer(DType::F16)));
    ThreadPool pool(1);
    write_quantised(
        plan_quantise(ModelFiles::open(at / "again.gguf"), quant_mix("q8_0"), "sha256:" + std::string(64, 'd')),
        at / "q8.gguf", pool);
    EXPECT_EQ(sources_named(ModelFiles::open(at / "q8.gguf")->meta()),
              (std::vector<std::string>{"sha256:" + std::string(64, 'd'), options.source, first, second}));
}

// Keys are hostile: what is no digest is no source, and no list is endless.
TEST(ConvertModels, OnlyDigestsAreSources) {
    ValueMap meta;
    meta.set(kQuantisedFrom, "sha256:short  sha256:" + std::string(64, 'A') + " sha256:" + std::string(64, '0'));
    EXPECT_EQ(sources_named(meta), std::vector<std::string>{"sha256:" + std::string(64, '0')});
    std::string many;
    for (int i = 0; i < 1000; ++i) many += fmt::format("sha256:{:064x} ", i);
    EXPECT_EQ(digests_in(many).size(), kMostSources);
}

// GGUF has no key for a scale of its own, nor config.json for frequencies of no known scaling.
TEST(ConvertModels, WhatTheOtherContainerCannotTellIsRefused) {
    const auto refusal = [](const std::function<void()>& work) {
        try {
            work();
        } catch (const Error& e) {
            EXPECT_EQ(e.kind(), ErrorKind::unsupported);
            return e.message();
        }
        return std::string("accepted");
    };
    const Folder at;
    for (const char* name : {"gemma3-hf", "gpt2-bare"}) {
        const std::string said = refusal([&] {
            static_cast<void>(
                convert_to_gguf(ModelFiles::open(test::golden_folder(name)), at / "x.gguf", without_tokenizer()));
        });
        EXPECT_NE(said.find("its scale of attention cannot be told"), std::string::npos) << said;
        EXPECT_EQ(at.entries(), 0U);
    }
    const test::Golden golden = test::read_golden("llama3-rope");
    static_cast<void>(
        convert_to_gguf(ModelFiles::open(test::golden_folder("llama3-rope")), at / "rope.gguf", without_tokenizer()));
    EXPECT_LE(test::difference(logits_of(at / "rope.gguf", golden.tokens), golden.logits), 1e-4);
    const std::string said = refusal([&] {
        static_cast<void>(convert_to_folder(ModelFiles::open(at / "rope.gguf"), at / "folder", without_tokenizer()));
    });
    EXPECT_NE(said.find("rope_freqs.weight"), std::string::npos) << said;
    EXPECT_EQ(at.entries(), 1U);
}

TEST(ConvertModels, FilesOfTheFieldsConverterBecomeFolders) {
    for (const char* name : {"llama", "gemma3", "gpt2"}) {
        const test::Golden golden = test::read_golden(name);
        const Folder at;
        static_cast<void>(
            convert_to_folder(ModelFiles::open(test::golden_gguf(name)), at / "folder", without_tokenizer()));
        EXPECT_LE(test::difference(logits_of(at / "folder", golden.tokens), golden.logits), 1e-4) << name;
    }
}

TEST(ConvertModels, QuantisedFoldersKeepTheirNumbers) {
    const std::string folder = std::string(FREEHOLD_SOURCE_DIR) + "/tests/golden/containers/";
    for (const char* name : {"awq", "gptq-sym", "gptq-order", "fp8-block", "fp8-power"}) {
        const Value facts = parse_json(read_text(folder + name + "/expected.json"), "expected.json");
        const auto tokens = test::numbers<Token>(*find(*facts.get<ValueMap>(), "tokens"));
        const Folder at;
        static_cast<void>(convert_to_gguf(ModelFiles::open(folder + name), at / "model.gguf", without_tokenizer()));
        const auto logits = test::read_floats(folder + name + "/expected.bin");
        EXPECT_LE(test::difference(logits_of(at / "model.gguf", tokens), logits), 1e-4) << name;
    }
}

// Experts that folders keep turned and fused, and in MXFP4, which stays MXFP4.
TEST(ConvertModels, ExpertsOfGptOssGoIntoAFile) {
    for (const char* name : {"gpt-oss", "gpt-oss-mxfp4"}) {
        const test::Golden golden = test::read_golden(name);
        const Folder at;
        static_cast<void>(
            convert_to_gguf(ModelFiles::open(test::golden_folder(name)), at / "model.gguf", without_tokenizer()));
        EXPECT_LE(test::difference(logits_of(at / "model.gguf", golden.tokens), golden.logits), 1e-4) << name;
        const auto made = ModelFiles::open(at / "model.gguf");
        const bool packed = std::string_view(name).ends_with("mxfp4");
        EXPECT_EQ(made->tensor("blk.1.ffn_up_exps.weight").dtype(), packed ? DType::MXFP4 : DType::F32);
        if (packed) {  // the same bytes as the field's converter lays out
            const Tensor ours = made->tensor("blk.1.ffn_gate_exps.weight"),
                         theirs = ModelFiles::open(test::golden_gguf(name))->tensor("blk.1.ffn_gate_exps.weight");
            ASSERT_EQ(ours.nbytes(), theirs.nbytes());
            EXPECT_EQ(std::memcmp(ours.data(), theirs.data(), ours.nbytes()), 0);
        }
        EXPECT_THROW(static_cast<void>(convert_to_folder(made, at / "folder", without_tokenizer())), Error);
        EXPECT_EQ(at.entries(), 1U);
    }
}

TEST(ConvertModels, TypesCanBeChosen) {
    const Folder at;
    const auto source = ModelFiles::open(test::golden_folder("llama"));
    static_cast<void>(convert_to_gguf(source, at / "half.gguf", without_tokenizer(DType::F16)));
    const auto half = ModelFiles::open(at / "half.gguf");
    EXPECT_EQ(half->tensor("blk.0.attn_q.weight").dtype(), DType::F16);
    EXPECT_EQ(half->tensor("blk.0.attn_norm.weight").dtype(), DType::F32);
    EXPECT_THROW(static_cast<void>(convert_to_gguf(source, at / "x.gguf", without_tokenizer(DType::Q4_K))), Error);
}

TEST(ConvertModels, ADamagedSourceLeavesNothing) {
    const Folder at;
    fs::create_directories(at / "source");
    fs::copy(test::golden_folder("llama") + "/model.safetensors", at / "source" / "model.safetensors");
    std::string config = read_text(test::golden_folder("llama") + "/config.json");
    const std::size_t place = config.find("\"num_hidden_layers\"");
    config.replace(place, 19, "\"num_hidden_layers\": 9, \"was\"");
    write_text_atomic(at / "source" / "config.json", config);
    EXPECT_THROW(
        static_cast<void>(convert_to_gguf(ModelFiles::open(at / "source"), at / "x.gguf", without_tokenizer())), Error);
    EXPECT_EQ(at.entries(), 1U);
}

// A folder with a tokenizer alone.
std::shared_ptr<const ModelFiles> tokenizer_folder(const char* name) {
    return ModelFiles::open(std::string(FREEHOLD_SOURCE_DIR) + "/tests/golden/tokenizers/" + name);
}

TEST(ConvertTokens, ByteLevelPatternsAreFoundByTheirTokens) {
    for (const auto& [name, pre] :
         {std::pair{"gpt2", "gpt-2"}, std::pair{"llama3", "llama-bpe"}, std::pair{"qwen", "qwen2"},
          std::pair{"neox", "gpt-neox"}, std::pair{"starcoder", "smollm"}}) {
        const auto files = tokenizer_folder(name);
        std::string how;
        const ValueMap keys = convert::gguf_tokenizer(*files, "llama", 0, how);
        EXPECT_EQ(keys.find("tokenizer.ggml.pre")->as_string(), pre) << how;
        const auto made = Tokenizer::from_gguf(keys);
        const auto source =
            Tokenizer::from_hf(*files->side_text("tokenizer.json"), files->side_json("tokenizer_config.json"));
        EXPECT_EQ(made->size(), source->size()) << name;
        for (const char* text :
             {"Another text, with 2024 numbers\nand don't YOU'LL", "\xE4\xB8\xAD\xE6\x96\x87 mixed 12"})
            EXPECT_EQ(made->encode(text), source->encode(text)) << name;
    }
}

}  // namespace
}  // namespace freehold
