// Plain threads: a loop here takes milliseconds at least, so that starting them costs nothing.
#include "parallel.h"

#include <zlib.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace freehold::scan {

void on_threads(unsigned threads, std::size_t n, const std::function<void(std::size_t)>& work) {
    std::atomic<std::size_t> next{0};
    std::mutex mutex;
    std::exception_ptr first;
    const auto loop = [&] {
        for (std::size_t i = next++; i < n; i = next++) {
            try {
                work(i);
            } catch (...) {
                const std::lock_guard lock(mutex);
                if (!first) first = std::current_exception();
                next = n;
                return;
            }
        }
    };
    std::vector<std::thread> others;
    const std::size_t wanted = std::min<std::size_t>(threads, n);
    for (std::size_t i = 1; i < wanted; ++i) {
        try {
            others.emplace_back(loop);
        } catch (const std::system_error&) {
            break;  // a limit on processes: those that there are do the work
        }
    }
    loop();
    for (std::thread& other : others) other.join();
    if (first) std::rethrow_exception(first);
}

std::uint32_t checksum(Bytes bytes, unsigned threads) {
    constexpr std::size_t kPiece = 16U << 20;
    const auto sum = [](Bytes piece) {
        return static_cast<std::uint32_t>(::crc32_z(0, reinterpret_cast<const Bytef*>(piece.data()), piece.size()));
    };
    const std::size_t pieces = bytes.size() / kPiece;
    if (threads < 2 || pieces < 2) return sum(bytes);
    std::vector<std::uint32_t> sums(pieces + 1);
    on_threads(threads, pieces + 1, [&](std::size_t i) {
        sums[i] = sum(bytes.subspan(i * kPiece, std::min(kPiece, bytes.size() - i * kPiece)));
    });
    uLong out = sums[0];
    for (std::size_t i = 1; i <= pieces; ++i)
        out = ::crc32_combine(out, sums[i], static_cast<z_off_t>(std::min(kPiece, bytes.size() - i * kPiece)));
    return static_cast<std::uint32_t>(out);
}

}  // namespace freehold::scan
