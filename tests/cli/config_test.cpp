// freehold config from the outside: exit codes, places of faults, what is in force; and that a server takes it.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "command_line.h"
#include "freehold/base/value.h"

namespace freehold {
namespace {

namespace fs = std::filesystem;
using test::freehold_says;
using test::Said;

class ConfigVerb : public testing::Test {
 protected:
    void TearDown() override { fs::remove(file_); }
    void write(const std::string& yaml) const { std::ofstream(file_) << yaml; }
    [[nodiscard]] Said says(const std::string& arguments, const std::string& environment = {}) const {
        return freehold_says(arguments, {}, "FREEHOLD_CONFIG=" + file_.string() + " " + environment);
    }
    fs::path file_ = fs::path(testing::TempDir()) / ("freehold_config_" + std::to_string(::getpid()) + ".yaml");
};

TEST_F(ConfigVerb, CheckNamesEveryFaultAndEndsWithOne) {
    write("listen: :8443\nparalel: 4\nretention: {audit: later}\n");
    const Said said = says("config check");
    EXPECT_EQ(said.code, 1);
    EXPECT_NE(said.out.find(file_.string() + ":2: \"paralel\" is no setting."), std::string::npos) << said.out;
    EXPECT_NE(said.out.find("Did you mean parallel?"), std::string::npos) << said.out;
    EXPECT_NE(said.out.find(file_.string() + ":3: retention.audit"), std::string::npos) << said.out;
    const Value json = parse_json(says("config check --json").out, "stdout");
    EXPECT_EQ(json.get<ValueMap>()->find("ok")->as_bool(), false);
    EXPECT_EQ(json.get<ValueMap>()->find("faults")->size(), 2U);
    // The server says the first, and that there is another.
    const Said serve = says("serve");
    EXPECT_EQ(serve.code, 2);
    EXPECT_NE(serve.err.find(":2: \"paralel\""), std::string::npos) << serve.err;
    EXPECT_NE(serve.err.find("1 more"), std::string::npos) << serve.err;
    write("listen: 127.0.0.1:8443\n");
    EXPECT_EQ(says("config check").code, 0);
    // Open to the network and without keys: the server would not start.
    write("listen: :8443\n");
    EXPECT_EQ(says("config check").code, 1);
    EXPECT_EQ(says("config check --file /no/such/file.yaml").code, 1);
}

TEST_F(ConfigVerb, ShowSaysWhereEachValueComesFrom) {
    write("parallel: 4\ndrain: 5\n");
    const Value json = parse_json(says("config show --json", "FREEHOLD_DRAIN=7").out, "stdout");
    std::string parallel, drain, listen;
    const Value& list = *json.get<ValueMap>()->find("settings");
    for (std::size_t i = 0; i < list.size(); ++i) {
        const Value one = list.at(i);
        const auto& map = *one.get<ValueMap>();
        const std::string said = to_json(*map.find("value")) + " " + std::string(*map.find("from")->as_string());
        if (map.find("key")->as_string() == "parallel") parallel = said;
        if (map.find("key")->as_string() == "drain") drain = said;
        if (map.find("key")->as_string() == "listen") listen = said;
    }
    EXPECT_EQ(parallel, "4 " + file_.string() + ":1");
    EXPECT_EQ(drain, "7 FREEHOLD_DRAIN");
    EXPECT_EQ(listen, "null default");
    EXPECT_NE(says("config show").out.find("127.0.0.1:8080"), std::string::npos);
}

}  // namespace
}  // namespace freehold
