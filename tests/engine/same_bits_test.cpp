// Law 4 on real files: tokens and log-probabilities are equal, bit for bit, alone and beside others, with any number of
// threads, any chunks, pages in any order, with the prefix from the cache, by the scalar kernels and the fastest.
// Real files come from FREEHOLD_TEST_MODELS; FREEHOLD_LONG=1 runs every case at full length.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "freehold/base/file.h"
#include "freehold/base/random.h"
#include "freehold/engine/engine.h"

namespace freehold {
namespace {

bool long_run() {
    return std::getenv("FREEHOLD_LONG") != nullptr;
}

std::filesystem::path model_path(const std::string& name) {
    if (name == "stories260K") return std::filesystem::path(FREEHOLD_TEST_DATA) / "stories260K" / "stories260K.bin";
    const char* folder = std::getenv("FREEHOLD_TEST_MODELS");
    return folder == nullptr ? std::filesystem::path() : std::filesystem::path(folder) / (name + ".gguf");
}

// What must not change.
struct Bits {
    std::vector<Token> tokens;
    std::vector<float> logprobs;
    std::vector<std::vector<TokenLogprob>> alternatives;
    std::vector<TokenLogprob> prompt;
    friend bool operator==(const Bits&, const Bits&) = default;
};

struct Setting {
    std::string name;
    int threads = 2;
    const Kernels* kernels = &active_kernels();
    EngineOptions options;
    bool beside_others = false;
    bool hit = false;
    int answer = 12;  // tokens
};

class SameBits : public testing::TestWithParam<std::tuple<std::string, KvType>> {
 protected:
    void SetUp() override {
        const auto& [name, kv] = GetParam();
        const std::filesystem::path path = model_path(name);
        if (path.empty() || !std::filesystem::exists(path)) {
            GTEST_SKIP() << "There is no " << name << " here: set FREEHOLD_TEST_MODELS to a folder with " << name
                         << ".gguf (./test fetches it).";
        }
        LoadedModelOptions options;
        options.kv = kv;
        model_ = host(2, active_kernels()).load(path, options);
        const std::string text = read_text(std::filesystem::path(FREEHOLD_SOURCE_DIR) / "LICENSE");
        text_ = model_->need_tokenizer().encode(text);
        std::cout << "[ " << name << " ] profile " << profile_name(model_->decoder()->profile()) << ", KV "
                  << kv_name(kv) << ", kernels " << active_kernels().name << "\n";
        // A fall-back to slower kernels would make the comparison say less than it seems to.
        if (std::getenv("FREEHOLD_ISA") == nullptr) {
            EXPECT_EQ(&active_kernels(), available_kernels().back());
        }
    }

    Host& host(int threads, const Kernels& kernels) {
        for (const auto& h : hosts_) {
            if (h->threads().size() == threads && &h->kernels() == &kernels) return *h;
        }
        HostOptions options;
        options.threads = threads;
        options.kernels = &kernels;
        return *hosts_.emplace_back(std::make_unique<Host>(options));
    }

    std::vector<Token> prompt(std::size_t n) const {
        const auto context = static_cast<std::size_t>(model_->decoder()->spec().context);
        return {text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(std::min({n, context - 40, text_.size()}))};
    }

    Bits run(const Setting& s, std::size_t n_prompt) {
        EngineOptions options = s.options;
        options.kv_bytes = std::uint64_t{768} << 20U;
        Engine engine(host(s.threads, *s.kernels), model_, options);
        Request r;
        r.prompt = prompt(n_prompt);
        r.max_tokens = s.answer;
        r.sampler.temperature = 0.9F;
        r.sampler.top_p = 0.97F;
        r.sampler.seed = 42;
        if (s.hit) {
            Request first = r;
            first.sampler.seed = 1;
            first.max_tokens = 3;
            engine.run(first);
        }
        r.logprobs = 3;
        r.prompt_logprobs_from = static_cast<int>(r.prompt.size()) - 8;
        if (s.beside_others) {
            Random random(9, RandomUse::test);
            for (int i = 0; i < 15; ++i) {
                Request other;
                const std::size_t from = random.next() % 500;
                const std::size_t n = 10 + random.next() % 100;
                // Half of them share its beginning.
                other.prompt = prompt(i % 2 == 0 ? n : from + n);
                if (i % 2 == 1)
                    other.prompt.erase(
                        other.prompt.begin(),
                        other.prompt.begin() + static_cast<std::ptrdiff_t>(std::min(from, other.prompt.size() - 1)));
                other.max_tokens = 5 + i;
                other.sampler.temperature = 1;
                other.sampler.seed = static_cast<std::uint64_t>(i);
                engine.submit(std::move(other));
            }
            for (int i = 0; i < 2; ++i) engine.step();
        }
        const Outcome o = engine.run(r);
        EXPECT_FALSE(o.error) << o.error->message();
        if (s.hit) {
            EXPECT_EQ(o.cached_tokens, r.prompt.size() - 9);
        }
        if (!s.hit && !s.beside_others) {
            EXPECT_EQ(o.cached_tokens, 0U);
        }
        Bits bits;
        bits.tokens = o.tokens;
        for (const SampledToken& t : o.details) {
            bits.logprobs.push_back(t.logprob);
            bits.alternatives.push_back(t.alternatives);
        }
        bits.prompt = o.prompt_logprobs;
        EXPECT_EQ(bits.prompt.size(), 8U);
        return bits;
    }

