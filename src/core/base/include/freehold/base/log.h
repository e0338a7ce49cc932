// What the program tells the person who runs it, on standard error; the logging library stays behind this header.
// Answers and results never go through the log: they are standard output.
#pragma once

#include <string_view>

namespace freehold {

enum class LogLevel { trace, debug, info, warn, error, off };

// Messages below this level are dropped; warn at start. Any thread may call these.
void set_log_level(LogLevel level) noexcept;
[[nodiscard]] LogLevel log_level() noexcept;
[[nodiscard]] inline bool log_enabled(LogLevel level) noexcept {
    return level >= log_level();
}

// One line; never throws. Format with fmt at the call, guarded by log_enabled() where that costs.
void log(LogLevel level, std::string_view text) noexcept;
inline void log_debug(std::string_view text) noexcept {
    log(LogLevel::debug, text);
}
inline void log_info(std::string_view text) noexcept {
    log(LogLevel::info, text);
}
inline void log_warn(std::string_view text) noexcept {
    log(LogLevel::warn, text);
}
inline void log_error(std::string_view text) noexcept {
    log(LogLevel::error, text);
}

}  // namespace freehold
