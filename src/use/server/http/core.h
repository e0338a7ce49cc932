// What the connections of one server share.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "freehold/server/server.h"
#include "router.h"

namespace freehold::server {

using SteadyClock = std::chrono::steady_clock;
class Connection;

struct Core {
    Core(ServerOptions o, std::vector<Route> r, Gate& g, Workers& w)
        : options(std::move(o)), routes(std::move(r)), router(routes), gate(g), workers(w) {}

    boost::asio::io_context io{1};
    const ServerOptions options;
    const std::vector<Route> routes;
    const Router router;
    Gate& gate;
    Workers& workers;
    Workers* disk = nullptr;  // threads that may wait for a disk; there when a row has a sink
    std::unordered_set<std::shared_ptr<Connection>> connections;  // I/O thread only
    std::uint64_t next_request = 0;                               // I/O thread only
    std::string id_prefix;
    std::atomic<bool> draining{false};
    std::atomic<std::uint64_t> accepted{0}, refused{0}, dropped{0}, requests{0}, gone{0}, malformed{0};
    std::atomic<std::size_t> open{0}, active{0};
    std::atomic<std::uint64_t> bodies{0};  // bytes held, see BodyBytes
};

// How much of a body is held in memory; gone with it.
class BodyBytes {
 public:
    explicit BodyBytes(Core& core) : core_(core) {}
    ~BodyBytes() { core_.bodies -= bytes_; }
    BodyBytes(const BodyBytes&) = delete;
    BodyBytes& operator=(const BodyBytes&) = delete;
    // False: with `more` to come all of them together would be too much.
    [[nodiscard]] bool hold(std::uint64_t bytes, std::uint64_t more = 0) {
        core_.bodies += bytes - bytes_;  // modulo 2^64, also where it shrinks
        bytes_ = bytes;
        return more <= core_.options.max_bodies_bytes && core_.bodies <= core_.options.max_bodies_bytes - more;
    }

 private:
    Core& core_;
    std::uint64_t bytes_ = 0;
};

}  // namespace freehold::server
