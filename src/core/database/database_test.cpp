// The database: values there and back, transactions, two connections, migrations, files that are not ours, kill -9.
// The child processes of the kill test write rows in pairs, and no pair may be found broken.
#include "freehold/database/database.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "support/state_database.h"

namespace freehold {
namespace {

using testing::error_of;
using testing::on_postgres;
using testing::Scratch;
using testing::StateDatabase;

const std::vector<Migration> kSteps = {
    {1, {"CREATE TABLE things (id TEXT PRIMARY KEY, n BIGINT, r DOUBLE PRECISION, b BYTEA)"}},
    {2, {"ALTER TABLE things ADD COLUMN note TEXT", "CREATE INDEX things_n ON things (n)"}},
};

TEST(Database, ValuesComeBackAsTheyWere) {
    const Scratch scratch;
    const StateDatabase state(scratch);
    const auto db = state.open();
    EXPECT_EQ(migrate(*db, "test", kSteps), 0);
    EXPECT_EQ(migrate(*db, "test", kSteps), 2);
    std::string odd("a\0b'; DROP TABLE things; --\xc3\xa9", 29);
    if (on_postgres()) odd[1] = '\x01';  // it keeps no zero in a text, and says so
    const Blob bytes{std::byte{0}, std::byte{255}};
    EXPECT_EQ(db->run("INSERT INTO things (b, r, n, id) VALUES ($4, $3, $2, $1)", {odd, INT64_MIN, 0.1, bytes}), 1);
    EXPECT_EQ(db->run("INSERT INTO things (id, b) VALUES ($1, $2)", {"empty", Blob{}}), 1);
    const auto row = db->first("SELECT id, n, r, b, note FROM things WHERE id = $1", {odd});
    ASSERT_TRUE(row);
    EXPECT_EQ(row->text(0), odd);
    EXPECT_EQ(row->integer(1), INT64_MIN);
    EXPECT_EQ(row->real(2), 0.1);
    EXPECT_EQ(row->blob(3), bytes);
    EXPECT_TRUE(row->is_null(4));
    EXPECT_EQ(row->maybe_text(4), std::nullopt);
    EXPECT_EQ(error_of([&] { static_cast<void>(row->integer(0)); }).kind(), ErrorKind::bad_file);
    EXPECT_EQ(error_of([&] { static_cast<void>(row->integer(9)); }).kind(), ErrorKind::internal);
    const auto empty = db->first("SELECT b FROM things WHERE id = 'empty'");
    EXPECT_FALSE(empty->is_null(0));
    EXPECT_TRUE(empty->blob(0).empty());
}

TEST(Database, FaultsHaveTheirKinds) {
    const Scratch scratch;
    const StateDatabase state(scratch);
    const auto db = state.open();
    migrate(*db, "test", kSteps);
    db->run("INSERT INTO things (id) VALUES ('a')");
    EXPECT_EQ(error_of([&] { db->run("INSERT INTO things (id) VALUES ('a')"); }).kind(), ErrorKind::conflict);
    EXPECT_EQ(error_of([&] { db->run("SELEC 1"); }).kind(), ErrorKind::internal);
    EXPECT_EQ(error_of([&] { db->query("SELECT $1", {}); }).kind(), ErrorKind::internal);
    EXPECT_EQ(error_of([&] { db->query("SELECT 1; SELECT 2"); }).kind(), ErrorKind::internal);
    // A text in double quotes is no text: a misspelt column must not pass for one.
    EXPECT_EQ(error_of([&] { db->query("SELECT \"nothing\""); }).kind(), ErrorKind::internal);
}

TEST(Database, TransactionsAreWholeOrNotThere) {
    const Scratch scratch;
    const StateDatabase state(scratch);
    const auto db = state.open();
    migrate(*db, "test", kSteps);
    EXPECT_THROW(db->transaction([](Statements& in) {
        in.run("INSERT INTO things (id) VALUES ('a')");
        throw Error(ErrorKind::cancelled, "stop");
    }),
                 Error);
    EXPECT_EQ(db->first("SELECT count(*) FROM things")->integer(0), 0);
    db->transaction([](Statements& in) {
        in.run("INSERT INTO things (id) VALUES ('a')");
        EXPECT_EQ(in.first("SELECT count(*) FROM things")->integer(0), 1);
    });
    EXPECT_EQ(db->first("SELECT count(*) FROM things")->integer(0), 1);
}

TEST(Database, ThreadsAndConnectionsCountTogether) {
    const Scratch scratch;
    const StateDatabase state(scratch);
    const auto first = state.open();
    const auto second = state.open();
    migrate(*first, "test", kSteps);
    first->run("INSERT INTO things (id, n) VALUES ('a', 0)");
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            Database& db = t % 2 == 0 ? *first : *second;
            for (int i = 0; i < 20; ++i) {
                db.transaction([](Statements& in) {
                    const auto n = in.first("SELECT n FROM things WHERE id = 'a'")->integer(0);
                    in.run("UPDATE things SET n = $1 WHERE id = 'a'", {n + 1});
                });
            }
        });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(first->first("SELECT n FROM things")->integer(0), 80);
}

