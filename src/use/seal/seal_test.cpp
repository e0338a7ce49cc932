// The seal is tried, not believed: each way out in a sealed child, the same without the seal, and holes from before.
#include "freehold/seal/seal.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <thread>

#include "freehold/base/error.h"

namespace freehold {
namespace {

// Runs in a child, which a seal would otherwise outlive; true when it says so.
bool in_child(const std::function<bool()>& work) {
    const pid_t child = fork();
    if (child == 0) {
        bool ok = false;
        try {
            ok = work();
        } catch (const Error& error) {
            std::fprintf(stderr, "%s\n", error.what());
        }
        _exit(ok ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int listener(std::uint16_t& port) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(fd, 8) != 0) return -1;
    getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    port = ntohs(address.sin_port);
    return fd;
}

int connected_to(std::uint16_t port) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    return connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 ? fd : -1;
}

TEST(Seal, EveryWayOutIsRefused) {
    const auto attempts = try_the_seal();
    EXPECT_GE(attempts.size(), 16U);
    for (const auto& attempt : attempts) EXPECT_TRUE(attempt.refused) << attempt.name << ": " << attempt.outcome;
}

// An attempt that fails without the seal as well would prove nothing.
TEST(Seal, WithoutItTheWaysAreOpen) {
    const auto attempts = try_the_seal(false);
    const auto through = [&](const std::string& name) {
        const auto it = std::ranges::find(attempts, name, &SealAttempt::name);
        return it != attempts.end() && it->outcome == "went through";
    };
    for (const char* name : {"TCP: a new connection", "TCP: from a thread that is older than the seal",
                             "TCP: from a child process", "UDP: a new socket and a datagram",
                             "local socket of another program", "a program (exec)", "a program (posix_spawn)",
                             "TCP: connect on a socket from before", "UDP: a datagram on a socket from before"}) {
        EXPECT_TRUE(through(name)) << name;
    }
}

TEST(Seal, ServingGoesOn) {
    std::uint16_t port = 0;
    const int fd = listener(port);
    ASSERT_GE(fd, 0);
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    std::thread client([&] {
        char ready = 0;
        ASSERT_EQ(read(ends[0], &ready, 1), 1);
        const int to = connected_to(port);
        ASSERT_GE(to, 0);
        ASSERT_EQ(write(to, "ping", 4), 4);
        char answer[4] = {};
        EXPECT_EQ(read(to, answer, 4), 4);
        EXPECT_EQ(std::string(answer, 4), "pong");
        close(to);
    });
    EXPECT_TRUE(in_child([&] {
        seal_process();
        if (write(ends[1], "x", 1) != 1) return false;
        const int from = accept4(fd, nullptr, nullptr, SOCK_CLOEXEC);
        char question[4] = {};
        if (from < 0 || read(from, question, 4) != 4) return false;
        if (connected_to(port) >= 0 || errno != EPERM) return false;
        // What Asio uses for several buffers at once.
        char first[] = "po", second[] = "ng";
        iovec pieces[2] = {{first, 2}, {second, 2}};
        msghdr message{};
        message.msg_iov = pieces;
        message.msg_iovlen = 2;
        return sendmsg(from, &message, MSG_NOSIGNAL) == 4 && inspect_seal(getpid()).sealed();
    }));
    client.join();
    close(fd);
}

TEST(Seal, AHoleFromBeforeIsNamed) {
    std::uint16_t port = 0;
    const int fd = listener(port);
    ASSERT_GE(fd, 0);
    const auto refused = [&](const std::function<int()>& hole, const std::string& word) {
        return in_child([&] {
            if (hole() < 0) return false;
            try {
                seal_process();
            } catch (const Error& error) {
                return error.kind() == ErrorKind::conflict && error.message().find(word) != std::string::npos;
            }
            return false;
        });
    };
    EXPECT_TRUE(refused([] { return socket(AF_INET, SOCK_DGRAM, 0); }, "UDP"));
    EXPECT_TRUE(refused([] { return socket(AF_INET6, SOCK_STREAM, 0); }, "not connected"));
    EXPECT_TRUE(refused([] { return socket(AF_UNIX, SOCK_DGRAM, 0); }, "local socket"));
    EXPECT_TRUE(refused([] { return socket(AF_NETLINK, SOCK_RAW, 0); }, "netlink"));
    EXPECT_TRUE(refused(
        [&] {
            const int out = connected_to(port);
            close(fd);  // were it ours, the connection would have come in by it
            return out;
        },
        "TCP connection to 127.0.0.1"));
    // A pair inside the process leads nowhere.
    EXPECT_TRUE(in_child([] {
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) return false;
        seal_process();
        return true;
    }));
    close(fd);
}

TEST(Seal, ARunningProcessIsLookedAt) {
    const ProcessSeal open = inspect_seal(getpid());
    EXPECT_GE(open.threads, 1);
    EXPECT_FALSE(open.sealed());
    EXPECT_TRUE(in_child([] {
        std::thread waiting([] { std::this_thread::sleep_for(std::chrono::milliseconds(300)); });
        seal_process();
        const ProcessSeal state = inspect_seal(getpid());
        waiting.join();
        return state.threads == 2 && state.sealed() && state.no_new_privileges;
    }));
    try {
        (void)inspect_seal(0x3FFFFFFF);
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::not_found);
    }
}

}  // namespace
}  // namespace freehold
