// One thread loads and lets go; requests wait for it without holding a worker.
#include "freehold/server/model_pool.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <future>
#include <map>
#include <mutex>
#include <thread>

#include "adapter_shelf.h"
#include "fair_queue.h"
#include "freehold/base/log.h"
#include "freehold/base/threads.h"
#include "freehold/server/errors.h"
#include "freehold/server/owner.h"

namespace freehold::server {
namespace {

using Clock = std::chrono::steady_clock;

std::uint64_t bytes_on_disk(const std::filesystem::path& path) {
    std::error_code ec;
    if (std::filesystem::is_directory(path, ec)) {
        std::uint64_t sum = 0;
        for (const auto& entry : std::filesystem::directory_iterator(path, ec)) sum += bytes_on_disk(entry.path());
        return sum;
    }
    const auto size = std::filesystem::file_size(path, ec);
    return ec ? 0 : size;
}

RequestError unknown_model(const std::string& name, const std::string& hint) {
    return {404,     ErrorKind::not_found, fmt::format("There is no model \"{}\" here.", name.substr(0, 200)), hint,
            "model", "model_not_found"};
}

bool looks_like_path(std::string_view text) {
    return text.find('/') == 0 || text.starts_with("./") || text.starts_with("../") || text.starts_with("~");
}

}  // namespace

struct ModelPool::Impl {
    Host& host;
    Store store;
    Workers& workers;
    PoolOptions options;

    struct Slot {
        std::shared_ptr<const ServedModel> served;  // null while it is being loaded
        std::vector<std::pair<Got, KeepAlive>> waiting;
        int in_use = 0;
        std::chrono::milliseconds keep{0};
        Clock::time_point last_use;
        bool drop = false;  // as soon as nobody uses it
    };
    mutable std::mutex mutex;
    std::condition_variable wake;
    std::map<std::string, std::shared_ptr<Slot>, std::less<>> slots;  // by full name
    std::vector<std::pair<std::string, KnownModel>> to_load;
    bool ending = false, busy = false;
    std::uint64_t loads = 0, evictions = 0;
    std::thread thread;

    // Names that were looked up lately: the store is a folder, and a busy server asks it thousands of times.
    struct Looked {
        KnownModel model;
        Clock::time_point at;
    };
    mutable std::map<std::string, Looked, std::less<>> looked;

    Impl(Host& h, Store s, Workers& w, PoolOptions o)
        : host(h), store(std::move(s)), workers(w), options(std::move(o)) {}

