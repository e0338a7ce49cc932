// Model files that other programs wrote, read here: every key and every tensor as those programs say it is.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/hash.h"
#include "freehold/formats/model_files.h"

namespace freehold {
namespace {

namespace fs = std::filesystem;

const fs::path kGolden = fs::path(FREEHOLD_SOURCE_DIR) / "tests" / "golden" / "formats";

ValueMap read_map(const fs::path& path) {
    return *parse_json(read_text(path), path.string()).get<ValueMap>();
}

// Digest of a tensor's bytes, read from the file itself by what the entry says.
std::string digest(const ModelFiles& model, const TensorEntry& entry) {
    const std::string file = read_text(model.files().at(entry.file));
    const std::string bytes = file.substr(entry.offset, entry.nbytes);
    EXPECT_EQ(bytes.size(), entry.nbytes);
    return sha256_hex(std::as_bytes(std::span(bytes)));
}

const TensorEntry* find_entry(const ModelFiles& model, std::string_view name) {
    for (const TensorEntry& e : model.entries()) {
        if (e.name == name) return &e;
    }
    return nullptr;
}

void expect_tensors(const ModelFiles& model, const Value& expected) {
    EXPECT_EQ(model.entries().size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
        const Value tensor = expected.at(i);
        const auto& map = *tensor.get<ValueMap>();
        const std::string name(*map.find("name")->as_string());
        const TensorEntry* entry = find_entry(model, name);
        ASSERT_NE(entry, nullptr) << name;
        EXPECT_EQ(entry->type_name, map.find("type")->as_string()) << name;
        EXPECT_EQ(to_json(ValueList(entry->shape.begin(), entry->shape.end())), to_json(*map.find("shape"))) << name;
        EXPECT_EQ(digest(model, *entry), map.find("sha256")->as_string()) << name;
        if (const Value* offset = map.find("offset")) {
            EXPECT_EQ(std::int64_t(entry->offset), offset->as_int()) << name;
        }
        if (const Tensor* readable = model.find_tensor(name); readable != nullptr && entry->nbytes > 0) {
            EXPECT_EQ(sha256_hex({readable->data(), readable->nbytes()}), map.find("sha256")->as_string()) << name;
            EXPECT_EQ(readable->shape(), Shape(entry->shape)) << name;
        }
    }
}

class GoldenGguf : public testing::TestWithParam<const char*> {};

TEST_P(GoldenGguf, HoldsWhatTheReferenceReaderSees) {
    const ValueMap expected = read_map(kGolden / "all.json");
    const auto model = ModelFiles::open(kGolden / GetParam());
    EXPECT_EQ(model->container(), Container::gguf);
    EXPECT_EQ(model->architecture(), "llama");
    const auto& keys = *expected.find("keys")->get<ValueMap>();
    EXPECT_EQ(model->meta().size(), keys.size());
    for (const ValueEntry& key : keys) {
        const Value* value = model->meta().find(key.key);
        ASSERT_NE(value, nullptr) << key.key;
        EXPECT_EQ(to_json(*value), to_json(key.value)) << key.key;
    }
    EXPECT_EQ(model->meta().begin()->key, "general.architecture") << "keys keep their order";
    EXPECT_NE(model->meta().find("a.texts")->get<std::vector<std::string>>(), nullptr);
    EXPECT_NE(model->meta().find("a.ints")->get<std::vector<std::int32_t>>(), nullptr);
    EXPECT_NE(model->meta().find("a.bytes")->get<std::vector<std::int32_t>>(), nullptr);
    EXPECT_NE(model->meta().find("a.reals")->get<std::vector<float>>(), nullptr);
    expect_tensors(*model, *expected.find("tensors"));
    EXPECT_NE(model->find_tensor("q4_k"), nullptr);
}

INSTANTIATE_TEST_SUITE_P(Versions, GoldenGguf, testing::Values("all.gguf", "all_v2.gguf"));

TEST(Gguf, ListsATensorThatItCannotReadAndRefusesItsNumbers) {
    const auto model = ModelFiles::open(kGolden / "all.gguf");
    ASSERT_NE(find_entry(*model, "i32"), nullptr);
    if (find_traits(DType::IQ4_XS) == nullptr) {
        EXPECT_EQ(model->find_tensor("iq4_xs"), nullptr);
        try {
            static_cast<void>(model->tensor("iq4_xs"));
            FAIL();
        } catch (const Error& e) {
            EXPECT_EQ(e.kind(), ErrorKind::unsupported);
            EXPECT_NE(e.message().find("IQ4_XS"), std::string::npos) << e.message();
        }
    }
    try {
        static_cast<void>(model->tensor("none"));
        FAIL();
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::bad_file);
    }
}

TEST(Gguf, AnyPartOfASplitFileOpensAll) {
    for (const int part : {1, 2, 3}) {
        const auto model =
            ModelFiles::open(kGolden / "split" / ("tiny-0000" + std::to_string(part) + "-of-00003.gguf"));
        EXPECT_EQ(model->files().size(), 3U);
        EXPECT_EQ(model->path().filename(), "tiny-00001-of-00003.gguf");
        EXPECT_EQ(find(model->meta(), "general.name")->as_string(), "in three parts");
        for (int i = 0; i < 5; ++i) {
            const Tensor& t = model->tensor("t" + std::to_string(i));
            EXPECT_EQ(t.shape(), (Shape{2, 3}));
            EXPECT_EQ(t.f32()[5], static_cast<float>(i));
        }
    }
    EXPECT_EQ(ModelFiles::open(kGolden / "split")->entries().size(), 5U) << "the folder holds one model";
}

TEST(Gguf, AVocabularyAloneIsAModelWithoutTensors) {
    const auto model = ModelFiles::open(kGolden / "vocabulary.gguf");
    EXPECT_TRUE(model->tensors().empty());
    EXPECT_EQ(find(model->meta(), "tokenizer.ggml.tokens")->size(), 4U);
}

// A large file that is one hole takes no disk; it must not take memory either.
TEST(Gguf, AHugeEmptyFileTakesNoMemory) {
    const fs::path path = fs::path(testing::TempDir()) / ("freehold_sparse_" + std::to_string(::getpid()) + ".gguf");
    const auto expect_refusal = [&](std::uint64_t n_tensors, std::uint64_t n_keys, const std::string& body,
                                    const char* phrase) {
        std::string out = "GGUF";
        const auto put = [&](auto v) { out.append(reinterpret_cast<const char*>(&v), sizeof(v)); };
        put(std::uint32_t{3});
        put(n_tensors);
        put(n_keys);
        write_text_atomic(path, out + body);
        fs::resize_file(path, std::uintmax_t{1} << 37);
        try {
            ModelFiles::open(path);
            ADD_FAILURE() << "was opened; expected: " << phrase;
        } catch (const Error& e) {
            EXPECT_NE(e.message().find(phrase), std::string::npos) << e.message();
        }
    };
    const auto number = [](auto v) { return std::string(reinterpret_cast<const char*>(&v), sizeof(v)); };
    const std::string key = number(std::uint64_t{1}) + "k";
    const std::uint64_t many = std::uint64_t{1} << 33;
    expect_refusal(0, many, "", "cannot fit");
    expect_refusal(0, 1 << 21, "", "are more than the");
    expect_refusal(1 << 21, 0, "", "are more than the");
    expect_refusal(0, 1, number(many) + "k", "goes past the end");
    expect_refusal(0, 1, key + number(8U) + number(many), "goes past the end");
    expect_refusal(0, 1, key + number(9U) + number(0U) + number(many), "cannot fit");
    expect_refusal(0, 1, key + number(9U) + number(0U) + number(many >> 8), "arrays hold more than");
    expect_refusal(0, 1, key + number(9U) + number(7U) + number(std::uint64_t{1} << 22),
                   "arrays of this kind hold more than");
    fs::remove(path);
}

void expect_texts(const ModelFiles& model) {
    EXPECT_EQ(model.container(), Container::hf);
    EXPECT_EQ(model.architecture(), "llama");
    EXPECT_EQ(find(model.meta(), "rope_scaling.factor")->as_double(), 8.0);
    EXPECT_EQ(find(model.meta(), "eos_token_id")->at(1).as_int(), 2);
    ASSERT_NE(model.side_json("generation_config.json"), nullptr);
    EXPECT_EQ(find(*model.side_json("tokenizer_config.json"), "bos_token.content")->as_string(), "<s>");
    EXPECT_EQ(model.side_json("special_tokens_map.json"), nullptr);
    EXPECT_EQ(model.side_text("chat_template.jinja"), "{{ bos_token }}");
    EXPECT_EQ(model.side_text("tokenizer.json"), "{\"version\": \"1.0\"}");
    EXPECT_EQ(model.side_text("tokenizer.model"), std::nullopt);
    EXPECT_THROW(static_cast<void>(model.side_text("../all.json")), Error);
    EXPECT_EQ(model.side_json("__metadata__")->find("format")->as_string(), "pt");
}

TEST(HfFolder, OneFile) {
    for (const fs::path& path : {kGolden / "hf_single", kGolden / "hf_single" / "model.safetensors"}) {
        const auto model = ModelFiles::open(path);
        expect_texts(*model);
        expect_tensors(*model, *read_map(kGolden / "hf_single.json").find("tensors"));
        EXPECT_EQ(model->tensor("w1.scalar").f32()[0], 2.5F);
        EXPECT_EQ(model->find_tensor("w1.bool"), nullptr) << "listed, not readable";
        EXPECT_EQ(model->find_tensor("w1.five"), nullptr) << "five dimensions";
    }
}

TEST(HfFolder, Shards) {
    for (const fs::path& path : {kGolden / "hf_sharded", kGolden / "hf_sharded" / "model-00002-of-00002.safetensors"}) {
        const auto model = ModelFiles::open(path);
        expect_texts(*model);
        expect_tensors(*model, *read_map(kGolden / "hf_sharded.json").find("tensors"));
    }
}

// A llama2.c checkpoint of one layer, built by hand: numbers count up, so that every tensor tells where it came from.
class Llama2c : public testing::Test {
 protected:
    void SetUp() override {
        folder_ = fs::path(testing::TempDir()) / ("freehold_llama2c_" + std::to_string(::getpid()));
        fs::create_directories(folder_);
    }
    void TearDown() override { fs::remove_all(folder_); }

