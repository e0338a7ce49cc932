// What a handler sees of HTTP: the request, the responder, the row of the route table. Nothing of the library that
// moves the bytes shows here.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "freehold/base/error.h"
#include "freehold/base/value.h"

namespace freehold::server {

// Who may call a route at least. An operator may do what a user may; an auditor reads audit routes and public ones,
// and so does an operator read no audit unless the gate says so.
enum class Role : std::uint8_t { everyone, user, operator_, auditor };
[[nodiscard]] const char* role_name(Role role) noexcept;  // "public", "user", "operator", "auditor"

// Tokens set aside for a request that runs; what was not settled is given back when this goes.
class TokenHold {
 public:
    virtual ~TokenHold() = default;
    // More of them, for an answer whose length nobody said: how many there is room for (0: none).
    [[nodiscard]] virtual std::int64_t extend(std::int64_t tokens) = 0;
    // What was really read and written.
    virtual void settle(std::int64_t prompt_tokens, std::int64_t completion_tokens) = 0;
};

// The books of one request: what it may use, and what it said. Called on workers; thread-safe.
class Books {
 public:
    virtual ~Books() = default;
    // Before a model works: RequestError 429 when a rate or quota has no room, 403 when the model is not allowed.
    [[nodiscard]] virtual std::unique_ptr<TokenHold> reserve(const std::string& model, std::int64_t tokens) = 0;
    // The text that the model read, and all that it wrote: for digests, and to be kept where that is configured.
    virtual void asked(std::string_view text) = 0;
    virtual void answered(std::string_view text) = 0;
    // A guard's decision about one of them; `stopped`: it goes no further.
    virtual void judged(const std::string& decision, bool stopped) = 0;
};

// Who asks, as the gate found out.
struct Principal {
    Role role = Role::user;
    std::string roles = {};  // all of them ("operator,auditor"); empty: `role` is the only one
    bool keyed = false;      // false: the server is open on loopback and nobody was asked
    std::string key_id;      // empty when open
    std::string key_name;    // empty when open
    std::string tenant;      // what the key belongs to: nothing is shared between tenants
    // Names of models that this principal may use; empty: all.
    std::vector<std::string> models;
    std::shared_ptr<Books> books = {};  // of this request; null: nobody counts
};

using Headers = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
    std::string id;                                           // "req-..." also sent back as X-Request-Id
    std::string method;                                       // "GET"
    std::string target;                                       // as it came
    std::string path;                                         // without query, percent-decoded
    std::map<std::string, std::string, std::less<>> params;   // of the pattern: "{name}" and "{rest...}"
    std::map<std::string, std::string, std::less<>> queries;  // decoded; the first of several counts
    Headers headers;                                          // names in lower case, in the order they came
    std::string body;  // let go when the handler returns, since many answers may wait for long
    std::string peer;  // address without port
    bool peer_is_loopback = false;
    bool tls = false;
    Principal principal;

