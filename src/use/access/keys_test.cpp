// Keys: secrets and their digests, roles, expiry, revocation, rotation, what another process changed.
#include "freehold/access/keys.h"

#include <gtest/gtest.h>

#include <set>

#include "access_test_support.h"
#include "freehold/access/json.h"

namespace freehold::access {
namespace {

using freehold::testing::error_of;
using freehold::testing::Scratch;
using freehold::testing::StateDatabase;
using test::HandClock;
using test::named;
using test::refusal_of;

TEST(Roles, TheTableIsWhatItSays) {
    // Each role's rights, written out a second time: a change of the table must be meant.
    const auto rights = [](Role role) {
        std::string text;
        for (int i = 0; i < kRights; ++i) {
            const auto right = static_cast<Right>(i);
            if (role_may(role, right)) text += std::string(right_name(right)) + " ";
        }
        return text;
    };
    EXPECT_EQ(rights(Role::user), "use_models own_objects see_models ");
    EXPECT_EQ(rights(Role::operator_),
              "use_models own_objects see_models manage_models manage_keys see_server see_use ");
    EXPECT_EQ(rights(Role::auditor), "see_models see_server see_use see_audit ");
    EXPECT_EQ(RoleSet::parse("auditor,user").str(), "user,auditor");
    EXPECT_TRUE(RoleSet::parse("auditor,user").may(Right::use_models));
    for (const char* wrong : {"", "root", "user,", "User", "user auditor"})
        EXPECT_EQ(error_of([&] { static_cast<void>(RoleSet::parse(wrong)); }).kind(), ErrorKind::usage) << wrong;
}

TEST(Times, GoThereAndBack) {
    EXPECT_EQ(time_text(0), "1970-01-01T00:00:00.000Z");
    for (const std::int64_t ms : {1'767'225'600'000LL, 1'709'164'799'123LL, 951'782'400'000LL})
        EXPECT_EQ(parse_time(time_text(ms)), ms);
    EXPECT_EQ(parse_time("2026-01-01"), 1'767'225'600'000);
    EXPECT_EQ(parse_time("2026-01-01T00:00:01Z"), 1'767'225'601'000);
    for (const char* wrong : {"", "2026", "2026-02-30", "2026-13-01", "2026-01-01T25:00:00Z", "2026-01-01 00:00:00Z",
                              "2026-01-01T00:00:00", "2026-01-01T00:00:00.Z", "2026/01/01"})
        EXPECT_EQ(error_of([&] { static_cast<void>(parse_time(wrong)); }).kind(), ErrorKind::usage) << wrong;
    EXPECT_EQ(parse_duration("90s"), 90'000);
    EXPECT_EQ(parse_duration("30d"), 30 * 86'400'000LL);
    for (const char* wrong : {"", "d", "5", "5w", "-5d", "99999999999999999999d", "9999999y", "1.5h"})
        EXPECT_EQ(error_of([&] { static_cast<void>(parse_duration(wrong)); }).kind(), ErrorKind::usage) << wrong;
}

TEST(Models, PatternsCoverWhatTheySay) {
    EXPECT_TRUE(model_matches("smollm2", "smollm2:135m"));
    EXPECT_TRUE(model_matches("smollm2", "smollm2"));
    EXPECT_FALSE(model_matches("smollm2", "smollm2:135m+med"));
    EXPECT_FALSE(model_matches("smollm2", "smollm20:135m"));
    EXPECT_FALSE(model_matches("smollm2:135m", "smollm2:360m"));
    EXPECT_TRUE(model_matches("smollm2:*", "smollm2:360m"));
    EXPECT_TRUE(model_matches("*", "anything:at+all"));
    EXPECT_TRUE(model_matches("smollm2:135m+*", "smollm2:135m+med"));
    EXPECT_FALSE(model_matches("a*b*c", "acb"));
    EXPECT_TRUE(model_matches("a*b*c", "a-b-b-c"));
}

TEST(Keys, ASecretIsSeenOnceAndOnlyItsDigestIsKept) {
    const Scratch scratch;
    const StateDatabase state(scratch);
    HandClock clock;
    const auto db = state.open();
    Keys keys(*db, clock.clock());
    EXPECT_FALSE(keys.ever_made());
    NewKey wanted;
    wanted.name = "billing";
    wanted.tenant = "finance";
    wanted.limits.tokens_per_day = 7;
    wanted.models = {"smollm2", "gemma3:270m"};
    const MadeKey made = keys.create(wanted);
    EXPECT_TRUE(keys.ever_made());
    EXPECT_TRUE(looks_like_secret(made.secret)) << made.secret;
    EXPECT_EQ(made.secret.size(), 52U);
    EXPECT_EQ(made.secret.substr(0, 11), made.key.prefix);
    const Principal who = keys.authenticate(made.secret);
    EXPECT_EQ(who.how, Principal::How::key);
    EXPECT_EQ(who.key_id, made.key.id);
    EXPECT_EQ(who.tenant, "finance");
    EXPECT_EQ(who.limits.tokens_per_day, 7);
    EXPECT_TRUE(who.may_use("gemma3:270m"));
    EXPECT_FALSE(who.may_use("gemma3:1b"));
    for (const char* name : {"state.db", "state.db-wal"}) {
        const std::string bytes = freehold::testing::read_file(scratch / name);
        EXPECT_EQ(bytes.find(made.secret), std::string::npos);
        EXPECT_EQ(bytes.find(made.secret.substr(11, 20)), std::string::npos);
    }
    std::set<std::string> seen;
    for (int i = 0; i < 20; ++i) {
        wanted.name = "k" + std::to_string(i);
        EXPECT_TRUE(seen.insert(keys.create(wanted).secret).second);
    }
}

TEST(Keys, WrongSecretsAreRefused) {
    const Scratch scratch;
    const StateDatabase state(scratch);
    const auto db = state.open();
    Keys keys(*db);
    const std::string secret = keys.create(named("a")).secret;
    // Every single letter counts.
    for (std::size_t i = 0; i < secret.size(); ++i) {
        std::string wrong = secret;
        wrong[i] = wrong[i] == 'x' ? 'y' : 'x';
        EXPECT_FALSE(looks_like_secret(wrong)) << i;
        EXPECT_EQ(refusal_of([&] { static_cast<void>(keys.authenticate(wrong)); }).why(), Why::who_are_you);
    }
    for (const std::string& wrong :
         {std::string(), std::string("fh_"), secret + "x", secret.substr(1), std::string(100000, 'a')})
        EXPECT_THROW(static_cast<void>(keys.authenticate(wrong)), Refusal);
    // Well formed, but of another installation: the same prefix does not help.
    const Scratch other_scratch;
    const StateDatabase other_state(other_scratch);
    const auto other_db = other_state.open();
    Keys other(*other_db);
    const std::string foreign = other.create(named("a")).secret;
    EXPECT_TRUE(looks_like_secret(foreign));
    EXPECT_THROW(static_cast<void>(keys.authenticate(foreign)), Refusal);
    db->run("UPDATE access_secrets SET prefix = $1", {foreign.substr(0, 11)});
    Keys again(*db);
    EXPECT_THROW(static_cast<void>(again.authenticate(foreign)), Refusal);
}

TEST(Keys, ExpireAndAreRevokedForGood) {
    const Scratch scratch;
    const StateDatabase state(scratch);
    HandClock clock;
    const auto db = state.open();
    Keys keys(*db, clock.clock());
    NewKey wanted = named("short");
    wanted.expires = clock.now + 1000;
    const MadeKey made = keys.create(wanted);
    static_cast<void>(keys.authenticate(made.secret));
    clock.now += 1000;
    EXPECT_NE(
        refusal_of([&] { static_cast<void>(keys.authenticate(made.secret)); }).message().find("expired on 2026-01-01"),
        std::string::npos);
    EXPECT_EQ(error_of([&] { keys.create(wanted); }).kind(), ErrorKind::usage);
    const MadeKey second = keys.create(named("short"));  // the name is free again
    EXPECT_EQ(keys.get("short").id, second.key.id);
    EXPECT_EQ(error_of([&] { keys.create(named("short")); }).kind(), ErrorKind::conflict);
    keys.revoke("short");
    EXPECT_NE(refusal_of([&] { static_cast<void>(keys.authenticate(second.secret)); }).message().find("revoked"),
              std::string::npos);
    keys.revoke(second.key.id);
    EXPECT_EQ(error_of([&] { keys.rotate(second.key.id); }).kind(), ErrorKind::conflict);
    // Nothing opens the door again, not even that all keys are gone.
    clock.now += 10'000;
    EXPECT_EQ(keys.purge(clock.now), 2);
    EXPECT_TRUE(keys.list().empty());
    EXPECT_TRUE(keys.ever_made());
    EXPECT_TRUE(Keys(*db, clock.clock()).ever_made());
}

TEST(Keys, RotationKeepsTheKeyAndGivesTimeToChange) {
    const Scratch scratch;
    const StateDatabase state(scratch);
    HandClock clock;
    const auto db = state.open();
    Keys keys(*db, clock.clock());
    const MadeKey first = keys.create(named("a"));
    clock.now += 10;
    const MadeKey second = keys.rotate("a", 5000);
    EXPECT_EQ(second.key.id, first.key.id);
    EXPECT_EQ(keys.get("a").prefix, second.key.prefix);
    EXPECT_EQ(keys.authenticate(first.secret).key_id, keys.authenticate(second.secret).key_id);
    clock.now += 5000;
    EXPECT_THROW(static_cast<void>(keys.authenticate(first.secret)), Refusal);
    const MadeKey third = keys.rotate("a");
    EXPECT_THROW(static_cast<void>(keys.authenticate(second.secret)), Refusal);
    EXPECT_EQ(keys.authenticate(third.secret).key_id, first.key.id);
}

TEST(Keys, ChangesOfAnotherProcessArriveWithRefresh) {
    const Scratch scratch;
    const StateDatabase state(scratch);
    HandClock clock;
    const auto db = state.open();
    const auto other_db = state.open();
    Keys server(*db, clock.clock());
    Keys console(*other_db, clock.clock());
    const MadeKey made = console.create(named("a"));
    EXPECT_THROW(static_cast<void>(server.authenticate(made.secret)), Refusal);
    server.refresh();
    static_cast<void>(server.authenticate(made.secret));
    server.refresh();
    EXPECT_EQ(console.get("a").last_used, clock.now);
    console.revoke("a");
    server.refresh();
    EXPECT_THROW(static_cast<void>(server.authenticate(made.secret)), Refusal);
}

TEST(Keys, WhatARequestAsksForIsReadOrRefused) {
    const auto made = [](const char* json) { return new_key_from(*parse_json(json, "a key").get<ValueMap>(), 0); };
    const NewKey both =
        made(R"({"name":"a","roles":"auditor","limits":{"tokens_per_day":5,"tokens_per_month":9},"tokens_per_day":7})");
    EXPECT_TRUE(both.roles.has(Role::auditor));
    EXPECT_FALSE(both.roles.has(Role::user));
    EXPECT_EQ(both.limits.tokens_per_day, 7);
    EXPECT_EQ(both.limits.tokens_per_month, 9);
    for (const char* wrong : {R"({"name":"a","limits":{"tokens_per_dya":5}})", R"({"name":"a","tokens_per_dya":5})",
                              R"({"name":"a","limits":{"tokens_per_dya":5},"tokens_per_day":7})",
                              R"({"name":"a","roles":["auditor"]})", R"({"name":"a","limits":5})"})
        EXPECT_THROW(static_cast<void>(made(wrong)), Error) << wrong;
}

TEST(Keys, NamesAndBoundsAreChecked) {
    const Scratch scratch;
    const StateDatabase state(scratch);
    const auto db = state.open();
    Keys keys(*db);
    for (const std::string& name : {std::string(), std::string(101, 'a'), std::string("a\nb"), std::string("key_x"),
                                    std::string("fh_x"), std::string("\xff")})
        EXPECT_EQ(error_of([&] { keys.create(named(name)); }).kind(), ErrorKind::usage) << name;
    NewKey wanted = named("a");
    wanted.limits.tokens_per_month = -1;
    EXPECT_EQ(error_of([&] { keys.create(wanted); }).kind(), ErrorKind::usage);
    wanted.limits = {};
    wanted.tenant = "../b";
    EXPECT_EQ(error_of([&] { keys.create(wanted); }).kind(), ErrorKind::usage);
    const std::string secret = keys.create(named("real")).secret;
    // A secret that was typed where a name belongs is not repeated in the message.
    const Error error = error_of([&] { static_cast<void>(keys.get(secret + "x")); });
    EXPECT_EQ(error.message().find(secret.substr(3, 12)), std::string::npos);
    EXPECT_NE(error.hint().find("real"), std::string::npos);
}

}  // namespace
}  // namespace freehold::access
