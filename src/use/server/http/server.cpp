// Listening, the clock of all connections, draining.
#include "freehold/server/server.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <condition_variable>
#include <future>
#include <optional>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>

#include "connection.h"
#include "core.h"
#include "freehold/base/log.h"
#include "wire.h"

namespace freehold::server {
namespace {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
constexpr std::chrono::milliseconds kTick{250};
constexpr int kSendBuffer = 256 << 10;
constexpr int kDiskThreads = 2;  // so that a disk that hangs holds up no handler

std::string random_prefix() {
    std::uint32_t bits = 0;
    if (::getrandom(&bits, sizeof bits, 0) != static_cast<ssize_t>(sizeof bits))
        bits = static_cast<std::uint32_t>(SteadyClock::now().time_since_epoch().count());
    return fmt::format("req-{:08x}-", bits);
}

void load_certificate(asio::ssl::context& tls, const std::string& certificate, const std::string& key) {
    tls.set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                    asio::ssl::context::no_tlsv1_1);
    ErrorCode ec;
    tls.use_certificate_chain_file(certificate, ec);
    if (ec) {
        throw Error(ErrorKind::usage, fmt::format("No certificate can be read from {}.", certificate),
                    "Name a PEM file with the certificate first and its chain after it.");
    }
    tls.use_private_key_file(key, asio::ssl::context::pem, ec);
    if (ec || ::SSL_CTX_check_private_key(tls.native_handle()) != 1) {
        throw Error(ErrorKind::usage, fmt::format("{} is not the key of this certificate.", key),
                    "Name the PEM file of the private key that belongs to it, without a password.");
    }
}

}  // namespace

struct Server::Impl {
    std::shared_ptr<Core> core;
    std::optional<asio::ssl::context> tls;
    tcp::acceptor acceptor;
    asio::steady_timer clock, retry;
    std::optional<asio::executor_work_guard<asio::io_context::executor_type>> guard;
    std::thread thread;
    std::uint16_t port = 0;
    std::optional<Workers> disk;  // goes first: what is under way there ends while everything else is still here

    explicit Impl(std::shared_ptr<Core> c) : core(std::move(c)), acceptor(core->io), clock(core->io), retry(core->io) {
        core->id_prefix = random_prefix();
        if (std::ranges::any_of(core->routes, [](const Route& route) { return static_cast<bool>(route.sink); })) {
            disk.emplace(kDiskThreads);
            core->disk = &*disk;
        }
        const ServerOptions& o = core->options;
        if (o.tls_certificate.empty() != o.tls_key.empty()) {
            throw Error(ErrorKind::usage, "TLS needs a certificate and its key.", "Give both files, or none.");
        }
        if (!o.tls_certificate.empty())
            load_certificate(tls.emplace(asio::ssl::context::tls_server), o.tls_certificate, o.tls_key);
    }

    void accept() {
        acceptor.async_accept([this](const ErrorCode& ec, tcp::socket socket) {
            if (ec == asio::error::operation_aborted || !acceptor.is_open()) return;
            if (ec) {
                // Too many open files, most likely: wait a little instead of spinning.
                retry.expires_after(std::chrono::milliseconds(100));
                retry.async_wait([this](const ErrorCode& stopped) {
                    if (!stopped) accept();
                });
                return;
            }
            take(std::move(socket));
            accept();
        });
    }

    void take(tcp::socket socket) {
        ErrorCode ec;
        const auto peer = socket.remote_endpoint(ec);
        if (ec) return;
        socket.set_option(tcp::no_delay(true), ec);
        // Left to itself the system buffers megabytes for a reader that does not read.
        socket.set_option(asio::socket_base::send_buffer_size(kSendBuffer), ec);
        if (core->connections.size() >= core->options.max_connections && !make_room()) {
            ++core->refused;
            socket.non_blocking(true, ec);
            static constexpr std::string_view kFull =
                "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            if (!tls) socket.write_some(asio::buffer(kFull), ec);
            socket.close(ec);
            return;
        }
        ++core->accepted;
        auto address = peer.address();
        if (address.is_v6() && address.to_v6().is_v4_mapped())
            address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
        auto connection = std::make_shared<Connection>(core, make_wire(std::move(socket), tls ? &*tls : nullptr),
                                                       address.to_string(), address.is_loopback());
        core->connections.insert(connection);
        connection->start();
    }

    // Whoever fills the house with connections that ask nothing loses some of them, so that others come in. False: all
    // are busy.
    bool make_room() {
        std::unordered_map<std::string_view, std::vector<std::shared_ptr<Connection>>> idle;
        for (const auto& connection : core->connections) {
            if (connection->asks_nothing()) idle[connection->peer()].push_back(connection);
        }
        const auto most = std::ranges::max_element(idle, {}, [](const auto& of) { return of.second.size(); });
        if (most == idle.end()) return false;
        // Several at a time: a flood must not have them counted for each newcomer.
        auto& list = most->second;
        const auto n = std::min(list.size(), 1 + core->options.max_connections / 64);
        std::ranges::partial_sort(list, list.begin() + static_cast<std::ptrdiff_t>(n), {}, &Connection::since);
        list.resize(n);
        core->dropped += n;
        for (const auto& connection : list) connection->close();
        return true;
    }

