// Bodies that are taken piece by piece: in order, bounded, by threads of their own, and given up cleanly.
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "freehold/server/errors.h"
#include "testing.h"

namespace freehold::server {
namespace {

using testing::Client;
using namespace std::chrono_literals;

// What the sink of the test did, and how it is to behave.
struct Log {
    std::mutex mutex;
    std::condition_variable wake;
    std::string events;  // "open", "take", "done", "gone", separated by blanks
    std::string body;
    std::size_t largest = 0, taken = 0, refuse_from = SIZE_MAX;
    std::optional<std::uint64_t> length;
    bool refuse_open = false, hold_open = false, hold_take = false;

    void say(const char* what) {
        const std::lock_guard lock(mutex);
        if (!events.ends_with(std::string(what) + " ")) events.append(what).append(" ");
        wake.notify_all();
    }
    bool wait(const char* what) {
        std::unique_lock lock(mutex);
        return wake.wait_for(lock, 20s, [&] { return events.find(what) != std::string::npos; });
    }
    void release() {
        const std::lock_guard lock(mutex);
        hold_open = hold_take = false;
        wake.notify_all();
    }
    std::size_t so_far() {
        const std::lock_guard lock(mutex);
        return taken;
    }
};

class TestSink final : public BodySink {
 public:
    TestSink(Log& log, std::optional<std::uint64_t> length) : log_(log) {
        log_.say("open");
        std::unique_lock lock(log_.mutex);
        log_.length = length;
        log_.wake.wait_for(lock, 20s, [&] { return !log_.hold_open; });
        if (log_.refuse_open) throw RequestError(507, ErrorKind::io, "There is no room.");
    }
    ~TestSink() override { log_.say("gone"); }
    void take(std::string_view piece) override {
        log_.say("take");
        std::unique_lock lock(log_.mutex);
        log_.wake.wait_for(lock, 20s, [&] { return !log_.hold_take; });
        log_.largest = std::max(log_.largest, piece.size());
        log_.taken += piece.size();
        if (log_.body.size() < 100) log_.body += piece;
        if (log_.taken > log_.refuse_from) throw RequestError(400, ErrorKind::usage, "These are the wrong bytes.");
    }
    void done(Responder& responder) override {
        log_.say("done");
        responder.send(201, {}, std::to_string(log_.so_far()));
    }

 private:
    Log& log_;
};

class Uploads : public ::testing::Test {
 protected:
    void start(ServerOptions options = {}) {
        options.port = 0;
        Route sink;
        sink.method = "POST";
        sink.pattern = "/sink/{name}";
        sink.accepts_any_type = true;
        sink.max_body = 1ULL << 30U;
        sink.sink = [this](const RequestPtr&, std::optional<std::uint64_t> length) {
            return std::make_unique<TestSink>(log_, length);
        };
        Route quick;
        quick.method = "GET";
        quick.pattern = "/quick";
        quick.handler = [](const RequestPtr&, const ResponderPtr& r) { r->send(200, {}, "ok"); };
        options.observer = [this](const ExchangeRecord& record) {
            if (record.route == nullptr || record.route->pattern != "/sink/{name}") return;
            const std::lock_guard lock(log_.mutex);
            records_.push_back(record);
            log_.wake.notify_all();
        };
        server_.emplace(std::move(options), std::vector<Route>{sink, quick}, *gate_, workers_);
        server_->start();
    }
    void TearDown() override {
        log_.release();
        server_.reset();
    }
    static std::string head(std::size_t length, const std::string& more = {}) {
        return "POST /sink/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + std::to_string(length) + "\r\n" + more +
               "\r\n";
    }
    std::uint16_t port() { return server_->port(); }
    // What the observer was told, once there are n of them.
    std::vector<ExchangeRecord> records(std::size_t n) {
        std::unique_lock lock(log_.mutex);
        log_.wake.wait_for(lock, 20s, [&] { return records_.size() >= n; });
        return records_;
    }

