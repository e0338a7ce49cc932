// What /proc tells about sockets and threads of a process.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace freehold::proc {

// Open descriptors of this process, without the one that the look itself takes.
[[nodiscard]] std::vector<int> descriptors();

struct TcpEnds {
    std::uint16_t local_port = 0;
    std::string remote;  // "10.0.0.1:443", empty when not connected
};
[[nodiscard]] TcpEnds tcp_ends(int fd);
// Has this process a listening TCP socket on that port?
[[nodiscard]] bool listens_on(std::uint16_t port);

struct TcpRow {
    std::string local, remote;
    std::uint16_t local_port = 0;
    bool listening = false;
};
// TCP sockets of a process (IPv4 and IPv6), those in TIME_WAIT left out.
[[nodiscard]] std::vector<TcpRow> tcp_rows(int pid);
// The other sockets that a process holds, in words, but for local ones.
[[nodiscard]] std::vector<std::string> datagram_rows(int pid);

}  // namespace freehold::proc
