// Fetching for a sealed server: a process that was started before the seal, and reaches only hosts that were named.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "freehold/server/puller.h"

namespace freehold::cli {

// Starts the process. To be made before this process has threads (it forks), and before it is sealed.
class PullHelper : public server::Puller {
 public:
    // `hosts` as in restrict_sources(). Throws Error{io}.
    explicit PullHelper(std::vector<std::string> hosts);
    ~PullHelper() override;
    PullHelper(const PullHelper&) = delete;
    PullHelper& operator=(const PullHelper&) = delete;

    // Begins to listen to what the process says; after this there is a thread.
    void listen();
    [[nodiscard]] std::shared_ptr<void> start(const std::string& what,
                                              std::function<void(const server::PullEvent&)> on_event) override;

 private:
    struct State;
    std::shared_ptr<State> state_;
    std::thread listener_;
    int child_ = -1;
};

}  // namespace freehold::cli
