// How much a key may use: requests and tokens a minute, tokens a day and a month. Both rates (buckets) and quotas are
// kept in the database, so that all processes of an installation count together; each answers from a copy in memory.
//
// Counts reach the database once a second and at the end: a kill loses the last second of counting, and two replicas
// may together let a key go over a rate or quota by what it uses within two. While the database is away counting
// goes on in memory; each count is written once, also when the answer to its writing was lost.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "freehold/access/principal.h"
#include "freehold/database/database.h"

namespace freehold::access {

struct Use {
    std::string key_id, tenant, model, day;  // "2026-01-02", UTC
    std::int64_t requests = 0, prompt_tokens = 0, completion_tokens = 0;
};

// Thread-safe. admit, reserve and settle touch memory only; flush() waits for the disk.
class Limiter {
 public:
    // `database` must outlive this. Reads what has been used this month.
    explicit Limiter(Database& database, Clock clock = system_clock_ms);
    ~Limiter();  // flushes what it can
    Limiter(const Limiter&) = delete;
    Limiter& operator=(const Limiter&) = delete;

    // A request comes in. Refusal{too_much} with the seconds to wait: over the rate of requests, tokens of earlier
    // requests not yet paid for, or a quota used up.
    void admit(const Principal& who);

    // Tokens set aside for a request that runs; given back when it goes, or replaced by settle().
    class Reservation {
     public:
        Reservation() = default;
        ~Reservation() { release(); }
        Reservation(Reservation&& other) noexcept { swap(other); }
        Reservation& operator=(Reservation&& other) noexcept {
            swap(other);
            return *this;
        }
        // The tokens that were really read and written, under the name of the model.
        void settle(std::int64_t prompt_tokens, std::int64_t completion_tokens);
        // More tokens for an answer whose length nobody said: how many of them the quotas have room for (0: none).
        // A rate does not stop what already runs; the bucket goes into debt.
        [[nodiscard]] std::int64_t extend(std::int64_t tokens);

     private:
        friend class Limiter;
        void swap(Reservation& other) noexcept;
        void release() noexcept;
        void give_back() noexcept;  // under the lock
        Limiter* limiter_ = nullptr;
        std::string key_id_, tenant_, model_;
        std::int64_t tokens_ = 0;
    };
    // Before a request goes to the model: may this principal use it (Refusal{may_not}), and is there room for `tokens`
    // (those of the prompt, and as many as may be written where that is known)? Refusal{too_much}; a request that is
    // larger than the whole rate or quota can never go through: Error{limit}.
    [[nodiscard]] Reservation reserve(const Principal& who, std::string_view model, std::int64_t tokens);
    // Counts a request that was not reserved.
    void charge(const Principal& who, std::string_view model, std::int64_t prompt_tokens,
                std::int64_t completion_tokens);

    // Writes the counts down, and reads what other processes counted.
    void flush();

    // What was used from `from` to `to` (days, both included), by key, day and model; of one tenant unless empty.
    [[nodiscard]] std::vector<Use> use(std::string_view from, std::string_view to, std::string_view tenant = {});
    // Removes counts of days before `day`; never those of the present month, which quotas need.
    std::int64_t purge(std::string_view day);

 private:
    // A bucket that fills evenly; `level` may fall below zero (a debt that later requests wait for).
    struct Bucket {
        double level = 0;
        std::int64_t at = -1;  // ms; -1: full
        void fill(std::int64_t now, double capacity) noexcept;
    };
    struct State {
        KeyLimits limits;
        Bucket requests, tokens;
        std::int64_t day_used = 0, month_used = 0;  // as the database has it
        std::int64_t unwritten = 0;                 // tokens settled and not yet in the database
        std::int64_t reserved = 0;
        double spent_requests = 0, spent_tokens = 0;  // taken from the buckets, and not yet from those of the database
        std::int64_t spent_at = 0;                    // ms, the last of them
        std::int64_t seen = 0;                        // ms
    };
    State& state_of(const Principal& who, std::int64_t now);
    void check_quota(const State& state, const Principal& who, std::int64_t tokens, std::int64_t now) const;
    void count(const std::string& key_id, const std::string& tenant, const std::string& model, std::int64_t prompt,
               std::int64_t completion);
    void read_totals();
    void read_rates();
    void take_rates(const std::string& key_id, State& state, std::int64_t now);

    // What goes to the database at once. It keeps its number and content until it is known to have arrived.
    struct Batch {
        struct Spent {
            double requests = 0, tokens = 0;
            std::int64_t at = 0;  // ms
            KeyLimits limits;
        };
        std::int64_t number = 0;
        std::map<std::tuple<std::string, std::string, std::string>, Use> uses;  // key, day, model
        std::map<std::string, Spent> spent;                                     // by key
    };
    [[nodiscard]] std::optional<Batch> next_batch();
    void write(const Batch& batch);
    void settle_written(const Batch& batch);

    Database& database_;
    Clock clock_;
    std::mutex flushing_;           // one flush at a time; of what follows
    std::string writer_;            // this process, among those that share the database
    std::int64_t batches_ = 0;      // made so far
    std::optional<Batch> sending_;  // not known to have arrived
    std::mutex mutex_;              // of what follows
    std::unordered_map<std::string, State> states_;
    std::map<std::string, std::pair<std::int64_t, std::int64_t>> totals_;       // key id: day, month, as read last
    std::map<std::string, std::pair<Bucket, Bucket>> rates_;                    // key id: requests, tokens; read last
    std::map<std::tuple<std::string, std::string, std::string>, Use> pending_;  // key, day, model
    std::string day_;                                                           // of totals_
};

}  // namespace freehold::access
