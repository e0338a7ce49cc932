// What only PostgreSQL can do to us: connections that break at every moment, a server that is away, replicas that start
// at once, passwords, and the broker process in between. The other tests of this room run over it too.
#include "freehold/database/postgres.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>

#include "support/state_database.h"

namespace freehold {
namespace {

using testing::error_of;
using testing::postgres_server;
using testing::PostgresServer;

const std::vector<Migration> kSteps = {
    {1, {"CREATE TABLE things (id TEXT PRIMARY KEY, n BIGINT, r DOUBLE PRECISION, b BYTEA)"}},
};

PostgresOptions options_for(const std::string& address) {
    PostgresOptions options;
    options.address = address;
    options.away_ms = 50;
    return options;
}

struct Postgres : ::testing::Test {
    void SetUp() override {
        if (PostgresServer::programs().empty())
            GTEST_SKIP() << "There is no PostgreSQL server on this machine (Debian: postgresql).";
        address = postgres_server().local(postgres_server().create());
    }
    std::string address;
};

std::int64_t backend_of(Statements& db) {
    return db.first("SELECT CAST(pg_backend_pid() AS BIGINT)")->integer(0);
}
void end_backend(Database& by, std::int64_t backend) {
    by.query("SELECT pg_terminate_backend(CAST($1 AS INT), 5000)", {backend});
}

// A broker as the server starts one: a process that forks one more for each connection.
class BrokerProcess {
 public:
    explicit BrokerProcess(const PostgresOptions& options) {
        std::array<int, 2> ends{};
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) throw std::runtime_error("pair");
        pid_ = ::fork();
        if (pid_ == 0) {
            ::close(ends[0]);
            for (bool again = true; again;) {
                const pid_t child = ::fork();
                if (child == 0) ::_exit(answer_for_postgres(ends[1], options, [](int) {}) ? 0 : 1);
                int status = 0;
                ::waitpid(child, &status, 0);
                again = status == 0;
            }
            ::_exit(0);
        }
        ::close(ends[1]);
        socket_ = ends[0];
    }
    ~BrokerProcess() { ::waitpid(pid_, nullptr, 0); }
    BrokerProcess(const BrokerProcess&) = delete;
    BrokerProcess& operator=(const BrokerProcess&) = delete;
    [[nodiscard]] int socket() const { return socket_; }

 private:
    pid_t pid_ = -1;
    int socket_ = -1;
};

// Counts in transactions while `breaker` ends connections: every count that was told is there once.
void count_through_breaks(Database& db, Database& breaker) {
    migrate(db, "test", kSteps);
    db.run("INSERT INTO things (id, n) VALUES ('a', 0)");
    int works = 0, told = 0, unknown = 0;
    for (int i = 0; i < 12; ++i) {
        bool broken = false;
        try {
            db.transaction([&](Statements& in) {
                ++works;
                const auto n = in.first("SELECT n FROM things WHERE id = 'a'")->integer(0);
                if (i % 3 == 0 && !broken) {
                    broken = true;
                    end_backend(breaker, backend_of(in));
                }
                in.run("UPDATE things SET n = $1 WHERE id = 'a'", {n + 1});
                if (i % 3 == 1 && !broken) {
                    broken = true;
                    end_backend(breaker, backend_of(in));
                }
            });
            ++told;
        } catch (const DatabaseAway&) {
            ++unknown;
        }
    }
    const std::int64_t counted = db.first("SELECT n FROM things WHERE id = 'a'")->integer(0);
    EXPECT_GE(counted, told);
    EXPECT_LE(counted, told + unknown);
    EXPECT_GE(works, 20);   // the broken ones were done again
    EXPECT_EQ(unknown, 0);  // a connection that is gone before COMMIT is sent leaves nothing unknown
}

TEST_F(Postgres, ABrokenTransactionIsDoneAgainAndCountsOnce) {
    const auto db = open_postgres(options_for(address)), breaker = open_postgres(options_for(address));
    count_through_breaks(*db, *breaker);
    // Between statements it is not even noticed.
    end_backend(*breaker, backend_of(*db));
    EXPECT_EQ(db->run("UPDATE things SET n = 0"), 1);
    EXPECT_TRUE(db->check().empty());
    db->scrub();
    EXPECT_EQ(error_of([&] { db->backup_to("nowhere"); }).kind(), ErrorKind::unsupported);
    db->run("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'things_pkey'::regclass");
    ASSERT_EQ(db->check().size(), 1U);
    EXPECT_NE(db->check()[0].find("things_pkey"), std::string::npos);
}

TEST_F(Postgres, AServerThatIsAwayIsToldAtOnceAndFoundAgain) {
    const auto db = open_postgres(options_for(address));
    migrate(*db, "test", kSteps);
    postgres_server().stop();
    const auto before = std::chrono::steady_clock::now();
    for (int i = 0; i < 5; ++i) {
        const Error away = error_of([&] { db->run("INSERT INTO things (id) VALUES ('a')"); });
        EXPECT_EQ(away.kind(), ErrorKind::network);
        EXPECT_NE(away.message().find(db->name()), std::string::npos);
        EXPECT_THROW(db->transaction([](Statements&) {}), DatabaseAway);
    }
    EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(3));
    EXPECT_THROW(static_cast<void>(open_postgres(options_for(address))), DatabaseAway);
    postgres_server().launch();
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
    EXPECT_EQ(db->run("INSERT INTO things (id) VALUES ('a')"), 1);
}

