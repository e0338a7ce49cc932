// A small HTTP server on loopback for tests: answers by a function, and can be as rude as a test needs (wrong lengths,
// cut connections, slow bytes). One thread per connection; everything ends with the object.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace freehold::testing {

struct HttpRequest {
    std::string method, path;  // path with its query
    std::map<std::string, std::string> headers;
    std::string body = {};
    [[nodiscard]] std::string header(const std::string& name) const {
        const auto it = headers.find(name);
        return it == headers.end() ? "" : it->second;
    }
};

struct HttpReply {
    int status = 200;
    std::vector<std::pair<std::string, std::string>> headers = {};
    std::string body = {};
    std::optional<std::uint64_t> claimed_length = {};  // instead of the true one
    bool no_length = false;  // neither length nor chunks: the end is the end of the connection
    std::size_t cut_after = static_cast<std::size_t>(-1);  // close the connection after so many bytes of the body
    std::size_t piece = 1 << 16;
    int pause_ms = 0;  // after each piece
};

class HttpServer {
 public:
    using Handler = std::function<HttpReply(const HttpRequest&)>;

    explicit HttpServer(Handler handler) : handler_(std::move(handler)) {
        listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof(address);
        if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 64) != 0 ||
            ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
            throw std::runtime_error("the test server cannot listen");
        port_ = ntohs(address.sin_port);
        accepting_ = std::thread([this] { accept_all(); });
    }
    ~HttpServer() {
        stopping_ = true;
        accepting_.join();
        for (std::thread& t : threads_) t.join();
        ::close(listener_);
    }
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    [[nodiscard]] std::string url(const std::string& path) const {
        return "http://127.0.0.1:" + std::to_string(port_) + path;
    }
    [[nodiscard]] std::vector<HttpRequest> requests() const {
        const std::lock_guard lock(mutex_);
        return log_;
    }
    [[nodiscard]] std::uint64_t body_bytes_sent() const { return sent_; }

 private:
    void accept_all() {
        while (!stopping_) {
            pollfd waiting{listener_, POLLIN, 0};
            if (::poll(&waiting, 1, 20) <= 0) continue;
            const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
            if (fd < 0) continue;
            threads_.emplace_back([this, fd] {
                serve(fd);
                ::close(fd);
            });
        }
    }

    bool read_request(int fd, HttpRequest& request) {
        std::string text;
        while (text.find("\r\n\r\n") == std::string::npos) {
            pollfd waiting{fd, POLLIN, 0};
            if (stopping_) return false;
            if (::poll(&waiting, 1, 50) <= 0) continue;
            char buffer[4096];
            const ssize_t n = ::recv(fd, buffer, sizeof(buffer), 0);
            if (n <= 0) return false;
            text.append(buffer, static_cast<std::size_t>(n));
        }
        std::size_t start = text.find("\r\n");
        const std::string line = text.substr(0, start);
        const std::size_t first = line.find(' '), last = line.rfind(' ');
        request.method = line.substr(0, first);
        request.path = line.substr(first + 1, last - first - 1);
        while ((start += 2) < text.size()) {
            const std::size_t end = text.find("\r\n", start);
            if (end == std::string::npos || end == start) break;
            const std::string header = text.substr(start, end - start);
            const std::size_t colon = header.find(':');
            std::string name = header.substr(0, colon);
            std::transform(name.begin(), name.end(), name.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
            request.headers[name] = header.substr(std::min(header.size(), header.find_first_not_of(' ', colon + 1)));
            start = end;
        }
        request.body = text.substr(text.find("\r\n\r\n") + 4);
        return read_body(fd, request);
    }

    bool read_body(int fd, HttpRequest& request) {
        const std::string length = request.header("content-length");
        const std::size_t wanted = length.empty() ? 0 : std::stoul(length);
        if (request.body.size() < wanted && request.header("expect") == "100-continue" &&
            !send_all(fd, "HTTP/1.1 100 Continue\r\n\r\n"))
            return false;
        std::vector<char> buffer(1 << 16);
        while (request.body.size() < wanted) {
            pollfd waiting{fd, POLLIN, 0};
            if (stopping_) return false;
            if (::poll(&waiting, 1, 50) <= 0) continue;
            const ssize_t n = ::recv(fd, buffer.data(), buffer.size(), 0);
            if (n <= 0) return false;
            request.body.append(buffer.data(), static_cast<std::size_t>(n));
        }
        return true;
    }

    void serve(int fd) {
        HttpRequest request;
        if (!read_request(fd, request)) return;
        {
            const std::lock_guard lock(mutex_);
            log_.push_back(request);
        }
        const HttpReply reply = handler_(request);
        std::string head = "HTTP/1.1 " + std::to_string(reply.status) + " Test\r\nConnection: close\r\n";
        for (const auto& [name, value] : reply.headers) head += name + ": " + value + "\r\n";
        if (!reply.no_length)
            head += "Content-Length: " + std::to_string(reply.claimed_length.value_or(reply.body.size())) + "\r\n";
        head += "\r\n";
        if (!send_all(fd, head) || request.method == "HEAD") return;
        std::string_view rest = std::string_view(reply.body).substr(0, reply.cut_after);
        while (!rest.empty() && !stopping_) {
            const std::string_view piece = rest.substr(0, reply.piece);
            if (!send_all(fd, piece)) return;
            sent_ += piece.size();
            rest.remove_prefix(piece.size());
            if (reply.pause_ms > 0) std::this_thread::sleep_for(std::chrono::milliseconds(reply.pause_ms));
        }
    }

    static bool send_all(int fd, std::string_view bytes) {
        while (!bytes.empty()) {
            const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (n <= 0) return false;
            bytes.remove_prefix(static_cast<std::size_t>(n));
        }
        return true;
    }

    Handler handler_;
    int listener_ = -1;
    int port_ = 0;
    std::atomic<bool> stopping_ = false;
    std::atomic<std::uint64_t> sent_ = 0;
    std::thread accepting_;
    std::vector<std::thread> threads_;
    mutable std::mutex mutex_;
    std::vector<HttpRequest> log_;
};

// How a well-behaved server sends a file: ranges, If-Range, an ETag.
inline HttpReply serve_file(const HttpRequest& request, const std::string& content, const std::string& etag) {
    HttpReply reply;
    reply.headers = {{"ETag", etag}, {"Accept-Ranges", "bytes"}};
    reply.body = content;
    const std::string range = request.header("range"), condition = request.header("if-range");
    if (range.starts_with("bytes=") && range.ends_with("-") && (condition.empty() || condition == etag)) {
        const std::size_t from = std::stoul(range.substr(6));
        if (from >= content.size()) {
            reply.status = 416;
            reply.body.clear();
            reply.headers.emplace_back("Content-Range", "bytes */" + std::to_string(content.size()));
            return reply;
        }
        reply.status = 206;
        reply.body = content.substr(from);
        reply.headers.emplace_back("Content-Range", "bytes " + std::to_string(from) + "-" +
                                                        std::to_string(content.size() - 1) + "/" +
                                                        std::to_string(content.size()));
    }
    return reply;
}

}  // namespace freehold::testing
