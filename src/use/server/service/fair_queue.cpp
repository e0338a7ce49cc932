// Round robin between tenants; a wide request (n choices) waits at the front until enough places are free.
#include "fair_queue.h"

#include <algorithm>
#include <utility>

namespace freehold::server {

FairQueue::Entered FairQueue::enter(const std::string& tenant, std::uint64_t id, std::size_t places,
                                    std::function<void()> go) {
    {
        const std::lock_guard lock(mutex_);
        if (waiting_ > 0 || free_ < places) {
            if (waiting_ >= most_) return Entered::full;
            auto& queue = tenants_[tenant];
            if (queue.size() >= most_of_tenant_) return Entered::tenant_full;
            queue.push_back({id, places, std::move(go)});
            ++waiting_;
            return Entered::waits;
        }
        free_ -= places;
    }
    go();
    return Entered::runs;
}

bool FairQueue::withdraw(const std::string& tenant, std::uint64_t id) {
    std::deque<std::function<void()>> ready;
    {
        const std::lock_guard lock(mutex_);
        const auto it = tenants_.find(tenant);
        if (it == tenants_.end()) return false;
        const auto waiter = std::ranges::find(it->second, id, &Waiter::id);
        if (waiter == it->second.end()) return false;
        it->second.erase(waiter);
        --waiting_;
        if (it->second.empty()) tenants_.erase(it);
        ready = next_locked();
    }
    for (const auto& go : ready) go();
    return true;
}

void FairQueue::leave(std::size_t places) {
    std::deque<std::function<void()>> ready;
    {
        const std::lock_guard lock(mutex_);
        free_ += places;
        ready = next_locked();
    }
    for (const auto& go : ready) go();
}

std::deque<std::function<void()>> FairQueue::next_locked() {
    std::deque<std::function<void()>> ready;
    while (waiting_ > 0) {
        auto tenant = tenants_.upper_bound(last_);
        if (tenant == tenants_.end()) tenant = tenants_.begin();
        Waiter& first = tenant->second.front();
        if (first.places > free_) break;
        free_ -= first.places;
        --waiting_;
        last_ = tenant->first;
        ready.push_back(std::move(first.go));
        tenant->second.pop_front();
        if (tenant->second.empty()) tenants_.erase(tenant);
    }
    return ready;
}

std::size_t FairQueue::waiting() const {
    const std::lock_guard lock(mutex_);
    return waiting_;
}

}  // namespace freehold::server
