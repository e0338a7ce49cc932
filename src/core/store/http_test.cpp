// Downloads against servers that behave, break off, lie, change their mind, or redirect to where nobody should go.
#include <gtest/gtest.h>

#include <atomic>

#include "freehold/base/hash.h"
#include "http.h"
#include "support/http_server.h"
#include "support/scratch.h"

namespace freehold {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using testing::HttpReply;
using testing::HttpRequest;
using testing::HttpServer;
using testing::Scratch;
using testing::serve_file;

std::string content(std::size_t n, unsigned seed = 1) {
    std::string out(n, '\0');
    for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<char>((i * 2654435761U + seed * 97U) >> 13);
    return out;
}

std::string digest(const std::string& text) {
    return sha256_hex(std::as_bytes(std::span(text)));
}

http::DownloadOptions quick() {
    http::DownloadOptions out;
    out.attempts = 2;
    return out;
}

http::Download fetch(const HttpServer& server, const fs::path& to, const http::DownloadOptions& options = quick()) {
    return http::download({server.url("/m.gguf"), {}, 5}, to, options);
}

TEST(Url, TakesHttpsAndLoopback) {
    EXPECT_EQ(http::check_url("https://Example.org:8443/a/b?c=d").origin(), "https://example.org:8443");
    EXPECT_EQ(http::check_url("http://127.0.0.1:80").rest, "/");
    EXPECT_EQ(http::check_url("http://[::1]:8080/x").host, "[::1]");
    for (const char* bad : {"http://example.org/x", "http://127.0.0.1.evil.org/x", "http://localhost.evil.org/",
                            "ftp://a/b", "file:///etc/passwd", "https://user:pw@host/x", "https://", "nothing",
                            "https://a b/", "https://a/\n", "http://127.1/x", "https://h:x/"})
        EXPECT_THROW(static_cast<void>(http::check_url(bad)), Error) << bad;
    EXPECT_EQ(http::shown("https://user:pw@host/path?secret=1"), "https://host/path");
}

TEST(Download, BringsAFileWhole) {
    const Scratch scratch;
    const std::string body = content(300000);
    const HttpServer server([&](const HttpRequest& r) { return serve_file(r, body, "\"v1\""); });
    std::uint64_t last = 0;
    http::DownloadOptions options = quick();
    options.expected_size = body.size();
    options.expected_sha256 = digest(body);
    options.progress = [&](std::uint64_t done, std::uint64_t) { last = std::max(last, done); };
    const http::Download got = fetch(server, scratch / "m", options);
    EXPECT_EQ(got.sha256, digest(body));
    EXPECT_EQ(got.etag, "\"v1\"");
    EXPECT_EQ(testing::read_file(scratch / "m"), body);
    EXPECT_EQ(last, body.size());
}

TEST(Download, GoesOnWhereItBrokeOff) {
    const Scratch scratch;
    const std::string body = content(400000);
    std::atomic<int> calls = 0;
    const HttpServer server([&](const HttpRequest& r) {
        HttpReply reply = serve_file(r, body, "\"v1\"");
        if (calls++ < 3) reply.cut_after = 90000;
        return reply;
    });
    EXPECT_EQ(fetch(server, scratch / "m").sha256, digest(body));
    EXPECT_EQ(server.body_bytes_sent(), body.size()) << "nothing was sent twice";
    EXPECT_EQ(server.requests().back().header("range"), "bytes=270000-");
}

TEST(Download, GoesOnInANewProcess) {
    const Scratch scratch;
    const std::string body = content(200000);
    std::atomic<bool> cut = true;
    const HttpServer server([&](const HttpRequest& r) {
        HttpReply reply = serve_file(r, body, "\"v1\"");
        if (cut) reply.cut_after = r.header("range").empty() ? 120000 : 0;
        return reply;
    });
    EXPECT_EQ(error_of([&] { static_cast<void>(fetch(server, scratch / "m")); }).kind(), ErrorKind::network);
    EXPECT_EQ(fs::file_size(scratch / "m"), 120000U);
    cut = false;
    EXPECT_EQ(fetch(server, scratch / "m").sha256, digest(body));
    EXPECT_EQ(server.body_bytes_sent(), body.size());
}

TEST(Download, BeginsAgainWhenTheContentChanged) {
    const Scratch scratch;
    const std::string first = content(200000, 1), second = content(200000, 2);
    std::atomic<int> calls = 0;
    const HttpServer server([&](const HttpRequest& r) {
        if (calls++ == 0) {
            HttpReply reply = serve_file(r, first, "\"v1\"");
            reply.cut_after = 50000;
            return reply;
        }
        return serve_file(r, second, "\"v2\"");
    });
    EXPECT_EQ(fetch(server, scratch / "m").sha256, digest(second));
}

TEST(Download, BeginsAgainWhenAServerIgnoresIfRange) {
    const Scratch scratch;
    const std::string first = content(200000, 1), second = content(200000, 2);
    std::atomic<int> calls = 0;
    const HttpServer server([&](HttpRequest r) {
        const bool cut = calls++ == 0;
        r.headers.erase("if-range");
        HttpReply reply = serve_file(r, cut ? first : second, cut ? "\"v1\"" : "\"v2\"");
        if (cut) reply.cut_after = 50000;
        return reply;
    });
    EXPECT_EQ(fetch(server, scratch / "m").sha256, digest(second));
}

TEST(Download, NoticesAMixtureByItsDigest) {
    const Scratch scratch;
    const std::string first = content(200000, 1), second = content(200000, 2);
    std::atomic<int> calls = 0;
    const HttpServer server([&](const HttpRequest& r) {  // the same ETag for both: only the digest can tell
        const bool cut = calls++ == 0;
        HttpReply reply = serve_file(r, cut ? first : second, "\"same\"");
        if (cut) reply.cut_after = 50000;
        return reply;
    });
    http::DownloadOptions options = quick();
    options.expected_sha256 = digest(second);
    EXPECT_EQ(fetch(server, scratch / "m", options).sha256, digest(second));
    EXPECT_EQ(calls, 3);
}

TEST(Download, TakesTwoHundredForARange) {
    const Scratch scratch;
    const std::string body = content(200000);
    std::atomic<int> calls = 0;
    const HttpServer server([&](HttpRequest r) {
        r.headers.erase("range");
        HttpReply reply = serve_file(r, body, "\"v1\"");
        if (calls++ == 0) reply.cut_after = 50000;
        return reply;
    });
    EXPECT_EQ(fetch(server, scratch / "m").sha256, digest(body));
}

TEST(Download, RefusesAWrongRange) {
    const Scratch scratch;
    const std::string body = content(200000);
    std::atomic<int> calls = 0;
    const HttpServer server([&](const HttpRequest& r) {
        HttpReply reply = serve_file(r, body, "\"v1\"");
        if (calls++ == 0) reply.cut_after = 50000;
        if (reply.status == 206) reply.headers.back().second = "bytes 0-199999/200000";
        return reply;
    });
    EXPECT_EQ(fetch(server, scratch / "m").sha256, digest(body));
    EXPECT_EQ(calls, 3);
}

TEST(Download, NeverEndsInALoopWithAFickleServer) {
    const Scratch scratch;
    std::atomic<unsigned> calls = 0;
    const HttpServer server([&](const HttpRequest& r) {  // another version each time, and never to its end
        const unsigned n = ++calls;
        HttpReply reply = serve_file(r, content(100000, n), "\"v" + std::to_string(n) + "\"");
        reply.cut_after = 1000;
        return reply;
    });
    EXPECT_EQ(error_of([&] { static_cast<void>(fetch(server, scratch / "m")); }).kind(), ErrorKind::network);
    EXPECT_LT(calls, 10U);
}

TEST(Download, TellsWhatTheServerDidWrong) {
    const Scratch scratch;
    const std::string body = content(50000);
    HttpReply reply;
    const HttpServer server([&](const HttpRequest&) { return reply; });
    const auto fault = [&](const http::DownloadOptions& options = quick()) {
        fs::remove(scratch / "m");
        return error_of([&] { static_cast<void>(fetch(server, scratch / "m", options)); });
    };
    reply.status = 404;
    EXPECT_EQ(fault().kind(), ErrorKind::not_found);
    reply.status = 403;
    EXPECT_NE(fault().hint().find("HF_TOKEN"), std::string::npos);
    reply.status = 500;
    EXPECT_NE(fault().message().find("status 500"), std::string::npos);
    reply = {};
    reply.body = body;
    reply.claimed_length = body.size() + 1000;  // promises more than it sends
    EXPECT_NE(fault().message().find("closed before"), std::string::npos);
    reply.claimed_length.reset();
    http::DownloadOptions options = quick();
    options.expected_size = 49999;
    EXPECT_NE(fault(options).message().find("another file"), std::string::npos);
    options = quick();
    options.expected_sha256 = std::string(64, 'a');
    EXPECT_EQ(fault(options).kind(), ErrorKind::bad_file);
    EXPECT_FALSE(fs::exists(scratch / "m")) << "bytes with a wrong digest are not kept";
    options = quick();
    options.max_bytes = 1000;
    EXPECT_EQ(fault(options).kind(), ErrorKind::limit);
    reply.no_length = true;  // an endless body without a length
    EXPECT_EQ(fault(options).kind(), ErrorKind::bad_file);
}

TEST(Download, GivesUpOnASilentServer) {
    const Scratch scratch;
    HttpReply reply;
    reply.body = content(50000);
    reply.piece = 1000;
    reply.pause_ms = 1500;
    const HttpServer server([&](const HttpRequest&) { return reply; });
    const auto start = std::chrono::steady_clock::now();
    http::DownloadOptions options = quick();
    options.attempts = 1;
    options.progress = [&](std::uint64_t, std::uint64_t) {
        if (std::chrono::steady_clock::now() - start > std::chrono::seconds(1))
            throw Error(ErrorKind::cancelled, "stopped");
    };
    EXPECT_EQ(error_of([&] { static_cast<void>(fetch(server, scratch / "m", options)); }).kind(), ErrorKind::cancelled);
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

TEST(Redirect, KeepsTheRules) {
    const Scratch scratch;
    const std::string body = content(1000);
    std::string to;
    const HttpServer server([&](const HttpRequest& r) {
        if (r.path == "/real") return serve_file(r, body, "\"v1\"");
        HttpReply reply;
        reply.status = 302;
        reply.body = "moved";
        if (!to.empty()) reply.headers.emplace_back("Location", to);
        return reply;
    });
    to = "/real";
    EXPECT_EQ(fetch(server, scratch / "a").sha256, digest(body));
    to = "http://example.org/real";
    EXPECT_NE(error_of([&] { static_cast<void>(fetch(server, scratch / "b")); }).message().find("plain http"),
              std::string::npos);
    to = "file:///etc/passwd";
    EXPECT_THROW(static_cast<void>(fetch(server, scratch / "c")), Error);
    to = "/again";
    EXPECT_NE(error_of([&] { static_cast<void>(fetch(server, scratch / "d")); }).message().find("more than 10"),
              std::string::npos);
    to.clear();
    EXPECT_NE(error_of([&] { static_cast<void>(fetch(server, scratch / "e")); }).message().find("leads nowhere"),
              std::string::npos);
}

TEST(Redirect, TokensStayWithTheirServer) {
    const Scratch scratch;
    const HttpServer other([&](const HttpRequest& r) { return serve_file(r, "content", "\"v1\""); });
    const HttpServer server([&](const HttpRequest&) {
        HttpReply reply;
        reply.status = 302;
        reply.headers.emplace_back("Location", other.url("/real"));
        return reply;
    });
    static_cast<void>(http::download({server.url("/m"), "secret", 5}, scratch / "m", quick()));
    EXPECT_EQ(server.requests().at(0).header("authorization"), "Bearer secret");
    EXPECT_EQ(other.requests().at(0).header("authorization"), "");
}

TEST(Get, BoundsSmallDocuments) {
    const HttpServer server([&](const HttpRequest&) { return HttpReply{.body = std::string(5000, 'x')}; });
    EXPECT_EQ(http::get({server.url("/"), {}, 5}, 5000).body.size(), 5000U);
    EXPECT_EQ(error_of([&] { static_cast<void>(http::get({server.url("/"), {}, 5}, 4999)); }).kind(), ErrorKind::limit);
}

}  // namespace
}  // namespace freehold
