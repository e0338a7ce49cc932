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

SamplerOptions local_options_from(const ValueMap& map) {
    ValueMap numbers = map;
    numbers.erase("dry_breakers");
    SamplerOptions o = options_from(numbers);
    for (const ValueEntry& e : map) {
        if (e.key == "dry_breakers") {
            for (std::size_t i = 0; i < e.value.size(); ++i)
                o.dry_breakers.push_back(static_cast<Token>(*e.value.at(i).as_int()));
            continue;
        }
        const auto x = static_cast<float>(e.value.as_double().value());
        if (e.key == "top_n_sigma") o.top_n_sigma = x;
        if (e.key == "dynatemp_range") o.dynatemp_range = x;
        if (e.key == "dynatemp_exponent") o.dynatemp_exponent = x;
        if (e.key == "xtc_probability") o.xtc_probability = x;
        if (e.key == "xtc_threshold") o.xtc_threshold = x;
        if (e.key == "dry_multiplier") o.dry_multiplier = x;
        if (e.key == "dry_base") o.dry_base = x;
        if (e.key == "dry_allowed_length") o.dry_allowed_length = static_cast<int>(x);
        if (e.key == "dry_last_n") o.dry_last_n = static_cast<int>(x);
    }
    return o;
}

std::vector<float> floats(const Value& list) {
    std::vector<float> out;
    for (std::size_t i = 0; i < list.size(); ++i) out.push_back(static_cast<float>(*list.at(i).as_double()));
    return out;
}

std::vector<Token> token_list(const Value& list) {
    std::vector<Token> out;
    for (std::size_t i = 0; i < list.size(); ++i) out.push_back(static_cast<Token>(*list.at(i).as_int()));
    return out;
}

Value local_vectors() {
    const auto path = std::filesystem::path(FREEHOLD_SOURCE_DIR) / "tests/golden/samplers/local.json";
    return parse_json(read_text(path), "local.json");
}

// float settings (0.8F) against float64 ones (0.8): a token at a border may differ, the vectors have none.
TEST(Sampler, LocalStagesAgreeWithTheirDefinitions) {
    const Value golden = local_vectors();
    const Value& rows = *golden.get<ValueMap>()->find("rows");
    int compared = 0;
    for (std::size_t r = 0; r < rows.size(); ++r) {
        const Value row_value = rows.at(r);
        const ValueMap& row = *row_value.get<ValueMap>();
        const auto logits = floats(*row.find("logits"));
        const auto history = token_list(*row.find("history"));
        const Value* cases = row.find("cases");
        for (std::size_t c = 0; c < cases->size(); ++c) {
            const Value one = cases->at(c);
            SamplerOptions o = local_options_from(*one.get<ValueMap>()->find("options")->get<ValueMap>());
            o.seed = static_cast<std::uint64_t>(*row.find("seed")->as_int());
            const ValueMap& kept = *one.get<ValueMap>()->find("kept")->get<ValueMap>();
            SCOPED_TRACE(to_json(*one.get<ValueMap>()->find("options")) + " row " + std::to_string(r));
            const Sampler sampler(o, static_cast<int>(logits.size()), scalar_kernels());
            const auto got = sampler.distribution({logits, history, 0, 0, {}});
            ASSERT_EQ(got.size(), kept.size());
            for (const auto& [token, p] : got) {
                const Value* want = kept.find(std::to_string(token));
                ASSERT_NE(want, nullptr) << token;
                EXPECT_NEAR(p, *want->as_double(), 1e-6 + 4e-6 * p);
            }
            ++compared;
        }
    }
    EXPECT_EQ(compared, 102);
}

TEST(Sampler, MirostatWalksAsDefined) {
    const Value golden = local_vectors();
    const Value& walks = *golden.get<ValueMap>()->find("mirostat");
    ASSERT_EQ(walks.size(), 3U);
    for (std::size_t w = 0; w < walks.size(); ++w) {
        const Value walk_value = walks.at(w);
        const ValueMap& walk = *walk_value.get<ValueMap>();
        SamplerOptions o;
        o.mirostat = 2;
        o.mirostat_tau = static_cast<float>(*walk.find("tau")->as_double());
        o.mirostat_eta = static_cast<float>(*walk.find("eta")->as_double());
        o.temperature = static_cast<float>(*walk.find("temperature")->as_double());
        o.seed = static_cast<std::uint64_t>(*walk.find("seed")->as_int());
        o.top_k = 1;  // has no part in it
        auto history = token_list(*walk.find("history"));
        const Value* steps = walk.find("steps");
        SamplerState state;
        for (std::size_t i = 0; i < steps->size(); ++i) {
            const Value step_value = steps->at(i);
            const ValueMap& step = *step_value.get<ValueMap>();
            const auto logits = floats(*step.find("logits"));
            const Sampler sampler(o, static_cast<int>(logits.size()), scalar_kernels());
            const Token token = sampler.sample({logits, history, 3, 0, {}, {}, &state});
            ASSERT_EQ(token, *step.find("token")->as_int()) << "step " << i;
            ASSERT_TRUE(state.mu);
            EXPECT_NEAR(*state.mu, *step.find("mu")->as_double(), 1e-4);
            history.push_back(token);
        }
    }
}

