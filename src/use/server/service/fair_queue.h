// Places in front of one engine: as many run as it takes, the others wait, a queue for each tenant, served in turn.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>

namespace freehold::server {

class FairQueue {
 public:
    FairQueue(std::size_t places, std::size_t most_waiting, std::size_t most_of_tenant)
        : free_(places), most_(most_waiting), most_of_tenant_(most_of_tenant) {}

    enum class Entered { runs, waits, full, tenant_full };
    // `go` is called when `places` are free for it, at once or later, by whoever gave them back. It must be quick.
    Entered enter(const std::string& tenant, std::uint64_t id, std::size_t places, std::function<void()> go);
    // Takes one that waits out. False: it is not there (any more).
    bool withdraw(const std::string& tenant, std::uint64_t id);
    void leave(std::size_t places);
    [[nodiscard]] std::size_t waiting() const;

 private:
    struct Waiter {
        std::uint64_t id;
        std::size_t places;
        std::function<void()> go;
    };
    std::deque<std::function<void()>> next_locked();
    mutable std::mutex mutex_;
    std::size_t free_, most_, most_of_tenant_, waiting_ = 0;
    std::map<std::string, std::deque<Waiter>> tenants_;
    std::string last_;  // tenant that was served last
};

}  // namespace freehold::server
