// Bytes of a client: the first byte bounds the body, the second says how the rest is cut. Whole, byte by byte and cut,
// with the body left in the parser and taken out of it, the same requests must come to their end, at the same byte.
#include <algorithm>
#include <cctype>
#include <string>
#include <utility>

#include "fuzz.h"
#include "http/parser.h"
#include "http/router.h"

namespace {

using namespace freehold;
using server::RequestParser;
using State = RequestParser::State;

struct Reading {
    State state = State::head;
    int fault = 0;
    std::size_t used = 0;
    std::string method, target, body;
    server::Headers headers;
    bool keep_alive = false, expects = false, chunked = false;
    friend bool operator==(const Reading&, const Reading&) = default;
};

constexpr std::uint32_t kMostHead = 512;

Reading read(std::string_view text, std::size_t cut, std::uint64_t bound, bool take_out) {
    RequestParser parser(kMostHead);
    Reading r;
    std::string buffer;
    const auto over = [&] { return parser.state() == State::done || parser.state() == State::failed; };
    for (std::size_t at = 0; at < text.size() && !over(); at += cut) {
        buffer += text.substr(at, cut);
        for (;;) {
            const State before = parser.state();
            const std::size_t n = parser.feed(buffer);
            fuzz::require(n <= buffer.size());
            buffer.erase(0, n);
            r.used += n;
            if (before == State::head && parser.state() == State::body) parser.set_max_body(bound);
            if (take_out) r.body += std::exchange(parser.request().body, {});
            if (over() || buffer.empty() || (n == 0 && before == parser.state())) break;
        }
    }
    r.state = parser.state();
    if (!take_out) r.body = parser.request().body;
    if (r.state == State::failed) {
        r.fault = parser.fault_status();
        fuzz::require(r.fault >= 400 && r.fault <= 505 && !parser.fault().empty());
        return r;
    }
    if (r.state == State::head) return r;
    r.method = parser.request().method;
    r.target = parser.request().target;
    r.headers = parser.request().headers;
    r.keep_alive = parser.keep_alive();
    r.expects = parser.expects_continue();
    r.chunked = parser.chunked();
    fuzz::require(r.body.size() <= bound);
    if (r.state == State::done && parser.content_length()) fuzz::require(r.body.size() == *parser.content_length());
    fuzz::require(!r.chunked || !parser.content_length());
    return r;
}

void check_head(const Reading& r) {
    for (const auto& [name, value] : r.headers) {
        fuzz::require(!name.empty());
        fuzz::require(std::ranges::none_of(name, [](unsigned char c) { return std::isupper(c) != 0 || c <= ' '; }));
        fuzz::require(value.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos);
    }
    server::HttpRequest request;
    if (!server::read_target(r.target, request)) return;
    const std::string& path = request.path;
    fuzz::require(path.starts_with('/') && path.find('\0') == std::string::npos);
    fuzz::require(("/" + path + "/").find("/../") == std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    return fuzz::run([&] {
        if (size < 2) return;
        const std::string_view text = fuzz::as_text(data + 2, size - 2);
        const std::uint64_t bound = data[0];
        const std::size_t cut = 2 + data[1] % 61;
        const Reading whole = read(text, std::max<std::size_t>(text.size(), 1), bound, false);
        for (const auto& [piece, take_out] : {std::pair{std::size_t{1}, true}, std::pair{cut, false}, {cut, true}}) {
            const Reading cut_up = read(text, piece, bound, take_out);
            // What never comes to its end need not be refused at the same byte, and at the bound of the head (431) it
            // counts how much of it came at once.
            const bool one_is_done = whole.state == State::done || cut_up.state == State::done;
            const bool at_bound = whole.fault == 431 || cut_up.fault == 431;
            fuzz::require(!one_is_done || at_bound || cut_up == whole);
        }
        if (whole.state == State::head || whole.state == State::failed) return;
        check_head(whole);
        fuzz::planted_bug(whole.state == State::done && whole.chunked && whole.body.size() > 3);
    });
}
