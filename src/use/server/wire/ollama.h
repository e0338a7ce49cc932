// What the files of Ollama's dialect share.
#pragma once

#include <chrono>
#include <string>

#include "fields.h"
#include "freehold/server/generation.h"
#include "freehold/server/http.h"
#include "freehold/server/service.h"

namespace freehold::server {

// {"error": "text"}.
[[nodiscard]] std::string ollama_error(const ErrorFacts& facts);
// RFC 3339 with nanoseconds, UTC.
[[nodiscard]] std::string ollama_time(std::chrono::system_clock::time_point when);
[[nodiscard]] inline std::string ollama_now() {
    return ollama_time(std::chrono::system_clock::now());
}
// Times of answers are nanoseconds.
[[nodiscard]] inline std::int64_t nanoseconds(double seconds) {
    return static_cast<std::int64_t>(seconds * 1e9);
}
// keep_alive: "5m", seconds, 0 (let go at once), negative (for ever).
// How long the model stays: what operators ask for, and of others at most Service::longest_keep_alive.
[[nodiscard]] KeepAlive ollama_keep_alive(const Fields& fields, const Service& service, const Principal& who);
// The field `model`, or its older name `name`. Throws RequestError 400 when both are missing.
[[nodiscard]] std::string ollama_model(const Fields& fields);
// A row of this dialect; `schema` is that of its body: empty for none, kBytesSchema for bytes that are no JSON.
inline constexpr const char* kBytesSchema = R"json({"type": "string", "format": "binary"})json";
[[nodiscard]] Route ollama_row(const char* method, const char* pattern, Role role, const char* summary,
                               const char* schema, Handler handler);

// Lines of JSON, one an event.
class LineStream {
 public:
    explicit LineStream(ResponderPtr responder) : responder_(std::move(responder)) {}
    void line(const Value& value);
    void close();
    // An error is a line once lines have begun.
    void fail(const std::exception_ptr& fault);
    [[nodiscard]] const ResponderPtr& responder() const noexcept { return responder_; }

 private:
    void open();
    ResponderPtr responder_;
};

}  // namespace freehold::server
