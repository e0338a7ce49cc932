// The seal of a serving process (law 8): once applied, no thread of it can open a connection to anywhere, whatever its
// code is made to do. A seccomp filter of the kernel, so a fault in Freehold cannot lift it.
#pragma once

#include <string>
#include <vector>

namespace freehold {

// What the filter refuses, with EPERM, on every thread and in every child:
// - sockets of any family (socket), connections (connect), new listeners (bind, listen), data to an address (sendto
// with
//   one) and TCP Fast Open (the flag, in every call that takes flags);
// - io_uring, which would do all of that without a system call of its own;
// - programs (execve, execveat), and reaching into other processes that are not sealed (ptrace, process_vm_*,
//   pidfd_getfd, setns, open_by_handle_at, bpf, kernel modules);
// - system calls of another architecture: those end the process.
// Data on connections that clients opened, files, threads and timers go on as before.
//
// Descriptors: a socket that is connected to somewhere, or that could send without an address, would be a hole that is
// open already; so would be an io_uring. The process may hold listening sockets, connections which it accepted on them,
// socket pairs, and the journal's socket as standard output and error.
//
// What the filter does not cover: files that other programs act upon. The file system is the system's to guard (the
// unit under packaging/ makes it read-only but for the store).
//
// Applies to all threads, also those started earlier (SECCOMP_FILTER_FLAG_TSYNC). Cannot be undone.
// Throws Error{unsupported} when the kernel has no seccomp, Error{conflict} when an inherited descriptor is a hole (it
// is named), Error{internal} when a thread was not taken in. Where it throws nothing may be assumed sealed.
//
// `kept`: a descriptor that may stay although it is a way out, the one connection of a broker; -1: none.
void seal_process(int kept = -1);

// A socket of this process that seal_process() would not accept, in words: "descriptor 7: UDP socket".
[[nodiscard]] std::vector<std::string> open_holes(int kept = -1);

// One way out that was tried.
struct SealAttempt {
    std::string name;  // "TCP to loopback"
    bool refused = false;
    std::string outcome;  // "refused: Operation not permitted", "went through", ...
};

// Seals a child of this process and tries there every way out that is known, among them from a thread that is older
// than the seal. Nothing leaves this machine: targets are on loopback. `sealed` false tries the same without the seal,
// which shows that the attempts can succeed at all. Must be called while this process has no lock held by another
// thread (early, or from a test): the child is a fork.
[[nodiscard]] std::vector<SealAttempt> try_the_seal(bool sealed = true);

// What the kernel says of a running process.
struct ProcessSeal {
    int threads = 0;
    int filtered = 0;                    // threads under a seccomp filter
    bool no_new_privileges = true;       // of every thread
    std::vector<std::string> listening;  // "127.0.0.1:8080"
    std::vector<std::string> outgoing;   // connections whose local port is none of those listened on
    [[nodiscard]] bool sealed() const { return threads > 0 && filtered == threads && outgoing.empty(); }
};
// Reads /proc/PID. Throws Error{not_found} when there is no such process, Error{denied} when it belongs to another
// user.
[[nodiscard]] ProcessSeal inspect_seal(int pid);

}  // namespace freehold
