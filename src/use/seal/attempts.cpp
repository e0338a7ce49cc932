// Every way out that is known, tried in a sealed child on targets that live on loopback. What is said here is what was
// seen, so `freehold doctor --sealed` needs nobody's word.
#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <spawn.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <functional>
#include <future>
#include <thread>
#include <utility>

#include "filter.h"
#include "freehold/base/error.h"
#include "freehold/seal/seal.h"

extern char** environ;

namespace freehold {
namespace {

constexpr long kIoUringSetup = 425, kIoUringEnter = 426, kPidfdOpen = 434, kPidfdGetfd = 438;
constexpr const char* kProgram = "/bin/true";  // does nothing, and is everywhere
constexpr int kFastOpen = 0x20000000;          // MSG_FASTOPEN

class Descriptor {
 public:
    explicit Descriptor(int fd = -1) : fd_(fd) {}
    Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (fd_ >= 0) close(fd_);
    }
    [[nodiscard]] int get() const { return fd_; }

 private:
    int fd_;
};

sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    return address;
}

// What the attempts aim at; it stays with the parent.
struct Targets {
    Descriptor tcp, udp, local;
    std::uint16_t tcp_port = 0, udp_port = 0;
    sockaddr_un local_name{};
    socklen_t local_size = 0;
    pid_t parent = 0;
};

std::uint16_t bound_port(int fd) {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    return ntohs(address.sin_port);
}

