// One connection as a stream of bytes, in the clear or under TLS, so that what speaks HTTP over it is compiled once.
#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <functional>
#include <memory>

namespace freehold::server {

using ErrorCode = boost::system::error_code;

class Wire {
 public:
    using Done = std::function<void(const ErrorCode&, std::size_t)>;
    virtual ~Wire() = default;
    virtual void handshake(std::function<void(const ErrorCode&)> done) = 0;  // at once without TLS
    virtual void read(boost::asio::mutable_buffer into, Done done) = 0;
    virtual void write(boost::asio::const_buffer from, Done done) = 0;  // some of it
    // Tells the other side that nothing more comes. `done` keeps the owner alive until that is said.
    virtual void finish(std::function<void()> done) = 0;
    virtual void close() noexcept = 0;
    // The other side's system has refused what was sent, or nothing can go either way any more.
    [[nodiscard]] virtual bool hung_up() noexcept = 0;
    [[nodiscard]] virtual bool tls() const noexcept = 0;
};

[[nodiscard]] std::unique_ptr<Wire> make_wire(boost::asio::ip::tcp::socket socket, boost::asio::ssl::context* tls);

}  // namespace freehold::server
