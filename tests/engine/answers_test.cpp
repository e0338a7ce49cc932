// From a prompt to text with models as they are: the story model that the repository carries, SmolLM2 where it is
// there.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/engine/chat.h"
#include "freehold/engine/perplexity.h"

namespace freehold {
namespace {

const std::filesystem::path kStories = std::filesystem::path(FREEHOLD_TEST_DATA) / "stories260K";

struct Loaded {
    explicit Loaded(const std::filesystem::path& path, const EngineOptions& options = {})
        : model(host.load(path)), engine(host, model, options) {}
    Host host;
    std::shared_ptr<const LoadedModel> model;
    Engine engine;
};

GenerateOptions greedy(int max_tokens) {
    GenerateOptions o;
    o.max_tokens = max_tokens;
    o.sampler.temperature = 0;
    return o;
}

TEST(Answers, TheStoryIsTheExpectedOneToTheByte) {
    Loaded l(kStories / "stories260K.bin");
    const Value expected = parse_json(read_text(kStories / "expected_greedy.json"), "expected_greedy.json");
    const Value* ids = find(*expected.get<ValueMap>(), "greedy_ids");
    ASSERT_NE(ids, nullptr);
    std::string streamed;
    const Answer a = complete(l.engine, *l.model, "", greedy(static_cast<int>(ids->size())),
                              [&](std::string_view piece) { streamed += piece; });
    ASSERT_EQ(a.outcome.tokens.size(), ids->size());
    for (std::size_t i = 0; i < ids->size(); ++i) EXPECT_EQ(a.outcome.tokens[i], *ids->at(i).as_int()) << i;
    EXPECT_EQ(a.text, read_text(kStories / "expected_greedy.txt"));
    EXPECT_EQ(streamed, a.text);
    EXPECT_EQ(a.finish, FinishReason::length);
}

TEST(Answers, AStopStringEndsItAndIsNotShown) {
    Loaded l(kStories / "stories260K.bin");
    const std::string whole = read_text(kStories / "expected_greedy.txt");
    for (const std::string& stop : {whole.substr(60, 9), whole.substr(31, 1), whole.substr(90, 30)}) {
        GenerateOptions o = greedy(190);
        o.stop = {"never to be found", stop};
        std::string streamed;
        const Answer a = complete(l.engine, *l.model, "", o, [&](std::string_view piece) { streamed += piece; });
        EXPECT_EQ(a.text, whole.substr(0, whole.find(stop)));
        EXPECT_EQ(streamed, a.text);
        EXPECT_EQ(a.stop_string, stop);
        EXPECT_EQ(a.finish, FinishReason::stop);
    }
}

TEST(Answers, ACompletionGoesOnWithItsPrompt) {
    Loaded l(kStories / "stories260K.bin");
    const std::string whole = read_text(kStories / "expected_greedy.txt");
    const std::string prompt = whole.substr(0, whole.find(' ', 40));
    const Answer a = complete(l.engine, *l.model, prompt, greedy(20));
    EXPECT_EQ(a.text.front(), ' ');
    EXPECT_EQ(prompt + a.text, whole.substr(0, prompt.size() + a.text.size()));
}

TEST(Answers, PerplexityAndLogitsAgree) {
    Loaded l(kStories / "stories260K.bin");
    std::vector<Token> text =
        l.model->need_tokenizer().encode(read_text(kStories / "expected_greedy.txt"), {false, false});
    text.resize(150);
    PerplexityOptions o;
    o.context = 64;
    o.replace_first_by_bos = true;
    o.bos = l.model->need_tokenizer().bos().value();
    const PerplexityResult r = perplexity(l.engine, text, o);
    EXPECT_EQ(r.chunks, 2U);
    EXPECT_EQ(r.scored_tokens, 2U * 31U);
    double sum = 0;
    std::size_t at = 0;
    for (std::size_t c = 0; c < 2; ++c) {
        std::vector<Token> chunk(text.begin() + static_cast<std::ptrdiff_t>(c * 64),
                                 text.begin() + static_cast<std::ptrdiff_t>(c * 64 + 64));
        chunk.front() = o.bos;
        const auto all = token_logprobs(l.engine, chunk);
        ASSERT_EQ(all.size(), 63U);
        std::vector<float> by_row;
        token_logits(l.engine, chunk, [&](std::int32_t position, std::span<const float> row) {
            const auto next = static_cast<std::size_t>(position) + 1;
            if (next < chunk.size())
                by_row.push_back(token_logprob(row, log_sum_exp(scalar_kernels(), row), chunk[next]));
        });
        EXPECT_EQ(by_row, all);
        for (std::size_t i = 32; i < 63; ++i) {
            EXPECT_EQ(r.logprobs[at++], all[i]);
            sum -= static_cast<double>(all[i]);
        }
    }
    EXPECT_NEAR(r.nll, sum / 62, 1e-12);
    EXPECT_NEAR(r.perplexity, std::exp(sum / 62), 1e-9);
    EXPECT_GT(r.standard_error, 0);
    // A story that the model itself finds likeliest is predicted far better than chance over 512 tokens.
    EXPECT_LT(r.perplexity, 20);
    o.context = 151;
    EXPECT_THROW(static_cast<void>(perplexity(l.engine, text, o)), Error);
}

TEST(Answers, ABaseModelHasNoTemplate) {
    Loaded l(kStories / "stories260K.bin");
    Chat chat(l.engine, l.model);
    try {
        chat.send("Hello");
        FAIL() << "no error";
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::unsupported);
    }
    EXPECT_TRUE(chat.messages().empty());
}

TEST(Answers, ModelsAreSharedAndCounted) {
    Host host;
    const auto one = host.load(kStories / "stories260K.bin");
    EXPECT_EQ(host.load(kStories / "stories260K.bin"), one);
    LoadedModelOptions other;
    other.weights = false;
    const auto light = host.load(kStories / "stories260K.bin", other);
    EXPECT_NE(light, one);
    EXPECT_FALSE(light->decoder());
    EXPECT_TRUE(light->tokenizer());
    EXPECT_THROW(Engine(host, light), Error);
    EXPECT_EQ(host.loaded().size(), 2U);
    const std::uint64_t used = host.memory().used();
    {
        const Engine engine(host, one);
        EXPECT_GT(host.memory().used(), used);
    }
    EXPECT_EQ(host.memory().used(), used);
    HostOptions tight;
    tight.memory_budget = 1000;
    Host poor(tight);
    EXPECT_THROW(poor.load(kStories / "stories260K.bin"), Error);
}

// What transformers answers in F32 on the same file (tests/oracle/answers_make.py), token by token.
class RealModels : public testing::TestWithParam<std::string> {};

TEST_P(RealModels, AnswerAsTheReferenceDoes) {
    const char* const folder = std::getenv("FREEHOLD_TEST_MODELS");
    const std::filesystem::path path = std::filesystem::path(folder == nullptr ? "" : folder) / (GetParam() + ".gguf");
    if (folder == nullptr || !std::filesystem::exists(path))
        GTEST_SKIP() << "FREEHOLD_TEST_MODELS does not name a folder with " << path.filename();
    const std::filesystem::path golden =
        std::filesystem::path(FREEHOLD_SOURCE_DIR) / "tests/golden/answers" / (GetParam() + ".json");
    const Value said = parse_json(read_text(golden), golden.string());
    const auto ids_of = [&](const char* key) {
        std::vector<Token> ids;
        for (const Value& id : *find(*said.get<ValueMap>(), key)->get<ValueList>())
            ids.push_back(static_cast<Token>(*id.as_int()));
        return ids;
    };
    EngineOptions options;
    options.context = 512;
    Host host;
    LoadedModelOptions exact;
    exact.profile = Profile::f32;
    const auto model = host.load(path, exact);
    Engine engine(host, model, options);
    EXPECT_EQ(engine.kv(), KvType::F32);
    const std::vector<Token> want = ids_of("ids"),
                             prompt = model->need_tokenizer().encode(
                                 *find(*said.get<ValueMap>(), "prompt")->as_string(), {true, true});
    EXPECT_EQ(prompt, ids_of("prompt_ids"));
    const Answer a = generate(engine, *model, prompt, greedy(static_cast<int>(want.size())));
    EXPECT_EQ(a.outcome.tokens, want);
    EXPECT_EQ(a.text, *find(*said.get<ValueMap>(), "text")->as_string());
}

INSTANTIATE_TEST_SUITE_P(Named, RealModels, testing::Values("smollm2", "gemma3", "qwen2.5-coder"),
                         [](const auto& file) {
                             std::string name = file.param;
                             std::erase_if(name,
                                           [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; });
                             return name;
                         });

TEST(Answers, ATurnOfAChatComputesOnlyWhatIsNew) {
    const char* folder = std::getenv("FREEHOLD_TEST_MODELS");
    if (folder == nullptr)
        GTEST_SKIP() << "Set FREEHOLD_TEST_MODELS to a folder with smollm2.gguf (./test fetches it).";
    EngineOptions options;
    options.context = 1024;
    Loaded l(std::filesystem::path(folder) / "smollm2.gguf", options);
    Chat chat(l.engine, l.model);
    chat.options.sampler.temperature = 0;
    chat.options.max_tokens = 24;
    chat.set_system("You are a helpful assistant.");
    std::string streamed;
    const Answer first =
        chat.send("What is the capital of France?", [&](std::string_view piece) { streamed += piece; });
    EXPECT_FALSE(first.text.empty());
    EXPECT_EQ(streamed, first.text);
    const Answer second = chat.send("And of Italy?");
    EXPECT_EQ(chat.messages().size(), 5U);
    // The first question and its answer are there; the end of the turn and the new question are computed.
    EXPECT_GE(second.outcome.cached_tokens + 1, first.outcome.prompt_tokens + first.outcome.tokens.size());
    const Answer again = chat.regenerate();
    EXPECT_EQ(again.text, second.text);
    EXPECT_EQ(again.outcome.cached_tokens + 1, again.outcome.prompt_tokens);
    EXPECT_TRUE(chat.drop_last(true));
    EXPECT_EQ(chat.messages().size(), 3U);

    // Cancelled from outside: what was said is kept.
    std::atomic<bool> cancel{false};
    const Answer cut = chat.send(
        "Tell me a long story.", [&](std::string_view) { cancel = true; }, &cancel);
    EXPECT_EQ(cut.finish, FinishReason::cancelled);
    EXPECT_FALSE(cut.text.empty());
    EXPECT_EQ(chat.messages().size(), 5U);
    // Too long: an error, and the conversation is as it was.
    std::string endless;
    for (int i = 0; i < 3000; ++i) endless += "word ";
    EXPECT_THROW(chat.send(endless), Error);
    EXPECT_EQ(chat.messages().size(), 5U);
}

}  // namespace
}  // namespace freehold
