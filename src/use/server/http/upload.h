// The body of one request on its way to its row's sink: the connection hands pieces over, the threads that may wait for
// a disk take them one after the other.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "core.h"
#include "freehold/server/http.h"
#include "freehold/server/workers.h"

namespace freehold::server {

// Everything public is called on the I/O thread. After open() and each take() the connection's upload_went_on() is
// called there.
class Upload : public std::enable_shared_from_this<Upload> {
 public:
    Upload(std::shared_ptr<Core> core, std::weak_ptr<Connection> connection, const Route& route, RequestPtr request);

    void open(std::optional<std::uint64_t> length);
    void take(std::string piece);
    // All was handed over: the sink answers, or the fault that it met before.
    void finish(ResponderPtr responder);
    // Given up: the sink goes.
    void drop();
    [[nodiscard]] bool opened() const noexcept { return opened_; }
    [[nodiscard]] bool busy() const noexcept { return busy_; }

 private:
    void step(std::function<void(Upload&)> work);

    const std::shared_ptr<Core> core_;
    const std::weak_ptr<Connection> connection_;
    const Route& route_;  // of core_
    const RequestPtr request_;
    const std::shared_ptr<Strand> strand_;
    bool opened_ = false, busy_ = false;
    // On the strand:
    std::unique_ptr<BodySink> sink_;
    std::exception_ptr fault_;
};

}  // namespace freehold::server
