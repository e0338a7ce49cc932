// Blobs of Ollama's dialect: what lies on the disk after a good one, a wrong one, and one that was given up.
#include "ollama_blobs.h"

#include <fstream>
#include <thread>

#include "freehold/base/file.h"
#include "freehold/base/hash.h"
#include "testing.h"

namespace freehold::server {
namespace {

namespace fs = std::filesystem;
using testing::Client;
using testing::Fixture;

class Blobs : public ::testing::Test {
 protected:
    static std::string digest_of(const std::string& bytes) {
        return "sha256:" + sha256_hex(std::as_bytes(std::span(bytes)));
    }
    static std::string head(const std::string& digest, const std::string& framing) {
        return "POST /api/blobs/" + digest + " HTTP/1.1\r\nHost: localhost\r\n" + framing + "\r\n\r\n";
    }
    int has(const std::string& digest) {
        Client c(fixture.port());
        c.send("HEAD /api/blobs/" + digest + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
        return c.reply(true).status;
    }
    [[nodiscard]] fs::path at(const std::string& digest) { return upload_path(fixture.pool().store(), {}, digest); }
    // Everything there, also what is hidden.
    [[nodiscard]] std::size_t files() {
        std::error_code none;
        std::size_t n = 0;
        for (const auto& e : fs::directory_iterator(fixture.pool().store().partial_dir() / "uploads", none)) {
            n += e.is_regular_file() ? 1 : 0;
        }
        return n;
    }
    [[nodiscard]] bool comes_to(std::size_t n) {
        for (int i = 0; i < 500 && files() != n; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
        return files() == n;
    }

    Fixture fixture{Fixture::Settings{}};
};

TEST_F(Blobs, LieUnderTheirDigest) {
    const std::string bytes(3'000'000, 'b');
    const std::string digest = digest_of(bytes);
    EXPECT_EQ(has(digest), 404);
    Client c(fixture.port());
    EXPECT_EQ(c.post("/api/blobs/" + digest, bytes).status, 201);
    EXPECT_EQ(read_text(at(digest)), bytes);
    EXPECT_EQ(files(), 1U);
    EXPECT_EQ(has(digest), 200);
    EXPECT_EQ(c.post("/api/blobs/" + digest, bytes).status, 200) << "it was here";
    EXPECT_EQ(c.post("/api/blobs/" + digest, bytes + "x").status, 400);
    EXPECT_EQ(read_text(at(digest)), bytes);
}

TEST_F(Blobs, AWrongDigestLeavesNoFile) {
    const std::string digest = digest_of("something else");
    Client c(fixture.port());
    const auto reply = c.post("/api/blobs/" + digest, std::string(1'000'000, 'b'));
    EXPECT_EQ(reply.status, 400);
    EXPECT_NE(reply.body.find("another digest"), std::string::npos);
    EXPECT_EQ(files(), 0U);
    EXPECT_EQ(has(digest), 404);
    EXPECT_EQ(c.post("/api/blobs/sha256:abc", "x").status, 400);
}

TEST_F(Blobs, AClientThatGoesLeavesNoFile) {
    const std::string digest = digest_of("x");
    {
        Client c(fixture.port());
        c.send(head(digest, "Content-Length: 5000000") + std::string(1'000'000, 'b'));
        ASSERT_TRUE(comes_to(1)) << "under its temporary name";
        EXPECT_EQ(has(digest), 404);
    }
    EXPECT_TRUE(comes_to(0));
}

TEST_F(Blobs, TwoClientsMaySendTheSame) {
    const std::string bytes(2'000'000, 'b');
    const std::string digest = digest_of(bytes);
    Client a(fixture.port()), b(fixture.port());
    const std::string_view all = bytes;
    a.send(head(digest, "Content-Length: 2000000") + std::string(all.substr(0, 1'000'000)));
    b.send(head(digest, "Transfer-Encoding: chunked") + "1e8480\r\n" + std::string(all.substr(0, 500'000)));
    ASSERT_TRUE(comes_to(2));
    a.send(all.substr(1'000'000));
    EXPECT_EQ(a.reply().status, 201);
    b.send(std::string(all.substr(500'000)) + "\r\n0\r\n\r\n");
    EXPECT_EQ(b.reply().status, 201);
    EXPECT_EQ(read_text(at(digest)), bytes);
    EXPECT_EQ(files(), 1U);
}

TEST_F(Blobs, ADiskThatCannotHoldItIsSaidBeforeTheBody) {
    Client large(fixture.port());
    large.send(head(digest_of("x"), "Content-Length: 1000000000001"));
    EXPECT_EQ(large.reply().status, 413);
    if (fs::space(fixture.pool().store().home()).available > 1'000'000'000'000U)
        GTEST_SKIP() << "The disk could hold the largest blob there is.";
    Client c(fixture.port());
    c.send(head(digest_of("x"), "Expect: 100-continue\r\nContent-Length: 1000000000000"));
    const auto reply = c.reply();
    EXPECT_EQ(reply.status, 507) << reply.body;
    EXPECT_EQ(files(), 0U);
}

TEST_F(Blobs, WhatAKillLeftBehindGoes) {
    const fs::path folder = fixture.pool().store().partial_dir() / "uploads";
    fs::create_directories(folder);
    const fs::path dead = folder / (".left.tmp-1-0"), live = folder / ".live.tmp-1-1", blob = folder / "blob";
    for (const fs::path& path : {dead, live, blob}) std::ofstream(path) << "bytes";
    const auto old = fs::file_time_type::clock::now() - std::chrono::hours(2);
    fs::last_write_time(dead, old);
    fs::last_write_time(blob, old);
    Client c(fixture.port());
    EXPECT_EQ(c.post("/api/blobs/" + digest_of("x"), "x").status, 201);
    EXPECT_FALSE(fs::exists(dead));
    EXPECT_TRUE(fs::exists(live));
    EXPECT_TRUE(fs::exists(blob));
}

}  // namespace
}  // namespace freehold::server
