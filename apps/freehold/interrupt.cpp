// The signal handler does what is safe there: it sets a flag, counts, and ends the process when nobody reacts.
#include "interrupt.h"

#include <unistd.h>

#include <atomic>
#include <csignal>

#include "freehold/base/error.h"

namespace freehold::cli {
namespace {

std::atomic<bool> stop_asked{false};
std::atomic<int> signals_seen{0};
std::atomic<int> patience_left{2};
std::atomic<int> guards{0};
struct sigaction previous_int {};
struct sigaction previous_term {};

extern "C" void on_signal(int /*number*/) {
    stop_asked = true;
    if (signals_seen.fetch_add(1) + 1 >= patience_left.load()) ::_exit(130);
}

}  // namespace

InterruptGuard::InterruptGuard(int patience) {
    if (guards.fetch_add(1) > 0) return;
    patience_left = patience;
    clear_interrupt();
    struct sigaction action {};
    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    ::sigaction(SIGINT, &action, &previous_int);
    ::sigaction(SIGTERM, &action, &previous_term);
}

InterruptGuard::~InterruptGuard() {
    if (guards.fetch_sub(1) > 1) return;
    ::sigaction(SIGINT, &previous_int, nullptr);
    ::sigaction(SIGTERM, &previous_term, nullptr);
}

bool interrupted() noexcept {
    return stop_asked.load();
}
const std::atomic<bool>* interrupt_flag() noexcept {
    return &stop_asked;
}
void clear_interrupt() noexcept {
    stop_asked = false;
}
void check_interrupt() {
    if (interrupted()) throw Error(ErrorKind::cancelled, "Stopped by Ctrl-C.");
}

}  // namespace freehold::cli
