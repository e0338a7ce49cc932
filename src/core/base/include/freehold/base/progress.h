// Progress on anything that takes more than a second: who works reports, who watches decides how it looks.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace freehold {

struct ProgressEvent {
    std::string what;         // "pulling model.gguf", "hashing"
    std::uint64_t done = 0;   // in units
    std::uint64_t total = 0;  // 0: not known
    const char* unit = "B";   // "B", "tokens", "items"
};
// May throw Error{cancelled} to stop the work at this point.
using Progress = std::function<void(const ProgressEvent&)>;

}  // namespace freehold
