// Latent attention in whole models: what the cache takes, files of the older form, quantised files, layers behind the
// last, and who looks at the latents.
#include <set>

#include "family_case.h"
#include "freehold/base/error.h"
#include "test_session.h"

namespace freehold {
namespace {

using test::difference;

TEST(Latent, CacheOfATokenIsOneLatentAndOneRotatedKeyALayer) {
    ThreadPool threads(1);
    for (const bool gguf : {false, true}) {
        const auto decoder = test::load({"deepseek-v3", gguf}, threads);
        const DecoderSpec& s = decoder->spec();
        EXPECT_EQ(s.latent.kv_rank, 12);
        EXPECT_EQ(s.latent.rope, 4);
        EXPECT_EQ(decoder->kv_layout(KvType::F32).bytes_per_token(), 3U * (12 + 4) * 4);
        EXPECT_EQ(decoder->kv_layout(KvType::F16).bytes_per_token(), 3U * (12 + 4) * 2);
        EXPECT_EQ(decoder->kv_layout(KvType::Q8_0).bytes_per_token(), 3U * (12 + 4 + 2));
    }
}

TEST(Latent, OlderGgufFilesHaveKeysAndValuesOfTheHeadsInOneTensor) {
    ThreadPool threads(2);
    const test::Golden golden = test::read_golden("deepseek-v2");
    const auto files = ModelFiles::open(test::golden_folder("deepseek-v2") + "/joined.gguf");
    ASSERT_NE(files->find_tensor("blk.0.attn_kv_b.weight"), nullptr);
    const auto decoder = Decoder::load(files, {Profile::f32, true, {}}, threads);
    const auto apart = test::load({"deepseek-v2", true}, threads);
    test::Session session(*decoder, threads), other(*apart, threads);
    const std::vector<float> got = session.feed(golden.tokens), want = other.feed(golden.tokens);
    EXPECT_LE(difference(got, golden.logits), 1e-4);
    EXPECT_EQ(std::memcmp(got.data(), want.data(), got.size() * sizeof(float)), 0);
}

// Its weights are such that Q8_0 holds them exactly.
TEST(Latent, QuantisedWeightsAreTheModelAndKeepTheirBits) {
    const test::Golden golden = test::read_golden("deepseek-q8");
    const auto files = ModelFiles::open(test::golden_gguf("deepseek-q8"));
    EXPECT_EQ(files->find_tensor("blk.0.attn_k_b.weight")->dtype(), DType::Q8_0);
    for (const auto& [profile, far] : {std::pair{Profile::f32, 1e-4}, {Profile::q8, 0.15}}) {
        std::vector<float> want;
        for (const Kernels* kernels : available_kernels()) {
            for (const int n : {1, 3}) {
                ThreadPool threads(n);
                for (const bool repack : {true, false}) {
                    const auto decoder = Decoder::load(files, {profile, repack, {}}, threads);
                    for (const std::size_t chunk : {std::size_t{0}, std::size_t{1}, std::size_t{7}}) {
                        test::Session session(*decoder, threads, KvType::F32, *kernels);
                        const std::vector<float> got = session.feed(golden.tokens, chunk);
                        if (want.empty()) want = got;
                        EXPECT_EQ(std::memcmp(want.data(), got.data(), want.size() * sizeof(float)), 0)
                            << kernels->name << ", " << n << " threads, chunk " << chunk;
                    }
                }
            }
        }
        EXPECT_LE(difference(want, golden.logits), far);
        if (profile == Profile::q8) {
            EXPECT_GT(difference(want, golden.logits), 1e-4) << "activations must round";
        }
    }
}

// Reads the latents of the first layer, and may make one of them smaller.
class Watcher : public Probe {
 public:
    explicit Watcher(float factor) : factor_(factor) {}
    [[nodiscard]] bool wants(SiteRef) const noexcept override { return true; }
    void visit(SiteRef site, std::int32_t position, std::span<float> value) override {
        sites.insert(site_path(site.site, site.layer));
        if (site.site != Site::attn_latent || site.layer != 0) return;
        EXPECT_EQ(value.size(), 12U);
        if (position != 11) return;
        for (float& v : value) v *= factor_;
    }
    std::set<std::string> sites;

 private:
    float factor_;
};

TEST(Latent, ProbesSeeAndChangeTheLatents) {
    ThreadPool threads(2);
    const test::Golden golden = test::read_golden("deepseek-v3");
    const auto decoder = test::load({"deepseek-v3", false}, threads);
    const auto vocab = static_cast<std::size_t>(decoder->spec().vocab);
    test::Session plain(*decoder, threads), read(*decoder, threads), changed(*decoder, threads);
    const std::vector<float> want = plain.feed(golden.tokens);
    Watcher reader(1.0F), writer(0.25F);
    read.probe = &reader;
    changed.probe = &writer;
    const std::vector<float> same = read.feed(golden.tokens), other = changed.feed(golden.tokens);
    EXPECT_EQ(std::memcmp(want.data(), same.data(), want.size() * sizeof(float)), 0);
    EXPECT_EQ(std::memcmp(want.data(), other.data(), 11 * vocab * sizeof(float)), 0) << "an earlier row changed";
    EXPECT_GT(difference(std::span(other).subspan(11 * vocab), std::span(want).subspan(11 * vocab)), 1e-4);
    EXPECT_TRUE(reader.sites.contains("0.attn.latent"));
    EXPECT_TRUE(reader.sites.contains("0.attn.pattern"));
    EXPECT_TRUE(reader.sites.contains("1.router"));
    EXPECT_FALSE(reader.sites.contains("0.attn.v")) << "no values are stored";
}

// A pattern that a probe wrote is applied to the values, which lie in the keys.
class Flat : public Probe {
 public:
    [[nodiscard]] bool wants(SiteRef s) const noexcept override { return s.site == Site::attn_pattern; }
    void visit(SiteRef, std::int32_t, std::span<float> value) override {
        for (float& v : value) v = std::nextafter(v, 2.0F);
    }
};

TEST(Latent, AWrittenPatternIsAppliedToTheLatents) {
    ThreadPool threads(2);
    const test::Golden golden = test::read_golden("deepseek-v3");
    const auto decoder = test::load({"deepseek-v3", false}, threads);
    test::Session session(*decoder, threads);
    Flat flat;  // each probability a bit larger: all outputs are made again, to nearly the same numbers
    session.probe = &flat;
    EXPECT_LE(difference(session.feed(golden.tokens), golden.logits), 1e-4);
}

TEST(Latent, LayersThatGuessAtLaterTokensAreLeftOut) {
    ThreadPool threads(1);
    // As if the last layer were such a one: it is skipped where the config says that there is one, and only there.
    for (const int more : {0, 1}) {
        LoadOptions options{Profile::f32, true, [more](DecoderSpec& s) {
                                --s.n_layers;
                                s.layers.pop_back();
                                s.more_layers = more;
                            }};
        const auto files = ModelFiles::open(test::golden_folder("deepseek-v3"));
        if (more == 0) {
            EXPECT_THROW(Decoder::load(files, options, threads), Error);
        } else {
            EXPECT_EQ(Decoder::load(files, options, threads)->spec().n_layers, 2);
        }
    }
}

}  // namespace
}  // namespace freehold
