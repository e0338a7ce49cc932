// Speculation: drafters that know, guess and lie, and the same answers from all of them; what the n-gram drafter finds.
#include <gtest/gtest.h>

#include "freehold/base/error.h"
#include "freehold/base/random.h"
#include "freehold/engine/engine.h"
#include "toy_model.h"

namespace freehold {
namespace {

std::vector<Token> random_tokens(Random& random, std::size_t n, std::uint32_t vocab) {
    std::vector<Token> tokens(n);
    for (Token& t : tokens) t = static_cast<Token>(random.next() % vocab);
    return tokens;
}

Request request(std::vector<Token> prompt, int max_tokens, float temperature) {
    Request r;
    r.prompt = std::move(prompt);
    r.max_tokens = max_tokens;
    r.sampler.temperature = temperature;
    r.sampler.repetition_penalty = 1.2F;  // a stage that looks at the history, which must not hold guesses
    r.sampler.seed = 11;
    r.logprobs = 2;
    return r;
}

// Knows the answers, and is right with a given chance; a wrong guess may lie outside the vocabulary.
class Oracle final : public Drafter {
 public:
    Oracle(std::vector<std::vector<Token>> truths, std::uint32_t right_of_eight)
        : truths_(std::move(truths)), right_(right_of_eight), random_(5, RandomUse::test) {}
    void propose(std::span<DraftWish> wishes) override {
        for (DraftWish& w : wishes) {
            for (const auto& truth : truths_) {
                if (truth.size() <= w.tokens.size() || !std::equal(w.tokens.begin(), w.tokens.end(), truth.begin()))
                    continue;
                // More than asked for: the engine takes what it wants.
                for (std::size_t i = w.tokens.size(); i < truth.size() && w.guess.size() < w.most + 2; ++i)
                    w.guess.push_back(random_.next() % 8 < right_ ? truth[i]
                                                                  : static_cast<Token>(random_.next() % 60) - 5);
                break;
            }
        }
    }
    void forget(std::uint64_t) override { ++forgotten; }
    int forgotten = 0;