    fs::path write_model(std::int32_t vocab) const {
        std::string out;
        const auto put = [&](auto v) { out.append(reinterpret_cast<const char*>(&v), sizeof(v)); };
        for (const std::int32_t n : {8, 12, 2, 4, 2, vocab, 16})
            put(n);  // dim hidden layers heads kv_heads vocab context
        const int v = std::abs(vocab);
        const int floats =
            v * 8 + 2 * (8 + 64 + 32 + 32 + 64 + 8 + 96 + 96 + 96) + 8 + 16 * 2 + (vocab < 0 ? v * 8 : 0);
        for (int i = 0; i < floats; ++i) put(static_cast<float>(i));
        write_text_atomic(folder_ / "tiny.bin", out);
        return folder_ / "tiny.bin";
    }
    void write_tokenizer(const std::string& name, const std::vector<std::string>& tokens) const {
        std::string out;
        const auto put = [&](auto v) { out.append(reinterpret_cast<const char*>(&v), sizeof(v)); };
        put(std::int32_t{8});
        for (std::size_t i = 0; i < tokens.size(); ++i) {
            put(-static_cast<float>(i));
            put(static_cast<std::int32_t>(tokens[i].size()));
            out += tokens[i];
        }
        write_text_atomic(folder_ / name, out);
    }
    fs::path folder_;
};

TEST_F(Llama2c, LooksLikeAGgufModel) {
    write_tokenizer("tok6.bin", {"<unk>", "\n<s>\n", "\n</s>\n", "<0x41>", " a", "b c"});
    const auto model = ModelFiles::open(write_model(6));
    EXPECT_EQ(model->container(), Container::llama2c);
    EXPECT_EQ(model->architecture(), "llama");
    EXPECT_EQ(find(model->meta(), "llama.attention.head_count_kv")->as_int(), 2);
    EXPECT_EQ(find(model->meta(), "llama.context_length")->as_int(), 16);
    EXPECT_EQ(to_json(*find(model->meta(), "tokenizer.ggml.tokens")),
              "[\"<unk>\",\"<s>\",\"</s>\",\"<0x41>\",\"▁a\",\"b▁c\"]");
    EXPECT_EQ(to_json(*find(model->meta(), "tokenizer.ggml.token_type")), "[2,3,3,6,1,1]");
    EXPECT_EQ(find(model->meta(), "tokenizer.ggml.scores")->at(4).as_double(), -4.0);
    EXPECT_EQ(model->tensor("token_embd.weight").f32()[0], 0.0F);
    EXPECT_EQ(model->tensor("blk.1.attn_norm.weight").f32()[0], 48.0F + 8);
    const Tensor& k = model->tensor("blk.1.attn_k.weight");
    EXPECT_EQ(k.shape(), (Shape{4, 8}));
    EXPECT_EQ(k.f32()[0], 48.0F + 16 + 128 + 32);
    EXPECT_EQ(model->tensor("blk.0.ffn_down.weight").shape(), (Shape{8, 12}));
    EXPECT_EQ(model->tensor("output_norm.weight").f32()[0], 48.0F + 2 * 496);
    EXPECT_EQ(model->find_tensor("output.weight"), nullptr) << "the head is tied";
    EXPECT_EQ(model->entries().size(), 1U + 2 * 9 + 1);
    EXPECT_EQ(model->files().size(), 2U);
}

TEST_F(Llama2c, ANegativeVocabularyMeansAHeadOfItsOwnAndTheTokenizerMayBeMissing) {
    const auto model = ModelFiles::open(write_model(-6));
    EXPECT_EQ(model->tensor("output.weight").f32()[0], 48.0F + 2 * 496 + 8 + 32);
    EXPECT_EQ(find(model->meta(), "tokenizer.ggml.tokens"), nullptr);
    EXPECT_EQ(find(model->meta(), "llama.vocab_size")->as_int(), 6);
}

TEST_F(Llama2c, SaysWhenSizesDoNotAgree) {
    const fs::path path = write_model(6);
    write_tokenizer("tokenizer.bin", {"<unk>", "<s>", "</s>", "a", "b", "c", "d"});
    EXPECT_THROW(ModelFiles::open(path), Error) << "one token too many";
    fs::remove(folder_ / "tokenizer.bin");
    EXPECT_EQ(ModelFiles::open(folder_)->container(), Container::llama2c)
        << "a folder with one checkpoint is that model";
    fs::resize_file(path, fs::file_size(path) - 4);
    try {
        ModelFiles::open(path);
        FAIL();
    } catch (const Error& e) {
        EXPECT_NE(e.message().find("its header asks for"), std::string::npos) << e.message();
    }
}

TEST_F(Llama2c, RealStoriesModel) {
    const char* shared = std::getenv("FREEHOLD_SHARED_DATA");
    if (shared == nullptr) GTEST_SKIP() << "FREEHOLD_SHARED_DATA is not set: the real stories260K is not at hand.";
    const auto model = ModelFiles::open(fs::path(shared) / "models/stories260K/stories260K.bin");
    EXPECT_EQ(model->entries().size(), 47U);
    EXPECT_EQ(find(model->meta(), "tokenizer.ggml.tokens")->size(), 512U);
    for (const auto& [name, tensor] : model->tensors()) {
        for (const float f : tensor.f32()) ASSERT_TRUE(std::isfinite(f) && std::abs(f) < 100.0F) << name;
    }
}

// Files that are something else get a sentence that says what they are.
struct Other {
    const char* file;
    const char* bytes;
    ErrorKind kind;
    const char* phrase;
};

class OtherFiles : public testing::TestWithParam<Other> {};

TEST_P(OtherFiles, AreNamed) {
    const fs::path folder = fs::path(testing::TempDir()) / ("freehold_other_" + std::to_string(::getpid()));
    fs::create_directories(folder);
    write_text_atomic(folder / GetParam().file, GetParam().bytes);
    try {
        ModelFiles::open(folder / GetParam().file);
        ADD_FAILURE() << "was opened";
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), GetParam().kind) << e.message();
        EXPECT_NE(e.message().find(GetParam().phrase), std::string::npos) << e.message();
        EXPECT_FALSE(e.hint().empty());
    }
    fs::remove_all(folder);
}

