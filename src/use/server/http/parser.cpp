// Beast's parser with our bounds: what it refuses becomes a status and a sentence.
#include "parser.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

#include <algorithm>
#include <cctype>
#include <limits>

namespace freehold::server {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;
using beast::error_code;

std::string lower(beast::string_view text) {
    std::string out(text.data(), text.size());
    std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return out;
}

// A name or an address, perhaps with a port (RFC 9110, 7.2); empty where the target has no authority. Anything else is
// read in one way here and in another by whoever looks up the name.
bool is_host(beast::string_view text) {
    std::string_view name(text.data(), text.size());
    const auto all = [](std::string_view part, std::string_view more) {
        return std::ranges::all_of(part, [&](unsigned char c) {
            return std::isalnum(c) != 0 || more.find(static_cast<char>(c)) != std::string_view::npos;
        });
    };
    std::size_t end = name.find(':');
    if (name.starts_with('[')) {
        end = name.find(']');
        if (end == std::string_view::npos || !all(name.substr(1, end - 1), ":.%-_~")) return false;
        ++end;
    } else if (!all(name.substr(0, end), "-._~%!$&'()*+,;=")) {
        return false;
    }
    const std::string_view port = name.substr(std::min(end, name.size()));
    return port.empty() || (port.front() == ':' && port.size() <= 6 &&
                            port.find_first_not_of("0123456789", 1) == std::string_view::npos);
}

constexpr std::size_t kMaxHeaders = 200;
// "0" and two line ends: a body whose first chunk is its last has no less. The library asserts that it sees as much
// of it, and does not wait for it.
constexpr std::size_t kLeastEnd = 5;

}  // namespace

struct RequestParser::Impl final : http::basic_parser<true> {
    HttpRequest out;
    State state = State::head;
    int status = 400;
    std::string sentence;
    std::uint64_t max_body = 0, taken = 0;
    std::uint64_t chunk_left = 0;  // of the chunk's bytes
    bool is_1_1 = false, expects = false;
    int hosts = 0, lengths = 0, codings = 0;  // headers of these names

    explicit Impl(std::uint32_t max_header) {
        header_limit(max_header);
        // Ours is set once the route is known; this version takes "none" for a bound of nothing.
        body_limit(std::numeric_limits<std::uint64_t>::max());
        eager(false);
    }

    void refuse(int code, std::string why, error_code& ec) {
        status = code;
        sentence = std::move(why);
        ec = http::error::bad_value;
    }

