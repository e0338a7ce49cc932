// The sampling chain against transformers' processors (golden vectors) and against its own definitions.
#include "freehold/engine/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <limits>
#include <map>
#include <numeric>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/random.h"
#include "freehold/base/value.h"

namespace freehold {
namespace {

std::vector<float> random_logits(Random& random, std::size_t n, float scale) {
    std::vector<float> x(n);
    for (float& v : x) v = random.normal() * scale;
    return x;
}

SamplerOptions options_from(const ValueMap& map) {
    SamplerOptions o;
    for (const ValueEntry& e : map) {
        const auto x = static_cast<float>(e.value.as_double().value());
        if (e.key == "temperature") o.temperature = x;
        if (e.key == "top_k") o.top_k = static_cast<int>(x);
        if (e.key == "top_p") o.top_p = x;
        if (e.key == "min_p") o.min_p = x;
        if (e.key == "typical_p") o.typical_p = x;
        if (e.key == "min_keep") o.min_keep = static_cast<int>(x);
        if (e.key == "repetition_penalty") o.repetition_penalty = x;
        if (e.key == "presence_penalty") o.presence_penalty = x;
        if (e.key == "frequency_penalty") o.frequency_penalty = x;
    }
    return o;
}

TEST(Sampler, AgreesWithTransformers) {
    const auto path = std::filesystem::path(FREEHOLD_SOURCE_DIR) / "tests/golden/samplers/chains.json";
    const Value golden = parse_json(read_text(path), "chains.json");
    const Value& rows = *golden.get<ValueMap>()->find("rows");
    int compared = 0;
    for (std::size_t r = 0; r < rows.size(); ++r) {
        const Value row_value = rows.at(r);
        const ValueMap& row = *row_value.get<ValueMap>();
        std::vector<float> logits;
        std::vector<Token> history;
        const Value* values = row.find("logits");
        for (std::size_t i = 0; i < values->size(); ++i)
            logits.push_back(static_cast<float>(*values->at(i).as_double()));
        values = row.find("history");
        for (std::size_t i = 0; i < values->size(); ++i) history.push_back(static_cast<Token>(*values->at(i).as_int()));
        const Value* cases = row.find("cases");
        for (std::size_t c = 0; c < cases->size(); ++c) {
            const Value one = cases->at(c);
            const ValueMap& options = *one.get<ValueMap>()->find("options")->get<ValueMap>();
            const ValueMap& kept = *one.get<ValueMap>()->find("kept")->get<ValueMap>();
            const Sampler sampler(options_from(options), static_cast<int>(logits.size()), scalar_kernels());
            const auto got = sampler.distribution({logits, history, 20, 0, {}});
            SCOPED_TRACE(to_json(*one.get<ValueMap>()->find("options")));
            ASSERT_EQ(got.size(), kept.size());
            for (const auto& [token, p] : got) {
                const Value* want = kept.find(std::to_string(token));
                ASSERT_NE(want, nullptr) << token;
                EXPECT_NEAR(p, *want->as_double(), 1e-6 + 2e-6 * p);
            }
            ++compared;
        }
    }
    EXPECT_EQ(compared, 75);
}

// The same stages by sorting everything, for vocabularies larger than the first selection.
TEST(Sampler, PartialSelectionEqualsSorting) {
    Random random(1, RandomUse::test);
    for (const std::size_t n : {63U, 64U, 65U, 600U, 5000U, 40000U}) {
        auto logits = random_logits(random, n, 0.3F);
        for (std::size_t i = 0; i < n; i += 3) logits[i] = std::round(logits[i] * 4) / 4;  // many ties
        std::vector<Token> order(n);
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(), [&](Token a, Token b) {
            return logits[static_cast<std::size_t>(a)] > logits[static_cast<std::size_t>(b)];
        });
        const double sum = log_sum_exp(scalar_kernels(), logits);
        for (const float p : {0.3F, 0.9F, 0.999F}) {
            SamplerOptions o;
            o.top_p = p;
            std::size_t want = 0;
            for (double mass = 0; mass < static_cast<double>(p) && want < n; ++want) {
                mass += std::exp(static_cast<double>(logits[static_cast<std::size_t>(order[want])]) - sum);
            }
            const auto got = Sampler(o, static_cast<int>(n), scalar_kernels()).distribution({logits, {}, 0, 0, {}});
            // A rounding at the border may take or leave one.
            EXPECT_LE(std::abs(static_cast<double>(got.size()) - static_cast<double>(want)), 1.0);
            std::vector<Token> ids(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(got.size()));
            std::sort(ids.begin(), ids.end());
            for (std::size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i].first, ids[i]);
        }
        for (const int k : {1, 5, 62, 64}) {
            SamplerOptions o;
            o.top_k = k;
            const auto got = Sampler(o, static_cast<int>(n), scalar_kernels()).distribution({logits, {}, 0, 0, {}});
            std::vector<Token> ids(order.begin(),
                                   order.begin() + std::min<std::ptrdiff_t>(k, static_cast<std::ptrdiff_t>(n)));
            std::sort(ids.begin(), ids.end());
            ASSERT_EQ(got.size(), ids.size());
            for (std::size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i].first, ids[i]);
            const auto top = top_logprobs(logits, sum, k);
            for (std::size_t i = 0; i < top.size(); ++i) EXPECT_EQ(top[i].token, order[i]);
        }
    }
}