INSTANTIATE_TEST_SUITE_P(
    Each, OtherFiles,
    testing::Values(Other{"tokenizer.json", "{\"version\": \"1.0\"}", ErrorKind::unsupported, "a tokenizer alone"},
                    Other{"x.json", "{\n \"version\": \"1.0\",\n \"truncation\": null,", ErrorKind::unsupported,
                          "a tokenizer alone"},
                    Other{"config.json", " {}", ErrorKind::unsupported, "a JSON file"},
                    Other{"chat.jinja", "{{ x }}", ErrorKind::unsupported, "a chat template"},
                    Other{"pytorch_model.bin", "PK\x03\x04zz", ErrorKind::bad_file, "is not a valid archive"},
                    Other{"model.pt", "\x80\x02}q", ErrorKind::unsupported, "a Python pickle"},
                    Other{"a.whl", "PK\x03\x04zz", ErrorKind::unsupported, "an archive"},
                    Other{"old.bin", "tjgg\x01", ErrorKind::unsupported, "from before GGUF"},
                    Other{"empty.gguf", "", ErrorKind::bad_file, "is empty"},
                    Other{"notes.txt", "hello there", ErrorKind::bad_file, "no model file"},
                    Other{"model.gguf", "hello there", ErrorKind::bad_file, "does not begin with \"GGUF\""}),
    [](const testing::TestParamInfo<Other>& i) { return "n" + std::to_string(i.index); });

}  // namespace
}  // namespace freehold
