// The Database over a Link: transactions with their repetitions, and what a lost connection means for each statement.
// One connection under a mutex, as with SQLite; replicas wait for each other at the lock of freehold_writer.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <random>
#include <thread>

#include "freehold/base/error.h"
#include "link.h"

namespace freehold::postgres {
namespace {

using State = Answer::State;

constexpr int kTries = 12;
// Every transaction begins so. LOCK TABLE takes no snapshot, so the transaction sees what the one before it left.
constexpr const char* kBegin = "BEGIN ISOLATION LEVEL SERIALIZABLE; LOCK TABLE freehold_writer IN EXCLUSIVE MODE";
// Two replicas that start at once would both make the table, and one would fail: they take turns ("frhd"). Statements
// sent together are one transaction, so the lock must last to its end: given back before, the next one comes while the
// table is not yet there for it.
constexpr const char* kPrepare =
    "SELECT pg_advisory_xact_lock(1718773860); CREATE TABLE IF NOT EXISTS freehold_writer (n BIGINT)";

// Thrown through `work` when its transaction is undone and shall be done again.
class Again : public Error {
 public:
    Again() : Error(ErrorKind::busy, "The transaction is done again.") {}
};

// Longer each time, and never the same for two who got into each other's way.
void wait_before(int attempt) {
    static thread_local std::minstd_rand random(std::random_device{}());
    const int most = std::min(250, 4 << std::min(attempt, 6));
    std::this_thread::sleep_for(std::chrono::milliseconds(std::uniform_int_distribution<int>(1, most)(random)));
}

class Postgres final : public Database {
 public:
    using Database::query;
    using Database::run;
    Postgres(std::unique_ptr<Link> link, std::string name) : name_(std::move(name)), link_(std::move(link)) {
        const Answer answer = link_->ask({kPrepare, {}, 0, true});
        if (answer.state != State::done) fail(answer);
    }

    std::vector<Row> query(std::string_view sql, std::span<const Cell> values) override {
        const std::lock_guard hold(mutex_);
        return rows_of(alone(sql, values));
    }
    std::int64_t run(std::string_view sql, std::span<const Cell> values) override {
        const std::lock_guard hold(mutex_);
        return alone(sql, values).changed;
    }

    void transaction(const std::function<void(Statements&)>& work) override {
        const std::lock_guard hold(mutex_);
        for (int attempt = 0; attempt < kTries; ++attempt) {
            if (attempt > 0) wait_before(attempt);
            if (attempted(work)) return;
        }
        throw Error(ErrorKind::busy, fmt::format("{} is held by other processes.", name_),
                    "Try again in a moment; `SELECT * FROM pg_locks` on the server shows who holds it.");
    }

    void backup_to(const std::filesystem::path&) override {
        throw Error(ErrorKind::unsupported, fmt::format("{} is not copied by this program.", name_),
                    "PostgreSQL's own pg_dump makes a consistent copy while others work.");
    }

    std::vector<std::string> check() override {
        std::vector<std::string> faults;
        for (const Row& row : query("SELECT c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
                                    "JOIN pg_namespace n ON n.oid = c.relnamespace "
                                    "WHERE n.nspname = current_schema() AND NOT (i.indisvalid AND i.indisready)"))
            faults.push_back(fmt::format("{}: the index {} is not valid.", name_, row.text(0)));
        for (const Row& row : tables()) {
            try {
                // As text, so that values that are kept apart are read too.
                query(fmt::format("SELECT CAST(coalesce(sum(length(CAST(t AS TEXT))), 0) AS BIGINT) FROM {} t",
                                  row.text(0)));
            } catch (const Error& fault) {
                if (fault.kind() != ErrorKind::bad_file && fault.kind() != ErrorKind::internal) throw;
                faults.push_back(fault.message());
            }
        }
        return faults;
    }

    void scrub() override {
        // Removed rows stay in the pages until these are cleaned.
        for (const Row& row : tables()) run(fmt::format("VACUUM {}", row.text(0)));
    }

    [[nodiscard]] const std::string& name() const noexcept override { return name_; }