    KnownModel look_up(const std::string& name) const;
    KnownModel as_known(StoredModel model) const;
    KnownModel look_up_adapted(const AdaptedName& names) const;
    Got with_adapter(const KnownModel& known, Got got);
    void heed(const KnownModel& known) const;
    ModelLease lease(const std::shared_ptr<Slot>& slot);
    void work();
    void load(const std::string& name, const KnownModel& known);
    std::shared_ptr<const ServedModel> make(const std::string& name, const KnownModel& known);
    std::shared_ptr<const ServedModel> take_idle(Clock::time_point now, bool for_memory);
    std::optional<Clock::time_point> next_expiry() const;
};

// A model may have been created with an adapter, which then belongs to its name.
KnownModel ModelPool::Impl::as_known(StoredModel model) const {
    KnownModel out{model.name.str(), std::move(model), {}, {}};
    const Value* const with = find(out.stored->record.extra, "created.adapter");
    if (with == nullptr || !with->as_string()) return out;
    const auto name = ModelName::try_parse(*with->as_string());
    out.adapter = name ? store.find(*name) : std::nullopt;
    if (!out.adapter || !is_adapter(out.adapter->record)) {
        throw RequestError(
            404, ErrorKind::not_found,
            fmt::format("{} was created with the adapter {}, which is gone.", out.name, *with->as_string()),
            "Create it again, or fetch the adapter again under that name.", "model", "model_not_found");
    }
    return out;
}

KnownModel ModelPool::Impl::look_up_adapted(const AdaptedName& names) const {
    KnownModel out = look_up(names.model);
    if (out.adapter)
        throw unknown_model(names.model + "+" + names.adapter,
                            fmt::format("{} has an adapter already; one works at a time.", names.model));
    const auto parsed = ModelName::try_parse(names.adapter);
    auto adapter = parsed ? store.find(*parsed) : std::nullopt;
    if (!adapter || !is_adapter(adapter->record)) {
        throw unknown_model(names.model + "+" + names.adapter,
                            adapter ? fmt::format("{} is a model and no adapter.", names.adapter)
                                    : fmt::format("There is no adapter {}; `freehold pull` adds one.", names.adapter));
    }
    out.name += "+" + adapter->name.str();
    out.adapter = std::move(adapter);
    return out;
}

// What comes with a lease of the model becomes a lease with the adapter on top.
ModelPool::Got ModelPool::Impl::with_adapter(const KnownModel& known, Got got) {
    return [this, adapter = *known.adapter, name = known.name, got = std::move(got)](ModelLease lease,
                                                                                     const std::exception_ptr& fault) {
        if (fault) return got({}, fault);
        try {
            lease.name_ = name;
            lease.adapter_ = lease.served_->adapters->get(host, store, lease.served_->model, adapter);
        } catch (...) {
            return got({}, std::current_exception());
        }
        got(std::move(lease), nullptr);
    };
}

KnownModel ModelPool::Impl::look_up(const std::string& name) const {
    if (const AdaptedName names = split_adapted(name);
        !names.adapter.empty() && std::ranges::none_of(options.aliases, [&](const auto& a) { return a.first == name; }))
        return look_up_adapted(names);
    for (const auto& [alias, target] : options.aliases) {
        if (alias != name) continue;
        LocatedModel located = locate_model(store, target);
        return {alias, std::move(located.stored), std::move(located.path)};
    }
    if (options.only_aliases) throw unknown_model(name, "GET /v1/models lists what is served.");
    const auto parsed = ModelName::try_parse(name);
    if (!parsed) throw unknown_model(name, "GET /v1/models lists the models that are here.");
    if (auto stored = store.find(*parsed)) {
        if (is_adapter(stored->record))
            throw unknown_model(name, fmt::format("{} is an adapter: ask for MODEL+{}.", name, name));
        return as_known(std::move(*stored));
    }
    // A name without a tag that only one model has.
    std::vector<StoredModel> same;
    if (name.find(':') == std::string::npos) {
        for (auto& model : store.list()) {
            if (model.name.name == parsed->name && !is_adapter(model.record)) same.push_back(std::move(model));
        }
    }
    if (same.size() == 1) return as_known(std::move(same.front()));
    std::string tags;
    for (const auto& model : same) tags += (tags.empty() ? "" : ", ") + model.name.str();
    throw unknown_model(name, tags.empty() ? "GET /v1/models lists the models that are here; `freehold pull` adds one."
                                           : fmt::format("There are {}.", tags));
}

void ModelPool::Impl::heed(const KnownModel& known) const {
    const auto ask = [&](const std::optional<StoredModel>& stored, const std::filesystem::path& path) {
        LocatedModel located;
        located.stored = stored;
        located.path = path;
        options.heed(located);
    };
    ask(known.stored, known.path);
    if (known.adapter) ask(known.adapter, {});
}

ModelLease ModelPool::Impl::lease(const std::shared_ptr<Slot>& slot) {
    ModelLease out;
    out.served_ = slot->served;
    ++slot->in_use;
    slot->last_use = Clock::now();
    out.use_ = std::shared_ptr<void>(static_cast<void*>(slot.get()), [this, slot](void*) {
        const std::lock_guard lock(mutex);
        --slot->in_use;
        slot->last_use = Clock::now();
        if (slot->in_use == 0) wake.notify_all();
    });
    return out;
}

// A model that nobody uses and that is to go now: its time is over, or it is the one that was used least recently and
// memory is needed. Under the lock; the caller drops it outside.
std::shared_ptr<const ServedModel> ModelPool::Impl::take_idle(Clock::time_point now, bool for_memory) {
    auto victim = slots.end();
    for (auto it = slots.begin(); it != slots.end(); ++it) {
        const Slot& slot = *it->second;
        if (!slot.served || slot.in_use > 0) continue;
        const bool over = slot.drop || (slot.keep != kKeepForever && now >= slot.last_use + slot.keep);
        if (!over && !for_memory) continue;
        if (victim == slots.end() || slot.last_use < victim->second->last_use) victim = it;
    }
    if (victim == slots.end()) return nullptr;
    auto served = std::move(victim->second->served);
    slots.erase(victim);
    ++evictions;
    log_info(fmt::format("{} is let go.", served->name));
    return served;
}

std::optional<Clock::time_point> ModelPool::Impl::next_expiry() const {
    std::optional<Clock::time_point> next;
    for (const auto& [name, slot] : slots) {
        if (!slot->served || slot->in_use > 0 || slot->keep == kKeepForever) continue;
        const auto at = slot->last_use + slot->keep;
        if (!next || at < *next) next = at;
    }
    return next;
}

void ModelPool::Impl::work() {
    set_float_environment();
    std::unique_lock lock(mutex);
    for (;;) {
        if (ending) return;
        if (!to_load.empty()) {
            const auto [name, known] = std::move(to_load.front());
            to_load.erase(to_load.begin());
            busy = true;
            lock.unlock();
            load(name, known);
            lock.lock();
            busy = false;
            continue;
        }
        if (auto old = take_idle(Clock::now(), false)) {
            lock.unlock();
            old.reset();
            lock.lock();
            continue;
        }
        const auto next = next_expiry();
        if (next) {
            wake.wait_until(lock, *next);
        } else {
            wake.wait(lock);
        }
    }
}

std::shared_ptr<const ServedModel> ModelPool::Impl::make(const std::string& name, const KnownModel& known) {
    const auto started = Clock::now();
    LocatedModel located;
    located.stored = known.stored;
    located.path = known.stored ? store.open_path(*known.stored) : known.path;
    // What is on disk is a fair guess of what it will take; letting go of idle models first saves a failed load.
    const std::uint64_t guess = bytes_on_disk(located.path);
    const std::uint64_t used_before = host.memory().used();
    const auto make_room = [&] {
        std::shared_ptr<const ServedModel> old;
        {
            const std::lock_guard lock(mutex);
            old = take_idle(Clock::now(), true);
        }
        return old != nullptr;
    };
    while (host.memory().free() < guess && make_room()) {
    }
    for (;;) {
        try {
            auto served = std::make_shared<ServedModel>();
            served->name = name;
            served->stored = known.stored;
            if (known.stored) served->digest = known.stored->digest;
            LoadedModelOptions load_options = options.load;
            if (options.panels) load_options.panels = options.panels(located);
            served->model = host.load(located.path, load_options);
            served->adapters = std::make_shared<AdapterShelf>();
            served->engine_options = options.engine;
            if (served->model->decoder() && !served->model->decoder()->spec().has_head) {
                served->embedder = std::make_shared<Embedder>(host, served->model);
            } else if (served->model->decoder()) {
                const int most = served->model->decoder()->spec().context;
                served->engine_options.context = std::min(options.engine.context, most);
                served->engine = std::make_unique<Engine>(host, served->model, served->engine_options);
                served->engine->start();
                served->queue =
                    std::make_shared<FairQueue>(static_cast<std::size_t>(served->engine_options.max_sequences),
                                                options.queue.most_waiting, options.queue.most_waiting_of_tenant);
            }
            const std::uint64_t used = host.memory().used();
            served->memory = used > used_before ? used - used_before : 0;
            served->load_seconds = std::chrono::duration<double>(Clock::now() - started).count();
            return served;
        } catch (const Error& error) {
            if (error.kind() != ErrorKind::out_of_memory || !make_room()) throw;
        }
    }
}

void ModelPool::Impl::load(const std::string& name, const KnownModel& known) {
    std::shared_ptr<const ServedModel> served;
    std::exception_ptr fault;
    try {
        served = make(name, known);
        log_info(fmt::format("{} is loaded in {:.1f} s.", name, served->load_seconds));
    } catch (...) {
        fault = std::current_exception();
        log_warn(fmt::format("{} cannot be loaded: {}", name, error_facts(fault).message));
    }
    std::vector<std::pair<Got, KeepAlive>> waiting;
    std::vector<ModelLease> leases;
    {
        const std::lock_guard lock(mutex);
        const auto slot = slots.at(name);
        waiting.swap(slot->waiting);
        if (served) {
            ++loads;
            slot->served = served;
            for (const auto& [got, keep] : waiting) {
                if (keep) slot->keep = *keep;
                leases.push_back(lease(slot));
            }
        } else {
            slots.erase(name);
            leases.resize(waiting.size());
        }
    }
    for (std::size_t i = 0; i < waiting.size(); ++i) {
        workers.post([got = std::move(waiting[i].first), lease = std::move(leases[i]), fault] { got(lease, fault); });
    }
}

ModelPool::ModelPool(Host& host, Store store, Workers& workers, PoolOptions options)
    : impl_(std::make_unique<Impl>(host, std::move(store), workers, std::move(options))) {
    impl_->thread = std::thread([impl = impl_.get()] { impl->work(); });
}

ModelPool::~ModelPool() {
    {
        const std::lock_guard lock(impl_->mutex);
        impl_->ending = true;
    }
    impl_->wake.notify_all();
    impl_->thread.join();
    // Tasks of workers may hold a lease for a moment yet.
    std::unique_lock lock(impl_->mutex);
    impl_->wake.wait_for(lock, std::chrono::seconds(10), [this] {
        return std::ranges::all_of(impl_->slots, [](const auto& entry) { return entry.second->in_use == 0; });
    });
}

KnownModel ModelPool::resolve(const std::string& asked) const {
    const std::string name = asked.empty() ? default_model() : asked;
    if (name.empty()) {
        throw RequestError(404, ErrorKind::not_found, "The request names no model, and there is no default one.",
                           "Set \"model\" to one of GET /v1/models.", "model", "model_not_found");
    }
    const auto now = Clock::now();
    {
        const std::lock_guard lock(impl_->mutex);
        const auto it = impl_->looked.find(name);
        if (it != impl_->looked.end() && now < it->second.at + std::chrono::seconds(1)) return it->second.model;
    }
    if (looks_like_path(name) &&
        std::ranges::none_of(impl_->options.aliases, [&](const auto& a) { return a.first == name; }))
        throw unknown_model(name, "Models go by their names here; GET /v1/models lists them.");
    KnownModel found = impl_->look_up(name);
    const std::lock_guard lock(impl_->mutex);
    if (impl_->looked.size() > 256) impl_->looked.clear();
    impl_->looked.insert_or_assign(name, Impl::Looked{found, now});
    return found;
}

void ModelPool::forget_names() const noexcept {
    const std::lock_guard lock(impl_->mutex);
    impl_->looked.clear();
}

void ModelPool::acquire(const std::string& name, Got got, KeepAlive keep) {
    ModelLease lease;
    try {
        KnownModel known = resolve(name);
        if (impl_->options.heed) impl_->heed(known);
        if (known.adapter) {
            got = impl_->with_adapter(known, std::move(got));
            known.name = known.model_name();
        }
        const std::lock_guard lock(impl_->mutex);
        auto it = impl_->slots.find(known.name);
        // The name may mean another version by now: the old one goes when its last user has gone.
        if (it != impl_->slots.end() && it->second->served && known.stored &&
            it->second->served->digest != known.stored->digest) {
            it->second->drop = true;
            auto old = it->second;
            impl_->slots.erase(it);
            impl_->slots.emplace(known.name + "@" + old->served->digest, std::move(old));
            it = impl_->slots.end();
        }
        if (it == impl_->slots.end()) {
            auto slot = std::make_shared<Impl::Slot>();
            slot->keep = keep.value_or(impl_->options.keep_alive);
            slot->waiting.emplace_back(std::move(got), keep);
            impl_->slots.emplace(known.name, std::move(slot));
            impl_->to_load.emplace_back(known.name, known);
            impl_->wake.notify_all();
            return;
        }
        if (!it->second->served) {
            it->second->waiting.emplace_back(std::move(got), keep);
            return;
        }
        if (keep) it->second->keep = *keep;
        it->second->drop = false;
        lease = impl_->lease(it->second);
    } catch (...) {
        return got({}, std::current_exception());
    }
    got(std::move(lease), nullptr);
}

ModelLease ModelPool::acquire(const std::string& name, KeepAlive keep) {
    auto done = std::make_shared<std::promise<ModelLease>>();
    acquire(
        name,
        [done](ModelLease lease, const std::exception_ptr& fault) {
            if (fault) {
                done->set_exception(fault);
            } else {
                done->set_value(std::move(lease));
            }
        },
        keep);
    return done->get_future().get();
}

std::string ModelPool::default_model() const {
    if (!impl_->options.default_model.empty()) return impl_->options.default_model;
    if (!impl_->options.aliases.empty()) return impl_->options.aliases.front().first;
    auto all = impl_->store.list();
    std::erase_if(all, [](const StoredModel& m) { return is_adapter(m.record); });
    // What tenants made for themselves is nobody else's default.
    std::erase_if(all, [](const StoredModel& m) { return !owner_of(m.record).empty(); });
    return all.size() == 1 ? all.front().name.str() : std::string();
}

std::vector<KnownModel> ModelPool::known() const {
    std::vector<KnownModel> all;
    for (const auto& [alias, target] : impl_->options.aliases) {
        try {
            all.push_back(impl_->look_up(alias));
        } catch (const Error&) {
            continue;  // its file is gone: it cannot be served, so it is not listed
        }
    }
    std::vector<StoredModel> adapters;
    const auto add_adapted = [&] {
        // On top of the model that it was made for, under each name that this has.
        std::vector<KnownModel> adapted;
        for (const KnownModel& base : all) {
            for (const StoredModel& a : adapters) {
                if (base.stored && std::ranges::find(a.record.parents, base.stored->digest) != a.record.parents.end())
                    adapted.push_back({base.name + "+" + a.name.str(), base.stored, base.path, a});
            }
        }
        all.insert(all.end(), adapted.begin(), adapted.end());
    };
    auto stored = impl_->store.list();
    for (const StoredModel& model : stored) {
        if (is_adapter(model.record)) adapters.push_back(model);
    }
    if (impl_->options.only_aliases) {
        add_adapted();
        return all;
    }
    for (auto& model : stored) {
        if (is_adapter(model.record)) continue;
        const std::string name = model.name.str();
        if (std::ranges::none_of(all, [&](const KnownModel& k) { return k.name == name; }))
            all.push_back({name, std::move(model), {}});
    }
    add_adapted();
    return all;
}

std::vector<LoadedInfo> ModelPool::loaded() const {
    const std::lock_guard lock(impl_->mutex);
    std::vector<LoadedInfo> out;
    for (const auto& [name, slot] : impl_->slots) {
        if (!slot->served) continue;
        LoadedInfo info{slot->served->name, slot->served->digest, slot->served->memory, slot->in_use, {}, slot->served};
        if (slot->served->adapters) info.memory += slot->served->adapters->bytes();
        if (slot->keep != kKeepForever) {
            const auto left = slot->in_use > 0 ? slot->keep : slot->last_use + slot->keep - Clock::now();
            info.expires = std::chrono::system_clock::now() +
                           std::chrono::duration_cast<std::chrono::system_clock::duration>(left);
        }
        out.push_back(std::move(info));
    }
    return out;
}

bool ModelPool::unload(const std::string& name) {
    const KnownModel known = resolve(name);
    const std::lock_guard lock(impl_->mutex);
    const auto it = impl_->slots.find(known.model_name());
    if (it == impl_->slots.end() || !it->second->served) return false;
    it->second->drop = true;
    impl_->wake.notify_all();
    return true;
}

Host& ModelPool::host() noexcept {
    return impl_->host;
}
const Store& ModelPool::store() const noexcept {
    return impl_->store;
}
std::uint64_t ModelPool::loads() const noexcept {
    const std::lock_guard lock(impl_->mutex);
    return impl_->loads;
}
std::uint64_t ModelPool::evictions() const noexcept {
    const std::lock_guard lock(impl_->mutex);
    return impl_->evictions;
}
bool ModelPool::loading() const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->busy || !impl_->to_load.empty();
}

}  // namespace freehold::server
