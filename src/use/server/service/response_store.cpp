// Responses in memory: the oldest of a tenant go first, and whole tenants that nobody asks for.
#include "freehold/server/response_store.h"

#include <algorithm>
#include <list>
#include <map>
#include <mutex>

namespace freehold::server {
namespace {

class MemoryStore final : public ResponseStore {
 public:
    explicit MemoryStore(const ResponseStoreLimits& limits) : limits_(limits) {}

    void put(const std::string& tenant, const std::string& id, StoredResponse response) override {
        const std::size_t bytes = to_json(response.response).size() + to_json(Value(response.input)).size() +
                                  to_json(Value(response.messages)).size();
        const std::lock_guard lock(mutex_);
        Tenant& t = tenants_[tenant];
        t.used = ++clock_;
        remove(t, id);
        t.order.push_back(id);
        t.entries[id] = {std::move(response), bytes, std::prev(t.order.end())};
        t.bytes += bytes;
        while (t.order.size() > 1 && (t.order.size() > limits_.responses || t.bytes > limits_.bytes))
            remove(t, std::string(t.order.front()));
        if (tenants_.size() > limits_.tenants) {
            tenants_.erase(std::min_element(tenants_.begin(), tenants_.end(), [](const auto& a, const auto& b) {
                return a.second.used < b.second.used;
            }));
        }
    }
    std::optional<StoredResponse> get(const std::string& tenant, const std::string& id) override {
        const std::lock_guard lock(mutex_);
        const auto t = tenants_.find(tenant);
        if (t == tenants_.end()) return std::nullopt;
        t->second.used = ++clock_;
        const auto entry = t->second.entries.find(id);
        if (entry == t->second.entries.end()) return std::nullopt;
        return entry->second.response;
    }
    bool erase(const std::string& tenant, const std::string& id) override {
        const std::lock_guard lock(mutex_);
        const auto t = tenants_.find(tenant);
        return t != tenants_.end() && remove(t->second, id);
    }

 private:
    struct Entry {
        StoredResponse response;
        std::size_t bytes = 0;
        std::list<std::string>::iterator place;
    };
    struct Tenant {
        std::map<std::string, Entry> entries;
        std::list<std::string> order;  // oldest first
        std::size_t bytes = 0;
        std::uint64_t used = 0;
    };
    static bool remove(Tenant& t, const std::string& id) {
        const auto entry = t.entries.find(id);
        if (entry == t.entries.end()) return false;
        t.bytes -= entry->second.bytes;
        t.order.erase(entry->second.place);
        t.entries.erase(entry);
        return true;
    }

    const ResponseStoreLimits limits_;
    std::mutex mutex_;
    std::map<std::string, Tenant> tenants_;
    std::uint64_t clock_ = 0;
};

}  // namespace

std::shared_ptr<ResponseStore> make_memory_response_store(const ResponseStoreLimits& limits) {
    return std::make_shared<MemoryStore>(limits);
}

}  // namespace freehold::server