    static Setting with_chunk(int chunk) {
        Setting s;
        s.name = "chunks of " + std::to_string(chunk);
        s.options.chunk = chunk;
        return s;
    }

    std::vector<std::unique_ptr<Host>> hosts_;  // outlive the model
    std::shared_ptr<const LoadedModel> model_;
    std::vector<Token> text_;
};

TEST_P(SameBits, HoweverItIsRun) {
    // The KV type that serves is always tried at full length.
    const std::size_t n = long_run() || std::get<1>(GetParam()) == KvType::F16 ? 1500 : 300;
    const Bits want = run(with_chunk(512), n);
    ASSERT_FALSE(want.tokens.empty());
    std::vector<Setting> settings;
    for (const int threads : {1, 3}) {
        Setting s;
        s.name = std::to_string(threads) + " threads";
        s.threads = threads;
        settings.push_back(s);
    }
    settings.push_back(with_chunk(64));
    settings.push_back(with_chunk(7));
    if (long_run()) settings.push_back(with_chunk(1));
    Setting s;
    s.name = "pages in random order";
    s.options.shuffle_pages = 77;
    s.options.chunk = 100;
    settings.push_back(s);
    s = {};
    s.name = "prefix from the cache";
    s.hit = true;
    settings.push_back(s);
    s = {};
    s.name = "beside 15 others";
    s.beside_others = true;
    settings.push_back(s);
    s.name = "beside 15 others, three threads, random pages, small steps";
    s.threads = 3;
    s.options.shuffle_pages = 78;
    s.options.max_rows = 96;
    settings.push_back(s);
    for (const int ahead : {0, 7}) {
        s = {};
        s.name = std::to_string(ahead) + " tokens guessed ahead";
        s.options.draft_tokens = ahead;
        settings.push_back(s);
    }
    for (const Setting& setting : settings) EXPECT_EQ(run(setting, n), want) << setting.name;
}

// What 16 requests hold for 1,000 tokens that they share, against what one holds for them.
TEST_P(SameBits, SixteenShareTheMemoryOfOne) {
    EngineOptions o;
    o.kv_bytes = std::uint64_t{768} << 20U;
    o.max_sequences = 16;
    const std::vector<Token> shared = prompt(1000);
    const auto used = [&](int n) {
        Engine engine(host(2, active_kernels()), model_, o);
        for (int i = 0; i < n; ++i) {
            Request r;
            r.prompt = shared;
            r.prompt.push_back(i + 5);
            r.max_tokens = 30;
            engine.submit(std::move(r));
        }
        while (engine.stats().decoded_tokens < static_cast<std::uint64_t>(2 * n)) engine.step();
        EXPECT_EQ(engine.stats().running, n);
        return engine.stats().page_bytes_used;
    };
    std::uint64_t page = 0;  // in every group
    for (const KvGroup& g : model_->decoder()->kv_layout(model_->kv()).groups) page += g.page_bytes();
    // The end of its prompt and its answer lie in at most two pages of its own.
    const std::uint64_t one = used(1), sixteen = used(16);
    std::cout << "[ sharing ] one " << one << " bytes, sixteen " << sixteen << ", a page " << page << "\n";
    ASSERT_GT(sixteen, 15 * page);
    EXPECT_LT(static_cast<double>(sixteen - 16 * 2 * page), 1.2 * static_cast<double>(one - 2 * page));
}

TEST_P(SameBits, TokenByToken) {
    const std::size_t n = 60;
    EXPECT_EQ(run(with_chunk(1), n), run(with_chunk(512), n));
}

TEST_P(SameBits, EveryInstructionSet) {
    const bool small = std::get<0>(GetParam()) == "stories260K";
    const std::size_t n = long_run() || small ? 1500 : 16;
    Setting fastest = with_chunk(512);
    fastest.answer = long_run() || small ? 12 : 3;
    const Bits want = run(fastest, n);
    for (const Kernels* kernels : available_kernels()) {
        if (kernels == &active_kernels()) continue;
        Setting s = fastest;
        s.kernels = kernels;
        std::cout << "[ kernels ] " << kernels->name << " against " << active_kernels().name << ", " << n
                  << " tokens\n";
        EXPECT_EQ(run(s, n), want) << kernels->name;
    }
}

INSTANTIATE_TEST_SUITE_P(Models, SameBits,
                         testing::Combine(testing::Values("stories260K", "smollm2", "gemma3"),
                                          testing::Values(KvType::F32, KvType::F16, KvType::Q8_0)),
                         [](const auto& param) {
                             return std::get<0>(param.param) + "_" + kv_name(std::get<1>(param.param));
                         });

}  // namespace
}  // namespace freehold
