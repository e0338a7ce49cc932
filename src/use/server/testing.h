// For tests of this room: a client of raw bytes, and a server that serves the small model of tests/data.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "freehold/server/service.h"
#include "tests/support/scratch.h"

namespace freehold::server::testing {

struct Reply {
    int status = 0;
    std::map<std::string, std::string> headers;  // lower case
    std::string body;                            // chunks joined
    bool whole = false;                          // it came to its end
    [[nodiscard]] Value json() const { return parse_json(body, "reply"); }
};

// One connection. Every wait is bounded, so that a fault shows as a failed test and not as one that hangs.
class Client {
 public:
    explicit Client(std::uint16_t port, int receive_buffer = 0) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
        if (receive_buffer > 0) ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        connected_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    }
    ~Client() { close(); }
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    void close() {
        if (fd_ >= 0) ::close(fd_);
        fd_ = -1;
    }
    void half_close() const { ::shutdown(fd_, SHUT_WR); }
    [[nodiscard]] bool connected() const { return connected_; }
    bool send(std::string_view bytes) const {
        while (!bytes.empty()) {
            const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (n <= 0) return false;
            bytes.remove_prefix(static_cast<std::size_t>(n));
        }
        return true;
    }
    // False at the end of the stream, or after the wait.
    bool receive(int wait_ms = 20000) {
        pollfd wanted{fd_, POLLIN, 0};
        if (::poll(&wanted, 1, wait_ms) <= 0) return false;
        char bytes[16384];
        const ssize_t n = ::recv(fd_, bytes, sizeof bytes, 0);
        if (n <= 0) {
            closed_ = true;
            return false;
        }
        came_.append(bytes, static_cast<std::size_t>(n));
        return true;
    }
    // Waits until the other side closes.
    bool wait_closed(int wait_ms = 20000) {
        while (receive(wait_ms)) {
        }
        return closed_;
    }
    [[nodiscard]] bool wait_for(std::string_view text) {
        while (came_.find(text) == std::string::npos) {
            if (!receive()) return false;
        }
        return true;
    }
    [[nodiscard]] const std::string& came() const { return came_; }

    Reply reply(bool head_only = false) {
        Reply out;
        while (came_.find("\r\n\r\n") == std::string::npos) {
            if (!receive()) return out;
        }
        const std::size_t end = came_.find("\r\n\r\n");
        const std::string head = came_.substr(0, end + 2);
        came_.erase(0, end + 4);
        out.status = std::atoi(head.c_str() + 9);
        for (std::size_t at = head.find("\r\n") + 2; at < head.size();) {
            const std::size_t line_end = head.find("\r\n", at);
            const std::string line = head.substr(at, line_end - at);
            const std::size_t colon = line.find(": ");
            std::string name = line.substr(0, colon);
            std::ranges::transform(name, name.begin(),
                                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
            out.headers[name] = line.substr(colon + 2);
            at = line_end + 2;
        }
        if (out.status == 100) return reply(head_only);
        if (head_only || out.status == 204 || out.status == 304) {
            out.whole = true;
            return out;
        }
        if (out.headers.contains("content-length")) {
            const std::size_t length = std::stoul(out.headers["content-length"]);
            while (came_.size() < length) {
                if (!receive()) return out;
            }
            out.body = came_.substr(0, length);
            came_.erase(0, length);
            out.whole = true;
            return out;
        }
        if (out.headers["transfer-encoding"] != "chunked") {
            out.whole = wait_closed();
            out.body = std::exchange(came_, {});
            return out;
        }
        for (;;) {
            while (came_.find("\r\n") == std::string::npos) {
                if (!receive()) return out;
            }
            const std::size_t line = came_.find("\r\n");
            const std::size_t length = std::stoul(came_.substr(0, line), nullptr, 16);
            while (came_.size() < line + 2 + length + 2) {
                if (!receive()) return out;
            }
            out.body += came_.substr(line + 2, length);
            came_.erase(0, line + 2 + length + 2);
            if (length == 0) {
                out.whole = true;
                return out;
            }
        }
    }

    Reply get(const std::string& path, const std::string& headers = {}) {
        send("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n" + headers + "\r\n");
        return reply();
    }
    bool start_post(const std::string& path, const std::string& body, const std::string& headers = {}) const {
        return send("POST " + path +
                    " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
                    std::to_string(body.size()) + "\r\n" + headers + "\r\n" + body);
    }
    Reply post(const std::string& path, const std::string& body, const std::string& headers = {}) {
        start_post(path, body, headers);
        return reply();
    }

 private:
    int fd_;
    bool connected_ = false, closed_ = false;
    std::string came_;
};

// A whole server over one model, or over none.
class Fixture {
 public:
    struct Settings {
        ServerOptions http;
        PoolOptions pool;
        std::uint64_t memory = 1ULL << 30U;
        std::shared_ptr<Gate> gate;  // null: open on loopback
    };
    explicit Fixture(Settings settings = stories())
        : store_(Store::open(scratch_.path())),
          host_(host(settings)),
          gate_(settings.gate ? settings.gate : std::shared_ptr<Gate>(make_loopback_gate())) {
        settings.http.port = 0;
        pool_.emplace(host_, store_, workers_, settings.pool);
        generator_.emplace(*pool_, workers_, metrics_, make_output_planner());
        service_.emplace(Service{*pool_, *generator_, workers_, metrics_, *gate_, "test"});
        std::vector<Route> routes = api_routes(*service_);
        add_openapi_route(routes, "test");
        server_.emplace(std::move(settings.http), std::move(routes), *gate_, workers_);
        service_->counts = [this] { return server_->counts(); };
        service_->draining = [this] { return server_->draining(); };
        server_->start();
    }

    static Settings stories() {
        Settings s;
        s.pool.aliases = {{"stories", std::string(FREEHOLD_TEST_DATA) + "/stories260K/stories260K.bin"}};
        return s;
    }
    [[nodiscard]] std::uint16_t port() const { return server_->port(); }
    Server& server() { return *server_; }
    ModelPool& pool() { return *pool_; }
    Generator& generator() { return *generator_; }
    Metrics& metrics() { return metrics_; }
    Service& service() { return *service_; }

    // Waits until the engine and the generator have nothing to do; false when that takes too long.
    bool wait_idle(std::chrono::seconds most = std::chrono::seconds(20)) {
        const auto until = std::chrono::steady_clock::now() + most;
        while (std::chrono::steady_clock::now() < until) {
            int busy = generator_->stats().running + generator_->stats().waiting;
            for (const auto& info : pool_->loaded()) {
                if (!info.served->engine) continue;
                const EngineStats s = info.served->engine->stats();
                busy += s.running + s.waiting;
            }
            if (busy == 0) return true;
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
        return false;
    }

 private:
    static HostOptions host(const Settings& s) {
        HostOptions o;
        o.threads = 2;
        o.memory_budget = s.memory;
        return o;
    }
    freehold::testing::Scratch scratch_;
    Store store_;
    Host host_;
    std::shared_ptr<Gate> gate_;
    Metrics metrics_;
    Workers workers_{2};
    std::optional<ModelPool> pool_;
    std::optional<Generator> generator_;
    std::optional<Service> service_;
    std::optional<Server> server_;
};

}  // namespace freehold::server::testing
