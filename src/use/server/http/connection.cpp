// The life of a connection, all of it on the I/O thread.
#include "connection.h"

#include <fmt/format.h>

#include <boost/asio/error.hpp>

#include <algorithm>
#include <utility>

#include "freehold/server/errors.h"

namespace freehold::server {
namespace {

namespace asio = boost::asio;

constexpr std::size_t kPipelined = 64 << 10;  // bytes of further requests that may wait
constexpr std::size_t kDrained = 1 << 20;     // of a refused body, so that the refusal can be read
constexpr std::chrono::milliseconds kLeaving{2000};
constexpr std::uint64_t kSlowestBody = 64 << 10;  // bytes a second that a body must bring
constexpr std::size_t kWorkerQueue = 4096;
constexpr std::size_t kPiece = 256 << 10;  // of an upload that may wait while the piece before it is taken

}  // namespace

Connection::Connection(std::shared_ptr<Core> core, std::unique_ptr<Wire> wire, std::string peer, bool loopback)
    : core_(std::move(core)), wire_(std::move(wire)), peer_(std::move(peer)), loopback_(loopback) {
    ++core_->open;
}

Connection::~Connection() {
    --core_->open;
}

void Connection::set_deadline(std::chrono::milliseconds after) {
    since_ = SteadyClock::now();
    deadline_ = since_ + after;
}

void Connection::start() {
    set_deadline(core_->options.header_deadline);
    wire_->handshake([self = shared_from_this()](const ErrorCode& ec) {
        if (self->state_ != State::handshake) return;
        if (ec) return self->close();
        self->state_ = State::idle;
        self->read();
    });
}

void Connection::read() {
    if (reading_ || eof_ || state_ == State::closed || state_ == State::handshake) return;
    if (state_ == State::answering && in_.size() >= kPipelined) return;
    if (state_ == State::body && upload_full()) {
        if (!held_up_) held_up_ = SteadyClock::now();
        return;
    }
    reading_ = true;
    wire_->read(asio::buffer(chunk_), [self = shared_from_this()](const ErrorCode& ec, std::size_t n) {
        self->reading_ = false;
        self->on_read(ec, n);
    });
}

void Connection::on_read(const ErrorCode& ec, std::size_t n) {
    if (state_ == State::closed) return;
    if (ec) {
        eof_ = true;
        if (ec != asio::error::eof && state_ == State::answering) return peer_gone();
        if (state_ == State::answering) return sending_side_closed();
        if (state_ == State::head || state_ == State::body) ++core_->malformed;
        return close();
    }
    if (state_ == State::leaving) {
        drained_ += n;
        return drained_ > kDrained ? close() : read();
    }
    in_.append(chunk_.data(), n);
    process();
    read();
}

void Connection::process() {
    if (processing_) return;
    processing_ = true;
    while (state_ == State::idle || state_ == State::head || state_ == State::body) {
        if (state_ == State::idle) {
            // Empty lines between requests are allowed.
            in_.erase(0, in_.find_first_not_of("\r\n"));
            if (in_.empty()) break;
            state_ = State::head;
            parser_ = std::make_unique<RequestParser>(core_->options.max_header_bytes);
            began_ = SteadyClock::now();
            body_bytes_ = 0;
            set_deadline(core_->options.header_deadline);
        }
        const bool in_body = state_ == State::body;
        if (in_body && upload_full()) break;
        const std::size_t used = parser_->feed(in_);
        in_.erase(0, used);
        body_bytes_ += in_body ? used : 0;
        if (in_body) hand_over();
        if (in_body && held_ && !held_->hold(parser_->request().body.size())) {
            unread_body_ = true;
            refuse_crowd();
            break;
        }
        const auto parsed = parser_->state();
        if (parsed == RequestParser::State::failed) {
            ++core_->malformed;
            unread_body_ = true;
            refuse(parser_->fault_status(), parser_->fault(), route_);
        } else if (state_ == State::head && parsed != RequestParser::State::head) {
            head_complete();
            if (state_ == State::body && parsed == RequestParser::State::done) dispatch();
        } else if (state_ == State::body && parsed == RequestParser::State::done) {
            dispatch();
        } else if (used == 0 && in_body && in_.size() > core_->options.max_header_bytes) {
            // The line before a chunk, or what follows the last one, has no end.
            ++core_->malformed;
            unread_body_ = true;
            refuse(400, "The body's chunks cannot be read: a line between them is too long.", route_);
        } else if (used == 0 || in_.empty()) {
            break;
        }
    }
    processing_ = false;
}

std::shared_ptr<Exchange> Connection::make_exchange(bool keep_alive) {
    Exchange::Manner manner;
    manner.http_1_1 = parser_->http_1_1();
    manner.keep_alive = keep_alive && !core_->draining;
    manner.head_only = request_->method == "HEAD";
    return std::make_shared<Exchange>(core_, weak_from_this(), manner, request_->id);
}

void Connection::refuse(int status, const std::string& message, const Route* route) {
    const ErrorKind kind = status == 503 ? ErrorKind::busy : ErrorKind::usage;
    answer_early(std::make_exception_ptr(RequestError(status, kind, message)), route);
}

void Connection::refuse_crowd() {
    held_.reset();
    answer_early(std::make_exception_ptr(RequestError(503, ErrorKind::busy,
                                                      "The server holds as many bytes of requests as it has room for.",
                                                      "Try again in a moment.", {}, "overloaded", 2)),
                 route_);
}

void Connection::answer_early(const std::exception_ptr& fault, const Route* route) {
    if (!request_) {
        request_ = std::make_shared<HttpRequest>();
        request_->method = parser_->request().method;
        request_->target = parser_->request().target;
        request_->peer = peer_;
        request_->id = fmt::format("{}{:x}", core_->id_prefix, core_->next_request++);
    }
    state_ = State::answering;
    unread_body_ = unread_body_ || parser_->state() != RequestParser::State::done;
    if (exchange_) {
        if (unread_body_) exchange_->forbid_keep_alive();
        drop_upload();
    } else {
        ++core_->active;
        exchange_ = make_exchange(!unread_body_ && parser_->keep_alive());
    }
    Reply reply(exchange_);
    send_error(reply, fault, route != nullptr ? route->error : openai_error);
}

void Connection::head_complete() {
    ++core_->requests;
    request_ = std::make_shared<HttpRequest>(std::move(parser_->request()));
    HttpRequest& r = *request_;
    parser_->request().method = r.method;
    r.id = fmt::format("{}{:x}", core_->id_prefix, core_->next_request++);
    r.peer = peer_;
    r.peer_is_loopback = loopback_;
    r.tls = wire_->tls();
    const std::string target = r.target;
    if (!read_target(target, r)) return refuse(400, "The path of the request cannot be read.", nullptr);
    auto match = core_->router.find(r.method, r.path);
    route_ = match.route;
    if (route_ == nullptr) {
        if (match.allow.empty()) {
            return answer_early(
                std::make_exception_ptr(RequestError(404, ErrorKind::not_found,
                                                     fmt::format("There is nothing at {}.", r.path.substr(0, 200)),
                                                     "GET /openapi.json lists what there is.")),
                nullptr);
        }
        const bool options = r.method == "OPTIONS";
        state_ = State::answering;
        ++core_->active;
        unread_body_ = parser_->state() != RequestParser::State::done;
        exchange_ = make_exchange(!unread_body_ && parser_->keep_alive());
        Reply reply(exchange_);
        Headers headers = {{"Allow", match.allow}};
        if (options) return reply.send(204, std::move(headers), {});
        ErrorFacts facts;
        facts.status = 405;
        facts.message = fmt::format("{} is not taken at {}, only {}.", r.method, r.path.substr(0, 200), match.allow);
        headers.emplace_back("Content-Type", "application/json");
        return reply.send(405, std::move(headers), openai_error(facts));
    }
    r.params = std::move(match.params);
    try {
        r.principal = core_->gate.admit(r, *route_);
    } catch (...) {
        return answer_early(std::current_exception(), route_);
    }
    const std::uint64_t bound = route_->max_body.value_or(core_->options.max_body_bytes);
    if (parser_->content_length().value_or(0) > bound) {
        return refuse(413, fmt::format("The body is larger than {} bytes, which is the bound.", bound), route_);
    }
    const std::string_view coding = r.header("content-encoding").value_or("identity");
    if (coding != "identity" && (parser_->chunked() || parser_->content_length().value_or(0) > 0)) {
        return refuse(415,
                      fmt::format("A body in the coding \"{}\" is not unpacked here. Send it without Content-Encoding.",
                                  coding.substr(0, 40)),
                      route_);
    }
    if (core_->draining && route_->where != Where::io) {
        return refuse(503, "The server is going down and takes no new requests. Try again in a moment.", route_);
    }
    parser_->set_max_body(bound);
    state_ = State::body;
    set_deadline(core_->options.body_deadline);
    if (route_->sink) return begin_upload();
    if (const std::uint64_t length = parser_->content_length().value_or(0); length > 0 || parser_->chunked()) {
        held_ = std::make_shared<BodyBytes>(*core_);
        if (!held_->hold(0, length)) return refuse_crowd();
    }
    say_continue();
}

void Connection::say_continue() {
    if (!parser_->expects_continue() || parser_->state() == RequestParser::State::done || !in_.empty()) return;
    out_ = "HTTP/1.1 100 Continue\r\n\r\n";
    written_ = 0;
    write();
}

// An upload counts as a request that is being answered: draining waits for it.
void Connection::begin_upload() {
    ++core_->active;
    exchange_ = make_exchange(parser_->keep_alive());
    upload_ = std::make_shared<Upload>(core_, weak_from_this(), *route_, request_);
    upload_->open(parser_->content_length());
}

bool Connection::upload_full() const {
    return upload_ && upload_->busy() && (!upload_->opened() || parser_->request().body.size() >= kPiece);
}

void Connection::hand_over() {
    if (!upload_ || upload_->busy() || parser_->request().body.empty()) return;
    upload_->take(std::exchange(parser_->request().body, {}));
}

void Connection::upload_went_on(const Upload& which, const std::exception_ptr& fault) {
    if (upload_.get() != &which) return;
    if (fault) return answer_early(fault, route_);
    // What our disk took is no time of the client's.
    if (held_up_) deadline_ += SteadyClock::now() - *held_up_;
    held_up_.reset();
    if (body_bytes_ == 0) say_continue();
    hand_over();
    process();
    read();
}

void Connection::finish_upload() {
    if (!parser_->request().body.empty()) upload_->take(std::exchange(parser_->request().body, {}));
    state_ = State::answering;
    if (eof_) exchange_->forbid_keep_alive();
    upload_->finish(std::make_shared<Reply>(exchange_));
    upload_.reset();
}

void Connection::drop_upload() {
    if (upload_) upload_->drop();
    upload_.reset();
    held_up_.reset();
}

void Connection::dispatch() {
    if (upload_) return finish_upload();
    request_->body = std::move(parser_->request().body);
    state_ = State::answering;
    ++core_->active;
    exchange_ = make_exchange(parser_->keep_alive());
    auto reply = std::make_shared<Reply>(exchange_);
    if (eof_ && in_.empty()) exchange_->forbid_keep_alive();
    const auto run = [request = request_, reply = ResponderPtr(reply), route = route_, core = core_,
                      held = std::exchange(held_, nullptr)] {
        try {
            route->handler(request, reply);
        } catch (...) {
            send_current_error(*reply, route->error);
        }
        std::string().swap(request->body);
    };
    if (route_->where == Where::io) return run();
    if (!core_->workers.try_post(run, kWorkerQueue)) {
        send_error(
            *reply,
            std::make_exception_ptr(RequestError(503, ErrorKind::busy, "The server has more to do than it can take on.",
                                                 "Try again in a moment.", {}, {}, 2)),
            route_->error);
    }
}

void Connection::flush() {
    if (state_ != State::answering || !exchange_) return;
    if (exchange_->broken() && !exchange_->ended()) return too_slow();
    if (writing_) return;
    exchange_->take(out_);
    written_ = 0;
    if (!out_.empty()) return write();
    if (exchange_->complete()) answered();
}

void Connection::write() {
    writing_ = true;
    if (state_ == State::answering) {
        set_deadline(core_->options.write_deadline);
        // A byte now and then is not reading.
        if (written_ == 0)
            taken_by_ = deadline_ + std::chrono::milliseconds(out_.size() * 1000 / core_->options.slowest_reader);
    }
    wire_->write(asio::buffer(out_.data() + written_, out_.size() - written_),
                 [self = shared_from_this()](const ErrorCode& ec, std::size_t n) {
                     self->writing_ = false;
                     self->on_written(ec, n);
                 });
}

void Connection::on_written(const ErrorCode& ec, std::size_t n) {
    if (state_ == State::closed) return;
    if (ec) return state_ == State::answering ? peer_gone() : close();
    written_ += n;
    if (written_ < out_.size()) return write();
    flush();
}

void Connection::answered() {
    const bool keep = exchange_->keep_alive() && !exchange_->broken() && !unread_body_ && !(eof_ && in_.empty());
    observe(!exchange_->broken());
    exchange_.reset();
    request_.reset();
    parser_.reset();
    route_ = nullptr;
    out_ = {};
    probed_ = false;
    if (!keep) return leave();
    state_ = State::idle;
    set_deadline(core_->options.idle_timeout);
    process();
    // The client has sent its last byte: what is not whole will never be.
    if (eof_ && asks_nothing()) return close();
    read();
}

// The client only says that it sends no more: it may well read. One that has gone says the same first.
void Connection::sending_side_closed() {
    if (!exchange_->http_1_1()) {
        exchange_->peer_closed();
        if (exchange_->gone()) peer_gone();
        return;
    }
    if (in_.empty()) exchange_->forbid_keep_alive();
    probe();
}

// What any client of HTTP/1.1 reads past, an interim answer or a filler between two lines of a stream: where no program
// reads any more, the system at the other end refuses it, and the clock sees that.
void Connection::probe() {
    if (probed_ || writing_ || !exchange_->http_1_1()) return;
    probed_ = true;
    if (exchange_->begun()) return exchange_->nudge();
    out_ = "HTTP/1.1 100 Continue\r\n\r\n";
    written_ = 0;
    write();
}

// Says that nothing more comes, and takes what the client still sends for a while: closing at once would make its
// system throw our answer away unread.
void Connection::leave() {
    state_ = State::leaving;
    set_deadline(kLeaving);
    drained_ = 0;
    in_.clear();
    wire_->finish([self = shared_from_this()] {});
    if (eof_) return close();
    read();
}

void Connection::observe(bool completed) {
    --core_->active;
    if (!completed) ++core_->gone;
    if (!core_->options.observer || !request_) return;
    ExchangeRecord record;
    record.request = request_;
    record.route = route_;
    record.status = exchange_->status();
    record.completed = completed;
    record.bytes_in = body_bytes_;
    record.bytes_out = exchange_->bytes();
    record.seconds = std::chrono::duration<double>(SteadyClock::now() - began_).count();
    if (completed) {
        record.notes = exchange_->notes();
        core_->options.observer(record);
        return;
    }
    exchange_->when_let_go([core = core_, record = std::move(record)](ValueMap notes) mutable {
        record.notes = std::move(notes);
        core->options.observer(record);
    });
}

void Connection::peer_gone() {
    exchange_->lost();
    observe(false);
    exchange_.reset();
    close();
}

void Connection::too_slow() {
    exchange_->note("cut_off", Value(std::string("the client reads too slowly")));
    peer_gone();
}

void Connection::close() {
    if (state_ == State::closed) return;
    state_ = State::closed;
    drop_upload();
    held_.reset();
    if (exchange_) {
        exchange_->lost();
        observe(false);
    }
    wire_->close();
    exchange_.reset();
    core_->connections.erase(shared_from_this());
}

void Connection::refuse_waiting() {
    if (state_ == State::body) {
        unread_body_ = true;
    } else if (state_ != State::answering || !exchange_ || exchange_->begun()) {
        return;
    }
    if (exchange_) exchange_->forbid_keep_alive();
    answer_early(std::make_exception_ptr(stopping_error()), route_);
}

void Connection::close_if_idle() {
    if (state_ == State::idle || state_ == State::leaving) close();
}

void Connection::look_at_clock(SteadyClock::time_point now) {
    auto deadline = deadline_;
    switch (state_) {
        case State::closed:
            return;
        case State::answering:
            if (eof_ && wire_->hung_up()) return peer_gone();
            if (eof_) probe();
            if (!writing_ || now < std::min(deadline, taken_by_)) return;
            return too_slow();
        case State::body:
            if (held_up_) return;
            deadline += std::chrono::milliseconds(body_bytes_ * 1000 / kSlowestBody);
            [[fallthrough]];
        case State::head:
            if (now < deadline) return;
            unread_body_ = true;
            return refuse(408, "The request did not come to its end in time.", route_);
        default:
            if (now >= deadline) close();
    }
}

}  // namespace freehold::server
