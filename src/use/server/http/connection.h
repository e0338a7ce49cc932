// One client: reads requests, one after the other (more may wait in line), hands them to handlers, writes the answers,
// keeps every deadline, and notices when the client goes.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>

#include "core.h"
#include "exchange.h"
#include "parser.h"
#include "upload.h"
#include "wire.h"

namespace freehold::server {

class Connection : public std::enable_shared_from_this<Connection> {
 public:
    Connection(std::shared_ptr<Core> core, std::unique_ptr<Wire> wire, std::string peer, bool loopback);
    ~Connection();
    void start();
    // Something is to be written, or the answer has ended.
    void flush();
    // A step of an upload is done; `fault` is what ended it.
    void upload_went_on(const Upload& which, const std::exception_ptr& fault);
    // Closes when a deadline has passed.
    void look_at_clock(SteadyClock::time_point now);
    // Answers 503 where no byte of an answer has been sent.
    void refuse_waiting();
    // Closes if nothing is going on.
    void close_if_idle();
    void close();
    // No request of it is whole yet, or none has begun.
    [[nodiscard]] bool asks_nothing() const noexcept {
        return state_ == State::handshake || state_ == State::idle || state_ == State::head;
    }
    [[nodiscard]] const std::string& peer() const noexcept { return peer_; }
    // When it came into its present state.
    [[nodiscard]] SteadyClock::time_point since() const noexcept { return since_; }

 private:
    enum class State : std::uint8_t { handshake, idle, head, body, answering, leaving, closed };
    void read();
    void on_read(const ErrorCode& ec, std::size_t n);
    void process();
    void head_complete();
    void say_continue();
    void begin_upload();
    void hand_over();
    void finish_upload();
    void drop_upload();
    // Takes no more for now: the client waits, by the means of TCP.
    [[nodiscard]] bool upload_full() const;
    void dispatch();
    void refuse(int status, const std::string& message, const Route* route);
    void refuse_crowd();
    void answer_early(const std::exception_ptr& fault, const Route* route);
    std::shared_ptr<Exchange> make_exchange(bool keep_alive);
    void write();
    void on_written(const ErrorCode& ec, std::size_t n);
    void answered();
    void leave();
    void sending_side_closed();
    void probe();
    void peer_gone();
    void too_slow();
    void observe(bool completed);
    void set_deadline(std::chrono::milliseconds after);

    const std::shared_ptr<Core> core_;
    const std::unique_ptr<Wire> wire_;
    const std::string peer_;
    const bool loopback_;
    State state_ = State::handshake;
    SteadyClock::time_point deadline_, since_, began_;
    SteadyClock::time_point taken_by_;  // when what is being written must be with the client
    std::array<char, 16384> chunk_;
    std::string in_;  // came, not yet parsed
    std::unique_ptr<RequestParser> parser_;
    std::shared_ptr<HttpRequest> request_;
    std::shared_ptr<BodyBytes> held_;  // of its body, where it is not an upload
    const Route* route_ = nullptr;
    std::shared_ptr<Exchange> exchange_;
    std::shared_ptr<Upload> upload_;                  // with State::body: the body goes there
    std::optional<SteadyClock::time_point> held_up_;  // since when the client waits for our disk
    std::string out_;                                 // being written
    std::size_t written_ = 0, drained_ = 0;
    std::uint64_t body_bytes_ = 0;
    bool reading_ = false, writing_ = false, eof_ = false, processing_ = false;
    bool probed_ = false;       // it was looked whether the client still listens
    bool unread_body_ = false;  // refused before its body was read: the connection cannot go on
};

}  // namespace freehold::server
