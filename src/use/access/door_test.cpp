// The door: open on loopback while there is no key, closed after that; proxies, rebinding, foreign pages.
#include "freehold/access/door.h"

#include <gtest/gtest.h>

#include "access_test_support.h"

namespace freehold::access {
namespace {

using freehold::testing::error_of;
using freehold::testing::Scratch;
using test::Head;
using test::named;
using test::refusal_of;

struct DoorTest : ::testing::Test {
    Scratch scratch;
    std::unique_ptr<Database> db = open_sqlite(scratch / "state.db");
    Keys keys{*db};

    Principal enter(const Head& head, const DoorOptions& options = {}) {
        return Door(keys, options).admit(head.arrival());
    }
    Why refused(const Head& head, const DoorOptions& options = {}) {
        return refusal_of([&] { static_cast<void>(enter(head, options)); }).why();
    }
};

TEST_F(DoorTest, OpenToThisMachineWhileThereIsNoKey) {
    const Principal who = enter({{{"host", "localhost:8080"}}});
    EXPECT_EQ(who.how, Principal::How::open);
    EXPECT_EQ(who.roles, RoleSet::all());
    for (const char* peer : {"::1", "127.0.0.9", "::ffff:127.0.0.1", "unix"}) {
        Head head{{{"host", "127.0.0.1"}}};
        head.peer = peer;
        EXPECT_EQ(enter(head).how, Principal::How::open) << peer;
    }
    for (const char* peer : {"10.0.0.1", "::2", "::ffff:10.0.0.1", "", "127.0.0.1.evil.example"}) {
        Head head;
        head.peer = peer;
        EXPECT_EQ(refused(head), Why::who_are_you) << peer;
    }
    for (const char* header : {"x-forwarded-for", "forwarded", "via", "x-real-ip", "x-forwarded-anything"})
        EXPECT_EQ(refused({{{"host", "localhost"}, {header, "1.2.3.4"}}}), Why::who_are_you) << header;
    // Clients that must send some key, send some key.
    EXPECT_EQ(enter({{{"authorization", "Bearer ollama"}}}).how, Principal::How::open);
    EXPECT_EQ(refused({{{"authorization", "Bearer fh_wrong"}}}), Why::who_are_you);
}

TEST_F(DoorTest, ClosedOnceThereIsAKey) {
    const std::string secret = keys.create(named("a")).secret;
    EXPECT_EQ(refused({{{"host", "localhost"}}}), Why::who_are_you);
    EXPECT_EQ(enter({{{"authorization", "Bearer " + secret}}}).name, "a");
    EXPECT_EQ(enter({{{"authorization", "bearer   " + secret + " "}}}).name, "a");
    EXPECT_EQ(enter({{{"x-api-key", secret}}}).name, "a");
    EXPECT_EQ(enter({{{"x-api-key", secret}, {"authorization", "Bearer " + secret}}}).name, "a");
    const std::string other = keys.create(named("b")).secret;
    EXPECT_EQ(refused({{{"x-api-key", secret}, {"authorization", "Bearer " + other}}}), Why::who_are_you);
    EXPECT_EQ(refused({{{"authorization", "Bearer " + secret}, {"authorization", "Bearer " + other}}}),
              Why::who_are_you);
    EXPECT_EQ(refused({{{"authorization", "Basic " + secret}}}), Why::who_are_you);
    EXPECT_EQ(refused({{{"authorization", ""}}}), Why::who_are_you);
    EXPECT_EQ(refused({{{"authorization", "Bearer ollama"}}}), Why::who_are_you);
    // A key works from anywhere and under any name.
    Head far{{{"authorization", "Bearer " + secret}, {"host", "ai.example"}, {"x-forwarded-for", "1.2.3.4"}}};
    far.peer = "203.0.113.7";
    EXPECT_EQ(enter(far).name, "a");
    keys.revoke("a");
    keys.revoke("b");
    EXPECT_EQ(refused({{{"host", "localhost"}}}), Why::who_are_you);
}

TEST_F(DoorTest, RebindingIsSeenByTheHost) {
    for (const char* good :
         {"localhost", "LOCALHOST:80", "a.localhost:1", "127.0.0.1:8080", "[::1]:8080", "192.168.1.7"})
        EXPECT_EQ(enter({{{"host", good}}}).how, Principal::How::open) << good;
    for (const char* bad : {"evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "",
                            "unix", "1.2.3.4/8", "[evil", "[", "localhost@evil.example"})
        EXPECT_EQ(refused({{{"host", bad}}}), Why::may_not) << bad;
    EXPECT_EQ(refused({{{"host", "localhost"}, {"host", "evil.example"}}}), Why::may_not);
    DoorOptions options;
    options.hosts = {"AI.example"};
    EXPECT_EQ(enter({{{"host", "ai.example:8080"}}}, options).how, Principal::How::open);
}

TEST_F(DoorTest, ForeignPagesChangeNothing) {
    Head head{{{"host", "localhost:8080"}, {"origin", "https://evil.example"}}};
    EXPECT_EQ(enter(head).how, Principal::How::open);  // reading: the browser keeps the answer from the page
    head.changes = true;
    EXPECT_EQ(refused(head), Why::may_not);
    head.headers[1].second = "null";
    EXPECT_EQ(refused(head), Why::may_not);
    head.headers[1].second = "http://localhost:8080";
    EXPECT_EQ(enter(head).how, Principal::How::open);
    head.headers[1].second = "http://localhost:3000";
    EXPECT_EQ(refused(head), Why::may_not);
    DoorOptions options;
    options.origins = {"http://localhost:3000"};
    EXPECT_EQ(enter(head, options).how, Principal::How::open);
    EXPECT_EQ(Door(keys, options).allowed_origin(head.arrival()), "http://localhost:3000");
    EXPECT_EQ(Door(keys, {}).allowed_origin(head.arrival()), std::nullopt);
    head.headers[1] = {"sec-fetch-site", "cross-site"};
    EXPECT_EQ(refused(head), Why::may_not);
    // A form of the page itself is not JSON; curl -d is no page.
    head.headers[1] = {"origin", "http://localhost:8080"};
    head.headers.push_back({"content-type", "Text/Plain; charset=utf-8"});
    EXPECT_EQ(refused(head), Why::wrong_type);
    head.any_body_type = true;
    EXPECT_EQ(enter(head).how, Principal::How::open);
    Head curl{{{"host", "localhost:8080"}, {"content-type", "application/x-www-form-urlencoded"}}};
    curl.changes = true;
    EXPECT_EQ(enter(curl).how, Principal::How::open);
}

TEST_F(DoorTest, AProxyIsBelievedFromItsOwnAddressOnly) {
    DoorOptions options;
    options.proxy.proxies = {Network::parse("10.1.0.0/16")};
    options.proxy.groups = {{"staff", RoleSet{Role::user}}, {"it", RoleSet{Role::operator_}}};
    Head head{{{"host", "10.1.2.3"},
               {"x-remote-user", "alice"},
               {"x-remote-groups", "guests, staff"},
               {"x-forwarded-for", "1.2.3.4"}}};
    head.peer = "10.1.2.3";
    const Principal who = enter(head, options);
    EXPECT_EQ(who.how, Principal::How::proxy);
    EXPECT_EQ(who.name, "alice");
    EXPECT_EQ(who.key_id, "proxy:default/alice");
    EXPECT_EQ(who.roles.str(), "user");
    head.headers[2].second = "staff,it";
    EXPECT_EQ(enter(head, options).roles.str(), "user,operator");
    head.headers[2].second = "guests";
    EXPECT_EQ(refused(head, options), Why::may_not);
    head.headers[2].second = "staff";
    head.peer = "10.2.0.1";
    EXPECT_EQ(refused(head, options), Why::who_are_you);
    head.peer = "127.0.0.1";  // loopback is no excuse once people sign in
    EXPECT_EQ(refused(head, options), Why::who_are_you);
    head.peer = "10.1.2.3";
    head.headers.push_back({"x-remote-user", "root"});
    EXPECT_EQ(refused(head, options), Why::who_are_you);
    head.headers.pop_back();
    head.headers[1].second = "";
    EXPECT_EQ(refused(head, options), Why::who_are_you);
    head.headers[1].second = "alice";
    options.proxy.tenant_header = "x-tenant";
    EXPECT_EQ(refused(head, options), Why::may_not);
    head.headers.push_back({"x-tenant", "ward-3"});
    EXPECT_EQ(enter(head, options).key_id, "proxy:ward-3/alice");
}

TEST_F(DoorTest, ListeningElsewhereNeedsAKeyOrAWord) {
    EXPECT_EQ(error_of([&] { Door(keys, {}).check_listen("0.0.0.0"); }).kind(), ErrorKind::denied);
    Door(keys, {}).check_listen("127.0.0.1");
    DoorOptions open;
    open.open_without_keys = true;
    Door(keys, open).check_listen("0.0.0.0");
    Head far{{{"host", "ai.example"}}};
    far.peer = "203.0.113.7";
    EXPECT_EQ(enter(far, open).roles.str(), "user");
    keys.create(named("a"));
    Door(keys, {}).check_listen("0.0.0.0");
}

TEST(Network, BitsCount) {
    const auto in = [](const char* network, const char* address) { return Network::parse(network).contains(address); };
    EXPECT_TRUE(in("10.0.0.0/9", "10.127.255.255"));
    EXPECT_FALSE(in("10.0.0.0/9", "10.128.0.0"));
    EXPECT_TRUE(in("0.0.0.0/0", "8.8.8.8"));
    EXPECT_FALSE(in("0.0.0.0/0", "::1"));
    EXPECT_TRUE(in("fd00::/8", "fdff::1"));
    EXPECT_TRUE(in("10.0.0.1", "::ffff:10.0.0.1"));
    EXPECT_TRUE(in("unix", "unix"));
    for (const char* wrong : {"", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0/8", "a", "10.0.0.0/8x"})
        EXPECT_EQ(error_of([&] { static_cast<void>(Network::parse(wrong)); }).kind(), ErrorKind::usage) << wrong;
}

}  // namespace
}  // namespace freehold::access
