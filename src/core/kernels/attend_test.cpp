// Attention of every table against the scalar reference, bit for bit; the scalar reference against softmax in double;
// and what must not matter: tile mates, where pages lie, what lies in keys that nobody sees.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "freehold/kernels/kv_page.h"
#include "testing.h"

namespace freehold {
namespace {

using testing::equal_bits;
using testing::Generator;

constexpr KvType kTypes[] = {KvType::F32, KvType::F16, KvType::Q8_0};
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Keys and values of one KV head for `n_keys` positions, in pages of a pool in random order; the rest is NaN.
struct Cache {
    int D, Dv;
    KvType type;
    std::size_t k_offset = 64, v_offset, page_bytes;
    std::vector<std::byte> pool;
    std::vector<const std::byte*> pages;
    std::vector<float> k, v;  // [n_keys][D], [n_keys][Dv], as read back from the pages

    // v_in_k: values are the keys' first numbers, stored twice.
    Cache(Generator& g, int n_keys, int head_dim, int v_dim, KvType kv, unsigned shuffle, bool v_in_k = false)
        : D(head_dim), Dv(v_dim), type(kv) {
        const auto d_k = static_cast<std::size_t>(D), d_v = static_cast<std::size_t>(Dv);
        v_offset = k_offset + kv_side_bytes(kv, d_k) + 32;
        page_bytes = v_offset + kv_side_bytes(kv, d_v) + 16;
        const int n_pages = (n_keys + 15) / 16;
        pool.resize(page_bytes * static_cast<std::size_t>(n_pages));
        std::vector<int> order(static_cast<std::size_t>(n_pages));
        std::iota(order.begin(), order.end(), 0);
        Generator other(shuffle);
        std::shuffle(order.begin(), order.end(), other);
        for (const int p : order) pages.push_back(pool.data() + page_bytes * static_cast<std::size_t>(p));
        for (int key = 0; key < n_pages * 16; ++key) {
            const bool there = key < n_keys;
            const auto slot = static_cast<std::size_t>(key % 16);
            auto* page = const_cast<std::byte*>(pages[static_cast<std::size_t>(key / 16)]);
            const auto number = [&] { return there ? testing::normal(g) : kNan; };
            std::vector<float> row(d_k);
            std::generate(row.begin(), row.end(), number);
            kv_store_key(scalar_kernels(), type, row.data(), d_k, slot, page + k_offset);
            for (std::size_t d = 0; d < d_k && there; ++d) k.push_back(kv_key(type, page + k_offset, d_k, slot, d));
            row.resize(d_v);
            if (!v_in_k) std::generate(row.begin(), row.end(), number);
            kv_store_value(scalar_kernels(), type, row.data(), d_v, slot, page + v_offset);
            for (std::size_t d = 0; d < d_v && there; ++d) v.push_back(kv_value(type, page + v_offset, d_v, slot, d));
        }
    }
};

struct Query {
    std::vector<float> q;  // [rows][D]
    std::vector<std::int32_t> first, last;
    float scale = 0.2F, softcap = 0;
    std::vector<float> slope;  // empty: none
    int reach = 0;             // of a relative bias; 0: none
    std::vector<float> bias;   // [rows][2 (reach + 64)], distance 0 at reach + 64; constant beyond the reach
    std::vector<float> sink;   // empty: none
};

struct Answer {
    std::vector<float> out, lse;
};

Answer run(const Kernels& k, const Cache& c, const Query& query, const std::vector<int>& rows, float* max = nullptr,
           float* sum = nullptr, bool v_in_k = false) {
    const auto n = rows.size();
    Answer a{std::vector<float>(n * static_cast<std::size_t>(c.Dv), 777), std::vector<float>(n, 777)};
    std::vector<const float*> q;
    std::vector<float*> out;
    std::vector<std::int32_t> first, last, at;
    std::vector<float> slope, sink;
    std::vector<const float*> bias;
    for (std::size_t i = 0; i < n; ++i) {
        const auto r = static_cast<std::size_t>(rows[i]);
        q.push_back(query.q.data() + r * static_cast<std::size_t>(c.D));
        out.push_back(a.out.data() + i * static_cast<std::size_t>(c.Dv));
        first.push_back(query.first[r]);
        last.push_back(query.last[r]);
        at.push_back(query.last[r] + rows[i] % 3);  // a row that is masked may be further on
        if (!query.slope.empty()) slope.push_back(query.slope[r]);
        const auto zero = static_cast<std::size_t>(query.reach + kKvBlock);
        if (query.reach > 0) bias.push_back(query.bias.data() + (2 * r + 1) * zero);
        if (!query.sink.empty()) sink.push_back(query.sink[r]);
    }
    std::vector<std::byte> scratch(attend_scratch_bytes(static_cast<int>(n), c.D, c.Dv, v_in_k) + 64, std::byte{0xFF});
    const auto address = reinterpret_cast<std::uintptr_t>(scratch.data());
    AttendTask t{.pages = c.pages.data(),
                 .k_offset = c.k_offset,
                 .v_offset = c.v_offset,
                 .type = c.type,
                 .head_dim = c.D,
                 .v_dim = c.Dv,
                 .v_in_k = v_in_k,
                 .n_rows = static_cast<int>(n),
                 .q = q.data(),
                 .out = out.data(),
                 .first = first.data(),
                 .last = last.data(),
                 .scale = query.scale,
                 .softcap = query.softcap,
                 .slope = slope.empty() ? nullptr : slope.data(),
                 .at = slope.empty() && bias.empty() ? nullptr : at.data(),
                 .sink = sink.empty() ? nullptr : sink.data(),
                 .bias = bias.empty() ? nullptr : bias.data(),
                 .bias_reach = query.reach,
                 .logsumexp = a.lse.data(),
                 .max = max,
                 .sum = sum,
                 .scratch = scratch.data() + ((address + 63) / 64 * 64 - address)};
    k.attend(t);
    return a;
}

// Rows with random windows, causal ones, ones that see one key, and ones that see nothing.
Query make_query(Generator& g, const Cache& c, int n_rows, int n_keys) {
    Query q;
    q.q = testing::normals(g, static_cast<std::size_t>(n_rows * c.D), 2);
    for (int r = 0; r < n_rows; ++r) {
        const int last = testing::uniform(g, 0, n_keys - 1);
        switch (testing::uniform(g, 0, 4)) {
            case 0:
                q.first.push_back(0), q.last.push_back(last);
                break;
            case 1:
                q.first.push_back(last), q.last.push_back(last);
                break;
            case 2:
                q.first.push_back(testing::uniform(g, 0, last)), q.last.push_back(last);
                break;
            case 3:
                q.first.push_back(std::max(0, last - 100)), q.last.push_back(last);
                break;
            default:
                q.first.push_back(r % 3 == 0 ? last + 1 : 0), q.last.push_back(last);
                break;
        }
    }
    return q;
}

void add_bias(Generator& g, Query& q, int n_rows, int reach) {
    q.reach = reach;
    const int zero = reach + kKvBlock;
    q.bias = testing::normals(g, static_cast<std::size_t>(n_rows * 2 * zero), 1);
    for (int r = 0; r < n_rows; ++r) {
        float* const row = q.bias.data() + r * 2 * zero;
        for (int i = 0; i < zero - reach; ++i) row[i] = row[zero - reach];
        for (int i = zero + reach + 1; i < 2 * zero; ++i) row[i] = row[zero + reach];
    }
}

std::vector<int> all_rows(int n) {
    std::vector<int> rows(static_cast<std::size_t>(n));
    std::iota(rows.begin(), rows.end(), 0);
    return rows;
}

TEST(Attend, AgreesWithTheReference) {
    Generator g(1);
    for (const auto& [D, Dv] : {std::pair{64, 64}, {80, 48}, {16, 20}, {5, 3}, {128, 128}, {256, 256}})
        for (const KvType type : kTypes)
            for (const int n_keys : {1, 17, 64, 65, 200, 1030, 2300})
                for (const float cap : {0.0F, 5.0F}) {
                    if (D > 100 && n_keys > 300) continue;
                    const Cache c(g, n_keys, D, Dv, type, 5);
                    Query q = make_query(g, c, 13, n_keys);
                    q.softcap = cap;
                    if (n_keys % 2 == 0) q.slope = testing::normals(g, 13, 0.2F);
                    if (n_keys % 5 == 0) add_bias(g, q, 13, n_keys % 3 == 0 ? 7 : 90);
                    if (n_keys % 3 == 2) q.sink = testing::normals(g, 13, 4.0F);
                    for (int n = 1; n <= 13; n += n_keys > 1000 ? 6 : 1) {
                        const Answer want = run(scalar_kernels(), c, q, all_rows(n));
                        for (const Kernels* k : testing::fast_tables()) {
                            const Answer got = run(*k, c, q, all_rows(n));
                            ASSERT_TRUE(equal_bits(want.out, got.out))
                                << k->name << " D=" << D << " keys=" << n_keys << " rows=" << n;
                            ASSERT_TRUE(equal_bits(want.lse, got.lse));
                        }
                    }
                }
}

// Values that are a part of the keys: the bits of attention over values that were stored beside them.
TEST(Attend, ValuesInTheKeysGiveTheSameBits) {
    Generator g(6);
    for (const auto& [D, Dv] : {std::pair{44, 32}, {16, 12}, {5, 3}, {70, 64}})
        for (const KvType type : kTypes) {
            if (type == KvType::Q8_0 && Dv % kKvQuant != 0) continue;  // their last blocks are not the keys'
            for (const int n_keys : {1, 17, 64, 65, 200, 1030, 2300}) {
                const Cache c(g, n_keys, D, Dv, type, 5, true);
                Query q = make_query(g, c, 29, n_keys);
                q.softcap = n_keys == 200 ? 5.0F : 0.0F;
                for (const int n : {1, 2, 5, 6, 13, 29}) {
                    const Answer want = run(scalar_kernels(), c, q, all_rows(n));
                    for (const Kernels* k : available_kernels()) {
                        const Answer got = run(*k, c, q, all_rows(n), nullptr, nullptr, true);
                        ASSERT_TRUE(equal_bits(want.out, got.out))
                            << k->name << " D=" << D << " keys=" << n_keys << " rows=" << n;
                        ASSERT_TRUE(equal_bits(want.lse, got.lse));
                    }
                }
            }
        }
}

TEST(Attend, ReferenceIsSoftmax) {
    Generator g(2);
    for (const KvType type : kTypes)
        for (const auto& [cap, sinks] : {std::pair{0.0F, false}, {3.0F, false}, {0.0F, true}}) {
            const Cache c(g, 2100, 24, 40, type, 9);
            Query q = make_query(g, c, 20, 2100);
            q.softcap = cap;
            q.slope = testing::normals(g, 20, 0.01F);
            add_bias(g, q, 20, 33);
            if (sinks) {
                q.sink = testing::normals(g, 20, 5.0F);
                // So low that it is nothing, so high that nothing else is.
                q.sink[0] = q.sink[1] = q.sink[2] = -300;
                q.sink[3] = q.sink[4] = q.sink[5] = 300;
            }
            const Answer a = run(scalar_kernels(), c, q, all_rows(20));
            for (std::size_t r = 0; r < 20; ++r) {
                std::vector<double> score;
                for (int key = q.first[r]; key <= q.last[r]; ++key) {
                    double s = 0;
                    for (std::size_t d = 0; d < 24; ++d)
                        s += static_cast<double>(q.q[r * 24 + d]) * 0.2 *
                             static_cast<double>(c.k[static_cast<std::size_t>(key) * 24 + d]);
                    const int distance = key - q.last[r] - static_cast<int>(r % 3);
                    s += static_cast<double>(q.slope[r]) * distance;
                    s += static_cast<double>(
                        *(q.bias.data() + (2 * r + 1) * (33 + kKvBlock) + std::clamp(distance, -33, 33)));
                    score.push_back(cap != 0 ? static_cast<double>(cap) * std::tanh(s / static_cast<double>(cap)) : s);
                }
                if (score.empty()) {
                    EXPECT_EQ(a.out[r * 40], 0.0F);
                    EXPECT_EQ(a.lse[r], -std::numeric_limits<float>::infinity());
                    continue;
                }
                double max = *std::max_element(score.begin(), score.end());
                double sum = 0;
                if (sinks) {
                    max = std::max(max, static_cast<double>(q.sink[r]));
                    sum = std::exp(static_cast<double>(q.sink[r]) - max);
                }
                for (const double s : score) sum += std::exp(s - max);
                EXPECT_NEAR(a.lse[r], max + std::log(sum), sinks ? 1e-4 : 1e-5);
                for (std::size_t d = 0; d < 40; ++d) {
                    double o = 0;
                    for (std::size_t i = 0; i < score.size(); ++i)
                        o += std::exp(score[i] - max) / sum *
                             static_cast<double>(c.v[(static_cast<std::size_t>(q.first[r]) + i) * 40 + d]);
                    ASSERT_NEAR(a.out[r * 40 + d], o, 2e-5) << "row " << r;
                }
            }
        }
}

// Each span by itself, merged in order as rule 6 says: what several threads do with one long row.
TEST(Attend, SpansApartGiveTheSameBits) {
    Generator g(5);
    for (const Kernels* k : available_kernels())
        for (const KvType type : kTypes) {
            const Cache c(g, 3500, 48, 40, type, 3);
            const Query q = make_query(g, c, 9, 3500);
            const Answer want = run(*k, c, q, all_rows(9));
            std::vector<float> acc(9 * 40), top(9, -std::numeric_limits<float>::infinity()), sum(9);
            for (int span = 0; span * kKvSpan < 3500; ++span) {
                Query part = q;
                for (std::size_t r = 0; r < 9; ++r) {
                    part.first[r] = std::max(q.first[r], span * kKvSpan);
                    part.last[r] = std::min(q.last[r], (span + 1) * kKvSpan - 1);
                }
                std::vector<float> m(9), s(9);
                const Answer a = run(*k, c, part, all_rows(9), m.data(), s.data());
                for (std::size_t r = 0; r < 9; ++r) {
                    if (s[r] == 0) continue;
                    const bool begun = sum[r] != 0;
                    const float both = std::max(top[r], m[r]);
                    const float f = fh_exp(top[r] - both), h = fh_exp(m[r] - both);
                    sum[r] = begun ? std::fma(s[r], h, sum[r] * f) : s[r];
                    for (std::size_t d = r * 40; d < (r + 1) * 40; ++d)
                        acc[d] = begun ? std::fma(a.out[d], h, acc[d] * f) : a.out[d];
                    top[r] = begun ? both : m[r];
                }
            }
            for (std::size_t r = 0; r < 9; ++r)
                for (std::size_t d = r * 40; d < (r + 1) * 40; ++d)
                    ASSERT_EQ(sum[r] == 0 ? 0.0F : acc[d] / sum[r], want.out[d]) << k->name << " row " << r;
        }
}

TEST(Attend, RowsDoNotKnowTheirTileMates) {
    Generator g(3);
    for (const Kernels* k : available_kernels()) {
        for (const KvType type : kTypes) {
            const Cache c(g, 1200, 32, 32, type, 3);
            const Query q = make_query(g, c, 16, 1200);
            const Answer together = run(*k, c, q, all_rows(16));
            for (int round = 0; round < 20; ++round) {
                std::vector<int> some = all_rows(16);
                std::shuffle(some.begin(), some.end(), g);
                some.resize(static_cast<std::size_t>(testing::uniform(g, 1, 9)));
                const Answer few = run(*k, c, q, some);
                for (std::size_t i = 0; i < some.size(); ++i)
                    ASSERT_TRUE(equal_bits(std::span(together.out).subspan(static_cast<std::size_t>(some[i]) * 32, 32),
                                           std::span(few.out).subspan(i * 32, 32)));
            }
        }
    }
}

TEST(Attend, PagesMayLieAnywhereAndBeAbsentWhereNobodyLooks) {
    for (const Kernels* k : available_kernels())
        for (const KvType type : kTypes) {
            Generator a(4), b(4);
            Cache one(a, 700, 16, 16, type, 1), two(b, 700, 16, 16, type, 2);
            Query q;
            q.q = testing::normals(a, 8 * 16);
            for (int r = 0; r < 8; ++r) {
                q.first.push_back(r < 4 ? 300 + r : 600);
                q.last.push_back(r < 4 ? 420 + r : 690);
            }
            const Answer want = run(*k, one, q, all_rows(8));
            for (std::size_t p = 0; p < two.pages.size(); ++p)
                if (p < 300 / 16 || (p > 424 / 16 && p < 600 / 16)) two.pages[p] = nullptr;
            const Answer got = run(*k, two, q, all_rows(8));
            EXPECT_TRUE(equal_bits(want.out, got.out)) << k->name;
            for (const float v : got.out) EXPECT_TRUE(std::isfinite(v)) << "something unseen leaked in";
        }
}

}  // namespace
}  // namespace freehold