 private:
    class Inside final : public Statements {
     public:
        Inside(Postgres& owner, std::uint64_t session) : owner_(owner), session_(session) {}
        std::vector<Row> query(std::string_view sql, std::span<const Cell> values) override {
            return owner_.rows_of(asked(sql, values));
        }
        std::int64_t run(std::string_view sql, std::span<const Cell> values) override {
            return asked(sql, values).changed;
        }

     private:
        Answer asked(std::string_view sql, std::span<const Cell> values) {
            Answer answer = owner_.link_->ask({sql, values, session_, false});
            if (answer.state == State::done) return answer;
            // A connection that is gone takes its transaction with it: nothing of it happened.
            if (answer.state != State::failed) throw Again();
            owner_.fail(answer);
        }
        Postgres& owner_;
        std::uint64_t session_;
    };

    // The tables of this program, quoted where need be.
    std::vector<Row> tables() {
        return query(
            "SELECT quote_ident(tablename::text) FROM pg_tables WHERE schemaname = current_schema() ORDER BY "
            "tablename");
    }

    [[noreturn]] void fail(const Answer& answer) const {
        switch (answer.state) {
            case State::away:
                throw DatabaseAway(fmt::format("The database {} cannot be reached: {}", name_, answer.message),
                                   answer.hint.empty() ? "Nothing was changed. Try again in a moment." : answer.hint);
            case State::lost:
                throw DatabaseAway(
                    fmt::format("The connection to {} broke; whether the change was kept is not known.", name_),
                    "Look before it is done again.");
            case State::repeat:
                throw Error(ErrorKind::busy, fmt::format("{} is held by other processes.", name_),
                            "Try again in a moment.");
            default:
                throw Error(answer.kind, fmt::format("{}: {}", name_, answer.message), answer.hint);
        }
    }

    // A statement that is a transaction of its own.
    Answer alone(std::string_view sql, std::span<const Cell> values) {
        const bool reads = sql.starts_with("SELECT");
        for (int attempt = 0;; ++attempt) {
            Answer answer = link_->ask({sql, values, 0, false});
            if (answer.state == State::done) return answer;
            const bool harmless =
                answer.state == State::repeat || (answer.state == State::lost && reads && attempt < 2);
            if (!harmless || attempt == kTries) fail(answer);
            wait_before(attempt);
        }
    }

    // False: undone, and to be done again.
    bool attempted(const std::function<void(Statements&)>& work) {
        const Answer begun = link_->ask({kBegin, {}, 0, true});
        if (begun.state == State::away) fail(begun);
        if (begun.state == State::lost) return false;
        if (begun.state != State::done) {
            undo(begun.session);
            if (begun.state == State::failed) fail(begun);
            return false;
        }
        Inside inside(*this, begun.session);
        try {
            work(inside);
        } catch (const Again&) {
            undo(begun.session);
            return false;
        } catch (...) {
            undo(begun.session);
            throw;
        }
        const Answer end = link_->ask({"COMMIT", {}, begun.session, false});
        if (end.state == State::done) {
            // The server's word for a transaction in which a statement had failed.
            if (end.tag == "ROLLBACK")
                throw Error(ErrorKind::internal, fmt::format("{}: a transaction went on after a fault.", name_));
            return true;
        }
        if (end.state == State::repeat || end.state == State::away) return false;
        undo(begun.session);
        fail(end);
    }

    void undo(std::uint64_t session) {
        if (session != 0) static_cast<void>(link_->ask({"ROLLBACK", {}, session, false}));
    }

    std::vector<Row> rows_of(Answer&& answer) const {
        std::vector<Row> rows;
        rows.reserve(answer.rows.size());
        for (auto& cells : answer.rows) rows.emplace_back(std::move(cells), name_);
        return rows;
    }

    std::string name_;
    std::mutex mutex_;
    std::unique_ptr<Link> link_;
};

}  // namespace

std::unique_ptr<Database> make_database(std::unique_ptr<Link> link, std::string name) {
    return std::make_unique<Postgres>(std::move(link), std::move(name));
}

}  // namespace freehold::postgres

namespace freehold {

std::unique_ptr<Database> open_postgres(const PostgresOptions& options) {
    std::string name = postgres_name(options.address);
    return postgres::make_database(postgres::make_pq_link(options), std::move(name));
}

}  // namespace freehold
