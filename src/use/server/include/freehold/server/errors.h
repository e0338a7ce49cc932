// Errors at the HTTP edge: which status an Error becomes, and an Error that names the field of the request at fault.
#pragma once

#include <exception>
#include <string>

#include "freehold/base/error.h"
#include "freehold/server/http.h"

namespace freehold::server {

// An Error that knows its status, field and code; what is left out follows from the kind.
class RequestError : public Error {
 public:
    RequestError(int status, ErrorKind kind, std::string message, std::string hint = {}, std::string param = {},
                 std::string code = {}, int retry_after = 0)
        : Error(kind, std::move(message), std::move(hint)),
          status_(status),
          param_(std::move(param)),
          code_(std::move(code)),
          retry_after_(retry_after) {}
    [[nodiscard]] int status() const noexcept { return status_; }
    [[nodiscard]] const std::string& param() const noexcept { return param_; }
    [[nodiscard]] const std::string& code() const noexcept { return code_; }
    [[nodiscard]] int retry_after() const noexcept { return retry_after_; }  // seconds; 0: not said

 private:
    int status_;
    std::string param_, code_;
    int retry_after_;
};

// 400 with the name of the field.
[[nodiscard]] RequestError field_error(std::string param, std::string message, std::string hint = {},
                                       std::string code = {});

// usage, unsupported, limit 400; denied 403; not_found 404; conflict 409; busy 429; network 502; out_of_memory 503;
// cancelled 503; bad_file, io, internal 500.
[[nodiscard]] int http_status(ErrorKind kind) noexcept;
// 503 for what the server could not finish before it stops.
[[nodiscard]] RequestError stopping_error();
// What is told of a fault: never paths of this machine for internal faults that were not meant for users.
[[nodiscard]] ErrorFacts error_facts(const std::exception_ptr& fault);
// Retry-After and the like.
[[nodiscard]] Headers error_headers(const std::exception_ptr& fault);
// Answers with `fault` in the dialect's shape, unless an answer has begun.
void send_error(Responder& responder, const std::exception_ptr& fault, ErrorShape shape = openai_error);
// The present exception.
void send_current_error(Responder& responder, ErrorShape shape = openai_error);

}  // namespace freehold::server
