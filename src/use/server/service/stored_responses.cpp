// Responses in the installation's database: they survive a restart, and a replica reads what another wrote.
// A response that cannot be written now (the database is away, the disk is full) is kept in memory and written when it
// can be.
#include "freehold/server/stored_responses.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <random>

#include "freehold/base/log.h"

namespace freehold::server {
namespace {

// A replica that says nothing for so long has ended, and what it wrote in the background with it.
constexpr std::int64_t kSilence = 60'000;
constexpr std::int64_t kSignOfLife = 10'000;

std::int64_t now_ms() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
}

void migrate_responses(Database& database) {
    // NOLINTBEGIN(bugprone-suspicious-missing-comma): a statement is several literals.
    static const std::vector<Migration> steps = {
        {1,
         {"CREATE TABLE responses (tenant TEXT NOT NULL, id TEXT NOT NULL, created BIGINT NOT NULL, bytes BIGINT NOT "
          "NULL, running BIGINT NOT NULL, writer TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (tenant, id))",
          "CREATE INDEX responses_age ON responses (tenant, created)",
          "CREATE TABLE response_writers (id TEXT PRIMARY KEY, seen BIGINT NOT NULL)"}},
    };
    // NOLINTEND(bugprone-suspicious-missing-comma)
    migrate(database, "responses", steps);
}

std::string body_of(const StoredResponse& kept) {
    ValueMap map;
    map.set("response", kept.response);
    map.set("input", Value(kept.input));
    map.set("messages", Value(kept.messages));
    return to_json(Value(std::move(map)));
}

StoredResponse parse_body(const std::string& body, const std::string& id) {
    const Value value = parse_json(body, "the stored response " + id);
    const auto* map = value.get<ValueMap>();
    const auto list = [&](const char* name) {
        const Value* found = map == nullptr ? nullptr : map->find(name);
        const auto* items = found == nullptr ? nullptr : found->get<ValueList>();
        if (items == nullptr)
            throw Error(ErrorKind::bad_file, fmt::format("The stored response {} is not as it was written.", id));
        return *items;
    };
    StoredResponse kept;
    kept.input = list("input");
    kept.messages = list("messages");
    if (const Value* response = map->find("response")) kept.response = *response;
    return kept;
}

// What is left of an answer in the background whose server is gone.
void mark_failed(StoredResponse& kept) {
    const auto* found = kept.response.get<ValueMap>();
    ValueMap object = found == nullptr ? ValueMap{} : *found;
    object.set("status", Value("failed"));
    object.set("error", Value(ValueMap{{"code", Value("server_error")},
                                       {"message", Value("The server that wrote this answer ended before it.")}}));
    kept.response = Value(std::move(object));
    kept.running = false;
}

class DatabaseStore final : public StoredResponses {
 public:
    DatabaseStore(Database& database, const ResponseStoreLimits& limits) : database_(database), limits_(limits) {
        migrate_responses(database_);
        std::random_device device;
        writer_ = fmt::format("{:08x}{:08x}", device(), device());
        show_life();
    }

    void put(const std::string& tenant, const std::string& id, StoredResponse response) override {
        Waiting one{tenant, id, body_of(response), now_ms(), response.running};
        {
            const std::lock_guard hold(mutex_);
            if (waiting_.empty()) waiting_bytes_ = 0;
            waiting_bytes_ += one.body.size();
            waiting_.push_back(std::move(one));
        }
        write_waiting();
        const std::lock_guard hold(mutex_);
        while (waiting_bytes_ > limits_.bytes && !waiting_.empty()) {
            log_error("The database is away for too long: the oldest response that waits for it is given up.");
            waiting_bytes_ -= waiting_.front().body.size();
            waiting_.pop_front();
        }
    }

    std::optional<StoredResponse> get(const std::string& tenant, const std::string& id) override {
        {
            const std::lock_guard hold(mutex_);
            for (auto it = waiting_.rbegin(); it != waiting_.rend(); ++it) {
                if (it->tenant != tenant || it->id != id) continue;
                StoredResponse kept = parse_body(it->body, id);
                kept.running = it->running;
                return kept;
            }
        }
        const auto row = database_.first(
            "SELECT r.body, r.running, r.writer, w.seen FROM responses r LEFT JOIN response_writers w ON w.id = "
            "r.writer WHERE r.tenant = $1 AND r.id = $2",
            {tenant, id});
        if (!row) return std::nullopt;
        StoredResponse kept = parse_body(row->text(0), id);
        kept.running = row->integer(1) != 0;
        if (kept.running && row->text(2) != writer_ && now_ms() - row->maybe_integer(3).value_or(0) > kSilence)
            mark_failed(kept);
        return kept;
    }

