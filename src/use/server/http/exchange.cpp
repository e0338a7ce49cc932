// Framing of answers, and the bound on what waits for a slow reader.
#include "exchange.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <boost/asio/post.hpp>

#include <algorithm>
#include <ctime>

#include "connection.h"

namespace freehold::server {
namespace {

bool has_no_body(int status) noexcept {
    return status < 200 || status == 204 || status == 304;
}

// A header value that tries to end its line is cut there.
std::string_view one_line(std::string_view text) noexcept {
    return text.substr(0, text.find_first_of(std::string_view("\r\n\0", 3)));
}

}  // namespace

Exchange::Exchange(std::shared_ptr<Core> core, std::weak_ptr<Connection> connection, Manner manner,
                   std::string request_id)
    : core_(std::move(core)), connection_(std::move(connection)), request_id_(std::move(request_id)), manner_(manner) {}

std::string Exchange::head(int status, const Headers& headers, const std::string& framing) const {
    std::string out = fmt::format("HTTP/1.1 {} {}\r\nDate: {:%a, %d %b %Y %H:%M:%S} GMT\r\n", status,
                                  status_text(status), fmt::gmtime(std::time(nullptr)));
    const auto add = [&](std::string_view name, std::string_view value) {
        out.append(one_line(name)).append(": ").append(one_line(value)).append("\r\n");
    };
    for (const auto& [name, value] : core_->options.headers) add(name, value);
    for (const auto& [name, value] : headers) add(name, value);
    if (!request_id_.empty()) add("X-Request-Id", request_id_);
    out += framing;
    if (!manner_.keep_alive) {
        out += "Connection: close\r\n";
    } else if (!manner_.http_1_1) {
        out += "Connection: keep-alive\r\n";
    }
    return out += "\r\n";
}

void Exchange::wake_locked() {
    if (flush_posted_) return;
    flush_posted_ = true;
    boost::asio::post(core_->io, [weak = connection_] {
        if (const auto connection = weak.lock()) connection->flush();
    });
}

void Exchange::finish_locked() {
    ended_ = true;
    on_gone_ = nullptr;
    wake_locked();
}

void Exchange::send(int status, const Headers& headers, std::string_view body) {
    const std::lock_guard lock(mutex_);
    if (begun_ || ended_) return;
    begun_ = true;
    status_ = status;
    const bool none = has_no_body(status);
    queued_ += head(status, headers, none ? "" : fmt::format("Content-Length: {}\r\n", body.size()));
    if (!none && !manner_.head_only) queued_ += body;
    bytes_ += queued_.size();
    finish_locked();
}

void Exchange::begin(int status, const Headers& headers) {
    const std::lock_guard lock(mutex_);
    if (begun_ || ended_) return;
    begun_ = true;
    status_ = status;
    if (!manner_.http_1_1) manner_.keep_alive = false;  // the end of the connection is the end of the body
    for (const auto& [name, value] : headers) {
        // A comment line; a blank before a line of JSON.
        if (name == "Content-Type" && value.starts_with("text/event-stream")) filler_ = ":\n";
        if (name == "Content-Type" && value.starts_with("application/x-ndjson")) filler_ = " ";
    }
    queued_ += head(status, headers, manner_.http_1_1 ? "Transfer-Encoding: chunked\r\n" : "");
    bytes_ += queued_.size();
    wake_locked();
}

void Exchange::write(std::string_view chunk) {
    const std::lock_guard lock(mutex_);
    if (!begun_ || ended_ || gone_ || broken_ || chunk.empty() || manner_.head_only) return;
    const std::size_t before = queued_.size();
    if (manner_.http_1_1) {
        fmt::format_to(std::back_inserter(queued_), "{:x}\r\n", chunk.size());
        queued_ += chunk;
        queued_ += "\r\n";
    } else {
        queued_ += chunk;
    }
    bytes_ += queued_.size() - before;
    if (queued_.size() + in_flight_ > core_->options.max_buffered_bytes + chunk.size()) {
        // The client reads more slowly than we write and has used up its patience.
        broken_ = true;
        queued_.clear();
        queued_.shrink_to_fit();
        flush_posted_ = false;  // one may be waiting for a write that will never end
    }
    wake_locked();
}

void Exchange::end() {
    const std::lock_guard lock(mutex_);
    if (!begun_ || ended_) return;
    if (manner_.http_1_1 && !manner_.head_only && !gone_) queued_ += "0\r\n\r\n";
    finish_locked();
}

void Exchange::hold() {
    const std::lock_guard lock(mutex_);
    held_ = true;
}

void Exchange::abandon() {
    std::function<void(ValueMap)> tell;
    ValueMap notes;
    {
        const std::lock_guard lock(mutex_);
        held_ = false;
        abandon_locked();
        tell.swap(let_go_);
        if (tell) notes = notes_;
    }
    if (tell) tell(std::move(notes));
}

void Exchange::when_let_go(std::function<void(ValueMap)> tell) {
    ValueMap notes;
    {
        const std::lock_guard lock(mutex_);
        if (held_) {
            let_go_ = std::move(tell);
            return;
        }
        notes = notes_;
    }
    tell(std::move(notes));
}

void Exchange::abandon_locked() {
    if (ended_) return;
    if (!begun_) {
        begun_ = true;
        status_ = 500;
        ErrorFacts facts;
        facts.message = "Something went wrong inside Freehold: the request was dropped without an answer.";
        const std::string body = openai_error(facts);
        queued_ +=
            head(500, {{"Content-Type", "application/json"}}, fmt::format("Content-Length: {}\r\n", body.size()));
        if (!manner_.head_only) queued_ += body;
    } else {
        broken_ = true;  // no end mark: the client sees that it is not whole
    }
    finish_locked();
}

void Exchange::on_gone(std::function<void()> callback) {
    {
        const std::lock_guard lock(mutex_);
        if (ended_) return;
        if (!gone_ && !closed_) {
            on_gone_ = std::move(callback);
            return;
        }
        gone_ = true;
    }
    callback();
}

void Exchange::note(std::string key, Value value) {
    const std::lock_guard lock(mutex_);
    notes_.set(std::move(key), std::move(value));
}

bool Exchange::begun() const {
    const std::lock_guard lock(mutex_);
    return begun_;
}
bool Exchange::gone() const {
    const std::lock_guard lock(mutex_);
    return gone_;
}

void Exchange::take(std::string& out) {
    const std::lock_guard lock(mutex_);
    flush_posted_ = false;
    out.clear();
    out.swap(queued_);
    in_flight_ = out.size();
}
bool Exchange::complete() const {
    const std::lock_guard lock(mutex_);
    return ended_ && queued_.empty();
}
bool Exchange::ended() const {
    const std::lock_guard lock(mutex_);
    return ended_;
}
bool Exchange::broken() const {
    const std::lock_guard lock(mutex_);
    return broken_;
}
bool Exchange::keep_alive() const {
    const std::lock_guard lock(mutex_);
    return manner_.keep_alive;
}
void Exchange::forbid_keep_alive() {
    const std::lock_guard lock(mutex_);
    manner_.keep_alive = false;
}

void Exchange::peer_closed() {
    std::function<void()> tell;
    {
        const std::lock_guard lock(mutex_);
        closed_ = true;
        manner_.keep_alive = false;
        tell.swap(on_gone_);
        if (tell) gone_ = true;
    }
    if (tell) tell();
}

void Exchange::nudge() {
    std::string filler;
    {
        const std::lock_guard lock(mutex_);
        filler = filler_;
    }
    write(filler);
}

void Exchange::lost() {
    std::function<void()> tell;
    {
        const std::lock_guard lock(mutex_);
        if (!ended_) gone_ = true;
        queued_.clear();
        tell.swap(on_gone_);
    }
    if (tell) tell();
}

int Exchange::status() const {
    const std::lock_guard lock(mutex_);
    return status_;
}
std::uint64_t Exchange::bytes() const {
    const std::lock_guard lock(mutex_);
    return bytes_;
}
ValueMap Exchange::notes() const {
    const std::lock_guard lock(mutex_);
    return notes_;
}

}  // namespace freehold::server
