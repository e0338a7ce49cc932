// Answers of /v1/responses that may be asked for again: what was said, what was answered, by whom. An interface, so
// that replicas can share a database; the first one lies in memory and is bounded.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "freehold/base/value.h"

namespace freehold::server {

struct StoredResponse {
    Value response;   // the object as clients see it
    ValueList input;  // items of this request, with ids
    ValueList
        messages;  // the conversation with the answer, without instructions: what a following request goes on from
    bool running = false;  // in the background
};

// Nobody sees what another tenant keeps. Safe from any thread.
class ResponseStore {
 public:
    virtual ~ResponseStore() = default;
    virtual void put(const std::string& tenant, const std::string& id, StoredResponse response) = 0;
    [[nodiscard]] virtual std::optional<StoredResponse> get(const std::string& tenant, const std::string& id) = 0;
    // False: there was none.
    virtual bool erase(const std::string& tenant, const std::string& id) = 0;
};

struct ResponseStoreLimits {
    std::size_t responses = 1000;    // of one tenant; the oldest go
    std::size_t bytes = 64U << 20U;  // of one tenant, as JSON
    std::size_t tenants = 1000;      // the one that was idle longest goes
};
[[nodiscard]] std::shared_ptr<ResponseStore> make_memory_response_store(const ResponseStoreLimits& limits = {});

}  // namespace freehold::server
