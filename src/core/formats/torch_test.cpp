// What torch.save wrote, read without Python: the numbers that torch itself has, and refusals of everything that is
// more than tensors. The files are made by tests/oracle/make_containers.py.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <string>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/hash.h"
#include "freehold/formats/model_files.h"
#include "torch_file.h"

namespace freehold {
namespace {

namespace fs = std::filesystem;
const std::string kFolder = FREEHOLD_SOURCE_DIR "/tests/golden/containers";

Value read(const std::string& path) {
    return parse_json(read_text(path), path);
}

std::string text_of(const Value& list, std::size_t i) {
    return std::string(*list.at(i).as_string());
}

std::string digest_of(std::span<const std::byte> file, const TorchTensor& t) {
    std::vector<std::byte> bytes(t.nbytes);
    if (t.nbytes > 0) gather_torch(file, t, bytes.data());
    return sha256_hex(bytes);
}

TEST(TorchFile, HoldsTheNumbersThatTorchWrote) {
    const Value files = read(kFolder + "/torch/tensors.json");
    std::size_t n = 0;
    for (const ValueEntry& file : *files.get<ValueMap>()) {
        const auto mapped = MappedFile::open(kFolder + "/torch/" + file.key);
        const auto tensors = parse_torch(mapped->bytes(), file.key);
        const ValueMap& expected = *file.value.get<ValueMap>();
        EXPECT_EQ(tensors.size(), expected.size()) << file.key;
        for (const TorchTensor& t : tensors) {
            const Value* fact = expected.find(t.name);
            ASSERT_NE(fact, nullptr) << file.key << " " << t.name;
            EXPECT_EQ(t.type->name, text_of(*fact, 0)) << t.name;
            const Value shape = fact->at(1);
            ASSERT_EQ(shape.size(), t.shape.size()) << t.name;
            for (std::size_t d = 0; d < t.shape.size(); ++d) EXPECT_EQ(*shape.at(d).as_int(), t.shape[d]) << t.name;
            EXPECT_EQ(digest_of(mapped->bytes(), t), text_of(*fact, 2)) << file.key << " " << t.name;
            ++n;
        }
    }
    EXPECT_GT(n, 60U);
}

TEST(TorchFile, RefusesWhatIsMoreThanTensors) {
    const Value facts = read(kFolder + "/torch/hostile.json");
    ASSERT_GT(facts.get<ValueMap>()->size(), 18U);
    for (const ValueEntry& fact : *facts.get<ValueMap>()) {
        const auto mapped = MappedFile::open(kFolder + "/torch/hostile/" + fact.key + ".pt");
        try {
            static_cast<void>(parse_torch(mapped->bytes(), fact.key + ".pt"));
            ADD_FAILURE() << fact.key << " was accepted";
        } catch (const Error& e) {
            EXPECT_EQ(kind_name(e.kind()), text_of(fact.value, 0)) << fact.key << ": " << e.message();
            EXPECT_NE(e.message().find(text_of(fact.value, 1)), std::string::npos) << fact.key << ": " << e.message();
            EXPECT_NE(e.message().find(fact.key), std::string::npos) << e.message();
        }
    }
    EXPECT_FALSE(fs::exists("/tmp/freehold-was-run"));
}

TEST(TorchFile, TheNameThatIsRefusedAndItsPlaceAreSaid) {
    const auto mapped = MappedFile::open(kFolder + "/torch/hostile/system.pt");
    try {
        static_cast<void>(parse_torch(mapped->bytes(), "system.pt"));
        FAIL();
    } catch (const Error& e) {
        EXPECT_NE(e.message().find("system.pt, part archive/data.pkl, offset "), std::string::npos) << e.message();
        EXPECT_NE(e.message().find("nothing was run"), std::string::npos) << e.message();
    }
}

TEST(TorchFile, FoldersOfItOpenLikeAnyOther) {
    const auto want = ModelFiles::open(FREEHOLD_SOURCE_DIR "/tests/golden/models/llama/model.safetensors");
    for (const char* folder : {"/torch-one", "/torch-shards"}) {
        const auto got = ModelFiles::open(kFolder + folder);
        EXPECT_EQ(got->container(), Container::hf);
        ASSERT_EQ(got->tensors().size(), want->tensors().size()) << folder;
        for (const auto& [name, tensor] : want->tensors()) {
            const Tensor& t = got->tensor(name);
            ASSERT_EQ(t.shape(), tensor.shape()) << name;
            EXPECT_EQ(std::memcmp(t.data(), tensor.data(), tensor.nbytes()), 0) << folder << " " << name;
        }
    }
    // Where the rows lie as ours do, they are mapped.
    const auto one = ModelFiles::open(kFolder + "/torch-one/pytorch_model.bin");
    EXPECT_TRUE(one->tensor("model.embed_tokens.weight").storage()->mapped);
}

TEST(TorchFile, ViewsInAnotherOrderAreCopied) {
    const auto files = ModelFiles::open(kFolder + "/torch/views.pt");
    const Tensor& whole = files->tensor("whole");
    const Tensor& turned = files->tensor("turned");
    EXPECT_TRUE(whole.storage()->mapped);
    EXPECT_FALSE(turned.storage()->mapped);
    EXPECT_EQ(files->tensor("tied").data(), whole.data());
    ASSERT_EQ(turned.shape(), (Shape{10, 6}));
    for (int r = 0; r < 10; ++r)
        for (int c = 0; c < 6; ++c)
            EXPECT_EQ(turned.f32()[static_cast<std::size_t>(r * 6 + c)],
                      whole.f32()[static_cast<std::size_t>(c * 10 + r)]);
}

TEST(TorchFile, EveryCutIsARefusal) {
    for (const char* name : {"params.pt", "params-legacy.pt"}) {
        const std::string whole = read_text(kFolder + "/torch/" + name);
        const auto bytes = std::as_bytes(std::span(whole.data(), whole.size()));
        for (std::size_t n = 0; n < whole.size(); n += 7) {
            EXPECT_THROW(static_cast<void>(parse_torch(bytes.first(n), name)), Error) << n;
        }
    }
}

}  // namespace
}  // namespace freehold
