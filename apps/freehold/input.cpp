// Standard input and id lists.
#include "input.h"

#include <fmt/format.h>
#include <unistd.h>
#include <utf8proc.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "interrupt.h"

namespace freehold::cli {

std::string read_stdin() {
    constexpr std::size_t kMost = 1U << 30U;
    std::string text;
    std::array<char, 65536> buffer;
    for (;;) {
        const ssize_t n = ::read(STDIN_FILENO, buffer.data(), buffer.size());
        if (n == 0) return text;
        if (n < 0) {
            check_interrupt();
            if (errno == EINTR) continue;
            throw Error(ErrorKind::io, fmt::format("Could not read standard input: {}.", std::strerror(errno)));
        }
        text.append(buffer.data(), static_cast<std::size_t>(n));
        if (text.size() > kMost)
            throw Error(ErrorKind::limit, "Standard input has more than 1 GiB of text.", "Give less at once.");
    }
}

std::string read_input(const std::string& path) {
    return path == "-" ? read_stdin() : read_text(path);
}

std::vector<std::int32_t> parse_ids(std::string_view text) {
    std::vector<std::int32_t> ids;
    const std::string_view between = " \t\r\n,[]";
    while (true) {
        const auto start = text.find_first_not_of(between);
        if (start == std::string_view::npos) return ids;
        text.remove_prefix(start);
        const auto length = std::min(text.find_first_of(between), text.size());
        const std::string_view word = text.substr(0, length);
        std::int32_t id = 0;
        const auto [end, problem] = std::from_chars(word.data(), word.data() + word.size(), id);
        if (problem != std::errc() || end != word.data() + word.size() || id < 0) {
            throw Error(ErrorKind::usage, fmt::format("\"{}\" is no token id.", word.substr(0, 40)),
                        "Ids are whole numbers from 0, separated by commas or blanks: 1,2,3.");
        }
        ids.push_back(id);
        text.remove_prefix(length);
    }
}

std::string valid_utf8(std::string_view text) {
    std::string result;
    while (!text.empty()) {
        utf8proc_int32_t code = 0;
        const auto n = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                        static_cast<utf8proc_ssize_t>(text.size()), &code);
        const auto length = n > 0 ? static_cast<std::size_t>(n) : 1;
        if (n > 0) {
            result += text.substr(0, length);
        } else {
            result += "\xEF\xBF\xBD";
        }
        text.remove_prefix(length);
    }
    return result;
}

}  // namespace freehold::cli