Targets make_targets() {
    Targets t;
    t.parent = getpid();
    t.tcp = Descriptor(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    t.udp = Descriptor(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    t.local = Descriptor(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in any = loopback(0);
    bool ok = t.tcp.get() >= 0 && t.udp.get() >= 0 && t.local.get() >= 0;
    ok = ok && bind(t.tcp.get(), reinterpret_cast<sockaddr*>(&any), sizeof any) == 0 && listen(t.tcp.get(), 64) == 0;
    ok = ok && bind(t.udp.get(), reinterpret_cast<sockaddr*>(&any), sizeof any) == 0;
    t.local_name.sun_family = AF_UNIX;
    // An abstract name: no file is left behind.
    const std::string name = fmt::format("freehold-seal-{}", t.parent);
    std::memcpy(t.local_name.sun_path + 1, name.data(), name.size());
    t.local_size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    ok = ok && bind(t.local.get(), reinterpret_cast<sockaddr*>(&t.local_name), t.local_size) == 0 &&
         listen(t.local.get(), 64) == 0;
    if (!ok) {
        throw Error(ErrorKind::io,
                    fmt::format("The targets for the attempts could not be opened: {}.", std::strerror(errno)),
                    "Loopback must be up (ip link set lo up).");
    }
    const int on = 8;
    setsockopt(t.tcp.get(), IPPROTO_TCP, TCP_FASTOPEN, &on, sizeof on);
    t.tcp_port = bound_port(t.tcp.get());
    t.udp_port = bound_port(t.udp.get());
    return t;
}

// An attempt gives 0 when it went through, else errno. Set errno and return -1 in the manner of system calls.
using Try = std::function<long()>;

SealAttempt attempt(std::string name, const Try& work) {
    SealAttempt result{std::move(name), false, {}};
    errno = 0;
    const long value = work();
    const int code = errno;
    result.refused = value < 0 && code == EPERM;
    if (result.refused) {
        result.outcome = fmt::format("refused: {}", std::strerror(code));
    } else if (value < 0) {
        result.outcome = fmt::format("not refused by the seal, but failed: {}", std::strerror(code));
    } else {
        result.outcome = "went through";
    }
    return result;
}

long connect_tcp(const Targets& t) {
    const Descriptor fd(socket(AF_INET, SOCK_STREAM, 0));
    if (fd.get() < 0) return -1;
    const sockaddr_in address = loopback(t.tcp_port);
    return connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

long open_ring() {
    std::array<unsigned char, 120> parameters{};  // struct io_uring_params
    return syscall(kIoUringSetup, 2, parameters.data());
}

// In a child of its own, since a program that starts would replace the one that asks: 0 when it did.
long run_program() {
    const pid_t child = fork();
    if (child == 0) {
        std::array<char*, 1> none = {nullptr};
        std::string path = kProgram;
        std::array<char*, 2> arguments = {path.data(), nullptr};
        execve(path.c_str(), arguments.data(), none.data());
        _exit(errno == EPERM ? 99 : 98);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) < 0) return -1;
    if (WIFEXITED(status) && WEXITSTATUS(status) >= 98) {
        errno = WEXITSTATUS(status) == 99 ? EPERM : ENOENT;
        return -1;
    }
    return 0;
}

// Work that may end its process (another architecture's calls do): an end by SIGSYS is a refusal.
long in_child(const Try& work) {
    const pid_t child = fork();
    if (child == 0) {
        errno = 0;
        const long value = work();
        _exit(value >= 0 ? 0 : (errno == EPERM ? 99 : 98));
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) < 0) return -1;
    if (WIFSIGNALED(status) || WEXITSTATUS(status) != 0) {
        errno = (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) || WEXITSTATUS(status) == 99 ? EPERM : EIO;
        return -1;
    }
    return 0;
}

std::vector<SealAttempt> attempts(const Targets& t, const Descriptor& tcp_before, const Descriptor& udp_before,
                                  int ring_before, bool holes_named) {
    const sockaddr_in tcp = loopback(t.tcp_port), udp = loopback(t.udp_port);
    const auto* tcp_address = reinterpret_cast<const sockaddr*>(&tcp);
    const auto* udp_address = reinterpret_cast<const sockaddr*>(&udp);
    const char byte = 'x';
    std::vector<SealAttempt> list;
    const auto add = [&](const char* name, const Try& work) { list.push_back(attempt(name, work)); };

    add("TCP: a new connection", [&] { return connect_tcp(t); });
    add("TCP: from a child process", [&] { return in_child([&] { return connect_tcp(t); }); });
    add("UDP: a new socket and a datagram", [&]() -> long {
        const Descriptor fd(socket(AF_INET, SOCK_DGRAM, 0));
        return fd.get() < 0 ? -1 : sendto(fd.get(), &byte, 1, 0, udp_address, sizeof udp);
    });
    add("IPv6: a new socket", [&]() -> long { return Descriptor(socket(AF_INET6, SOCK_STREAM, 0)).get(); });
    add("local socket of another program", [&]() -> long {
        const Descriptor fd(socket(AF_UNIX, SOCK_STREAM, 0));
        return fd.get() < 0 ? -1 : connect(fd.get(), reinterpret_cast<const sockaddr*>(&t.local_name), t.local_size);
    });
    add("netlink socket", [&]() -> long { return Descriptor(socket(AF_NETLINK, SOCK_RAW, 0)).get(); });
    add("a new listener", [&]() -> long {
        const Descriptor fd(socket(AF_INET, SOCK_STREAM, 0));
        return fd.get() < 0 ? -1 : listen(fd.get(), 1);
    });
    add("io_uring: a new ring", [&]() -> long { return Descriptor(static_cast<int>(open_ring())).get(); });
    if (ring_before >= 0) {
        add("io_uring: a ring from before",
            [&]() -> long { return syscall(kIoUringEnter, ring_before, 0, 0, 0, nullptr, 0); });
    }
    add("a program (exec)", [] { return run_program(); });
    add("a program (posix_spawn)", []() -> long {
        std::string path = kProgram;
        std::array<char*, 2> arguments = {path.data(), nullptr};
        pid_t child = 0;
        const int code = posix_spawn(&child, path.c_str(), nullptr, nullptr, arguments.data(), environ);
        if (code == 0) waitpid(child, nullptr, 0);
        errno = code;
        return code == 0 ? 0 : -1;
    });
    add("a descriptor of another process", [&]() -> long {
        const Descriptor process(static_cast<int>(syscall(kPidfdOpen, t.parent, 0)));
        if (process.get() < 0) return -1;
        return Descriptor(static_cast<int>(syscall(kPidfdGetfd, process.get(), t.tcp.get(), 0))).get();
    });
    add("another process (ptrace)", [&]() -> long {
        return in_child([&]() -> long {
            const long value = ptrace(PTRACE_SEIZE, t.parent, nullptr, nullptr);
            if (value == 0) ptrace(PTRACE_DETACH, t.parent, nullptr, nullptr);
            return value;
        });
    });
#if defined(__x86_64__)
    add("calls of 32 bits", [] {
        return in_child([]() -> long {
            long result = 359;  // socket, as i386 numbers it
            __asm__ volatile("int $0x80" : "+a"(result) : "b"(AF_INET), "c"(SOCK_STREAM), "d"(0) : "memory");
            errno = result < 0 ? static_cast<int>(-result) : 0;
            return result < 0 ? -1 : 0;
        });
    });
    add("calls of x32",
        [] { return in_child([]() -> long { return syscall(0x40000000L + SYS_socket, AF_INET, SOCK_STREAM, 0); }); });
#endif
    // With a socket that was there before the filter: seal_process() refuses to start with one, so these show the
    // second line.
    add("TCP: connect on a socket from before",
        [&]() -> long { return connect(tcp_before.get(), tcp_address, sizeof tcp); });
    add("TCP Fast Open on a socket from before",
        [&]() -> long { return sendto(tcp_before.get(), &byte, 1, kFastOpen, tcp_address, sizeof tcp); });
    add("TCP Fast Open by sendmsg", [&]() -> long {
        iovec piece{const_cast<char*>(&byte), 1};
        msghdr message{};
        message.msg_name = const_cast<sockaddr_in*>(&tcp);
        message.msg_namelen = sizeof tcp;
        message.msg_iov = &piece;
        message.msg_iovlen = 1;
        return sendmsg(tcp_before.get(), &message, kFastOpen);
    });
    add("UDP: a datagram on a socket from before",
        [&]() -> long { return sendto(udp_before.get(), &byte, 1, 0, udp_address, sizeof udp); });
    list.push_back(
        {"sockets and rings from before the seal", holes_named,
         holes_named ? "refused: the process is not sealed, and does not serve, while it holds one" : "not noticed"});
    return list;
}

[[noreturn]] void child_main(const Targets& t, int result, bool sealed) {
    const Descriptor tcp_before(socket(AF_INET, SOCK_STREAM, 0)), udp_before(socket(AF_INET, SOCK_DGRAM, 0));
    const Descriptor ring_before(static_cast<int>(open_ring()));
    // A thread that runs already when the filter comes.
    std::promise<void> filtered;
    std::promise<SealAttempt> from_older;
    std::thread older([&, ready = filtered.get_future()]() mutable {
        ready.wait();
        from_older.set_value(attempt("TCP: from a thread that is older than the seal", [&] { return connect_tcp(t); }));
    });
    std::string text;
    int code = 0;
    try {
        std::size_t wanted = 2 + (ring_before.get() >= 0 ? 1U : 0U);
        std::size_t named = 0;
        for (const auto& line : open_holes()) {
            for (const int fd : {tcp_before.get(), udp_before.get(), ring_before.get()}) {
                if (fd >= 0 && line.starts_with(fmt::format("descriptor {}:", fd))) ++named;
            }
        }
        if (sealed) seal::load_filter();
        filtered.set_value();
        SealAttempt thread_attempt = from_older.get_future().get();
        older.join();
        auto list = attempts(t, tcp_before, udp_before, ring_before.get(), sealed && named == wanted);
        list.insert(list.begin() + 1, std::move(thread_attempt));
        for (const auto& a : list) text += fmt::format("{}\t{}\t{}\n", a.name, a.refused ? 1 : 0, a.outcome);
    } catch (const Error& error) {
        text = fmt::format("!{}\t{}", error.message(), error.hint());
        code = 1;
    }
    for (std::string_view rest = text; !rest.empty();) {
        const ssize_t n = write(result, rest.data(), rest.size());
        if (n <= 0) break;
        rest.remove_prefix(static_cast<std::size_t>(n));
    }
    _exit(code);
}

}  // namespace

std::vector<SealAttempt> try_the_seal(bool sealed) {
    const Targets targets = make_targets();
    std::array<int, 2> pipe_ends{};
    if (pipe2(pipe_ends.data(), O_CLOEXEC) != 0) {
        throw Error(ErrorKind::io, fmt::format("No pipe could be made: {}.", std::strerror(errno)));
    }
    Descriptor from_child(pipe_ends[0]), to_parent(pipe_ends[1]);
    const pid_t child = fork();
    if (child < 0) throw Error(ErrorKind::io, fmt::format("No process could be started: {}.", std::strerror(errno)));
    if (child == 0) child_main(targets, to_parent.get(), sealed);
    to_parent = Descriptor();
    std::string text;
    std::array<char, 4096> piece{};
    for (;;) {
        const ssize_t n = read(from_child.get(), piece.data(), piece.size());
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        text.append(piece.data(), static_cast<std::size_t>(n));
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (text.starts_with('!')) {
        const std::size_t tab = text.find('\t');
        throw Error(ErrorKind::unsupported, text.substr(1, tab - 1), text.substr(tab + 1));
    }
    std::vector<SealAttempt> list;
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = text.find('\n', begin);
        const std::string line = text.substr(begin, end - begin);
        const std::size_t first = line.find('\t'), second = line.find('\t', first + 1);
        list.push_back({line.substr(0, first), line[first + 1] == '1', line.substr(second + 1)});
        begin = end + 1;
    }
    if (list.empty() || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        throw Error(ErrorKind::internal, "The process that tries the seal ended early.", "Please report this.");
    }
    return list;
}

}  // namespace freehold
