// Fetching models for clients. A sealed server cannot: it asks a process that was started before the seal.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "freehold/base/error.h"

namespace freehold::server {

struct PullEvent {
    std::string what;  // "pulling model.gguf", "hashing", ...
    std::uint64_t done = 0, total = 0;
    bool finished = false;       // the last event: stored under `name`, or `fault`
    std::string name;            // with finished
    std::optional<Error> fault;  // with finished
};

class Puller {
 public:
    virtual ~Puller() = default;
    // Begins; events come on a thread of the puller's own, the last with `finished`. Letting go of what is returned
    // stops the pull (what was fetched so far waits for the next try). Throws Error{denied} for a source that is not
    // allowed, Error{busy} when too many pulls run.
    [[nodiscard]] virtual std::shared_ptr<void> start(const std::string& what,
                                                      std::function<void(const PullEvent&)> on_event) = 0;
};

}  // namespace freehold::server
