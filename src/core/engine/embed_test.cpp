// The Embedder over the tiny encoders: vectors as transformers makes them, limits that are told, the same bits in any
// company, cancelling, and both kinds of reranking.
#include "freehold/engine/embed.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <thread>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/value.h"

namespace freehold {
namespace {

std::string folder_of(const std::string& name) {
    return std::string(FREEHOLD_SOURCE_DIR) + "/tests/golden/encoders/" + name;
}

std::shared_ptr<const LoadedModel> load(Host& host, const std::string& path) {
    LoadedModelOptions options;
    options.profile = Profile::f32;
    return host.load(path, options);
}

struct Golden {
    std::vector<EmbedInput> texts;
    std::vector<std::string> firsts, seconds;
    std::vector<float> numbers;  // mean, first and last row of each text; then scores of the pairs
};

Golden read_golden(const std::string& name) {
    Golden g;
    const Value json = parse_json(read_text(folder_of(name) + "/expected.json"), "expected.json");
    const Value& texts = *find(*json.get<ValueMap>(), "texts");
    for (std::size_t i = 0; i < texts.size(); ++i)
        g.texts.emplace_back(std::string(*texts.at(i).get<ValueMap>()->find("text")->as_string()));
    const Value& pairs = *find(*json.get<ValueMap>(), "pairs");
    for (std::size_t i = 0; i < pairs.size(); ++i) {
        g.firsts.emplace_back(*pairs.at(i).get<ValueMap>()->find("first")->as_string());
        g.seconds.emplace_back(*pairs.at(i).get<ValueMap>()->find("second")->as_string());
    }
    const auto file = MappedFile::open(folder_of(name) + "/expected.bin");
    g.numbers.resize(file->bytes().size() / sizeof(float));
    std::memcpy(g.numbers.data(), file->bytes().data(), file->bytes().size());
    return g;
}

template <class F>
Error caught(F&& f) {
    try {
        f();
    } catch (const Error& e) {
        return e;
    }
    ADD_FAILURE() << "nothing was refused";
    return {ErrorKind::internal, ""};
}

constexpr std::size_t kWidth = 32;

EmbedOptions with(bool truncate, int max_tokens = 0, int dimensions = 0) {
    EmbedOptions o;
    o.truncate = truncate;
    o.max_tokens = max_tokens;
    o.dimensions = dimensions;
    return o;
}

TEST(Embedder, MakesTheReferencesVectors) {
    Host host({.threads = 2});
    for (const auto& [name, pooling] : {std::pair{"bert", 0}, {"bert-cls", 1}, {"roberta-cross", 2}}) {
        const Golden g = read_golden(name);
        Embedder embedder(host, load(host, folder_of(name)));
        const auto got = embedder.embed(g.texts, with(true));
        ASSERT_EQ(got.size(), g.texts.size());
        for (std::size_t i = 0; i < got.size(); ++i) {
            std::vector<float> want(g.numbers.begin() + static_cast<std::ptrdiff_t>((3 * i + pooling) * kWidth),
                                    g.numbers.begin() + static_cast<std::ptrdiff_t>((3 * i + pooling + 1) * kWidth));
            if (embedder.spec().normalise) to_unit_length(want);
            ASSERT_EQ(got[i].vector.size(), kWidth);
            if (got[i].left_out > 0) continue;  // the reference read it in full
            for (std::size_t d = 0; d < kWidth; ++d) EXPECT_NEAR(got[i].vector[d], want[d], 2e-5) << name << " " << i;
        }
    }
}

// RoBERTa's relatives from text to numbers, with the tokenizers that the folder and llama.cpp's file carry.
TEST(Embedder, RobertasAgreeWithTheReferenceFromBothContainers) {
    constexpr std::size_t kNarrow = 16;
    Host host({.threads = 2});
    for (const std::string name : {"roberta", "roberta-rank", "xlm-roberta", "xlm-roberta-rank"}) {
        const Golden g = read_golden(name);
        const bool ranks = name.ends_with("rank");
        for (const std::string& path : {folder_of(name), folder_of(name) + "/" + name + ".gguf"}) {
            const auto model = load(host, path);
            Embedder embedder(host, model);
            EXPECT_EQ(embedder.has_classifier(), ranks);
            EXPECT_EQ(embedder.spec().max_tokens, 42);
            const auto got = embedder.embed(g.texts, with(true));
            for (std::size_t i = 0; i < got.size(); ++i) {
                const auto at = g.numbers.begin() + static_cast<std::ptrdiff_t>((3 * i + (ranks ? 1 : 0)) * kNarrow);
                std::vector<float> want(at, at + kNarrow), unit = got[i].vector;
                to_unit_length(want);  // a GGUF file does not say whether vectors are made so long
                to_unit_length(unit);
                ASSERT_EQ(unit.size(), kNarrow);
                for (std::size_t d = 0; d < kNarrow; ++d) EXPECT_NEAR(unit[d], want[d], 2e-5) << path << " " << i;
            }
            if (!ranks) continue;
            for (std::size_t i = 0; i < g.firsts.size(); ++i) {
                const RerankResult r = embedder.rerank(g.firsts[i], std::span(&g.seconds[i], 1), with(true));
                EXPECT_EQ(r.by, RerankBy::classifier);
                EXPECT_NEAR(r.documents[0].logit, g.numbers[g.texts.size() * 3 * kNarrow + i], 1e-4)
                    << path << " " << i;
            }
        }
    }
}

TEST(Embedder, TheQuantisedFileAgreesWithTheFolder) {
    Host host({.threads = 2});
    const Golden g = read_golden("bert");
    Embedder folder(host, load(host, folder_of("bert"))), file(host, load(host, folder_of("bert") + "/bert.gguf"));
    Embedder quantised(host, host.load(folder_of("bert") + "/bert-q8.gguf"));
    const auto a = folder.embed(g.texts, with(true)), b = file.embed(g.texts, with(true)),
               c = quantised.embed(g.texts, with(true));
    EXPECT_EQ(file.spec().pooling, Pooling::mean);
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (a[i].left_out > 0) continue;  // the file allows 44 tokens, the folder 40
        EXPECT_EQ(a[i].tokens, b[i].tokens) << i;
        EXPECT_EQ(a[i].vector, b[i].vector) << i;
        EXPECT_GT(cosine(a[i].vector, c[i].vector), 0.999F) << i;
    }
}

TEST(Embedder, TellsWhatItLeavesOut) {
    Host host({.threads = 1});
    Embedder embedder(host, load(host, folder_of("bert")));
    EXPECT_EQ(embedder.spec().max_tokens, 40);
    std::string text;
    for (int i = 0; i < 50; ++i) text += "house ";
    const std::vector<EmbedInput> one{std::string("sea"), text};
    const Error e = caught([&] { static_cast<void>(embedder.embed(one)); });
    EXPECT_EQ(e.kind(), ErrorKind::limit);
    EXPECT_NE(e.message().find("Input 1 has 52 tokens"), std::string::npos) << e.message();
    const auto cut = embedder.embed(one, with(true));
    EXPECT_EQ(cut[1].tokens, 40U);
    EXPECT_EQ(cut[1].left_out, 12U);
    EXPECT_EQ(cut[0].left_out, 0U);
    const auto shorter = embedder.embed(one, with(true, 9));
    EXPECT_EQ(shorter[1].tokens, 9U);
    // Ids stand as they are, and may be too many or none.
    const std::vector<EmbedInput> ids{std::vector<Token>(41, 7)}, none{std::vector<Token>{}},
        outside{std::vector<Token>{2, 88}};
    EXPECT_EQ(caught([&] { static_cast<void>(embedder.embed(ids)); }).kind(), ErrorKind::limit);
    EXPECT_EQ(embedder.embed(ids, with(true))[0].left_out, 1U);
    EXPECT_EQ(caught([&] { static_cast<void>(embedder.embed(none)); }).kind(), ErrorKind::usage);
    EXPECT_EQ(caught([&] { static_cast<void>(embedder.embed(outside)); }).kind(), ErrorKind::usage);
    EXPECT_EQ(caught([&] { static_cast<void>(embedder.embed(one, with(false, 0, 33))); }).kind(), ErrorKind::usage);
    EXPECT_TRUE(embedder.embed({}).empty());
}

TEST(Embedder, FewerDimensionsAreTheFirstOnesAgainOfLengthOne) {
    Host host({.threads = 1});
    for (const char* name : {"bert", "bert-cls"}) {  // the second does not normalise
        Embedder embedder(host, load(host, folder_of(name)));
        const std::vector<EmbedInput> text{std::string("the wind and the sea")};
        std::vector<float> want = embedder.embed(text)[0].vector;
        want.resize(5);
        to_unit_length(want);
        const std::vector<float> got = embedder.embed(text, with(false, 0, 5))[0].vector;
        ASSERT_EQ(got.size(), 5U);
        for (std::size_t i = 0; i < 5; ++i) EXPECT_NEAR(got[i], want[i], 1e-6);
    }
}

// Many texts over many steps, from several threads at once: each vector is the one that the text has alone.
TEST(Embedder, CompanyChangesNoBit) {
    Host host({.threads = 2});
    Embedder embedder(host, load(host, folder_of("bert")));
    const std::vector<EmbedInput> seeds = read_golden("bert").texts;
    std::vector<std::vector<float>> alone;
    for (const EmbedInput& t : seeds) alone.push_back(embedder.embed(std::span(&t, 1), with(true))[0].vector);
    std::vector<EmbedInput> many;
    for (std::size_t i = 0; i < 200; ++i) many.push_back(seeds[i * 7 % seeds.size()]);
    const auto check = [&] {
        const auto got = embedder.embed(many, with(true));
        for (std::size_t i = 0; i < many.size(); ++i) EXPECT_EQ(got[i].vector, alone[i * 7 % seeds.size()]) << i;
    };
    std::vector<std::thread> others;
    for (int i = 0; i < 3; ++i) others.emplace_back(check);
    check();
    for (std::thread& t : others) t.join();
}

TEST(Embedder, StopsBetweenSteps) {
    Host host({.threads = 1});
    Embedder embedder(host, load(host, folder_of("bert")));
    const std::vector<EmbedInput> many(200, std::string("the stone house is in the sea, and the wind"));
    std::uint64_t last = 0;
    EmbedOptions options;
    options.progress = [&](const ProgressEvent& e) {
        last = e.done;
        if (e.done > 50) throw Error(ErrorKind::cancelled, "Stopped.");
    };
    EXPECT_EQ(caught([&] { static_cast<void>(embedder.embed(many, options)); }).kind(), ErrorKind::cancelled);
    EXPECT_GT(last, 50U);
    EXPECT_LT(last, 200U);
    EXPECT_EQ(embedder.embed(many).size(), 200U);
}

TEST(Embedder, ACrossEncoderReadsQuestionAndDocumentTogether) {
    Host host({.threads = 2});
    for (const char* name : {"bert-cross", "roberta-cross"}) {
        const Golden g = read_golden(name);
        Embedder embedder(host, load(host, folder_of(name)));
        EXPECT_TRUE(embedder.has_classifier());
        const std::span<const float> want = std::span(g.numbers).subspan(g.texts.size() * 3 * kWidth);
        ASSERT_EQ(want.size(), g.firsts.size());
        for (std::size_t i = 0; i < want.size(); ++i) {
            const RerankResult r = embedder.rerank(g.firsts[i], std::span(&g.seconds[i], 1), with(true));
            EXPECT_EQ(r.by, RerankBy::classifier);
            EXPECT_NEAR(r.documents[0].logit, want[i], 1e-4) << name << " " << i;
            EXPECT_NEAR(r.documents[0].score, 1.0 / (1.0 + std::exp(-want[i])), 1e-4);
        }
        const RerankResult all = embedder.rerank("is the sea light?", g.seconds, with(true));
        for (std::size_t i = 1; i < all.documents.size(); ++i)
            EXPECT_GE(all.documents[i - 1].score, all.documents[i].score);
        const std::string again = g.seconds[all.documents[0].index];
        EXPECT_EQ(embedder.rerank("is the sea light?", std::span(&again, 1), with(true)).documents[0].logit,
                  all.documents[0].logit);
    }
}

TEST(Embedder, WithoutAClassifierVectorsAreCompared) {
    Host host({.threads = 1});
    Embedder embedder(host, load(host, folder_of("bert")));
    EXPECT_FALSE(embedder.has_classifier());
    const std::vector<std::string> documents{"the wind", "stone house", "12.5", "stone house"};
    const RerankResult r = embedder.rerank("stone house", documents);
    EXPECT_EQ(r.by, RerankBy::cosine);
    ASSERT_EQ(r.documents.size(), 4U);
    EXPECT_EQ(r.documents[0].index, 1U);  // equal scores by index
    EXPECT_EQ(r.documents[1].index, 3U);
    EXPECT_NEAR(r.documents[0].score, 1.0F, 1e-6);
    EXPECT_EQ(r.tokens, 4U * 4 + 5);
}

TEST(Embedder, AnEncoderIsNoChatModel) {
    Host host({.threads = 1});
    const auto model = load(host, folder_of("bert"));
    const Error e = caught([&] { static_cast<void>(model->need_decoder()); });
    EXPECT_EQ(e.kind(), ErrorKind::unsupported);
    EXPECT_NE(e.hint().find("freehold embed"), std::string::npos);
}

TEST(Embedder, AModelThatWritesGivesVectorsToo) {
    Host host({.threads = 2});
    const auto model = host.load(std::string(FREEHOLD_SOURCE_DIR) + "/tests/data/stories260K");
    Embedder embedder(host, model);
    EXPECT_EQ(embedder.spec().pooling, Pooling::last);
    EXPECT_FALSE(embedder.spec().pooling_known);
    const std::vector<EmbedInput> texts{std::string("Once upon a time"), std::string("Once upon a day"),
                                        std::string("The dog was big.")};
    const auto v = embedder.embed(texts);
    EXPECT_GT(cosine(v[0].vector, v[1].vector), cosine(v[0].vector, v[2].vector));
    EXPECT_NEAR(cosine(v[0].vector, v[0].vector), 1.0F, 1e-6);
}

// The real all-MiniLM-L6-v2 as a folder "minilm", when FREEHOLD_TEST_MODELS names a folder that has it
// (tests/oracle/embeddings_live.py wrote what is expected).
TEST(Embedder, RealMiniLmAsTransformersComputesIt) {
    const char* const models = std::getenv("FREEHOLD_TEST_MODELS");
    const std::string path = std::string(models == nullptr ? "" : models) + "/minilm";
    if (models == nullptr || !std::filesystem::exists(path)) {
        GTEST_SKIP() << "FREEHOLD_TEST_MODELS does not name a folder with minilm";
    }
    Host host({.threads = 2});
    Embedder embedder(host, host.load(path));
    EXPECT_EQ(embedder.spec().max_tokens, 256);
    const Value expected =
        parse_json(read_text(std::string(FREEHOLD_SOURCE_DIR) + "/tests/golden/encoders/minilm.json"), "minilm.json");
    std::vector<EmbedInput> texts;
    for (std::size_t i = 0; i < expected.size(); ++i)
        texts.emplace_back(std::string(*expected.at(i).get<ValueMap>()->find("text")->as_string()));
    const auto got = embedder.embed(texts, with(true));
    for (std::size_t i = 0; i < texts.size(); ++i) {
        const Value entry = expected.at(i);
        const auto& map = *entry.get<ValueMap>();
        const Value ids = *map.find("ids"), first = *map.find("first");
        const Framed framed = embedder.model().need_tokenizer().frame(std::get<std::string>(texts[i]), 256);
        ASSERT_EQ(framed.ids.size(), ids.size()) << i;
        for (std::size_t t = 0; t < ids.size(); ++t) EXPECT_EQ(framed.ids[t], ids.at(t).as_int()) << i;
        for (std::size_t d = 0; d < first.size(); ++d)
            EXPECT_NEAR(got[i].vector[d], *first.at(d).as_double(), 1e-4) << "text " << i;
    }
}

}  // namespace
}  // namespace freehold
