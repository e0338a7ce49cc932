// Adapters through the engine: requests with different ones share steps and keep their bits, and no prefix crosses from
// one to another.
#include "freehold/engine/loaded_adapter.h"

#include <gtest/gtest.h>

#include "freehold/base/error.h"

namespace freehold {
namespace {

std::string golden(const std::string& rest) {
    return std::string(FREEHOLD_SOURCE_DIR) + "/tests/golden/" + rest;
}

struct Tiny {
    explicit Tiny(int threads = 2) : host(HostOptions{threads, std::uint64_t{1} << 30, nullptr}) {
        model = host.load(golden("models/llama/llama.gguf"));
        adapters = {nullptr, load_adapter(host, model, golden("adapters/llama")),
                    load_adapter(host, model, golden("adapters/llama-some/adapter.gguf"))};
    }
    Host host;
    std::shared_ptr<const LoadedModel> model;
    std::vector<std::shared_ptr<const LoadedAdapter>> adapters;
};

Request request(const std::shared_ptr<const LoadedAdapter>& adapter, int seed) {
    Request r;
    for (int i = 0; i < 24; ++i) r.prompt.push_back((i * 7 + 3) % 96);
    r.max_tokens = 12;
    r.logprobs = 0;
    r.sampler.temperature = 1.0F;
    r.sampler.seed = static_cast<std::uint64_t>(seed);
    use_adapter(r, adapter);
    return r;
}

TEST(EngineAdapters, ShareStepsAndKeepTheirBits) {
    std::vector<std::vector<float>> want;
    std::vector<std::vector<Token>> tokens;
    {
        Tiny tiny(1);
        for (int i = 0; i < 9; ++i) {
            Engine alone(tiny.host, tiny.model);
            const Outcome o = alone.run(request(tiny.adapters[static_cast<std::size_t>(i) % 3], i));
            want.emplace_back();
            for (const SampledToken& t : o.details) want.back().push_back(t.logprob);
            tokens.push_back(o.tokens);
        }
    }
    EXPECT_NE(want[0], want[1]);
    EXPECT_NE(want[1], want[2]);
    for (const int threads : {1, 2, 3}) {
        for (const int chunk : {5, 512}) {
            Tiny tiny(threads);
            EngineOptions options;
            options.chunk = chunk;
            Engine engine(tiny.host, tiny.model, options);
            std::vector<Outcome> got(9);
            for (int i = 0; i < 9; ++i) {
                Request r = request(tiny.adapters[static_cast<std::size_t>(i) % 3], i);
                r.on_done = [&got, i](const Outcome& o) { got[static_cast<std::size_t>(i)] = o; };
                engine.submit(std::move(r));
            }
            engine.drain();
            for (std::size_t i = 0; i < 9; ++i) {
                std::vector<float> logprobs;
                for (const SampledToken& t : got[i].details) logprobs.push_back(t.logprob);
                EXPECT_EQ(got[i].tokens, tokens[i]) << i;
                EXPECT_EQ(logprobs, want[i]) << i << ", " << threads << " threads, chunks of " << chunk;
            }
        }
    }
}

TEST(EngineAdapters, APrefixBelongsToItsAdapter) {
    Tiny tiny;
    Engine engine(tiny.host, tiny.model);
    const auto cached = [&](std::size_t which) { return engine.run(request(tiny.adapters[which], 1)).cached_tokens; };
    for (const std::size_t which : {0, 1, 2}) EXPECT_EQ(cached(which), 0U) << "keys of another adapter were taken";
    for (const std::size_t which : {0, 1, 2}) EXPECT_GT(cached(which), 0U) << "its own keys were not found again";
}

TEST(EngineAdapters, AreCountedAndSharedByIdentity) {
    Tiny tiny;
    const std::uint64_t before = tiny.host.memory().used();
    auto once = load_adapter(tiny.host, tiny.model, golden("adapters/llama"), "notes:latest", "sha256:feed");
    EXPECT_GE(tiny.host.memory().used(), before + once->bytes);
    EXPECT_EQ(once->digest, tiny.adapters[1]->digest) << "the same bytes are the same adapter";
    EXPECT_NE(tiny.adapters[1]->digest, tiny.adapters[2]->digest);
    EXPECT_EQ(once->name, "notes:latest");
    once.reset();
    EXPECT_EQ(tiny.host.memory().used(), before);
}

TEST(EngineAdapters, AreRefusedHalfNamed) {
    Tiny tiny;
    Engine engine(tiny.host, tiny.model);
    Request r = request(tiny.adapters[1], 1);
    r.adapter.clear();
    EXPECT_THROW(engine.submit(std::move(r)), Error);
    Request other = request(nullptr, 1);
    other.adapter = "notes";
    EXPECT_NO_THROW(engine.run(request(nullptr, 1)));
    EXPECT_THROW(engine.submit(std::move(other)), Error);
}

TEST(AdaptedName, IsCutAtTheLastPlus) {
    EXPECT_EQ(split_adapted("smollm2:135m+notes").model, "smollm2:135m");
    EXPECT_EQ(split_adapted("smollm2:135m+notes").adapter, "notes");
    EXPECT_EQ(split_adapted("a+b+c").model, "a+b");
    for (const char* whole : {"smollm2", "+notes", "smollm2+", ""}) {
        EXPECT_EQ(split_adapted(whole).model, whole);
        EXPECT_TRUE(split_adapted(whole).adapter.empty());
    }
}

}  // namespace
}  // namespace freehold
