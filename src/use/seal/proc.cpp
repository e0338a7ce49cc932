// Reads /proc/PID/fd and /proc/PID/net: the kernel's own tables, so nothing that a process says of itself is believed.
#include "proc.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "freehold/base/error.h"
#include "freehold/seal/seal.h"

namespace freehold {
namespace proc {
namespace {

namespace fs = std::filesystem;
constexpr int kListening = 0x0A, kTimeWait = 0x06;

std::string address_text(const sockaddr_storage& address) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (address.ss_family == AF_INET) {
        const auto& in = reinterpret_cast<const sockaddr_in&>(address);
        inet_ntop(AF_INET, &in.sin_addr, text.data(), text.size());
        return fmt::format("{}:{}", text.data(), ntohs(in.sin_port));
    }
    const auto& in = reinterpret_cast<const sockaddr_in6&>(address);
    inet_ntop(AF_INET6, &in.sin6_addr, text.data(), text.size());
    return fmt::format("[{}]:{}", text.data(), ntohs(in.sin6_port));
}

// "0100007F:1F90": words of the address as the processor keeps them, then the port.
sockaddr_storage parse_address(const std::string& field) {
    sockaddr_storage address{};
    const std::size_t colon = field.find(':');
    const std::string words = field.substr(0, colon);
    const auto port = static_cast<std::uint16_t>(std::stoul(field.substr(colon + 1), nullptr, 16));
    std::array<std::uint32_t, 4> parts{};
    for (std::size_t i = 0; i < words.size() / 8 && i < parts.size(); ++i) {
        parts[i] = static_cast<std::uint32_t>(std::stoul(words.substr(8 * i, 8), nullptr, 16));
    }
    if (words.size() == 8) {
        auto& in = reinterpret_cast<sockaddr_in&>(address);
        in.sin_family = AF_INET;
        in.sin_addr.s_addr = parts[0];
        in.sin_port = htons(port);
    } else {
        auto& in = reinterpret_cast<sockaddr_in6&>(address);
        in.sin6_family = AF_INET6;
        std::copy(parts.begin(), parts.end(), reinterpret_cast<std::uint32_t*>(&in.sin6_addr));
        in.sin6_port = htons(port);
    }
    return address;
}

std::uint16_t port_of(const sockaddr_storage& address) {
    return ntohs(address.ss_family == AF_INET ? reinterpret_cast<const sockaddr_in&>(address).sin_port
                                              : reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
}

// Inodes of the sockets that a process holds.
std::set<std::string> socket_inodes(int pid) {
    std::set<std::string> inodes;
    std::error_code code;
    for (fs::directory_iterator it(fmt::format("/proc/{}/fd", pid), code), end; !code && it != end;
         it.increment(code)) {
        std::error_code gone;
        const std::string target = fs::read_symlink(it->path(), gone).string();
        if (target.starts_with("socket:[")) inodes.insert(target.substr(8, target.size() - 9));
    }
    if (code == std::errc::permission_denied) {
        throw Error(ErrorKind::denied, fmt::format("What process {} holds may not be looked at.", pid),
                    "Ask as the user that it runs as, or as root.");
    }
    return inodes;
}

// Rows of /proc/PID/net/NAME whose inode the process holds: local, remote, state.
struct NetRow {
    std::string local, remote;
    int state = 0;
};
std::vector<NetRow> net_rows(int pid, const char* name, const std::set<std::string>& inodes) {
    std::vector<NetRow> rows;
    std::ifstream in(fmt::format("/proc/{}/net/{}", pid, name));
    std::string line;
    std::getline(in, line);
    while (std::getline(in, line)) {
        std::istringstream fields(line);
        std::string slot, state, queues, timer, retransmits, user, timeout, inode;
        NetRow row;
        fields >> slot >> row.local >> row.remote >> state >> queues >> timer >> retransmits >> user >> timeout >>
            inode;
        if (!fields || !inodes.contains(inode)) continue;
        row.state = std::stoi(state, nullptr, 16);
        rows.push_back(std::move(row));
    }
    return rows;
}

}  // namespace

std::vector<int> descriptors() {
    std::vector<int> found;
    std::error_code code;
    const fs::directory_iterator own("/proc/self/fd", code);
    if (code) {
        throw Error(ErrorKind::unsupported,
                    "The seal looks at this process's own descriptors, but /proc is not mounted.",
                    "Mount it (mount -t proc proc /proc), or serve with --no-seal.");
    }
    for (const auto& entry : own) {
        const std::string name = entry.path().filename().string();
        int fd = -1;
        std::from_chars(name.data(), name.data() + name.size(), fd);
        if (fd >= 0) found.push_back(fd);
    }
    return found;
}

TcpEnds tcp_ends(int fd) {
    TcpEnds ends;
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0) ends.local_port = port_of(address);
    size = sizeof address;
    if (getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0) ends.remote = address_text(address);
    return ends;
}

bool listens_on(std::uint16_t port) {
    for (const int fd : descriptors()) {
        int listening = 0;
        socklen_t size = sizeof listening;
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 || listening == 0) continue;
        if (tcp_ends(fd).local_port == port) return true;
    }
    return false;
}

std::vector<TcpRow> tcp_rows(int pid) {
    const auto inodes = socket_inodes(pid);
    std::vector<TcpRow> rows;
    for (const char* name : {"tcp", "tcp6"}) {
        for (const NetRow& row : net_rows(pid, name, inodes)) {
            if (row.state == kTimeWait) continue;
            const sockaddr_storage local = parse_address(row.local);
            rows.push_back({address_text(local), address_text(parse_address(row.remote)), port_of(local),
                            row.state == kListening});
        }
    }
    return rows;
}

std::vector<std::string> datagram_rows(int pid) {
    const auto inodes = socket_inodes(pid);
    std::vector<std::string> rows;
    for (const char* name : {"udp", "udp6", "udplite", "udplite6", "raw", "raw6"}) {
        for (const NetRow& row : net_rows(pid, name, inodes)) {
            rows.push_back(fmt::format("{} {}", name, address_text(parse_address(row.local))));
        }
    }
    return rows;
}

}  // namespace proc

ProcessSeal inspect_seal(int pid) {
    namespace fs = std::filesystem;
    ProcessSeal state;
    std::error_code code;
    for (fs::directory_iterator it(fmt::format("/proc/{}/task", pid), code), end; !code && it != end;
         it.increment(code)) {
        std::ifstream in(it->path() / "status");
        std::string line;
        bool any = false;
        while (std::getline(in, line)) {
            if (line.starts_with("Seccomp:")) {
                any = true;
                if (line.find('2') != std::string::npos) ++state.filtered;
            } else if (line.starts_with("NoNewPrivs:") && line.find('1') == std::string::npos) {
                state.no_new_privileges = false;
            }
        }
        if (any) ++state.threads;
    }
    if (state.threads == 0) {
        throw Error(ErrorKind::not_found, fmt::format("There is no process {}.", pid),
                    "`pgrep -f \"freehold serve\"` lists those that serve.");
    }
    std::set<std::uint16_t> ports;
    const auto rows = proc::tcp_rows(pid);
    for (const auto& row : rows) {
        if (!row.listening) continue;
        ports.insert(row.local_port);
        state.listening.push_back(row.local);
    }
    for (const auto& row : rows) {
        if (!row.listening && !ports.contains(row.local_port)) {
            state.outgoing.push_back(fmt::format("TCP {} -> {}", row.local, row.remote));
        }
    }
    for (auto& row : proc::datagram_rows(pid)) state.outgoing.push_back(std::move(row));
    return state;
}

}  // namespace freehold
