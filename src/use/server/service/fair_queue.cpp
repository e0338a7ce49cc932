// Shares of tenants: the fewest held is next, the most held is asked.
#include "fair_queue.h"

#include <algorithm>
#include <utility>

namespace freehold::server {

FairQueue::Entered FairQueue::enter(const std::string& tenant, std::uint64_t id, std::size_t places,
                                    std::function<void()> go, std::function<void()> asked) {
    Calls calls;
    {
        const std::lock_guard lock(mutex_);
        const auto known = tenants_.find(tenant);
        if (free_ == 0) {
            if (waiting_locked(nullptr) >= most_) return Entered::full;
            if (known != tenants_.end() && waiting_locked(&known->second) >= most_of_tenant_)
                return Entered::tenant_full;
        }
        Request& request = requests_[id];
        request = {tenant, places, 0, 0, std::move(go), std::move(asked)};
        Tenant& whose = tenants_[tenant];
        whose.requests.emplace(id, &request);
        whose.wanted += places;
        share_locked(calls);
    }
    for (const auto& call : calls) call();
    return Entered::taken;
}

void FairQueue::give_back_locked(Request& request) {
    Tenant& whose = tenants_.at(request.tenant);
    --request.held;
    --whose.held;
    if (request.asked > 0) {
        --request.asked;
        --whose.asked;
    }
    ++free_;
}

void FairQueue::leave(std::uint64_t id) {
    Calls calls;
    {
        const std::lock_guard lock(mutex_);
        const auto it = requests_.find(id);
        if (it == requests_.end() || it->second.held == 0) return;
        give_back_locked(it->second);
        share_locked(calls);
    }
    for (const auto& call : calls) call();
}

bool FairQueue::give_way(std::uint64_t id) {
    Calls calls;
    {
        const std::lock_guard lock(mutex_);
        const auto it = requests_.find(id);
        if (it == requests_.end() || it->second.asked == 0) return false;
        give_back_locked(it->second);
        ++it->second.wanted;
        ++tenants_.at(it->second.tenant).wanted;
        share_locked(calls);
    }
    for (const auto& call : calls) call();
    return true;
}

void FairQueue::forgo(std::uint64_t id, std::size_t places) {
    Calls calls;
    {
        const std::lock_guard lock(mutex_);
        const auto it = requests_.find(id);
        if (it == requests_.end()) return;
        const std::size_t n = std::min(places, it->second.wanted);
        it->second.wanted -= n;
        tenants_.at(it->second.tenant).wanted -= n;
        ask_anew_locked(calls);
    }
    for (const auto& call : calls) call();
}

void FairQueue::leave_all(std::uint64_t id) {
    Calls calls;
    {
        const std::lock_guard lock(mutex_);
        const auto it = requests_.find(id);
        if (it == requests_.end()) return;
        while (it->second.held > 0) give_back_locked(it->second);
        const auto whose = tenants_.find(it->second.tenant);
        whose->second.wanted -= it->second.wanted;
        whose->second.requests.erase(id);
        if (whose->second.requests.empty()) tenants_.erase(whose);
        requests_.erase(it);
        share_locked(calls);
        ask_anew_locked(calls);
    }
    for (const auto& call : calls) call();
}

void FairQueue::share_locked(Calls& calls) {
    while (free_ > 0) {
        // The first with the fewest, counted from the one after that which was served last.
        auto best = tenants_.end();
        auto tenant = tenants_.upper_bound(last_);
        for (std::size_t i = 0; i < tenants_.size(); ++i, ++tenant) {
            if (tenant == tenants_.end()) tenant = tenants_.begin();
            if (tenant->second.wanted > 0 && (best == tenants_.end() || tenant->second.held < best->second.held))
                best = tenant;
        }
        if (best == tenants_.end()) return;
        Tenant& whose = best->second;
        Request& first =
            *std::ranges::find_if(whose.requests, [](const auto& r) { return r.second->wanted > 0; })->second;
        --free_;
        --whose.wanted;
        --first.wanted;
        ++whose.held;
        ++first.held;
        last_ = best->first;
        calls.push_back(first.go);
    }
    ask_locked(calls);
}

// Who was asked for somebody that has gone keeps its place: its give_way() will say no.
void FairQueue::ask_anew_locked(Calls& calls) {
    for (auto& [id, request] : requests_) request.asked = 0;
    for (auto& [name, tenant] : tenants_) tenant.asked = 0;
    ask_locked(calls);
}

void FairQueue::ask_locked(Calls& calls) {
    // How things will stand when all who were asked have given way: their places go to those with the fewest.
    struct Later {
        Tenant* tenant;
        std::size_t held, wanted;
    };
    std::vector<Later> all;
    std::size_t coming = 0;
    for (auto& [name, t] : tenants_) {
        all.push_back({&t, t.held - t.asked, t.wanted + t.asked});
        coming += t.asked;
    }
    for (;;) {
        const auto needy = [&] {
            auto best = all.end();
            for (auto it = all.begin(); it != all.end(); ++it) {
                if (it->wanted > 0 && (best == all.end() || it->held < best->held)) best = it;
            }
            return best;
        };
        auto next = needy();
        for (; coming > 0 && next != all.end(); next = needy()) {
            --coming;
            --next->wanted;
            ++next->held;
        }
        if (next == all.end()) return;
        const auto most = std::ranges::max_element(all, {}, &Later::held);
        if (most->held < next->held + 2) return;
        Tenant& rich = *most->tenant;
        const auto youngest = std::find_if(rich.requests.rbegin(), rich.requests.rend(),
                                           [](const auto& r) { return r.second->held > r.second->asked; });
        if (youngest == rich.requests.rend()) return;
        ++youngest->second->asked;
        ++rich.asked;
        calls.push_back(youngest->second->ask);
        --most->held;
        ++most->wanted;
        ++coming;
    }
}

std::size_t FairQueue::waiting_locked(const Tenant* of) const {
    const auto waits = [](const Request& r) { return r.held == 0 && r.wanted > 0; };
    if (of == nullptr)
        return static_cast<std::size_t>(
            std::ranges::count_if(requests_, [&](const auto& r) { return waits(r.second); }));
    return static_cast<std::size_t>(
        std::ranges::count_if(of->requests, [&](const auto& r) { return waits(*r.second); }));
}

std::size_t FairQueue::waiting() const {
    const std::lock_guard lock(mutex_);
    return waiting_locked(nullptr);
}

}  // namespace freehold::server
