// The models that are served: loaded when somebody asks, kept while they are used and a while longer, let go when
// memory is needed. One engine a model, shared by all who use it.
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/engine/embed.h"
#include "freehold/engine/engine.h"
#include "freehold/engine/host.h"
#include "freehold/engine/loaded_adapter.h"
#include "freehold/server/workers.h"
#include "freehold/store/store.h"

namespace freehold::server {

class FairQueue;
class AdapterShelf;
// Places before an engine, shared evenly between tenants.
struct QueueOptions {
    std::size_t most_waiting = 512;            // of one model, all tenants: beyond it 503
    std::size_t most_waiting_of_tenant = 256;  // beyond it 429
};

// A model in memory. Whoever holds a ModelLease keeps it there.
struct ServedModel {
    std::string name;    // as the store has it ("smollm2:135m"), or the name given to a path
    std::string digest;  // of the stored manifest; empty for a path
    std::optional<StoredModel> stored;
    std::shared_ptr<const LoadedModel> model;
    std::unique_ptr<Engine> engine;      // null for a kind that writes nothing
    std::shared_ptr<Embedder> embedder;  // of such a kind: turns texts into vectors
    std::uint64_t memory = 0;            // bytes of the budget that it took: weights, keys and values, scratch
    double load_seconds = 0;
    EngineOptions engine_options;
    std::shared_ptr<FairQueue> queue;  // in front of the engine
    // Adapters that were asked for, over this one copy of the weights; they go with the model, or when memory is
    // needed and no request uses them.
    std::shared_ptr<AdapterShelf> adapters;
};

class ModelPool;
// Holds a model in use. Copies count.
class ModelLease {
 public:
    ModelLease() = default;
    [[nodiscard]] const ServedModel& operator*() const noexcept { return *served_; }
    [[nodiscard]] const ServedModel* operator->() const noexcept { return served_.get(); }
    [[nodiscard]] explicit operator bool() const noexcept { return served_ != nullptr; }
    // What "model+adapter" asked for; null: the model as it is.
    [[nodiscard]] const std::shared_ptr<const LoadedAdapter>& adapter() const noexcept { return adapter_; }
    // The name that was asked for, in full: "smollm2:135m", "smollm2:135m+notes:latest".
    [[nodiscard]] const std::string& name() const noexcept { return name_.empty() ? served_->name : name_; }

 private:
    friend class ModelPool;
    std::shared_ptr<void> use_;  // its end says that one user less is there; it ends after served_
    std::shared_ptr<const ServedModel> served_;
    std::shared_ptr<const LoadedAdapter> adapter_;
    std::string name_;  // where it is not that of served_
};

// How long a model stays after its last use. Not set: the pool's own.
using KeepAlive = std::optional<std::chrono::milliseconds>;
constexpr std::chrono::milliseconds kKeepForever = std::chrono::milliseconds::max();

struct PoolOptions {
    EngineOptions engine;
    LoadedModelOptions load;
    QueueOptions queue;
    std::chrono::milliseconds keep_alive = std::chrono::minutes(5);
    // Names under which paths and other names are served: {"mine", "/models/x.gguf"}. Clients cannot name paths.
    std::vector<std::pair<std::string, std::string>> aliases;
    // Served when a request names no model; empty: the only one there is, or the first of `aliases`.
    std::string default_model;
    bool only_aliases = false;  // serve nothing but `aliases`
    // Where panels of a stored model are kept (LoadedModelOptions::panels); empty function: nowhere.
    std::function<std::filesystem::path(const LocatedModel&)> panels;
    // Asked whenever a model, or the adapter on top of it, is about to be used, loaded or not, by many threads: what it
    // throws goes to whoever asked. Must be quick.
    std::function<void(const LocatedModel&)> heed;
};

struct LoadedInfo {
    std::string name, digest;
    std::uint64_t memory = 0;
    int in_use = 0;
    std::optional<std::chrono::system_clock::time_point> expires;  // not set: stays
    std::shared_ptr<const ServedModel> served;
};

// What may be asked for, loaded or not.
struct KnownModel {
    std::string name;
    std::optional<StoredModel> stored;
    std::filesystem::path path;  // of an alias to a path
    // Of "model+adapter", where `stored` is the model; or what a model was created with, and then the name is its own.
    std::optional<StoredModel> adapter = {};
    [[nodiscard]] std::string model_name() const { return adapter ? name.substr(0, name.rfind('+')) : name; }
};

class ModelPool {
 public:
    ModelPool(Host& host, Store store, Workers& workers, PoolOptions options);
    ~ModelPool();  // waits for a load that is going on, drops all models; no lease may be left
    ModelPool(const ModelPool&) = delete;
    ModelPool& operator=(const ModelPool&) = delete;

    // The lease, or the fault (Error{not_found} for a name that is not there, out_of_memory, bad_file, ...). On the
    // caller's thread when the model is loaded, else on a worker once it is; many who wait for one load share it.
    // Looks names up on disk: not for the I/O thread. An empty name is the default model.
    using Got = std::function<void(ModelLease, std::exception_ptr)>;
    void acquire(const std::string& name, Got got, KeepAlive keep = {});
    // The same, waiting. Not on a worker while others need it for long.
    [[nodiscard]] ModelLease acquire(const std::string& name, KeepAlive keep = {});

    // The full name for what a client wrote ("smollm2" -> "smollm2:135m" where only one has that name).
    // Throws Error{not_found}.
    [[nodiscard]] KnownModel resolve(const std::string& name) const;
    // What names mean is looked up again at once: for who has just changed the store. (Otherwise within a second.)
    void forget_names() const noexcept;
    [[nodiscard]] std::string default_model() const;  // empty: none
    [[nodiscard]] std::vector<KnownModel> known() const;
    [[nodiscard]] std::vector<LoadedInfo> loaded() const;
    // Lets it go as soon as nobody uses it. False when it is not loaded.
    bool unload(const std::string& name);
    [[nodiscard]] Host& host() noexcept;
    [[nodiscard]] const Store& store() const noexcept;
    [[nodiscard]] std::uint64_t loads() const noexcept;      // done so far
    [[nodiscard]] std::uint64_t evictions() const noexcept;  // for memory or time
    [[nodiscard]] bool loading() const;

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace freehold::server
