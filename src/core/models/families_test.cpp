// Every family against transformers: tiny models with every parameter random, in both containers, prefilled at once, in
// chunks and token by token; and every switch of the blueprint flipped, to show that the comparison would see it.
#include <unistd.h>

#include <filesystem>
#include <functional>

#include "family_case.h"
#include "freehold/base/error.h"
#include "test_session.h"

namespace freehold {
namespace {

using test::Case;
using test::difference;
using test::load;
using test::options_of;
using test::path_of;

class Families : public testing::TestWithParam<Case> {};

TEST_P(Families, AgreesWithTransformersHoweverThePromptIsCut) {
    ThreadPool threads(2);
    const test::Golden golden = test::read_golden(GetParam().name);
    const auto decoder = load(GetParam(), threads);
    std::vector<float> whole;
    double worst = 0;
    for (const std::size_t chunk : {std::size_t{0}, std::size_t{1}, std::size_t{7}, std::size_t{16}}) {
        test::Session session(*decoder, threads);
        const std::vector<float> logits = session.feed(golden.tokens, chunk);
        const double d = difference(logits, golden.logits);
        EXPECT_LE(d, 1e-4) << "in chunks of " << chunk;
        worst = std::max(worst, d);
        if (whole.empty()) whole = logits;
        EXPECT_EQ(std::memcmp(whole.data(), logits.data(), whole.size() * sizeof(float)), 0)
            << "other bits in chunks of " << chunk;
    }
    RecordProperty("family", decoder->spec().family);
    RecordProperty("worst", std::to_string(worst * 1e9) + "e-9");
}

// A prompt, a prompt that goes on, and two sequences at their next token, in one batch: each as if it were alone.
TEST_P(Families, ARaggedBatchAgreesWithTransformers) {
    ThreadPool threads(2);
    const test::Golden golden = test::read_golden(GetParam().name);
    const auto decoder = load(GetParam(), threads);
    const auto vocab = static_cast<std::size_t>(decoder->spec().vocab);
    struct Part {
        std::size_t before, now;
    };
    const Part parts[] = {{0, 23}, {11, 9}, {39, 1}, {4, 1}};
    std::vector<std::unique_ptr<test::Session>> sessions;
    std::vector<Token> tokens;
    std::vector<std::int32_t> positions;
    std::vector<Segment> segments;
    std::vector<float> want;
    for (const Part& part : parts) {
        test::Session& session = *sessions.emplace_back(std::make_unique<test::Session>(*decoder, threads));
        if (part.before > 0) session.feed(std::span(golden.tokens).first(part.before));
        session.reserve(part.now);
        segments.push_back({static_cast<std::uint32_t>(tokens.size()),
                            static_cast<std::uint32_t>(part.now),
                            {&session.table(), nullptr, nullptr}});
        for (std::size_t i = part.before; i < part.before + part.now; ++i) {
            tokens.push_back(golden.tokens[i]);
            positions.push_back(static_cast<std::int32_t>(i));
            want.insert(want.end(), golden.logits.begin() + static_cast<std::ptrdiff_t>(i * vocab),
                        golden.logits.begin() + static_cast<std::ptrdiff_t>((i + 1) * vocab));
        }
    }
    const std::vector<std::uint8_t> wants(tokens.size(), 1);
    std::vector<float> got(want.size());
    Arena arena(decoder->scratch_bytes(tokens.size(), tokens.size(), threads.size()));
    Exec exec{threads, active_kernels(), arena};
    decoder->forward(exec, {tokens, positions, wants, segments}, got);
    EXPECT_LE(difference(got, want), 1e-4);
}

TEST_P(Families, SameBitsOnAnyKernelsThreadsAndWithoutPanels) {
    ThreadPool one(1);
    const test::Golden golden = test::read_golden(GetParam().name);
    const auto decoder = load(GetParam(), one);
    for (const KvType kv : {KvType::F16, KvType::Q8_0}) {
        test::Session plain(*decoder, one, kv, scalar_kernels());
        const std::vector<float> want = plain.feed(golden.tokens);
        // Heads of 6 to 10 numbers round coarsely in eight bits.
        EXPECT_LE(difference(want, golden.logits), kv == KvType::F16 ? 1e-2 : 5e-2) << "keys and values rounded";
        for (const Kernels* kernels : available_kernels()) {
            for (const int n : {1, 2, 3}) {
                ThreadPool threads(n);
                for (const bool repack : {true, false}) {
                    const auto again = load(GetParam(), threads, {}, repack);
                    test::Session session(*again, threads, kv, *kernels);
                    const std::vector<float> got = session.feed(golden.tokens, 9);
                    EXPECT_EQ(std::memcmp(want.data(), got.data(), want.size() * sizeof(float)), 0)
                        << kernels->name << ", " << n << " threads, repack " << repack;
                }
            }
        }
    }
}

TEST_P(Families, Bf16IsCloseAndKeepsItsBits) {
    ThreadPool threads(2);
    const test::Golden golden = test::read_golden(GetParam().name);
    std::vector<float> want;
    for (const Kernels* kernels : available_kernels()) {
        for (const bool repack : {true, false}) {
            const auto decoder = Decoder::load(ModelFiles::open(path_of(GetParam())),
                                               options_of(GetParam(), Profile::bf16, repack), threads);
            for (const std::size_t chunk : {std::size_t{0}, std::size_t{1}, std::size_t{11}}) {
                test::Session session(*decoder, threads, KvType::F16, *kernels);
                const std::vector<float> got = session.feed(golden.tokens, chunk);
                if (want.empty()) want = got;
                EXPECT_EQ(std::memcmp(want.data(), got.data(), want.size() * sizeof(float)), 0)
                    << kernels->name << ", chunk " << chunk;
            }
        }
    }
    EXPECT_LE(difference(want, golden.logits), 0.1);
    EXPECT_GT(difference(want, golden.logits), 1e-5) << "profile bf16 must round";
}

TEST_P(Families, SameBitsFromPanelsThatWereKept) {
    ThreadPool threads(2);
    const test::Golden golden = test::read_golden(GetParam().name);
    const auto files = ModelFiles::open(path_of(GetParam()));
    const std::string key(64, '1');
    for (const Profile profile : {Profile::f32, Profile::bf16}) {
        const std::filesystem::path path =
            std::filesystem::path(testing::TempDir()) / ("freehold_panels_" + std::to_string(::getpid()));
        const std::uint64_t size = write_panels(files, profile, path, key, threads);
        EXPECT_EQ(size, std::filesystem::file_size(path));
        LoadOptions options = options_of(GetParam(), profile);
        const auto packed = Decoder::load(files, options, threads);
        EXPECT_EQ(packed->mapped_panel_bytes(), 0U);
        options.panels = PanelFile::open(path, key);
        options.panels->verify();
        std::filesystem::remove(path);  // what is mapped stays
        const auto mapped = Decoder::load(files, options, threads);
        EXPECT_EQ(mapped->mapped_panel_bytes(), packed->panel_bytes());
        EXPECT_EQ(mapped->panel_bytes(), packed->panel_bytes());
        test::Session plain(*packed, threads, KvType::F16), kept(*mapped, threads, KvType::F16);
        const std::vector<float> want = plain.feed(golden.tokens), got = kept.feed(golden.tokens);
        EXPECT_EQ(std::memcmp(want.data(), got.data(), want.size() * sizeof(float)), 0);
        // Panels of the other profile, or of another model: none is taken, and the result is the same.
        options.profile = profile == Profile::f32 ? Profile::bf16 : Profile::f32;
        EXPECT_EQ(Decoder::load(files, options, threads)->mapped_panel_bytes(), 0U);
        options.profile = profile;
        options.repack = false;
        EXPECT_EQ(Decoder::load(files, options, threads)->panel_bytes(), 0U);
    }
}

// Two layers' panels change places and the digest at the end is renewed: by themselves they are in order.
TEST(Decoder, PanelsThatWereChangedWithTheirDigestAreNamed) {
    ThreadPool threads(2);
    const std::filesystem::path path =
        std::filesystem::path(testing::TempDir()) / ("freehold_changed_" + std::to_string(::getpid()));
    const std::string key(64, '1');
    const auto files = ModelFiles::open(test::golden_gguf("llama"));
    write_panels(files, Profile::f32, path, key, threads);
    const PanelComparison whole = compare_panels(files, Profile::f32, *PanelFile::open(path, key), threads);
    EXPECT_TRUE(whole.wrong.empty());
    EXPECT_EQ(whole.weights, PanelFile::open(path, key)->names().size());
    EXPECT_EQ(whole.bytes, Decoder::load(files, {Profile::f32, true, {}}, threads)->panel_bytes());

    std::string bytes = read_text(path);
    const auto table = parse_panel_table(std::as_bytes(std::span(bytes)), key, "panels");
    const auto place = [&](std::string_view name) {
        return *std::ranges::find_if(table, [&](const PanelEntry& e) { return e.facts.name == name; });
    };
    const PanelEntry a = place("layers.0.mlp.down"), b = place("layers.1.mlp.down");
    ASSERT_EQ(a.facts.bytes, b.facts.bytes);
    const auto end_of_a = bytes.begin() + static_cast<std::ptrdiff_t>(a.at + a.facts.bytes);
    std::swap_ranges(bytes.begin() + static_cast<std::ptrdiff_t>(a.at), end_of_a,
                     bytes.begin() + static_cast<std::ptrdiff_t>(b.at));
    bytes.resize(bytes.size() - 64);
    bytes += sha256_hex(std::as_bytes(std::span(bytes)));
    write_text_atomic(path, bytes);
    const auto changed = PanelFile::open(path, key);
    changed->verify();
    EXPECT_EQ(compare_panels(files, Profile::f32, *changed, threads).wrong,
              (std::vector<std::string>{"layers.0.mlp.down", "layers.1.mlp.down"}));
    // Of another profile: none is what would be made.
    EXPECT_EQ(compare_panels(files, Profile::bf16, *changed, threads).wrong.size(), whole.weights);
    std::filesystem::remove(path);
}

TEST(Decoder, NothingIsKeptOfPanelsThatWereStopped) {
    ThreadPool threads(1);
    const std::filesystem::path folder =
        std::filesystem::path(testing::TempDir()) / ("freehold_stopped_" + std::to_string(::getpid()));
    std::filesystem::create_directory(folder);
    int told = 0;
    const Progress stop = [&](const ProgressEvent&) {
        if (++told == 3) throw Error(ErrorKind::cancelled, "Stopped.");
    };
    EXPECT_THROW(write_panels(ModelFiles::open(test::golden_gguf("llama")), Profile::f32, folder / "panels",
                              std::string(64, '1'), threads, stop),
                 Error);
    EXPECT_EQ(told, 3);
    EXPECT_TRUE(std::filesystem::is_empty(folder));
    std::filesystem::remove(folder);
}

TEST(Decoder, RefusesWhatIsOutsideItsTables) {
    ThreadPool threads(2);
    const auto decoder = load({"gpt2", false}, threads);
    for (const Token wrong : {-1, 96, 1 << 30}) {
        test::Session session(*decoder, threads);
        EXPECT_THROW(session.feed(std::span(&wrong, 1)), Error) << wrong;
    }
    test::Session session(*decoder, threads);
    const std::vector<Token> long_text(49, 5);  // its table has 48 positions
    EXPECT_THROW(session.feed(long_text), Error);
}

INSTANTIATE_TEST_SUITE_P(Tiny, Families,
                         testing::Values(Case{"llama", false}, Case{"llama", true}, Case{"llama3-rope", false},
                                         Case{"llama3-rope", true}, Case{"llama-linear", false},
                                         Case{"llama-yarn", false}, Case{"gemma3-hf", false},
                                         Case{"gemma3-nested", false}, Case{"gemma3", false}, Case{"gemma3", true},
                                         Case{"gpt2", false}, Case{"gpt2", true}, Case{"gpt2-bare", false}));

TEST(Decoder, EveryPageHasARowInTheDocuments) {
    const std::string text = read_text(std::string(FREEHOLD_SOURCE_DIR) + "/docs/families.md");
    for (const std::string_view name : known_architectures())
        EXPECT_NE(text.find("\n| " + std::string(name) + " |"), std::string::npos)
            << name << ": tests/families_table.py writes the rows";
}

INSTANTIATE_TEST_SUITE_P(
    More, Families,
    testing::Values(
        Case{"qwen2", false}, Case{"qwen2", true}, Case{"qwen2-window", false}, Case{"qwen2-yarn", false},
        Case{"qwen2-yarn", true}, Case{"qwen3", false}, Case{"qwen3", true}, Case{"mistral", false},
        Case{"mistral-nemo", false}, Case{"mistral-nemo", true}, Case{"smollm3", false}, Case{"smollm3", true},
        Case{"olmo", false}, Case{"olmo", true}, Case{"olmo2", false}, Case{"mixtral", false}, Case{"mixtral", true},
        Case{"mixtral-window", false}, Case{"qwen3moe", false}, Case{"qwen3moe-all", false}, Case{"qwen3moe-all", true},
        Case{"olmoe", false}, Case{"olmoe", true}, Case{"gpt-oss", false}, Case{"gpt-oss", true},
        Case{"gpt-oss-limit", false}, Case{"gpt-oss-mxfp4", false}, Case{"gpt-oss-mxfp4", true}, Case{"olmo2", true},
        Case{"olmo3", false}, Case{"olmo3", true}, Case{"phi3", false}, Case{"phi3", true}, Case{"phi3-short", false},
        Case{"phi3-short", true}, Case{"phi3-long", false, 80}, Case{"llama-dynamic", false, 40}, Case{"gemma2", false},
        Case{"gemma2", true}, Case{"apertus", false}, Case{"apertus", true}, Case{"gptneox", false},
        Case{"gptneox", true}, Case{"gptneox-serial", false}, Case{"gptneo", false}, Case{"gptj", false},
        Case{"opt", false}, Case{"opt-350m", false}, Case{"opt-bare", false}, Case{"mpt", false}, Case{"mpt", true},
        Case{"mpt-scaled", false}, Case{"mpt-qk", false}, Case{"mpt-qk", true}, Case{"mpt-rope", false},
        Case{"bloom", false}, Case{"bloom", true}, Case{"falcon-7b", false}, Case{"falcon-7b", true},
        Case{"falcon-40b", false}, Case{"falcon-40b", true}, Case{"falcon-11b", false}, Case{"falcon-rw", false}));

INSTANTIATE_TEST_SUITE_P(DeepSeek, Families,
                         testing::Values(Case{"deepseek-v3", false}, Case{"deepseek-v3", true},
                                         Case{"deepseek-v3-halves", false}, Case{"deepseek-v2", false},
                                         Case{"deepseek-v2", true}, Case{"deepseek-v2-lite", false},
                                         Case{"deepseek-v2-lite", true}));

}  // namespace
}  // namespace freehold