    void tick() {
        clock.expires_after(kTick);
        clock.async_wait([this](const ErrorCode& ec) {
            if (ec) return;
            const auto now = SteadyClock::now();
            const std::vector<std::shared_ptr<Connection>> all(core->connections.begin(), core->connections.end());
            for (const auto& connection : all) connection->look_at_clock(now);
            tick();
        });
    }

    template <class F>
    void on_io(F&& f) {
        std::promise<void> done;
        asio::post(core->io, [&] {
            f();
            done.set_value();
        });
        done.get_future().wait();
    }

    void listen() {
        const ServerOptions& o = core->options;
        ErrorCode ec;
        const auto address = asio::ip::make_address(o.address == "localhost" ? "127.0.0.1" : o.address, ec);
        if (ec) {
            throw Error(ErrorKind::usage, fmt::format("\"{}\" is no address to listen on.", o.address),
                        "Give an IP address of this machine: 127.0.0.1, ::1, 0.0.0.0, ...");
        }
        core->gate.check_listen(o.address, address.is_loopback());
        const tcp::endpoint endpoint(address, o.port);
        acceptor.open(endpoint.protocol(), ec);
        if (!ec) acceptor.set_option(tcp::acceptor::reuse_address(true), ec);
        if (!ec) acceptor.bind(endpoint, ec);
        if (!ec) acceptor.listen(1024, ec);
        if (ec) {
            ErrorCode ignored;
            acceptor.close(ignored);
            if (ec == asio::error::address_in_use) {
                throw Error(ErrorKind::conflict, fmt::format("Port {} of {} is taken.", o.port, o.address),
                            "Another program listens there. Stop it, or give another port with --listen.");
            }
            throw Error(ErrorKind::io, fmt::format("Cannot listen on {} port {}: {}.", o.address, o.port, ec.message()),
                        "Give an address of this machine, and a port from 1024 on unless you may use lower ones.");
        }
        port = acceptor.local_endpoint().port();
    }

    void run() {
        for (;;) {
            try {
                core->io.run();
                return;
            } catch (const std::exception& fault) {
                log_error(std::string("A connection failed: ") + fault.what());
            }
        }
    }
};

void check_certificate(const std::string& certificate, const std::string& key) {
    asio::ssl::context tls(asio::ssl::context::tls_server);
    load_certificate(tls, certificate, key);
}

Server::Server(ServerOptions options, std::vector<Route> routes, Gate& gate, Workers& workers)
    : impl_(std::make_unique<Impl>(std::make_shared<Core>(std::move(options), std::move(routes), gate, workers))) {}

Server::~Server() {
    stop();
}

void Server::start() {
    impl_->listen();
    impl_->guard.emplace(asio::make_work_guard(impl_->core->io));
    impl_->accept();
    impl_->tick();
    impl_->thread = std::thread([impl = impl_.get()] { impl->run(); });
}

std::uint16_t Server::port() const noexcept {
    return impl_->port;
}

std::string Server::url() const {
    const ServerOptions& o = impl_->core->options;
    std::string host = o.address == "0.0.0.0" ? "127.0.0.1" : o.address == "::" ? "::1" : o.address;
    if (host.find(':') != std::string::npos) host = "[" + host + "]";
    return fmt::format("{}://{}:{}", impl_->tls ? "https" : "http", host, impl_->port);
}

const std::vector<Route>& Server::routes() const noexcept {
    return impl_->core->routes;
}

bool Server::draining() const noexcept {
    return impl_->core->draining;
}

bool Server::drain(std::chrono::milliseconds deadline) {
    if (!impl_->thread.joinable()) return true;
    impl_->core->draining = true;
    impl_->on_io([this] {
        ErrorCode ignored;
        impl_->acceptor.close(ignored);
        const std::vector<std::shared_ptr<Connection>> all(impl_->core->connections.begin(),
                                                           impl_->core->connections.end());
        for (const auto& connection : all) connection->close_if_idle();
    });
    const auto until = SteadyClock::now() + deadline;
    while (impl_->core->active > 0 && SteadyClock::now() < until)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return impl_->core->active == 0;
}

void Server::refuse_waiting() {
    if (!impl_->thread.joinable()) return;
    impl_->on_io([this] {
        const std::vector<std::shared_ptr<Connection>> all(impl_->core->connections.begin(),
                                                           impl_->core->connections.end());
        for (const auto& connection : all) connection->refuse_waiting();
    });
}

void Server::stop() {
    if (!impl_->thread.joinable()) return;
    impl_->on_io([this] {
        ErrorCode ignored;
        impl_->acceptor.close(ignored);
        impl_->clock.cancel();
        impl_->retry.cancel();
        const std::vector<std::shared_ptr<Connection>> all(impl_->core->connections.begin(),
                                                           impl_->core->connections.end());
        for (const auto& connection : all) connection->close();
    });
    impl_->guard.reset();
    impl_->core->io.stop();
    impl_->thread.join();
    // Reads and writes that were under way are over now; what waits for them holds connections, which hold the core,
    // and so it must be told.
    impl_->core->io.restart();
    impl_->core->io.poll();
}

ServerCounts Server::counts() const {
    const Core& c = *impl_->core;
    return {c.accepted, c.refused, c.dropped, c.requests, c.gone, c.malformed, c.open, c.active};
}

}  // namespace freehold::server
