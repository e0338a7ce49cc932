// The first process reads nothing at all: it waits for a child to end and forks the next. A child that ends in any
// other way than by having lost its connection takes the broker with it, for a half-read message has no continuation.
#include "database_broker.h"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "console.h"
#include "freehold/base/error.h"
#include "freehold/seal/seal.h"

namespace freehold::cli {
namespace {

[[noreturn]] void one_connection(int socket, const PostgresOptions& options, bool seal) {
    int code = 1;
    try {
        const bool again = answer_for_postgres(socket, options, [seal](int connection) {
            if (seal) seal_process(connection);
        });
        code = again ? 0 : 1;
    } catch (const Error& fault) {
        err(fmt::format("The database broker ends: {} {}\n", fault.message(), fault.hint()));
    } catch (const std::exception& fault) {
        err(fmt::format("The database broker ends: {}\n", fault.what()));
    }
    ::_exit(code);
}

[[noreturn]] void broker_main(int socket, const PostgresOptions& options, bool seal) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, kBrokerName);
    // The server still counts and records while it ends: whoever stops all its processes must not stop this one first.
    std::signal(SIGINT, SIG_IGN);
    std::signal(SIGTERM, SIG_IGN);
    std::signal(SIGHUP, SIG_IGN);
    // What the server holds already (the pull helper's socket) is nothing to this process.
    if (dup2(socket, STDERR_FILENO + 1) >= 0) socket = STDERR_FILENO + 1;
    close_range(static_cast<unsigned>(socket) + 1, ~0U, 0);
    for (int status = 0; status == 0;) {
        const pid_t child = fork();
        if (child < 0) break;
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            one_connection(socket, options, seal);
        }
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
        }
    }
    ::_exit(0);
}

}  // namespace

DatabaseBroker::DatabaseBroker(const PostgresOptions& options, bool seal) : options_(options) {
    std::array<int, 2> ends{};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
        throw Error(ErrorKind::io, fmt::format("The database broker cannot be reached: {}.", std::strerror(errno)));
    const pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        broker_main(ends[1], options, seal);
    }
    close(ends[1]);
    if (child < 0) {
        close(ends[0]);
        throw Error(ErrorKind::io, fmt::format("The database broker cannot be started: {}.", std::strerror(errno)));
    }
    // Only the broker knows the password.
    explicit_bzero(options_.password.data(), options_.password.size());
    options_.password.clear();
    options_.address = postgres_name(options_.address);  // where there may be one too
    socket_ = ends[0];
    child_ = child;
}

DatabaseBroker::~DatabaseBroker() {
    if (socket_ >= 0) close(socket_);
    waitpid(child_, nullptr, 0);
}

std::unique_ptr<Database> DatabaseBroker::open() {
    return open_brokered_postgres(std::exchange(socket_, -1), options_);
}

}  // namespace freehold::cli
