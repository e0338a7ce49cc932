// Adapters of low rank: gradients against differences, the sum against its definition, and equal bits whoever else is
// in the batch and however many turns the rows take.
#include "freehold/ops/adapter.h"

#include <cstring>

#include "finite_difference.h"

namespace freehold {
namespace {

void make_pair(test::FiniteDifference& fd, LowRank& p, std::int64_t out, std::int64_t in, std::int64_t rank) {
    const Tensor a = fd.random_tensor({rank, in}, 0.3F), b = fd.random_tensor({out, rank}, 0.3F);
    p.a = Weight(a, Profile::f32, true, fd.threads());
    p.b = Weight(b, Profile::f32, true, fd.threads());
    p.scale = 0.75F;
    p.a_id = fd.parameter(a, [&fd, &p] { p.a.renew(fd.threads()); });
    p.b_id = fd.parameter(b, [&fd, &p] { p.b.renew(fd.threads()); });
}

Segment rows_of(std::uint32_t first, std::uint32_t n, const Adapter* adapter) {
    return {first, n, {nullptr, nullptr, adapter}};
}

// Two rows without, then six with: as a reference run beside a tuned one.
struct Mixed {
    explicit Mixed(const Adapter& adapter) : segments{rows_of(0, 2, nullptr), rows_of(2, 6, &adapter)} {}
    std::vector<Segment> segments;
    [[nodiscard]] Batch batch() const { return {{}, {}, {}, segments}; }
};

TEST(AdapterGradients, OfNormLinearAreSlopes) {
    for (const NormKind kind : {NormKind::none, NormKind::rms}) {
        test::FiniteDifference fd;
        fd.chains = {{0, 2}, {2, 5}, {5, 8}};
        Norm norm;
        Linear l;
        fd.make_norm(norm, kind, 24);
        fd.make_linear(l, 19, 24, true);
        l.place = 0;
        // The pair lives in an adapter that shares its tensors; renewing goes through the pair, so the adapter is made
        // anew in each forward.
        LowRank pair;
        make_pair(fd, pair, 19, 24, 3);
        fd.input(8, 24);
        std::vector<std::unique_ptr<Adapter>> made;
        fd.check("norm_linear with an adapter", [&](Exec& e, std::span<const Mat> in) {
            made.push_back(std::make_unique<Adapter>(std::vector<LowRank>{pair}, nullptr));
            const Mixed mixed(*made.back());
            const Batch batch = mixed.batch();
            const Adapters adapters(batch);
            const Mat y = take_mat(e, 8, 19);
            const LinearOut outs[] = {{&l, y}};
            norm_linear(e, norm, in[0], outs, &adapters);
            return y;
        });
    }
}

TEST(AdapterGradients, OfLinearAddAreSlopes) {
    for (const NormKind kind : {NormKind::none, NormKind::rms, NormKind::layer}) {
        for (const PostPlace place : {PostPlace::branch, PostPlace::after_add}) {
            test::FiniteDifference fd;
            fd.chains = {{0, 4}, {4, 8}};
            Norm post;
            Linear l;
            fd.make_norm(post, kind, 12);
            fd.make_linear(l, 12, 20, true);
            l.place = 0;
            LowRank pair;
            make_pair(fd, pair, 12, 20, 5);
            fd.input(8, 20);
            fd.input(8, 12);
            std::vector<std::unique_ptr<Adapter>> made;
            fd.check("linear_add with an adapter", [&](Exec& e, std::span<const Mat> in) {
                made.push_back(std::make_unique<Adapter>(std::vector<LowRank>{pair}, nullptr));
                const Mixed mixed(*made.back());
                const Batch batch = mixed.batch();
                const Adapters adapters(batch);
                linear_add(e, l, in[0], post, place, in[1], {}, &adapters);
                return in[1];
            });
        }
    }
}

constexpr std::size_t kIn = 33, kOut = 40;

struct Served {
    explicit Served(test::FiniteDifference& fd, std::int64_t rank) {
        fd.make_linear(linear, kOut, kIn, true);
        linear.place = 0;
        std::vector<LowRank> pairs(1);
        a = fd.random_tensor({rank, kIn}, 0.2F);
        b = fd.random_tensor({kOut, rank}, 0.2F);
        pairs[0].a = Weight(a, Profile::f32, true, fd.threads());
        pairs[0].b = Weight(b, Profile::f32, true, fd.threads());
        pairs[0].scale = 1.5F;
        adapter = std::make_unique<Adapter>(std::move(pairs), nullptr);
    }
    Linear linear;
    Tensor a, b;
    std::unique_ptr<Adapter> adapter;
};

std::vector<float> through(const Linear& linear, const Tensor& x, std::vector<Segment> segments, int n_threads,
                           const Kernels& kernels) {
    ThreadPool threads(n_threads);
    Arena arena(std::size_t{8} << 20);
    Exec exec{threads, kernels, arena};
    const auto rows = static_cast<std::size_t>(x.shape()[0]);
    Mat in = take_mat(exec, rows, kIn), y = take_mat(exec, rows, kOut);
    std::copy_n(x.f32().data(), in.size(), in.v);
    const Batch batch{{}, {}, {}, segments};
    const Adapters adapters(batch);
    const LinearOut outs[] = {{&linear, y}};
    norm_linear(exec, {}, in, outs, Adapters::any(batch) ? &adapters : nullptr);
    return {y.v, y.v + y.size()};
}

TEST(Adapter, IsWhatItsPairsSay) {
    test::FiniteDifference fd;
    Served s(fd, 4);
    const Tensor x = fd.random_tensor({3, kIn});
    const auto without = through(s.linear, x, {rows_of(0, 3, nullptr)}, 1, scalar_kernels());
    const auto with =
        through(s.linear, x, {rows_of(0, 1, nullptr), rows_of(1, 2, s.adapter.get())}, 1, scalar_kernels());
    for (std::size_t t = 0; t < 3; ++t) {
        for (std::size_t n = 0; n < kOut; ++n) {
            double sum = 0;
            for (std::size_t r = 0; r < 4; ++r) {
                double low = 0;
                for (std::size_t k = 0; k < kIn; ++k)
                    low += static_cast<double>(x.f32()[t * kIn + k]) * static_cast<double>(s.a.f32()[r * kIn + k]);
                sum += low * static_cast<double>(s.b.f32()[n * 4 + r]);
            }
            const double want = static_cast<double>(without[t * kOut + n]) + (t == 0 ? 0.0 : 1.5 * sum);
            EXPECT_NEAR(static_cast<double>(with[t * kOut + n]), want, 1e-4);
        }
    }
}

TEST(Adapter, KeepsItsBitsInAnyCompany) {
    test::FiniteDifference fd;
    Served s(fd, 300), other(fd, 7);  // rank 300 takes several turns for so many rows
    constexpr std::size_t kRows = 260;
    const Tensor x = fd.random_tensor({static_cast<std::int64_t>(kRows), kIn});
    const auto want = through(s.linear, x, {rows_of(0, kRows, s.adapter.get())}, 1, scalar_kernels());
    const auto plain = through(s.linear, x, {rows_of(0, kRows, nullptr)}, 1, scalar_kernels());
    std::vector<Segment> mixed;  // row by row: with, without, with another
    for (std::uint32_t t = 0; t < kRows; ++t)
        mixed.push_back(rows_of(t, 1, t % 3 == 0 ? s.adapter.get() : t % 3 == 1 ? nullptr : other.adapter.get()));
    for (const Kernels* kernels : available_kernels()) {
        for (const int n : {1, 2, 3}) {
            const auto whole = through(s.linear, x, {rows_of(0, kRows, s.adapter.get())}, n, *kernels);
            EXPECT_EQ(std::memcmp(whole.data(), want.data(), want.size() * sizeof(float)), 0) << kernels->name << n;
            const auto got = through(s.linear, x, mixed, n, *kernels);
            for (std::size_t t = 0; t < kRows; ++t) {
                if (t % 3 == 2) continue;
                const auto& as = t % 3 == 0 ? want : plain;
                EXPECT_EQ(std::memcmp(got.data() + t * kOut, as.data() + t * kOut, kOut * sizeof(float)), 0)
                    << kernels->name << ", " << n << " threads, row " << t;
            }
        }
    }
    EXPECT_NE(want, plain);
}

}  // namespace
}  // namespace freehold