 private:
    std::vector<std::vector<Token>> truths_;
    std::uint32_t right_;
    Random random_;
};

struct Answers {
    std::vector<Outcome> outcomes;
    EngineStats stats;
    std::uint64_t steps = 0;
};

Answers play(const std::vector<Request>& requests, EngineOptions o) {
    auto owned = std::make_unique<ToyModel>(50, 4096, 20);
    const ToyModel* model = owned.get();
    Engine engine(std::move(owned), scalar_kernels(), o);
    Answers result;
    result.outcomes.resize(requests.size());
    for (std::size_t i = 0; i < requests.size(); ++i) {
        Request r = requests[i];
        r.on_done = [&result, i](const Outcome& done) { result.outcomes[i] = done; };
        engine.submit(std::move(r));
    }
    engine.drain();
    result.stats = engine.stats();
    result.steps = model->steps;
    engine.clear_cache();
    engine.step();
    EXPECT_EQ(engine.stats().page_bytes_used, 0U);
    return result;
}

void expect_same(const Answers& got, const Answers& want) {
    ASSERT_EQ(got.outcomes.size(), want.outcomes.size());
    for (std::size_t i = 0; i < want.outcomes.size(); ++i) {
        const Outcome &a = got.outcomes[i], &b = want.outcomes[i];
        ASSERT_FALSE(a.error) << a.error->message();
        EXPECT_EQ(a.tokens, b.tokens);
        EXPECT_EQ(a.finish, b.finish);
        EXPECT_EQ(a.stop_token, b.stop_token);
        ASSERT_EQ(a.details.size(), b.details.size());
        for (std::size_t t = 0; t < b.details.size(); ++t) {
            EXPECT_EQ(a.details[t].logprob, b.details[t].logprob);
            EXPECT_EQ(a.details[t].alternatives, b.details[t].alternatives);
            EXPECT_EQ(a.details[t].index, b.details[t].index);
        }
    }
}

TEST(Speculation, NoDraftChangesAToken) {
    Random random(3, RandomUse::test);
    for (const std::size_t n : {1U, 4U, 9U}) {
        std::vector<Request> requests;
        for (std::size_t i = 0; i < n; ++i) {
            requests.push_back(request(random_tokens(random, 3 + random.next() % 90, 50),
                                       static_cast<int>(1 + random.next() % 70), i % 2 == 0 ? 0.0F : 0.9F));
            if (i % 3 == 2) requests.back().stop_ids = {7, 19};
            SamplerOptions& sampler = requests.back().sampler;
            if (i % 4 == 1) sampler.mirostat = 2;  // remembers from choice to choice: guesses must leave no trace
            if (i % 4 == 3) {
                sampler.dry_multiplier = 0.8F;
                sampler.xtc_probability = 0.5F;
                sampler.dynatemp_range = 0.4F;
            }
        }
        EngineOptions plain;
        plain.draft_tokens = 0;
        const Answers want = play(requests, plain);
        EXPECT_EQ(want.stats.drafted_tokens, 0U);
        std::vector<std::vector<Token>> truths;
        for (std::size_t i = 0; i < n; ++i) {
            truths.push_back(requests[i].prompt);
            truths.back().insert(truths.back().end(), want.outcomes[i].tokens.begin(), want.outcomes[i].tokens.end());
        }
        for (const std::uint32_t right : {0U, 4U, 7U, 8U})
            for (const int draft_tokens : {1, 3, 8})
                for (const bool cache : {false, true})
                    for (const bool tight : {false, true}) {
                        EngineOptions o;
                        o.draft_tokens = draft_tokens;
                        o.draft_sequences = 16;
                        o.prefix_cache = cache;
                        o.shuffle_pages = 9;
                        // Tight: pages run out, sequences are put off and computed again.
                        if (tight) o.kv_bytes = 9000;
                        const auto oracle = std::make_shared<Oracle>(truths, right);
                        o.drafter = oracle;
                        const Answers got = play(requests, o);
                        expect_same(got, want);
                        EXPECT_EQ(oracle->forgotten, static_cast<int>(n));
                        if (right == 8 && n == 1 && draft_tokens == 3 && !tight) {
                            EXPECT_EQ(got.stats.accepted_tokens, got.stats.drafted_tokens);
                            if (want.outcomes[0].tokens.size() > 20) {
                                EXPECT_LT(2 * got.steps, want.steps);
                            }
                        }
                        if (right == 0) {
                            EXPECT_LT(got.stats.accepted_tokens * 4, got.stats.drafted_tokens + 8);
                        }
                        EXPECT_EQ(got.stats.decoded_tokens, want.stats.decoded_tokens);
                    }
    }
}

TEST(Speculation, CallersStopWhereTheyWant) {
    Random random(4, RandomUse::test);
    Request r = request(random_tokens(random, 30, 50), 40, 0);
    EngineOptions plain;
    plain.draft_tokens = 0;
    const Answers whole = play({r}, plain);
    std::vector<Token> truth = r.prompt;
    truth.insert(truth.end(), whole.outcomes[0].tokens.begin(), whole.outcomes[0].tokens.end());
    for (std::uint32_t stop = 0; stop < 12; ++stop) {
        r.on_token = [stop](const SampledToken& t) { return t.index < stop; };
        EngineOptions o;
        o.draft_tokens = 4;
        o.drafter = std::make_shared<Oracle>(std::vector<std::vector<Token>>{truth}, 8U);
        expect_same(play({r}, o), play({r}, plain));
    }
}

TEST(Speculation, ManySequencesGoWithout) {
    Random random(6, RandomUse::test);
    std::vector<Request> requests;
    for (int i = 0; i < 6; ++i) requests.push_back(request(std::vector<Token>(40, Token{3}), 20, 0));
    // Guesses whatever it is asked.
    class Eager final : public Drafter {
     public:
        void propose(std::span<DraftWish> wishes) override {
            for (DraftWish& w : wishes) w.guess.assign(w.most, Token{1});
        }
    };
    EngineOptions o;
    o.drafter = std::make_shared<Eager>();
    o.draft_sequences = 5;
    // All begin and end together, so there are never five or fewer.
    EXPECT_EQ(play(requests, o).stats.drafted_tokens, 0U);
    o.draft_sequences = 6;
    EXPECT_GT(play(requests, o).stats.drafted_tokens, 0U);
}

TEST(Speculation, AProbeNeverSeesAGuess) {
    Random random(12, RandomUse::test);
    Request r = request(random_tokens(random, 30, 50), 20, 0);
    class Blind final : public Probe {
     public:
        [[nodiscard]] bool wants(SiteRef) const noexcept override { return false; }
        void visit(SiteRef, std::int32_t, std::span<float>) override {}
    };
    r.probe = std::make_shared<Blind>();
    class Eager final : public Drafter {
     public:
        void propose(std::span<DraftWish> wishes) override {
            for (DraftWish& w : wishes) w.guess.assign(w.most, Token{1});
        }
    };
    EngineOptions o;
    o.drafter = std::make_shared<Eager>();
    EXPECT_EQ(play({r}, o).stats.drafted_tokens, 0U);
}

std::vector<Token> guess_after(Drafter& drafter, std::span<const Token> tokens, std::size_t most) {
    DraftWish wish{1, tokens, most, {}};
    drafter.propose(std::span(&wish, 1));
    return wish.guess;
}

TEST(Speculation, NgramsContinueWhatTheyHaveSeen) {
    const auto drafter = make_ngram_drafter();
    const std::vector<Token> once{1, 2, 3, 4, 5, 6, 7, 1, 2, 3};
    EXPECT_EQ(guess_after(*drafter, once, 3), (std::vector<Token>{4, 5, 6}));
    const std::vector<Token> nothing{1, 2, 3, 4, 5, 6, 7, 8, 9};
    drafter->forget(1);
    EXPECT_TRUE(guess_after(*drafter, nothing, 3).empty());
    // A text that repeats goes on repeating, over its own end.
    drafter->forget(1);
    const std::vector<Token> loop{5, 6, 5, 6, 5, 6};
    EXPECT_EQ(guess_after(*drafter, loop, 5), (std::vector<Token>{5, 6, 5, 6, 5}));
    // Of two places the one with the longer common past.
    drafter->forget(1);
    const std::vector<Token> two{9, 1, 2, 3, 50, 8, 1, 2, 3, 60, 7, 9, 1, 2, 3};
    EXPECT_EQ(guess_after(*drafter, two, 1), (std::vector<Token>{50}));
    drafter->forget(1);
    EXPECT_TRUE(guess_after(*drafter, std::vector<Token>{1, 1}, 2).empty());
}

TEST(Speculation, NgramIndexGrowsLikeOneBuiltAtOnce) {
    Random random(8, RandomUse::test);
    const auto tokens = random_tokens(random, 3000, 6);
    const auto growing = make_ngram_drafter();
    for (std::size_t n = 1; n < tokens.size(); n += 1 + random.next() % 9) {
        const std::span<const Token> head(tokens.data(), n);
        const auto fresh = make_ngram_drafter();
        const auto guess = guess_after(*growing, head, 4);
        if (n % 16 == 0) {
            EXPECT_EQ(guess, guess_after(*fresh, head, 4)) << n;
        }
        if (guess.empty()) continue;
        // What is guessed did follow the last three tokens somewhere.
        bool seen = false;
        for (std::size_t at = 3; at < n && !seen; ++at)
            seen = std::equal(head.end() - 3, head.end(), head.begin() + static_cast<std::ptrdiff_t>(at - 3)) &&
                   head[at] == guess[0];
        EXPECT_TRUE(seen) << n;
    }
}

}  // namespace
}  // namespace freehold
