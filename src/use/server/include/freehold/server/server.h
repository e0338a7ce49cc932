// The listener: connections, limits, TLS, the route table. One I/O thread moves bytes, a few workers run handlers.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "freehold/server/gate.h"
#include "freehold/server/http.h"
#include "freehold/server/workers.h"

namespace freehold::server {

struct ServerOptions {
    std::string address = "127.0.0.1";
    std::uint16_t port = 8080;             // 0: any free one
    std::string tls_certificate, tls_key;  // PEM files; both or none
    std::uint32_t max_header_bytes = 64 << 10;
    std::uint64_t max_body_bytes = 32ULL << 20U;
    std::uint64_t max_bodies_bytes = 512ULL << 20U;  // of all requests together that no handler has read yet
    std::uint64_t max_buffered_bytes = 1ULL << 20U;  // of a stream that its client does not read
    std::size_t max_connections = 4096;
    std::chrono::milliseconds header_deadline{15'000};  // from the first byte of a request to the end of its head
    std::chrono::milliseconds body_deadline{60'000};    // of a body, plus the time it takes at 64 KiB/s
    std::chrono::milliseconds write_deadline{30'000};   // without one byte taken by the client
    std::uint64_t slowest_reader = 1 << 10;             // bytes a second that it must take of what waits for it
    std::chrono::milliseconds idle_timeout{75'000};     // between requests of a connection
    Observer observer;                                  // may be empty
    std::vector<std::pair<std::string, std::string>> headers = {{"Server", "freehold"}};  // on every answer
};

struct ServerCounts {
    // dropped: idle ones that made room for others.
    std::uint64_t accepted = 0, refused = 0, dropped = 0, requests = 0, gone = 0, malformed = 0;
    std::size_t connections = 0, active = 0;  // now; active: with an unfinished answer
};

// Error{usage} for what cannot be ServerOptions::tls_certificate and tls_key.
void check_certificate(const std::string& certificate, const std::string& key);

class Server {
 public:
    // `gate` and `workers` must outlive the server. Throws Error{usage} for rows that contradict each other, Error for
    // certificates that cannot be read.
    Server(ServerOptions options, std::vector<Route> routes, Gate& gate, Workers& workers);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    // Binds and listens. Throws Error{conflict} when the port is taken, Error{denied} from the gate.
    void start();
    [[nodiscard]] std::uint16_t port() const noexcept;
    [[nodiscard]] std::string url() const;  // "http://127.0.0.1:8080"
    [[nodiscard]] const std::vector<Route>& routes() const noexcept;

    // No new connections; idle ones close; requests that come are answered 503 (quick rows excepted); waits until every
    // answer is complete or the deadline passed. Returns true when nothing was left.
    bool drain(std::chrono::milliseconds deadline);
    [[nodiscard]] bool draining() const noexcept;
    // Whoever still waits for the first byte of an answer gets 503 with Retry-After, in the form of its dialect.
    void refuse_waiting();
    // Closes everything.
    void stop();
    [[nodiscard]] ServerCounts counts() const;

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace freehold::server
