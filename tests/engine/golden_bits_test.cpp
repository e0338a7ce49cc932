// The logits of the story model that the repository carries, as hashes that are committed: for each profile and KV type
// the same bits by every table of kernels, on every architecture. The quantised files are made here, so that the
// quantisers are held to it as well. After a change of docs/numerics.md the failing lines print what to write here.
#include <unistd.h>

#include <bit>
#include <iostream>
#include <map>

#include "freehold/base/file.h"
#include "freehold/formats/quantise.h"
#include "test_session.h"

namespace freehold {
namespace {

const std::string kFolder = std::string(FREEHOLD_TEST_DATA) + "/stories260K/";

std::uint64_t hash_of(std::span<const float> values) {
    std::uint64_t hash = 0xCBF29CE484222325U;
    for (const float v : values)
        for (int i = 0; i < 4; ++i)
            hash = (hash ^ (std::bit_cast<std::uint32_t>(v) >> (8 * i) & 0xFFU)) * 0x100000001B3U;
    return hash;
}

// The beginning of the story that the model's authors publish: more than one block of 64 keys.
std::vector<Token> story() {
    const Value expected = parse_json(read_text(kFolder + "expected_greedy.json"), "expected_greedy.json");
    const Value* const ids = find(*expected.get<ValueMap>(), "greedy_ids");
    std::vector<Token> tokens{1};
    for (std::size_t i = 0; i < 79; ++i) tokens.push_back(static_cast<Token>(*ids->at(i).as_int()));
    return tokens;
}

const std::map<std::string, std::uint64_t> kExpected = {
    {"F32, profile bf16, KV F16", 0x2e6c3967cc6a9e03},  {"F32, profile bf16, KV F32", 0xf5a96f0f2b55ba4d},
    {"F32, profile bf16, KV Q8_0", 0x21918c62d6ef8481}, {"F32, profile f32, KV F16", 0xebb356a293509c61},
    {"F32, profile f32, KV F32", 0x90eea695f3ee957e},   {"F32, profile f32, KV Q8_0", 0xee4fc25bbe0d2ee},
    {"q4_0, profile q8, KV F16", 0x88a320b71cf9237b},   {"q4_0, profile q8, KV F32", 0x87c24711ac3236df},
    {"q4_0, profile q8, KV Q8_0", 0xb600257131984da3},  {"q5_1, profile q8, KV F16", 0xc645cbcaa301224c},
    {"q5_1, profile q8, KV F32", 0xa3ac640e194dbee7},   {"q5_1, profile q8, KV Q8_0", 0xf6a2a72ab09459ea},
    {"q8_0, profile q8, KV F16", 0x656a219669e6571b},   {"q8_0, profile q8, KV F32", 0x90d1a4eeae02f987},
    {"q8_0, profile q8, KV Q8_0", 0xcb5aab95f184b3a4},
};

class GoldenBits : public testing::Test {
 protected:
    ~GoldenBits() override { std::filesystem::remove_all(folder_); }

    void check(const std::string& name, const std::filesystem::path& path, Profile profile) {
        const auto decoder = Decoder::load(ModelFiles::open(path), {profile, true, {}}, threads_);
        for (const auto& [kv, type] : {std::pair{"F32", KvType::F32}, {"F16", KvType::F16}, {"Q8_0", KvType::Q8_0}})
            for (const Kernels* k : available_kernels()) {
                test::Session session(*decoder, threads_, type, *k);
                const std::uint64_t hash = hash_of(session.feed(story_, 33));
                const std::string key = name + ", KV " + kv;
                const auto want = kExpected.find(key);
                EXPECT_TRUE(want != kExpected.end() && want->second == hash)
                    << k->name << ": {\"" << key << "\", 0x" << std::hex << hash << "},";
            }
    }

    std::filesystem::path quantised(const char* mix) {
        std::filesystem::create_directories(folder_);
        const std::filesystem::path path = folder_ / (std::string(mix) + ".gguf");
        write_quantised(plan_quantise(ModelFiles::open(kFolder + "stories260K.bin"), quant_mix(mix)), path, threads_);
        return path;
    }

    ThreadPool threads_{2};
    std::vector<Token> story_ = story();
    std::filesystem::path folder_ =
        std::filesystem::path(testing::TempDir()) / ("freehold_golden_" + std::to_string(::getpid()));
};

TEST_F(GoldenBits, LogitsOfTheStoryModel) {
    std::string names;
    for (const Kernels* k : available_kernels()) names += std::string(names.empty() ? "" : ", ") + k->name;
    std::cout << "kernels: " << names << "\n";
#if defined(__aarch64__)
    ASSERT_NE(find_kernels("neon"), nullptr);
#elif defined(__x86_64__)
    ASSERT_EQ(find_kernels("avx2") != nullptr, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
#endif
    check("F32, profile f32", kFolder + "stories260K.bin", Profile::f32);
    check("F32, profile bf16", kFolder + "stories260K.bin", Profile::bf16);
    for (const char* mix : {"q8_0", "q4_0", "q5_1"})
        check(mix + std::string(", profile q8"), quantised(mix), Profile::q8);
}

}  // namespace
}  // namespace freehold
