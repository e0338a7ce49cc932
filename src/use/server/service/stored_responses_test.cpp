// Responses in the database: what another replica sees, what is bounded, what waits while the database is away, and
// what becomes of an answer whose server is gone. Over SQLite, and over PostgreSQL where the test is asked to.
#include <gtest/gtest.h>

#include "freehold/server/stored_responses.h"
#include "support/state_database.h"

namespace freehold::server {
namespace {

using freehold::testing::Scratch;
using freehold::testing::StateDatabase;

StoredResponse said(const std::string& text, bool running = false) {
    StoredResponse kept;
    kept.response = Value(ValueMap{{"id", Value("r")}, {"status", Value(running ? "queued" : "completed")}});
    kept.input = {Value(text)};
    kept.messages = {Value(ValueMap{{"role", Value("user")}, {"content", Value(text)}})};
    kept.running = running;
    return kept;
}
std::string status(const StoredResponse& kept) {
    return std::string(kept.response.get<ValueMap>()->find("status")->as_string().value_or(""));
}

// Away when told to be.
class Away final : public Database {
 public:
    explicit Away(Database& inner) : inner_(inner) {}
    using Database::query;
    using Database::run;
    std::vector<Row> query(std::string_view sql, std::span<const Cell> values) override {
        look();
        return inner_.query(sql, values);
    }
    std::int64_t run(std::string_view sql, std::span<const Cell> values) override {
        look();
        return inner_.run(sql, values);
    }
    void transaction(const std::function<void(Statements&)>& work) override {
        look();
        inner_.transaction(work);
    }
    void backup_to(const std::filesystem::path& file) override { inner_.backup_to(file); }
    std::vector<std::string> check() override { return inner_.check(); }
    void scrub() override { inner_.scrub(); }
    [[nodiscard]] const std::string& name() const noexcept override { return inner_.name(); }
    bool away = false;

 private:
    void look() const {
        if (away) throw DatabaseAway("The database is away.");
    }
    Database& inner_;
};

struct ResponsesKept : ::testing::Test {
    Scratch scratch;
    StateDatabase state{scratch};
    std::unique_ptr<Database> db = state.open(), other_db = state.open();
};

TEST_F(ResponsesKept, AnotherReplicaReadsThemAndNoOtherTenant) {
    const auto one = make_stored_responses(*db), two = make_stored_responses(*other_db);
    const std::string text = "caf\xc3\xa9 \"quoted\"\n";
    one->put("red", "resp_1", said(text));
    const auto found = two->get("red", "resp_1");
    ASSERT_TRUE(found);
    EXPECT_EQ(found->input.at(0).as_string(), text);
    EXPECT_EQ(to_json(Value(found->messages)), to_json(Value(said(text).messages)));
    EXPECT_FALSE(found->running);
    EXPECT_FALSE(two->get("blue", "resp_1"));
    EXPECT_FALSE(two->erase("blue", "resp_1"));
    one->put("red", "resp_1", said("again"));
    EXPECT_EQ(two->get("red", "resp_1")->input.at(0).as_string(), "again");
    EXPECT_TRUE(two->erase("red", "resp_1"));
    EXPECT_FALSE(one->get("red", "resp_1"));
    one->put("red", "resp_2", said("old"));
    two->purge(INT64_MAX);
    EXPECT_FALSE(one->get("red", "resp_2"));
}

TEST_F(ResponsesKept, TheOldestOfATenantGo) {
    ResponseStoreLimits limits;
    limits.responses = 3;
    limits.bytes = 4000;
    const auto store = make_stored_responses(*db, limits);
    for (int i = 0; i < 5; ++i) store->put("red", "resp_" + std::to_string(i), said("x"));
    store->put("blue", "resp_0", said("x"));
    EXPECT_FALSE(store->get("red", "resp_1"));
    EXPECT_TRUE(store->get("red", "resp_2") && store->get("red", "resp_4") && store->get("blue", "resp_0"));
    store->put("red", "large", said(std::string(6000, 'y')));  // too large beside others, but the newest
    EXPECT_TRUE(store->get("red", "large"));
    EXPECT_FALSE(store->get("red", "resp_4"));
}

TEST_F(ResponsesKept, WhatCannotBeWrittenNowIsFoundAndWrittenLater) {
    Away away(*db);
    const auto store = make_stored_responses(away), other = make_stored_responses(*other_db);
    away.away = true;
    store->put("red", "resp_1", said("first", true));
    store->put("red", "resp_1", said("second"));
    EXPECT_EQ(store->get("red", "resp_1")->input.at(0).as_string(), "second");
    EXPECT_THROW(static_cast<void>(store->get("red", "resp_9")), DatabaseAway);
    EXPECT_FALSE(other->get("red", "resp_1"));
    away.away = false;
    store->refresh();
    EXPECT_EQ(other->get("red", "resp_1")->input.at(0).as_string(), "second");
    EXPECT_FALSE(other->get("red", "resp_1")->running);
}

TEST_F(ResponsesKept, AnAnswerWhoseServerIsGoneHasFailed) {
    const auto one = make_stored_responses(*db), two = make_stored_responses(*other_db);
    one->put("red", "resp_1", said("x", true));
    EXPECT_TRUE(two->get("red", "resp_1")->running);
    db->run("UPDATE response_writers SET seen = seen - 61000");
    const auto gone = two->get("red", "resp_1");
    EXPECT_FALSE(gone->running);
    EXPECT_EQ(status(*gone), "failed");
    EXPECT_TRUE(one->get("red", "resp_1")->running);  // whoever writes it knows better
    one->put("red", "resp_1", said("x"));
    EXPECT_EQ(status(*two->get("red", "resp_1")), "completed");
}

}  // namespace
}  // namespace freehold::server
