// What the parser takes, however it is cut, and what it refuses.
#include "parser.h"

#include <gtest/gtest.h>

namespace freehold::server {
namespace {

struct Parsed {
    RequestParser::State state;
    int status;
    std::string body, target;
};

Parsed parse(std::string_view text, std::size_t piece, std::uint64_t max_body = 1000) {
    RequestParser parser(1024);
    parser.set_max_body(max_body);
    std::string buffer;
    for (std::size_t at = 0; at < text.size(); at += piece) {
        buffer += text.substr(at, piece);
        for (;;) {
            const std::size_t used = parser.feed(buffer);
            buffer.erase(0, used);
            if (used == 0 || buffer.empty() || parser.state() == RequestParser::State::done ||
                parser.state() == RequestParser::State::failed)
                break;
        }
    }
    return {parser.state(), parser.fault_status(), parser.request().body, parser.request().target};
}

TEST(Parser, SameResultHoweverItIsCut) {
    const std::string text =
        "POST /x?a=b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n";
    for (std::size_t piece = 1; piece <= text.size(); ++piece) {
        const Parsed p = parse(text, piece);
        ASSERT_EQ(p.state, RequestParser::State::done) << piece;
        ASSERT_EQ(p.body, "abcdefg") << piece;
        ASSERT_EQ(p.target, "/x?a=b");
    }
}

TEST(Parser, LastChunksComeByteByByte) {
    for (const std::string end : {"0\r\n\r\n", "0\r\nX: y\r\n\r\n", "1\r\na\r\n0;x\r\n\r\n"}) {
        const Parsed p = parse("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + end, 1);
        EXPECT_EQ(p.state, RequestParser::State::done) << end;
    }
    EXPECT_EQ(parse("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nabc\r\n0\r\n\r\n", 1).state,
              RequestParser::State::failed);
}

TEST(Parser, Refuses) {
    const auto status = [](const std::string& text) {
        const Parsed p = parse(text, text.size());
        return p.state == RequestParser::State::failed ? p.status : 0;
    };
    EXPECT_EQ(status("GET / HTTP/1.1\r\n\r\n"), 400) << "no Host";
    EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), 400) << "two Hosts";
    EXPECT_EQ(status("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), 505);
    EXPECT_EQ(status("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
    EXPECT_EQ(status("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc"), 400);
    EXPECT_EQ(status("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc"), 400);
    EXPECT_EQ(status("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc"), 400);
    EXPECT_EQ(status("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
              400);
    EXPECT_EQ(status("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400);
    EXPECT_EQ(status("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\n"), 400);
    EXPECT_EQ(status("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"), 501);
    EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n"), 417);
    EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(2000, 'x') + "\r\n\r\n"), 431);
    EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n"), 400);
    for (const std::string host : {"localhost:1@evil.com", "user@localhost", "localhost/evil.com", "localhost evil.com",
                                   "localhost:80:80", "localhost:", "localhost:x", "[::1", "[::1]x", "::1",
                                   "local\\host", "localhost#a", "localhost?a", "\xc3\xa4.de"})
        EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n"), host == "localhost:" ? 0 : 400) << host;
    for (const std::string host :
         {"localhost", "localhost:8080", "127.0.0.1", "[::1]:8080", "a-b.example", "a%20b", ""})
        EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n"), 0) << host;
    for (const std::string folded : {"X: a\r\n b\r\n", "X: a\r\n\tb\r\n", "X:\r\n Host: b\r\n"}) {
        EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: a\r\n" + folded + "\r\n"), 400) << folded;
        const std::string text = "POST / HTTP/1.1\r\nHost: a\r\n" + folded + "Content-Length: 1\r\n\r\nx";
        EXPECT_EQ(parse(text, 1).state, RequestParser::State::failed) << folded;
    }
    EXPECT_EQ(status("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n\n x"), 0) << "a body is no header";
    EXPECT_EQ(status("\x16\x03\x01\x02\x00"), 400) << "TLS to a port in the clear";
    EXPECT_EQ(status("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffffff\r\n"), 400);
    EXPECT_EQ(
        status("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" + std::string(2000, 'x')),
        413);
}

}  // namespace
}  // namespace freehold::server
