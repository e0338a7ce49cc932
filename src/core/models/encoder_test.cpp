// Encoders against transformers: tiny BERTs with every parameter random, in both containers; the same bits alone and
// among others; every switch of the blueprint flipped; and what the files say about vectors.
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "freehold/base/error.h"
#include "freehold/models/embedding_spec.h"
#include "freehold/models/one_use_pages.h"
#include "freehold/models/train_step.h"
#include "golden.h"
#include "test_session.h"

namespace freehold {
namespace {

namespace fs = std::filesystem;

struct Text {
    std::vector<Token> ids;
    std::vector<std::uint8_t> types;
};

// tests/golden/encoders, made by tests/oracle/make_tiny_encoders.py.
std::string folder_of(const std::string& name) {
    return std::string(FREEHOLD_SOURCE_DIR) + "/tests/golden/encoders/" + name;
}

struct Expected {
    std::vector<Text> texts, pairs;
    std::vector<float> numbers;  // mean, first and last row of every text; then scores of the pairs
};

Expected read_expected(const std::string& name) {
    const Value json = parse_json(read_text(folder_of(name) + "/expected.json"), "expected.json");
    const auto list = [&](const char* key) {
        const Value& entries = *find(*json.get<ValueMap>(), key);
        std::vector<Text> out;
        for (std::size_t i = 0; i < entries.size(); ++i) {
            const Value entry = entries.at(i);
            const auto& map = *entry.get<ValueMap>();
            Text t{test::numbers<Token>(*map.find("ids")), {}};
            if (const Value* types = map.find("types")) t.types = test::numbers<std::uint8_t>(*types);
            t.types.resize(t.ids.size(), 0);
            out.push_back(std::move(t));
        }
        return out;
    };
    return {list("texts"), list("pairs"), test::read_floats(folder_of(name) + "/expected.bin")};
}

// Runs texts through a decoder in one batch; n numbers for each.
template <class Forward>
std::vector<float> run(const Decoder& decoder, ThreadPool& threads, const Kernels& kernels, std::span<const Text> texts,
                       std::size_t n, Forward&& forward) {
    OneUsePages pages(decoder.kv_layout(KvType::F32));
    Text all;
    std::vector<std::int32_t> positions;
    std::vector<PageTable> tables;
    std::vector<Segment> segments;
    for (const Text& t : texts) {
        segments.push_back({static_cast<std::uint32_t>(all.ids.size()), static_cast<std::uint32_t>(t.ids.size()), {}});
        all.ids.insert(all.ids.end(), t.ids.begin(), t.ids.end());
        all.types.insert(all.types.end(), t.types.begin(), t.types.end());
        for (std::size_t i = 0; i < t.ids.size(); ++i) positions.push_back(static_cast<std::int32_t>(i));
        tables.push_back(pages.table(t.ids.size()));
    }
    for (std::size_t i = 0; i < segments.size(); ++i) segments[i].seq.pages = &tables[i];
    std::vector<float> out(texts.size() * n);
    Arena arena(decoder.scratch_bytes(all.ids.size(), texts.size(), threads.size()));
    Exec exec{threads, kernels, arena};
    const Batch batch{
        all.ids,
        positions,
        {},
        segments,
        decoder.spec().token_types > 0 ? std::span<const std::uint8_t>(all.types) : std::span<const std::uint8_t>{}};
    forward(exec, batch, std::span<float>(out));
    return out;
}

std::vector<float> vectors(const Decoder& d, ThreadPool& threads, std::span<const Text> texts, Pooling pooling,
                           const Kernels& kernels = active_kernels()) {
    return run(d, threads, kernels, texts, static_cast<std::size_t>(d.spec().d_model),
               [&](Exec& e, const Batch& b, std::span<float> out) { d.embeddings(e, b, pooling, out); });
}

std::vector<float> scores(const Decoder& d, ThreadPool& threads, std::span<const Text> texts,
                          const Kernels& kernels = active_kernels()) {
    return run(d, threads, kernels, texts, static_cast<std::size_t>(d.spec().n_labels),
               [&](Exec& e, const Batch& b, std::span<float> out) { d.scores(e, b, out); });
}

// All that a model says of its golden texts, in the order of expected.bin.
std::vector<float> everything(const Decoder& d, ThreadPool& threads, const Expected& x,
                              const Kernels& kernels = active_kernels()) {
    const auto width = static_cast<std::size_t>(d.spec().d_model);
    std::vector<float> out(x.texts.size() * 3 * width);
    std::size_t which = 0;
    for (const Pooling p : {Pooling::mean, Pooling::cls, Pooling::last}) {
        const std::vector<float> v = vectors(d, threads, x.texts, p, kernels);
        for (std::size_t i = 0; i < x.texts.size(); ++i)
            std::copy_n(v.data() + i * width, width, out.data() + (i * 3 + which) * width);
        ++which;
    }
    if (d.spec().n_labels > 0) {
        const std::vector<float> s = scores(d, threads, x.pairs, kernels);
        out.insert(out.end(), s.begin(), s.end());
    }
    return out;
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

struct Case {
    const char* name;
    const char* file = nullptr;  // in the folder; null: the folder itself
};
void PrintTo(const Case& c, std::ostream* out) {
    *out << c.name << (c.file != nullptr ? c.file : " folder");
}
std::string path_of(const Case& c) {
    return c.file != nullptr ? folder_of(c.name) + "/" + c.file : folder_of(c.name);
}

class Encoders : public testing::TestWithParam<Case> {};

TEST_P(Encoders, AgreeWithTransformersAloneAndTogether) {
    ThreadPool threads(2);
    const Expected x = read_expected(GetParam().name);
    const auto d = Decoder::load(ModelFiles::open(path_of(GetParam())), {Profile::f32, true, {}}, threads);
    EXPECT_FALSE(d->spec().has_head);
    const std::vector<float> got = everything(*d, threads, x);
    ASSERT_EQ(got.size(), x.numbers.size());
    const double worst = test::difference(got, x.numbers);
    EXPECT_LE(worst, 1e-4);
    RecordProperty("family", d->spec().family);
    RecordProperty("worst", std::to_string(worst * 1e9) + "e-9");
    const auto width = static_cast<std::size_t>(d->spec().d_model);
    const std::vector<float> together = vectors(*d, threads, x.texts, Pooling::mean);
    for (std::size_t i = 0; i < x.texts.size(); ++i) {
        const std::vector<float> alone = vectors(*d, threads, std::span(x.texts).subspan(i, 1), Pooling::mean);
        EXPECT_TRUE(same_bits(alone, std::span(together).subspan(i * width, width))) << "text " << i;
    }
}

TEST_P(Encoders, SameBitsOnAnyKernelsThreadsAndWithoutPanels) {
    ThreadPool one(1);
    const Expected x = read_expected(GetParam().name);
    const auto files = ModelFiles::open(path_of(GetParam()));
    for (const Profile profile : {Profile::f32, Profile::q8, Profile::bf16}) {
        const auto plain = Decoder::load(files, {profile, true, {}}, one);
        const std::vector<float> want = everything(*plain, one, x, scalar_kernels());
        EXPECT_LE(test::difference(want, x.numbers), profile == Profile::bf16 ? 0.1 : 2e-2);
        for (const Kernels* kernels : available_kernels()) {
            for (const int n : {1, 2, 3}) {
                ThreadPool threads(n);
                const auto d = Decoder::load(files, {profile, n != 2, {}}, threads);
                EXPECT_TRUE(same_bits(want, everything(*d, threads, x, *kernels)))
                    << profile_name(profile) << ", " << kernels->name << ", " << n << " threads";
            }
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Tiny, Encoders,
                         testing::Values(Case{"bert"}, Case{"bert", "bert.gguf"}, Case{"bert-cls"}, Case{"bert-cross"},
                                         Case{"roberta-cross"}, Case{"roberta"}, Case{"roberta", "roberta.gguf"},
                                         Case{"roberta-rank"}, Case{"roberta-rank", "roberta-rank.gguf"},
                                         Case{"xlm-roberta"}, Case{"xlm-roberta", "xlm-roberta.gguf"},
                                         Case{"xlm-roberta-rank"}, Case{"xlm-roberta-rank", "xlm-roberta-rank.gguf"}));

TEST(Encoder, QuantisedIsCloseAndKeepsItsBits) {
    ThreadPool one(1), three(3);
    const Expected x = read_expected("bert");
    const auto files = ModelFiles::open(folder_of("bert") + "/bert-q8.gguf");
    EXPECT_EQ(default_profile(*files), Profile::q8);
    const auto d = Decoder::load(files, {Profile::q8, true, {}}, one);
    const auto unpacked = Decoder::load(files, {Profile::q8, false, {}}, three);
    const std::vector<float> want = everything(*d, one, x, scalar_kernels());
    EXPECT_LE(test::difference(want, x.numbers), 5e-2);
    EXPECT_GT(test::difference(want, x.numbers), 1e-5) << "profile q8 must round";
    for (const Kernels* kernels : available_kernels()) {
        EXPECT_TRUE(same_bits(want, everything(*d, three, x, *kernels))) << kernels->name;
        EXPECT_TRUE(same_bits(want, everything(*unpacked, three, x, *kernels))) << kernels->name;
    }
}

TEST(Encoder, EverySwitchIsSeen) {
    ThreadPool threads(2);
    struct Flip {
        const char* name;
        std::function<void(DecoderSpec&)> change;
    };
    const Flip flips[] = {
        {"causal", [](DecoderSpec& s) { s.causal = true; }},
        {"norm place", [](DecoderSpec& s) { s.norm_place = NormPlace::post; }},
        {"norm before", [](DecoderSpec& s) { s.norm_place = NormPlace::pre; }},
        {"norm kind", [](DecoderSpec& s) { s.norm = NormKind::rms; }},
        {"epsilon", [](DecoderSpec& s) { s.norm_eps = 0.1F; }},
        {"norm of the embedding", [](DecoderSpec& s) { s.embed_norm = false; }},
        {"token types", [](DecoderSpec& s) { s.token_types = 0; }},
        {"positions", [](DecoderSpec& s) { s.positions = Positions::none; }},
        {"position offset",
         [](DecoderSpec& s) {
             s.position_offset = 1;
             --s.context;
         }},
        {"scale of scores", [](DecoderSpec& s) { s.attn_scale *= 1.2F; }},
        {"activation", [](DecoderSpec& s) { s.activation = Activation::relu; }},
        {"window",
         [](DecoderSpec& s) {
             for (LayerSpec& l : s.layers) l.window = 8;
         }},
        {"labels", [](DecoderSpec& s) { s.n_labels = 2; }},
        {"gate", [](DecoderSpec& s) { s.gated_mlp = true; }},
    };
    const Expected x = read_expected("bert-cross");
    for (const Flip& f : flips) {
        try {
            const auto d =
                Decoder::load(ModelFiles::open(folder_of("bert-cross")), {Profile::f32, true, f.change}, threads);
            EXPECT_GT(test::difference(everything(*d, threads, x), x.numbers), 1e-3) << "blind to " << f.name;
        } catch (const Error& e) {
            const bool told = e.message().find("ensor '") != std::string::npos || e.message().starts_with("Position");
            EXPECT_TRUE(told) << f.name << ": " << e.message();
        }
    }
    // The two forms of GELU lie close together.
    const auto tanh_gelu =
        Decoder::load(ModelFiles::open(folder_of("bert")),
                      {Profile::f32, true, [](DecoderSpec& s) { s.activation = Activation::gelu_tanh; }}, threads);
    const Expected erf = read_expected("bert");
    EXPECT_GT(test::difference(everything(*tanh_gelu, threads, erf), erf.numbers), 1e-4);
}

TEST(Encoder, WritesNothingAndIsNotTrained) {
    ThreadPool threads(1);
    const auto files = ModelFiles::open(folder_of("bert"));
    const auto d = Decoder::load(files, {Profile::f32, true, {}}, threads);
    const Expected x = read_expected("bert");
    EXPECT_THROW(scores(*d, threads, x.texts), Error) << "it has no classifier";
    try {
        run(*d, threads, active_kernels(), x.texts, 88,
            [&](Exec& e, const Batch& b, std::span<float> out) { d->forward(e, b, out); });
        ADD_FAILURE() << "an encoder wrote";
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::unsupported);
    }
    EXPECT_THROW(Trainable::load(files, threads), Error);
    Text wrong = x.texts[2];
    wrong.types[0] = 2;
    EXPECT_THROW(vectors(*d, threads, std::span(&wrong, 1), Pooling::mean), Error);
}

TEST(Encoder, ADecoderGivesVectorsToo) {
    ThreadPool threads(2);
    const auto d = Decoder::load(ModelFiles::open(test::golden_folder("llama")), {Profile::f32, true, {}}, threads);
    Text text{test::read_golden("llama").tokens, {}};
    text.types.resize(text.ids.size(), 0);
    const std::vector<float> last = vectors(*d, threads, std::span(&text, 1), Pooling::last);
    // Its row is what the head turns into logits: the same token is the likeliest, by the embedding that the head is.
    test::Session session(*d, threads);
    const std::vector<float> logits = session.feed(text.ids);
    const std::size_t vocab = static_cast<std::size_t>(d->spec().vocab), rows = text.ids.size();
    const Tensor head = ModelFiles::open(test::golden_folder("llama"))->tensor("lm_head.weight").to_f32();
    for (std::size_t v = 0; v < vocab; ++v) {
        double sum = 0;
        for (std::size_t i = 0; i < last.size(); ++i)
            sum += static_cast<double>(last[i]) * static_cast<double>(head.f32()[v * last.size() + i]);
        EXPECT_NEAR(sum, static_cast<double>(logits[(rows - 1) * vocab + v]), 1e-3);
    }
}

// A folder of its own with a config and nothing else, for what stands beside the weights.
class Beside : public testing::Test {
 protected:
    void SetUp() override {
        folder_ = fs::path(testing::TempDir()) / ("freehold_beside_" + std::to_string(::getpid()));
        fs::create_directories(folder_ / "1_Pooling");
        write("config.json", R"({"model_type": "bert"})");
    }
    void TearDown() override { fs::remove_all(folder_); }
    void write(const char* name, const std::string& text) const { std::ofstream(folder_ / name) << text; }
    EmbeddingSpec read() const {
        DecoderSpec spec;
        spec.d_model = 32;
        spec.context = 512;
        spec.causal = false;
        return read_embedding_spec(*ModelFiles::open(folder_), spec);
    }
    fs::path folder_;
};

TEST_F(Beside, NothingMeansTheMeanOfUnitLength) {
    const EmbeddingSpec s = read();
    EXPECT_EQ(s.pooling, Pooling::mean);
    EXPECT_FALSE(s.pooling_known);
    EXPECT_TRUE(s.normalise);
    EXPECT_EQ(s.max_tokens, 512);
    EXPECT_EQ(s.dimensions, 32);
}

TEST_F(Beside, SentenceTransformersIsReadAndWhatIsNotComputedIsRefused) {
    write("modules.json", R"([{"type": "a.Transformer"}, {"type": "a.Pooling"}])");
    write("1_Pooling/config.json", R"({"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false})");
    write("tokenizer_config.json", R"({"model_max_length": 1e30})");
    EmbeddingSpec s = read();
    EXPECT_EQ(s.pooling, Pooling::cls);
    EXPECT_TRUE(s.pooling_known);
    EXPECT_FALSE(s.normalise);
    EXPECT_EQ(s.max_tokens, 512);
    write("tokenizer_config.json", R"({"model_max_length": 300})");
    EXPECT_EQ(read().max_tokens, 300);
    write("sentence_bert_config.json", R"({"max_seq_length": 256})");
    EXPECT_EQ(read().max_tokens, 256);
    write("1_Pooling/config.json", R"({"pooling_mode": "lasttoken"})");
    EXPECT_EQ(read().pooling, Pooling::last);
    write("1_Pooling/config.json", R"({"pooling_mode_max_tokens": true})");
    EXPECT_THROW(read(), Error);
    write("1_Pooling/config.json", R"({"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true})");
    EXPECT_THROW(read(), Error);
    write("1_Pooling/config.json", "{}");
    write("modules.json", R"([{"type": "a.Transformer"}, {"type": "a.Dense"}])");
    EXPECT_THROW(read(), Error);
    write("modules.json", R"([{"name": "x"}])");
    EXPECT_THROW(read(), Error);
}

}  // namespace
}  // namespace freehold
