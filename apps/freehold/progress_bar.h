// Progress on stderr: one line that renews itself on a terminal, a line now and then where there is none.
#pragma once

#include <chrono>
#include <mutex>
#include <string>

#include "freehold/base/progress.h"

namespace freehold::cli {

class ProgressBar {
 public:
    explicit ProgressBar(bool quiet = false);
    ~ProgressBar();
    ProgressBar(const ProgressBar&) = delete;
    ProgressBar& operator=(const ProgressBar&) = delete;

    // A function that may outlive no bar; safe from any thread; throws Error{cancelled} after Ctrl-C.
    [[nodiscard]] Progress callback();
    // Takes the line away, so that something else can be printed.
    void clear();

 private:
    using Clock = std::chrono::steady_clock;
    void show(const ProgressEvent& event);
    void draw(const ProgressEvent& event, Clock::time_point now);

    const bool quiet_, terminal_;
    std::mutex mutex_;
    std::string what_;
    std::uint64_t first_done_ = 0;
    Clock::time_point started_, drawn_;
    int last_percent_ = -1;
    bool visible_ = false;
};

}  // namespace freehold::cli
