// Weights of every dtype and profile through multiply(): what must not matter (table, threads, repacking, company,
// blocks of rows) does not, and the two products of the backward pass keep their chains.
#include "freehold/kernels/weight.h"

#include <gtest/gtest.h>

#include <cmath>

#include "freehold/base/error.h"
#include "testing.h"

namespace freehold {
namespace {

using testing::equal_bits;
using testing::Generator;

// Random bytes of a format with scales that are small and finite.
Tensor random_weight(Generator& g, const DTypeTraits& t, std::int64_t N, std::int64_t K) {
    Tensor w = Tensor::zeros(t.id, Shape({N, K}));
    auto* bytes = const_cast<std::byte*>(w.data());
    if (t.from_f32 != nullptr) {
        const auto values = testing::normals(g, static_cast<std::size_t>(N * K), 0.1F);
        t.from_f32(values.data(), bytes, values.size());
        return w;
    }
    for (std::size_t i = 0; i < w.nbytes(); ++i) bytes[i] = static_cast<std::byte>(testing::uniform(g, 0, 255));
    const std::uint16_t small = f32_to_f16(0.003F);
    for (std::size_t b = 0; b < w.nbytes(); b += t.bytes) {
        const auto put = [&](std::size_t at) {
            const auto h = static_cast<std::uint16_t>(small + testing::uniform(g, 0, 500));
            std::memcpy(bytes + b + at, &h, 2);
        };
        if (t.id == DType::Q2_K) {
            put(80);
            put(82);
        } else if (t.id == DType::MXFP4) {
            bytes[b] = static_cast<std::byte>(testing::uniform(g, 115, 120));  // a power of two
        } else {
            put(t.id == DType::Q6_K ? 208 : 0);
            if (t.form.has_min) put(2);
        }
    }
    return w;
}

struct Means {
    Profile profile;
    bool repack;
    int threads;
    const Kernels* kernels;
};

// y = x Wᵀ through the public way.
std::vector<float> product(const Tensor& w, const std::vector<float>& x, std::size_t T, const Means& how,
                           const float* bias = nullptr, const std::vector<float>* add_to = nullptr) {
    ThreadPool pool(how.threads);
    const Weight weight(w, how.profile, how.repack, pool);
    const auto N = static_cast<std::size_t>(weight.n_out()), K = static_cast<std::size_t>(weight.n_in());
    std::vector<std::byte> buffer(Prepared::bytes_needed(weight.profile(), T, K));
    const Prepared prepared(weight.profile(), x.data(), x.size() / T, T, K, buffer.data());
    prepared.run(*how.kernels, pool);
    std::vector<float> y = add_to != nullptr ? *add_to : std::vector<float>(T * (N + 3), -5);
    const Product p{
        .w = &weight, .x = &prepared, .y = y.data(), .ldy = N + 3, .bias = bias, .add_to_y = add_to != nullptr};
    multiply(*how.kernels, pool, {&p, 1});
    return y;
}

TEST(Weight, NothingThatMustNotMatterMatters) {
    Generator g(1);
    for (const DTypeTraits* t : all_traits())
        for (const Profile profile : {Profile::f32, Profile::bf16, Profile::q8})
            for (const std::size_t T : {std::size_t{1}, std::size_t{5}, std::size_t{70}}) {
                const std::int64_t N = 45, K = t->block == 256 ? 512 : (t->quantised ? 96 : 77);
                const Tensor w = random_weight(g, *t, N, K);
                const auto x = testing::normals(g, T * static_cast<std::size_t>(K));
                const auto want = product(w, x, T, {profile, true, 1, &scalar_kernels()});
                for (const Kernels* k : available_kernels())
                    for (const bool repack : {true, false})
                        for (const int threads : {1, 2, 3})
                            ASSERT_TRUE(equal_bits(want, product(w, x, T, {profile, repack, threads, k})))
                                << t->name << " " << profile_name(profile) << " T=" << T << " " << k->name << " repack "
                                << repack << " threads " << threads;
                // A row alone gives what it gives in company.
                const std::vector<float> last(x.end() - K, x.end());
                const auto alone = product(w, last, 1, {profile, true, 1, available_kernels().back()});
                ASSERT_TRUE(equal_bits(std::span(want).last(48).first(45), std::span(alone).first(45)));
            }
}

TEST(Weight, ProductsAreCloseToExactArithmetic) {
    Generator g(2);
    for (const DTypeTraits* t : all_traits()) {
        const std::int64_t N = 20, K = 512;
        const Tensor w = random_weight(g, *t, N, K);
        const Tensor exact = w.to_f32();
        const auto x = testing::normals(g, 512);
        for (const Profile profile : {Profile::f32, Profile::bf16, Profile::q8}) {
            const auto y = product(w, x, 1, {profile, true, 1, &active_kernels()});
            for (std::size_t n = 0; n < 20; ++n) {
                double want = 0, size = 0;
                for (std::size_t i = 0; i < 512; ++i) {
                    const double term = static_cast<double>(x[i]) * static_cast<double>(exact.f32()[n * 512 + i]);
                    want += term;
                    size += term * term;
                }
                const bool exact_profile = effective_profile(profile, t->id) == Profile::f32;
                EXPECT_NEAR(y[n], want, (exact_profile ? 1e-5 : 0.04) * std::sqrt(size) + 1e-6)
                    << t->name << " " << profile_name(profile);
            }
        }
    }
}

TEST(Weight, BiasAndAdditionRoundOnceEach) {
    Generator g(3);
    for (const DType dtype : {DType::F32, DType::BF16, DType::Q4_1})
        for (const std::size_t T : {1U, 3U, 150U}) {
            const Tensor w = random_weight(g, traits(dtype), 37, 64);
            const auto x = testing::normals(g, T * 64), bias = testing::normals(g, 37),
                       before = testing::normals(g, T * 40);
            const Means how{Profile::q8, true, 2, &active_kernels()};
            const auto chain = product(w, x, T, how);
            const auto biased = product(w, x, T, how, bias.data());
            const auto added = product(w, x, T, how, nullptr, &before);
            const auto both = product(w, x, T, how, bias.data(), &before);
            for (std::size_t t = 0; t < T; ++t)
                for (std::size_t n = 0; n < 40; ++n) {
                    const std::size_t i = t * 40 + n;
                    if (n >= 37) {
                        ASSERT_EQ(chain[i], -5.0F) << "written past the end of a row";
                        ASSERT_EQ(both[i], before[i]);
                        continue;
                    }
                    ASSERT_EQ(biased[i], chain[i] + bias[n]);
                    ASSERT_EQ(added[i], before[i] + chain[i]);
                    ASSERT_EQ(both[i], before[i] + (chain[i] + bias[n]));
                }
        }
}

TEST(Weight, ManyProductsInOneCall) {
    Generator g(4);
    ThreadPool one(1), three(3);
    const std::size_t T = 9;
    const auto x = testing::normals(g, T * 256), z = testing::normals(g, T * 64);
    std::vector<Weight> weights;
    for (const auto& [dtype, N, K] :
         {std::tuple{DType::Q4_1, 100, 256}, {DType::Q6_K, 33, 256}, {DType::Q8_0, 1, 64}, {DType::Q5_0, 64, 64}})
        weights.emplace_back(random_weight(g, traits(dtype), N, K), Profile::q8, true, one);
    std::vector<std::byte> bx(Prepared::bytes_needed(Profile::q8, T, 256)),
        bz(Prepared::bytes_needed(Profile::q8, T, 64));
    const Prepared px(Profile::q8, x.data(), 256, T, 256, bx.data()), pz(Profile::q8, z.data(), 64, T, 64, bz.data());
    px.run(active_kernels(), one);
    pz.run(active_kernels(), one);
    std::vector<std::vector<float>> alone(weights.size(), std::vector<float>(T * 100)), together = alone;
    std::vector<Product> products;
    for (std::size_t i = 0; i < weights.size(); ++i) {
        Product p{.w = &weights[i], .x = weights[i].n_in() == 256 ? &px : &pz, .y = alone[i].data(), .ldy = 100};
        multiply(scalar_kernels(), one, {&p, 1});
        p.y = together[i].data();
        products.push_back(p);
    }
    multiply(active_kernels(), three, products);
    for (std::size_t i = 0; i < weights.size(); ++i) EXPECT_TRUE(equal_bits(alone[i], together[i])) << i;
    multiply(active_kernels(), three, {});
}

TEST(Weight, ProfilesByDtype) {
    EXPECT_EQ(effective_profile(Profile::q8, DType::Q4_K), Profile::q8);
    EXPECT_EQ(effective_profile(Profile::q8, DType::BF16), Profile::bf16);
    EXPECT_EQ(effective_profile(Profile::q8, DType::F16), Profile::f32);
    EXPECT_EQ(effective_profile(Profile::bf16, DType::Q4_K), Profile::bf16);
    EXPECT_EQ(effective_profile(Profile::f32, DType::BF16), Profile::f32);
    EXPECT_EQ(profile_from_name("bf16"), Profile::bf16);
    EXPECT_FALSE(profile_from_name("int3").has_value());
}

TEST(Weight, RowsAreExactAndRenewFollowsTheTensor) {
    Generator g(5);
    ThreadPool pool(2);
    const Tensor q = random_weight(g, traits(DType::Q6_K), 10, 256);
    const Weight w(q, Profile::q8, true, pool);
    std::vector<float> row(256);
    w.row_f32(7, row.data());
    EXPECT_TRUE(equal_bits(q.to_f32().f32().subspan(7 * 256, 256), row));
    EXPECT_THROW(w.row_f32(10, row.data()), Error);
    EXPECT_GT(w.panel_bytes(), 0U);
    EXPECT_EQ(Weight(q, Profile::q8, false, pool).panel_bytes(), 0U);
    EXPECT_THROW(Weight(Tensor::zeros(DType::F32, Shape({4})), Profile::f32, true, pool), Error);

    Tensor f = Tensor::zeros(DType::F32, Shape({3, 5}));
    Weight trained(f, Profile::f32, true, pool);
    f.f32_mut()[6] = 2;
    trained.renew(pool);
    const std::vector<float> x = {1, 10, 100, 1000, 10000};
    const Prepared p(Profile::f32, x.data(), 5, 1, 5, nullptr);
    std::vector<float> y(3);
    const Product product{.w = &trained, .x = &p, .y = y.data(), .ldy = 3};
    multiply(active_kernels(), pool, {&product, 1});
    EXPECT_EQ(y, (std::vector<float>{0, 20, 0}));
}

TEST(Gradients, KeepTheirChains) {
    Generator g(6);
    for (const auto& [T, N, K] : {std::tuple<std::size_t, std::size_t, std::size_t>{1, 1, 1},
                                  {5, 7, 19},
                                  {97, 40, 33},
                                  {3, 600, 18},
                                  {600, 5, 48}}) {
        const auto dy = testing::normals(g, T * N), w = testing::normals(g, N * K), x = testing::normals(g, T * K),
                   start = testing::normals(g, T * K);
        std::vector<float> dx_want(T * K), dx_more = start, dw_want(N * K);
        for (std::size_t t = 0; t < T; ++t)
            for (std::size_t k = 0; k < K; ++k)
                for (std::size_t n = 0; n < N; ++n) {
                    dx_want[t * K + k] = std::fma(dy[t * N + n], w[n * K + k], dx_want[t * K + k]);
                    dx_more[t * K + k] = std::fma(dy[t * N + n], w[n * K + k], dx_more[t * K + k]);
                }
        for (std::size_t n = 0; n < N; ++n)
            for (std::size_t k = 0; k < K; ++k)
                for (std::size_t t = 0; t < T; ++t)
                    dw_want[n * K + k] = std::fma(dy[t * N + n], x[t * K + k], dw_want[n * K + k]);
        for (const Kernels* k : available_kernels())
            for (const int threads : {1, 3}) {
                ThreadPool pool(threads);
                std::vector<float> dx(T * K, 9), more = start, dw(N * K, 9);
                multiply_transposed(*k, pool, dy.data(), T, N, w.data(), K, dx.data(), false);
                multiply_transposed(*k, pool, dy.data(), T, N, w.data(), K, more.data(), true);
                outer_product(*k, pool, dy.data(), T, N, x.data(), K, dw.data());
                EXPECT_TRUE(equal_bits(dx_want, dx)) << k->name;
                EXPECT_TRUE(equal_bits(dx_more, more));
                EXPECT_TRUE(equal_bits(dw_want, dw));
            }
    }
}

}  // namespace
}  // namespace freehold