    std::unique_ptr<Gate> gate_ = make_loopback_gate();
    Workers workers_{2};
    Log log_;
    std::vector<ExchangeRecord> records_;
    std::optional<Server> server_;
};

TEST_F(Uploads, AreTakenWhateverTheirFraming) {
    start();
    Client c(port());
    c.send(head(11) + "hello " + "world" + "GET /quick HTTP/1.1\r\nHost: localhost\r\n\r\n");
    EXPECT_EQ(c.reply().body, "11");
    EXPECT_EQ(c.reply().body, "ok") << "the connection goes on";
    EXPECT_EQ(log_.body, "hello world");
    EXPECT_EQ(log_.length, 11U);
    c.send(
        "POST /sink/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: "
        "chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n");
    const auto chunked = c.reply();
    EXPECT_EQ(chunked.status, 201);
    EXPECT_EQ(log_.body, "hello worldabcdefg");
    EXPECT_FALSE(log_.length);
    c.send(head(0));
    EXPECT_EQ(c.reply().status, 201) << "an empty one";
    EXPECT_EQ(c.get("/quick").body, "ok");
    const auto told = records(3);
    ASSERT_EQ(told.size(), 3U);
    EXPECT_EQ(told[0].bytes_in, 11U);
    EXPECT_TRUE(told[0].completed);
    EXPECT_TRUE(told[0].request->body.empty());
}

TEST_F(Uploads, NoByteBeforeTheSinkIsOpen) {
    start();
    log_.hold_open = true;
    Client c(port());
    c.send(head(5, "Expect: 100-continue\r\n"));
    ASSERT_TRUE(log_.wait("open"));
    EXPECT_FALSE(c.receive(100)) << "100 Continue comes when the sink has said yes";
    log_.release();
    ASSERT_TRUE(c.wait_for("100 Continue\r\n\r\n"));
    c.send("hello");
    EXPECT_EQ(c.reply().status, 201);
    // One that says no is heard instead of it.
    log_.refuse_open = true;
    Client refused(port());
    refused.send(head(5, "Expect: 100-continue\r\n"));
    const auto r = refused.reply();
    EXPECT_EQ(r.status, 507);
    EXPECT_EQ(refused.came().find("100 Continue"), std::string::npos);
    EXPECT_TRUE(refused.wait_closed());
    // And where the client sends without asking.
    Client eager(port());
    eager.send(head(5) + "hello");
    EXPECT_EQ(eager.reply().status, 507);
    EXPECT_EQ(log_.so_far(), 5U);
}

TEST_F(Uploads, TheGateAndTheBoundComeFirst) {
    start();
    Client stranger(port());
    stranger.send("POST /sink/x HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 5\r\n\r\nhello");
    EXPECT_EQ(stranger.reply().status, 403);
    Client large(port());
    large.send(head((1ULL << 30U) + 1));
    EXPECT_EQ(large.reply().status, 413);
    EXPECT_EQ(log_.events, "");
    Client chunk(port());
    chunk.send(
        "POST /sink/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n40000000\r\n");
    EXPECT_EQ(chunk.reply().status, 413);
    EXPECT_TRUE(log_.wait("gone"));
    EXPECT_EQ(log_.events.find("done"), std::string::npos);
}

TEST_F(Uploads, ASlowSinkHoldsItsClientUpAndNobodyElse) {
    ServerOptions o;
    o.body_deadline = 300ms;
    start(o);
    log_.hold_take = true;
    constexpr std::size_t kSize = 64 << 20;
    Client c(port());
    std::atomic<std::size_t> sent = 0;
    std::thread sender([&] {
        c.send(head(kSize));
        const std::string piece(1 << 16, 'x');
        for (std::size_t i = 0; i < kSize && c.send(piece); i += piece.size()) sent += piece.size();
    });
    ASSERT_TRUE(log_.wait("take"));
    std::this_thread::sleep_for(700ms);  // longer than its deadline: our slowness is not the client's
    EXPECT_LT(sent, 20U << 20U) << "what the system's buffers hold, and a few pieces";
    Client other(port());
    for (int i = 0; i < 20; ++i) EXPECT_EQ(other.get("/quick").body, "ok");
    log_.release();
    sender.join();
    const auto reply = c.reply();
    EXPECT_EQ(reply.status, 201);
    EXPECT_EQ(reply.body, std::to_string(kSize));
    EXPECT_LE(log_.largest, 512U << 10U);
}

TEST_F(Uploads, AClientThatGoesLeavesNothing) {
    start();
    {
        Client c(port());
        c.send(head(1000) + "only this");
        ASSERT_TRUE(log_.wait("take"));
        EXPECT_EQ(server_->counts().active, 1U) << "draining waits for it";
    }
    EXPECT_TRUE(log_.wait("gone"));
    EXPECT_EQ(log_.events.find("done"), std::string::npos);
    const auto told = records(1);
    ASSERT_EQ(told.size(), 1U);
    EXPECT_FALSE(told[0].completed);
    EXPECT_EQ(told[0].bytes_in, 9U);
    EXPECT_EQ(server_->counts().active, 0U);
}

TEST_F(Uploads, AStalledClientIsToldOff) {
    ServerOptions o;
    o.body_deadline = 300ms;
    start(o);
    Client c(port());
    c.send(head(1000) + "only this");
    EXPECT_EQ(c.reply().status, 408);
    EXPECT_TRUE(log_.wait("gone"));
}

TEST_F(Uploads, ARefusedPieceEndsIt) {
    start();
    log_.refuse_from = 10;
    Client c(port());
    c.send(head(1 << 20) + std::string(1000, 'x'));
    const auto reply = c.reply();
    EXPECT_EQ(reply.status, 400);
    EXPECT_NE(reply.body.find("wrong bytes"), std::string::npos);
    EXPECT_TRUE(log_.wait("gone"));
    // The last piece of all: the answer is the sink's fault too, and the connection goes on.
    Client last(port());
    last.send(head(20) + std::string(20, 'x'));
    EXPECT_EQ(last.reply().status, 400);
}

TEST_F(Uploads, AStoppedServerGivesThemUp) {
    start();
    Client c(port());
    c.send(head(1000) + "only this");
    ASSERT_TRUE(log_.wait("take"));
    server_->stop();
    EXPECT_TRUE(c.wait_closed());
    EXPECT_TRUE(log_.wait("gone"));
}

}  // namespace
}  // namespace freehold::server
