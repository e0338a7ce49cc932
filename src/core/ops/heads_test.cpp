// Latent attention from its parts: against keys and values of every head made whole, and its gradients against
// differences.
#include "freehold/ops/heads.h"

#include <cmath>

#include "finite_difference.h"
#include "freehold/ops/attention.h"

namespace freehold {
namespace {

constexpr std::size_t kHeads = 3, kRank = 7, kNope = 4, kRope = 2, kValues = 5, kWide = kRank + kRope;

struct Scene {
    AttentionShape shape;
    RopeTable rope{{0.4}, 2, true, 1.0};
    KvLayout layout;
    std::vector<PageTable> tables;
    std::vector<std::vector<float>> memory;
    std::vector<Token> tokens;
    std::vector<std::int32_t> positions;
    std::vector<Segment> segments;
    std::vector<Linear> k_b{kHeads}, v_b{kHeads};
};

void make(Scene& s, test::FiniteDifference& fd, std::initializer_list<std::uint32_t> lengths) {
    s.shape.n_heads = kHeads;
    s.shape.n_kv_heads = 1;
    s.shape.head_dim = kWide;
    s.shape.v_dim = kRank;
    s.shape.scale = 0.5F;
    s.shape.rope = &s.rope;
    s.shape.rope_at = kRank;
    s.shape.v_in_k = true;
    s.layout.groups = {{{0}, 0, 1, kWide, kRank, KvType::F32, true}};
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
    for (std::size_t h = 0; h < kHeads; ++h) {
        fd.make_linear(s.k_b[h], kRank, kNope, false);
        fd.make_linear(s.v_b[h], kValues, kRank, false);
    }
}

// in: queries [heads][nope | rope], latents, rotated keys.
Mat run(Exec& e, const Scene& s, std::span<const Mat> in) {
    const Batch batch{s.tokens, s.positions, {}, s.segments};
    const std::size_t rows = s.positions.size();
    const float* const cs = rope_rows(e, s.rope, s.positions);
    const Mat q = take_mat(e, rows, kHeads * kWide), k = take_mat(e, rows, kWide),
              seen = take_mat(e, rows, kHeads * kRank), out = take_mat(e, rows, kHeads * kValues);
    head_linear(e, s.k_b, {in[0], kNope + kRope, 0}, {q, kWide, 0});
    copy_heads(e, kHeads, kRope, {in[0], kNope + kRope, kNope}, {q, kWide, kRank});
    copy_heads(e, 1, kRank, {in[1], kRank, 0}, {k, kWide, 0});
    copy_heads(e, 1, kRope, {in[2], kRope, 0}, {k, kWide, kRank});
    const Look looks[3] = {};
    rope_store(e, batch, s.shape, {0, 0}, cs, q, k, {}, looks);
    attend(e, batch, s.shape, {0, 0}, q, k, {}, seen, {});
    head_linear(e, s.v_b, {seen, kRank, 0}, {out, kValues, 0});
    return out;
}

TEST(LatentAttention, GradientsAreSlopes) {
    test::FiniteDifference fd;
    fd.chains = {{0, 37}, {37, 43}};
    Scene s;
    make(s, fd, {37, 6});
    fd.input(43, kHeads * (kNope + kRope));
    fd.input(43, kRank);
    fd.input(43, kRope);
    fd.check("latent attention", [&](Exec& e, std::span<const Mat> in) { return run(e, s, in); });
}

TEST(LatentAttention, IsAttentionOverKeysAndValuesMadeWhole) {
    test::FiniteDifference fd;
    Scene s;
    make(s, fd, {40});
    Arena arena(4 << 20);
    Exec exec{fd.threads(), active_kernels(), arena};
    Mat in[3] = {take_mat(exec, 40, kHeads * (kNope + kRope)), take_mat(exec, 40, kRank), take_mat(exec, 40, kRope)};
    for (Mat& m : in) {
        const Tensor t = fd.random_tensor({40, static_cast<std::int64_t>(m.cols)}, 1.5F);
        std::copy_n(t.f32().data(), m.size(), m.v);
    }
    const Mat out = run(exec, s, in);
    const auto number = [](const Linear& l, std::size_t o, std::size_t i) {
        return static_cast<double>(l.w.tensor().f32()[o * l.n_in() + i]);
    };
    const auto turned = [&](const float* pair, int position, double& a, double& b) {
        const double angle = 0.4 * position, x = static_cast<double>(pair[0]), y = static_cast<double>(pair[1]);
        a = x * std::cos(angle) - y * std::sin(angle);
        b = x * std::sin(angle) + y * std::cos(angle);
    };
    for (int t = 0; t < 40; ++t) {
        for (std::size_t h = 0; h < kHeads; ++h) {
            const float* const q = in[0].row(static_cast<std::size_t>(t)) + h * (kNope + kRope);
            double sum = 0, want[kValues] = {}, q0 = 0, q1 = 0;
            turned(q + kNope, t, q0, q1);
            for (int j = 0; j <= t; ++j) {
                const float* const latent = in[1].row(static_cast<std::size_t>(j));
                double k0 = 0, k1 = 0;
                turned(in[2].row(static_cast<std::size_t>(j)), j, k0, k1);
                double score = q0 * k0 + q1 * k1;
                for (std::size_t i = 0; i < kNope; ++i) {
                    double key = 0;
                    for (std::size_t c = 0; c < kRank; ++c)
                        key += number(s.k_b[h], c, i) * static_cast<double>(latent[c]);
                    score += static_cast<double>(q[i]) * key;
                }
                const double p = std::exp(0.5 * score);
                sum += p;
                for (std::size_t d = 0; d < kValues; ++d) {
                    for (std::size_t c = 0; c < kRank; ++c)
                        want[d] += p * number(s.v_b[h], d, c) * static_cast<double>(latent[c]);
                }
            }
            for (std::size_t d = 0; d < kValues; ++d) {
                EXPECT_NEAR(static_cast<double>(out.row(static_cast<std::size_t>(t))[h * kValues + d]), want[d] / sum,
                            2e-5)
                    << "row " << t << " head " << h;
            }
        }
    }
}

// The cache of a token and layer is the latent and the rotated key, once.
TEST(LatentAttention, CacheHoldsTheLatentOnce) {
    KvLayout layout;
    layout.groups = {{{0, 1, 2}, 0, 1, 576, 512, KvType::F16, true}};
    EXPECT_EQ(layout.bytes_per_token(), 3U * 576 * 2);
    layout.groups[0].type = KvType::F32;
    EXPECT_EQ(layout.bytes_per_token(), 3U * 576 * 4);
    layout.groups[0].type = KvType::Q8_0;
    EXPECT_EQ(layout.bytes_per_token(), 3U * (576 + 576 / 32 * 2));
}

}  // namespace
}  // namespace freehold
