// Times as people and files write them.
// Calendar arithmetic is that of <chrono>, so no time zone of the machine takes part.
#include <fmt/format.h>

#include <charconv>
#include <chrono>

#include "freehold/access/principal.h"
#include "freehold/base/printable.h"

namespace freehold::access {
namespace {

// Exactly `digits` digits from `at` on, or -1.
int number(std::string_view text, std::size_t at, std::size_t digits) {
    if (text.size() < at + digits) return -1;
    int value = 0;
    for (const char c : text.substr(at, digits)) {
        if (c < '0' || c > '9') return -1;
        value = value * 10 + (c - '0');
    }
    return value;
}

}  // namespace

std::int64_t system_clock_ms() {
    using namespace std::chrono;
    return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

std::string time_text(std::int64_t ms) {
    using namespace std::chrono;
    const sys_time<milliseconds> when{milliseconds(ms)};
    const auto day = floor<days>(when);
    const year_month_day date(day);
    const hh_mm_ss<milliseconds> time(when - day);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                       static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), time.hours().count(),
                       time.minutes().count(), time.seconds().count(), time.subseconds().count());
}

std::int64_t parse_time(std::string_view text) {
    using namespace std::chrono;
    const auto wrong = [&] {
        return Error(ErrorKind::usage, fmt::format("\"{}\" is no time.", printable(text)),
                     "Write a date (2026-12-31) or a date and time in UTC (2026-12-31T18:00:00Z).");
    };
    const int y = number(text, 0, 4), m = number(text, 5, 2), d = number(text, 8, 2);
    if (y < 1970 || m < 1 || d < 1 || text[4] != '-' || text[7] != '-') throw wrong();
    const year_month_day date{year(y), month(static_cast<unsigned>(m)), day(static_cast<unsigned>(d))};
    if (!date.ok()) throw wrong();
    const std::int64_t midnight = duration_cast<milliseconds>(sys_days(date).time_since_epoch()).count();
    if (text.size() == 10) return midnight;
    const int hours = number(text, 11, 2), minutes = number(text, 14, 2), seconds = number(text, 17, 2);
    if (text[10] != 'T' || hours < 0 || hours > 23 || minutes < 0 || minutes > 59 || seconds < 0 || seconds > 59)
        throw wrong();
    if (text[13] != ':' || text[16] != ':') throw wrong();
    std::string_view rest = text.substr(19);
    int milli = 0;
    if (rest.size() == 5 && rest[0] == '.') {
        milli = number(rest, 1, 3);
        rest.remove_prefix(4);
    }
    if (milli < 0 || rest != "Z") throw wrong();
    return midnight + ((hours * 60 + minutes) * 60 + seconds) * std::int64_t{1000} + milli;
}

std::int64_t parse_duration(std::string_view text) {
    std::int64_t count = 0;
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), count);
    const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
    std::int64_t seconds = 0;
    if (unit == "s") seconds = 1;
    if (unit == "m") seconds = 60;
    if (unit == "h") seconds = 3600;
    if (unit == "d") seconds = 86400;
    if (unit == "y") seconds = 365 * std::int64_t{86400};
    // A thousand years is more than any policy asks for, and keeps the product inside 64 bits.
    if (fault != std::errc() || seconds == 0 || count < 0 || count > 1000 * 365 * std::int64_t{86400} / seconds) {
        throw Error(ErrorKind::usage, fmt::format("\"{}\" is no length of time.", printable(text)),
                    "Write a whole number with s, m, h, d or y: 90s, 15m, 24h, 30d, 1y.");
    }
    return count * seconds * 1000;
}

}  // namespace freehold::access
