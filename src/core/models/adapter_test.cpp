// Adapters against PEFT: tiny models with a random adapter, read from PEFT folders and GGUF, on models in both
// containers; what does not fit is refused with names; bits do not depend on company.
#include <gtest/gtest.h>

#include "freehold/base/error.h"
#include "freehold/formats/adapter_files.h"
#include "golden.h"
#include "test_session.h"

namespace freehold {
namespace {

using test::difference;

std::string adapter_folder(const std::string& name) {
    return std::string(FREEHOLD_SOURCE_DIR) + "/tests/golden/adapters/" + name;
}

std::shared_ptr<const Decoder> load(const std::string& path, ThreadPool& threads, Profile profile = Profile::f32) {
    LoadOptions options;
    options.profile = profile;
    return Decoder::load(ModelFiles::open(path), options, threads);
}

struct Case {
    const char* adapter;
    const char* base;
    bool gguf_model, gguf_adapter;
};
void PrintTo(const Case& c, std::ostream* out) {
    *out << c.adapter << (c.gguf_adapter ? ".gguf" : " of PEFT") << " on " << c.base
         << (c.gguf_model ? ".gguf" : " folder");
}

class AdapterGolden : public testing::TestWithParam<Case> {};

TEST_P(AdapterGolden, AgreesWithPeft) {
    const Case& c = GetParam();
    ThreadPool threads(2);
    const auto decoder = load(c.gguf_model ? test::golden_gguf(c.base) : test::golden_folder(c.base), threads);
    const auto files = AdapterFiles::open(adapter_folder(c.adapter) + (c.gguf_adapter ? "/adapter.gguf" : ""));
    const auto adapter = decoder->adapt(*files, threads);
    const test::Golden golden = test::read_golden(c.base);
    const auto want = test::read_floats(adapter_folder(c.adapter) + "/expected.bin");
    std::vector<float> whole;
    for (const std::size_t chunk : {std::size_t{0}, std::size_t{1}, std::size_t{7}}) {
        test::Session session(*decoder, threads);
        session.adapter = adapter.get();
        const auto got = session.feed(golden.tokens, chunk);
        EXPECT_LE(difference(got, want), 1e-4) << "in chunks of " << chunk;
        EXPECT_GE(difference(got, golden.logits), 0.1) << "the adapter changes nothing";
        if (whole.empty()) whole = got;
        EXPECT_EQ(std::memcmp(whole.data(), got.data(), whole.size() * sizeof(float)), 0) << "in chunks of " << chunk;
    }
    test::Session plain(*decoder, threads);
    EXPECT_LE(difference(plain.feed(golden.tokens), golden.logits), 1e-4) << "the model itself was changed";
}

INSTANTIATE_TEST_SUITE_P(All, AdapterGolden,
                         testing::Values(Case{"llama", "llama", false, false}, Case{"llama", "llama", true, false},
                                         Case{"llama-some", "llama", false, false},
                                         Case{"llama-some", "llama", true, true},
                                         Case{"llama-some", "llama", false, true},
                                         Case{"gemma3", "gemma3", false, false}, Case{"gemma3", "gemma3", true, true},
                                         Case{"gpt2", "gpt2", false, false}, Case{"gpt2", "gpt2", true, true},
                                         Case{"gpt2", "gpt2", true, false}));

TEST(Adapter, HasTheSameBitsOnAnyKernelsThreadsAndProfileOfTheBase) {
    ThreadPool one(1);
    const test::Golden golden = test::read_golden("llama");
    const auto files = AdapterFiles::open(adapter_folder("llama"));
    for (const Profile profile : {Profile::f32, Profile::bf16, Profile::q8}) {
        std::vector<float> want;
        for (const Kernels* kernels : available_kernels()) {
            for (const int n : {1, 2, 3}) {
                ThreadPool threads(n);
                const auto decoder = load(test::golden_folder("llama"), threads, profile);
                const auto adapter = decoder->adapt(*files, threads);
                test::Session session(*decoder, threads, KvType::F16, *kernels);
                session.adapter = adapter.get();
                const auto got = session.feed(golden.tokens, n == 2 ? 9 : 0);
                if (want.empty()) want = got;
                EXPECT_EQ(std::memcmp(want.data(), got.data(), want.size() * sizeof(float)), 0)
                    << kernels->name << ", " << n << " threads";
            }
        }
    }
}

// Three sequences in one step: two adapters and none.
TEST(Adapter, SharesAStepWithOthers) {
    ThreadPool threads(2);
    const auto decoder = load(test::golden_gguf("llama"), threads, Profile::f32);
    const auto first = decoder->adapt(*AdapterFiles::open(adapter_folder("llama")), threads);
    const auto second = decoder->adapt(*AdapterFiles::open(adapter_folder("llama-some")), threads);
    const test::Golden golden = test::read_golden("llama");
    const Adapter* const of[] = {first.get(), nullptr, second.get()};
    const auto vocab = static_cast<std::size_t>(decoder->spec().vocab);
    const std::size_t n = golden.tokens.size();
    std::vector<Token> tokens;
    std::vector<std::int32_t> positions;
    std::vector<Segment> segments;
    std::vector<std::unique_ptr<test::Session>> sessions;
    for (std::size_t s = 0; s < 3; ++s) {
        sessions.push_back(std::make_unique<test::Session>(*decoder, threads));
        sessions.back()->reserve(n);
        segments.push_back({static_cast<std::uint32_t>(s * n),
                            static_cast<std::uint32_t>(n),
                            {&sessions.back()->table(), nullptr, of[s]}});
        tokens.insert(tokens.end(), golden.tokens.begin(), golden.tokens.end());
        for (std::size_t i = 0; i < n; ++i) positions.push_back(static_cast<std::int32_t>(i));
    }
    const std::vector<std::uint8_t> wants(tokens.size(), 1);
    std::vector<float> together(tokens.size() * vocab);
    Arena arena(decoder->scratch_bytes(tokens.size(), tokens.size(), threads.size()));
    Exec exec{threads, active_kernels(), arena};
    decoder->forward(exec, {tokens, positions, wants, segments}, together);
    for (std::size_t s = 0; s < 3; ++s) {
        test::Session alone(*decoder, threads);
        alone.adapter = of[s];
        const auto want = alone.feed(golden.tokens);
        EXPECT_EQ(std::memcmp(together.data() + s * n * vocab, want.data(), want.size() * sizeof(float)), 0) << s;
    }
}

std::string refused(const std::string& model, const std::string& adapter) {
    ThreadPool threads(1);
    const auto decoder = load(model, threads, Profile::f32);
    try {
        static_cast<void>(decoder->adapt(*AdapterFiles::open(adapter), threads));
    } catch (const Error& error) {
        return error.message();
    }
    return "nothing";
}

TEST(Adapter, IsRefusedByNameAndShapeWhereItDoesNotFit) {
    const std::string narrow = refused(test::golden_folder("llama3-rope"), adapter_folder("llama-some"));
    EXPECT_NE(narrow.find("self_attn.q_proj.lora_A.weight"), std::string::npos) << narrow;
    EXPECT_NE(narrow.find("42"), std::string::npos) << narrow;
    EXPECT_NE(narrow.find("36"), std::string::npos) << narrow;
    const std::string other = refused(test::golden_folder("gpt2"), adapter_folder("llama"));
    EXPECT_NE(other.find("model.layers.0.mlp.down_proj.lora_A.weight"), std::string::npos) << other;
    const std::string architecture =
        refused(test::golden_folder("gpt2"), adapter_folder("llama-some") + "/adapter.gguf");
    EXPECT_NE(architecture.find("architecture llama"), std::string::npos) << architecture;
}

}  // namespace
}  // namespace freehold
