// The adapters over one loaded model: each read once, shared by all requests that use it.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "freehold/engine/loaded_adapter.h"
#include "freehold/store/store.h"

namespace freehold::server {

class AdapterShelf {
 public:
    // From any thread that may wait: reading takes a turn of the host. Throws what load_adapter throws, naming the
    // stored adapter instead of its place on disk.
    std::shared_ptr<const LoadedAdapter> get(Host& host, const Store& store, std::shared_ptr<const LoadedModel> model,
                                             const StoredModel& adapter);
    [[nodiscard]] std::uint64_t bytes() const;

 private:
    void drop_idle();
    mutable std::mutex mutex_;
    std::map<std::string, std::shared_ptr<const LoadedAdapter>, std::less<>> by_digest_;  // of the manifest
};

}  // namespace freehold::server
