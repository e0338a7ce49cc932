// The engine against a model that notices every wrong page: batching, chunking, sharing, preemption, cancellation,
// threads.
#include "freehold/engine/engine.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "freehold/base/error.h"
#include "freehold/base/random.h"
#include "toy_model.h"

namespace freehold {
namespace {

struct Toy {
    explicit Toy(EngineOptions options = {}, int context = 4096, int window = 20) {
        auto owned = std::make_unique<ToyModel>(50, context, window);
        model = owned.get();
        engine = std::make_unique<Engine>(std::move(owned), scalar_kernels(), options);
    }
    ToyModel* model;
    std::unique_ptr<Engine> engine;
};

std::vector<Token> random_tokens(Random& random, std::size_t n, std::uint32_t vocab = 50) {
    std::vector<Token> tokens(n);
    for (Token& t : tokens) t = static_cast<Token>(random.next() % vocab);
    return tokens;
}

Request request(std::vector<Token> prompt, int max_tokens, float temperature = 0) {
    Request r;
    r.prompt = std::move(prompt);
    r.max_tokens = max_tokens;
    r.sampler.temperature = temperature;
    r.sampler.seed = 7;
    r.logprobs = 2;
    return r;
}

// What the answer has to be, from the model's definition alone.
std::vector<SampledToken> expected(const ToyModel& model, const Request& r) {
    const Sampler sampler(r.sampler, model.vocab(), scalar_kernels());
    std::vector<Token> tokens = r.prompt;
    SamplerState state;
    std::vector<SampledToken> out;
    while (out.size() < static_cast<std::size_t>(*r.max_tokens)) {
        const auto logits = model.reference(tokens);
        SampledToken t;
        t.token = sampler.sample({logits, tokens, r.prompt.size(), r.choice, {}, {}, &state});
        const double sum = log_sum_exp(scalar_kernels(), logits);
        t.logprob = token_logprob(logits, sum, t.token);
        t.alternatives = top_logprobs(logits, sum, 2);
        tokens.push_back(t.token);
        out.push_back(t);
    }
    return out;
}

void expect_same(const Outcome& o, const std::vector<SampledToken>& want) {
    ASSERT_FALSE(o.error) << o.error->message();
    ASSERT_EQ(o.details.size(), want.size());
    for (std::size_t i = 0; i < want.size(); ++i) {
        EXPECT_EQ(o.details[i].token, want[i].token) << "token " << i;
        EXPECT_EQ(o.details[i].logprob, want[i].logprob);
        EXPECT_EQ(o.details[i].alternatives, want[i].alternatives);
        EXPECT_EQ(o.tokens[i], want[i].token);
    }
}

void expect_no_pages_left(Toy& toy) {
    EXPECT_EQ(toy.engine->stats().running, 0);
    toy.engine->clear_cache();
    toy.engine->step();
    EXPECT_EQ(toy.engine->stats().page_bytes_used, 0U);
    EXPECT_EQ(toy.engine->stats().pages_used, 0U);
}

TEST(Engine, OneRequestFollowsTheModel) {
    Toy toy;
    Random random(1, RandomUse::test);
    for (const std::size_t n : {1U, 15U, 16U, 17U, 100U, 600U}) {
        for (const float temperature : {0.0F, 1.0F}) {
            const Request r = request(random_tokens(random, n), 40, temperature);
            expect_same(toy.engine->run(r), expected(*toy.model, r));
        }
    }
    expect_no_pages_left(toy);
}

TEST(Engine, ManyOptionsGiveTheSameBits) {
    Random random(2, RandomUse::test);
    std::vector<Request> requests;
    const auto stem = random_tokens(random, 150);
    for (int i = 0; i < 12; ++i) {
        auto prompt = stem;
        prompt.resize(10 + random.next() % 140);
        const auto rest = random_tokens(random, 1 + random.next() % 60, 3);
        prompt.insert(prompt.end(), rest.begin(), rest.end());
        requests.push_back(request(prompt, 30, i % 2 == 0 ? 0.0F : 0.8F));
    }
    std::vector<std::vector<SampledToken>> want;
    {
        const ToyModel model;
        for (const Request& r : requests) want.push_back(expected(model, r));
    }
    for (const int chunk : {1, 7, 64, 512}) {
        for (const int rows : {16, 100, 512}) {
            for (const bool cache : {false, true}) {
                EngineOptions o;
                o.chunk = chunk;
                o.max_rows = rows;
                o.max_sequences = 16;
                o.prefix_cache = cache;
                if (rows == 100) o.shuffle_pages = 5;
                Toy toy(o);
                for (int again = 0; again < 2; ++again) {
                    std::vector<Outcome> outcomes(requests.size());
                    for (std::size_t i = 0; i < requests.size(); ++i) {
                        Request r = requests[i];
                        r.on_done = [&outcomes, i](const Outcome& done) { outcomes[i] = done; };
                        toy.engine->submit(std::move(r));
                    }
                    toy.engine->drain();
                    for (std::size_t i = 0; i < requests.size(); ++i) expect_same(outcomes[i], want[i]);
                }
                expect_no_pages_left(toy);
            }
        }
    }
}

// Random traffic in pools from roomy to hardly enough for one: preemption, eviction and cancellation on every path.
TEST(Engine, RandomTrafficInSmallPools) {
    Random random(3, RandomUse::test);
    for (int trial = 0; trial < 60; ++trial) {
        EngineOptions o;
        o.chunk = 1 + static_cast<int>(random.next() % 70);
        o.max_rows = 1 + static_cast<int>(random.next() % 100);
        o.max_sequences = 1 + static_cast<int>(random.next() % 12);
        o.max_rows_beside_decoding = 1 + static_cast<int>(random.next() % 50);
        o.kv_bytes = 2500 + random.next() % 12000;  // a page is 128 bytes in each of two groups
        o.prefix_cache = random.next() % 4 != 0;
        if (random.next() % 2 == 0) o.shuffle_pages = random.next();
        Toy toy(o, 400, 1 + static_cast<int>(random.next() % 50));
        const int longest = toy.engine->context();
        std::vector<std::vector<Token>> stems;
        for (int i = 0; i < 3; ++i) stems.push_back(random_tokens(random, 120, 2 + random.next() % 40));
        struct Case {
            std::vector<SampledToken> want;
            Outcome outcome;
            bool done = false, cancelled = false;
            RequestId id = 0;
        };
        std::vector<std::unique_ptr<Case>> cases;
        for (int i = 0; i < 30; ++i) {
            auto prompt = stems[random.next() % stems.size()];
            prompt.resize(random.next() % 100);
            const auto rest = random_tokens(random, 1 + random.next() % 20, 3);
            prompt.insert(prompt.end(), rest.begin(), rest.end());
            if (static_cast<int>(prompt.size()) + 1 > longest) prompt.resize(static_cast<std::size_t>(longest / 2));
            const int room = longest - static_cast<int>(prompt.size());
            Request r = request(prompt, 1 + static_cast<int>(random.next()) % std::min(room, 150), 0.9F);
            if (*r.max_tokens < 1) r.max_tokens = 1;
            r.cache = static_cast<CacheUse>(random.next() % 3);
            r.tenant = random.next() % 5 == 0 ? "other" : "";
            if (random.next() % 4 == 0) r.prompt_logprobs_from = 1 + static_cast<int>(random.next() % 30);
            auto c = std::make_unique<Case>();
            c->want = expected(*toy.model, r);
            r.on_done = [p = c.get()](const Outcome& done) {
                EXPECT_FALSE(p->done);
                p->done = true;
                p->outcome = done;
            };
            c->id = toy.engine->submit(std::move(r));
            cases.push_back(std::move(c));
            const std::uint32_t steps = random.next() % 6;
            for (std::uint32_t k = 0; k < steps; ++k) toy.engine->step();
            if (random.next() % 5 == 0) {
                Case& victim = *cases[random.next() % cases.size()];
                victim.cancelled = victim.cancelled || !victim.done;
                toy.engine->cancel(victim.id);
            }
            EXPECT_LE(toy.engine->stats().page_bytes_used, toy.engine->stats().page_bytes_budget);
        }
        toy.engine->drain();
        for (const auto& c : cases) {
            ASSERT_TRUE(c->done);
            if (c->cancelled) {
                EXPECT_EQ(c->outcome.finish, FinishReason::cancelled);
                ASSERT_LE(c->outcome.details.size(), c->want.size());
                c->want.resize(c->outcome.details.size());
            }
            expect_same(c->outcome, c->want);
        }
        expect_no_pages_left(toy);
    }
}

TEST(Engine, WhoIsPreemptedAnswersTheSame) {
    Random random(15, RandomUse::test);
    for (const bool cache : {false, true}) {
        EngineOptions o;
        o.kv_bytes = 128 * 60;
        o.chunk = 16;
        o.prefix_cache = cache;
        Toy toy(o, 4096, 20);
        const int longest = toy.engine->context();
        std::vector<std::vector<SampledToken>> want;
        std::vector<Outcome> outcomes(6);
        std::vector<RequestId> order;
        // Each is small when it is admitted and grows to most of the pool.
        for (std::size_t i = 0; i < outcomes.size(); ++i) {
            Request r = request(random_tokens(random, 10), longest * 3 / 4, 0.7F);
            r.sampler.mirostat = i % 2 == 0 ? 0 : 2;  // what it remembers outlives the pages
            r.sampler.mirostat_tau = 2;
            want.push_back(expected(*toy.model, r));
            r.on_done = [&, i](const Outcome& done) {
                outcomes[i] = done;
                order.push_back(done.id);
            };
            toy.engine->submit(std::move(r));
        }
        toy.engine->drain();
        std::uint32_t preempted = 0;
        for (std::size_t i = 0; i < outcomes.size(); ++i) {
            expect_same(outcomes[i], want[i]);
            preempted += outcomes[i].preempted;
        }
        EXPECT_EQ(outcomes[0].preempted, 0U);
        EXPECT_GE(preempted, 5U);
        EXPECT_EQ(toy.engine->stats().preemptions, preempted);
        EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
        expect_no_pages_left(toy);
    }
}

// Set aside and taken up again at any token, in the middle of a prompt too, beside others and with no cache: the answer
// is the one that nobody disturbed.
TEST(Engine, WhoIsParkedAnswersTheSame) {
    Random random(16, RandomUse::test);
    for (const bool cache : {false, true}) {
        EngineOptions o;
        o.chunk = 16;
        o.max_sequences = 2;
        o.prefix_cache = cache;
        Toy toy(o, 4096, 20);
        std::vector<std::vector<SampledToken>> want;
        std::vector<Outcome> outcomes(4);
        std::vector<RequestId> ids;
        for (std::size_t i = 0; i < outcomes.size(); ++i) {
            Request r = request(random_tokens(random, 40), 60, 0.7F);
            r.sampler.mirostat = i % 2 == 0 ? 0 : 2;
            r.sampler.mirostat_tau = 2;
            r.prompt_logprobs_from = 1;
            want.push_back(expected(*toy.model, r));
            r.on_done = [&, i](const Outcome& done) { outcomes[i] = done; };
            ids.push_back(toy.engine->submit(std::move(r)));
        }
        int most_parked = 0;
        std::vector<bool> aside(ids.size(), false);
        for (int steps = 0; steps < 4000; ++steps) {
            const std::size_t i = random.next() % ids.size();
            if (random.next() % 3 == 0) {
                aside[i] = !aside[i];
                aside[i] ? toy.engine->park(ids[i]) : toy.engine->resume(ids[i]);
            }
            toy.engine->step();
            most_parked = std::max(most_parked, toy.engine->stats().parked);
            EXPECT_LE(toy.engine->stats().running, 2);
        }
        for (const RequestId id : ids) toy.engine->resume(id);
        toy.engine->drain();
        std::uint32_t preempted = 0;
        for (std::size_t i = 0; i < outcomes.size(); ++i) {
            expect_same(outcomes[i], want[i]);
            EXPECT_EQ(outcomes[i].prompt_logprobs.size(), 39U);
            preempted += outcomes[i].preempted;
        }
        EXPECT_GE(most_parked, 2);
        EXPECT_GE(preempted, 4U);
        EXPECT_EQ(toy.engine->stats().parked, 0);
        expect_no_pages_left(toy);
    }
}

TEST(Engine, AParkedRequestGivesItsPlaceAndCanBeCancelled) {
    EngineOptions o;
    o.max_sequences = 1;
    Toy toy(o);
    std::vector<RequestId> done;
    std::vector<RequestId> ids;
    for (int i = 0; i < 2; ++i) {
        Request r = request({1, 2, 3}, 30);
        r.on_done = [&](const Outcome& outcome) { done.push_back(outcome.id); };
        ids.push_back(toy.engine->submit(std::move(r)));
    }
    toy.engine->step();
    toy.engine->park(ids[0]);
    toy.engine->drain();
    EXPECT_EQ(done, std::vector<RequestId>{ids[1]});
    EXPECT_EQ(toy.engine->stats().parked, 1);
    toy.engine->resume(ids[1]);  // gone: nobody minds
    toy.engine->park(12345);
    toy.engine->cancel(ids[0]);
    toy.engine->step();
    EXPECT_EQ(done.size(), 2U);
    EXPECT_EQ(toy.engine->stats().parked, 0);
    expect_no_pages_left(toy);
}

TEST(Engine, SixteenWhoShareAThousandTokensTakeHardlyMoreThanOne) {
    for (const bool at_once : {true, false}) {
        Random random(4, RandomUse::test);
        const auto stem = random_tokens(random, 1000);
        EngineOptions o;
        o.max_sequences = 16;
        // Every sequence decodes when memory is looked at: nobody has finished.
        Toy toy(o, 4096, 4000);  // a window wider than the prompt: both groups keep everything
        std::uint64_t one = 0;
        {
            Toy alone(o, 4096, 4000);
            alone.engine->submit(request(stem, 50));
            for (int i = 0; i < 10; ++i) alone.engine->step();
            ASSERT_EQ(alone.engine->stats().running, 1);
            one = alone.engine->stats().page_bytes_used;
        }
        for (int i = 0; i < 16; ++i) {
            auto prompt = stem;
            prompt.push_back(i);
            toy.engine->submit(request(prompt, 50));
            if (!at_once && i == 0) {
                for (int k = 0; k < 5; ++k) toy.engine->step();
            }
        }
        for (int i = 0; i < 10; ++i) toy.engine->step();
        const EngineStats stats = toy.engine->stats();
        EXPECT_EQ(stats.running, 16);
        EXPECT_LT(stats.prefill_tokens, 1000U + 16U * 16U);
        // Besides the 1,000 shared tokens each has a page or two of its own (their end and the answer).
        const std::uint64_t own = 16U * 2U * 2U * 128U;
        EXPECT_LT(static_cast<double>(stats.page_bytes_used - own), 1.2 * static_cast<double>(one));
        EXPECT_GE(stats.pages_shared, 2U * 62U);
        toy.engine->drain();
        expect_no_pages_left(toy);
    }
}

TEST(Engine, AHitTakesAllButTheLastToken) {
    Toy toy;
    Random random(5, RandomUse::test);
    for (const std::size_t n : {5U, 16U, 48U, 61U}) {
        toy.engine->clear_cache();
        const Request r = request(random_tokens(random, n), 5);
        EXPECT_EQ(toy.engine->run(r).cached_tokens, 0U);
        const Outcome second = toy.engine->run(r);
        EXPECT_EQ(second.cached_tokens, n - 1);
        expect_same(second, expected(*toy.model, r));
        // The next turn of a conversation begins with the whole of the last one, answer included.
        Request next = r;
        next.prompt.insert(next.prompt.end(), second.tokens.begin(), second.tokens.end());
        next.prompt.push_back(3);
        // The last token of an answer was chosen but never computed.
        EXPECT_EQ(toy.engine->run(next).cached_tokens, n + 5 - 1);
        Request stranger = r;
        stranger.tenant = "b";
        EXPECT_EQ(toy.engine->run(stranger).cached_tokens, 0U);
        Request alone = r;
        alone.cache = CacheUse::none;
        EXPECT_EQ(toy.engine->run(alone).cached_tokens, 0U);
    }
}

TEST(Engine, ReadOnlyLeavesNothingBehind) {
    Toy toy;
    Random random(6, RandomUse::test);
    Request r = request(random_tokens(random, 100), 5);
    r.cache = CacheUse::read_only;
    toy.engine->run(r);
    EXPECT_EQ(toy.engine->stats().page_bytes_used, 0U);
    r.cache = CacheUse::share;
    toy.engine->run(r);
    r.cache = CacheUse::read_only;
    EXPECT_EQ(toy.engine->run(r).cached_tokens, 99U);
}

class SilentProbe final : public Probe {
 public:
    [[nodiscard]] bool wants(SiteRef) const noexcept override { return false; }
    void visit(SiteRef, std::int32_t, std::span<float>) override {}
};

TEST(Engine, AProbeSharesOnlyUnderItsOwnKey) {
    Toy toy;
    Random random(7, RandomUse::test);
    Request r = request(random_tokens(random, 64), 5);
    toy.engine->run(r);
    r.probe = std::make_shared<SilentProbe>();
    EXPECT_EQ(toy.engine->run(r).cached_tokens, 0U);
    r.interventions = "steer-1";
    EXPECT_EQ(toy.engine->run(r).cached_tokens, 0U);
    EXPECT_EQ(toy.engine->run(r).cached_tokens, 63U);
}

TEST(Engine, PromptLogprobsAndLogits) {
    for (const int chunk : {3, 512}) {
        EngineOptions o;
        o.chunk = chunk;
        o.max_logit_rows = 33;
        Toy toy(o);
        Random random(8, RandomUse::test);
        const auto prompt = random_tokens(random, 90);
        toy.engine->run(request(prompt, 3));  // something to hit
        Request r = request(prompt, 0);
        r.prompt_logprobs_from = 40;
        r.logits_from = 60;
        std::vector<std::int32_t> seen;
        r.on_logits = [&](std::int32_t position, std::span<const float> row) {
            seen.push_back(position);
            const auto want = toy.model->reference(std::span(prompt).first(static_cast<std::size_t>(position) + 1));
            EXPECT_TRUE(std::equal(row.begin(), row.end(), want.begin(), want.end()));
        };
        const Outcome outcome = toy.engine->run(r);
        EXPECT_EQ(outcome.cached_tokens, 39U);
        EXPECT_TRUE(outcome.tokens.empty());
        EXPECT_EQ(outcome.finish, FinishReason::length);
        ASSERT_EQ(outcome.prompt_logprobs.size(), 50U);
        ASSERT_EQ(outcome.prompt_alternatives.size(), 50U);
        for (std::size_t i = 40; i < 90; ++i) {
            const auto logits = toy.model->reference(std::span(prompt).first(i));
            const double sum = log_sum_exp(scalar_kernels(), logits);
            EXPECT_EQ(outcome.prompt_logprobs[i - 40],
                      (TokenLogprob{prompt[i], token_logprob(logits, sum, prompt[i])}));
        }
        ASSERT_EQ(seen.size(), 30U);
        for (std::size_t i = 0; i < seen.size(); ++i) EXPECT_EQ(seen[i], static_cast<std::int32_t>(60 + i));
    }
}

TEST(Engine, StopsWhereAsked) {
    Toy toy;
    Random random(9, RandomUse::test);
    const Request plain = request(random_tokens(random, 20), 10);
    const auto want = expected(*toy.model, plain);
    Request r = plain;
    r.stop_ids = {want[4].token};
    std::size_t first = 0;
    while (want[first].token != want[4].token) ++first;
    Outcome o = toy.engine->run(r);
    EXPECT_EQ(o.finish, FinishReason::stop);
    EXPECT_EQ(o.stop_token, want[4].token);
    EXPECT_EQ(o.tokens.size(), first);

    // Not before the fewest tokens that were asked for; then the first that may, may.
    for (const int fewest : {1, static_cast<int>(first) + 1, 8}) {
        r.min_tokens = fewest;
        o = toy.engine->run(r);
        ASSERT_GE(o.tokens.size(), static_cast<std::size_t>(fewest));
        for (std::size_t i = 0; i < o.tokens.size(); ++i) EXPECT_NE(o.tokens[i], r.stop_ids[0]) << i;
        EXPECT_TRUE(static_cast<std::size_t>(fewest) > first || o.tokens.size() == first);
    }
    r.min_tokens = -1;
    EXPECT_THROW(static_cast<void>(toy.engine->run(r)), Error);

    r = plain;
    r.on_token = [](const SampledToken& t) { return t.index < 2; };
    o = toy.engine->run(r);
    EXPECT_EQ(o.finish, FinishReason::stop);
    EXPECT_EQ(o.tokens.size(), 3U);

    r = plain;
    r.max_tokens.reset();
    o = toy.engine->run(r);
    EXPECT_EQ(o.finish, FinishReason::length);
    EXPECT_EQ(o.tokens.size() + 20, static_cast<std::size_t>(toy.engine->context()));
}

TEST(Engine, CancelFreesPagesAtTheNextStep) {
    EngineOptions o;
    o.prefix_cache = false;
    Toy toy(o);
    Random random(10, RandomUse::test);
    Request r = request(random_tokens(random, 300), 1000);
    std::optional<Outcome> outcome;
    r.on_done = [&](const Outcome& done) { outcome = done; };
    const RequestId id = toy.engine->submit(std::move(r));
    for (int i = 0; i < 20; ++i) toy.engine->step();
    EXPECT_GT(toy.engine->stats().page_bytes_used, 0U);
    toy.engine->cancel(id);
    EXPECT_FALSE(toy.engine->step());
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->finish, FinishReason::cancelled);
    EXPECT_EQ(toy.engine->stats().page_bytes_used, 0U);
    toy.engine->cancel(id);
    toy.engine->cancel(99999);
    EXPECT_FALSE(toy.engine->step());
}

TEST(Engine, WindowPagesAreLetGo) {
    EngineOptions o;
    o.prefix_cache = false;
    Toy toy(o);
    Random random(11, RandomUse::test);
    toy.engine->submit(request(random_tokens(random, 3000), 100));
    for (int i = 0; i < 60; ++i) toy.engine->step();
    ASSERT_EQ(toy.engine->stats().running, 1);
    // 3,000 tokens and a few: 191 pages or so in full, but of the window of 20 two or three.
    EXPECT_LT(toy.engine->stats().pages_used, 200U);
    EXPECT_GT(toy.engine->stats().pages_used, 185U);
    toy.engine->drain();
}

TEST(Engine, AcceptsLongAnswersInAPoolThatHoldsThemThanksToTheWindow) {
    EngineOptions o;
    o.kv_bytes = 128 * (64 + 40);
    o.chunk = 64;
    Toy toy(o);
    Random random(12, RandomUse::test);
    EXPECT_GT(toy.engine->context(), 1000);
    const Request r = request(random_tokens(random, 700), 300);
    expect_same(toy.engine->run(r), expected(*toy.model, r));
    expect_same(toy.engine->run(r), expected(*toy.model, r));
    expect_no_pages_left(toy);
}

template <class F>
Error error_of(F&& f) {
    try {
        f();
    } catch (const Error& e) {
        return e;
    }
    ADD_FAILURE() << "no error";
    return {ErrorKind::internal, ""};
}

// With the prefix tree: what lies behind the window stays while there is room and goes when there is not, and who
// branches back into the conversation gets the same bits, computed again where its window pages are gone.
TEST(Engine, WindowPagesGoWhenRoomIsNeededAndABranchStillGetsItsBits) {
    Random random(13, RandomUse::test);
    const Request talk = request(random_tokens(random, 1900), 60);
    Request branch = request({talk.prompt.begin(), talk.prompt.begin() + 900}, 20);
    for (const Token t : random_tokens(random, 30)) branch.prompt.push_back(t);
    for (const bool tight : {false, true}) {
        EngineOptions o;
        o.chunk = 64;
        // 123 pages of everything; of the window as many, or the few in view and of the chunk.
        o.kv_bytes = 128 * (tight ? 123 + 10 : 2 * (123 + 64));
        Toy toy(o);
        ASSERT_GE(toy.engine->context(), 1960);
        expect_same(toy.engine->run(talk), expected(*toy.model, talk));
        const Outcome there = toy.engine->run(branch);
        expect_same(there, expected(*toy.model, branch));
        if (tight) {
            EXPECT_LT(there.cached_tokens, 900U) << "window pages were kept although there was no room for them";
        } else {
            EXPECT_GE(there.cached_tokens, 896U) << "window pages were dropped although there was room for them";
        }
        EXPECT_LE(toy.engine->stats().page_bytes_used, o.kv_bytes);
        expect_same(toy.engine->run(branch), expected(*toy.model, branch));
        EXPECT_EQ(toy.engine->stats().preemptions, 0U);
        expect_no_pages_left(toy);
    }
}

TEST(Engine, RefusesWhatCanNeverWork) {
    Toy toy({}, 100);
    Random random(13, RandomUse::test);
    const auto submit = [&](Request r) { return error_of([&] { toy.engine->submit(std::move(r)); }); };
    EXPECT_EQ(submit(request({}, 5)).kind(), ErrorKind::usage);
    EXPECT_EQ(submit(request({1, 50}, 5)).kind(), ErrorKind::usage);
    EXPECT_EQ(submit(request({1, -1}, 5)).kind(), ErrorKind::usage);
    Error e = submit(request(random_tokens(random, 90), 20));
    EXPECT_EQ(e.kind(), ErrorKind::limit);
    EXPECT_EQ(e.message(), "The prompt has 90 tokens and 20 more are asked for, but the context is 100 tokens.");
    EXPECT_EQ(e.hint(), "Ask for at most 10 tokens.");
    e = submit(request(random_tokens(random, 150), 20));
    EXPECT_EQ(e.hint(), "Shorten the prompt to fewer than 100 tokens.");
    Request bad = request({1}, 5);
    bad.sampler.top_p = 1.5F;
    EXPECT_EQ(submit(bad).kind(), ErrorKind::usage);
    bad = request({1}, 5);
    bad.sampler.logit_bias = {{50, 1.0F}};
    EXPECT_EQ(submit(bad).kind(), ErrorKind::usage);

    EngineOptions small;
    small.kv_bytes = 128 * 2 * 10;
    small.chunk = 16;
    Toy tiny(small);
    EXPECT_LT(tiny.engine->context(), 300);
    const auto longer = static_cast<std::size_t>(tiny.engine->context()) + 1;
    e = error_of([&] { tiny.engine->submit(request(random_tokens(random, longer), 5)); });
    EXPECT_EQ(e.kind(), ErrorKind::limit);
    EXPECT_NE(e.message().find("memory for keys and values"), std::string::npos) << e.message();

    EngineOptions few;
    few.max_queue = 2;
    Toy queue(few);
    queue.engine->submit(request({1}, 2));
    queue.engine->submit(request({1}, 2));
    EXPECT_EQ(error_of([&] { queue.engine->submit(request({1}, 2)); }).kind(), ErrorKind::busy);
    queue.engine->step();
    queue.engine->submit(request({1}, 2));
    queue.engine->drain();

    EngineOptions nothing;
    nothing.kv_bytes = 100;
    EXPECT_EQ(error_of([&] { Toy t(nothing); }).kind(), ErrorKind::out_of_memory);
}

TEST(Engine, AFaultEndsTheRequestsAndNotTheEngine) {
    Toy toy;
    toy.model->on_forward = [] { throw std::runtime_error("broken"); };
    const Outcome o = toy.engine->run(request({1, 2, 3}, 5));
    EXPECT_EQ(o.finish, FinishReason::error);
    ASSERT_TRUE(o.error);
    EXPECT_NE(o.error->message().find("broken"), std::string::npos);
    toy.model->on_forward = nullptr;
    Request r = request({1, 2, 3}, 5);
    r.on_token = [](const SampledToken&) -> bool { throw Error(ErrorKind::io, "the listener is gone"); };
    const Request fine = request({4, 5}, 5);
    std::optional<Outcome> other;
    Request beside = fine;
    beside.on_done = [&](const Outcome& done) { other = done; };
    toy.engine->submit(std::move(beside));
    EXPECT_EQ(toy.engine->run(r).error->message(), "the listener is gone");
    toy.engine->drain();
    ASSERT_TRUE(other);
    expect_same(*other, expected(*toy.model, fine));
    expect_no_pages_left(toy);
}

TEST(Engine, DecodingGoesOnBesideALongPrompt) {
    EngineOptions o;
    o.max_rows_beside_decoding = 16;
    Toy toy(o);
    Random random(14, RandomUse::test);
    int decoded = 0;
    Request r = request(random_tokens(random, 10), 500);
    r.on_token = [&](const SampledToken&) { return ++decoded > 0; };
    toy.engine->submit(std::move(r));
    for (int i = 0; i < 5; ++i) toy.engine->step();
    bool answered = false;
    Request big = request(random_tokens(random, 1000), 1);
    big.on_token = [&](const SampledToken&) { return answered = true; };
    const int before = decoded;
    int steps = 0;
    toy.engine->submit(std::move(big));
    while (!answered) {
        toy.engine->step();
        ++steps;
    }
    EXPECT_EQ(decoded - before, steps);
    EXPECT_GE(steps, 1000 / 16);
    toy.engine->drain();
}

TEST(Engine, ThreadsSubmitAndCancelWhileItRuns) {
    Toy toy;
    toy.engine->start();
    EXPECT_TRUE(toy.engine->started());
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (std::uint32_t n = 0; n < 4; ++n) {
        threads.emplace_back([&, n] {
            Random random(100 + n, RandomUse::test);
            for (int i = 0; i < 15; ++i) {
                Request r = request(random_tokens(random, 1 + random.next() % 80, 3), 20, 0.5F);
                const auto want = expected(*toy.model, r);
                if (i % 4 == 3) {
                    toy.engine->cancel(toy.engine->submit(r));
                    continue;
                }
                const Outcome o = toy.engine->run(r);
                if (o.details.size() != want.size()) ++wrong;
                for (std::size_t k = 0; k < std::min(want.size(), o.details.size()); ++k) {
                    if (o.details[k].logprob != want[k].logprob || o.details[k].token != want[k].token) ++wrong;
                }
                static_cast<void>(toy.engine->stats());
            }
        });
    }
    for (auto& t : threads) t.join();
    toy.engine->stop();
    EXPECT_EQ(wrong, 0);
}

TEST(Engine, ItsEndCancelsWhatIsLeft) {
    int done = 0;
    {
        Toy toy;
        for (int i = 0; i < 40; ++i) {
            Request r = request({1, 2, 3}, 100);
            r.on_done = [&](const Outcome& o) { done += o.finish == FinishReason::cancelled ? 1 : 0; };
            const RequestId id = toy.engine->submit(std::move(r));
            if (i % 7 == 0) toy.engine->park(id);
            if (i == 35) toy.engine->step();
        }
    }
    EXPECT_EQ(done, 40);
}

}  // namespace
}  // namespace freehold
