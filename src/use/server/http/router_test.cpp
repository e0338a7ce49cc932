// Paths to rows, and paths that are none.
#include "router.h"

#include <gtest/gtest.h>

namespace freehold::server {
namespace {

Route row(const char* method, const char* pattern) {
    Route r;
    r.method = method;
    r.pattern = pattern;
    r.handler = [](const RequestPtr&, const ResponderPtr&) {};
    return r;
}

TEST(Router, FixedPartsWinOverParameters) {
    const std::vector<Route> routes = {row("GET", "/v1/models/{id...}"), row("GET", "/v1/models"),
                                       row("GET", "/v1/models/special"), row("DELETE", "/keys/{id}")};
    const Router router(routes);
    EXPECT_EQ(router.find("GET", "/v1/models").route, &routes[1]);
    EXPECT_EQ(router.find("GET", "/v1/models/special").route, &routes[2]);
    const auto match = router.find("GET", "/v1/models/library/smollm2:135m");
    EXPECT_EQ(match.route, &routes[0]);
    EXPECT_EQ(match.params.at("id"), "library/smollm2:135m");
    EXPECT_EQ(router.find("DELETE", "/keys/a/b").route, nullptr);
    EXPECT_EQ(router.find("DELETE", "/keys/").route, nullptr);
    EXPECT_EQ(router.find("GET", "/v1/models/").route, nullptr);
}

TEST(Router, OtherMethodsAreTold) {
    const std::vector<Route> routes = {row("GET", "/a"), row("POST", "/a")};
    const Router router(routes);
    EXPECT_EQ(router.find("DELETE", "/a").route, nullptr);
    EXPECT_EQ(router.find("DELETE", "/a").allow, "GET, HEAD, POST");
    EXPECT_EQ(router.find("HEAD", "/a").route, &routes[0]);
    EXPECT_EQ(router.find("GET", "/b").allow, "");
}

TEST(Router, RefusesRowsThatContradict) {
    EXPECT_THROW(Router(std::vector<Route>{row("GET", "/a"), row("GET", "/a")}), Error);
    EXPECT_THROW(Router(std::vector<Route>{row("GET", "a")}), Error);
}

TEST(Router, ReadsTargets) {
    HttpRequest r;
    ASSERT_TRUE(read_target("/a%20b/c?x=1%2B1&y=a+b&x=2&flag", r));
    EXPECT_EQ(r.path, "/a b/c");
    EXPECT_EQ(r.query("x"), "1+1");
    EXPECT_EQ(r.query("y"), "a b");
    EXPECT_EQ(r.query("flag"), "");
    for (const char* bad : {"", "a", "*", "http://x/", "/a/../b", "/a/%2e%2e/b", "/a//b", "/%", "/%zz", "/a%00",
                            "/a\\b", "/..", "/./a", "/a?x=%4"}) {
        HttpRequest other;
        EXPECT_FALSE(read_target(bad, other)) << bad;
    }
}

}  // namespace
}  // namespace freehold::server