    // The first header of this (lower case) name; nullopt when there is none.
    [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const noexcept;
    [[nodiscard]] std::optional<std::string_view> query(std::string_view name) const noexcept;
    [[nodiscard]] std::string param(std::string_view name) const;  // empty when the pattern has none
    // Media type without parameters, in lower case ("application/json").
    [[nodiscard]] std::string content_type() const;
};

// Answers one request, from any thread; safe to call after the client has gone (then nothing happens). Either send()
// once, or begin(), write()*, end(). A responder that dies unanswered answers 500 (or breaks the stream off).
class Responder {
 public:
    virtual ~Responder() = default;
    virtual void send(int status, Headers headers, std::string body) = 0;
    // Chunked: the head now, the body piece by piece. Small pieces that come together leave together.
    virtual void begin(int status, Headers headers) = 0;
    virtual void write(std::string_view chunk) = 0;
    virtual void end() = 0;
    // Has anything been sent?
    [[nodiscard]] virtual bool begun() const noexcept = 0;
    // The client closed the connection, or reads too slowly to be kept.
    [[nodiscard]] virtual bool gone() const noexcept = 0;
    // Called once, on the I/O thread (be quick), when the client goes away before the answer is complete; at once when
    // it is gone already. Dropped when the answer ends.
    virtual void on_gone(std::function<void()> callback) = 0;
    // Facts for logs, audit and quotas: "model", "digest", "prompt_tokens", "completion_tokens", "finish", ... The
    // observer gets them with the end of the exchange, or, where the client went away before, when the last one who
    // holds the answer lets go of it.
    virtual void note(std::string key, Value value) = 0;
};
using ResponderPtr = std::shared_ptr<Responder>;
using RequestPtr = std::shared_ptr<const HttpRequest>;
// Throws Error; the edge turns it into the route's shape of error if nothing was sent yet.
using Handler = std::function<void(const RequestPtr&, const ResponderPtr&)>;

// Takes a body piece by piece, for a row whose bodies are too large for memory. Made, called and destroyed on threads
// that may wait for a disk, one call after the other; what it throws is the answer. One that goes without done() was
// given up: the client went away, or a piece could not be taken.
class BodySink {
 public:
    virtual ~BodySink() = default;
    virtual void take(std::string_view piece) = 0;
    // All of it came: answers.
    virtual void done(Responder& responder) = 0;
};
// Called when the gate has let the request in, before a byte of its body is taken and before "100 Continue". `length`
// is what the head says of the body; nullopt: it comes in chunks.
using SinkMaker =
    std::function<std::unique_ptr<BodySink>(const RequestPtr& request, std::optional<std::uint64_t> length)>;

// How a dialect says an error: the body for a status. `param` names the field at fault, `code` the machine's word.
struct ErrorFacts {
    int status = 500;
    ErrorKind kind = ErrorKind::internal;
    std::string message;  // with the hint
    std::string param, code;
    std::string request_id;
};
using ErrorShape = std::string (*)(const ErrorFacts&);
// {"error":{"message","type","param","code"}}: the shape of OpenAI, and ours.
[[nodiscard]] std::string openai_error(const ErrorFacts& facts);

// Where a handler runs: on a worker, or on the I/O thread (only what answers within microseconds).
enum class Where : std::uint8_t { worker, io };

struct Route {
    std::string method;   // "GET", "POST", "DELETE", "HEAD"; a GET row answers HEAD too
    std::string pattern;  // "/v1/models/{id...}": {name} is one segment, {name...} the rest with its slashes
    Role role = Role::user;
    Handler handler;
    // The operation as OpenAPI 3.1 has it (JSON text of an object: summary, tags, requestBody, responses, ...), from
    // which /openapi.json is made.
    std::string operation;
    Where where = Where::worker;
    ErrorShape error = openai_error;
    std::optional<std::uint64_t> max_body = {};  // instead of the server's bound
    // A row that changes something and is called by pages: Origin and Content-Type are checked by the gate. GET and
    // HEAD never are.
    bool accepts_any_type = false;  // no JSON body: uploads of bytes
    // Takes the body as it comes, instead of `handler`, which is empty then.
    SinkMaker sink = {};
};

// The end of an exchange, for logs, audit and quotas. Called on the I/O thread.
struct ExchangeRecord {
    RequestPtr request;  // null when it was no request that could be read
    const Route* route = nullptr;
    int status = 0;
    bool completed = false;  // false: the client went away, or was too slow
    std::uint64_t bytes_in = 0, bytes_out = 0;
    double seconds = 0;
    ValueMap notes;
};
// Called on any thread, on several at once too.
using Observer = std::function<void(const ExchangeRecord&)>;

// Common ways to answer.
void send_json(Responder& responder, int status, const Value& body, Headers headers = {});
[[nodiscard]] std::string_view status_text(int status) noexcept;

}  // namespace freehold::server
