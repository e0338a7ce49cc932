// The head and body of one HTTP/1 request, fed byte by byte as they come. The parsing library stays in the .cpp, so
// that tests and fuzzers feed the same object.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "freehold/server/http.h"

namespace freehold::server {

class RequestParser {
 public:
    explicit RequestParser(std::uint32_t max_header_bytes);
    ~RequestParser();
    RequestParser(const RequestParser&) = delete;
    RequestParser& operator=(const RequestParser&) = delete;

    enum class State : std::uint8_t { head, body, done, failed };
    // Takes what it can; returns how many bytes. Stops after the head, so that it can be judged before the body.
    std::size_t feed(std::string_view bytes);
    [[nodiscard]] State state() const noexcept;
    // With State::failed: the status that says what was wrong (400, 413, 431, 501, 505) and a sentence.
    [[nodiscard]] int fault_status() const noexcept;
    [[nodiscard]] const std::string& fault() const noexcept;

    // Bytes of the body beyond this make it fail with 413, also when it is taken out of request() piece by piece; set
    // once the head is known.
    void set_max_body(std::uint64_t bytes) noexcept;
    // Method, target, headers and body go here. Valid from State::body on.
    [[nodiscard]] HttpRequest& request() noexcept;
    [[nodiscard]] bool keep_alive() const;
    [[nodiscard]] bool http_1_1() const noexcept;
    [[nodiscard]] bool expects_continue() const noexcept;
    [[nodiscard]] std::optional<std::uint64_t> content_length() const;
    [[nodiscard]] bool chunked() const;

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace freehold::server