TEST(Sampler, GreedyTakesTheLowerIdOfATie) {
    std::vector<float> logits = {1, 5, 2, 5, 5};
    SamplerOptions o;
    o.temperature = 0;
    EXPECT_EQ(Sampler(o, 5, scalar_kernels()).sample({logits, {}, 0, 0, {}}), 1);
    o.logit_bias = {{1, -1.0F}};
    EXPECT_EQ(Sampler(o, 5, scalar_kernels()).sample({logits, {}, 0, 0, {}}), 3);
    o.logit_bias = {{1, -std::numeric_limits<float>::infinity()}, {3, -100.0F}, {4, -100.0F}};
    EXPECT_EQ(Sampler(o, 5, scalar_kernels()).sample({logits, {}, 0, 0, {}}), 2);
    const std::vector<std::uint32_t> mask = {0b10001U};
    EXPECT_EQ(Sampler(o, 5, scalar_kernels()).sample({logits, {}, 0, 0, mask}), 0);
}

TEST(Sampler, FrequenciesFollowTheDistribution) {
    Random random(2, RandomUse::test);
    const auto logits = random_logits(random, 30, 1.5F);
    SamplerOptions o;
    o.top_k = 8;
    o.seed = 5;
    const Sampler sampler(o, 30, scalar_kernels());
    std::map<Token, int> seen;
    constexpr int kDraws = 20000;
    std::vector<Token> history;
    for (int i = 0; i < kDraws; ++i) {
        ++seen[sampler.sample({logits, history, 0, 0, {}})];
        history.push_back(0);
    }
    for (const auto& [token, p] : sampler.distribution({logits, {}, 0, 0, {}})) {
        const double sigma = std::sqrt(p * (1 - p) / kDraws);
        EXPECT_NEAR(seen[token] / static_cast<double>(kDraws), p, 4.5 * sigma);
        seen.erase(token);
    }
    EXPECT_TRUE(seen.empty());
}

TEST(Sampler, AChoiceDependsOnSeedAnswerAndPositionOnly) {
    Random random(3, RandomUse::test);
    const auto logits = random_logits(random, 1000, 0.1F);
    const std::vector<Token> history(40, 1);
    const auto draw = [&](std::uint64_t seed, std::uint32_t choice, std::size_t position) {
        SamplerOptions o;
        o.seed = seed;
        return Sampler(o, 1000, scalar_kernels()).sample({logits, std::span(history).first(position), 0, choice, {}});
    };
    EXPECT_EQ(draw(1, 0, 10), draw(1, 0, 10));
    EXPECT_NE(draw(1, 0, 10), draw(2, 0, 10));
    EXPECT_NE(draw(1, 0, 10), draw(1, 1, 10));
    EXPECT_NE(draw(1, 0, 10), draw(1, 0, 11));
}

