// Probes: a reader changes no bit, a writer changes its own sequence and no other, every site is visited with its
// shape.
#include <map>
#include <set>

#include "freehold/base/error.h"
#include "golden.h"
#include "test_session.h"

namespace freehold {
namespace {

class Recorder : public Probe {
 public:
    bool wants(SiteRef) const noexcept override { return true; }
    void visit(SiteRef site, std::int32_t position, std::span<float> value) override {
        const std::string path = site_path(site.site, site.layer);
        visits[path].insert(position);
        width[path] = value.size();
        if (path == "0.attn.pattern") {
            double sum = 0;
            for (const float p : value) sum += static_cast<double>(p);
            worst_sum = std::max(worst_sum, std::fabs(sum / heads - 1));
        }
    }
    std::map<std::string, std::set<std::int32_t>> visits;
    std::map<std::string, std::size_t> width;
    double worst_sum = 0, heads = 1;
};

// Multiplies one site of one position.
class Patch : public Probe {
 public:
    Patch(SiteRef at, std::int32_t position, float factor) : at_(at), position_(position), factor_(factor) {}
    bool wants(SiteRef s) const noexcept override { return s.site == at_.site && s.layer == at_.layer; }
    void visit(SiteRef, std::int32_t position, std::span<float> value) override {
        if (position != position_) return;
        for (float& v : value) v *= factor_;
        ++done;
    }
    int done = 0;