    void on_request_impl(http::verb, beast::string_view method, beast::string_view target, int version,
                         error_code& ec) override {
        out.method.assign(method.data(), method.size());
        out.target.assign(target.data(), target.size());
        is_1_1 = version == 11;
        if (version != 10 && version != 11) refuse(505, "Only HTTP/1.0 and HTTP/1.1 are spoken here.", ec);
    }
    void on_response_impl(int, beast::string_view, int, error_code&) override {}
    void on_field_impl(http::field name, beast::string_view text, beast::string_view value, error_code& ec) override {
        if (out.headers.size() >= kMaxHeaders) return refuse(431, "The request has more than 200 headers.", ec);
        if (name == http::field::host) {
            ++hosts;
            if (!is_host(value)) return refuse(400, "The Host header names no host that can be read.", ec);
        }
        if (name == http::field::content_length) {
            ++lengths;
            // "2, 2" may be read as 2 (RFC 9112); a proxy may read it otherwise.
            if (value.find(',') != beast::string_view::npos) ++lengths;
        }
        if (name == http::field::transfer_encoding) ++codings;
        if (name == http::field::expect) {
            if (lower(value) != "100-continue") return refuse(417, "Only Expect: 100-continue is understood.", ec);
            expects = true;
        }
        if (name == http::field::transfer_encoding && lower(value) != "chunked")
            return refuse(501, "Of transfer encodings only chunked is understood.", ec);
        out.headers.emplace_back(lower(text), std::string(value.data(), value.size()));
    }
    void on_header_impl(error_code& ec) override {
        if (hosts > 1 || (hosts == 0 && is_1_1)) return refuse(400, "The request must have one Host header.", ec);
        // What two readers could understand in two ways is a way past a proxy.
        if (lengths > 1 || codings > 1 || (lengths == 1 && codings == 1))
            return refuse(400, "The request says the length of its body in two ways.", ec);
        if (codings == 1 && !is_1_1) refuse(400, "HTTP/1.0 knows no transfer encodings.", ec);
    }
    // A header that goes on in a line of its own is read by some as one, by others as two (RFC 9112, 5.2). The library
    // reads the whole head at once.
    bool refuse_folded(std::string_view head) {
        if (head.find("\n ") == std::string_view::npos && head.find("\n\t") == std::string_view::npos) return false;
        state = State::failed;
        sentence = "A header goes on in a further line. Send each header in one line.";
        return true;
    }
    void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
    void too_large(error_code& ec) {
        refuse(413, "The body is larger than " + std::to_string(max_body) + " bytes, which is the bound.", ec);
    }
    std::size_t take(beast::string_view body, error_code& ec) {
        if (body.size() > max_body - taken) {
            too_large(ec);
            return 0;
        }
        out.body.append(body.data(), body.size());
        taken += body.size();
        return body.size();
    }
    std::size_t on_body_impl(beast::string_view body, error_code& ec) override { return take(body, ec); }
    // A chunk that says of itself that it is too large is not waited for.
    void on_chunk_header_impl(std::uint64_t size, beast::string_view, error_code& ec) override {
        if (size > max_body - taken) too_large(ec);
        chunk_left = size;
    }
    std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view body, error_code& ec) override {
        const std::size_t n = take(body, ec);
        chunk_left -= n;
        return n;
    }
    // Between two chunks.
    [[nodiscard]] bool at_chunk() const { return state == State::body && chunked() && chunk_left == 0; }
    void on_finish_impl(error_code&) override {}
};

RequestParser::RequestParser(std::uint32_t max_header_bytes) : impl_(std::make_unique<Impl>(max_header_bytes)) {}
RequestParser::~RequestParser() = default;

std::size_t RequestParser::feed(std::string_view bytes) {
    Impl& p = *impl_;
    std::size_t used = 0;
    while (p.state != State::done && p.state != State::failed && used < bytes.size()) {
        if (p.at_chunk() && bytes[used] == '0' && bytes.size() - used < kLeastEnd) break;
        error_code ec;
        const std::size_t n = p.put(boost::asio::const_buffer(bytes.data() + used, bytes.size() - used), ec);
        used += n;
        if (ec == http::error::need_more) {
            if (n == 0) break;
            continue;
        }
        if (ec) {
            p.state = State::failed;
            if (p.sentence.empty()) {
                p.status = ec == http::error::header_limit ? 431 : ec == http::error::bad_version ? 505 : 400;
                p.sentence = p.status == 431 ? "The head of the request is too large."
                                             : "This is no HTTP request that can be read: " + ec.message() + ".";
            }
            break;
        }
        if (p.state == State::head && p.is_header_done()) {
            if (p.refuse_folded(bytes.substr(used - n, n))) break;
            p.state = p.is_done() ? State::done : State::body;
            break;
        }
        if (p.is_done()) p.state = State::done;
    }
    return used;
}

RequestParser::State RequestParser::state() const noexcept {
    return impl_->state;
}
int RequestParser::fault_status() const noexcept {
    return impl_->status;
}
const std::string& RequestParser::fault() const noexcept {
    return impl_->sentence;
}
void RequestParser::set_max_body(std::uint64_t bytes) noexcept {
    impl_->max_body = bytes;
}
HttpRequest& RequestParser::request() noexcept {
    return impl_->out;
}
bool RequestParser::keep_alive() const {
    return impl_->keep_alive();
}
bool RequestParser::http_1_1() const noexcept {
    return impl_->is_1_1;
}
bool RequestParser::expects_continue() const noexcept {
    return impl_->expects;
}
std::optional<std::uint64_t> RequestParser::content_length() const {
    const auto length = impl_->content_length();
    return length ? std::optional<std::uint64_t>(*length) : std::nullopt;
}
bool RequestParser::chunked() const {
    return impl_->chunked();
}

}  // namespace freehold::server
