// The filter itself, and the look at what a process holds before it is sealed.
#include "freehold/seal/seal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>

#include "filter.h"
#include "freehold/base/error.h"
#include "proc.h"

namespace freehold {
namespace {

#ifndef MSG_FASTOPEN
constexpr int MSG_FASTOPEN = 0x20000000;
#endif

struct Release {
    void operator()(void* filter) const noexcept { seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, Release>;

[[noreturn]] void filter_fault(const char* what, int code) {
    throw Error(
        ErrorKind::unsupported,
        fmt::format("The seal against outgoing connections cannot be applied: {}: {}.", what,
                    std::strerror(code < 0 ? -code : code)),
        "The kernel needs seccomp filters (CONFIG_SECCOMP_FILTER). A container may forbid them; --no-seal serves "
        "without, and says so.");
}

// A call that is younger than this libseccomp has a number all the same: it is refused by `number`, where that is given
// (-1: it is not). What this architecture does not have cannot be called, and is left out.
void refuse(const Filter& filter, const char* name, int number = -1) {
    int call = seccomp_syscall_resolve_name(name);
    if (call == __NR_SCMP_ERROR) call = number;
    if (call == __NR_SCMP_ERROR || (call < 0 && number < 0)) return;
    const int code = seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), call, 0);
    if (code != 0) filter_fault(name, code);
}

void refuse_flag(const Filter& filter, const char* name, unsigned argument, std::uint64_t flag) {
    const scmp_arg_cmp has_flag = {argument, SCMP_CMP_MASKED_EQ, flag, flag};
    const int code =
        seccomp_rule_add_array(filter.get(), SCMP_ACT_ERRNO(EPERM), seccomp_syscall_resolve_name(name), 1, &has_flag);
    if (code != 0) filter_fault(name, code);
}

void build(const Filter& filter) {
    // Whatever does not go through these numbers is another architecture's, or x32: the process ends.
    int code = seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (code != 0) filter_fault("other architectures", code);
    code = seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1);
    if (code != 0) filter_fault("all threads at once", code);

    for (const char* name : {"socket", "connect", "bind", "listen", "socketcall"}) refuse(filter, name);
    // io_uring has calls of its own for all of the above; these numbers are the same on every architecture.
    refuse(filter, "io_uring_setup", 425);
    refuse(filter, "io_uring_enter", 426);
    refuse(filter, "io_uring_register", 427);
    for (const char* name : {"execve", "execveat", "uselib"}) refuse(filter, name);
    // A process that is not sealed must not be made to act, nor to give its descriptors away.
    for (const char* name : {"ptrace",
                             "process_vm_readv",
                             "process_vm_writev",
                             "kcmp",
                             "setns",
                             "unshare",
                             "bpf",
                             "perf_event_open",
                             "userfaultfd",
                             "open_by_handle_at",
                             "init_module",
                             "finit_module",
                             "delete_module",
                             "kexec_load",
                             "kexec_file_load",
                             "mount",
                             "umount2",
                             "pivot_root",
                             "chroot",
                             "keyctl",
                             "add_key",
                             "request_key",
                             "personality"}) {
        refuse(filter, name);
    }
    refuse(filter, "pidfd_getfd", 438);
    refuse(filter, "process_madvise", 440);

    // Data to an address given in the call, on a socket that is not connected.
    const scmp_arg_cmp with_address = {4, SCMP_CMP_NE, 0, 0};
    code = seccomp_rule_add_array(filter.get(), SCMP_ACT_ERRNO(EPERM), SCMP_SYS(sendto), 1, &with_address);
    if (code != 0) filter_fault("sendto", code);
    refuse_flag(filter, "sendto", 3, MSG_FASTOPEN);
    refuse_flag(filter, "sendmsg", 2, MSG_FASTOPEN);
    refuse_flag(filter, "sendmmsg", 3, MSG_FASTOPEN);
}

// Which kind of hole a socket is; empty for what may stay.
std::string hole(int fd) {
    int type = 0, listening = 0;
    socklen_t size = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0) {
        // A ring whose kernel thread polls needs no system call of this process to be told what to do.
        std::error_code gone;
        const auto target = std::filesystem::read_symlink(fmt::format("/proc/self/fd/{}", fd), gone);
        return target == "anon_inode:[io_uring]" ? "io_uring" : "";
    }
    int family = 0;
    size = sizeof family;
    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size);
    size = sizeof listening;
    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size);
    if (listening != 0) return {};
    if (family == AF_UNIX) {
        // Where the log goes: systemd connects standard output and error to its journal.
        if (fd <= STDERR_FILENO && type == SOCK_STREAM) return {};
        // A pair has no name at either end; a connection to another program's socket has one at its peer.
        sockaddr_un peer{};
        size = sizeof peer;
        if (getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0) return "unconnected local socket";
        if (size > sizeof peer.sun_family) {
            return peer.sun_path[0] == 0 ? "connection to a local service (abstract name)"
                                         : fmt::format("connection to the local service {}", peer.sun_path);
        }
        return {};
    }
    if (family == AF_INET || family == AF_INET6) {
        if (type == SOCK_DGRAM) return "UDP socket";
        if (type != SOCK_STREAM) return "raw socket";
        const proc::TcpEnds ends = proc::tcp_ends(fd);
        if (ends.remote.empty()) return "TCP socket that is not connected";
        // What came in on a port that this process listens on was not opened by it.
        if (proc::listens_on(ends.local_port)) return {};
        return fmt::format("TCP connection to {}", ends.remote);
    }
    if (family == AF_NETLINK) return "netlink socket";
    return fmt::format("socket of family {}", family);
}

}  // namespace

std::vector<std::string> open_holes(int kept) {
    std::vector<std::string> found;
    for (const int fd : proc::descriptors()) {
        if (fd == kept) continue;
        const std::string kind = hole(fd);
        if (!kind.empty()) found.push_back(fmt::format("descriptor {}: {}", fd, kind));
    }
    return found;
}

void seal_process(int kept) {
    const auto holes = open_holes(kept);
    if (!holes.empty()) {
        throw Error(ErrorKind::conflict,
                    fmt::format("The process cannot be sealed, because it holds a way out already: {}.",
                                fmt::join(holes, "; ")),
                    "It was inherited from what started this program: start it with only standard input, output and "
                    "error open (a systemd unit does), or close that descriptor (for example with 7>&-).");
    }
    seal::load_filter();
    // What the kernel says is what counts.
    const ProcessSeal state = inspect_seal(getpid());
    if (state.filtered != state.threads) {
        throw Error(ErrorKind::internal,
                    fmt::format("Of {} threads only {} are sealed.", state.threads, state.filtered),
                    "Please report this; --no-seal serves without.");
    }
}

void seal::load_filter() {
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) filter_fault("no new privileges", errno);
    const Filter filter(seccomp_init(SCMP_ACT_ALLOW));
    if (!filter) filter_fault("no filter could be made", ENOMEM);
    build(filter);
    const int code = seccomp_load(filter.get());
    if (code != 0) filter_fault("the kernel refused the filter", code);
}

}  // namespace freehold