TEST(Database, AHeldDatabaseIsBusyNotWaitedForForEver) {
    const Scratch scratch;
    const StateDatabase state(scratch);
    const auto first = state.open();
    const auto second = state.open(50);
    migrate(*first, "test", kSteps);
    first->transaction([&](Statements& in) {
        in.run("INSERT INTO things (id) VALUES ('a')");
        EXPECT_EQ(error_of([&] {
                      second->transaction([](Statements& other) { other.run("INSERT INTO things (id) VALUES ('b')"); });
                  }).kind(),
                  ErrorKind::busy);
        // Readers go on meanwhile, and see what is committed.
        EXPECT_EQ(second->first("SELECT count(*) FROM things")->integer(0), 0);
    });
}

TEST(Sqlite, TheFileIsPrivateAndOurs) {
    const Scratch scratch;
    testing::write_file(scratch / "text.db", std::string(5000, 'x'));
    EXPECT_EQ(error_of([&] { static_cast<void>(open_sqlite(scratch / "text.db")); }).kind(), ErrorKind::bad_file);
    static_cast<void>(open_sqlite(scratch / "state.db"));
    struct stat info {};
    ASSERT_EQ(::stat((scratch / "state.db").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600U);
    ASSERT_EQ(::chmod((scratch / "state.db").c_str(), 0644), 0);
    const auto db = open_sqlite(scratch / "state.db");
    migrate(*db, "test", kSteps);
    ASSERT_EQ(::stat((scratch / "state.db").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600U);
    ASSERT_EQ(::stat((scratch / "state.db-wal").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600U);
    EXPECT_EQ(error_of([&] { static_cast<void>(open_sqlite(scratch / "no" / "state.db")); }).kind(),
              ErrorKind::not_found);
    SqliteOptions reading;
    reading.read_only = true;
    EXPECT_EQ(error_of([&] { static_cast<void>(open_sqlite(scratch / "none.db", reading)); }).kind(),
              ErrorKind::not_found);
    const auto reader = open_sqlite(scratch / "state.db", reading);
    EXPECT_EQ(error_of([&] { reader->run("DELETE FROM things"); }).kind(), ErrorKind::io);
}

TEST(Database, ANewerSchemaIsRefused) {
    const Scratch scratch;
    const StateDatabase state(scratch);
    const auto db = state.open();
    migrate(*db, "test", kSteps);
    const auto old = std::span(kSteps).first(1);
    const Error error = error_of([&] { migrate(*db, "test", old); });
    EXPECT_EQ(error.kind(), ErrorKind::unsupported);
    EXPECT_NE(error.message().find("newer Freehold"), std::string::npos);
    // A step that fails leaves nothing of itself.
    std::vector<Migration> broken = kSteps;
    broken.push_back({3, {"CREATE TABLE more (id TEXT)", "NO SQL"}});
    EXPECT_THROW(migrate(*db, "test", broken), Error);
    EXPECT_THROW(db->query("SELECT * FROM more"), Error);
    EXPECT_EQ(migrate(*db, "test", kSteps), 2);
}

TEST(Sqlite, BackupIsConsistentAndDamageIsSeen) {
    const Scratch scratch;
    const auto db = open_sqlite(scratch / "state.db");
    migrate(*db, "test", kSteps);
    for (int i = 0; i < 500; ++i) db->run("INSERT INTO things (id, n) VALUES ($1, $2)", {std::to_string(i), i});
    db->backup_to(scratch / "copy.db");
    const auto copy = open_sqlite(scratch / "copy.db");
    EXPECT_EQ(copy->first("SELECT count(*) FROM things")->integer(0), 500);
    EXPECT_TRUE(copy->check().empty());
    std::string bytes = testing::read_file(scratch / "copy.db");
    for (std::size_t at = 4096; at + 4096 <= bytes.size(); at += 4096) bytes.replace(at, 64, 64, '\x55');
    testing::write_file(scratch / "broken.db", bytes);
    const auto broken = open_sqlite(scratch / "broken.db");
    bool seen = false;
    try {
        seen = !broken->check().empty();
    } catch (const Error& e) {
        seen = e.kind() == ErrorKind::bad_file;
    }
    EXPECT_TRUE(seen);
}

TEST(Sqlite, SecureDeleteLeavesNothingReadable) {
    const Scratch scratch;
    SqliteOptions options;
    options.secure_delete = true;
    const auto db = open_sqlite(scratch / "state.db", options);
    migrate(*db, "test", kSteps);
    const std::string secret = "the-words-that-must-go";
    db->run("INSERT INTO things (id, note) VALUES ('a', $1)", {secret});
    db->run("DELETE FROM things WHERE id = 'a'");
    db->scrub();
    for (const char* name : {"state.db", "state.db-wal"}) {
        EXPECT_EQ(testing::read_file(scratch / name).find(secret), std::string::npos) << name;
    }
}

// kill -9 while pairs are written: afterwards both rows of a pair are there or neither, and what was told is there.
TEST(Database, KilledWritersLeaveWholeTransactions) {
    const Scratch scratch;
    const StateDatabase state(scratch);
    {
        const auto db = state.open();
        migrate(*db, "test", kSteps);
    }
    for (int round = 0; round < 8; ++round) {
        int told[2];
        ASSERT_EQ(::pipe(told), 0);
        const pid_t pid = ::fork();
        ASSERT_GE(pid, 0);
        if (pid == 0) {
            const auto db = state.open();
            for (std::int64_t i = round * 100000;; ++i) {
                db->transaction([&](Statements& in) {
                    in.run("INSERT INTO things (id, n) VALUES ($1, $2)", {std::to_string(i) + "a", i});
                    in.run("INSERT INTO things (id, n) VALUES ($1, $2)", {std::to_string(i) + "b", i});
                });
                if (::write(told[1], &i, sizeof i) != sizeof i) ::_exit(1);
            }
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(30 + 17 * round));
        ::kill(pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
        ::close(told[1]);
        std::int64_t last = -1;
        for (std::int64_t i = 0; ::read(told[0], &i, sizeof i) == sizeof i;) last = i;
        ::close(told[0]);
        const auto db = state.open();
        EXPECT_TRUE(db->check().empty());
        EXPECT_EQ(db->first("SELECT count(*) FROM (SELECT n FROM things GROUP BY n HAVING count(*) <> 2) AS broken")
                      ->integer(0),
                  0);
        if (last < 0) continue;
        EXPECT_EQ(db->first("SELECT count(*) FROM things WHERE n = $1", {last})->integer(0), 2);
    }
}

}  // namespace
}  // namespace freehold
