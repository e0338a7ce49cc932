// Ctrl-C: the first one asks the work to stop, one more ends the process at once (in a chat: several more).
#pragma once

#include <atomic>

namespace freehold::cli {

// While one of these lives, SIGINT and SIGTERM set a flag instead of ending the process. Nested ones share the flag.
class InterruptGuard {
 public:
    // The process ends at once when `patience` signals came and nothing stopped.
    explicit InterruptGuard(int patience = 2);
    ~InterruptGuard();
    InterruptGuard(const InterruptGuard&) = delete;
    InterruptGuard& operator=(const InterruptGuard&) = delete;
};

[[nodiscard]] bool interrupted() noexcept;
// The flag itself, for the engine, which looks at it before every step.
[[nodiscard]] const std::atomic<bool>* interrupt_flag() noexcept;
// Forgets the last Ctrl-C: in a chat it stopped one answer, not the next.
void clear_interrupt() noexcept;
// Throws Error{cancelled} if Ctrl-C was pressed.
void check_interrupt();

}  // namespace freehold::cli
