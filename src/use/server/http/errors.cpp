// From exceptions to statuses and bodies, and the small things that every answer shares.
#include "freehold/server/errors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <new>
#include <optional>

#include "freehold/database/database.h"

namespace freehold::server {

const char* role_name(Role role) noexcept {
    switch (role) {
        case Role::everyone:
            return "public";
        case Role::user:
            return "user";
        case Role::operator_:
            return "operator";
        case Role::auditor:
            return "auditor";
    }
    return "";
}

std::optional<std::string_view> HttpRequest::header(std::string_view name) const noexcept {
    for (const auto& [key, value] : headers) {
        if (key == name) return value;
    }
    return std::nullopt;
}

std::optional<std::string_view> HttpRequest::query(std::string_view name) const noexcept {
    const auto it = queries.find(name);
    if (it == queries.end()) return std::nullopt;
    return it->second;
}

std::string HttpRequest::param(std::string_view name) const {
    const auto it = params.find(name);
    return it == params.end() ? std::string() : it->second;
}

std::string HttpRequest::content_type() const {
    std::string type(header("content-type").value_or(""));
    type.resize(std::min(type.find(';'), type.size()));
    while (!type.empty() && (type.back() == ' ' || type.back() == '\t')) type.pop_back();
    std::ranges::transform(type, type.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return type;
}

std::string_view status_text(int status) noexcept {
    switch (status) {
        case 100:
            return "Continue";
        case 200:
            return "OK";
        case 201:
            return "Created";
        case 202:
            return "Accepted";
        case 204:
            return "No Content";
        case 206:
            return "Partial Content";
        case 301:
            return "Moved Permanently";
        case 302:
            return "Found";
        case 303:
            return "See Other";
        case 304:
            return "Not Modified";
        case 400:
            return "Bad Request";
        case 401:
            return "Unauthorized";
        case 403:
            return "Forbidden";
        case 404:
            return "Not Found";
        case 405:
            return "Method Not Allowed";
        case 408:
            return "Request Timeout";
        case 409:
            return "Conflict";
        case 411:
            return "Length Required";
        case 413:
            return "Content Too Large";
        case 415:
            return "Unsupported Media Type";
        case 417:
            return "Expectation Failed";
        case 422:
            return "Unprocessable Content";
        case 429:
            return "Too Many Requests";
        case 431:
            return "Request Header Fields Too Large";
        case 499:
            return "Client Closed Request";
        case 500:
            return "Internal Server Error";
        case 501:
            return "Not Implemented";
        case 502:
            return "Bad Gateway";
        case 503:
            return "Service Unavailable";
        case 504:
            return "Gateway Timeout";
        case 505:
            return "HTTP Version Not Supported";
        case 507:
            return "Insufficient Storage";
        default:
            return "Status";
    }
}

RequestError field_error(std::string param, std::string message, std::string hint, std::string code) {
    return {400, ErrorKind::usage, std::move(message), std::move(hint), std::move(param), std::move(code)};
}

RequestError stopping_error() {
    return {503,
            ErrorKind::busy,
            "The server is going down, and there was no time left for this answer.",
            "Send the request again in a moment.",
            {},
            "server_stopping",
            5};
}

int http_status(ErrorKind kind) noexcept {
    switch (kind) {
        case ErrorKind::usage:
        case ErrorKind::unsupported:
        case ErrorKind::limit:
            return 400;
        case ErrorKind::denied:
            return 403;
        case ErrorKind::not_found:
            return 404;
        case ErrorKind::conflict:
            return 409;
        case ErrorKind::busy:
            return 429;
        case ErrorKind::network:
            return 502;
        case ErrorKind::out_of_memory:
        case ErrorKind::cancelled:
            return 503;
        case ErrorKind::bad_file:
        case ErrorKind::io:
        case ErrorKind::internal:
            return 500;
    }
    return 500;
}

ErrorFacts error_facts(const std::exception_ptr& fault) {
    ErrorFacts facts;
    const auto take = [&](const Error& error) {
        facts.kind = error.kind();
        facts.message = error.message();
        if (!error.hint().empty()) facts.message += " " + error.hint();
    };
    try {
        std::rethrow_exception(fault);
    } catch (const RequestError& error) {
        take(error);
        facts.status = error.status();
        facts.param = error.param();
        facts.code = error.code();
    } catch (const DatabaseAway& error) {
        take(error);
        facts.status = 503;
        facts.code = "database_unavailable";
    } catch (const Error& error) {
        take(error);
        facts.status = http_status(error.kind());
        if (error.kind() == ErrorKind::limit) facts.code = "context_length_exceeded";
    } catch (const std::bad_alloc&) {
        facts.status = 503;
        facts.kind = ErrorKind::out_of_memory;
        facts.message = "There is not enough memory for this request. Try a shorter one, or later.";
    } catch (const std::exception&) {
        facts.message = "Something went wrong inside Freehold. Please report it with the request that led to it.";
    } catch (...) {
        facts.message = "Something went wrong inside Freehold.";
    }
    return facts;
}

namespace {

// Only a RequestError says itself when to come again, and a database that is away is looked for each second.
std::optional<int> asked_retry(const std::exception_ptr& fault) {
    try {
        std::rethrow_exception(fault);
    } catch (const RequestError& error) {
        return error.retry_after() > 0 ? std::optional(error.retry_after()) : std::nullopt;
    } catch (const DatabaseAway&) {
        return 2;
    } catch (...) {
        return std::nullopt;
    }
}

}  // namespace

Headers error_headers(const std::exception_ptr& fault) {
    Headers headers;
    const ErrorFacts facts = error_facts(fault);
    const int usual = facts.status == 429 || facts.status == 503 ? 1 : 0;
    const int retry = asked_retry(fault).value_or(usual);
    if (retry > 0) headers.emplace_back("Retry-After", std::to_string(retry));
    if (facts.status == 401) headers.emplace_back("WWW-Authenticate", "Bearer");
    return headers;
}

std::string openai_error(const ErrorFacts& facts) {
    const char* type = "server_error";
    switch (facts.status) {
        case 401:
            type = "authentication_error";
            break;
        case 403:
            type = "permission_error";
            break;
        case 404:
            type = "not_found_error";
            break;
        case 429:
            type = "rate_limit_error";
            break;
        case 503:
            type = "unavailable_error";
            break;
        default:
            if (facts.status < 500) type = "invalid_request_error";
    }
    ValueMap error;
    error.set("message", facts.message);
    error.set("type", type);
    error.set("param", facts.param.empty() ? Value() : Value(facts.param));
    error.set("code", facts.code.empty() ? Value() : Value(facts.code));
    return to_json(ValueMap{{"error", Value(std::move(error))}});
}

void send_error(Responder& responder, const std::exception_ptr& fault, ErrorShape shape) {
    if (responder.begun()) return;
    const ErrorFacts facts = error_facts(fault);
    Headers headers = error_headers(fault);
    headers.emplace_back("Content-Type", "application/json");
    responder.note("error", Value(std::string(kind_name(facts.kind))));
    responder.note("message", Value(facts.message));
    responder.send(facts.status, std::move(headers), shape(facts));
}

void send_current_error(Responder& responder, ErrorShape shape) {
    send_error(responder, std::current_exception(), shape);
}

void send_json(Responder& responder, int status, const Value& body, Headers headers) {
    headers.emplace_back("Content-Type", "application/json");
    responder.send(status, std::move(headers), to_json(body));
}

}  // namespace freehold::server
