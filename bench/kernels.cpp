// The kernel workbench: every entry is held against the scalar reference before it is timed, and each time stands
// beside the peak that was measured in the same run. `bench_kernels [filter] [threads]`; medians and best of several
// rounds.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "freehold/base/huge_memory.h"
#include "freehold/kernels/kv_page.h"
#include "freehold/kernels/peaks.h"
#include "freehold/kernels/weight.h"

namespace {

using namespace freehold;
using Clock = std::chrono::steady_clock;

std::mt19937 g_random(1);

std::vector<float> normals(std::size_t n, float scale = 1) {
    std::normal_distribution<float> d(0, scale);
    std::vector<float> v(n);
    for (float& x : v) x = d(g_random);
    return v;
}

struct Timing {
    double median, best;  // seconds
};

// Runs for about 0.2 s in at least seven rounds.
Timing measure(const std::function<void()>& work) {
    work();
    std::vector<double> times;
    const auto begin = Clock::now();
    while (times.size() < 7 ||
           (times.size() < 2000 && std::chrono::duration<double>(Clock::now() - begin).count() < 0.2)) {
        const auto start = Clock::now();
        work();
        times.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    }
    std::sort(times.begin(), times.end());
    return {times[times.size() / 2], times.front()};
}

bool equal(const std::vector<float>& a, const std::vector<float>& b) {
    return std::memcmp(a.data(), b.data(), a.size() * 4) == 0;
}

void verdict(bool same, const std::string& what) {
    if (same) return;
    std::printf("WRONG: %s differs from the scalar reference\n", what.c_str());
    std::exit(1);
}

// Random bytes; scales are halves near 0.004 wherever the format keeps one.
Tensor random_weight(const DTypeTraits& t, std::int64_t N, std::int64_t K) {
    Tensor w = Tensor::zeros(t.id, Shape({N, K}));
    auto* bytes = const_cast<std::byte*>(w.data());
    if (t.from_f32 != nullptr) {
        const auto values = normals(static_cast<std::size_t>(N * K), 0.05F);
        t.from_f32(values.data(), bytes, values.size());
        return w;
    }
    for (std::size_t i = 0; i < w.nbytes(); ++i) bytes[i] = static_cast<std::byte>(g_random() & 0xFFU);
    for (std::size_t b = 0; b < w.nbytes(); b += t.bytes)
        for (const std::size_t at : {std::size_t{0}, std::size_t{2}, std::size_t{208}}) {
            const auto h = static_cast<std::uint16_t>(0x1C00U + (g_random() & 0xFFU));
            if (at + 2 <= t.bytes && (at != 208 || t.id == DType::Q6_K)) std::memcpy(bytes + b + at, &h, 2);
        }
    return w;
}

// As many copies of a weight as make 100 MB, taken in turn, so that few rows read memory and not cache.
void bench_products(ThreadPool& threads, const Peaks& peaks, const std::string& filter) {
    const Kernels& k = active_kernels();
    for (const DTypeTraits* t : all_traits())
        for (const Profile profile : {Profile::f32, Profile::bf16, Profile::q8}) {
            if (t->quantised != (profile == Profile::q8) || (profile == Profile::bf16) != (t->id == DType::BF16))
                continue;
            if (t->id == DType::F16) continue;
            for (const auto& [N, K] :
                 {std::pair<std::int64_t, std::int64_t>{1536, t->block == 256 ? 512 : 576}, {576, 1536}}) {
                const std::string name = std::string(t->name) + " " + std::to_string(N) + "x" + std::to_string(K);
                if (name.find(filter) == std::string::npos) continue;
                std::vector<Weight> weights;
                double build = 0;
                const Tensor tensor = random_weight(*t, N, K);
                {
                    const auto start = Clock::now();
                    while (weights.empty() || static_cast<double>(weights.size() * weights[0].panel_bytes()) < 100e6)
                        weights.emplace_back(tensor, profile, true, threads);
                    build = std::chrono::duration<double>(Clock::now() - start).count() /
                            static_cast<double>(weights.size());
                }
                std::printf("%-18s panels %5.2f bits a weight, built at %5.0f M weights/s\n", name.c_str(),
                            8.0 * static_cast<double>(weights[0].panel_bytes()) / static_cast<double>(N * K),
                            static_cast<double>(N * K) / build / 1e6);
                for (const std::size_t T : {1U, 2U, 4U, 8U, 64U, 512U}) {
                    const auto x = normals(T * static_cast<std::size_t>(K));
                    std::vector<std::byte> buffer(Prepared::bytes_needed(profile, T, static_cast<std::size_t>(K)));
                    const Prepared p(profile, x.data(), static_cast<std::size_t>(K), T, static_cast<std::size_t>(K),
                                     buffer.data());
                    p.run(k, threads);
                    std::vector<float> y(T * static_cast<std::size_t>(N)), want(y.size());
                    if (T <= 8) {
                        const Product reference{
                            .w = &weights[0], .x = &p, .y = want.data(), .ldy = static_cast<std::size_t>(N)};
                        multiply(scalar_kernels(), threads, {&reference, 1});
                        const Product first{
                            .w = &weights[0], .x = &p, .y = y.data(), .ldy = static_cast<std::size_t>(N)};
                        multiply(k, threads, {&first, 1});
                        verdict(equal(want, y), name);
                    }
                    // Few rows go through all copies, as decoding goes through all layers; many rows through one after
                    // the other.
                    const std::size_t together = T <= 8 ? weights.size() : 1;
                    std::size_t next = 0;
                    const Timing time = measure([&] {
                        std::vector<Product> products(together);
                        for (Product& product : products)
                            product = {.w = &weights[next++ % weights.size()],
                                       .x = &p,
                                       .y = y.data(),
                                       .ldy = static_cast<std::size_t>(N)};
                        if (T <= 8)
                            for (const Product& product : products) multiply(k, threads, {&product, 1});
                        else
                            multiply(k, threads, products);
                    });
                    const double operations = 2.0 * static_cast<double>(N * K) * static_cast<double>(T * together);
                    const double bytes = static_cast<double>(weights[0].panel_bytes() * together);
                    const double peak = profile == Profile::q8
                                            ? peaks.int8_gops
                                            : (profile == Profile::bf16 ? peaks.bf16_gflops : peaks.f32_gflops);
                    std::printf(
                        "  T=%-4zu %8.1f us  %7.1f Gop/s (%5.1f %% of peak)  %6.1f GB/s (%5.1f %% of read)   best "
                        "%7.1f Gop/s\n",
                        T, time.median * 1e6 / static_cast<double>(together), operations / time.median / 1e9,
                        100 * operations / time.median / 1e9 / peak, bytes / time.median / 1e9,
                        100 * bytes / time.median / 1e9 / peaks.read_gbytes_per_s, operations / time.best / 1e9);
                }
            }
        }
}

// A layer's attention: 9 query heads over 3 KV heads of 64, a chunk of rows at the end of n keys.
void bench_attend(ThreadPool& threads, const Peaks& peaks, const std::string& filter) {
    if (std::string("attend").find(filter) == std::string::npos) return;
    constexpr int kHeads = 9, kKv = 3, D = 64, kGroup = kHeads / kKv, kTokens = 4;
    for (const KvType type : {KvType::F16, KvType::F32, KvType::Q8_0})
        for (const auto& [rows, keys] : {std::pair{512, 512}, {1, 512}, {1, 2048}, {1, 98304}, {512, 2048}}) {
            const std::size_t side = kv_side_bytes(type, D), head = 2 * side;
            const std::size_t n_pages = static_cast<std::size_t>(keys) / 16;
            const std::size_t pool_bytes = n_pages * head * kKv;
            const HugeMemory pool = map_huge(pool_bytes);
            std::byte* const base = pool.get();
            const auto values = normals(n_pages * kKv * 16 * 2 * D);
            for (std::size_t i = 0; i < n_pages * kKv * 16; ++i) {
                std::byte* const page = base + i / 16 * head;
                kv_store_key(active_kernels(), type, values.data() + i * 2 * D, D, i % 16, page);
                kv_store_value(active_kernels(), type, values.data() + (i * 2 + 1) * D, D, i % 16, page + side);
            }
            std::vector<const std::byte*> pages;
            for (std::size_t p = 0; p < n_pages; ++p) pages.push_back(base + p * head * kKv);
            const auto q = normals(static_cast<std::size_t>(rows) * kHeads * D);
            const auto run = [&](const Kernels& k, std::vector<float>& out) {
                const std::size_t tiles = (static_cast<std::size_t>(rows) + kTokens - 1) / kTokens;
                threads.run(tiles * kKv, [&](std::size_t task, int) {
                    const int kv = static_cast<int>(task % kKv), t0 = static_cast<int>(task / kKv) * kTokens;
                    const float* queries[kTokens * kGroup];
                    float* outs[kTokens * kGroup];
                    std::int32_t first[kTokens * kGroup], last[kTokens * kGroup];
                    int n = 0;
                    for (int t = t0; t < std::min(rows, t0 + kTokens); ++t)
                        for (int h = 0; h < kGroup; ++h, ++n) {
                            const std::size_t at =
                                (static_cast<std::size_t>(t) * kHeads + static_cast<std::size_t>(kv * kGroup + h)) * D;
                            queries[n] = q.data() + at;
                            outs[n] = out.data() + at;
                            first[n] = 0;
                            last[n] = keys - rows + t;
                        }
                    thread_local std::vector<std::byte> scratch;
                    scratch.resize(attend_scratch_bytes(n, D, D) + 64);
                    k.attend(
                        {.pages = pages.data(),
                         .k_offset = static_cast<std::size_t>(kv) * head,
                         .v_offset = static_cast<std::size_t>(kv) * head + side,
                         .type = type,
                         .head_dim = D,
                         .v_dim = D,
                         .n_rows = n,
                         .q = queries,
                         .out = outs,
                         .first = first,
                         .last = last,
                         .scale = 0.125F,
                         .scratch = scratch.data() + (64 - reinterpret_cast<std::uintptr_t>(scratch.data()) % 64)});
                });
            };
            std::vector<float> want(q.size()), got(q.size());
            if (rows * keys <= 512 * 512) {
                run(scalar_kernels(), want);
                run(active_kernels(), got);
                verdict(equal(want, got), "attend");
            }
            const Timing time = measure([&] { run(active_kernels(), got); });
            double pairs = 0;
            for (int t = 0; t < rows; ++t) pairs += keys - rows + t + 1;
            const double operations = pairs * kHeads * D * 4;
            std::printf(
                "attend %s rows=%-4d keys=%-5d %8.1f us  %6.1f GFLOP/s (%5.1f %% of peak)  %5.1f GB/s (%5.1f %% of "
                "read)  best %6.1f\n",
                type == KvType::F32   ? "F32"
                : type == KvType::F16 ? "F16"
                                      : "Q8_0",
                rows, keys, time.median * 1e6, operations / time.median / 1e9,
                100 * operations / time.median / 1e9 / peaks.f32_gflops,
                static_cast<double>(pool_bytes) / time.median / 1e9,
                static_cast<double>(pool_bytes) / time.median / 1e9 / peaks.read_gbytes_per_s * 100,
                operations / time.best / 1e9);
        }
}

void bench_rows(const std::string& filter) {
    if (std::string("rows").find(filter) == std::string::npos) return;
    const Kernels& k = active_kernels();
    const std::size_t n = 1536;
    const auto x = normals(n), up = normals(n);
    std::vector<float> y(n);
    std::vector<std::byte> buffer(Prepared::bytes_needed(Profile::q8, 1, n));
    const Prepared p(Profile::q8, x.data(), n, 1, n, buffer.data());
    const auto show = [&](const char* what, const std::function<void()>& work) {
        const Timing t = measure([&] {
            for (int i = 0; i < 100; ++i) work();
        });
        std::printf("rows %-14s %7.3f ns a value (best %6.3f)\n", what, t.median * 1e7 / static_cast<double>(n),
                    t.best * 1e7 / static_cast<double>(n));
    };
    show("quantize_row", [&] { p.run_row(k, 0); });
    show("norm rms", [&] { k.norm_row(NormKind::rms, x.data(), up.data(), nullptr, 1e-5F, n, y.data(), nullptr); });
    show("silu * up", [&] { k.activate(Activation::silu, x.data(), up.data(), y.data(), n); });
    show("gelu_tanh * up", [&] { k.activate(Activation::gelu_tanh, x.data(), up.data(), y.data(), n); });
    show("exp_sum", [&] { (void)k.exp_sum(x.data(), 4, n, nullptr); });
    show("argmax", [&] { (void)k.argmax(x.data(), n); });
    show("rope 64", [&] {
        for (std::size_t h = 0; h < n; h += 64) k.rope(y.data() + h, up.data(), 64, true);
    });
}

}  // namespace

int main(int argc, char** argv) {
    const std::string filter = argc > 1 ? argv[1] : "";
    freehold::set_float_environment();
    ThreadPool threads(argc > 2 ? std::atoi(argv[2]) : 0);
    const Peaks peaks = measure_peaks(threads);
    std::printf("kernels %s, %d threads; peaks: F32 %.0f GFLOP/s, int8 %.0f Gop/s, BF16 %.0f GFLOP/s, read %.1f GB/s\n",
                active_kernels().name, threads.size(), peaks.f32_gflops, peaks.int8_gops, peaks.bf16_gflops,
                peaks.read_gbytes_per_s);
    bench_products(threads, peaks, filter);
    bench_attend(threads, peaks, filter);
    bench_rows(filter);
    return 0;
}
