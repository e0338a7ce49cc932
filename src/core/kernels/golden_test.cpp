// The bits of every entry, as hashes that are committed: the same on every architecture, compiler and C library, not
// only on all tables of one machine. Inputs are made from whole numbers, so that no library has a say in them. After a
// change of docs/numerics.md the failing lines print what to write here.
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <map>

#include "freehold/kernels/kv_page.h"
#include "testing.h"

namespace freehold {
namespace {

using testing::Generator;

// 24 random bits about zero, times a power of two: exact everywhere.
float number(Generator& g, float unit = 0x1p-22F) {
    return static_cast<float>(static_cast<std::int32_t>(g() >> 8) - (1 << 23)) * unit;
}

std::vector<float> numbers(Generator& g, std::size_t n, float unit = 0x1p-22F) {
    std::vector<float> v(n);
    for (float& x : v) x = number(g, unit);
    return v;
}

int below(Generator& g, int n) {
    return static_cast<int>(g() % static_cast<unsigned>(n));
}

// FNV-1a over little-endian words; every NaN counts as the same.
struct Hash {
    std::uint64_t value = 0xCBF29CE484222325U;
    void word(std::uint64_t w) {
        for (int i = 0; i < 8; ++i) value = (value ^ (w >> (8 * i) & 0xFF)) * 0x100000001B3U;
    }
    void take(float x) { word(x != x ? 0x7FC00000U : std::bit_cast<std::uint32_t>(x)); }
    void take(double x) { word(std::bit_cast<std::uint64_t>(x)); }
    template <class T>
    void take(T x) {
        word(static_cast<std::uint64_t>(x));
    }
    template <class T>
    void take(const std::vector<T>& v) {
        for (const T& x : v) take(x);
    }
};

using Hashes = std::map<std::string, std::uint64_t>;

void hash_f32(const Kernels& k, Hash& h) {
    Generator g(11);
    for (const std::size_t T : {1U, 2U, 3U, 4U, 5U, 7U, 14U})
        for (const int n_valid : {16, 11}) {
            const auto x = numbers(g, T * 77), w = numbers(g, 77 * 16);
            auto y = numbers(g, T * 16);
            k.panel_f32(x.data(), 77, 1, T, w.data(), 16, 77, y.data(), 16, n_valid, T % 2 == 0);
            h.take(y);
        }
}

// Ordinary numbers, and chains that touch the smallest normal number from both sides.
void hash_bf16(const Kernels& k, Hash& h) {
    Generator g(12);
    for (const std::size_t T : {1U, 3U, 4U, 9U})
        for (const float unit : {0x1p-22F, 0x1p-85F}) {
            const std::size_t K = 66;
            std::vector<std::uint16_t> x(T * K), w(K * 16);
            for (auto& v : x) v = f32_to_bf16(number(g, unit));
            for (auto& v : w) v = f32_to_bf16(number(g, unit));
            std::vector<float> y(T * 16);
            k.panel_bf16(x.data(), K, T, w.data(), K, y.data(), 16, 16);
            h.take(y);
        }
}

// A panel of 16 rows of `blocks` code blocks as the format allows them.
std::vector<std::byte> random_panel(Generator& g, const QPanelForm& form, std::size_t blocks) {
    const QuantForm& f = form.form;
    std::vector<std::vector<CodeBlock>> rows(kPanelRows, std::vector<CodeBlock>(blocks));
    const CodeBlock* pointers[kPanelRows];
    for (std::size_t r = 0; r < rows.size(); ++r) {
        for (std::size_t b = 0; b < blocks; ++b) {
            CodeBlock& c = rows[r][b];
            for (auto& code : c.code)
                code = static_cast<std::uint8_t>(below(g, (f.table != nullptr ? 15 : f.max_code) + 1));
            // Ten bits of a fraction: exact in F16.
            c.scale = static_cast<float>(below(g, 1024)) * 0x1p-16F;
            if (f.has_min) c.min = static_cast<float>(below(g, 1024) - 512) * 0x1p-13F;
            if (f.scales == ScaleForm::super) {
                const std::size_t first = b / QPanelForm::kSuperBlocks * QPanelForm::kSuperBlocks;
                c.scale = rows[r][first].scale;
                c.min = rows[r][first].min;
                if (!f.has_half) c.scale_code = static_cast<std::int8_t>(below(g, 64));
                if (f.has_min && !f.has_half_min) c.min_code = static_cast<std::int8_t>(below(g, 64));
            }
            if (f.has_half)
                for (auto& half : c.half) half = static_cast<std::int8_t>(below(g, 63) - 31);
            if (f.has_half_min)
                for (auto& half : c.half_min) half = static_cast<std::uint8_t>(below(g, 256));
        }
        pointers[r] = rows[r].data();
    }
    std::vector<std::byte> panel(form.panel_bytes(blocks));
    pack_q_panel(form, pointers, kPanelRows, 0, blocks, panel.data());
    return panel;
}

void hash_q8(const Kernels& k, const DTypeTraits& t, Hash& h) {
    Generator g(13);
    const std::size_t blocks = 24;
    const QPanelForm form{t.form};
    const auto panel = random_panel(g, form, blocks);
    for (const std::size_t T : {1U, 2U, 3U, 4U, 13U}) {
        testing::Q8Buffer x(T, blocks * kQBlock);
        for (std::size_t r = 0; r < T; ++r) {
            const auto row = numbers(g, blocks * kQBlock, r % 2 == 0 ? 0x1p-22F : 0x1p-60F);
            k.quantize_row(row.data(), row.size(), x.rows, r);
        }
        std::vector<float> y(T * 16);
        k.panel_q8(x.rows, 0, T, form, panel.data(), y.data(), 16, 16);
        h.take(y);
    }
}

void hash_quantize(const Kernels& k, Hash& h) {
    Generator g(14);
    for (const std::size_t K : {32U, 33U, 200U}) {
        testing::Q8Buffer x(1, K);
        auto row = numbers(g, K);
        if (K == 200) row[40] = std::numeric_limits<float>::infinity();
        k.quantize_row(row.data(), K, x.rows, 0);
        h.take(x.codes);
        h.take(x.scale);
        h.take(x.sum);
        h.take(x.half);
        h.take(x.fsum);
    }
}

void hash_converts(const Kernels& k, Hash& h) {
    Generator g(15);
    std::vector<float> x;
    for (const float unit : {0x1p-22F, 0x1p-46F, 0x1p-7F, 0x1p-149F}) {
        const auto part = numbers(g, 37, unit);
        x.insert(x.end(), part.begin(), part.end());
    }
    std::vector<std::uint16_t> bf16(x.size()), f16(x.size()), all(0x7C00);
    std::vector<float> wide(all.size());
    k.to_bf16(x.data(), bf16.data(), x.size());
    k.f32_to_f16(x.data(), f16.data(), x.size());
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint16_t>(i);
    k.f16_to_f32(all.data(), wide.data(), all.size());
    h.take(bf16);
    h.take(f16);
    h.take(wide);
}

void hash_norms(const Kernels& k, Hash& h) {
    Generator g(16);
    for (const NormKind kind : {NormKind::rms, NormKind::layer})
        for (const std::size_t n : {1U, 19U, 64U, 103U})
            for (const bool affine : {false, true}) {
                const auto x = numbers(g, n), w = numbers(g, n), b = numbers(g, n);
                std::vector<float> y(n), stats(2);
                k.norm_row(kind, x.data(), affine ? w.data() : nullptr, affine ? b.data() : nullptr, 1e-5F, n, y.data(),
                           stats.data());
                h.take(y);
                h.take(stats);
            }
}

void hash_activations(const Kernels& k, Hash& h) {
    Generator g(17);
    for (const Activation act : {Activation::none, Activation::relu, Activation::silu, Activation::gelu_tanh,
                                 Activation::gelu_erf, Activation::quick_gelu})
        for (const float unit : {0x1p-23F, 0x1p-20F, 0x1p-16F}) {
            const auto gate = numbers(g, 131, unit), up = numbers(g, 131);
            std::vector<float> y(131);
            k.activate(act, gate.data(), unit == 0x1p-20F ? up.data() : nullptr, y.data(), y.size());
            h.take(y);
        }
}

void hash_rows(const Kernels& k, Hash& h) {
    Generator g(18);
    const auto a = numbers(g, 53), b = numbers(g, 53);
    std::vector<float> y(53);
    k.add(a.data(), b.data(), y.data(), y.size());
    h.take(y);
    k.add_scaled(0.3F, a.data(), y.data(), y.size());
    h.take(y);
    k.scale(1.7F, y.data(), y.size());
    h.take(y);
    k.softcap(2.5F, y.data(), y.size());
    h.take(y);
    for (const bool interleaved : {false, true})
        for (const int n : {6, 22, 48}) {
            auto head = numbers(g, 50);
            const auto cs = numbers(g, static_cast<std::size_t>(n), 0x1p-23F);
            k.rope(head.data(), cs.data(), n, interleaved);
            h.take(head);
        }
    for (const std::size_t n : {0U, 3U, 16U, 93U}) {
        auto x = numbers(g, n, 0x1p-20F);
        if (n > 50) x[20] = std::numeric_limits<float>::quiet_NaN(), x[30] = x[60] = 12.0F;
        h.take(k.argmax(x.data(), n));
        h.take(k.max_value(x.data(), n));
        if (n > 50) x[20] = 0;
        std::vector<float> e(n);
        h.take(k.exp_sum(x.data(), 8.0F, n, e.data()));
        h.take(e);
    }
}

void hash_attention(const Kernels& k, KvType type, Hash& h) {
    Generator g(19);
    for (const auto& [D, Dv] : {std::pair<std::size_t, std::size_t>{64, 64}, {20, 12}})
        for (const float cap : {0.0F, 3.0F})
            for (const int n_rows : {1, 2, 5, 6}) {
                const std::size_t n_keys = n_rows == 5 ? 1100 : 150, n_pages = (n_keys + 15) / 16;
                const std::size_t v_offset = (kv_side_bytes(type, D) + 63) / 64 * 64;
                const std::size_t page_bytes = (v_offset + kv_side_bytes(type, Dv) + 63) / 64 * 64;
                std::vector<std::byte> pool(n_pages * page_bytes);
                std::vector<const std::byte*> pages(n_pages);
                for (std::size_t p = 0; p < n_pages; ++p) pages[p] = pool.data() + p * page_bytes;
                for (std::size_t key = 0; key < n_keys; ++key) {
                    std::byte* const page = pool.data() + key / 16 * page_bytes;
                    kv_store_key(k, type, numbers(g, D).data(), D, key % 16, page);
                    kv_store_value(k, type, numbers(g, Dv).data(), Dv, key % 16, page + v_offset);
                }
                const auto rows = static_cast<std::size_t>(n_rows);
                const auto q = numbers(g, rows * D);
                std::vector<float> out(rows * Dv), lse(rows);
                std::vector<const float*> q_at(rows);
                std::vector<float*> out_at(rows);
                std::vector<std::int32_t> first(rows), last(rows);
                for (std::size_t r = 0; r < rows; ++r) {
                    q_at[r] = q.data() + r * D;
                    out_at[r] = out.data() + r * Dv;
                    last[r] = static_cast<std::int32_t>(n_keys - rows + r);
                    first[r] = r % 3 == 1 ? std::max(0, last[r] - 70) : (r % 3 == 2 ? last[r] + 1 : 0);
                }
                std::vector<std::byte> scratch(attend_scratch_bytes(n_rows, static_cast<int>(D), static_cast<int>(Dv)) +
                                               64);
                const auto address = reinterpret_cast<std::uintptr_t>(scratch.data());
                k.attend({.pages = pages.data(),
                          .k_offset = 0,
                          .v_offset = v_offset,
                          .type = type,
                          .head_dim = static_cast<int>(D),
                          .v_dim = static_cast<int>(Dv),
                          .n_rows = n_rows,
                          .q = q_at.data(),
                          .out = out_at.data(),
                          .first = first.data(),
                          .last = last.data(),
                          .scale = 0.125F,
                          .softcap = cap,
                          .logsumexp = lse.data(),
                          .scratch = scratch.data() + ((address + 63) / 64 * 64 - address)});
                h.take(out);
                h.take(lse);
            }
}

void hash_functions(Hash& h) {
    Generator g(20);
    for (int i = 0; i < 4000; ++i) {
        const float x = number(g, 0x1p-19F), small = number(g, 0x1p-23F);
        double s, c;
        fh_sincos(static_cast<double>(number(g, 0x1p-4F)), s, c);
        for (const float y : {fh_exp(x * 6), fh_tanh(small * 3), fh_erf(small * 4), fh_log(std::abs(x))}) h.take(y);
        for (const double y : {s, c, fh_pow(static_cast<double>(std::abs(x) + 1), static_cast<double>(small))})
            h.take(y);
    }
}

Hashes hashes_of(const Kernels& k) {
    Hashes all;
    const auto hash = [&](const std::string& name, auto&& run) {
        Hash h;
        run(h);
        all[name] = h.value;
    };
    hash("panel_f32", [&](Hash& h) { hash_f32(k, h); });
    hash("panel_bf16", [&](Hash& h) { hash_bf16(k, h); });
    for (const DTypeTraits* t : all_traits())
        if (t->quantised) hash("panel_q8 " + std::string(t->name), [&](Hash& h) { hash_q8(k, *t, h); });
    hash("quantize_row", [&](Hash& h) { hash_quantize(k, h); });
    hash("converts", [&](Hash& h) { hash_converts(k, h); });
    hash("norm_row", [&](Hash& h) { hash_norms(k, h); });
    hash("activate", [&](Hash& h) { hash_activations(k, h); });
    hash("rows", [&](Hash& h) { hash_rows(k, h); });
    hash("attend F32", [&](Hash& h) { hash_attention(k, KvType::F32, h); });
    hash("attend F16", [&](Hash& h) { hash_attention(k, KvType::F16, h); });
    hash("attend Q8_0", [&](Hash& h) { hash_attention(k, KvType::Q8_0, h); });
    hash("functions", [&](Hash& h) { hash_functions(h); });
    return all;
}

const Hashes kExpected = {
    {"activate", 0x3c32b1221b709422},
    {"attend F16", 0x9308f6472b89d9f2},
    {"attend F32", 0xc72b806be532fc63},
    {"attend Q8_0", 0x750a3ede6a728946},
    {"converts", 0xb7bc2c2bbea8eac},
    {"functions", 0x3bdaba99b8fbdde4},
    {"norm_row", 0x1f39cf8155de8e84},
    {"panel_bf16", 0xcc65209dbd4ce804},
    {"panel_f32", 0x8262f0b4bfd4c2c2},
    {"panel_q8 IQ2_S", 0x62ba373049de290b},
    {"panel_q8 IQ2_XS", 0x62ba373049de290b},
    {"panel_q8 IQ2_XXS", 0xb39e7ba717182471},
    {"panel_q8 IQ3_S", 0x944755e072e8bda1},
    {"panel_q8 IQ3_XXS", 0x6161188bb6c5e5c1},
    {"panel_q8 IQ4_NL", 0x904113d0fbb6e059},
    {"panel_q8 IQ4_XS", 0x7e41d771a07c7d1e},
    {"panel_q8 MXFP4", 0xef36c0785af33d7},
    {"panel_q8 Q2_K", 0xe6135d61b27eba31},
    {"panel_q8 Q3_K", 0x3a6e1292600bad63},
    {"panel_q8 Q4_0", 0x73a632b2baa87e15},
    {"panel_q8 Q4_1", 0x515ae2aa39fdd303},
    {"panel_q8 Q4_K", 0x5deadf1f03366ee3},
    {"panel_q8 Q5_0", 0x23d73d9931a1ecbc},
    {"panel_q8 Q5_1", 0x154819851c15926e},
    {"panel_q8 Q5_K", 0xc1b767acdf26a6fd},
    {"panel_q8 Q6_K", 0xe7b3f40323bc666f},
    {"panel_q8 Q8_0", 0x502d5cef7ed0d82b},
    {"quantize_row", 0xd0d797d2989d7081},
    {"rows", 0xdc152b9e60b5b911},
};

TEST(Golden, EveryEntryOfEveryTableGivesTheCommittedBits) {
    for (const Kernels* k : available_kernels()) {
        std::cout << "kernels: " << k->name << "\n";
        const Hashes got = hashes_of(*k);
        EXPECT_EQ(got.size(), kExpected.size());
        for (const auto& [name, value] : got) {
            const auto want = kExpected.find(name);
            EXPECT_TRUE(want != kExpected.end() && want->second == value)
                << k->name << ": {\"" << name << "\", 0x" << std::hex << value << "},";
        }
    }
}

}  // namespace
}  // namespace freehold