TEST(Sampler, ChainsAreNamedAsClientsNameThem) {
    const std::vector<std::string> names = {"penalties", "dry",   "top_n_sigma", "top-k", "typ_p",
                                            "top_p",     "min_p", "xtc",         "temp",  "temperature"};
    const auto chain = chain_from_names(names);
    ASSERT_EQ(chain.size(), names.size());
    EXPECT_EQ(chain[3], Stage::top_k);
    EXPECT_EQ(chain[4], Stage::typical_p);
    EXPECT_EQ(chain[8], Stage::temperature);
    try {
        static_cast<void>(chain_from_names(std::vector<std::string>{"top_k", "magic"}));
        FAIL();
    } catch (const Error& e) {
        EXPECT_NE(e.message().find("magic"), std::string::npos);
        EXPECT_NE(e.hint().find("top_n_sigma"), std::string::npos);
    }
    // A ban stands whatever the list of samplers is.
    const std::vector<float> logits = {3, 2, 1};
    SamplerOptions o;
    o.logit_bias = {{0, -std::numeric_limits<float>::infinity()}};
    o.chain = {Stage::top_k};
    o.top_k = 1;
    EXPECT_EQ(Sampler(o, 3, scalar_kernels()).sample({logits, {}, 0, 0, {}}), 1);
}

TEST(Sampler, BannedTokensComeOnlyWhereNothingElseMay) {
    const std::vector<float> logits = {3, 2, 1};
    const std::vector<Token> banned = {0, 1};
    for (const float temperature : {0.0F, 0.5F}) {
        SamplerOptions o;
        o.temperature = temperature;
        const Sampler sampler(o, 3, scalar_kernels());
        EXPECT_EQ(sampler.sample({logits, {}, 0, 0, {}, banned}), 2);
        const std::vector<std::uint32_t> mask = {0b001U};
        EXPECT_EQ(sampler.sample({logits, {}, 0, 0, mask, banned}), 0);
    }
}

// What the client banned is no fault of the model file.
TEST(Sampler, ABanOfEverythingIsTheClientsMistake) {
    const auto kind = [](const std::vector<float>& logits, std::initializer_list<Token> banned,
                         const std::vector<std::uint32_t>& mask, float temperature) {
        SamplerOptions o;
        o.temperature = temperature;
        for (const Token t : banned) o.logit_bias.emplace_back(t, -std::numeric_limits<float>::infinity());
        try {
            static_cast<void>(Sampler(o, 3, scalar_kernels()).sample({logits, {}, 0, 0, mask}));
        } catch (const Error& e) {
            return e.kind();
        }
        return ErrorKind::cancelled;
    };
    const float none = -std::numeric_limits<float>::infinity();
    for (const float temperature : {0.0F, 1.0F}) {
        EXPECT_EQ(kind({3, 2, 1}, {0, 1, 2}, {}, temperature), ErrorKind::usage);
        EXPECT_EQ(kind({3, 2, 1}, {0, 1}, {0b011U}, temperature), ErrorKind::usage);
        EXPECT_EQ(kind({3, 2, 1}, {0, 1}, {0b111U}, temperature), ErrorKind::cancelled);
        EXPECT_EQ(kind({none, none, none}, {0}, {}, temperature), ErrorKind::internal);
        EXPECT_EQ(kind({3, 2, 1}, {}, {0U}, temperature), ErrorKind::unsupported);
    }
}

TEST(Sampler, OptionsOutOfRangeAreNamed) {
    const auto fails = [](const char* name, auto&& change) {
        SamplerOptions o;
        change(o);
        try {
            check(o, 10);
            ADD_FAILURE() << name;
        } catch (const Error& e) {
            EXPECT_NE(e.message().find(name), std::string::npos) << e.message();
        }
    };
    fails("top_n_sigma", [](SamplerOptions& o) { o.top_n_sigma = -1; });
    fails("xtc_probability", [](SamplerOptions& o) { o.xtc_probability = 1.5F; });
    fails("xtc_threshold", [](SamplerOptions& o) { o.xtc_threshold = -0.1F; });
    fails("dry_multiplier", [](SamplerOptions& o) { o.dry_multiplier = std::nanf(""); });
    fails("dry_base", [](SamplerOptions& o) { o.dry_base = 0.5F; });
    fails("dry_allowed_length", [](SamplerOptions& o) { o.dry_allowed_length = -1; });
    fails("dry_last_n", [](SamplerOptions& o) { o.dry_last_n = -2; });
    fails("dynatemp_range", [](SamplerOptions& o) { o.dynatemp_range = -1; });
    fails("mirostat", [](SamplerOptions& o) { o.mirostat = 1; });
    fails("mirostat_tau", [](SamplerOptions& o) { o.mirostat_tau = -1; });
}

// A repetition of a whole context costs what its length costs, not its square, and stays a number.
TEST(Sampler, DryTakesLongRepetitions) {
    const std::vector<Token> history(200'000, 4);
    const std::vector<float> logits(8, 0.0F);
    SamplerOptions o;
    o.dry_multiplier = 0.8F;
    o.dry_base = 5;
    const auto left = Sampler(o, 8, scalar_kernels()).distribution({logits, history, 0, 0, {}});
    ASSERT_EQ(left.size(), 7U);
    for (const auto& [token, p] : left) EXPECT_NE(token, 4);
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
