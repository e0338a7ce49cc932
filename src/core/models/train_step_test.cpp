// Training through the same Decoder: gradients of every parameter and ten AdamW steps against PyTorch, and the same
// bits whatever the threads, the kernels and the number of rows that go together.
#include "freehold/models/train_step.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include "freehold/base/error.h"
#include "golden.h"
#include "test_session.h"

namespace freehold {
namespace {

std::vector<PackedRow> packed_rows(const Value& expected) {
    std::vector<PackedRow> rows;
    const Value& list = *find(*expected.get<ValueMap>(), "rows");
    for (std::size_t i = 0; i < list.size(); ++i) {
        const Value row = list.at(i);
        const ValueMap& m = *row.get<ValueMap>();
        rows.push_back({test::numbers<Token>(*find(m, "tokens")), test::numbers<std::uint32_t>(*find(m, "documents")),
                        test::numbers<Token>(*find(m, "targets")), test::numbers<float>(*find(m, "weights"))});
    }
    return rows;
}

class Training : public testing::TestWithParam<const char*> {};

TEST_P(Training, EveryGradientIsPyTorchs) {
    ThreadPool threads(2);
    const test::Golden golden = test::read_golden(GetParam());
    const auto model = Trainable::load(ModelFiles::open(test::golden_folder(GetParam())), threads);
    model->gradients(packed_rows(golden.expected), 2);
    std::map<std::string, std::size_t, std::less<>> by_name;
    for (std::size_t i = 0; i < model->n_params(); ++i) by_name.emplace(model->name(i), i);
    const std::vector<float> blob = test::read_floats(test::golden_folder(GetParam()) + "/grads.bin");
    const Value& list = *find(*golden.expected.get<ValueMap>(), "grads");
    EXPECT_EQ(list.size(), model->n_params());
    RecordProperty("family", model->decoder()->spec().family);
    double worst = 0;
    std::size_t at = 0;
    for (std::size_t i = 0; i < list.size(); ++i) {
        const Value entry = list.at(i);
        const std::string name(*find(*entry.get<ValueMap>(), "name")->as_string());
        const auto size = static_cast<std::size_t>(*find(*entry.get<ValueMap>(), "size")->as_int());
        ASSERT_TRUE(by_name.contains(name)) << name;
        const std::span<const float> got = model->gradient(by_name[name]);
        ASSERT_EQ(got.size(), size) << name;
        double wrong = 0, all = 0;
        for (std::size_t j = 0; j < size; ++j) {
            const double d = static_cast<double>(got[j]) - static_cast<double>(blob[at + j]);
            wrong += d * d;
            all += static_cast<double>(blob[at + j]) * static_cast<double>(blob[at + j]);
        }
        // The bias of k shifts all scores of a query alike where nothing rotates, so its true gradient is 0: hence the
        // floor.
        EXPECT_LE(std::sqrt(wrong), 1e-4 * std::sqrt(all) + 1e-6) << name << ": " << std::sqrt(wrong / all);
        if (all > 1e-8) worst = std::max(worst, std::sqrt(wrong / all));
        at += size;
    }
    RecordProperty("worst", std::to_string(worst * 1e9) + "e-9");
}

TEST_P(Training, TenStepsOfAdamWFollowPyTorch) {
    ThreadPool threads(2);
    const test::Golden golden = test::read_golden(GetParam());
    const ValueMap& expected = *golden.expected.get<ValueMap>();
    const auto model = Trainable::load(ModelFiles::open(test::golden_folder(GetParam())), threads);
    const auto rows = packed_rows(golden.expected);
    const auto hyper = [&](const char* key) { return *find(expected, std::string("adamw.") + key)->as_double(); };
    AdamW adamw({hyper("lr"), hyper("beta1"), hyper("beta2"), hyper("eps"), hyper("weight_decay"), true});
    const auto losses = test::numbers<double>(*find(expected, "losses"));
    for (std::size_t i = 0; i + 1 < losses.size(); ++i) {
        const StepLoss step = model->gradients(rows);
        EXPECT_NEAR(step.loss, losses[i], 1e-4) << "step " << i;
        adamw.step(*model);
    }
    EXPECT_NEAR(model->loss(rows).loss, losses.back(), 1e-4);
    EXPECT_LT(losses.back(), losses.front() - 0.1) << "the steps must have taught something";
}

TEST_P(Training, SameBitsWhateverRunsIt) {
    const test::Golden golden = test::read_golden(GetParam());
    auto rows = packed_rows(golden.expected);
    rows.push_back(rows[0]);  // three rows: the tree over them is not full
    std::swap(rows.back().tokens[3], rows.back().tokens[5]);
    std::vector<float> want;
    for (const Kernels* kernels : available_kernels()) {
        for (const int n : {1, 2, 3}) {
            for (const std::size_t together : {std::size_t{1}, std::size_t{2}, std::size_t{3}}) {
                ThreadPool threads(n);
                const auto model = Trainable::load(ModelFiles::open(test::golden_folder(GetParam())), threads);
                AdamW adamw({3e-3, 0.9, 0.95, 1e-8, 0.1, false});
                std::vector<float> got;
                for (int step = 0; step < 2; ++step) {
                    got.push_back(static_cast<float>(model->gradients(rows, together, *kernels).loss));
                    adamw.step(*model);
                }
                for (std::size_t i = 0; i < model->n_params(); ++i) {
                    const auto values = model->values(i);
                    got.insert(got.end(), values.begin(), values.end());
                }
                if (want.empty()) want = got;
                ASSERT_EQ(want.size(), got.size());
                EXPECT_EQ(std::memcmp(want.data(), got.data(), want.size() * sizeof(float)), 0)
                    << kernels->name << ", " << n << " threads, " << together << " rows together";
            }
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Tiny, Training, testing::Values("llama", "gemma3-hf", "gpt2"));

// The oracle's gradients come as a model whose weights they are, so that the family's own table reads them.
class FamilyGradients : public testing::TestWithParam<const char*> {};

TEST_P(FamilyGradients, AreWhatPyTorchSays) {
    ThreadPool threads(2);
    const test::Golden golden = test::read_golden(GetParam());
    const auto model = Trainable::load(ModelFiles::open(test::golden_folder(GetParam())), threads);
    const auto want = Trainable::load(ModelFiles::open(test::golden_folder(GetParam()) + "/grads"), threads);
    const auto rows = packed_rows(golden.expected);
    model->gradients(rows, 2);
    ASSERT_EQ(model->n_params(), want->n_params());
    double worst = 0;
    std::vector<float> bits;
    for (std::size_t i = 0; i < model->n_params(); ++i) {
        ASSERT_EQ(model->name(i), want->name(i));
        const std::span<const float> g = model->gradient(i), w = want->values(i);
        ASSERT_EQ(g.size(), w.size());
        double wrong = 0, all = 0;
        for (std::size_t j = 0; j < g.size(); ++j) {
            wrong += std::pow(static_cast<double>(g[j]) - static_cast<double>(w[j]), 2);
            all += std::pow(static_cast<double>(w[j]), 2);
        }
        // The floor is for biases of k where nothing rotates: their true gradient is 0.
        EXPECT_LE(std::sqrt(wrong), 1e-4 * std::sqrt(all) + 1e-6) << model->name(i) << ": " << std::sqrt(wrong / all);
        if (all > 1e-8) worst = std::max(worst, std::sqrt(wrong / all));
        bits.insert(bits.end(), g.begin(), g.end());
    }
    RecordProperty("family", model->decoder()->spec().family);
    RecordProperty("worst", std::to_string(worst * 1e9) + "e-9");
    model->gradients(rows, 1);
    std::size_t at = 0;
    for (std::size_t i = 0; i < model->n_params(); ++i) {
        const std::span<const float> g = model->gradient(i);
        EXPECT_EQ(std::memcmp(g.data(), bits.data() + at, g.size() * sizeof(float)), 0)
            << model->name(i) << ": other bits with one row at a time";
        at += g.size();
    }
}

INSTANTIATE_TEST_SUITE_P(Tiny, FamilyGradients,
                         testing::Values("deepseek-v3", "deepseek-v2", "gpt-oss", "mixtral", "qwen3moe", "olmoe",
                                         "qwen2", "qwen3", "mistral", "smollm3", "olmo", "olmo2", "olmo3", "phi3",
                                         "gemma2", "apertus", "gptneox", "gptneo", "gptj", "opt", "opt-350m", "mpt",
                                         "mpt-qk", "bloom", "falcon-7b", "falcon-40b"));

TEST(Trainable, RefusesRowsThatTrainNothing) {
    ThreadPool threads(1);
    const auto model = Trainable::load(ModelFiles::open(test::golden_folder("llama")), threads);
    const std::vector<PackedRow> masked{{{1, 2}, {2}, {kNoTarget, kNoTarget}, {1, 1}}};
    EXPECT_THROW(model->gradients(masked), Error);
    const std::vector<PackedRow> outside{{{1, 200}, {2}, {2, 3}, {1, 1}}};
    EXPECT_THROW(model->gradients(outside), Error);
    const std::vector<PackedRow> uneven{{{1, 2}, {3}, {2, 3}, {1, 1}}};
    EXPECT_THROW(model->gradients(uneven), Error);
}

TEST(Trainable, DecoderShowsEveryVersion) {
    ThreadPool threads(1);
    const test::Golden golden = test::read_golden("llama");
    const auto model = Trainable::load(ModelFiles::open(test::golden_folder("llama")), threads);
    test::Session before(*model->decoder(), threads);
    EXPECT_LE(test::difference(before.feed(golden.tokens), golden.logits), 1e-4);
    AdamW adamw({});
    model->gradients(packed_rows(golden.expected));
    adamw.step(*model);
    EXPECT_EQ(model->version(), 2U);
    test::Session after(*model->decoder(), threads);
    EXPECT_GT(test::difference(after.feed(golden.tokens), golden.logits), 1e-4);
}

}  // namespace
}  // namespace freehold
