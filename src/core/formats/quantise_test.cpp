// A small model made, quantised and read again: types as the mixtures say, keys as they were, errors small, the same
// bytes on any number of threads, and nothing written when it cannot be done.
#include "freehold/formats/quantise.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <limits>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/formats/gguf_writer.h"
#include "quantise_mix.h"

namespace freehold {
namespace {

namespace fs = std::filesystem;

class QuantiseTest : public testing::Test {
 protected:
    QuantiseTest() { fs::create_directories(folder_); }
    ~QuantiseTest() override { fs::remove_all(folder_); }

    static Tensor waves(Shape shape, float step) {
        std::vector<float> x(static_cast<std::size_t>(shape.numel()));
        for (std::size_t i = 0; i < x.size(); ++i)
            x[i] = static_cast<float>(static_cast<int>(i * 2654435761U % 2001) - 1000) * step;
        return Tensor::from_f32(shape, x);
    }

    // Sixteen layers of a few matrices, widths that fit blocks of 256 and widths that do not.
    std::shared_ptr<const ModelFiles> make(float spoilt = 0) {
        GgufWriter writer;
        writer.set("general.architecture", Value("llama"));
        writer.set("general.file_type", GgufType::u32, Value(0));
        writer.set("llama.block_count", GgufType::u32, Value(16));
        writer.set("odd.u16", GgufType::u16, Value(7));
        writer.set("odd.list", Value(std::vector<std::string>{"a", "b"}));
        writer.set("split.count", GgufType::u16, Value(0));
        writer.add_tensor("token_embd.weight", waves({40, 512}, 1e-3F));
        writer.add_tensor("output.weight", waves({40, 512}, 1e-3F));
        writer.add_tensor("output_norm.weight", waves({512}, 1e-3F));
        for (int i = 0; i < 16; ++i) {
            const std::string layer = "blk." + std::to_string(i) + ".";
            Tensor q = waves({24, 512}, 1e-4F);
            if (i == 3 && spoilt != 0) q.f32_mut()[512 * 5 + 1] = spoilt;
            writer.add_tensor(layer + "attn_q.weight", q);
            writer.add_tensor(layer + "attn_v.weight", waves({24, 512}, 1e-4F));
            writer.add_tensor(layer + "attn_k.weight", waves({24, 96}, 1e-4F));
            writer.add_tensor(layer + "ffn_up.weight", waves({24, 50}, 1e-4F));
            writer.add_tensor(layer + "ffn_down.weight", waves({24, 256}, 1e-4F));
            writer.add_tensor(layer + "ffn_norm.weight", waves({512}, 1e-4F));
        }
        writer.write(folder_ / "source.gguf");
        return ModelFiles::open(folder_ / "source.gguf");
    }

