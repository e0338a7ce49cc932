// Loops over independent pieces: the files of a folder, the windows of a large file. What is found never depends on the
// number of threads, as pieces are cut by size alone and their findings joined in order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "context.h"

namespace freehold::scan {

// Runs work(i) once for each i < n, the caller being one of the threads. The first exception ends the loop and is
// thrown again when all have stopped.
void on_threads(unsigned threads, std::size_t n, const std::function<void(std::size_t)>& work);

// The CRC-32 of ZIP over all bytes.
[[nodiscard]] std::uint32_t checksum(Bytes bytes, unsigned threads);

}  // namespace freehold::scan
