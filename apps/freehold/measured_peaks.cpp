// Keeps a measurement of bandwidth and arithmetic in FREEHOLD_HOME/measured.json, under the processor that it was taken
// on.
#include "measured_peaks.h"

#include <fmt/format.h>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/value.h"
#include "freehold/kernels/kernels.h"
#include "machine.h"

namespace freehold::cli {
namespace {

constexpr std::uint64_t kMaxFile = 1 << 16;

std::string circumstances(int n_threads) {
    return fmt::format("{}; {}; {} threads", read_machine().processor, active_kernels().name, n_threads);
}

bool read(const std::filesystem::path& file, const std::string& where, Peaks& peaks) {
    std::error_code ignored;
    if (!std::filesystem::exists(file, ignored)) return false;
    try {
        const Value root = parse_json(read_text(file, kMaxFile), file.string());
        const auto* map = root.get<ValueMap>();
        const auto number = [&](const char* key) {
            const Value* v = map == nullptr ? nullptr : map->find(key);
            return v == nullptr ? 0.0 : v->as_double().value_or(0);
        };
        const Value* taken = map == nullptr ? nullptr : map->find("where");
        if (taken == nullptr || taken->as_string() != where) return false;
        peaks = {number("f32_gflops"), number("int8_gops"), number("bf16_gflops"), number("read_gbytes_per_s")};
        return peaks.read_gbytes_per_s > 0 && peaks.f32_gflops > 0;
    } catch (const Error&) {
        return false;  // a damaged note is measured anew
    }
}

}  // namespace

MeasuredPeaks measured_peaks(const std::filesystem::path& home, int n_threads, bool anew) {
    ThreadPool threads(n_threads);
    const std::string where = circumstances(threads.size());
    const std::filesystem::path file = home / "measured.json";
    MeasuredPeaks m;
    if (!anew && read(file, where, m.peaks)) {
        m.kept = true;
        return m;
    }
    m.peaks = measure_peaks(threads);
    ValueMap map;
    map.set("where", where);
    map.set("f32_gflops", m.peaks.f32_gflops);
    map.set("int8_gops", m.peaks.int8_gops);
    map.set("bf16_gflops", m.peaks.bf16_gflops);
    map.set("read_gbytes_per_s", m.peaks.read_gbytes_per_s);
    std::error_code ignored;
    if (std::filesystem::is_directory(home, ignored)) {
        try {
            write_text_atomic(file, to_json(Value(std::move(map)), 2) + "\n");
        } catch (const Error&) {
            // A store that cannot be written to is no reason not to plan.
            m.kept = false;
        }
    }
    return m;
}

}  // namespace freehold::cli
