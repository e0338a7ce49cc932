// Measures peaks: short rounds on all threads, the best of several, so that a disturbance does not pass for a limit.
// The loops belong to the instruction set; plain ones stand here for CPUs without.
#include "freehold/kernels/peaks.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <vector>

#include "isa/isa.h"
#include "panel_memory.h"

namespace freehold {
namespace {

using Clock = std::chrono::steady_clock;
volatile std::uint64_t g_sink;  // results go here, so that no loop is dropped

double plain_f32(std::size_t rounds) {
    float acc[8] = {};
    for (std::size_t i = 0; i < rounds; ++i)
        for (float& a : acc) a = std::fma(0.5F, 1.0F, a);
    g_sink = static_cast<std::uint64_t>(acc[0]);
    return static_cast<double>(rounds) * 8 * 2;
}

double plain_int8(std::size_t rounds) {
    int acc[8] = {};
    volatile std::int8_t w = 3;
    for (std::size_t i = 0; i < rounds; ++i) {
        const int code = w;
        for (int& a : acc) a += code * 5;
    }
    g_sink = static_cast<std::uint64_t>(acc[0]);
    return static_cast<double>(rounds) * 8 * 2;
}

std::uint64_t plain_read(const std::byte* memory, std::size_t bytes) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i + 8 <= bytes; i += 8) {
        std::uint64_t word;
        std::memcpy(&word, memory + i, 8);
        sum += word;
    }
    return sum;
}

constexpr PeakLoops kPlain{.f32 = plain_f32, .int8 = plain_int8, .bf16 = plain_f32, .read = plain_read};

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

// Operations per second, in 10^9, of a loop on all threads: grows the rounds to about 5 ms, then takes the best of
// eight.
double best_rate(ThreadPool& threads, double (*loop)(std::size_t)) {
    const auto n = static_cast<std::size_t>(threads.size());
    std::vector<double> operations(n);
    const auto run = [&](std::size_t rounds) {
        const auto start = Clock::now();
        threads.run(n, [&](std::size_t task, int) { operations[task] = loop(rounds); });
        return seconds_since(start);
    };
    std::size_t rounds = 1000;
    while (run(rounds) < 0.005 && rounds < (std::size_t{1} << 40)) rounds *= 2;
    double best = 0;
    for (int i = 0; i < 8; ++i) {
        const double time = run(rounds);
        double total = 0;
        for (const double o : operations) total += o;
        best = std::max(best, total / time / 1e9);
    }
    return best;
}

double read_rate(ThreadPool& threads, const PeakLoops& loops) {
    constexpr std::size_t kPart = std::size_t{4} << 20;
    constexpr std::size_t kParts = 32;  // 128 MiB: several times the third-level cache of most machines
    const auto memory = allocate_panels(kPart * kParts);
    threads.run(kParts, [&](std::size_t part, int) {
        std::memset(memory.get() + part * kPart, static_cast<int>(part), kPart);
    });
    double best = 0;
    const auto begin = Clock::now();
    for (int i = 0; i < 5 || (i < 20 && seconds_since(begin) < 0.15); ++i) {
        const auto start = Clock::now();
        threads.run(kParts, [&](std::size_t part, int) { g_sink = loops.read(memory.get() + part * kPart, kPart); });
        best = std::max(best, static_cast<double>(kPart * kParts) / seconds_since(start) / 1e9);
    }
    return best;
}

}  // namespace

Peaks measure_peaks(ThreadPool& threads) {
    const PeakLoops* fast = isa_peak_loops(active_kernels());
    const PeakLoops& loops = fast != nullptr ? *fast : kPlain;
    return {.f32_gflops = best_rate(threads, loops.f32),
            .int8_gops = best_rate(threads, loops.int8),
            .bf16_gflops = best_rate(threads, loops.bf16),
            .read_gbytes_per_s = read_rate(threads, loops)};
}

}  // namespace freehold
