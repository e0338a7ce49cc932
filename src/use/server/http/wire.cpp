// The two kinds of wire.
#include "wire.h"

#include <poll.h>

#include <boost/asio/ssl/stream.hpp>
#include <utility>

namespace freehold::server {
namespace {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;

void shut(tcp::socket& socket, tcp::socket::shutdown_type what) noexcept {
    ErrorCode ignored;
    socket.shutdown(what, ignored);
}

bool has_hung_up(tcp::socket& socket) noexcept {
    pollfd one{socket.native_handle(), 0, 0};
    return ::poll(&one, 1, 0) == 1 && (one.revents & (POLLERR | POLLHUP)) != 0;
}

class PlainWire final : public Wire {
 public:
    explicit PlainWire(tcp::socket socket) : socket_(std::move(socket)) {}
    void handshake(std::function<void(const ErrorCode&)> done) override { done({}); }
    void read(asio::mutable_buffer into, Done done) override { socket_.async_read_some(into, std::move(done)); }
    void write(asio::const_buffer from, Done done) override { socket_.async_write_some(from, std::move(done)); }
    void finish(std::function<void()> done) override {
        shut(socket_, tcp::socket::shutdown_send);
        done();
    }
    void close() noexcept override {
        ErrorCode ignored;
        socket_.close(ignored);
    }
    bool hung_up() noexcept override { return has_hung_up(socket_); }
    bool tls() const noexcept override { return false; }

 private:
    tcp::socket socket_;
};

class TlsWire final : public Wire {
 public:
    TlsWire(tcp::socket socket, asio::ssl::context& context) : stream_(std::move(socket), context) {}
    void handshake(std::function<void(const ErrorCode&)> done) override {
        stream_.async_handshake(asio::ssl::stream_base::server, std::move(done));
    }
    void read(asio::mutable_buffer into, Done done) override { stream_.async_read_some(into, std::move(done)); }
    void write(asio::const_buffer from, Done done) override { stream_.async_write_some(from, std::move(done)); }
    void finish(std::function<void()> done) override {
        stream_.async_shutdown([this, done = std::move(done)](const ErrorCode&) {
            shut(stream_.next_layer(), tcp::socket::shutdown_send);
            done();
        });
    }
    void close() noexcept override {
        ErrorCode ignored;
        stream_.next_layer().close(ignored);
    }
    bool hung_up() noexcept override { return has_hung_up(stream_.next_layer()); }
    bool tls() const noexcept override { return true; }

 private:
    asio::ssl::stream<tcp::socket> stream_;
};

}  // namespace

std::unique_ptr<Wire> make_wire(tcp::socket socket, asio::ssl::context* tls) {
    if (tls == nullptr) return std::make_unique<PlainWire>(std::move(socket));
    return std::make_unique<TlsWire>(std::move(socket), *tls);
}

}  // namespace freehold::server
