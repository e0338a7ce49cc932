// Encoder-decoders against transformers: logits of whole targets, step by step and ragged, in both containers, the bits
// on any kernels and threads, every switch, and the gradients of every parameter.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/models/one_use_pages.h"
#include "freehold/models/train_step.h"
#include "golden.h"
#include "test_session.h"

namespace freehold {
namespace {

namespace fs = std::filesystem;

// tests/golden/translators, made by tests/oracle/make_tiny_translators.py.
std::string folder_of(const std::string& name) {
    return std::string(FREEHOLD_SOURCE_DIR) + "/tests/golden/translators/" + name;
}

using Texts = std::vector<std::vector<Token>>;
struct Expected {
    Value json;
    Texts sources, targets;
    std::vector<float> logits;  // of every target behind its source
};

Expected read_expected(const std::string& name) {
    Expected x;
    x.json = parse_json(read_text(folder_of(name) + "/expected.json"), "expected.json");
    const auto list = [&](const char* key) {
        Texts out;
        const Value& texts = *find(*x.json.get<ValueMap>(), key);
        for (std::size_t i = 0; i < texts.size(); ++i) out.push_back(test::numbers<Token>(texts.at(i)));
        return out;
    };
    x.sources = list("sources");
    x.targets = list("targets");
    x.logits = test::read_floats(folder_of(name) + "/expected.bin");
    return x;
}

// Encodes all sources together, then feeds the targets, `chunk` tokens of each at a time (0: whole).
std::vector<float> run(const Decoder& d, ThreadPool& threads, const Texts& sources, const Texts& targets,
                       std::size_t chunk = 0, KvType kv = KvType::F32, const Kernels& kernels = active_kernels()) {
    OneUsePages reading(d.encoder_layout(KvType::F32)), cross(d.cross_layout(kv)), writing(d.kv_layout(kv));
    std::vector<PageTable> own, read, written;
    std::vector<Token> tokens;
    std::vector<std::int32_t> positions;
    std::vector<Segment> segments;
    for (const std::vector<Token>& s : sources) {
        own.push_back(reading.table(s.size()));
        read.push_back(cross.table(s.size()));
        segments.push_back({static_cast<std::uint32_t>(tokens.size()), static_cast<std::uint32_t>(s.size()), {}});
        tokens.insert(tokens.end(), s.begin(), s.end());
        for (std::size_t i = 0; i < s.size(); ++i) positions.push_back(static_cast<std::int32_t>(i));
    }
    for (std::size_t i = 0; i < segments.size(); ++i) {
        segments[i].seq.pages = &own[i];
        segments[i].seq.cross = &read[i];
    }
    {
        Arena arena(d.encode_scratch_bytes(tokens.size(), threads.size()));
        Exec exec{threads, kernels, arena};
        d.encode(exec, {tokens, positions, {}, segments});
    }
    const auto vocab = static_cast<std::size_t>(d.spec().vocab);
    std::size_t longest = 0;
    std::vector<std::size_t> begins;
    std::size_t total = 0;
    for (const std::vector<Token>& t : targets) {
        written.push_back(writing.table(t.size()));
        begins.push_back(total);
        total += t.size();
        longest = std::max(longest, t.size());
    }
    std::vector<float> out(total * vocab);
    if (chunk == 0) chunk = longest;
    for (std::size_t at = 0; at < longest; at += chunk) {
        std::vector<std::size_t> to;
        tokens.clear();
        positions.clear();
        segments.clear();
        for (std::size_t i = 0; i < targets.size(); ++i) {
            const std::size_t end = std::min(targets[i].size(), at + chunk);
            if (at >= end) continue;
            Segment s{static_cast<std::uint32_t>(tokens.size()), static_cast<std::uint32_t>(end - at), {&written[i]}};
            s.seq.cross = &read[i];
            s.seq.n_cross = static_cast<std::uint32_t>(sources[i].size());
            segments.push_back(s);
            for (std::size_t p = at; p < end; ++p) {
                tokens.push_back(targets[i][p]);
                positions.push_back(static_cast<std::int32_t>(p));
                to.push_back(begins[i] + p);
            }
        }
        const std::vector<std::uint8_t> wants(tokens.size(), 1);
        std::vector<float> logits(tokens.size() * vocab);
        Arena arena(d.scratch_bytes(tokens.size(), tokens.size(), threads.size()));
        Exec exec{threads, kernels, arena};
        d.forward(exec, {tokens, positions, wants, segments}, logits);
        for (std::size_t r = 0; r < to.size(); ++r)
            std::copy_n(logits.data() + r * vocab, vocab, out.data() + to[r] * vocab);
    }
    return out;
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

struct Case {
    const char* name;
    bool gguf;
};
void PrintTo(const Case& c, std::ostream* out) {
    *out << c.name << (c.gguf ? ".gguf" : " folder");
}
std::string path_of(const Case& c) {
    return c.gguf ? folder_of(c.name) + "/" + c.name + ".gguf" : folder_of(c.name);
}

class Translators : public testing::TestWithParam<Case> {};

TEST_P(Translators, AgreeWithTransformersWholeAndInSteps) {
    ThreadPool threads(2);
    const Expected x = read_expected(GetParam().name);
    const auto d = Decoder::load(ModelFiles::open(path_of(GetParam())), {Profile::f32, true, {}}, threads);
    ASSERT_NE(d->spec().encoder, nullptr);
    const std::vector<float> got = run(*d, threads, x.sources, x.targets);
    ASSERT_EQ(got.size(), x.logits.size());
    const double worst = test::difference(got, x.logits);
    EXPECT_LE(worst, 1e-4);
    RecordProperty("family", d->spec().family);
    RecordProperty("worst", std::to_string(worst * 1e9) + "e-9");
    for (const std::size_t chunk : {1, 7})
        EXPECT_TRUE(same_bits(got, run(*d, threads, x.sources, x.targets, chunk))) << "chunks of " << chunk;
    std::size_t at = 0;
    for (std::size_t i = 0; i < x.sources.size(); ++i) {
        const std::vector<float> alone = run(*d, threads, {x.sources[i]}, {x.targets[i]});
        EXPECT_TRUE(same_bits(alone, std::span(got).subspan(at, alone.size()))) << "text " << i << " alone";
        at += alone.size();
    }
}

TEST_P(Translators, SameBitsOnAnyKernelsThreadsAndWithoutPanels) {
    ThreadPool one(1);
    const Expected x = read_expected(GetParam().name);
    const auto files = ModelFiles::open(path_of(GetParam()));
    for (const Profile profile : {Profile::f32, Profile::bf16}) {
        const auto plain = Decoder::load(files, {profile, true, {}}, one);
        const std::vector<float> want = run(*plain, one, x.sources, x.targets, 0, KvType::F16, scalar_kernels());
        // Scores that are not scaled (T5) let roundings grow.
        EXPECT_LE(test::difference(want, x.logits), profile == Profile::bf16 ? 0.15 : 2e-2);
        for (const Kernels* kernels : available_kernels()) {
            for (const int n : {1, 2, 3}) {
                ThreadPool threads(n);
                const auto d = Decoder::load(files, {profile, n != 2, {}}, threads);
                EXPECT_TRUE(same_bits(want, run(*d, threads, x.sources, x.targets, 5, KvType::F16, *kernels)))
                    << profile_name(profile) << ", " << kernels->name << ", " << n << " threads";
            }
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Tiny, Translators,
                         testing::Values(Case{"t5", false}, Case{"t5", true}, Case{"t5-v11", false},
                                         Case{"t5-v11", true}, Case{"mt5", false}, Case{"marian", false},
                                         Case{"marian-st", false}, Case{"marian-apart", false}));

TEST(Translator, EverySwitchIsSeen) {
    ThreadPool threads(2);
    struct Flip {
        const char* model;
        const char* name;
        std::function<void(DecoderSpec&)> change;
    };
    const auto in_encoder = [](std::function<void(DecoderSpec&)> change) {
        return [change = std::move(change)](DecoderSpec& s) {
            DecoderSpec e = *s.encoder;
            change(e);
            s.encoder = std::make_shared<const DecoderSpec>(std::move(e));
        };
    };
    const Flip flips[] = {
        {"t5", "scaled head", [](DecoderSpec& s) { s.logit_scale = 1.0F; }},
        {"t5", "scale of scores", [](DecoderSpec& s) { s.attn_scale = 0.5F; }},
        {"t5", "positions", [](DecoderSpec& s) { s.positions = Positions::none; }},
        {"t5", "distance", [](DecoderSpec& s) { s.relative_distance = 20; }},
        {"t5", "positions of the encoder", in_encoder([](DecoderSpec& s) { s.positions = Positions::none; })},
        {"t5", "distance of the encoder", in_encoder([](DecoderSpec& s) { s.relative_distance = 20; })},
        {"t5", "norm of the encoder", in_encoder([](DecoderSpec& s) { s.final_norm = false; })},
        {"t5", "activation", [](DecoderSpec& s) { s.activation = Activation::silu; }},
        {"t5-v11", "activation of the encoder", in_encoder([](DecoderSpec& s) { s.activation = Activation::relu; })},
        {"marian", "bias of logits", [](DecoderSpec& s) { s.logit_bias = false; }},
        {"marian", "scale of the embedding", [](DecoderSpec& s) { s.embed_scale = 1.0F; }},
        {"marian", "scale of the encoder's", in_encoder([](DecoderSpec& s) { s.embed_scale = 1.0F; })},
        {"marian", "positions", [](DecoderSpec& s) { s.positions = Positions::none; }},
        {"marian", "norm place", [](DecoderSpec& s) { s.norm_place = NormPlace::pre; }},
        {"marian", "activation", [](DecoderSpec& s) { s.activation = Activation::gelu_erf; }},
    };
    for (const Flip& f : flips) {
        const Expected x = read_expected(f.model);
        try {
            const auto d = Decoder::load(ModelFiles::open(folder_of(f.model)), {Profile::f32, true, f.change}, threads);
            EXPECT_GT(test::difference(run(*d, threads, x.sources, x.targets), x.logits), 1e-3)
                << f.model << " is blind to " << f.name;
        } catch (const Error& e) {
            EXPECT_NE(e.message().find("ensor '"), std::string::npos) << f.name << ": " << e.message();
        }
    }
}

TEST(Translator, SourcesAreNeeded) {
    ThreadPool threads(1);
    const auto d = Decoder::load(ModelFiles::open(folder_of("t5")), {Profile::f32, true, {}}, threads);
    test::Session session(*d, threads);
    const Token start = 0;
    EXPECT_THROW(session.feed(std::span(&start, 1)), Error);
}

// A folder's weights with another config.
class Lied {
 public:
    Lied(const std::string& golden, const std::string& key, const Value& value)
        : path_(fs::path(testing::TempDir()) / ("freehold_lied_" + std::to_string(::getpid()))) {
        fs::remove_all(path_);
        fs::create_directories(path_);
        for (const char* const file : {"model.safetensors", "pytorch_model.bin"}) {
            if (fs::exists(folder_of(golden) + "/" + file)) fs::copy_file(folder_of(golden) + "/" + file, path_ / file);
        }
        const Value config = parse_json(read_text(folder_of(golden) + "/config.json"), "config.json");
        ValueMap map = *config.get<ValueMap>();
        map.set(key, value);
        std::ofstream(path_ / "config.json") << to_json(Value(map));
    }
    ~Lied() { fs::remove_all(path_); }
    Lied(const Lied&) = delete;
    Lied& operator=(const Lied&) = delete;
    [[nodiscard]] const fs::path& path() const { return path_; }

 private:
    fs::path path_;
};

TEST(Translator, EveryLieIsNamed) {
    ThreadPool threads(1);
    struct Lie {
        const char* golden;
        const char* key;
        Value value;
        const char* named;
    };
    const Lie lies[] = {
        {"t5", "num_layers", 0, "num_layers"},
        {"t5", "num_layers", 2, "encoder.block.2."},
        {"t5", "num_decoder_layers", 3, "decoder.block.2."},
        {"t5", "num_heads", 4, "relative_attention_bias"},
        {"t5", "num_heads", "three", "num_heads"},
        {"t5", "d_kv", 7, "SelfAttention.q"},
        {"t5", "d_kv", std::int64_t{1} << 40, "d_kv"},
        {"t5", "d_ff", 27, "DenseReluDense.wi"},
        {"t5", "d_model", 21, "shared.weight"},
        {"t5", "vocab_size", 97, "shared.weight"},
        {"t5", "relative_attention_num_buckets", 1, "relative_attention_num_buckets"},
        {"t5", "relative_attention_num_buckets", 9, "relative_attention_bias"},
        {"t5", "relative_attention_max_distance", 2, "distances"},
        {"t5", "relative_attention_max_distance", std::int64_t{1} << 40, "relative_attention_max_distance"},
        {"t5", "feed_forward_proj", "gated-mish", "gated-mish"},
        {"t5", "feed_forward_proj", "gated-gelu", "wi_0"},
        {"t5", "layer_norm_epsilon", -1.0, "layer_norm_epsilon"},
        {"t5", "scale_decoder_outputs", "yes", "scale_decoder_outputs"},
        {"t5", "is_decoder", true, "is_decoder"},
        {"marian", "encoder_layers", 0, "encoder_layers"},
        {"marian", "encoder_layers", 2, "encoder.layers.2."},
        {"marian", "decoder_layers", 3, "decoder.layers.2."},
        {"marian", "encoder_attention_heads", 3, "encoder_attention_heads"},
        {"marian", "decoder_attention_heads", -1, "decoder_attention_heads"},
        {"marian", "encoder_ffn_dim", 27, "encoder.layers.0.fc1"},
        {"marian", "decoder_ffn_dim", 27, "decoder.layers.0.fc1"},
        {"marian", "d_model", 40, "weight"},
        {"marian", "vocab_size", 3, "weight"},
        {"marian", "max_position_embeddings", std::int64_t{1} << 40, "max_position_embeddings"},
        {"marian", "activation_function", "mish", "mish"},
        {"marian", "normalize_before", true, "normalize_before"},
        {"marian", "static_position_embeddings", false, "static_position_embeddings"},
        {"marian", "scale_embedding", 2, "scale_embedding"},
        {"marian", "decoder_vocab_size", 5, "weight"},
    };
    for (const Lie& lie : lies) {
        const Lied folder(lie.golden, lie.key, lie.value);
        std::string sentence;
        try {
            static_cast<void>(Decoder::load(ModelFiles::open(folder.path()), {Profile::f32, true, {}}, threads));
        } catch (const Error& e) {
            EXPECT_TRUE(e.kind() == ErrorKind::bad_file || e.kind() == ErrorKind::unsupported) << e.message();
            sentence = e.message();
        }
        EXPECT_NE(sentence.find(lie.named), std::string::npos)
            << lie.golden << ", " << lie.key << ": " << (sentence.empty() ? "accepted" : sentence);
    }
}

class TranslatorGradients : public testing::TestWithParam<const char*> {};

TEST_P(TranslatorGradients, AreWhatPyTorchSays) {
    ThreadPool threads(2);
    const Expected x = read_expected(GetParam());
    const auto model = Trainable::load(ModelFiles::open(folder_of(GetParam())), threads);
    const auto want = Trainable::load(ModelFiles::open(folder_of(GetParam()) + "/grads"), threads);
    std::vector<PackedRow> rows;
    const Value& list = *find(*x.json.get<ValueMap>(), "rows");
    for (std::size_t i = 0; i < list.size(); ++i) {
        const Value row = list.at(i);
        const ValueMap& m = *row.get<ValueMap>();
        rows.push_back({test::numbers<Token>(*find(m, "tokens")), test::numbers<std::uint32_t>(*find(m, "documents")),
                        test::numbers<Token>(*find(m, "targets")), test::numbers<float>(*find(m, "weights")),
                        test::numbers<Token>(*find(m, "source")), test::numbers<std::uint32_t>(*find(m, "sources"))});
    }
    EXPECT_NEAR(model->gradients(rows, 2).loss, *find(*x.json.get<ValueMap>(), "loss")->as_double(), 1e-4);
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
    rows[0].sources.pop_back();
    EXPECT_THROW(model->gradients(rows), Error);
}

INSTANTIATE_TEST_SUITE_P(Tiny, TranslatorGradients,
                         testing::Values("t5", "t5-v11", "mt5", "marian", "marian-st", "marian-apart"));

}  // namespace
}  // namespace freehold
