// FP8, GPTQ and AWQ folders: each weight, expanded, is to the bit what torch computes by the definition of its format
// (tests/oracle/make_containers.py).
#include "freehold/formats/quantised_folder.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/hash.h"

namespace freehold {
namespace {

namespace fs = std::filesystem;
const std::string kFolder = FREEHOLD_SOURCE_DIR "/tests/golden/containers/";

struct Case {
    const char* name;
    DType type;
};
void PrintTo(const Case& c, std::ostream* out) {
    *out << c.name;
}

class Quantised : public testing::TestWithParam<Case> {};

TEST_P(Quantised, EveryWeightIsExact) {
    const std::string folder = kFolder + GetParam().name;
    const auto files = ModelFiles::open(folder);
    const auto quantised = QuantisedFolder::of(*files);
    ASSERT_NE(quantised, nullptr);
    const Value weights = parse_json(read_text(folder + "/weights.json"), "weights.json");
    ASSERT_EQ(weights.get<ValueMap>()->size(), 7U);
    for (const ValueEntry& w : *weights.get<ValueMap>()) {
        ASSERT_TRUE(quantised->holds(w.key)) << w.key;
        const Tensor made = quantised->expand(w.key);
        EXPECT_EQ(dtype_name(made.dtype()), dtype_name(GetParam().type)) << w.key;
        const Tensor floats = made.to_f32();
        EXPECT_EQ(sha256_hex(std::as_bytes(floats.f32())), w.value.as_string()) << w.key;
    }
    EXPECT_FALSE(quantised->holds("model.embed_tokens.weight"));
    EXPECT_FALSE(quantised->holds("model.norm.weight"));
}

INSTANTIATE_TEST_SUITE_P(Folders, Quantised,
                         testing::Values(Case{"fp8-block", DType::F32}, Case{"fp8-tensor", DType::F32},
                                         Case{"fp8-power", DType::BF16}, Case{"gptq-sym", DType::Q4_0},
                                         Case{"gptq-asym", DType::Q5_0}, Case{"gptq-order", DType::F32},
                                         Case{"gptq-v2", DType::Q5_0}, Case{"awq", DType::Q5_0}),
                         [](const auto& which) {
                             std::string name = which.param.name;
                             for (char& c : name) c = c == '-' ? '_' : c;
                             return name;
                         });

const std::string kMxfp4 = FREEHOLD_SOURCE_DIR "/tests/golden/models/gpt-oss-mxfp4";

// llama.cpp's converter lays the same codes out as GGUF blocks, gate and up apart.
TEST(QuantisedFolder, Mxfp4KeepsEveryCode) {
    const auto files = ModelFiles::open(kMxfp4);
    const auto quantised = QuantisedFolder::of(*files);
    ASSERT_NE(quantised, nullptr);
    const auto gguf = ModelFiles::open(kMxfp4 + "/gpt-oss-mxfp4.gguf");
    EXPECT_FALSE(quantised->holds("model.embed_tokens.weight"));
    const std::string at = "model.layers.1.mlp.experts.";
    ASSERT_TRUE(quantised->holds(at + "down_proj"));
    const auto bytes = [](const Tensor& t, std::int64_t row) {
        return std::string(reinterpret_cast<const char*>(t.row(row)), t.row_bytes());
    };
    const Tensor down = quantised->expand(at + "down_proj"), want = gguf->tensor("blk.1.ffn_down_exps.weight");
    ASSERT_EQ(down.dtype(), DType::MXFP4);
    ASSERT_EQ(down.shape(), want.shape());
    for (std::int64_t r = 0; r < down.shape().rows(); ++r) ASSERT_EQ(bytes(down, r), bytes(want, r)) << r;
    const Tensor both = quantised->expand(at + "gate_up_proj"), gate = gguf->tensor("blk.1.ffn_gate_exps.weight"),
                 up = gguf->tensor("blk.1.ffn_up_exps.weight");
    ASSERT_EQ(both.shape().rows(), 2 * gate.shape().rows());
    for (std::int64_t r = 0; r < gate.shape().rows(); ++r) {
        ASSERT_EQ(bytes(both, 2 * r), bytes(gate, r)) << r;
        ASSERT_EQ(bytes(both, 2 * r + 1), bytes(up, r)) << r;
    }
}

// What expanding says when the first such text in the weights' file is another of the same length.
std::string mxfp4_refusal(const std::string& change, const std::string& to) {
    const fs::path folder = fs::temp_directory_path() / ("freehold-mxfp4-" + std::to_string(getpid()));
    fs::remove_all(folder);
    fs::create_directories(folder);
    fs::copy(kMxfp4 + "/config.json", folder / "config.json");
    std::string weights = read_text(kMxfp4 + "/model.safetensors");
    const auto at = weights.find(change);
    EXPECT_NE(at, std::string::npos) << change;
    EXPECT_EQ(change.size(), to.size());
    weights.replace(at, to.size(), to);
    write_text_atomic(folder / "model.safetensors", weights);
    std::string said = "accepted";
    try {
        const auto files = ModelFiles::open(folder);
        static_cast<void>(QuantisedFolder::of(*files)->expand("model.layers.0.mlp.experts.gate_up_proj"));
    } catch (const Error& e) {
        said = e.message();
    }
    fs::remove_all(folder);
    return said;
}

TEST(QuantisedFolder, DamagedMxfp4IsNamed) {
    const std::string at = "layers.0.mlp.experts.gate_up_proj_";
    EXPECT_NE(mxfp4_refusal(at + "scales", at + "scalez").find("gate_up_proj_scales\" is missing"), std::string::npos);
    EXPECT_NE(mxfp4_refusal("[3,64,1,16]", "[3,64,4,4 ]").find("gate_up_proj_blocks\" has shape"), std::string::npos);
    EXPECT_NE(mxfp4_refusal("[3,64,1,16]", "[3,32,2,16]").find("gate_up_proj_scales\" has shape"), std::string::npos);
    EXPECT_EQ(mxfp4_refusal("[3,64,1,16]", "[3,64,1,16]"), "accepted");
}

std::string refusal(const std::string& from, const std::string& change, const std::string& to) {
    const fs::path folder = fs::temp_directory_path() / ("freehold-quantised-" + std::to_string(getpid()));
    fs::remove_all(folder);
    fs::create_directories(folder);
    std::string config = read_text(kFolder + from + "/config.json");
    const auto at = config.find(change);
    EXPECT_NE(at, std::string::npos) << change;
    if (at != std::string::npos) config.replace(at, change.size(), to);
    write_text_atomic(folder / "config.json", config);
    fs::create_symlink(kFolder + from + "/model.safetensors", folder / "model.safetensors");
    std::string said = "accepted";
    try {
        const auto files = ModelFiles::open(folder);
        const auto quantised = QuantisedFolder::of(*files);
        static_cast<void>(quantised->expand("model.layers.0.mlp.down_proj.weight"));
    } catch (const Error& e) {
        said = e.message();
    }
    fs::remove_all(folder);
    return said;
}

TEST(QuantisedFolder, WhatIsNotHandledIsNamed) {
    EXPECT_NE(
        refusal("awq", "\"awq\"", "\"bitsandbytes\"").find("\"quantization_config.quant_method\" is \"bitsandbytes\""),
        std::string::npos);
    EXPECT_NE(refusal("awq", "\"bits\": 4", "\"bits\": 3").find("\"quantization_config.bits\" is 3"),
              std::string::npos);
    EXPECT_NE(refusal("awq", "\"gemm\"", "\"gemv\"").find("\"quantization_config.version\""), std::string::npos);
    EXPECT_NE(refusal("gptq-sym", "\"bits\": 4", "\"dynamic\": {\"a\": 1}, \"bits\": 4")
                  .find("\"quantization_config.dynamic\""),
              std::string::npos);
    EXPECT_NE(
        refusal("gptq-sym", "\"group_size\": 32", "\"group_size\": 64").find(".scales\" has shape [9, 160]; [5, 160]"),
        std::string::npos);
    EXPECT_NE(refusal("fp8-block", "[\n      128,\n      128\n    ]", "[64, 64]").find("weight_scale_inv\" has shape"),
              std::string::npos);
    EXPECT_EQ(refusal("gptq-sym", "\"group_size\": 32", "\"group_size\": 32"), "accepted");
}

}  // namespace
}  // namespace freehold