TEST_F(Postgres, ReplicasThatStartAtOnceMakeOneSchema) {
    std::vector<std::thread> threads;
    std::array<std::int64_t, 6> found{};
    for (std::size_t t = 0; t < found.size(); ++t) {
        threads.emplace_back([&, t] {
            const auto db = open_postgres(options_for(address));
            found[t] = migrate(*db, "test", kSteps);
        });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(std::ranges::count(found, 0), 1);
    EXPECT_EQ(std::ranges::count(found, 1), 5);
}

TEST_F(Postgres, TextsWithZerosAreRefusedInWords) {
    const auto db = open_postgres(options_for(address));
    migrate(*db, "test", kSteps);
    EXPECT_EQ(error_of([&] { db->run("INSERT INTO things (id) VALUES ($1)", {std::string("a\0b", 3)}); }).kind(),
              ErrorKind::unsupported);
    EXPECT_EQ(error_of([&] { db->run("INSERT INTO things (id) VALUES ($1)", {"\xff"}); }).kind(),
              ErrorKind::unsupported);
    // A fault inside a transaction that is kept quiet does not let the rest through.
    EXPECT_EQ(error_of([&] {
                  db->transaction([](Statements& in) {
                      in.run("INSERT INTO things (id) VALUES ('a')");
                      EXPECT_THROW(in.run("INSERT INTO things (id) VALUES ('a')"), Error);
                  });
              }).kind(),
              ErrorKind::internal);
    EXPECT_EQ(db->first("SELECT count(*) FROM things")->integer(0), 0);
}

TEST_F(Postgres, PasswordsAreNeverRepeated) {
    const std::string tcp =
        postgres_server().tcp(address.substr(address.find("@/") + 2, address.find('?') - address.find("@/") - 2));
    PostgresOptions options = options_for(tcp);
    const Error none = error_of([&] { static_cast<void>(open_postgres(options)); });
    EXPECT_EQ(none.kind(), ErrorKind::network);
    EXPECT_NE(none.hint().find("FREEHOLD_DATABASE_PASSWORD"), std::string::npos) << none.message();
    options.password = "wrong-words";
    const Error wrong = error_of([&] { static_cast<void>(open_postgres(options)); });
    EXPECT_EQ(wrong.message().find("wrong-words"), std::string::npos) << wrong.message();
    options.password = PostgresServer::password();
    const auto db = open_postgres(options);
    EXPECT_EQ(db->name(), tcp);

    EXPECT_FALSE(has_password(tcp));
    EXPECT_TRUE(has_password("postgres://u:s3cret@h/db"));
    EXPECT_TRUE(has_password("host=h password=s3cret"));
    EXPECT_EQ(postgres_name("postgresql://u:s3cret@h:1/db?connect_timeout=3"), "postgres://u@h:1/db");
    for (const char* broken : {"postgres://u:s3cret@[h/db", "postgres://u:s3cret@h/db?nonsense", "password='s3cret"}) {
        const Error error = error_of([&] { static_cast<void>(postgres_name(broken)); });
        EXPECT_EQ(error.kind(), ErrorKind::usage);
        EXPECT_EQ((error.message() + error.hint()).find("s3cret"), std::string::npos);
    }
    EXPECT_TRUE(is_postgres("postgres://h/db") && is_postgres("postgresql://h") && is_postgres("host=h"));
    EXPECT_FALSE(is_postgres("/var/lib/state.db") || is_postgres("/a=b/state.db") || is_postgres("state.db"));
}

TEST_F(Postgres, ABrokerAnswersAsTheDatabaseItself) {
    const PostgresOptions options = options_for(address);
    BrokerProcess process(options);
    auto db = open_brokered_postgres(process.socket(), options);
    const auto breaker = open_postgres(options);
    count_through_breaks(*db, *breaker);
    end_backend(*breaker, backend_of(*db));
    EXPECT_EQ(db->run("UPDATE things SET n = 0"), 1);

    Blob large(3'000'000);
    for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<std::byte>(i * 7919 >> 3U);
    EXPECT_EQ(db->run("INSERT INTO things (id, n, r, b) VALUES ($1, $2, $3, $4)", {"b", INT64_MIN, 0.1, large}), 1);
    const auto row = db->first("SELECT id, n, r, b FROM things WHERE id = 'b'");
    EXPECT_EQ(row->integer(1), INT64_MIN);
    EXPECT_EQ(row->real(2), 0.1);
    EXPECT_EQ(row->blob(3), large);
    EXPECT_EQ(error_of([&] { db->run("INSERT INTO things (id) VALUES ('b')"); }).kind(), ErrorKind::conflict);
    EXPECT_EQ(error_of([&] { db->run("SELEC 1"); }).kind(), ErrorKind::internal);

    postgres_server().stop();
    for (int i = 0; i < 3; ++i) EXPECT_THROW(db->query("SELECT 1"), DatabaseAway);
    postgres_server().launch();
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
    EXPECT_EQ(db->first("SELECT count(*) FROM things")->integer(0), 2);
    db.reset();  // the processes end with it, or the destructor below waits for ever
}

TEST_F(Postgres, ABrokerThatHasEndedIsToldForEver) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    const pid_t child = ::fork();
    if (child == 0) {
        ::close(ends[0]);
        // Answers the first question and dies.
        int questions = 0;
        answer_for_postgres(ends[1], options_for(address), [&](int) { ++questions; });
        ::_exit(0);
    }
    ::close(ends[1]);
    const auto db = open_brokered_postgres(ends[0], options_for(address));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    EXPECT_NE(error_of([&] { db->run("DELETE FROM freehold_writer"); }).message().find("not known"), std::string::npos);
    EXPECT_NE(error_of([&] { db->query("SELECT 1"); }).message().find("broker"), std::string::npos);
}

}  // namespace
}  // namespace freehold
