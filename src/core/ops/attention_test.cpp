// rope_store and attend: gradients against differences for every switch, and the forward against the plain definition.
#include "freehold/ops/attention.h"

#include <cstring>
#include <random>

#include "finite_difference.h"

namespace freehold {
namespace {

struct Scene {
    AttentionShape shape;
    RopeTable rope;
    KvLayout layout;
    std::vector<PageTable> tables;
    std::vector<std::vector<float>> memory;
    std::vector<Token> tokens;
    std::vector<std::int32_t> positions;
    std::vector<Segment> segments;
};

// Sequences of these lengths, 4 heads over 2, keys of 6 and values of 5 numbers.
void make(Scene& s, std::initializer_list<std::uint32_t> lengths) {
    s.shape.n_heads = 4;
    s.shape.n_kv_heads = 2;
    s.shape.head_dim = 6;
    s.shape.v_dim = 5;
    s.shape.scale = 0.6F;
    s.rope.n_dims = 4;
    s.rope.frequency = {1.0, 0.3};
    s.layout.groups = {{{0}, 0, 2, 6, 5, KvType::F32}};
    s.layout.group_of_layer = {0};
    s.layout.index_in_group = {0};
    for (const std::uint32_t n : lengths) {
        PageTable table{&s.layout, {{}}};
        for (std::uint32_t at = 0; at < n; at += kPageTokens) {
            s.memory.emplace_back(s.layout.groups[0].page_bytes() / sizeof(float), 0.0F);
            table.pages[0].push_back(reinterpret_cast<std::byte*>(s.memory.back().data()));
        }
        s.segments.push_back({static_cast<std::uint32_t>(s.positions.size()), n, {}});
        for (std::uint32_t i = 0; i < n; ++i) s.positions.push_back(static_cast<std::int32_t>(i));
        s.tables.push_back(std::move(table));
    }
    s.tokens.assign(s.positions.size(), 0);
    for (std::size_t i = 0; i < s.segments.size(); ++i) s.segments[i].seq.pages = &s.tables[i];
}

Mat run(Exec& e, const Scene& s, const AttentionShape& shape, std::span<const Mat> in) {
    const Batch batch{s.tokens, s.positions, {}, s.segments};
    const float* const cs = shape.rope == nullptr ? nullptr : rope_rows(e, *shape.rope, s.positions);
    const Look looks[3] = {};
    rope_store(e, batch, shape, {0, 0}, cs, in[0], in[1], in[2], looks);
    const Mat out = take_mat(e, s.positions.size(), 20);
    attend(e, batch, shape, {0, 0}, in[0], in[1], in[2], out, {});
    return out;
}

struct Variant {
    const char* name;
    int window = 0;
    float softcap = 0, clamp = 0;
    bool rope = false, interleaved = false, causal = true;
    NormKind norm = NormKind::none;
    bool whole = false, slopes = false, sinks = false;
};

TEST(Attention, GradientsAreSlopes) {
    for (const Variant& v :
         {Variant{"plain"}, Variant{"window", 5}, Variant{"softcap", 0, 1.5F}, Variant{"clamp", 0, 0, 0.8F},
          Variant{"rotated", 0, 0, 0, true}, Variant{"rotated in pairs", 0, 0, 0, true, true},
          Variant{"both ways", 0, 0, 0, false, false, false},
          Variant{"norm per head", 4, 0, 0, true, false, true, NormKind::rms},
          Variant{"layer norm per head", 0, 0, 0, true, false, true, NormKind::layer},
          Variant{"norm over the width", 0, 2.0F, 0, true, true, true, NormKind::rms, true},
          Variant{"slopes", 7, 0, 0, false, false, true, NormKind::none, false, true},
          Variant{"sinks", 0, 0, 0, true, false, true, NormKind::none, false, false, true},
          Variant{"sinks and windows", 5, 1.5F, 0, false, false, true, NormKind::none, false, false, true}}) {
        test::FiniteDifference fd;
        fd.chains = {{0, 37}, {37, 43}};
        Scene s;
        make(s, {37, 6});
        AttentionShape shape = s.shape;
        shape.window = v.window;
        shape.softcap = v.softcap;
        shape.clamp = v.clamp;
        shape.causal = v.causal;
        constexpr float kSlopes[] = {0.5F, 0.25F, 0.125F, 0.0625F};
        if (v.slopes) shape.slopes = kSlopes;
        const Tensor sinks = fd.random_tensor({4});
        if (v.sinks) {
            shape.sinks = sinks.f32().data();
            shape.sinks_id = fd.parameter(sinks);
        }
        s.rope.interleaved = v.interleaved;
        if (v.rope) shape.rope = &s.rope;
        Norm q_norm, k_norm;
        shape.norm_whole_width = v.whole;
        if (v.norm != NormKind::none) {
            fd.make_norm(q_norm, v.norm, v.whole ? 24 : 6);
            fd.make_norm(k_norm, v.norm, v.whole ? 12 : 6);
            shape.q_norm = &q_norm;
            shape.k_norm = &k_norm;
        }
        fd.input(43, 24);
        fd.input(43, 12);
        fd.input(43, 10);
        fd.check(
            v.name, [&](Exec& e, std::span<const Mat> in) { return run(e, s, shape, in); }, v.clamp > 0 ? 6e-2 : 2e-2);
    }
}

TEST(Attention, IsTheSoftmaxOfScoresTimesValues) {
    test::FiniteDifference fd;
    Scene s;
    make(s, {40});
    s.shape.window = 9;
    s.shape.softcap = 3;
    constexpr float kSinks[] = {0.5F, -1.0F, 2.0F, 60.0F};
    s.shape.sinks = kSinks;
    Arena arena(4 << 20);
    Exec exec{fd.threads(), active_kernels(), arena};
    Mat in[3] = {take_mat(exec, 40, 24), take_mat(exec, 40, 12), take_mat(exec, 40, 10)};
    for (Mat& m : in) {
        const Tensor t = fd.random_tensor({40, static_cast<std::int64_t>(m.cols)}, 2.0F);
        std::copy_n(t.f32().data(), m.size(), m.v);
    }
    const Mat out = run(exec, s, s.shape, in);
    for (int t = 0; t < 40; ++t) {
        for (int h = 0; h < 4; ++h) {
            double sum = std::exp(static_cast<double>(kSinks[h])), want[5] = {};
            for (int j = std::max(0, t - 8); j <= t; ++j) {
                double score = 0;
                for (int d = 0; d < 6; ++d) {
                    score += static_cast<double>(in[0].v[t * 24 + h * 6 + d]) *
                             static_cast<double>(in[1].v[j * 12 + h / 2 * 6 + d]);
                }
                const double p = std::exp(3 * std::tanh(score * static_cast<double>(s.shape.scale) / 3));
                sum += p;
                for (int d = 0; d < 5; ++d) want[d] += p * static_cast<double>(in[2].v[j * 10 + h / 2 * 5 + d]);
            }
            for (int d = 0; d < 5; ++d) {
                EXPECT_NEAR(static_cast<double>(out.v[t * 20 + h * 5 + d]), want[d] / sum, 1e-5)
                    << "row " << t << " head " << h;
            }
        }
    }
}

// Few rows over many keys are split by spans and by query rows; one thread takes the plain path, whose bits they keep.
TEST(Attention, SplitOverThreadsGivesTheSameBits) {
    struct Rows {
        std::int32_t first;  // position
        std::uint32_t n;
    };
    const std::vector<std::vector<Rows>> batches = {
        {{3300, 1}}, {{600, 1}}, {{1023, 3}}, {{2040, 70}}, {{9000, 1}, {30, 2}, {2047, 1}}};
    std::mt19937 random(11);
    std::normal_distribution<float> normal;
    struct Heads {
        int n_kv, dim;
        bool v_in_k;
    };
    for (const auto& [n_kv, dim, v_in_k] : {Heads{1, 6, false}, Heads{3, 6, false}, Heads{1, 25, true}}) {
        AttentionShape shape;
        shape.n_heads = 3 * n_kv;
        shape.n_kv_heads = n_kv;
        shape.head_dim = dim;
        shape.v_dim = 21;
        shape.v_in_k = v_in_k;
        shape.scale = v_in_k ? 0.4F : 0.9F;
        KvLayout layout;
        layout.groups = {{{0}, 0, n_kv, dim, 21, KvType::F32, v_in_k}};
        layout.group_of_layer = {0};
        layout.index_in_group = {0};
        // One page of each sequence in 40 serves in turn: what matters is that keys differ, not that none repeats.
        std::vector<std::vector<float>> memory(40);
        for (auto& page : memory) {
            page.resize(layout.groups[0].page_bytes() / sizeof(float));
            for (float& x : page) x = normal(random);
        }
        for (const auto& rows : batches) {
            std::vector<PageTable> tables(rows.size(), PageTable{&layout, {{}}});
            std::vector<std::int32_t> positions;
            std::vector<Segment> segments;
            for (std::size_t i = 0; i < rows.size(); ++i) {
                const auto end = static_cast<std::size_t>(rows[i].first) + rows[i].n;
                for (std::size_t at = 0; at < end; at += kPageTokens)
                    tables[i].pages[0].push_back(reinterpret_cast<std::byte*>(memory[random() % 40].data()));
                segments.push_back({static_cast<std::uint32_t>(positions.size()), rows[i].n, {}});
                segments.back().seq.pages = &tables[i];
                for (std::uint32_t t = 0; t < rows[i].n; ++t)
                    positions.push_back(rows[i].first + static_cast<std::int32_t>(t));
            }
            const std::vector<Token> tokens(positions.size(), 0);
            const Batch batch{tokens, positions, {}, segments};
            std::vector<float> q_values(positions.size() * static_cast<std::size_t>(shape.n_heads * shape.head_dim));
            for (float& x : q_values) x = normal(random);
            const Mat q{q_values.data(), nullptr, positions.size(), q_values.size() / positions.size()};
            for (const int window : {0, 1100, 40}) {
                shape.window = window;
                shape.softcap = window == 40 ? 2.0F : 0.0F;
                shape.causal = window != 1100;
                const std::vector<float> slopes(static_cast<std::size_t>(shape.n_heads), 0.02F);
                shape.slopes = window == 0 ? slopes.data() : nullptr;
                const std::vector<float> sinks{1.0F, -3.0F, 4.0F, 0.0F, 7.0F, 2.0F, -1.0F, 3.0F, 90.0F};
                shape.sinks = window == 40 ? nullptr : sinks.data();
                const auto attended = [&](int n_threads) {
                    ThreadPool threads(n_threads);
                    Arena arena(attend_scratch(positions.size(), shape, n_threads));
                    Exec exec{threads, active_kernels(), arena};
                    std::vector<float> out(positions.size() * static_cast<std::size_t>(shape.n_heads) * 21, 777.0F);
                    attend(exec, batch, shape, {0, 0}, q, {}, {},
                           {out.data(), nullptr, positions.size(), out.size() / positions.size()}, {});
                    return out;
                };
                const std::vector<float> want = attended(1);
                for (const int n_threads : {2, 3, 4, 7, 16}) {
                    const std::vector<float> got = attended(n_threads);
                    EXPECT_EQ(std::memcmp(got.data(), want.data(), want.size() * sizeof(float)), 0)
                        << n_threads << " threads, " << shape.n_kv_heads << " KV heads, window " << window
                        << ", first row at " << rows[0].first;
                }
            }
        }
    }
}

}  // namespace
}  // namespace freehold