    fs::path folder_ = fs::path(testing::TempDir()) / ("freehold_quantise_" + std::to_string(::getpid()));
};

DType type_of(const ModelFiles& model, const std::string& name) {
    return model.tensor(name).dtype();
}

TEST_F(QuantiseTest, WritesTheMixtureAndCarriesTheRest) {
    ThreadPool pool(2);
    const auto source = make();
    const QuantPlan plan = plan_quantise(source, quant_mix("Q4_K_M"));
    EXPECT_FALSE(plan.requantises);
    std::uint64_t last = 0;
    write_quantised(plan, folder_ / "out.gguf", pool, [&](const ProgressEvent& e) {
        EXPECT_GE(e.done, last);
        last = e.done;
        EXPECT_EQ(e.total, plan.tensor_bytes_to);
    });
    EXPECT_EQ(last, plan.tensor_bytes_to);
    EXPECT_EQ(fs::file_size(folder_ / "out.gguf"), plan.file_bytes);

    const auto made = ModelFiles::open(folder_ / "out.gguf");
    EXPECT_EQ(type_of(*made, "output.weight"), DType::Q6_K);
    EXPECT_EQ(type_of(*made, "token_embd.weight"), DType::Q4_K);
    EXPECT_EQ(type_of(*made, "output_norm.weight"), DType::F32);
    EXPECT_EQ(type_of(*made, "blk.0.attn_q.weight"), DType::Q4_K);
    EXPECT_EQ(type_of(*made, "blk.0.attn_k.weight"), DType::Q5_0) << "96 is no multiple of 256";
    EXPECT_EQ(type_of(*made, "blk.0.ffn_up.weight"), DType::F16) << "50 is no multiple of 32";
    std::string layers;  // with six bits: the first two, the last two, every third between
    for (int i = 0; i < 16; ++i) {
        const std::string layer = "blk." + std::to_string(i) + ".";
        layers += type_of(*made, layer + "ffn_down.weight") == DType::Q6_K ? '6' : '4';
        EXPECT_EQ(type_of(*made, layer + "attn_v.weight"), type_of(*made, layer + "ffn_down.weight"));
    }
    EXPECT_EQ(layers, "6644644644644666");

    EXPECT_EQ(made->meta().find("general.file_type")->as_int(), 15);
    EXPECT_EQ(made->meta().find("general.quantization_version")->as_int(), 2);
    EXPECT_EQ(made->meta().find("split.count"), nullptr);
    EXPECT_EQ(to_json(*made->meta().find("odd.list")), "[\"a\",\"b\"]");
    const std::string bytes = read_text(folder_ / "out.gguf");
    EXPECT_NE(bytes.find(std::string("odd.u16\x02\0\0\0\x07\0", 13)), std::string::npos) << "its type is kept";

    for (const auto& [name, tensor] : made->tensors()) {
        const Tensor a = source->tensor(name).to_f32(), b = tensor.to_f32();
        double error = 0, size = 0;
        for (std::int64_t i = 0; i < a.shape().numel(); ++i) {
            const double off = static_cast<double>(a.f32()[static_cast<std::size_t>(i)]) -
                               static_cast<double>(b.f32()[static_cast<std::size_t>(i)]);
            error += off * off;
            size += std::pow(static_cast<double>(a.f32()[static_cast<std::size_t>(i)]), 2);
        }
        EXPECT_LT(std::sqrt(error / size), 0.08) << name;
    }
}

TEST_F(QuantiseTest, SameBytesOnAnyNumberOfThreads) {
    const auto source = make();
    for (const QuantMix& mix : quant_mixes()) {
        const QuantPlan plan = plan_quantise(source, mix);
        ThreadPool one(1), three(3);
        write_quantised(plan, folder_ / "one.gguf", one);
        write_quantised(plan, folder_ / "three.gguf", three);
        EXPECT_EQ(read_text(folder_ / "one.gguf"), read_text(folder_ / "three.gguf")) << mix.name;
        EXPECT_EQ(fs::file_size(folder_ / "one.gguf"), plan.file_bytes) << mix.name;
    }
}

TEST_F(QuantiseTest, ExpandsAndQuantisesAgain) {
    ThreadPool pool(1);
    const auto source = make();
    write_quantised(plan_quantise(source, quant_mix("q4_1")), folder_ / "q.gguf", pool);
    const auto small = ModelFiles::open(folder_ / "q.gguf");
    EXPECT_TRUE(plan_quantise(small, quant_mix("q4_0")).requantises);
    const QuantPlan wide = plan_quantise(small, quant_mix("f32"));
    EXPECT_FALSE(wide.requantises);
    write_quantised(wide, folder_ / "wide.gguf", pool);
    const auto expanded = ModelFiles::open(folder_ / "wide.gguf");
    const Tensor a = small->tensor("blk.2.attn_q.weight").to_f32(), b = expanded->tensor("blk.2.attn_q.weight");
    ASSERT_EQ(b.dtype(), DType::F32);
    EXPECT_TRUE(std::equal(a.f32().begin(), a.f32().end(), b.f32().begin()));
    EXPECT_EQ(expanded->meta().find("general.file_type")->as_int(), 0);
}

TEST_F(QuantiseTest, RefusesNumbersThatAFormatCannotHold) {
    ThreadPool pool(2);
    for (const char* mix : {"f16", "q8_0", "q6_k", "q5_1", "q4_k_m", "q4_0", "q3_k_m", "iq4_nl"}) try {
            write_quantised(plan_quantise(make(1e10F), quant_mix(mix)), folder_ / "large.gguf", pool);
            ADD_FAILURE() << mix;
        } catch (const Error& e) {
            EXPECT_EQ(e.kind(), ErrorKind::bad_file) << mix;
            EXPECT_NE(e.message().find("blk.3.attn_q.weight\" holds a number in row 5 that is too large"),
                      std::string::npos)
                << e.message();
        }
    EXPECT_FALSE(fs::exists(folder_ / "large.gguf"));
    write_quantised(plan_quantise(make(1e10F), quant_mix("bf16")), folder_ / "large.gguf", pool);
}

TEST_F(QuantiseTest, RefusesWhatItCannotDo) {
    ThreadPool pool(2);
    try {
        write_quantised(plan_quantise(make(std::numeric_limits<float>::quiet_NaN()), quant_mix("q5_k_s")),
                        folder_ / "bad.gguf", pool);
        FAIL();
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::bad_file);
        EXPECT_NE(e.message().find("blk.3.attn_q.weight"), std::string::npos);
        EXPECT_NE(e.message().find("row 5"), std::string::npos) << e.message();
    }
    EXPECT_FALSE(fs::exists(folder_ / "bad.gguf"));
    try {
        (void)quant_mix("q9_z");
        FAIL();
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::usage);
        EXPECT_NE(e.hint().find("q4_k_m"), std::string::npos);
    }
    const auto source = make();
    EXPECT_THROW(write_quantised(plan_quantise(source, quant_mix("q8_0")), folder_ / "stopped.gguf", pool,
                                 [](const ProgressEvent&) { throw Error(ErrorKind::cancelled, "stop"); }),
                 Error);
    EXPECT_FALSE(fs::exists(folder_ / "stopped.gguf"));
    EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1) << "no temporary files stay";
}

