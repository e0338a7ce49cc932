// The log sink: spdlog on standard error, without time stamps at the levels that a person sees.
#include "freehold/base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <memory>

namespace freehold {

namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) noexcept {
    switch (level) {
        case LogLevel::trace:
            return spdlog::level::trace;
        case LogLevel::debug:
            return spdlog::level::debug;
        case LogLevel::info:
            return spdlog::level::info;
        case LogLevel::warn:
            return spdlog::level::warn;
        case LogLevel::error:
            return spdlog::level::err;
        case LogLevel::off:
            return spdlog::level::off;
    }
    return spdlog::level::off;
}

spdlog::logger& sink() {
    static const std::shared_ptr<spdlog::logger> logger = [] {
        const bool plain = std::getenv("NO_COLOR") != nullptr;
        auto out = std::make_shared<spdlog::sinks::stderr_color_sink_mt>(plain ? spdlog::color_mode::never
                                                                               : spdlog::color_mode::automatic);
        auto made = std::make_shared<spdlog::logger>("freehold", std::move(out));
        made->set_pattern("freehold: %^%l%$: %v");
        made->set_level(spdlog::level::warn);
        return made;
    }();
    return *logger;
}

}  // namespace

void set_log_level(LogLevel level) noexcept {
    try {
        sink().set_level(to_spdlog(level));
    } catch (...) {  // a log that cannot be had is no reason to stop
        return;
    }
}

LogLevel log_level() noexcept {
    try {
        switch (sink().level()) {
            case spdlog::level::trace:
                return LogLevel::trace;
            case spdlog::level::debug:
                return LogLevel::debug;
            case spdlog::level::info:
                return LogLevel::info;
            case spdlog::level::warn:
                return LogLevel::warn;
            case spdlog::level::err:
            case spdlog::level::critical:
                return LogLevel::error;
            default:
                return LogLevel::off;
        }
    } catch (...) {
        return LogLevel::off;
    }
}

void log(LogLevel level, std::string_view text) noexcept {
    try {
        sink().log(to_spdlog(level), spdlog::string_view_t(text.data(), text.size()));
    } catch (...) {
        return;
    }
}

}  // namespace freehold