    bool erase(const std::string& tenant, const std::string& id) override {
        write_waiting();
        return database_.run("DELETE FROM responses WHERE tenant = $1 AND id = $2", {tenant, id}) > 0;
    }

    void refresh() override {
        write_waiting();
        if (const std::int64_t now = now_ms(); now - shown_ > kSignOfLife) show_life();
    }

    void purge(std::int64_t before) override {
        const std::int64_t removed = database_.run("DELETE FROM responses WHERE created < $1", {before});
        database_.run("DELETE FROM response_writers WHERE seen < $1", {std::min(before, now_ms() - 10 * kSilence)});
        if (removed > 0) database_.scrub();
    }

 private:
    struct Waiting {
        std::string tenant, id, body;
        std::int64_t created = 0;
        bool running = false;
    };

    void show_life() {
        shown_ = now_ms();
        database_.run(
            "INSERT INTO response_writers (id, seen) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET seen = "
            "excluded.seen",
            {writer_, shown_.load()});
    }

    // In their order, one thread at a time; each stays in sight of get() until it is in the database. Writing one
    // twice changes nothing, so an answer that got lost does no harm.
    void write_waiting() {
        {
            std::unique_lock hold(mutex_);
            // Whoever is at it for so long waits for the database, and will write this too.
            if (!turn_.wait_for(hold, std::chrono::seconds(2), [this] { return !writing_; })) return;
            writing_ = true;
        }
        struct Leave {
            DatabaseStore& store;
            ~Leave() {
                {
                    const std::lock_guard hold(store.mutex_);
                    store.writing_ = false;
                }
                store.turn_.notify_one();
            }
        } const leave{*this};
        while (true) {
            Waiting next;
            {
                const std::lock_guard hold(mutex_);
                if (waiting_.empty()) return;
                next = waiting_.front();
            }
            try {
                write(next);
            } catch (const DatabaseAway& away) {
                log_warn(fmt::format("A response waits to be stored. {}", away.message()));
                return;
            } catch (const Error& busy) {
                if (busy.kind() == ErrorKind::busy) return;
                if (busy.kind() == ErrorKind::io) {  // a full disk: there may be room again
                    log_warn(fmt::format("A response waits to be stored. {}", busy.message()));
                    return;
                }
                // It can never be written: the others must not wait for it.
                drop(next);
                throw;
            }
            drop(next);
        }
    }

    void drop(const Waiting& written) {
        const std::lock_guard hold(mutex_);
        // Given up meanwhile, or still the first.
        if (waiting_.empty() || waiting_.front().id != written.id || waiting_.front().body != written.body) return;
        waiting_bytes_ -= std::min(waiting_bytes_, written.body.size());
        waiting_.pop_front();
    }

    void write(const Waiting& one) {
        database_.transaction([&](Statements& db) {
            db.run(
                "INSERT INTO responses (tenant, id, created, bytes, running, writer, body) VALUES ($1, $2, $3, $4, "
                "$5, $6, $7) ON CONFLICT (tenant, id) DO UPDATE SET bytes = excluded.bytes, running = "
                "excluded.running, writer = excluded.writer, body = excluded.body",
                {one.tenant, one.id, one.created, one.body.size(), one.running, writer_, one.body});
            const auto sums =
                db.first("SELECT count(*), CAST(coalesce(sum(bytes), 0) AS BIGINT) FROM responses WHERE tenant = $1",
                         {one.tenant});
            std::int64_t count = sums->integer(0), bytes = sums->integer(1);
            const auto over = [&] {
                return count > static_cast<std::int64_t>(limits_.responses) ||
                       bytes > static_cast<std::int64_t>(limits_.bytes);
            };
            if (!over()) return;
            // The oldest go, never the one that has just come.
            for (const Row& row : db.query(
                     "SELECT id, bytes FROM responses WHERE tenant = $1 AND id <> $2 ORDER BY created, id LIMIT 100",
                     {one.tenant, one.id})) {
                if (!over()) break;
                db.run("DELETE FROM responses WHERE tenant = $1 AND id = $2", {one.tenant, row.text(0)});
                count -= 1;
                bytes -= row.integer(1);
            }
        });
    }

    Database& database_;
    const ResponseStoreLimits limits_;
    std::string writer_;
    std::atomic<std::int64_t> shown_ = 0;
    std::mutex mutex_;  // of what follows
    std::condition_variable turn_;
    bool writing_ = false;  // one thread at a time
    std::deque<Waiting> waiting_;
    std::size_t waiting_bytes_ = 0;
};

}  // namespace

std::shared_ptr<StoredResponses> make_stored_responses(Database& database, const ResponseStoreLimits& limits) {
    return std::make_shared<DatabaseStore>(database, limits);
}

}  // namespace freehold::server