TEST(QuantMixes, TouchMatricesOnly) {
    EXPECT_TRUE(mix_touches("blk.0.ffn_up.weight", {8, 32}));
    EXPECT_TRUE(mix_touches("blk.0.ffn_down_exps.weight", {4, 8, 32}));
    EXPECT_FALSE(mix_touches("blk.0.ffn_up.bias", {8, 32}));
    EXPECT_FALSE(mix_touches("blk.0.attn_norm.weight", {32}));
    EXPECT_FALSE(mix_touches("blk.0.ffn_gate_inp.weight", {8, 32}));
    EXPECT_FALSE(mix_touches("position_embd.weight", {8, 32}));
}

// A head without its own matrix is the embedding: it gets the head's type.
TEST(QuantMixes, TiedEmbeddingsAndExperts) {
    const MixModel tied{.n_layers = 16, .n_experts = 0, .heads_per_kv = 1, .tied = true};
    EXPECT_EQ(mix_choice(quant_mix("q4_0"), tied, "token_embd.weight", {9, 512}).type, DType::Q6_K);
    EXPECT_EQ(mix_choice(quant_mix("q4_0"), tied, "token_embd.weight", {9, 576}).type, DType::Q8_0);
    EXPECT_EQ(mix_choice(quant_mix("q4_k_s"), tied, "token_embd.weight", {9, 576}).type, DType::Q8_0);
    const MixModel experts{.n_layers = 16, .n_experts = 8, .heads_per_kv = 1, .tied = false};
    EXPECT_EQ(mix_choice(quant_mix("q4_k_m"), experts, "blk.9.attn_v.weight", {9, 512}).type, DType::Q8_0);
    EXPECT_EQ(mix_choice(quant_mix("q4_k_m"), experts, "blk.9.attn_output.weight", {9, 512}).type, DType::Q5_K);
    EXPECT_EQ(mix_choice(quant_mix("q4_k_m"), experts, "token_embd.weight", {9, 512}).type, DType::Q4_K);
}

}  // namespace
}  // namespace freehold
