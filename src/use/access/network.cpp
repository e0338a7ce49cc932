// Addresses and networks, read by the system's own parser; names are never looked up.
#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "freehold/access/door.h"
#include "freehold/base/printable.h"

namespace freehold::access {
namespace {

// 4 or 16 bytes; empty: no address.
std::vector<std::uint8_t> address_bytes(std::string_view text) {
    const std::string whole(text);
    std::vector<std::uint8_t> bytes(4);
    if (::inet_pton(AF_INET, whole.c_str(), bytes.data()) == 1) return bytes;
    bytes.resize(16);
    if (::inet_pton(AF_INET6, whole.c_str(), bytes.data()) != 1) return {};
    const bool mapped = std::all_of(bytes.begin(), bytes.begin() + 10, [](std::uint8_t b) { return b == 0; }) &&
                        bytes[10] == 0xff && bytes[11] == 0xff;
    if (mapped) bytes.erase(bytes.begin(), bytes.begin() + 12);
    return bytes;
}

}  // namespace

Network Network::parse(std::string_view text) {
    Network network;
    if (text == "unix") return network;
    const std::size_t slash = text.find('/');
    network.bytes_ = address_bytes(text.substr(0, slash));
    const int most = static_cast<int>(network.bytes_.size()) * 8;
    network.bits_ = most;
    bool good = most > 0;
    if (good && slash != std::string_view::npos) {
        const std::string_view digits = text.substr(slash + 1);
        const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), network.bits_);
        good = fault == std::errc() && end == digits.data() + digits.size() && !digits.empty() && network.bits_ >= 0 &&
               network.bits_ <= most;
    }
    if (!good) {
        throw Error(ErrorKind::usage, fmt::format("\"{}\" is no address or network.", printable(text)),
                    "Write 10.0.0.7, 10.0.0.0/8, fd00::/8 or unix.");
    }
    return network;
}

bool Network::contains(std::string_view address) const {
    if (bytes_.empty()) return address == "unix";
    const std::vector<std::uint8_t> other = address_bytes(address);
    if (other.size() != bytes_.size()) return false;
    for (int bit = 0; bit < bits_; bit += 8) {
        const auto i = static_cast<std::size_t>(bit / 8);
        const unsigned mask = bits_ - bit >= 8 ? 0xffU : 0xffU << static_cast<unsigned>(8 - (bits_ - bit)) & 0xffU;
        if (((bytes_[i] ^ other[i]) & mask) != 0) return false;
    }
    return true;
}

bool is_loopback(std::string_view address) {
    if (address == "unix") return true;
    const std::vector<std::uint8_t> bytes = address_bytes(address);
    if (bytes.size() == 4) return bytes[0] == 127;
    return bytes.size() == 16 && bytes[15] == 1 &&
           std::all_of(bytes.begin(), bytes.end() - 1, [](std::uint8_t b) { return b == 0; });
}

}  // namespace freehold::access