 private:
    SiteRef at_;
    std::int32_t position_;
    float factor_;
};

// Two sequences in one batch, the second perhaps with a probe; logits of both, one behind the other.
std::vector<float> together(const Decoder& d, ThreadPool& threads, std::span<const Token> a, std::span<const Token> b,
                            Probe* probe) {
    test::Session first(d, threads), second(d, threads);
    first.reserve(a.size());
    second.reserve(b.size());
    std::vector<Token> tokens(a.begin(), a.end());
    tokens.insert(tokens.end(), b.begin(), b.end());
    std::vector<std::int32_t> positions;
    for (std::size_t i = 0; i < tokens.size(); ++i)
        positions.push_back(static_cast<std::int32_t>(i < a.size() ? i : i - a.size()));
    const std::vector<std::uint8_t> wants(tokens.size(), 1);
    const Segment segments[] = {
        {0, static_cast<std::uint32_t>(a.size()), {&first.table(), nullptr}},
        {static_cast<std::uint32_t>(a.size()), static_cast<std::uint32_t>(b.size()), {&second.table(), probe}}};
    std::vector<float> logits(tokens.size() * static_cast<std::size_t>(d.spec().vocab));
    Arena arena(d.scratch_bytes(tokens.size(), tokens.size()));
    Exec exec{threads, active_kernels(), arena};
    d.forward(exec, {tokens, positions, wants, segments}, logits);
    return logits;
}

bool same(std::span<const float> a, std::span<const float> b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

class Probing : public testing::TestWithParam<const char*> {
 protected:
    ThreadPool threads{2};
    test::Golden golden = test::read_golden(GetParam());
    std::shared_ptr<const Decoder> decoder =
        Decoder::load(ModelFiles::open(test::golden_folder(GetParam())), {Profile::f32, true, {}}, threads);
};

TEST_P(Probing, ReaderSeesEverySiteAndChangesNoBit) {
    const DecoderSpec& s = decoder->spec();
    test::Session plain(*decoder, threads);
    const std::vector<float> want = plain.feed(golden.tokens);
    Recorder recorder;
    recorder.heads = s.n_heads;
    test::Session watched(*decoder, threads);
    watched.probe = &recorder;
    EXPECT_TRUE(same(watched.feed(golden.tokens), want));
    const auto n = static_cast<std::size_t>(s.n_layers);
    const std::map<std::string, std::size_t> shapes{
        {"attn.q", static_cast<std::size_t>(s.n_heads * s.head_dim)},
        {"attn.k", static_cast<std::size_t>(s.layers[0].n_kv_heads * s.head_dim)},
        {"attn.v", static_cast<std::size_t>(s.layers[0].n_kv_heads * s.v_dim)},
        {"attn.pattern", static_cast<std::size_t>(s.n_heads) * golden.tokens.size()},
        {"attn.out", static_cast<std::size_t>(s.d_model)},
        {"mlp.gate", static_cast<std::size_t>(s.d_ff)},
        {"mlp.act", static_cast<std::size_t>(s.d_ff)},
        {"mlp.out", static_cast<std::size_t>(s.d_model)},
        {"resid.pre", static_cast<std::size_t>(s.d_model)},
        {"resid.mid", static_cast<std::size_t>(s.d_model)},
        {"resid.post", static_cast<std::size_t>(s.d_model)},
    };
    for (std::size_t l = 0; l < n; ++l) {
        for (const auto& [site, width] : shapes) {
            const std::string path = std::to_string(l) + "." + site;
            EXPECT_EQ(recorder.visits[path].size(), golden.tokens.size()) << path;
            EXPECT_EQ(recorder.width[path], width) << path;
        }
    }
    for (const char* path : {"embed", "final.norm"})
        EXPECT_EQ(recorder.width[path], static_cast<std::size_t>(s.d_model)) << path;
    EXPECT_EQ(recorder.width["logits"], static_cast<std::size_t>(s.vocab));
    EXPECT_EQ(recorder.visits["logits"].size(), golden.tokens.size());
    EXPECT_EQ(recorder.visits.size(), n * shapes.size() + 3);
    EXPECT_LT(recorder.worst_sum, 1e-5) << "a pattern's rows must be probabilities";
}

TEST_P(Probing, PatchReachesItsOwnSequenceFromItsPositionOnAndNoOther) {
    const std::span<const Token> a = std::span(golden.tokens).first(21), b = std::span(golden.tokens).subspan(7, 30);
    const std::vector<float> want = together(*decoder, threads, a, b, nullptr);
    const auto vocab = static_cast<std::size_t>(decoder->spec().vocab);
    for (const Site site : {Site::embed, Site::attn_q, Site::attn_k, Site::attn_v, Site::attn_pattern, Site::attn_out,
                            Site::mlp_gate, Site::mlp_act, Site::mlp_out, Site::resid_pre, Site::resid_mid,
                            Site::resid_post, Site::final_norm, Site::logits}) {
        const SiteRef at{site, site_path(site, 0).starts_with("0.") ? 0 : -1};
        Patch patch(at, 11, 0.25F);
        const std::vector<float> got = together(*decoder, threads, a, b, &patch);
        const std::string name(site_name(site));
        EXPECT_EQ(patch.done, 1) << name;
        const std::size_t changed = (a.size() + 11) * vocab;
        EXPECT_TRUE(same(std::span(got).first(changed), std::span(want).first(changed))) << name << " leaked";
        EXPECT_GT(test::difference(std::span(got).subspan(changed, vocab), std::span(want).subspan(changed, vocab)),
                  1e-4)
            << name;
    }
}

TEST_P(Probing, SequenceKeepsItsBitsBesideOthers) {
    const std::span<const Token> a = std::span(golden.tokens).first(21), b = std::span(golden.tokens);
    const std::vector<float> both = together(*decoder, threads, a, b, nullptr);
    test::Session alone(*decoder, threads);
    const std::vector<float> want = alone.feed(b);
    EXPECT_TRUE(same(std::span(both).subspan(a.size() * static_cast<std::size_t>(decoder->spec().vocab)), want));
}

TEST_P(Probing, LogprobsAreThoseOfTheLogits) {
    const std::size_t n = golden.tokens.size();
    const auto vocab = static_cast<std::size_t>(decoder->spec().vocab);
    test::Session session(*decoder, threads);
    session.reserve(n);
    std::vector<std::int32_t> positions;
    std::vector<Token> targets(golden.tokens.begin() + 1, golden.tokens.end());
    targets.push_back(kNoTarget);
    for (std::size_t i = 0; i < n; ++i) positions.push_back(static_cast<std::int32_t>(i));
    const Segment segment{0, static_cast<std::uint32_t>(n), {&session.table(), nullptr}};
    std::vector<double> got(n);
    Arena arena(decoder->logprob_scratch_bytes(n));
    Exec exec{threads, active_kernels(), arena};
    decoder->logprobs(exec, {golden.tokens, positions, {}, std::span(&segment, 1)}, targets, got);
    for (std::size_t t = 0; t + 1 < n; ++t) {
        const float* const row = golden.logits.data() + t * vocab;
        double sum = 0;
        for (std::size_t i = 0; i < vocab; ++i) sum += std::exp(static_cast<double>(row[i]));
        EXPECT_NEAR(got[t], static_cast<double>(row[targets[t]]) - std::log(sum), 2e-4) << t;
    }
    EXPECT_EQ(got[n - 1], 0.0);
    targets[0] = static_cast<Token>(vocab);
    EXPECT_THROW(decoder->logprobs(exec, {golden.tokens, positions, {}, std::span(&segment, 1)}, targets, got), Error);
    EXPECT_EQ(arena.mark(), 0U) << "scratch must be given back when a forward ends early";
}

// Changes every pattern too little to matter, so that what attention gives is made again from it.
class Again : public Probe {
 public:
    bool wants(SiteRef s) const noexcept override { return s.site == Site::attn_pattern; }
    void visit(SiteRef, std::int32_t, std::span<float> value) override {
        double sum = 0;
        for (float& p : value) {
            p *= 1.000001F;
            sum += static_cast<double>(p);
        }
        least = std::min(least, sum);
        most = std::max(most, sum);
    }
    double least = 1e9, most = 0;
};

TEST(Pattern, LeavesToSinksTheirShare) {
    ThreadPool threads(2);
    const test::Golden golden = test::read_golden("gpt-oss");
    const auto decoder =
        Decoder::load(ModelFiles::open(test::golden_folder("gpt-oss")), {Profile::f32, true, {}}, threads);
    Again probe;
    test::Session session(*decoder, threads);
    session.probe = &probe;
    EXPECT_LE(test::difference(session.feed(golden.tokens), golden.logits), 1e-4);
    EXPECT_LT(probe.least, 0.9 * decoder->spec().n_heads) << "the sinks have no share";
    EXPECT_LT(probe.most, decoder->spec().n_heads);
}

INSTANTIATE_TEST_SUITE_P(Tiny, Probing, testing::Values("llama", "gemma3-hf", "gpt2"));

}  // namespace
}  // namespace freehold
