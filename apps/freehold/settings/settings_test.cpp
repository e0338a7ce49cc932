// Settings from file, environment and flags: which one counts, and that everything wrong is named with its place.
#include "settings.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "freehold/access/json.h"
#include "freehold/access/keys.h"
#include "freehold/database/state.h"
#include "start_check.h"
#include "support/scratch.h"
#include "yaml_file.h"

namespace freehold::cli {
namespace {

using freehold::testing::error_of;
using freehold::testing::read_file;
using freehold::testing::Scratch;
using freehold::testing::write_file;
using Kind = Setting::Kind;

struct SettingsTest : ::testing::Test {
    Scratch scratch;
    std::map<std::string, std::string> environment;
    Settings::Sources sources;

    void SetUp() override {
        environment["FREEHOLD_HOME"] = scratch.path().string();
        sources.environment = [this](const char* name) -> const char* {
            const auto found = environment.find(name);
            return found == environment.end() ? nullptr : found->second.c_str();
        };
    }
    Settings from(const std::string& yaml) {
        write_file(scratch / "config.yaml", yaml);
        return Settings::read(sources);
    }
    // "LINE: message | hint" of each fault.
    std::string faults(const std::string& yaml) {
        std::string text;
        const Settings settings = from(yaml);
        for (const SettingFault& fault : settings.faults()) {
            const std::string file = (scratch / "config.yaml").string();
            EXPECT_TRUE(fault.where.starts_with(file)) << fault.where;
            text += fault.where.substr(file.size()) + ": " + fault.message +
                    (fault.hint.empty() ? "" : " | " + fault.hint) + "\n";
        }
        return text;
    }
};

TEST_F(SettingsTest, AFlagBeatsTheEnvironmentAndThatTheFile) {
    const std::string yaml = "parallel: 4\ncontext: 512\nthreads: 2\nmodels: [a, 'b:c']\nseal: no\n";
    environment["FREEHOLD_CONTEXT"] = "1024";
    environment["FREEHOLD_THREADS"] = "3";
    environment["FREEHOLD_PULL_HOSTS"] = "one.example, pypi";
    sources.flags.said["threads"] = {"1"};
    const Settings s = from(yaml);
    ASSERT_TRUE(s.faults().empty()) << s.faults().front().message;
    EXPECT_EQ(s.whole("parallel", 32), 4);
    EXPECT_EQ(s.whole("context", 0), 1024);
    EXPECT_EQ(s.whole("threads", 0), 1);
    EXPECT_EQ(s.whole("drain", 30), 30);
    EXPECT_EQ(s.texts("models"), (std::vector<std::string>{"a", "b:c"}));
    EXPECT_EQ(s.texts("pull_hosts"), (std::vector<std::string>{"one.example", "pypi"}));
    EXPECT_FALSE(s.yes("seal", true));
    EXPECT_EQ(s.find("parallel")->origin, (scratch / "config.yaml").string() + ":1");
    EXPECT_EQ(s.find("models")->origin, (scratch / "config.yaml").string() + ":4");
    EXPECT_EQ(s.find("context")->origin, "FREEHOLD_CONTEXT");
    EXPECT_EQ(s.find("threads")->origin, "--threads");
    EXPECT_EQ(s.find("drain"), nullptr);
}

TEST_F(SettingsTest, EveryFaultHasItsLineAndTheNearestName) {
    EXPECT_EQ(faults("listen: :80\nparalel: 3\n"), ":2: \"paralel\" is no setting. | Did you mean parallel?\n");
    EXPECT_EQ(faults("audit:\n  text: true\n"), ":2: \"audit.text\" is no setting. | Did you mean audit.texts?\n");
    EXPECT_EQ(faults("export_to: /x\n"), ":1: \"export_to\" is no setting. | Did you mean audit.export_to?\n");
    EXPECT_EQ(faults("zzzzzzzzzzzz: 1\n"),
              ":1: \"zzzzzzzzzzzz\" is no setting. | `freehold config show --all` lists them.\n");
    EXPECT_EQ(faults("\nparallel: many\n"), ":2: parallel must be a whole number from 1 to 1024, not \"many\".\n");
    EXPECT_EQ(faults("parallel: 2000\ndrain: -1\n"),
              ":1: parallel must be a whole number from 1 to 1024, not \"2000\".\n"
              ":2: drain must be a whole number from 0 to 86400, not \"-1\".\n");
    EXPECT_EQ(faults("parallel: \"4\"\n"), ":1: parallel must be a whole number from 1 to 1024, not \"\"4\"\".\n");
    EXPECT_EQ(faults("memory: .nan\n"), ":1: memory must be a number from 0 to 1000000, not \".nan\".\n");
    EXPECT_EQ(faults("seal: perhaps\n"), ":1: seal must be true or false, not \"perhaps\".\n");
    EXPECT_EQ(faults("models: one\n"), ":1: models must be a list of texts. | Write it as [one, other].\n");
    EXPECT_EQ(faults("listen: [a]\n"), ":1: listen must be an address and port.\n");
    EXPECT_EQ(faults("audit: yes\n"), ":1: audit holds settings of its own, no single value.\n");
    EXPECT_EQ(faults("drain: 1\ndrain: 2\n"), ":2: drain stands twice. | Keep one of them.\n");
    EXPECT_EQ(faults("profile: q9\n"), ":1: profile is \"q9\", which is none of f32,bf16,q8.\n");
    EXPECT_EQ(
        faults("audit: {export_to: here}\n"),
        ":1: audit.export_to must be an absolute path, not \"here\". | A service starts in a folder of its own.\n");
    EXPECT_NE(faults("listen: nowhere:x\n").find(":1: listen: \"nowhere:x\" is no address"), std::string::npos);
    EXPECT_NE(faults("keep_alive: 5 moons\n").find(":1: keep_alive: \"5 moons\" is no time."), std::string::npos);
    EXPECT_NE(faults("retention: {audit: soon}\n").find(":1: retention.audit: "), std::string::npos);
    EXPECT_NE(faults("a: [1\nb: 2\n").find("This is no YAML"), std::string::npos);
    EXPECT_NE(faults("just words\n").find("no list of KEY: VALUE"), std::string::npos);
    EXPECT_NE(faults("tls: {certificate: /etc/hostname}\n").find("belong together"), std::string::npos);
    EXPECT_EQ(faults(""), "");
    EXPECT_EQ(faults("listen:\naudit:\n"), "");  // said and left open
}

TEST_F(SettingsTest, HostileFilesEndInSentences) {
    EXPECT_NE(faults(std::string(100'000, '[')), "");
    std::string deep = "a: &a [x]\n";
    for (char c = 'b'; c < 'k'; ++c)
        deep += fmt::format("{0}: &{0} [*{1}, *{1}, *{1}, *{1}]\n", c, static_cast<char>(c - 1));
    EXPECT_NE(faults(deep), "");
    EXPECT_NE(faults("audit: {replica: \"a\\0b\"}\n"), "");
    EXPECT_NE(faults("? [1, 2]\n: 3\n"), "");
    EXPECT_NE(faults(std::string(2'000'000, 'x')), "");
}

TEST_F(SettingsTest, TheEnvironmentAndFlagsAreHeldToTheSameRules) {
    environment["FREEHOLD_PARALLEL"] = "0";
    sources.flags.said["drain"] = {"soon"};
    const Settings s = from("");
    ASSERT_EQ(s.faults().size(), 2U);
    EXPECT_EQ(s.faults()[0].where, "FREEHOLD_PARALLEL");
    EXPECT_EQ(s.faults()[1].where, "--drain");
    EXPECT_EQ(s.faults()[1].error().kind(), ErrorKind::usage);
}

// A limit that was misspelt would be no limit; what only begins like ours may be somebody else's.
TEST_F(SettingsTest, MisspeltVariablesAreNamed) {
    sources.environment_names = {"FREEHOLD_PARALEL", "FREEHOLD_RETENTION_TEXT", "FREEHOLD_DRAIN", "FREEHOLD_HOME",
                                 "FREEHOLD_PORT",    "FREEHOLD_SERVICE_HOST",   "FREEHOLD_KEY",   "PARALEL"};
    const Settings s = from("");
    ASSERT_EQ(s.faults().size(), 2U);
    EXPECT_EQ(s.faults()[0].where, "FREEHOLD_PARALEL");
    EXPECT_EQ(s.faults()[0].hint, "Did you mean FREEHOLD_PARALLEL?");
    EXPECT_EQ(s.faults()[1].hint, "Did you mean FREEHOLD_RETENTION_TEXTS?");
    EXPECT_EQ(s.strange_variables(),
              (std::vector<std::string>{"FREEHOLD_PORT", "FREEHOLD_SERVICE_HOST", "FREEHOLD_KEY"}));
}

TEST_F(SettingsTest, ValuesThatTheStartWouldRefuseOrTakeForAnother) {
    EXPECT_NE(faults("audit: {replica: ../x}\n").find("\"../x\" is no name of a replica"), std::string::npos);
    EXPECT_NE(faults("retention: {texts: 0d}\n").find("must be longer than nothing"), std::string::npos);
    EXPECT_EQ(faults("retention: {texts: 1d}\naudit: {replica: r-1}\n"), "");
}

TEST_F(SettingsTest, WhatKeepsAServerFromStartingIsNamedBeforeIt) {
    const auto wrong = [&](const std::string& yaml) {
        const Settings settings = from(yaml);
        EXPECT_TRUE(settings.faults().empty()) << yaml;
        std::string text;
        for (const SettingFault& fault : start_faults(settings, scratch.path())) {
            EXPECT_FALSE(fault.where.empty());
            text += fault.where.substr(fault.where.rfind('/') + 1) + ": " + fault.message + "\n";
        }
        return text;
    };
    EXPECT_EQ(wrong("listen: 127.0.0.1:9999\n"), "");
    EXPECT_EQ(wrong("listen: 0.0.0.0:9999\ninsecure_no_keys: true\n"), "");
    EXPECT_NE(wrong("drain: 3\nlisten: 0.0.0.0:9999\n").find("config.yaml:2: 0.0.0.0 can be reached"),
              std::string::npos);
    EXPECT_FALSE(std::filesystem::exists(scratch / "state.db")) << "looking makes no file";
    write_file(scratch / "no.pem", "this is no certificate\n");
    const std::string pem = (scratch / "no.pem").string();
    EXPECT_NE(wrong("tls: {certificate: " + pem + ", key: " + pem + "}\n").find("No certificate can be read"),
              std::string::npos);
    const std::string models = wrong("models: [nosuch:1, alsonot:2]\n");
    EXPECT_NE(models.find("nosuch:1"), std::string::npos) << models;
    EXPECT_NE(models.find("alsonot:2"), std::string::npos) << models;
    // A key that was made opens the way.
    {
        const auto database = open_state_database(scratch.path());
        access::NewKey key;
        key.name = "a";
        static_cast<void>(access::Keys(*database).create(key));
    }
    EXPECT_EQ(wrong("listen: 0.0.0.0:9999\n"), "");
}

TEST_F(SettingsTest, ASecretIsNotForOthersToRead) {
    static constexpr Setting table[] = {
        {"Store", "database", Kind::text, nullptr, "URL", "", "Where", 0, 0, nullptr, false, true},
        {"Store", "drain", Kind::whole, nullptr, "S", "", "Seconds", 0, 9}};
    sources.table = table;
    const std::string file = (scratch / "config.yaml").string();
    write_file(file, "database: postgresql://u:p@db/f\n");
    ASSERT_EQ(::chmod(file.c_str(), 0644), 0);
    ASSERT_EQ(Settings::read(sources).faults().size(), 1U);
    EXPECT_NE(Settings::read(sources).faults()[0].message.find("others may read it"), std::string::npos);
    ASSERT_EQ(::chmod(file.c_str(), 0640), 0);
    EXPECT_TRUE(Settings::read(sources).faults().empty());
    write_file(file, "drain: 3\n");
    ASSERT_EQ(::chmod(file.c_str(), 0644), 0);
    EXPECT_TRUE(Settings::read(sources).faults().empty());
    ASSERT_EQ(::chmod(file.c_str(), 0666), 0);
    EXPECT_EQ(Settings::read(sources).faults().size(), 1U);
}

TEST_F(SettingsTest, WhichFileIsRead) {
    EXPECT_EQ(from("drain: 3\n").file(), scratch / "config.yaml");
    write_file(scratch / "other.yaml", "drain: 4\n");
    environment["FREEHOLD_CONFIG"] = (scratch / "other.yaml").string();
    EXPECT_EQ(Settings::read(sources).whole("drain", 0), 4);
    sources.flags.file = (scratch / "config.yaml").string();
    EXPECT_EQ(Settings::read(sources).whole("drain", 0), 3);
    sources.flags.file = (scratch / "none.yaml").string();
    ASSERT_EQ(Settings::read(sources).faults().size(), 1U);
    EXPECT_NE(Settings::read(sources).faults()[0].where.find("none.yaml"), std::string::npos);
}

TEST_F(SettingsTest, TheOlderFileHoldsUnlessThisOneSaysOtherwise) {
    write_file(scratch / "access.json",
               R"({"hosts":["old"],"audit":{"replica":"r1"},"retention":{"use":"10d","keys":"1d"}})");
    const Settings s = from(
        "hosts: [new.example]\naudit: {texts: true}\nretention: {use: 20d, texts: 30d}\n"
        "proxy: {addresses: [10.0.0.7], groups: {staff: user, it: 'operator,auditor'}, limits: {tokens_per_day: 9}}\n");
    ASSERT_TRUE(s.faults().empty()) << s.faults().front().message;
    const access::AccessConfig access = s.access(scratch.path());
    EXPECT_EQ(access.door.hosts, std::vector<std::string>{"new.example"});
    EXPECT_EQ(access.replica, "r1");
    EXPECT_TRUE(access.audit_texts);
    EXPECT_EQ(access.keep_use, 20LL * 86'400'000);
    EXPECT_EQ(access.keep_keys, 86'400'000);
    EXPECT_EQ(access.keep_texts, 30LL * 86'400'000);
    EXPECT_EQ(access.door.proxy.groups.at("it"), access::RoleSet::parse("operator,auditor"));
    EXPECT_EQ(access.door.proxy.limits.tokens_per_day, 9);
    EXPECT_NE(faults("proxy: {addresses: [10.0.0.7]}\n"), "");  // without groups nobody could come in
    EXPECT_NE(faults("proxy: {addresses: [somewhere], groups: {a: user}}\n"), "");
}

// The docs are made from the table: `freehold config reference` prints what must stand between the marks.
TEST(SettingsDocs, ThePageIsTheTable) {
    const std::string page = read_file(FREEHOLD_SOURCE_DIR "/docs/configuration.md");
    const std::string begin = "<!-- settings: begin -->\n", end = "<!-- settings: end -->";
    const std::size_t from = page.find(begin), to = page.find(end);
    ASSERT_NE(from, std::string::npos);
    ASSERT_NE(to, std::string::npos);
    EXPECT_EQ(page.substr(from + begin.size(), to - from - begin.size()), settings_markdown(settings_table()));
}

TEST(SettingsDocs, TheFileOfThePackageIsWhole) {
    Settings::Sources sources;
    sources.file = FREEHOLD_SOURCE_DIR "/packaging/config.yaml";
    sources.environment = [](const char*) -> const char* { return nullptr; };
    const Settings settings = Settings::read(sources);
    EXPECT_TRUE(settings.faults().empty()) << settings.faults().front().message;
    EXPECT_EQ(settings.text("listen"), "127.0.0.1:8080");
}

TEST(SettingsTable, NamesAreUniqueAndDefaultsAreRight) {
    std::map<std::string, int> names;
    for (const Setting& s : settings_table()) {
        EXPECT_EQ(++names[s.key], 1) << s.key;
        EXPECT_EQ(++names[environment_name(s)], 1) << s.key;
        if (s.flag != nullptr) {
            EXPECT_EQ(++names[s.flag], 1) << s.key;
        }
        // A section is no setting of its own.
        for (const Setting& other : settings_table())
            EXPECT_FALSE(std::string_view(other.key).starts_with(std::string(s.key) + ".")) << s.key;
    }
}

}  // namespace
}  // namespace freehold::cli
