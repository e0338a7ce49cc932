// fork and exec with a pipe. Between the two only async-signal-safe calls are made, since other threads may hold locks.
// The child gets a process group of its own, so that stopping it stops what it started too.
#include "freehold/store/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>

#include "disk.h"
#include "freehold/base/error.h"

extern char** environ;

namespace freehold::process {
namespace {

constexpr std::size_t kKeep = 64 << 10;
constexpr int kTickMs = 200;

// Waits for the child when it goes out of scope, and ends it first if it still runs.
class Child {
 public:
    explicit Child(pid_t pid) noexcept : pid_(pid) {}
    ~Child() {
        if (pid_ <= 0) return;
        ::kill(-pid_, SIGKILL);
        ::kill(pid_, SIGKILL);
        static_cast<void>(wait());
    }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    int wait() noexcept {
        int status = 0;
        while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
        }
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }

 private:
    pid_t pid_;
};

std::vector<std::string> merged_environment(const std::vector<std::pair<std::string, std::string>>& added) {
    std::vector<std::string> out;
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
        const std::string_view text(*entry);
        const bool replaced = std::any_of(added.begin(), added.end(), [&](const auto& pair) {
            return text.starts_with(pair.first) && text.substr(pair.first.size()).starts_with('=');
        });
        if (!replaced) out.emplace_back(text);
    }
    for (const auto& [name, value] : added) out.push_back(name + "=" + value);
    return out;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> out;
    out.reserve(texts.size() + 1);
    for (std::string& text : texts) out.push_back(text.data());
    out.push_back(nullptr);
    return out;
}

}  // namespace

Result run(const std::vector<std::string>& arguments,
           const std::vector<std::pair<std::string, std::string>>& environment, const std::function<void()>& tick) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
        throw Error(ErrorKind::io, fmt::format("No pipe can be made: {}.", std::strerror(errno)));
    const disk::Fd reading(ends[0]);
    disk::Fd writing(ends[1]);
    std::vector<std::string> argument_texts = arguments;
    std::vector<std::string> environment_texts = merged_environment(environment);
    const std::vector<char*> argv = pointers(argument_texts);
    const std::vector<char*> envp = pointers(environment_texts);
    const pid_t parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid < 0) throw Error(ErrorKind::io, fmt::format("No process can be made: {}.", std::strerror(errno)));
    if (pid == 0) {
        ::setpgid(0, 0);
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent) ::_exit(126);
        const int null = ::open("/dev/null", O_RDONLY);
        if (null >= 0) ::dup2(null, 0);
        ::dup2(writing.get(), 1);
        ::dup2(writing.get(), 2);
        environ = const_cast<char**>(envp.data());
        ::execvp(argv[0], const_cast<char**>(argv.data()));
        ::_exit(127);
    }
    Child child(pid);
    writing = disk::Fd();
    Result result;
    std::array<char, 4096> buffer{};
    while (true) {
        pollfd waiting{reading.get(), POLLIN, 0};
        const int ready = ::poll(&waiting, 1, kTickMs);
        if (tick) tick();
        if (ready <= 0) continue;
        const ssize_t n = ::read(reading.get(), buffer.data(), buffer.size());
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        result.output.append(buffer.data(), static_cast<std::size_t>(n));
        if (result.output.size() > 2 * kKeep) result.output.erase(0, result.output.size() - kKeep);
    }
    result.exit_code = child.wait();
    return result;
}

}  // namespace freehold::process
