// Standard input and id lists.
#include "input.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "interrupt.h"

namespace freehold::cli {

namespace {

std::string read_to_end(int fd, const std::string& name) {
    constexpr std::size_t kMost = 1U << 30U;
    std::string text;
    std::array<char, 65536> buffer;
    for (;;) {
        const ssize_t n = ::read(fd, buffer.data(), buffer.size());
        if (n == 0) return text;
        if (n < 0) {
            check_interrupt();
            if (errno == EINTR) continue;
            throw Error(ErrorKind::io, fmt::format("Could not read {}: {}.", name, std::strerror(errno)));
        }
        text.append(buffer.data(), static_cast<std::size_t>(n));
        if (text.size() > kMost)
            throw Error(ErrorKind::limit, fmt::format("There is more than 1 GiB of text in {}.", name),
                        "Give less at once.");
    }
}

}  // namespace

bool stdin_has_text() {
    struct stat status {};
    return ::fstat(STDIN_FILENO, &status) == 0 &&
           (S_ISFIFO(status.st_mode) || S_ISREG(status.st_mode) || S_ISSOCK(status.st_mode));
}

std::string read_stdin() {
    return read_to_end(STDIN_FILENO, "standard input");
}

std::string read_input(const std::string& path) {
    if (path == "-") return read_stdin();
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0 || S_ISREG(info.st_mode) || S_ISDIR(info.st_mode)) return read_text(path);
    // A pipe of the shell, <(command), or a device.
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) throw Error(ErrorKind::io, fmt::format("Could not open {}: {}.", path, std::strerror(errno)));
    try {
        std::string text = read_to_end(fd, path);
        ::close(fd);
        return text;
    } catch (...) {
        ::close(fd);
        throw;
    }
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

}  // namespace freehold::cli
