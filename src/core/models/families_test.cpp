// Every family against transformers: tiny models with every parameter random, in both containers, prefilled at once, in
// chunks and token by token; and every switch of the blueprint flipped, to show that the comparison would see it.
#include <unistd.h>

#include <filesystem>
#include <functional>

#include "freehold/base/error.h"
#include "golden.h"
#include "test_session.h"

namespace freehold {
namespace {

using test::difference;

struct Case {
    const char* name;
    bool gguf;
};
void PrintTo(const Case& c, std::ostream* out) {
    *out << c.name << (c.gguf ? ".gguf" : " folder");
}

std::string path_of(const Case& c) {
    return c.gguf ? test::golden_gguf(c.name) : test::golden_folder(c.name);
}

std::shared_ptr<const Decoder> load(const Case& c, ThreadPool& threads, std::function<void(DecoderSpec&)> adjust = {},
                                    bool repack = true) {
    return Decoder::load(ModelFiles::open(path_of(c)), {Profile::f32, repack, std::move(adjust)}, threads);
}

class Families : public testing::TestWithParam<Case> {};

TEST_P(Families, AgreesWithTransformersHoweverThePromptIsCut) {
    ThreadPool threads(2);
    const test::Golden golden = test::read_golden(GetParam().name);
    const auto decoder = load(GetParam(), threads);
    std::vector<float> whole;
    for (const std::size_t chunk : {std::size_t{0}, std::size_t{1}, std::size_t{7}, std::size_t{16}}) {
        test::Session session(*decoder, threads);
        const std::vector<float> logits = session.feed(golden.tokens, chunk);
        EXPECT_LE(difference(logits, golden.logits), 1e-4) << "in chunks of " << chunk;
        if (whole.empty()) whole = logits;
        EXPECT_EQ(std::memcmp(whole.data(), logits.data(), whole.size() * sizeof(float)), 0)
            << "other bits in chunks of " << chunk;
    }
}

TEST_P(Families, SameBitsOnAnyKernelsThreadsAndWithoutPanels) {
    ThreadPool one(1);
    const test::Golden golden = test::read_golden(GetParam().name);
    const auto decoder = load(GetParam(), one);
    for (const KvType kv : {KvType::F16, KvType::Q8_0}) {
        test::Session plain(*decoder, one, kv, scalar_kernels());
        const std::vector<float> want = plain.feed(golden.tokens);
        EXPECT_LE(difference(want, golden.logits), 2e-2) << "keys and values rounded";
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
            const auto decoder =
                Decoder::load(ModelFiles::open(path_of(GetParam())), {Profile::bf16, repack, {}}, threads);
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
        LoadOptions options;
        options.profile = profile;
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

// One switch of the blueprint, set wrongly.
struct Flip {
    const char* name;
    std::function<void(DecoderSpec&)> change;
};

// Returns the relative change of the logits, or a negative number with the sentence when the model is refused instead.
double moved(const Case& c, ThreadPool& threads, const test::Golden& golden, const Flip& flip, std::string& sentence) {
    try {
        const auto decoder = load(c, threads, flip.change);
        test::Session session(*decoder, threads);
        return difference(session.feed(golden.tokens), golden.logits);
    } catch (const Error& e) {
        sentence = e.message();
        return -1;
    }
}

void expect_all_seen(const Case& c, const std::vector<Flip>& flips) {
    ThreadPool threads(2);
    const test::Golden golden = test::read_golden(c.name);
    for (const Flip& f : flips) {
        std::string sentence;
        const double d = moved(c, threads, golden, f, sentence);
        if (d < 0) {
            EXPECT_NE(sentence.find("Tensor '"), std::string::npos) << f.name << ": " << sentence;
        } else {
            EXPECT_GT(d, 1e-2) << c.name << " is blind to " << f.name;
        }
    }
}

// Switches that every family has.
std::vector<Flip> common_flips() {
    return {
        {"norm kind", [](DecoderSpec& s) { s.norm = s.norm == NormKind::rms ? NormKind::layer : NormKind::rms; }},
        {"norm place",
         [](DecoderSpec& s) { s.norm_place = s.norm_place == NormPlace::pre ? NormPlace::post : NormPlace::pre; }},
        {"norm after the addition", [](DecoderSpec& s) { s.norm_place = NormPlace::post_add; }},
        {"norm weight plus one", [](DecoderSpec& s) { s.norm_weight_plus_one = !s.norm_weight_plus_one; }},
        {"epsilon", [](DecoderSpec& s) { s.norm_eps = 1e-5F; }},
        {"final norm", [](DecoderSpec& s) { s.final_norm = false; }},
        {"scale of scores", [](DecoderSpec& s) { s.attn_scale *= 1.2F; }},
        {"scale of scores by layer",
         [](DecoderSpec& s) { s.attn_scale_by_inverse_layer = !s.attn_scale_by_inverse_layer; }},
        {"cap on scores", [](DecoderSpec& s) { s.attn_softcap = s.attn_softcap > 0 ? 0.0F : 1.0F; }},
        {"clamp", [](DecoderSpec& s) { s.qkv_clamp = 0.5F; }},
        {"activation",
         [](DecoderSpec& s) {
             s.activation = s.activation == Activation::silu ? Activation::gelu_tanh : Activation::silu;
         }},
        {"gate", [](DecoderSpec& s) { s.gated_mlp = !s.gated_mlp; }},
        {"embedding scale", [](DecoderSpec& s) { s.embed_scale = s.embed_scale == 1.0F ? 3.0F : 1.0F; }},
        {"tied head", [](DecoderSpec& s) { s.tied_head = !s.tied_head; }},
        {"scale of logits", [](DecoderSpec& s) { s.logit_scale = 0.9F; }},
        {"cap on logits", [](DecoderSpec& s) { s.final_softcap = s.final_softcap > 0 ? 0.0F : 2.0F; }},
        {"causal", [](DecoderSpec& s) { s.causal = false; }},
        {"QK-norm", [](DecoderSpec& s) { s.qk_norm = s.qk_norm == QkNorm::none ? QkNorm::per_head : QkNorm::none; }},
        {"window",
         [](DecoderSpec& s) {
             for (LayerSpec& l : s.layers) l.window = l.window == 0 ? 8 : 0;
         }},
    };
}

std::vector<Flip> with(std::vector<Flip> flips, std::vector<Flip> more) {
    flips.insert(flips.end(), more.begin(), more.end());
    return flips;
}

std::vector<Flip> rotary_flips() {
    return {
        {"rotary pairs",
         [](DecoderSpec& s) {
             for (RopeSpec& r : s.ropes) r.interleaved = !r.interleaved;
         }},
        {"rotary base", [](DecoderSpec& s) { s.ropes[0].theta = s.ropes[0].theta == 10000.0 ? 300.0 : 10000.0; }},
        {"rotary factor", [](DecoderSpec& s) { s.ropes[0].factor = s.ropes[0].factor == 1.0 ? 2.0 : 1.0; }},
        {"rotary amplitude",
         [](DecoderSpec& s) {
             for (RopeSpec& r : s.ropes) r.attn_factor *= 1.2;
         }},
        {"rotary divisors",
         [](DecoderSpec& s) {
             if (s.ropes[0].divisors.empty())
                 s.ropes[0].divisors.assign(static_cast<std::size_t>(s.ropes[0].n_dims / 2), 2.0F);
             else
                 s.ropes[0].divisors.clear();
         }},
        {"rotated dimensions",
         [](DecoderSpec& s) {
             for (RopeSpec& r : s.ropes) {
                 r.n_dims = 8;
                 r.divisors.clear();
             }
         }},
        {"no rotation",
         [](DecoderSpec& s) {
             for (LayerSpec& l : s.layers) l.rope = -1;
         }},
    };
}

TEST(Switches, LlamaSeesEveryOne) {
    const auto flips = with(with(common_flips(), rotary_flips()),
                            {{"attention biases", [](DecoderSpec& s) { s.attn_bias = Presence::absent; }},
                             {"MLP biases", [](DecoderSpec& s) { s.mlp_bias = Presence::absent; }},
                             {"learned positions", [](DecoderSpec& s) { s.positions = Positions::learned; }}});
    expect_all_seen({"llama", false}, flips);
    expect_all_seen({"llama", true}, flips);
    expect_all_seen({"llama3-rope", false}, rotary_flips());
    expect_all_seen({"llama-yarn", false}, rotary_flips());
    expect_all_seen({"llama-linear", false}, rotary_flips());
}

TEST(Switches, Gemma3SeesEveryOne) {
    const auto flips =
        with(with(common_flips(), rotary_flips()),
             {{"rotary base of the windows",
               [](DecoderSpec& s) { s.ropes[1].theta = s.ropes[1].theta == 10000.0 ? 300.0 : 10000.0; }},
              {"one rotation for all",
               [](DecoderSpec& s) {
                   for (LayerSpec& l : s.layers) l.rope = 0;
               }},
              {"window wider by one",
               [](DecoderSpec& s) {
                   for (LayerSpec& l : s.layers) l.window += l.window > 0 ? 1 : 0;
               }},
              {"window narrower by one",
               [](DecoderSpec& s) {
                   for (LayerSpec& l : s.layers) l.window -= l.window > 0 ? 1 : 0;
               }},
              {"which layers have windows",
               [](DecoderSpec& s) { std::rotate(s.layers.begin(), s.layers.begin() + 1, s.layers.end()); }},
              {"norm over the whole width", [](DecoderSpec& s) { s.qk_norm = QkNorm::whole_width; }}});
    expect_all_seen({"gemma3", false}, flips);
    expect_all_seen({"gemma3", true}, flips);
    expect_all_seen({"gemma3-hf", false}, flips);
}

TEST(Switches, Gpt2SeesEveryOne) {
    const auto flips = with(common_flips(), {{"positions", [](DecoderSpec& s) { s.positions = Positions::none; }},
                                             {"position offset", [](DecoderSpec& s) {
                                                  s.position_offset = 1;
                                                  --s.context;
                                              }}});
    expect_all_seen({"gpt2", false}, flips);
    // Its GGUF carries the head as a copy of the embedding, so that tied or not is the same model.
    auto in_gguf = flips;
    std::erase_if(in_gguf, [](const Flip& f) { return std::string_view(f.name) == "tied head"; });
    expect_all_seen({"gpt2", true}, in_gguf);
    expect_all_seen({"gpt2-bare", false}, flips);
}

}  // namespace
}  // namespace freehold
