// Adapters of a served model, by the digest of their manifest; those that nobody uses make room for others.
#include "adapter_shelf.h"

#include "freehold/base/error.h"

namespace freehold::server {
namespace {

// Of idle ones so many are kept: they are small, and a busy server goes through many.
constexpr std::size_t kMostKept = 64;

std::shared_ptr<const LoadedAdapter> read(Host& host, const Store& store, std::shared_ptr<const LoadedModel> model,
                                          const StoredModel& adapter) {
    const std::filesystem::path path = store.open_path(adapter);
    try {
        return load_adapter(host, std::move(model), path, adapter.name.str(), adapter.digest);
    } catch (const Error& error) {
        std::string message = error.message();
        const std::string place = path.string();
        if (const auto at = message.find(place); at != std::string::npos)
            message.replace(at, place.size(), adapter.name.str());
        throw Error(error.kind(), message, error.hint());
    }
}

}  // namespace

std::shared_ptr<const LoadedAdapter> AdapterShelf::get(Host& host, const Store& store,
                                                       std::shared_ptr<const LoadedModel> model,
                                                       const StoredModel& adapter) {
    const std::lock_guard lock(mutex_);
    if (const auto it = by_digest_.find(adapter.digest); it != by_digest_.end()) return it->second;
    if (by_digest_.size() >= kMostKept) drop_idle();
    std::shared_ptr<const LoadedAdapter> made;
    try {
        made = read(host, store, model, adapter);
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::out_of_memory) throw;
        drop_idle();
        made = read(host, store, std::move(model), adapter);
    }
    by_digest_.emplace(adapter.digest, made);
    return made;
}

void AdapterShelf::drop_idle() {
    std::erase_if(by_digest_, [](const auto& entry) { return entry.second.use_count() == 1; });
}

std::uint64_t AdapterShelf::bytes() const {
    const std::lock_guard lock(mutex_);
    std::uint64_t sum = 0;
    for (const auto& [digest, adapter] : by_digest_) sum += adapter->bytes;
    return sum;
}

}  // namespace freehold::server
