// Buckets and quotas. Whoever is over a bound is told how long to wait, in whole seconds.
// Time is the wall clock, since quotas follow the calendar; a clock set back stops a bucket from filling, no more.
#include "freehold/access/limits.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "crypto.h"
#include "freehold/base/log.h"
#include "schema.h"

namespace freehold::access {
namespace {

constexpr double kMinute = 60'000;
constexpr std::int64_t kDay = 86'400'000;
constexpr std::int64_t kForgetAfter = 3'600'000;

std::string day_of(std::int64_t ms) {
    return time_text(ms).substr(0, 10);
}

std::int64_t seconds_up(double ms) {
    return std::max<std::int64_t>(1, static_cast<std::int64_t>(std::ceil(ms / 1000)));
}

// Seconds until the next day or the next month begins.
std::int64_t until_next(std::int64_t now, bool month) {
    std::int64_t at = now / kDay * kDay + kDay;
    if (month) {
        while (time_text(at).substr(8, 2) != "01") at += kDay;
    }
    return seconds_up(static_cast<double>(at - now));
}

// Time until a bucket of `capacity` a minute holds `need`.
std::int64_t wait_for(double level, double need, double capacity) {
    return seconds_up((need - level) * kMinute / capacity);
}

}  // namespace

void Limiter::Bucket::fill(std::int64_t now, double capacity) noexcept {
    if (at < 0) {
        level = capacity;
    } else if (now > at) {
        level = std::min(capacity, level + static_cast<double>(now - at) * capacity / kMinute);
    }
    at = now;
}

Limiter::Limiter(Database& database, Clock clock) : database_(database), clock_(std::move(clock)) {
    migrate_access(database_);
    writer_ = crypto::random_text(16);
    read_totals();
    read_rates();
}

Limiter::~Limiter() {
    try {
        flush();
    } catch (const std::exception& fault) {
        log_error(fmt::format("The last counts of tokens could not be written: {}", fault.what()));
    }
}

Limiter::State& Limiter::state_of(const Principal& who, std::int64_t now) {
    State& state = states_[who.key_id];
    const bool fresh = state.seen == 0;
    if (fresh) {
        if (const auto known = totals_.find(who.key_id); known != totals_.end())
            std::tie(state.day_used, state.month_used) = known->second;
    }
    state.seen = now;
    state.limits = who.limits;
    if (state.limits.requests_per_minute > 0)
        state.requests.fill(now, static_cast<double>(state.limits.requests_per_minute));
    if (state.limits.tokens_per_minute > 0) state.tokens.fill(now, static_cast<double>(state.limits.tokens_per_minute));
    if (fresh) take_rates(who.key_id, state, now);
    return state;
}

void Limiter::check_quota(const State& state, const Principal& who, std::int64_t tokens, std::int64_t now) const {
    const std::int64_t open = state.unwritten + state.reserved + tokens;
    const auto over = [&](std::int64_t used, std::int64_t quota, const char* span, bool month) {
        if (quota <= 0) return;
        if (tokens > quota) {
            throw Error(ErrorKind::limit,
                        fmt::format("This request may take {} tokens; the key \"{}\" has {} a {}.", tokens, who.name,
                                    quota, span),
                        "Send a shorter prompt, ask for fewer tokens, or ask for a larger quota.");
        }
        // Without a size given the question is whether anything is left.
        if (tokens > 0 ? used + open <= quota : used + open < quota) return;
        throw Refusal(
            Why::too_much,
            fmt::format("The key \"{}\" has used or set aside its {} tokens of this {}.", who.name, quota, span),
            fmt::format("The next {} begins at midnight UTC; whoever runs this server can raise the quota.", span),
            until_next(now, month));
    };
    over(state.month_used, state.limits.tokens_per_month, "month", true);
    over(state.day_used, state.limits.tokens_per_day, "day", false);
}

void Limiter::admit(const Principal& who) {
    if (who.how == Principal::How::open) return;
    const std::int64_t now = clock_();
    const std::lock_guard hold(mutex_);
    State& state = state_of(who, now);
    check_quota(state, who, 0, now);
    if (const auto rate = static_cast<double>(state.limits.tokens_per_minute); rate > 0 && state.tokens.level <= 0) {
        throw Refusal(
            Why::too_much,
            fmt::format("The key \"{}\" is over its {} tokens a minute.", who.name, state.limits.tokens_per_minute),
            "Wait, then send it again.", wait_for(state.tokens.level, 1, rate));
    }
    if (const auto rate = static_cast<double>(state.limits.requests_per_minute); rate > 0) {
        if (state.requests.level < 1) {
            throw Refusal(Why::too_much,
                          fmt::format("The key \"{}\" is over its {} requests a minute.", who.name,
                                      state.limits.requests_per_minute),
                          "Wait, then send it again.", wait_for(state.requests.level, 1, rate));
        }
        state.requests.level -= 1;
        state.spent_requests += 1;
        state.spent_at = now;
    }
}

Limiter::Reservation Limiter::reserve(const Principal& who, std::string_view model, std::int64_t tokens) {
    if (!who.may_use(model)) {
        throw Refusal(Why::may_not, fmt::format("The key \"{}\" may not use the model {}.", who.name, model),
                      "`GET /v1/models` lists those that it may use.");
    }
    tokens = std::max<std::int64_t>(tokens, 0);
    Reservation reserved;
    reserved.limiter_ = this;
    reserved.key_id_ = who.key_id;
    reserved.tenant_ = who.tenant;
    reserved.model_ = std::string(model);
    if (who.how == Principal::How::open) return reserved;
    const std::int64_t now = clock_();
    const std::lock_guard hold(mutex_);
    State& state = state_of(who, now);
    try {
        check_quota(state, who, tokens, now);
        if (const auto rate = static_cast<double>(state.limits.tokens_per_minute); rate > 0) {
            if (tokens > state.limits.tokens_per_minute) {
                throw Error(ErrorKind::limit,
                            fmt::format("This request may take {} tokens; the key \"{}\" has {} a minute.", tokens,
                                        who.name, state.limits.tokens_per_minute),
                            "Send a shorter prompt, ask for fewer tokens, or ask for a higher rate.");
            }
            if (state.tokens.level < static_cast<double>(tokens)) {
                throw Refusal(Why::too_much,
                              fmt::format("The key \"{}\" is over its {} tokens a minute.", who.name,
                                          state.limits.tokens_per_minute),
                              "Wait, then send it again.",
                              wait_for(state.tokens.level, static_cast<double>(tokens), rate));
            }
            state.tokens.level -= static_cast<double>(tokens);
        }
    } catch (...) {
        reserved.limiter_ = nullptr;
        throw;
    }
    state.reserved += tokens;
    reserved.tokens_ = tokens;
    return reserved;
}

void Limiter::Reservation::swap(Reservation& other) noexcept {
    std::swap(limiter_, other.limiter_);
    std::swap(key_id_, other.key_id_);
    std::swap(tenant_, other.tenant_);
    std::swap(model_, other.model_);
    std::swap(tokens_, other.tokens_);
}

void Limiter::Reservation::release() noexcept {
    if (limiter_ == nullptr) return;
    const std::lock_guard hold(limiter_->mutex_);
    give_back();
    limiter_ = nullptr;
}

void Limiter::Reservation::give_back() noexcept {
    const auto found = limiter_->states_.find(key_id_);
    if (found == limiter_->states_.end()) return;
    found->second.reserved -= tokens_;
    found->second.tokens.level += static_cast<double>(tokens_);
}

void Limiter::Reservation::settle(std::int64_t prompt_tokens, std::int64_t completion_tokens) {
    if (limiter_ == nullptr) return;
    // What was set aside becomes what was used in one step, so that nobody comes in between.
    const std::lock_guard hold(limiter_->mutex_);
    give_back();
    limiter_->count(key_id_, tenant_, model_, prompt_tokens, completion_tokens);
    limiter_ = nullptr;
}

std::int64_t Limiter::Reservation::extend(std::int64_t tokens) {
    if (limiter_ == nullptr || tokens <= 0) return 0;
    const std::lock_guard hold(limiter_->mutex_);
    const auto found = limiter_->states_.find(key_id_);
    if (found == limiter_->states_.end()) return tokens;  // nobody's key: nothing bounds it
    State& state = found->second;
    const std::int64_t open = state.unwritten + state.reserved;
    const auto bound = [&](std::int64_t used, std::int64_t quota) {
        if (quota > 0) tokens = std::clamp<std::int64_t>(quota - used - open, 0, tokens);
    };
    bound(state.day_used, state.limits.tokens_per_day);
    bound(state.month_used, state.limits.tokens_per_month);
    state.reserved += tokens;
    state.tokens.level -= static_cast<double>(tokens);
    tokens_ += tokens;
    return tokens;
}

void Limiter::charge(const Principal& who, std::string_view model, std::int64_t prompt_tokens,
                     std::int64_t completion_tokens) {
    const std::int64_t now = clock_();
    const std::lock_guard hold(mutex_);
    if (who.how != Principal::How::open) state_of(who, now);
    count(who.key_id, who.tenant, std::string(model), prompt_tokens, completion_tokens);
}

void Limiter::count(const std::string& key_id, const std::string& tenant, const std::string& model, std::int64_t prompt,
                    std::int64_t completion) {
    prompt = std::max<std::int64_t>(prompt, 0);
    completion = std::max<std::int64_t>(completion, 0);
    const std::string day = day_of(clock_());
    Use& use = pending_[{key_id, day, model}];
    use.key_id = key_id;
    use.tenant = tenant;
    use.model = model;
    use.day = day;
    use.requests += 1;
    use.prompt_tokens += prompt;
    use.completion_tokens += completion;
    if (const auto found = states_.find(key_id); found != states_.end()) {
        found->second.unwritten += prompt + completion;
        found->second.tokens.level -= static_cast<double>(prompt + completion);
        if (found->second.limits.tokens_per_minute > 0) {
            found->second.spent_tokens += static_cast<double>(prompt + completion);
            found->second.spent_at = clock_();
        }
    }
}

void Limiter::read_totals() {
    const std::string today = day_of(clock_());
    std::map<std::string, std::pair<std::int64_t, std::int64_t>> totals;
    for (const Row& row : database_.query("SELECT key_id, CAST(sum(CASE WHEN day = $1 THEN prompt_tokens + "
                                          "completion_tokens ELSE 0 END) AS BIGINT), "
                                          "CAST(sum(prompt_tokens + completion_tokens) AS BIGINT) FROM access_use "
                                          "WHERE day >= $2 GROUP BY key_id",
                                          {today, today.substr(0, 8) + "01"}))
        totals[row.text(0)] = {row.integer(1), row.integer(2)};
    const std::lock_guard hold(mutex_);
    totals_ = std::move(totals);
    day_ = today;
    for (auto& [id, state] : states_) {
        const auto known = totals_.find(id);
        std::tie(state.day_used, state.month_used) =
            known == totals_.end() ? std::pair<std::int64_t, std::int64_t>{} : known->second;
    }
}

// Levels of the buckets that all share, less what was taken here and has not been written.
void Limiter::read_rates() {
    const std::int64_t now = clock_();
    const auto rows =
        database_.query("SELECT key_id, at, requests, tokens FROM access_rates WHERE at > $1", {now - kDay});
    const std::lock_guard hold(mutex_);
    rates_.clear();
    for (const Row& row : rows) rates_[row.text(0)] = {{row.real(2), row.integer(1)}, {row.real(3), row.integer(1)}};
    for (auto& [id, state] : states_) take_rates(id, state, now);
}

// Under the mutex.
void Limiter::take_rates(const std::string& key_id, State& state, std::int64_t now) {
    const auto known = rates_.find(key_id);
    if (known == rates_.end()) return;
    const auto take = [&](Bucket& bucket, Bucket shared, std::int64_t rate, double open) {
        if (rate <= 0) return;
        shared.fill(now, static_cast<double>(rate));
        bucket = shared;
        bucket.level -= open;
    };
    take(state.requests, known->second.first, state.limits.requests_per_minute, state.spent_requests);
    take(state.tokens, known->second.second, state.limits.tokens_per_minute,
         state.spent_tokens + static_cast<double>(state.reserved));
}

std::optional<Limiter::Batch> Limiter::next_batch() {
    const std::lock_guard hold(mutex_);
    Batch batch;
    batch.uses = pending_;
    for (const auto& [id, state] : states_) {
        if (state.spent_requests > 0 || state.spent_tokens > 0)
            batch.spent[id] = {state.spent_requests, state.spent_tokens, state.spent_at, state.limits};
    }
    if (batch.uses.empty() && batch.spent.empty()) return std::nullopt;
    batch.number = ++batches_;
    return batch;
}

void Limiter::write(const Batch& batch) {
    const std::int64_t now = clock_();
    database_.transaction([&](Statements& db) {
        // It arrived before, but the answer was lost: not a second time.
        const auto last = db.first("SELECT batch FROM access_writers WHERE id = $1", {writer_});
        if (last && last->integer(0) >= batch.number) return;
        for (const auto& [where, use] : batch.uses) {
            db.run(
                "INSERT INTO access_use (key_id, day, model, tenant, requests, prompt_tokens, "
                "completion_tokens) VALUES ($1, $2, $3, $4, $5, $6, $7) "
                "ON CONFLICT (key_id, day, model) DO UPDATE SET "
                "requests = access_use.requests + excluded.requests, "
                "prompt_tokens = access_use.prompt_tokens + excluded.prompt_tokens, "
                "completion_tokens = access_use.completion_tokens + excluded.completion_tokens",
                {use.key_id, use.day, use.model, use.tenant, use.requests, use.prompt_tokens, use.completion_tokens});
        }
        for (const auto& [id, spent] : batch.spent) {
            Bucket requests, tokens;
            std::int64_t at = spent.at;  // what was spent then, not when it is written
            if (const auto row = db.first("SELECT at, requests, tokens FROM access_rates WHERE key_id = $1", {id})) {
                requests = {row->real(1), row->integer(0)};
                tokens = {row->real(2), row->integer(0)};
                // Clocks that differ must not fill a bucket twice for the same time.
                at = std::max(at, row->integer(0));
            }
            requests.fill(at, static_cast<double>(spent.limits.requests_per_minute));
            tokens.fill(at, static_cast<double>(spent.limits.tokens_per_minute));
            db.run(
                "INSERT INTO access_rates (key_id, at, requests, tokens) VALUES ($1, $2, $3, $4) ON CONFLICT (key_id) "
                "DO UPDATE SET at = excluded.at, requests = excluded.requests, tokens = excluded.tokens",
                {id, requests.at, requests.level - spent.requests, tokens.level - spent.tokens});
        }
        if (!last) {
            db.run("DELETE FROM access_writers WHERE seen < $1", {now - kDay});
            db.run("DELETE FROM access_rates WHERE at < $1", {now - kDay});
        }
        db.run(
            "INSERT INTO access_writers (id, batch, seen) VALUES ($1, $2, $3) "
            "ON CONFLICT (id) DO UPDATE SET batch = excluded.batch, seen = excluded.seen",
            {writer_, batch.number, now});
    });
}

// Only what was written is taken off: more may have come meanwhile.
void Limiter::settle_written(const Batch& batch) {
    const std::lock_guard hold(mutex_);
    for (const auto& [where, use] : batch.uses) {
        Use& left = pending_.at(where);
        left.requests -= use.requests;
        left.prompt_tokens -= use.prompt_tokens;
        left.completion_tokens -= use.completion_tokens;
        const std::int64_t tokens = use.prompt_tokens + use.completion_tokens;
        if (const auto found = states_.find(use.key_id); found != states_.end()) {
            // Until the totals are read again the written tokens count here, so that no moment forgets them.
            found->second.unwritten -= tokens;
            if (use.day == day_) found->second.day_used += tokens;
            found->second.month_used += tokens;
        }
        if (left.requests == 0) pending_.erase(where);
    }
    for (const auto& [id, spent] : batch.spent) {
        if (const auto found = states_.find(id); found != states_.end()) {
            found->second.spent_requests -= spent.requests;
            found->second.spent_tokens -= spent.tokens;
        }
    }
}

void Limiter::flush() {
    const std::lock_guard one(flushing_);
    // One that may have arrived goes first, as it was; then what has come since.
    for (int i = 0; i < 2 && (sending_ || (sending_ = next_batch())); ++i) {
        write(*sending_);
        settle_written(*sending_);
        sending_.reset();
    }
    const std::int64_t now = clock_();
    read_totals();
    read_rates();
    const std::lock_guard hold(mutex_);
    std::erase_if(states_, [&](const auto& entry) {
        const State& state = entry.second;
        return state.reserved == 0 && state.unwritten == 0 && state.spent_requests == 0 && state.spent_tokens == 0 &&
               now - state.seen > kForgetAfter;
    });
}

std::vector<Use> Limiter::use(std::string_view from, std::string_view to, std::string_view tenant) {
    flush();
    std::vector<Use> list;
    for (const Row& row : database_.query(
             "SELECT key_id, tenant, model, day, requests, prompt_tokens, completion_tokens FROM access_use "
             "WHERE day >= $1 AND day <= $2 AND ($3 = '' OR tenant = $3) ORDER BY day, key_id, model LIMIT 100000",
             {from, to, tenant})) {
        list.push_back(
            {row.text(0), row.text(1), row.text(2), row.text(3), row.integer(4), row.integer(5), row.integer(6)});
    }
    return list;
}

std::int64_t Limiter::purge(std::string_view day) {
    const std::string month = day_of(clock_()).substr(0, 8) + "01";
    const std::string_view before = std::min<std::string_view>(day, month);
    return database_.run("DELETE FROM access_use WHERE day < $1", {before});
}

}  // namespace freehold::access
