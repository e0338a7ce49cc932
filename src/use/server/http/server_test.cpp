// The listener against clients that are slow, wrong, many, or gone; handlers are stand-ins.
#include <atomic>
#include <future>
#include <thread>

#include "freehold/server/errors.h"
#include "testing.h"

namespace freehold::server {
namespace {

using testing::Client;
using namespace std::chrono_literals;

Route row(const char* method, const char* pattern, Handler handler, Where where = Where::worker) {
    Route r;
    r.method = method;
    r.pattern = pattern;
    r.handler = std::move(handler);
    r.where = where;
    return r;
}

class Http : public ::testing::Test {
 protected:
    void start(ServerOptions options = {}) {
        options.port = 0;
        std::vector<Route> routes;
        routes.push_back(row(
            "GET", "/quick", [](const RequestPtr&, const ResponderPtr& r) { r->send(200, {}, "ok"); }, Where::io));
        routes.push_back(
            row("POST", "/echo", [](const RequestPtr& q, const ResponderPtr& r) { r->send(200, {}, q->body); }));
        routes.push_back(row("GET", "/throw", [](const RequestPtr&, const ResponderPtr&) {
            throw Error(ErrorKind::not_found, "It is not there.", "Look elsewhere.");
        }));
        routes.push_back(row("GET", "/forget", [](const RequestPtr&, const ResponderPtr&) {}));
        // Streams until the client is gone.
        routes.push_back(row("GET", "/stream", [this](const RequestPtr&, const ResponderPtr& r) {
            r->begin(200, {});
            r->on_gone([this] { ++gone_; });
            auto stream = std::async(std::launch::async, [r] {
                const std::string piece(1000, 'x');
                for (int i = 0; i < 20000 && !r->gone(); ++i) {
                    r->write(piece);
                    std::this_thread::sleep_for(std::chrono::microseconds(200));
                }
                r->end();
            });
            const std::lock_guard lock(mutex_);
            streams_.push_back(std::move(stream));
        }));
        // Much at once, of a stream that has no end.
        routes.push_back(row("GET", "/big", [this](const RequestPtr&, const ResponderPtr& r) {
            r->begin(200, {});
            r->on_gone([this] { ++gone_; });
            r->write(std::string(800'000, 'x'));
            const std::lock_guard lock(mutex_);
            waiting_.push_back(r);
        }));
        options.observer = [this](const ExchangeRecord& record) {
            const Value* const why = record.notes.find("cut_off");
            const std::lock_guard lock(mutex_);
            if (why != nullptr) cut_off_.emplace_back(*why->as_string());
        };
        // Answers when it is told to; notices a client that goes.
        routes.push_back(row("GET", "/wait", [this](const RequestPtr&, const ResponderPtr& r) {
            r->on_gone([this] { ++gone_; });
            const std::lock_guard lock(mutex_);
            waiting_.push_back(r);
        }));
        server_.emplace(std::move(options), std::move(routes), *gate_, workers_);
        server_->start();
    }
    void TearDown() override {
        server_->stop();
        // A future keeps its answer, and with it what is told at its end, until it goes itself.
        streams_.clear();
        waiting_.clear();
    }
    bool wait_gone(int n) {
        for (int i = 0; i < 1000 && gone_ < n; ++i) std::this_thread::sleep_for(10ms);
        return gone_ >= n;
    }
    std::uint16_t port() { return server_->port(); }

    std::unique_ptr<Gate> gate_ = make_loopback_gate();
    Workers workers_{2};
    std::atomic<int> gone_{0};
    std::vector<std::future<void>> streams_;
    std::mutex mutex_;
    std::vector<ResponderPtr> waiting_;
    std::vector<std::string> cut_off_;
    std::optional<Server> server_;
};

TEST_F(Http, KeepsAliveAndAnswersInOrder) {
    start();
    Client c(port());
    c.send(
        "GET /quick HTTP/1.1\r\nHost: localhost\r\n\r\nPOST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
        "3\r\n\r\nabc"
        "GET /quick HTTP/1.1\r\nHost: localhost\r\n\r\nHEAD /quick HTTP/1.1\r\nHost: localhost\r\n\r\n");
    EXPECT_EQ(c.reply().body, "ok");
    EXPECT_EQ(c.reply().body, "abc");
    EXPECT_EQ(c.reply().body, "ok");
    const auto head = c.reply(true);
    EXPECT_EQ(head.status, 200);
    EXPECT_EQ(head.headers.at("content-length"), "2");
    EXPECT_EQ(c.get("/quick").body, "ok");
    EXPECT_EQ(server_->counts().accepted, 1U);
}

TEST_F(Http, OldClientsAndConnectionClose) {
    start();
    Client old(port());
    old.send("GET /quick HTTP/1.0\r\n\r\n");
    EXPECT_EQ(old.reply().body, "ok");
    EXPECT_TRUE(old.wait_closed());
    Client c(port());
    EXPECT_EQ(c.get("/quick", "Connection: close\r\n").headers.at("connection"), "close");
    EXPECT_TRUE(c.wait_closed());
}

TEST_F(Http, ErrorsHaveShapeAndKeepTheConnection) {
    start();
    Client c(port());
    auto r = c.get("/throw");
    EXPECT_EQ(r.status, 404);
    EXPECT_NE(r.body.find("It is not there. Look elsewhere."), std::string::npos);
    r = c.get("/nowhere");
    EXPECT_EQ(r.status, 404);
    EXPECT_EQ(c.get("/forget").status, 500);
    c.send("DELETE /quick HTTP/1.1\r\nHost: localhost\r\n\r\n");
    r = c.reply();
    EXPECT_EQ(r.status, 405);
    EXPECT_EQ(r.headers.at("allow"), "GET, HEAD");
    c.send(
        "OPTIONS /echo HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\nAccess-Control-Request-Method: "
        "POST\r\n\r\n");
    r = c.reply();
    EXPECT_EQ(r.status, 204);
    EXPECT_FALSE(r.headers.contains("access-control-allow-origin"));
    EXPECT_EQ(c.get("/quick").status, 200);
    EXPECT_TRUE(r.headers.contains("x-request-id"));
}

TEST_F(Http, TheGateOfLoopbackIsClosedToOthers) {
    start();
    const auto status = [&](const std::string& headers) {
        Client c(port());
        c.send("POST /echo HTTP/1.1\r\n" + headers + "Content-Length: 1\r\n\r\nx");
        return c.reply().status;
    };
    EXPECT_EQ(status("Host: localhost\r\n"), 200);
    EXPECT_EQ(status("Host: 127.0.0.1:8080\r\n"), 200);
    EXPECT_EQ(status("Host: evil.example\r\n"), 403);
    EXPECT_EQ(status("Host: localhost\r\nX-Forwarded-For: 1.2.3.4\r\n"), 401);
    EXPECT_EQ(status("Host: localhost\r\nOrigin: http://evil.example\r\n"), 403);
    EXPECT_EQ(status("Host: localhost\r\nOrigin: http://localhost\r\n"), 200);
    EXPECT_EQ(status("Host: localhost\r\nOrigin: null\r\n"), 403);
    EXPECT_THROW(gate_->check_listen("0.0.0.0", false), Error);
}

TEST_F(Http, BodiesAreBounded) {
    ServerOptions o;
    o.max_body_bytes = 1000;
    start(o);
    Client c(port());
    // Told by its length before a byte of it came, although the client goes on sending.
    c.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1073741824\r\n\r\n");
    auto r = c.reply();
    EXPECT_EQ(r.status, 413);
    EXPECT_EQ(r.headers.at("connection"), "close");
    Client chunked(port());
    chunked.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 11; ++i) chunked.send("64\r\n" + std::string(100, 'x') + "\r\n");
    EXPECT_EQ(chunked.reply().status, 413);
    Client fits(port());
    EXPECT_EQ(fits.post("/echo", std::string(1000, 'y')).status, 200);
    EXPECT_EQ(fits.post("/echo", std::string(1001, 'y')).status, 413);
}

TEST_F(Http, HeadersAreBounded) {
    start();
    Client c(port());
    c.send("GET /quick HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(70000, 'x') + "\r\n\r\n");
    EXPECT_EQ(c.reply().status, 431);
    Client many(port());
    std::string flood = "GET /quick HTTP/1.1\r\nHost: localhost\r\n";
    for (int i = 0; i < 300; ++i) flood += "X-" + std::to_string(i) + ": y\r\n";
    many.send(flood + "\r\n");
    EXPECT_EQ(many.reply().status, 431);
    Client fine(port());
    EXPECT_EQ(fine.get("/quick", "X: " + std::string(30000, 'x') + "\r\n").status, 200);
}

TEST_F(Http, ContinueIsSaid) {
    start();
    Client c(port());
    c.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    ASSERT_TRUE(c.wait_for("100 Continue"));
    c.send("abc");
    EXPECT_EQ(c.reply().body, "abc");
}

TEST_F(Http, SlowHeadsAndBodiesAreCutOff) {
    ServerOptions o;
    o.header_deadline = 300ms;
    o.body_deadline = 300ms;
    o.idle_timeout = 300ms;
    start(o);
    Client head(port()), body(port()), idle(port());
    head.send("GET /quick HTTP/1.1\r\nHo");
    body.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nab");
    EXPECT_EQ(head.reply().status, 408);
    EXPECT_EQ(body.reply().status, 408);
    EXPECT_TRUE(idle.wait_closed());
    EXPECT_TRUE(idle.came().empty());
}

TEST_F(Http, AClientThatGoesIsNoticed) {
    start();
    {
        Client streaming(port()), waiting(port());
        streaming.send("GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
        waiting.send("GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n");
        ASSERT_TRUE(streaming.wait_for("xxxx"));
        for (int i = 0; i < 500 && server_->counts().active < 2; ++i) std::this_thread::sleep_for(10ms);
    }
    EXPECT_TRUE(wait_gone(2));
    // Who only closes the sending side still gets a quick answer.
    Client half(port());
    half.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc");
    half.half_close();
    EXPECT_EQ(half.reply().body, "abc");
}

// Also where the answer takes long, is a stream, or is the second of two that were asked for.
TEST_F(Http, WhoOnlySendsNoMoreIsAnswered) {
    start();
    const auto release = [&] {
        for (int i = 0; i < 2000; ++i) {
            {
                const std::lock_guard lock(mutex_);
                if (!waiting_.empty()) {
                    EXPECT_FALSE(waiting_.back()->gone());
                    waiting_.back()->send(200, {}, "late");
                    return waiting_.pop_back();
                }
            }
            std::this_thread::sleep_for(10ms);
        }
        FAIL() << "nobody waits";
    };
    Client c(port());
    c.send("GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\nGET /wait HTTP/1.1\r\nHost: localhost\r\n\r\nGET /qui");
    c.half_close();
    ASSERT_TRUE(c.wait_for("100 Continue"));  // the server knows of the closed side, and looks whether somebody reads
    release();
    EXPECT_EQ(c.reply().body, "late");
    ASSERT_TRUE(c.wait_for("100 Continue"));
    release();
    EXPECT_EQ(c.reply().body, "late");
    EXPECT_TRUE(c.wait_closed());
    EXPECT_TRUE(c.came().empty()) << c.came();
    EXPECT_EQ(gone_, 0);
    // HTTP/1.0 knows no interim answers: there a closed side is a client that has gone, as its proxies close.
    Client old(port());
    old.send("GET /wait HTTP/1.0\r\nHost: localhost\r\n\r\n");
    old.half_close();
    EXPECT_TRUE(wait_gone(1));
}

TEST_F(Http, SlowReadersAreClosedAndDisturbNobody) {
    ServerOptions o;
    o.max_buffered_bytes = 100'000;
    o.write_deadline = 60s;
    start(o);
    std::vector<std::unique_ptr<Client>> slow;
    for (int i = 0; i < 5; ++i) {
        slow.push_back(std::make_unique<Client>(port(), 4096));
        slow.back()->send("GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
    Client quick(port());
    for (int i = 0; i < 50; ++i) ASSERT_EQ(quick.get("/quick").status, 200);
    EXPECT_TRUE(wait_gone(5));
    // A reader that takes nothing runs into the deadline of writing.
    server_->stop();
}

TEST_F(Http, WhatIsNotTakenInTimeIsCutOff) {
    ServerOptions o;
    o.write_deadline = 300ms;
    start(o);
    Client c(port(), 4096);
    c.send("GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
    EXPECT_TRUE(wait_gone(1));
}

// What is held of bodies has a bound for all of them together, and is given back.
TEST_F(Http, BodiesShareTheirRoom) {
    ServerOptions o;
    o.max_bodies_bytes = 1000;
    start(o);
    Client first(port()), second(port());
    first.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 950\r\n\r\n" + std::string(900, 'a'));
    const std::string length = "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: ";
    const std::string chunks = "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    // Held, not only asked for: a small one passes until the first has come.
    int status = 200;
    for (int i = 0; i < 1000 && status == 200; ++i) {
        Client c(port());
        c.send(length + "200\r\n\r\n" + std::string(200, 'b'));
        const auto reply = c.reply();
        status = reply.status;
        if (status != 200) {
            EXPECT_EQ(reply.headers.at("retry-after"), "2");
        }
    }
    EXPECT_EQ(status, 503);
    second.send(chunks + "c8\r\n" + std::string(200, 'b') + "\r\n0\r\n\r\n");
    EXPECT_EQ(second.reply().status, 503);
    first.send(std::string(50, 'a'));
    EXPECT_EQ(first.reply().body.size(), 950U);
    // The handler has returned before its answer came, or does so in a moment.
    for (int i = 0; i < 1000 && status != 200; ++i) {
        Client c(port());
        c.send(chunks + "c8\r\n" + std::string(200, 'b') + "\r\n0\r\n\r\n");
        status = c.reply().status;
    }
    EXPECT_EQ(status, 200);
    Client large(port());
    large.send(length + "1001\r\n\r\n");
    EXPECT_EQ(large.reply().status, 503);
}

// A byte now and then keeps no connection and no memory of ours.
TEST_F(Http, WhoTakesAnAnswerInDripsIsCutOff) {
    ServerOptions o;
    o.write_deadline = 500ms;
    o.slowest_reader = 1 << 20U;
    start(o);
    Client c(port(), 4096);
    c.send("GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n");
    int drips = 0;
    for (; drips < 600 && c.receive(); ++drips) std::this_thread::sleep_for(50ms);
    EXPECT_LT(c.came().size(), 800'000U);
    EXPECT_TRUE(wait_gone(1));
    server_->stop();
    // It is told of when the handler has let go of the answer: until then it may have more to note.
    std::vector<ResponderPtr> held;
    {
        const std::lock_guard lock(mutex_);
        EXPECT_EQ(cut_off_.size(), 0U);
        held.swap(waiting_);
    }
    held.clear();
    const std::lock_guard lock(mutex_);
    ASSERT_EQ(cut_off_.size(), 1U);
    EXPECT_EQ(cut_off_.front(), "the client reads too slowly");
}

TEST_F(Http, ConnectionsAreCapped) {
    ServerOptions o;
    o.max_connections = 3;
    start(o);
    Client a(port()), b(port()), c(port());
    for (Client* busy : {&a, &b, &c}) busy->send("GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n");
    for (int i = 0; i < 1000 && server_->counts().active < 3; ++i) std::this_thread::sleep_for(10ms);
    Client d(port());
    EXPECT_EQ(d.reply().status, 503);
    a.close();
    for (int i = 0; i < 300 && server_->counts().connections > 2; ++i) std::this_thread::sleep_for(10ms);
    Client e(port());
    EXPECT_EQ(e.get("/quick").status, 200);
}

TEST_F(Http, ConnectionsThatAskNothingMakeRoomForOthers) {
    ServerOptions o;
    o.max_connections = 64;
    start(o);
    Client busy(port());
    busy.send("GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n");
    std::vector<std::unique_ptr<Client>> idle;
    for (int i = 0; i < 200; ++i) {
        idle.push_back(std::make_unique<Client>(port()));
        if (i % 2 == 0) idle.back()->send("GET /quick HTTP/1.1\r\nHo");
    }
    Client guest(port());
    EXPECT_EQ(guest.get("/quick").status, 200);
    EXPECT_EQ(server_->counts().refused, 0U);
    EXPECT_GE(server_->counts().dropped, 138U);
    EXPECT_TRUE(idle.front()->wait_closed()) << "the oldest go first";
    for (int i = 0; i < 1000 && server_->counts().active != 1; ++i) std::this_thread::sleep_for(10ms);
    EXPECT_EQ(server_->counts().active, 1U) << "who waits for an answer stays";
}

TEST_F(Http, NonsenseIsAnsweredAndClosed) {
    start();
    for (const std::string& text :
         {std::string("\0\0\0\0", 4), std::string("\r\n\r\nhello\r\n\r\n"), std::string("GET /quick\r\n\r\n"),
          std::string("GET  /quick HTTP/1.1\r\nHost: a\r\n\r\n"), std::string("GET /quick HTTP/1.1\nHost: a\n\n"),
          std::string("POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
          std::string("GET /../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")}) {
        Client c(port());
        c.send(text);
        const int status = c.reply().status;
        EXPECT_TRUE(status == 400 || status == 505) << text << status;
        EXPECT_TRUE(c.wait_closed()) << text;
    }
    Client fine(port());
    EXPECT_EQ(fine.get("/quick").status, 200);
}

TEST_F(Http, ManyIdleConnectionsDisturbNobody) {
    start();
    std::vector<std::unique_ptr<Client>> idle;
    for (int i = 0; i < 400; ++i) idle.push_back(std::make_unique<Client>(port()));
    Client c(port());
    EXPECT_EQ(c.get("/quick").status, 200);
    EXPECT_EQ(c.post("/echo", "hello").body, "hello");
}

TEST_F(Http, DrainLetsFinishAndRefusesNewOnes) {
    start();
    Client waiting(port()), idle(port());
    EXPECT_EQ(idle.get("/quick").status, 200);
    waiting.send("GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n");
    for (int i = 0; i < 500; ++i) {
        const std::lock_guard lock(mutex_);
        if (!waiting_.empty()) break;
        std::this_thread::sleep_for(2ms);
    }
    EXPECT_FALSE(server_->drain(50ms));
    EXPECT_TRUE(idle.wait_closed());
    EXPECT_FALSE(Client(port()).connected());
    {
        const std::lock_guard lock(mutex_);
        ASSERT_EQ(waiting_.size(), 1U);
        waiting_[0]->send(200, {}, "late");
    }
    EXPECT_EQ(waiting.reply().body, "late");
    EXPECT_TRUE(server_->drain(5s));
}

TEST_F(Http, WhoeverStillWaitsAtTheEndIsToldSo) {
    start();
    Client waiting(port());
    waiting.send("GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n");
    for (int i = 0; i < 500; ++i) {
        const std::lock_guard lock(mutex_);
        if (!waiting_.empty()) break;
        std::this_thread::sleep_for(2ms);
    }
    // Another has sent half of what it has to send.
    Client sending(port());
    sending.send(
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\nhalf");
    for (int i = 0; i < 500 && server_->counts().requests < 2; ++i) std::this_thread::sleep_for(2ms);
    EXPECT_FALSE(server_->drain(20ms));
    server_->refuse_waiting();
    for (Client* client : {&waiting, &sending}) {
        auto reply = client->reply();
        EXPECT_EQ(reply.status, 503);
        EXPECT_EQ(reply.headers["retry-after"], "5");
        EXPECT_EQ(reply.headers["connection"], "close");
        EXPECT_NE(reply.body.find("server_stopping"), std::string::npos) << reply.body;
    }
    EXPECT_TRUE(server_->drain(5s));
    const std::lock_guard lock(mutex_);
    waiting_[0]->send(200, {}, "too late");  // changes nothing
}

}  // namespace
}  // namespace freehold::server
