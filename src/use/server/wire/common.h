// What several dialects do alike: sampling fields, finishing, server-sent events, log-probabilities.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "fields.h"
#include "freehold/server/generation.h"
#include "freehold/server/service.h"

namespace freehold::server {

// "chatcmpl-" and 24 random letters and digits.
[[nodiscard]] std::string fresh_id(std::string_view prefix);
[[nodiscard]] std::int64_t unix_now();
[[nodiscard]] std::uint64_t resident_bytes();  // of this process, as the system counts them

// temperature, top_p, penalties, seed, stop, n, logit_bias and the local extensions: the fields that OpenAI's dialects
// share with the clients of llama.cpp and vLLM. max_tokens is left to the dialect.
void read_sampling(const Fields& fields, GenerationRequest& request);
// dry_*, xtc_*, mirostat*, dynatemp_*, top_n_sigma, samplers, min_tokens; read_sampling calls it.
void read_local_samplers(const Fields& fields, GenerationRequest& request);
// Whose request it is: tenant and allowed models.
void set_owner(const HttpRequest& http, GenerationRequest& request);
// response_format, json_schema, grammar, structured_outputs and their older names: refused when the service cannot.
void read_constraints(const Fields& fields, const Service& service, GenerationRequest& request);

// After tools, tool_choice and parallel_tool_calls are read: calls are held to their schemas. A call that is required
// and cannot be made sure of is refused.
void hold_to_tools(const Service& service, GenerationRequest& request);

// "stop", "length", "tool_calls", "content_filter".
[[nodiscard]] std::string finish_reason(const ChoiceDone& done);
[[nodiscard]] Value usage_json(const Usage& usage);
// {"token","logprob","bytes","top_logprobs"}; alternatives only with `top`.
[[nodiscard]] Value logprob_json(const TokenPiece& piece);
// Bytes that are no whole characters as U+FFFD.
[[nodiscard]] std::string valid_utf8(std::string_view bytes);
[[nodiscard]] Value timings_json(const Usage& usage);

// One stream of server-sent events.
class EventStream {
 public:
    explicit EventStream(ResponderPtr responder) : responder_(std::move(responder)) {}
    void open();  // sends the head, once
    void data(const Value& value);
    void named(std::string_view event, const Value& value);
    void raw(std::string_view text) { responder_->write(text); }
    // A comment, which no client of such streams reads: a sign of life while an answer is held back.
    void held();
    void close() { responder_->end(); }
    // Once an answer has begun, an error is a line of it.
    void fail(const std::exception_ptr& fault);
    [[nodiscard]] const ResponderPtr& responder() const noexcept { return responder_; }

 private:
    ResponderPtr responder_;
};

// Starts a generation whose client may go away: it is cancelled then.
void run_generation(Service& service, const ResponderPtr& responder, GenerationRequest request, Sink sink);
// The same for an `answer` that takes the events and, when it streams, says that it is alive while it is held back.
template <class Answer>
void run_generation(Service& service, const ResponderPtr& responder, GenerationRequest request,
                    const std::shared_ptr<Answer>& answer) {
    if (answer->streaming()) request.while_held = [answer] { answer->held(); };
    run_generation(service, responder, std::move(request),
                   Sink([answer](Event&& event) { answer->take(std::move(event)); }));
}
// What a client hears of an answer that was stopped.
[[nodiscard]] std::exception_ptr stopped_fault();
// stream_options.include_usage. Throws RequestError 400 when the answer is not streamed.
[[nodiscard]] bool read_include_usage(const Fields& fields, bool streaming);
// Writes what the observer wants to know of a finished generation.
// For the audit entry: what an operator made of the models of this machine. `digest`: of its manifest.
void note_model_change(Responder& responder, const char* what, const std::string& model, const std::string& digest,
                       const std::string& from = {});
void note_generation(Responder& responder, const ModelLease& model, const Usage& usage, std::string_view finish);

}  // namespace freehold::server
