// The Translator over tiny models: tokens and scores of transformers' generation in greedy and beam search, texts from
// and to the published kinds of tokenizers, and what is refused.
#include "freehold/engine/translate.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/value.h"
#include "freehold/engine/embed.h"

namespace freehold {
namespace {

namespace fs = std::filesystem;

// tests/golden/translators, made by tests/oracle/make_tiny_translators.py.
std::string folder_of(const std::string& name) {
    return std::string(FREEHOLD_SOURCE_DIR) + "/tests/golden/translators/" + name;
}

std::shared_ptr<const LoadedModel> load(Host& host, const std::string& path) {
    LoadedModelOptions options;
    options.profile = Profile::f32;
    return host.load(path, options);
}

Value read_expected(const std::string& name) {
    return parse_json(read_text(folder_of(name) + "/expected.json"), "expected.json");
}

std::vector<Token> tokens_of(const Value& list) {
    std::vector<Token> out;
    for (std::size_t i = 0; i < list.size(); ++i) out.push_back(static_cast<Token>(*list.at(i).as_int()));
    return out;
}

// A generation of the oracle: how, and what came out.
SearchOptions search_of(const ValueMap& g, const SearchOptions& model) {
    SearchOptions s = model;
    s.beams = static_cast<int>(*g.find("num_beams")->as_int());
    s.length_penalty = static_cast<float>(*g.find("length_penalty")->as_double());
    s.max_length = static_cast<int>(*g.find("max_length")->as_int());
    const Value& early = *g.find("early_stopping");
    s.early_stopping = !early.as_bool()   ? EarlyStopping::never
                       : *early.as_bool() ? EarlyStopping::yes
                                          : EarlyStopping::no;
    s.suppressed.clear();
    s.forced_end.reset();
    if (const Value* const bad = g.find("bad_words_ids"))
        for (std::size_t i = 0; i < bad->size(); ++i) s.suppressed.push_back(tokens_of(bad->at(i)).front());
    if (const Value* const end = g.find("forced_eos_token_id")) s.forced_end = static_cast<Token>(*end->as_int());
    return s;
}

struct Case {
    const char* name;
    bool gguf;
};
void PrintTo(const Case& c, std::ostream* out) {
    *out << c.name << (c.gguf ? ".gguf" : " folder");
}

class Translations : public testing::TestWithParam<Case> {};

TEST_P(Translations, AreTransformersTokenByToken) {
    Host host({.threads = 2});
    const std::string name = GetParam().name;
    const auto model = load(host, folder_of(name) + (GetParam().gguf ? "/" + name + ".gguf" : ""));
    Translator translator(host, model);
    const Value expected = read_expected(name);
    std::vector<std::vector<Token>> sources;
    const Value& listed = *find(*expected.get<ValueMap>(), "sources");
    for (std::size_t i = 0; i < listed.size(); ++i) sources.push_back(tokens_of(listed.at(i)));
    const Value& generations = *find(*expected.get<ValueMap>(), "generations");
    ASSERT_GE(generations.size(), 40U);
    std::size_t ended = 0, cut = 0;
    for (std::size_t i = 0; i < generations.size(); ++i) {
        const Value entry = generations.at(i);
        const ValueMap& g = *entry.get<ValueMap>();
        const auto index = static_cast<std::size_t>(*g.find("source")->as_int());
        // With two others, which go on longer or shorter.
        const std::vector<std::vector<Token>> together = {sources[(index + 1) % 3], sources[index], sources[3]};
        const SearchOptions how = search_of(g, translator.spec().search);
        const Translation t = translator.translate_ids(together, how)[1];
        std::vector<Token> want = tokens_of(*g.find("tokens"));
        ASSERT_EQ(want.front(), how.start);
        want.erase(want.begin());
        EXPECT_EQ(t.tokens, want) << "generation " << i << ", " << how.beams << " beams";
        if (const Value* const score = g.find("score")) {
            EXPECT_NEAR(t.score, *score->as_double(), 1e-4 * std::max(1.0, std::abs(*score->as_double())))
                << "generation " << i;
        }
        ++(t.ended ? ended : cut);
    }
    EXPECT_GT(ended, 0U) << "nothing ended by itself";
    EXPECT_GT(cut, 0U) << "nothing ran into the longest length";
}

TEST_P(Translations, TextsAreCutAndPutTogetherAsTheirTokenizersDo) {
    Host host({.threads = 1});
    const std::string name = GetParam().name;
    const auto model = load(host, folder_of(name) + (GetParam().gguf ? "/" + name + ".gguf" : ""));
    const Value expected = read_expected(name);
    const Value& texts = *find(*expected.get<ValueMap>(), "texts");
    ASSERT_GE(texts.size(), 7U);
    for (std::size_t i = 0; i < texts.size(); ++i) {
        const Value entry = texts.at(i);
        const ValueMap& m = *entry.get<ValueMap>();
        const std::string text(*m.find("text")->as_string());
        const std::vector<Token> ids = model->need_tokenizer().encode(text);
        EXPECT_EQ(ids, tokens_of(*m.find("ids"))) << text;
        EXPECT_EQ(model->need_tokenizer().decode(tokens_of(*m.find("ids"))), *m.find("back")->as_string()) << text;
    }
}

INSTANTIATE_TEST_SUITE_P(Tiny, Translations,
                         testing::Values(Case{"t5", false}, Case{"t5", true}, Case{"t5-v11", false},
                                         Case{"t5-v11", true}, Case{"mt5", false}, Case{"marian", false},
                                         Case{"marian-st", false}, Case{"marian-apart", false}));

TEST(Translate, TasksPutTheirPrefixBeforeTheText) {
    Host host({.threads = 1});
    Translator translator(host, load(host, folder_of("t5")));
    ASSERT_EQ(translator.spec().tasks.size(), 2U);
    const auto one = [&](const std::string& text, TranslateOptions options) {
        Translation out;
        options.max_tokens = 12;
        translator.translate(std::span(&text, 1), options, [&](std::size_t, Translation t) { out = std::move(t); });
        return out;
    };
    TranslateOptions task;
    task.task = "translation_en_to_de";
    EXPECT_EQ(translator.search(task).beams, 4);
    EXPECT_EQ(translator.search(task).early_stopping, EarlyStopping::yes);
    EXPECT_EQ(translator.search(task).max_length, 30);
    TranslateOptions spelled;
    spelled.prefix = "translate English to German: ";
    spelled.beams = 4;
    const Translation a = one("the sea", task), b = one("the sea", spelled), c = one("the sea", {});
    EXPECT_EQ(a.source_tokens, b.source_tokens);
    EXPECT_GT(a.source_tokens, c.source_tokens);
    task.task = "translation_en_to_xx";
    EXPECT_THROW(one("the sea", task), Error);
}

TEST(Translate, ManyTextsComeInOrder) {
    Host host({.threads = 2});
    Translator translator(host, load(host, folder_of("marian")));
    const std::vector<std::string> texts = {"the sea",
                                            "a house of stone stands by the sea",
                                            "warm",
                                            "wind",
                                            "cold",
                                            "the light",
                                            "is the stone cold?",
                                            "a calm wind",
                                            "we stand",
                                            "no",
                                            ">>deu<< stone"};
    TranslateOptions options;
    options.beams = 3;
    options.max_tokens = 16;
    std::vector<Translation> got;
    translator.translate(texts, options, [&](std::size_t i, Translation t) {
        EXPECT_EQ(i, got.size());
        got.push_back(std::move(t));
    });
    ASSERT_EQ(got.size(), texts.size());
    for (std::size_t i = 0; i < texts.size(); ++i) {
        translator.translate(std::span(&texts[i], 1), options, [&](std::size_t, const Translation& alone) {
            EXPECT_EQ(alone.tokens, got[i].tokens) << texts[i];
            EXPECT_EQ(alone.score, got[i].score) << texts[i];
        });
    }
    std::string words;
    for (int i = 0; i < 80; ++i) words += "sea ";
    EXPECT_THROW(translator.translate(std::span(&words, 1), options, [](std::size_t, const Translation&) {}), Error);
}

TEST(Translate, IsStoppedBetweenSteps) {
    Host host({.threads = 1});
    Translator translator(host, load(host, folder_of("marian")));
    const std::string text = "the sea";
    TranslateOptions options;
    int steps = 0;
    options.progress = [&](const ProgressEvent& event) {
        EXPECT_EQ(event.total, 1U);
        if (++steps == 3) throw Error(ErrorKind::cancelled, "Stopped.");
    };
    EXPECT_THROW(translator.translate(std::span(&text, 1), options, [](std::size_t, const Translation&) {}), Error);
    EXPECT_EQ(steps, 3);
}

TEST(Translate, OtherVerbsSayWhatItIsFor) {
    Host host({.threads = 1});
    const auto model = load(host, folder_of("marian"));
    try {
        static_cast<void>(model->need_decoder());
        ADD_FAILURE() << "it was taken for a model that chats";
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::unsupported);
        EXPECT_NE(e.message().find("translates"), std::string::npos) << e.message();
        EXPECT_NE(e.hint().find("freehold translate"), std::string::npos) << e.hint();
    }
    EXPECT_THROW(Embedder(host, model), Error);
    const auto decoder = load(host, std::string(FREEHOLD_SOURCE_DIR) + "/tests/golden/models/llama");
    EXPECT_THROW(Translator(host, decoder), Error);
}

// A copy of a folder in which one key of a file is another.
TEST(Translate, LiesOfItsSettingsAreNamed) {
    const fs::path folder = fs::path(testing::TempDir()) / ("freehold_translate_" + std::to_string(::getpid()));
    struct Lie {
        const char* key;
        Value value;
    };
    const Lie lies[] = {
        {"eos_token_id", 1 << 20},      {"eos_token_id", Value(ValueList{})},
        {"decoder_start_token_id", -4}, {"num_beams", 100000},
        {"num_beams", "many"},          {"max_length", 0},
        {"length_penalty", "long"},     {"early_stopping", "sometimes"},
        {"forced_eos_token_id", "x"},   {"bad_words_ids", Value(ValueList{Value(ValueList{Value(3), Value(4)})})}};
    for (const Lie& lie : lies) {
        fs::remove_all(folder);
        fs::copy(folder_of("marian-st"), folder, fs::copy_options::recursive);
        const Value json = parse_json(read_text(folder / "generation_config.json"), "generation_config.json");
        ValueMap map = *json.get<ValueMap>();
        map.set(lie.key, lie.value);
        std::ofstream(folder / "generation_config.json") << to_json(Value(map));
        try {
            Host host({.threads = 1});
            Translator translator(host, load(host, folder));
            ADD_FAILURE() << lie.key << " was believed";
        } catch (const Error& e) {
            EXPECT_NE(e.message().find(lie.key), std::string::npos) << e.message();
        }
    }
    fs::remove_all(folder);
}

}  // namespace
}  // namespace freehold
