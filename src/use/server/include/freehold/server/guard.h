// The gate of a server with keys, and the recorder behind it: keys, rates and quotas, the audit log. What is allowed is
// decided by the room access; this translates it to HTTP.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "freehold/access/json.h"
#include "freehold/access/texts.h"
#include "freehold/server/gate.h"
#include "freehold/server/readiness.h"

namespace freehold::server {

struct GuardOptions {
    std::filesystem::path home;                  // of the installation: state.db, audit/, access.json
    bool insecure = false;                       // let everybody in (--insecure-no-keys)
    std::optional<access::AccessConfig> config;  // instead of access.json under `home`
    // Keys and counts; null: state.db under `home`.
    std::shared_ptr<Database> database = {};
    // What others want done each second on the guard's thread.
    std::function<void()> each_second = {};
    // Removes stored texts older than that time (ms); asked as often as the retention of access.json is looked at.
    std::function<void(std::int64_t before)> purge_responses = {};
    access::Clock clock = access::system_clock_ms;
};

// Thread-safe. admit() and observe() touch memory only; a thread of its own writes counts and reads changed keys once a
// second. What is recorded: every request that asks a model or changes something, every look at keys and audit, every
// refusal (of floods a few a second, and how many more there were).
class Guard final : public Gate, public Readiness {
 public:
    // Error{conflict} when another server writes this replica's audit log, Error{usage} for a wrong access.json.
    explicit Guard(const GuardOptions& options);
    ~Guard() override;

    Principal admit(const HttpRequest& request, const Route& route) override;
    void check_listen(const std::string& address, bool is_loopback) const override;
    [[nodiscard]] const char* kind() const noexcept override;
    [[nodiscard]] std::string not_ready() const override;

    // For ServerOptions::observer: charges the key and writes the entry. Returns nothing and throws nothing; while the
    // audit log cannot be written the gate is closed (503) for whatever asks a model, and what ends then waits in
    // memory for the log.
    void observe(const ExchangeRecord& record) noexcept;
    // /freehold/v1/keys, keys/{id}, keys/{id}/rotate, usage, audit, audit/verify, audit/entries/{id}.
    [[nodiscard]] std::vector<Route> routes();

    [[nodiscard]] access::Keys& keys() noexcept { return *keys_; }
    [[nodiscard]] access::Limiter& limiter() noexcept { return *limiter_; }
    [[nodiscard]] access::AuditLog& audit() noexcept { return *audit_; }
    // Writes what is pending and reads what changed, as the thread does each second.
    void refresh();

 private:
    void keep_policy(std::int64_t now);
    void record_refusal(const HttpRequest& request, const Route& route, int status, const std::string& message);

    GuardOptions options_;
    access::AccessConfig config_;
    std::shared_ptr<Database> database_;
    std::unique_ptr<access::Keys> keys_;
    std::unique_ptr<access::Limiter> limiter_;
    std::unique_ptr<access::AuditLog> audit_;
    std::unique_ptr<access::TextVault> texts_;  // null: texts are not kept
    std::unique_ptr<access::Door> door_;

    std::mutex mutex_;  // of what follows
    std::condition_variable wake_;
    bool stop_ = false;
    std::int64_t window_ = 0;                  // second of `refused_`
    std::int64_t refused_ = 0, left_out_ = 0;  // recorded in this second; not recorded since the last entry
    std::thread thread_;
};

// Is `model` one of the patterns of a principal ("smollm2", "smollm2:135m", "gemma*"), or are there none?
[[nodiscard]] bool model_allowed(const std::vector<std::string>& patterns, std::string_view model);
// The right that a row needs, from its role, method and place.
[[nodiscard]] access::Right right_of(const Route& route) noexcept;

}  // namespace freehold::server
