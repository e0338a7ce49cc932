// The host: threads, kernels, budget, turns, and the registry of loaded models.
#include "freehold/engine/host.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <fstream>
#include <limits>
#include <mutex>
#include <utility>

#include "freehold/base/error.h"

namespace freehold {

namespace {

// What this process may have: the machine's memory, or its cgroup's bound where that is smaller.
std::uint64_t machine_memory() {
    const auto pages = static_cast<std::uint64_t>(std::max(0L, sysconf(_SC_PHYS_PAGES)));
    std::uint64_t bytes = pages * static_cast<std::uint64_t>(std::max(1L, sysconf(_SC_PAGESIZE)));
    for (const char* path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
        std::ifstream file(path);
        std::uint64_t bound = 0;
        if (file >> bound && bound > 0) bytes = std::min(bytes, bound);
    }
    return bytes;
}

}  // namespace

struct MemoryBudget::Impl {
    std::uint64_t limit = 0, used = 0;
    mutable std::mutex mutex;
};

MemoryBudget::MemoryBudget(std::uint64_t limit) : impl_(std::make_unique<Impl>()) {
    impl_->limit = limit;
}
MemoryBudget::~MemoryBudget() = default;

MemoryBudget::Lease::Lease(Lease&& other) noexcept
    : budget_(std::exchange(other.budget_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

MemoryBudget::Lease& MemoryBudget::Lease::operator=(Lease&& other) noexcept {
    if (this != &other) {
        const Lease old(std::move(*this));
        budget_ = std::exchange(other.budget_, nullptr);
        bytes_ = std::exchange(other.bytes_, 0);
    }
    return *this;
}

MemoryBudget::Lease::~Lease() {
    if (budget_ == nullptr) return;
    const std::lock_guard lock(budget_->impl_->mutex);
    budget_->impl_->used -= bytes_;
}

MemoryBudget::Lease MemoryBudget::take(std::uint64_t bytes, const std::string& what) {
    const std::lock_guard lock(impl_->mutex);
    const std::uint64_t left = impl_->limit - std::min(impl_->limit, impl_->used);
    if (bytes > left) {
        const auto mib = [](std::uint64_t b) { return static_cast<double>(b) / (1024.0 * 1024.0); };
        throw Error(ErrorKind::out_of_memory,
                    fmt::format("{} would take {:.1f} MiB, but of the budget of {:.1f} MiB only {:.1f} MiB are left.",
                                what, mib(bytes), mib(impl_->limit), mib(left)),
                    "Use a smaller model or context, unload another model, or raise the memory budget.");
    }
    impl_->used += bytes;
    Lease lease;
    lease.budget_ = this;
    lease.bytes_ = bytes;
    return lease;
}

std::uint64_t MemoryBudget::limit() const noexcept {
    return impl_->limit;
}
std::uint64_t MemoryBudget::used() const noexcept {
    const std::lock_guard lock(impl_->mutex);
    return impl_->used;
}
std::uint64_t MemoryBudget::free() const noexcept {
    const std::lock_guard lock(impl_->mutex);
    return impl_->limit - std::min(impl_->limit, impl_->used);
}

struct Host::Impl {
    explicit Impl(const HostOptions& o)
        : threads(o.threads),
          kernels(o.kernels != nullptr ? *o.kernels : active_kernels()),
          memory(std::make_shared<MemoryBudget>(o.memory_budget > 0 ? o.memory_budget : machine_memory() / 4 * 3)) {}

    ThreadPool threads;
    const Kernels& kernels;
    std::shared_ptr<MemoryBudget> memory;  // models keep it alive until they have given back their part

    std::mutex turn_mutex;
    std::condition_variable turn_changed;
    std::uint64_t next_ticket = 0, serving = 0;

    struct Entry {
        std::filesystem::path path;
        LoadedModelOptions options;
        std::weak_ptr<const LoadedModel> model;
    };
    std::mutex load_mutex;  // one load at a time: each uses every thread and the budget
    mutable std::mutex registry_mutex;
    std::vector<Entry> registry;
};

Host::Host(const HostOptions& options) : impl_(std::make_unique<Impl>(options)) {}
Host::~Host() = default;

ThreadPool& Host::threads() noexcept {
    return impl_->threads;
}
const Kernels& Host::kernels() const noexcept {
    return impl_->kernels;
}
MemoryBudget& Host::memory() noexcept {
    return *impl_->memory;
}

Host::Turn::Turn(Host& host) : host_(host) {
    std::unique_lock lock(host_.impl_->turn_mutex);
    const std::uint64_t mine = host_.impl_->next_ticket++;
    host_.impl_->turn_changed.wait(lock, [&] { return host_.impl_->serving == mine; });
}

Host::Turn::~Turn() {
    {
        const std::lock_guard lock(host_.impl_->turn_mutex);
        ++host_.impl_->serving;
    }
    host_.impl_->turn_changed.notify_all();
}

std::shared_ptr<const LoadedModel> Host::load(const std::filesystem::path& path, const LoadedModelOptions& options,
                                              const Progress& progress) {
    std::error_code ec;
    std::filesystem::path real = std::filesystem::weakly_canonical(path, ec);
    if (ec) real = path;
    const std::lock_guard one_at_a_time(impl_->load_mutex);
    {
        const std::lock_guard lock(impl_->registry_mutex);
        for (const auto& e : impl_->registry) {
            if (e.path != real || !(e.options == options)) continue;
            if (auto model = e.model.lock()) return model;
        }
    }
    if (progress) progress({"loading " + path.filename().string(), 0, 1, "items"});
    std::shared_ptr<LoadedModel> model;
    {
        // Repacking weights uses the pool, which runs one thing at a time.
        const Turn turn(*this);
        model = LoadedModel::make(path, options, impl_->threads);
    }
    if (model->decoder()) {
        struct Held {
            std::shared_ptr<MemoryBudget> budget;
            MemoryBudget::Lease lease;
        };
        // Mapped weights can be dropped and read again by the system; what counts is what we made of them, or, without
        // panels, the mapped bytes that every step reads.
        const std::uint64_t bytes = std::max(model->decoder()->panel_bytes(), std::uint64_t{1});
        auto held = std::make_shared<Held>();
        held->budget = impl_->memory;
        held->lease = impl_->memory->take(bytes, "Weights of " + path.filename().string());
        model->lease_ = std::move(held);
    }
    if (progress) progress({"loading " + path.filename().string(), 1, 1, "items"});
    const std::lock_guard lock(impl_->registry_mutex);
    std::erase_if(impl_->registry, [](const auto& e) { return e.model.expired(); });
    impl_->registry.push_back({real, options, model});
    return model;
}

std::vector<std::shared_ptr<const LoadedModel>> Host::loaded() const {
    const std::lock_guard lock(impl_->registry_mutex);
    std::vector<std::shared_ptr<const LoadedModel>> models;
    for (const auto& e : impl_->registry) {
        if (auto model = e.model.lock()) models.push_back(std::move(model));
    }
    return models;
}

}  // namespace freehold
