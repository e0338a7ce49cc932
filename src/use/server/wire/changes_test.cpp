// What operators change over HTTP is noted for the audit entry by name and digest; and how long a model stays for whom.
#include <gtest/gtest.h>

#include <mutex>

#include "freehold/store/pull.h"
#include "ollama.h"
#include "testing.h"

namespace freehold::server {
namespace {

using testing::Client;
using testing::Fixture;

TEST(Changes, OfModelsNameThem) {
    std::mutex mutex;
    std::map<std::string, ValueMap> notes;  // of the last exchange of each row
    Fixture::Settings settings;
    settings.http.observer = [&](const ExchangeRecord& record) {
        const std::lock_guard lock(mutex);
        notes[record.route->method + " " + record.route->pattern] = record.notes;
    };
    Fixture f(settings);
    PullOptions options;
    options.as = ModelName::parse("stories:260k");
    Store store = f.pool().store();
    const PullResult pulled = pull(store, std::string(FREEHOLD_TEST_DATA) + "/stories260K/stories260K.bin", options);
    const auto of = [&](const std::string& row) {
        // The observer is called once the answer is on its way.
        for (int i = 0; i < 1000; ++i) {
            {
                const std::lock_guard lock(mutex);
                if (const auto found = notes.find(row); found != notes.end()) {
                    const ValueMap map = found->second;
                    const Value* change = map.find("change");
                    std::string text = change == nullptr ? "" : to_json(*change);
                    for (const char* name : {"model", "digest"}) {
                        if (const Value* v = map.find(name)) text += " " + std::string(v->as_string().value_or("?"));
                    }
                    return text;
                }
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
        return std::string("nothing");
    };
    Client c(f.port());
    ASSERT_EQ(
        c.post("/api/create", R"({"model":"mine","from":"stories:260k","system":"Be kind.","stream":false})").status,
        200);
    const std::string digest = f.pool().store().find(ModelName::parse("mine"))->digest;
    EXPECT_EQ(of("POST /api/create"),
              R"({"kind":"model","what":"created","from":"stories:260k"} mine:latest )" + digest);
    ASSERT_EQ(c.post("/api/copy", R"({"source":"stories:260k","destination":"other"})").status, 200);
    EXPECT_EQ(of("POST /api/copy"),
              R"({"kind":"model","what":"copied","from":"stories:260k"} other:latest )" + pulled.model.digest);
    const std::string body = R"({"model":"mine"})";
    c.send("DELETE /api/delete HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
           std::to_string(body.size()) + "\r\n\r\n" + body);
    ASSERT_EQ(c.reply().status, 200);
    EXPECT_EQ(of("DELETE /api/delete"), R"({"kind":"model","what":"removed"} mine:latest )" + digest);
}

// Memory belongs to whoever runs the server.
TEST(Changes, OnlyOperatorsKeepAModelForEver) {
    Fixture f;
    f.service().longest_keep_alive = std::chrono::hours(2);
    const auto kept = [&](const char* wanted, Role role, bool keyed) {
        const Value body = parse_json(std::string(R"({"keep_alive":)") + wanted + "}", "body");
        Principal who;
        who.role = role;
        who.keyed = keyed;
        return *ollama_keep_alive(Fields(*body.get<ValueMap>()), f.service(), who);
    };
    using std::chrono::hours;
    using std::chrono::minutes;
    for (const char* ever : {"-1", "\"-1m\"", "\"300h\""}) EXPECT_EQ(kept(ever, Role::user, true), hours(2)) << ever;
    EXPECT_EQ(kept("\"5m\"", Role::user, true), minutes(5));
    EXPECT_EQ(kept("0", Role::user, true), minutes(0));
    EXPECT_EQ(kept("-1", Role::operator_, true), kKeepForever);
    EXPECT_EQ(kept("\"300h\"", Role::operator_, true), hours(300));
    EXPECT_EQ(kept("-1", Role::user, false), kKeepForever) << "without keys whoever is here runs it";
}

}  // namespace
}  // namespace freehold::server
