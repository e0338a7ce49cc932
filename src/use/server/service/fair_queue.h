// Places in front of one engine, shared between tenants: one for each answer that is written. A tenant that holds more
// than its share while another waits is asked to give places back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace freehold::server {

// The next free place goes to the tenant that holds the fewest (those who hold equally many take turns), and in it to
// the oldest request. When none is free, and moving one from the tenant that holds the most to one that waits would
// make them more equal, the youngest request of the former is asked for it. All of it thread-safe.
class FairQueue {
 public:
    FairQueue(std::size_t places, std::size_t most_waiting, std::size_t most_of_tenant)
        : free_(places), most_(most_waiting), most_of_tenant_(most_of_tenant) {}

    enum class Entered { taken, full, tenant_full };
    // A request that wants `places`, which come one by one. `go`: one is yours; called at once or later, by whoever
    // gave it back. `asked`: somebody else should have one (give_way). Both must be quick, and are never called under
    // a lock; they may still come after leave_all().
    Entered enter(const std::string& tenant, std::uint64_t id, std::size_t places, std::function<void()> go,
                  std::function<void()> asked);
    // A place is not needed any more.
    void leave(std::uint64_t id);
    // Gives one up for whoever waits, and wants it again. False: nobody waits for it any more, and it stays.
    [[nodiscard]] bool give_way(std::uint64_t id);
    // So many are not waited for any more.
    void forgo(std::uint64_t id, std::size_t places);
    // The request ends: what it holds is free, what it waits for forgotten. Unknown ids are ignored.
    void leave_all(std::uint64_t id);
    [[nodiscard]] std::size_t waiting() const;  // requests that hold nothing yet

 private:
    struct Request {
        std::string tenant;
        std::size_t wanted = 0, held = 0;
        std::size_t asked = 0;  // of those held, to be given back
        std::function<void()> go, ask;
    };
    struct Tenant {
        std::map<std::uint64_t, Request*> requests;  // oldest first
        std::size_t wanted = 0, held = 0, asked = 0;
    };
    using Calls = std::vector<std::function<void()>>;
    void give_back_locked(Request& request);
    void share_locked(Calls& calls);
    void ask_locked(Calls& calls);
    void ask_anew_locked(Calls& calls);
    [[nodiscard]] std::size_t waiting_locked(const Tenant* of) const;

    mutable std::mutex mutex_;
    std::size_t free_, most_, most_of_tenant_;
    std::map<std::uint64_t, Request> requests_;
    std::map<std::string, Tenant> tenants_;
    std::string last_;  // tenant that was served last
};

}  // namespace freehold::server
