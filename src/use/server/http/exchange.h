// One request and its answer on the way between a handler's thread and the I/O thread.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "core.h"
#include "freehold/server/http.h"

namespace freehold::server {

// The outgoing side: handlers append from any thread, the connection takes from the I/O thread.
class Exchange : public std::enable_shared_from_this<Exchange> {
 public:
    struct Manner {
        bool keep_alive = false, http_1_1 = true, head_only = false;
    };
    Exchange(std::shared_ptr<Core> core, std::weak_ptr<Connection> connection, Manner manner, std::string request_id);

    void send(int status, const Headers& headers, std::string_view body);
    void begin(int status, const Headers& headers);
    void write(std::string_view chunk);
    void end();
    // Whoever holds the answer began to, and let go of it: without an end it is an answer that was dropped.
    void hold();
    void abandon();
    // Calls once nobody holds the answer, with all that was noted until then; at once if nobody does. What a generation
    // was is known when it has ended, and that may be after the client went away.
    void when_let_go(std::function<void(ValueMap notes)> tell);
    void on_gone(std::function<void()> callback);
    void note(std::string key, Value value);
    [[nodiscard]] bool begun() const;
    [[nodiscard]] bool gone() const;

    // I/O thread: what is to be written now (swapped into `out`).
    void take(std::string& out);
    [[nodiscard]] bool complete() const;  // ended and all taken
    [[nodiscard]] bool ended() const;
    [[nodiscard]] bool broken() const;  // must be cut off after what was taken
    [[nodiscard]] bool keep_alive() const;
    void forbid_keep_alive();
    // The client closed its side and cannot be asked whether it still listens: those who want to be told are told,
    // others may still answer.
    void peer_closed();
    // Writes, into an answer that has begun, what its readers pass over; nothing where they would not.
    void nudge();
    [[nodiscard]] bool http_1_1() const noexcept { return manner_.http_1_1; }
    // Nothing can be sent any more.
    void lost();
    [[nodiscard]] int status() const;
    [[nodiscard]] std::uint64_t bytes() const;
    [[nodiscard]] ValueMap notes() const;

 private:
    [[nodiscard]] std::string head(int status, const Headers& headers, const std::string& framing) const;
    void wake_locked();  // posts a flush unless one is on its way
    void finish_locked();
    void abandon_locked();

    const std::shared_ptr<Core> core_;
    const std::weak_ptr<Connection> connection_;
    const std::string request_id_;
    mutable std::mutex mutex_;
    Manner manner_;
    std::string queued_, filler_;
    std::function<void()> on_gone_;
    std::function<void(ValueMap)> let_go_;
    ValueMap notes_;
    int status_ = 0;
    std::uint64_t bytes_ = 0;
    std::size_t in_flight_ = 0;  // taken by the connection, perhaps not yet written
    bool held_ = false, begun_ = false, ended_ = false, gone_ = false, closed_ = false, broken_ = false,
         flush_posted_ = false;
};

// What handlers hold. The last one to go without an answer answers 500.
class Reply final : public Responder {
 public:
    explicit Reply(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) { exchange_->hold(); }
    ~Reply() override { exchange_->abandon(); }
    void send(int status, Headers headers, std::string body) override { exchange_->send(status, headers, body); }
    void begin(int status, Headers headers) override { exchange_->begin(status, headers); }
    void write(std::string_view chunk) override { exchange_->write(chunk); }
    void end() override { exchange_->end(); }
    bool begun() const noexcept override { return exchange_->begun(); }
    bool gone() const noexcept override { return exchange_->gone(); }
    void on_gone(std::function<void()> callback) override { exchange_->on_gone(std::move(callback)); }
    void note(std::string key, Value value) override { exchange_->note(std::move(key), std::move(value)); }

 private:
    std::shared_ptr<Exchange> exchange_;
};

}  // namespace freehold::server
