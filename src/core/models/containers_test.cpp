// Models whose weights come in other containers than plain safetensors compute what transformers computes on the
// weights that the container means (tests/oracle/make_containers.py).
#include <gtest/gtest.h>

#include "freehold/base/file.h"
#include "golden.h"
#include "test_session.h"

namespace freehold {
namespace {

class Containers : public testing::TestWithParam<const char*> {};

TEST_P(Containers, AgreeWithTransformers) {
    const std::string folder = std::string(FREEHOLD_SOURCE_DIR) + "/tests/golden/containers/" + GetParam();
    ThreadPool threads(2);
    const bool torch = std::string(GetParam()).starts_with("torch");
    const std::string expected = torch ? test::golden_folder("llama") : folder;
    const Value facts = parse_json(read_text(expected + "/expected.json"), "expected.json");
    const auto tokens = test::numbers<Token>(*find(*facts.get<ValueMap>(), "tokens"));
    const std::vector<float> logits = test::read_floats(expected + "/expected.bin");
    const auto decoder = Decoder::load(ModelFiles::open(folder), {Profile::f32, true, {}}, threads);
    test::Session session(*decoder, threads);
    EXPECT_LE(test::difference(session.feed(tokens, 0), logits), 1e-4);
    // The counts are those of the weights, not of the parts that they are kept in.
    const std::uint64_t plain =
        torch ? decoder->n_params() : 2ULL * 64 * 160 + 160 * (160 + 80 + 80 + 160) + 3ULL * 160 * 288 + 3 * 160;
    EXPECT_EQ(decoder->n_params(), plain);
}

INSTANTIATE_TEST_SUITE_P(All, Containers,
                         testing::Values("torch-one", "torch-shards", "fp8-block", "fp8-tensor", "fp8-power",
                                         "gptq-sym", "gptq-asym", "gptq-order", "gptq-v2", "awq"),
                         [](const auto& which) {
                             std::string name = which.param;
                             for (char& c : name) c = c == '-' ? '_' : c;
                             return name;
                         });

}  // namespace
}  // namespace freehold