TEST(Sampler, EveryKernelTableChoosesTheSame) {
    Random random(4, RandomUse::test);
    for (int trial = 0; trial < 20; ++trial) {
        const auto logits = random_logits(random, 5001, 2.0F);
        SamplerOptions o;
        o.seed = static_cast<std::uint64_t>(trial);
        o.temperature = 0.9F;
        o.top_p = trial % 2 == 0 ? 1.0F : 0.9F;
        o.typical_p = trial % 3 == 0 ? 0.8F : 1.0F;
        const auto want = Sampler(o, 5001, scalar_kernels()).distribution({logits, {}, 0, 0, {}});
        for (const Kernels* k : available_kernels()) {
            EXPECT_EQ(Sampler(o, 5001, *k).distribution({logits, {}, 0, 0, {}}), want) << k->name;
            EXPECT_EQ(log_sum_exp(*k, logits), log_sum_exp(scalar_kernels(), logits)) << k->name;
        }
    }
}

TEST(Sampler, PenaltiesLookAtTheLastTokensOnly) {
    const std::vector<float> logits(10, 1.0F);
    const std::vector<Token> history = {1, 2, 3, 3, 4};
    SamplerOptions o;
    o.temperature = 0;
    o.presence_penalty = 5;
    const auto chosen = [&] { return Sampler(o, 10, scalar_kernels()).sample({logits, history, 3, 0, {}}); };
    o.logit_bias = {{1, 1.0F}, {4, 0.5F}};
    EXPECT_EQ(chosen(), 0);
    o.penalty_last_n = 4;
    EXPECT_EQ(chosen(), 1);
    o.penalty_last_n = 0;
    EXPECT_EQ(chosen(), 1);
    o.penalty_last_n = -1;
    o.penalize_prompt = false;
    EXPECT_EQ(chosen(), 1);
}

TEST(Sampler, TheOrderOfTheChainCounts) {
    const std::vector<float> logits = {2.0F, 1.0F, 0.0F, -1.0F};
    SamplerOptions o;
    o.temperature = 5;
    o.top_p = 0.6F;
    EXPECT_EQ(Sampler(o, 4, scalar_kernels()).distribution({logits, {}, 0, 0, {}}).size(), 3U);
    o.chain = {Stage::top_p, Stage::temperature};
    EXPECT_EQ(Sampler(o, 4, scalar_kernels()).distribution({logits, {}, 0, 0, {}}).size(), 1U);
    for (const Stage s : default_chain()) EXPECT_EQ(stage_from_name(stage_name(s)), s);
    EXPECT_FALSE(stage_from_name("nothing"));
}

TEST(Sampler, BrokenLogitsAreAnErrorOrUnlikely) {
    std::vector<float> logits(300, std::numeric_limits<float>::quiet_NaN());
    for (const float temperature : {0.0F, 1.0F}) {
        SamplerOptions o;
        o.temperature = temperature;
        o.top_p = 0.9F;
        EXPECT_THROW(static_cast<void>(Sampler(o, 300, scalar_kernels()).sample({logits, {}, 0, 0, {}})), Error);
    }
    logits[17] = 1;
    SamplerOptions o;
    o.typical_p = 0.5F;
    o.top_k = 10;
    EXPECT_EQ(Sampler(o, 300, scalar_kernels()).sample({logits, {}, 0, 0, {}}), 17);
    const std::vector<std::uint32_t> nothing(10, 0);
    EXPECT_THROW(static_cast<void>(Sampler(o, 300, scalar_kernels()).sample({logits, {}, 0, 0, nothing})), Error);
}

}  // namespace
}  // namespace freehold
