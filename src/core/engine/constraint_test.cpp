// Constraints in the engine: answers keep to them under every way of running, with and without guesses, and end in
// time.
#include <gtest/gtest.h>

#include "freehold/engine/constraint.h"
#include "freehold/engine/engine.h"
#include "toy_model.h"

namespace freehold {
namespace {

// The toy vocabulary as characters: token 0 ends an answer.
std::vector<std::string> characters() {
    std::vector<std::string> tokens{""};
    for (const char c : std::string_view("{}[]\":, abcdefghijklmnopqrstuvwxyz0123456789-.e")) tokens.emplace_back(1, c);
    tokens.resize(50);
    return tokens;
}

std::string text_of(const std::vector<Token>& tokens) {
    const auto all = characters();
    std::string out;
    for (const Token t : tokens) out += all[static_cast<std::size_t>(t)];
    return out;
}

Request request(const std::shared_ptr<const Constraint>& constraint, int seed) {
    Request r;
    r.prompt = {3, 1, 4, 1, 5, 9, static_cast<Token>(seed % 40)};
    r.max_tokens = 400;
    r.sampler.seed = static_cast<std::uint64_t>(seed);
    r.stop_ids = {0};
    r.logprobs = 1;
    r.constraint = constraint;
    return r;
}

// Guesses at random, some of which no form allows.
class Wild final : public Drafter {
 public:
    void propose(std::span<DraftWish> wishes) override {
        for (DraftWish& w : wishes) {
            for (std::size_t i = 0; i < w.most; ++i)
                w.guess.push_back(static_cast<Token>((w.tokens.size() * 7 + i * 3) % 50));
        }
    }
};

std::vector<Outcome> play(const std::shared_ptr<const Constraint>& constraint, EngineOptions o) {
    Engine engine(std::make_unique<ToyModel>(50, 4096, 20), scalar_kernels(), o);
    std::vector<Outcome> out(6);
    for (std::size_t i = 0; i < out.size(); ++i) {
        Request r = request(constraint, static_cast<int>(i) + 1);
        r.on_done = [&out, i](const Outcome& done) { out[i] = done; };
        engine.submit(std::move(r));
    }
    engine.drain();
    return out;
}

TEST(Constraint, AnswersKeepToItInEveryWayOfRunning) {
    const auto grammar = Grammar::from_json_schema_text(
        R"({"type":"object","properties":{"name":{"type":"string","maxLength":12},"n":{"type":"integer","minimum":0,"maximum":999}},
            "required":["name","n"],"additionalProperties":false})",
        JsonSchemaOptions::serving());
    const auto constraint = make_constraint(grammar, make_token_trie(characters()));
    EngineOptions plain;
    plain.draft_tokens = 0;
    const auto want = play(constraint, plain);
    for (const Outcome& o : want) {
        ASSERT_FALSE(o.error) << o.error->message();
        EXPECT_EQ(o.finish, FinishReason::stop);
        EXPECT_TRUE(grammar->matches(text_of(o.tokens))) << text_of(o.tokens);
    }
    EngineOptions guessing;
    guessing.draft_sequences = 8;
    EngineOptions wild = guessing;
    wild.drafter = std::make_shared<Wild>();
    EngineOptions tight;  // pages for few: sequences give way and are computed again
    tight.draft_tokens = 0;
    tight.kv_bytes = 12000;
    tight.context = 420;
    tight.max_sequences = 4;
    for (const EngineOptions& o : {guessing, wild, tight}) {
        const auto got = play(constraint, o);
        for (std::size_t i = 0; i < want.size(); ++i) {
            ASSERT_FALSE(got[i].error) << got[i].error->message();
            EXPECT_EQ(got[i].tokens, want[i].tokens);
            ASSERT_EQ(got[i].details.size(), want[i].details.size());
            for (std::size_t k = 0; k < want[i].details.size(); ++k) {
                EXPECT_EQ(got[i].details[k].logprob, want[i].details[k].logprob);
            }
        }
    }
}

TEST(Constraint, LogprobsAreTheModelsOwn) {
    const std::vector<std::string> words{"abc"};
    const auto constraint = make_constraint(Grammar::from_choice(words), make_token_trie(characters()));
    const auto out = play(constraint, {});
    const ToyModel model(50, 4096, 20);
    for (std::size_t i = 0; i < out.size(); ++i) {
        EXPECT_EQ(text_of(out[i].tokens), "abc");
        EXPECT_EQ(out[i].finish, FinishReason::stop);
        const Request r = request(constraint, static_cast<int>(i) + 1);
        const auto logits = model.reference(r.prompt);
        const double sum = log_sum_exp(scalar_kernels(), logits);
        EXPECT_EQ(out[i].details.at(0).logprob, token_logprob(logits, sum, out[i].tokens[0]));
        EXPECT_EQ(out[i].details[0].alternatives, top_logprobs(logits, sum, 1));
    }
}

}  // namespace
}  // namespace freehold
