// Draws at most ten times a second on a terminal; elsewhere one line at the start of each piece of work and at each
// quarter.
#include "progress_bar.h"

#include <fmt/format.h>

#include <algorithm>

#include "console.h"
#include "interrupt.h"

namespace freehold::cli {
namespace {

using namespace std::chrono_literals;

std::string amount(std::uint64_t n, const char* unit) {
    if (std::string_view(unit) == "B") return human_bytes(n);
    return fmt::format("{} {}", with_thousands(n), unit);
}

}  // namespace

ProgressBar::ProgressBar(bool quiet) : quiet_(quiet), terminal_(stderr_is_terminal()) {}
ProgressBar::~ProgressBar() {
    clear();
}

Progress ProgressBar::callback() {
    return [this](const ProgressEvent& event) {
        check_interrupt();
        if (!quiet_) show(event);
    };
}

void ProgressBar::clear() {
    const std::scoped_lock lock(mutex_);
    if (visible_) err("\r\x1b[2K");
    visible_ = false;
}

void ProgressBar::show(const ProgressEvent& event) {
    const std::scoped_lock lock(mutex_);
    const auto now = Clock::now();
    if (event.what != what_) {
        what_ = event.what;
        started_ = now;
        drawn_ = now - 1s;
        first_done_ = event.done;
        last_percent_ = -1;
    }
    const int percent =
        event.total > 0 ? static_cast<int>(100.0 * static_cast<double>(event.done) / static_cast<double>(event.total))
                        : 0;
    if (terminal_) {
        if (now - drawn_ >= 100ms) draw(event, now);
        return;
    }
    // Work that is over at once needs no line of its own.
    if (now - started_ < 1s && last_percent_ < 0) return;
    if (last_percent_ < 0 || percent / 25 > last_percent_ / 25) {
        last_percent_ = percent;
        err(event.total > 0 ? fmt::format("{}: {}% of {}\n", what_, percent, amount(event.total, event.unit))
                            : fmt::format("{}: {}\n", what_, amount(event.done, event.unit)));
    }
}

void ProgressBar::draw(const ProgressEvent& event, Clock::time_point now) {
    drawn_ = now;
    const int width = terminal_width() - 1;
    const double seconds = std::chrono::duration<double>(now - started_).count();
    const double rate =
        seconds > 0.5 ? static_cast<double>(event.done - std::min(first_done_, event.done)) / seconds : 0;
    std::string right = amount(event.done, event.unit);
    if (event.total == 1) {
        right = "...";  // one step: there is nothing to count
    } else if (event.total > 0) {
        const double share = std::min(1.0, static_cast<double>(event.done) / static_cast<double>(event.total));
        right = fmt::format("{:3.0f}%  {} of {}", share * 100.0, right, amount(event.total, event.unit));
        if (rate > 0 && width >= 60) {
            const double left = static_cast<double>(event.total - std::min(event.done, event.total)) / rate;
            right += fmt::format("  {}/s  {} left", amount(static_cast<std::uint64_t>(rate), event.unit),
                                 human_seconds(left));
        }
        const int room = width - display_width(right) - 4 - std::min(28, display_width(what_));
        if (room >= 10) {
            const int bar = std::min(room, 30);
            const int full = static_cast<int>(share * bar);
            right = fmt::format("[{}{}] {}", std::string(static_cast<std::size_t>(full), '='),
                                std::string(static_cast<std::size_t>(bar - full), ' '), right);
        }
    }
    const int left = std::max(8, width - display_width(right) - 2);
    err("\r\x1b[2K" + shortened(fmt::format("{}  {}", shortened(what_, left), right), width));
    visible_ = true;
}

}  // namespace freehold::cli
