// The broker as the server starts it, against a PostgreSQL over TCP: statements go through, the connecting process is
// sealed before it reads the first of them, and the broker is there again after the database was away.
#include "database_broker.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <thread>

#include "freehold/seal/seal.h"
#include "support/state_database.h"

namespace freehold::cli {
namespace {

using testing::error_of;
using testing::postgres_server;
using testing::PostgresServer;

struct Broker : ::testing::Test {
    void SetUp() override {
        if (PostgresServer::programs().empty())
            GTEST_SKIP() << "There is no PostgreSQL server on this machine (Debian: postgresql).";
        options.address = postgres_server().tcp(postgres_server().create());
        options.password = PostgresServer::password();
        options.away_ms = 50;
    }
    PostgresOptions options;
};

// 0: it went through; else errno.
int connect_to(int port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return errno;
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at.sin_port = htons(static_cast<std::uint16_t>(port));
    const int code = ::connect(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0 ? 0 : errno;
    ::close(fd);
    return code;
}

TEST_F(Broker, PassesStatementsOnAndIsThereAgainAfterTheDatabaseWasAway) {
    DatabaseBroker broker(options, true);
    auto db = broker.open();
    db->run("CREATE TABLE things (n BIGINT)");
    db->transaction([](Statements& in) { in.run("INSERT INTO things (n) VALUES ($1)", {7}); });
    EXPECT_EQ(db->first("SELECT n FROM things")->integer(0), 7);
    postgres_server().stop();
    EXPECT_THROW(db->query("SELECT n FROM things"), DatabaseAway);
    postgres_server().launch();
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
    EXPECT_EQ(db->first("SELECT n FROM things")->integer(0), 7);
    db.reset();
}

TEST_F(Broker, TellsAWrongPasswordWithoutRepeatingIt) {
    options.password = "wrong-words";
    DatabaseBroker broker(options, true);
    const Error error = error_of([&] { static_cast<void>(broker.open()); });
    EXPECT_EQ(error.kind(), ErrorKind::network);
    EXPECT_EQ((error.message() + error.hint()).find("wrong-words"), std::string::npos);
}

// The same process, looked at from inside: before the seal it could connect anywhere, behind it nowhere, not even to
// the database a second time, and yet it answers.
TEST_F(Broker, HoldsOneConnectionAndCanOpenNoOther) {
    std::array<int, 2> ends{}, seen{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    ASSERT_EQ(::pipe(seen.data()), 0);
    const int port = postgres_server().port();
    const pid_t child = ::fork();
    if (child == 0) {
        ::close(ends[0]);
        answer_for_postgres(ends[1], options, [&](int connection) {
            std::array<int, 4> codes{};
            codes[0] = connect_to(port);
            codes[3] = open_holes(connection).empty() ? 0 : 1;
            seal_process(connection);
            codes[1] = connect_to(port);
            codes[2] = open_holes().size() == 1 ? 0 : 1;
            if (::write(seen[1], codes.data(), sizeof codes) != sizeof codes) ::_exit(2);
        });
        ::_exit(0);
    }
    ::close(ends[1]);
    auto db = open_brokered_postgres(ends[0], options);
    EXPECT_EQ(db->first("SELECT CAST(1 AS BIGINT)")->integer(0), 1);
    std::array<int, 4> codes{-1, -1, -1, -1};
    ASSERT_EQ(::read(seen[0], codes.data(), sizeof codes), static_cast<ssize_t>(sizeof codes));
    EXPECT_EQ(codes[0], 0);
    EXPECT_EQ(codes[1], EPERM);
    EXPECT_EQ(codes[2], 0);  // the one that it holds is the one that a sealed process may not have
    EXPECT_EQ(codes[3], 0);
    db.reset();
    ::waitpid(child, nullptr, 0);
    ::close(seen[0]);
    ::close(seen[1]);
}

}  // namespace
}  // namespace freehold::cli
