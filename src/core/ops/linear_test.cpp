// norm_linear and linear_add: gradients against differences, and the fused forms against their parts, to the bit.
#include "freehold/ops/linear.h"

#include <cstring>

#include "finite_difference.h"

namespace freehold {
namespace {

constexpr NormKind kKinds[] = {NormKind::none, NormKind::rms, NormKind::layer};

TEST(NormLinear, GradientsAreSlopes) {
    for (const NormKind kind : kKinds) {
        test::FiniteDifference fd;
        fd.chains = {{0, 3}, {3, 7}, {7, 8}};
        Norm norm;
        Linear a, b;
        fd.make_norm(norm, kind, 24);
        fd.make_linear(a, 19, 24, true);
        fd.make_linear(b, 5, 24, false);
        fd.input(8, 24);
        fd.check("norm_linear " + std::to_string(static_cast<int>(kind)), [&](Exec& e, std::span<const Mat> in) {
            const Mat y = take_mat(e, 8, 19), z = take_mat(e, 8, 5);
            const LinearOut outs[] = {{&a, y}, {&b, z}};
            norm_linear(e, norm, in[0], outs);
            // Both outputs in one, so that one loss depends on both.
            e.tape->push([y, z](Exec&) {
                for (std::size_t t = 0; t < 8; ++t) {
                    for (std::size_t i = 0; i < 5; ++i) z.g[t * 5 + i] += y.g[t * 19 + i];
                }
            });
            for (std::size_t t = 0; t < 8; ++t) {
                for (std::size_t i = 0; i < 5; ++i) y.v[t * 19 + i] += z.v[t * 5 + i];
            }
            return y;
        });
    }
}

TEST(LinearAdd, GradientsAreSlopes) {
    for (const NormKind kind : kKinds) {
        for (const PostPlace place : {PostPlace::branch, PostPlace::after_add}) {
            test::FiniteDifference fd;
            fd.chains = {{0, 4}, {4, 6}};
            Norm post;
            Linear l;
            fd.make_norm(post, kind, 12);
            fd.make_linear(l, 12, 20, true);
            fd.input(6, 20);
            fd.input(6, 12);
            fd.check("linear_add " + std::to_string(static_cast<int>(kind)), [&](Exec& e, std::span<const Mat> in) {
                linear_add(e, l, in[0], post, place, in[1], {});
                return in[1];
            });
        }
    }
}

// Looks at a site and changes nothing.
class Reader : public Probe {
 public:
    bool wants(SiteRef) const noexcept override { return true; }
    void visit(SiteRef, std::int32_t, std::span<float> value) override { seen += value.size(); }
    std::size_t seen = 0;
};

TEST(LinearAdd, ALookChangesNoBit) {
    test::FiniteDifference fd;
    Arena arena(1 << 20);
    for (const NormKind kind : kKinds) {
        Norm post;
        Linear l;
        fd.make_norm(post, kind, 40);
        fd.make_linear(l, 40, 33, true);
        const Tensor in = fd.random_tensor({3, 33}), x = fd.random_tensor({3, 40});
        Reader reader;
        const Token tokens[3] = {};
        const std::int32_t positions[3] = {0, 1, 2};
        const Segment segment{0, 3, {nullptr, &reader}};
        const Batch batch{tokens, positions, {}, std::span(&segment, 1)};
        const Probes probes(batch);
        std::vector<float> results[2];
        for (const bool look : {false, true}) {
            Exec exec{fd.threads(), active_kernels(), arena};
            const Mat a = take_mat(exec, 3, 33), y = take_mat(exec, 3, 40);
            std::copy_n(in.f32().data(), a.size(), a.v);
            std::copy_n(x.f32().data(), y.size(), y.v);
            linear_add(exec, l, a, post, PostPlace::branch, y, {look ? &probes : nullptr, {Site::attn_out, 0}});
            results[look ? 1 : 0].assign(y.v, y.v + y.size());
            arena.reset(0);
        }
        EXPECT_EQ(reader.seen, 120U);
        EXPECT_EQ(std::memcmp(results[0].data(), results[1].data(), 120 * sizeof(float)), 0);
    }
}

}  // namespace
}  // namespace freehold
