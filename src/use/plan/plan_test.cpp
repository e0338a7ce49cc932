// Counts held against transformers' own models; memory, rates and costs against sums done by hand; configurations that
// lie are named.
#include "freehold/plan/plan.h"

#include <gtest/gtest.h>

#include <string>

#include "freehold/base/error.h"
#include "freehold/base/file.h"

namespace freehold::plan {
namespace {

ModelShape shape(const char* json) {
    const Value v = parse_json(json, "config.json");
    return shape_of_config(*v.get<ValueMap>(), "config.json");
}

std::string refusal(const char* json) {
    try {
        static_cast<void>(shape(json));
    } catch (const Error& e) {
        return e.message();
    }
    return "accepted";
}

TEST(Plan, CountsEqualThoseOfTransformers) {
    const Value root =
        parse_json(read_text(FREEHOLD_SOURCE_DIR "/tests/golden/plan/counts.json"), "tests/golden/plan/counts.json");
    ASSERT_GT(root.size(), 20U);
    for (std::size_t i = 0; i < root.size(); ++i) {
        const Value entry = root.at(i);
        const ValueMap& map = *entry.get<ValueMap>();
        const std::string name(*map.find("name")->as_string());
        const ModelShape s = shape_of_config(*map.find("config")->get<ValueMap>(), name);
        EXPECT_EQ(s.total(), static_cast<std::uint64_t>(*map.find("parameters")->as_int())) << name;
        EXPECT_TRUE(s.family_known) << name;
        EXPECT_EQ(s.active(), static_cast<std::uint64_t>(*map.find("active")->as_int())) << name;
    }
}

TEST(Plan, EveryKnownConfigurationCanBePlanned) {
    ASSERT_GT(known_configs().size(), 60U);
    for (const KnownConfig& k : known_configs()) {
        const ModelShape s = shape_of_config(k.config, k.name);
        EXPECT_TRUE(s.family_known) << k.name;
        EXPECT_GT(s.context, 0) << k.name;
        EXPECT_FALSE(k.source.empty()) << k.name;
        EXPECT_EQ(find_config(k.name), &k);
        for (const std::string& alias : k.aliases) EXPECT_EQ(find_config(alias), &k) << alias;
        EXPECT_LE(s.active(), s.total()) << k.name;
    }
    EXPECT_EQ(find_config("no such model"), nullptr);
}

TEST(Plan, LargeModelsWeighWhatIsKnownOfThem) {
    const ModelShape llama = shape_of_config(find_config("llama3.1:405b")->config, "x");
    EXPECT_NEAR(static_cast<double>(llama.total()), 405.9e9, 0.2e9);
    const ModelShape deepseek = shape_of_config(find_config("deepseek-v3")->config, "x");
    EXPECT_NEAR(static_cast<double>(deepseek.total()), 671e9, 1e9);
    EXPECT_NEAR(static_cast<double>(deepseek.active()), 37.5e9, 1e9);
    // The latent cache: 512 + 64 numbers a token and layer.
    EXPECT_EQ(cache_bytes(deepseek, CacheType::f16, 1), 61U * 576 * 2);
    EXPECT_EQ(cache_bytes(llama, CacheType::f16, 1000), 126U * 8 * 256 * 2 * 1000);
    EXPECT_EQ(cache_bytes(llama, CacheType::q8_0, 32), 126U * 8 * 256 * 34);
}

TEST(Plan, WindowsBoundTheCache) {
    const ModelShape s = shape(R"({"model_type": "mistral", "num_hidden_layers": 2, "hidden_size": 64,
        "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 96, "vocab_size": 100,
        "sliding_window": 10, "max_position_embeddings": 1000})");
    EXPECT_EQ(cache_bytes(s, CacheType::f32, 1000), 2U * 2 * 32 * 4 * 10);
    EXPECT_EQ(cache_bytes(s, CacheType::f32, 7), 2U * 2 * 32 * 4 * 7);
    const ModelShape gemma = shape_of_config(find_config("gemma3:1b")->config, "x");
    int full = 0;
    for (const CacheShape& c : gemma.cache) full += c.window == 0;
    EXPECT_EQ(full, 4);  // of 26 layers, every sixth
}

TEST(Plan, RowsOfTypesAreInOrderAndMixturesAreTheQuantisers) {
    const ModelShape s = shape_of_config(find_config("llama3.1:8b")->config, "x");
    const auto rows = weight_rows(s);
    double before = 33;
    for (const WeightRow& r : rows) {
        if (r.type == "f16") continue;  // as large as bf16
        EXPECT_LT(r.bits, before) << r.type;
        before = r.bits;
        EXPECT_LT(r.token_bytes, r.bytes);
    }
    EXPECT_EQ(rows.front().bytes, s.total() * 4);
    // llama.cpp's own file of this model in Q4_K_M takes 4.89 bits a weight.
    for (const WeightRow& r : rows) {
        if (r.type == "q4_k_m") {
            EXPECT_NEAR(r.bits, 4.89, 0.02);
        }
    }
}

TEST(Plan, RatesFollowBandwidthAndArithmetic) {
    const ModelShape s = shape_of_config(find_config("llama3.1:8b")->config, "x");
    const WeightRow row = weight_rows(s).front();
    const Machine m{100, 2000, 1000, 64'000'000'000};
    const Rates one = rates(s, row, CacheType::f16, m, 2, 1);
    EXPECT_NEAR(one.decode, 100e9 * kDecodeShare / static_cast<double>(row.token_bytes), 0.01);
    EXPECT_NEAR(one.prefill, 1000e9 * kPrefillShare / (2.0 * static_cast<double>(s.active())), 0.01);
    const Rates eight = rates(s, row, CacheType::f16, m, 2, 8);
    EXPECT_NEAR(eight.decode_all, 8 * eight.decode, 1e-9);
    EXPECT_GT(eight.decode_all, 7 * one.decode);
    Machine twice = m;
    twice.read_gbytes_per_s *= 2;
    EXPECT_NEAR(rates(s, row, CacheType::f16, twice, 2, 1).decode, 2 * one.decode, 1e-6);
}

TEST(Plan, StreamsShareExpertsOnlyAsFarAsTheyChooseTheSame) {
    const ModelShape s = shape_of_config(find_config("mixtral")->config, "x");
    const WeightRow row = weight_rows(s).front();
    const Machine m{100, 1e9, 1e9, 64'000'000'000};
    const double one = rates(s, row, CacheType::f16, m, 2, 1).decode_all,
                 two = rates(s, row, CacheType::f16, m, 2, 2).decode_all,
                 many = rates(s, row, CacheType::f16, m, 2, 64).decode_all;
    EXPECT_LT(two, 1.5 * one);
    EXPECT_GT(many, 15 * one);
}

TEST(Plan, MachinesAndMonths) {
    const ModelShape s = shape_of_config(find_config("llama3.1:405b")->config, "x");
    WeightRow q8;
    for (const WeightRow& r : weight_rows(s))
        if (r.type == "q8_0") q8 = r;
    const Machine m{400, 4000, 2000, 256'000'000'000};
    const Holding h = holding(s, q8, CacheType::f16, m, 4096, 1);
    EXPECT_EQ(h.machines, 2U);  // 431 GB and 2 GB of cache, of 235 GB each
    const Rates r = rates(s, q8, CacheType::f16, m, 4096, 1);
    const Cost c = cost({1000, 0.5, 2.0, 1.0, 3.0}, r, h);
    EXPECT_DOUBLE_EQ(c.machines, 2);
    EXPECT_NEAR(c.own, 2 * 2.0 * 730.5, 1e-6);
    EXPECT_NEAR(c.hosted, 30.4375 * (500 * 1.0 + 500 * 3.0) / 1e6, 1e-9);
    EXPECT_GT(c.busy, 0);
    const Cost more = cost({1e7, 0.5, 2.0, 1.0, 3.0}, r, h);
    EXPECT_GT(more.busy, 1);
    EXPECT_GT(more.machines, 2);
}

TEST(Plan, UnknownFamiliesAreCountedAndSaid) {
    const ModelShape s = shape(R"({"model_type": "newcomer", "num_hidden_layers": 2, "hidden_size": 64,
        "num_attention_heads": 4, "intermediate_size": 96, "vocab_size": 100, "tie_word_embeddings": true})");
    EXPECT_FALSE(s.family_known);
    EXPECT_EQ(s.total(), 100U * 64 + 2 * (4 * 64 * 64 + 3 * 96 * 64 + 2 * 64) + 64);
}

TEST(Plan, WhatIsWrongIsNamed) {
    EXPECT_EQ(refusal("{}"), "config.json: key \"num_hidden_layers\" is missing; it tells the model's size.");
    EXPECT_EQ(refusal(R"({"num_hidden_layers": "six"})"),
              "config.json: key \"num_hidden_layers\" is \"six\"; a whole number was expected.");
    EXPECT_EQ(refusal(R"({"num_hidden_layers": 1000000})"),
              "config.json: key \"num_hidden_layers\" is 1000000; it must be between 1 and 4096.");
    EXPECT_EQ(refusal(R"({"num_hidden_layers": 2, "hidden_size": 65, "num_attention_heads": 4, "vocab_size": 5})"),
              "config.json: key \"num_attention_heads\" is 4, which does not divide the width 65.");
    EXPECT_EQ(refusal(R"({"num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4, "vocab_size": 5,
                         "tie_word_embeddings": 3})"),
              "config.json: key \"tie_word_embeddings\" is 3; true or false was expected.");
    EXPECT_NE(refusal(R"({"num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4, "vocab_size": 5,
                         "num_experts": 4, "num_experts_per_tok": 9})")
                  .find("more than the 4 experts"),
              std::string::npos);
    EXPECT_NE(refusal(R"({"model_type": "t5"})").find("plans are made of decoders"), std::string::npos);
}

}  // namespace
}  // namespace freehold::plan
