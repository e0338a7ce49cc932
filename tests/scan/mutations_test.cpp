// Hundreds of disguises made at test time: payloads in every protocol and way to call, each renamed, nested, encoded,
// put into archives, behind junk and over several files. The same disguises around harmless pickles must stay clean.
#include <archive.h>
#include <fmt/format.h>

#include <random>

#include "makers.h"
#include "support.h"

namespace freehold::scan_test {
namespace {

TEST(ScanMutations, EveryDisguiseOfEveryPayloadIsFound) {
    int made = 0;
    for (const auto& [module, name] : std::vector<std::pair<std::string, std::string>>{
             {"os", "system"}, {"builtins", "exec"}, {"subprocess", "Popen"}}) {
        for (const Payload& payload : payloads(module, name)) {
            for (const Disguise& disguise : disguises()) {
                ++made;
                const auto result = look(disguise.make(payload.bytes), disguise.name);
                EXPECT_TRUE(has(result, "pickle.dangerous-import"))
                    << payload.what << " of " << module << " as " << disguise.name << shown(result);
            }
        }
    }
    EXPECT_GT(made, 2000);
}

// Two disguises over each other, drawn at random (the same ones each time): whatever begins like a payload may be put
// into text, and all of it into archives.
TEST(ScanMutations, DisguisesOverDisguisesAreFound) {
    std::mt19937 random(11);
    const auto all = disguises();
    const auto pick = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
    const auto is_text = [](const std::string& name) {
        return name.ends_with(".txt") || name.ends_with(".json") || name.ends_with(".yaml");
    };
    const auto is_junk = [](const std::string& name) {
        return name.starts_with("junk") || name == "tensor.safetensors" || name.starts_with("array.");
    };
    const auto calls = payloads("posix", "system");
    for (int i = 0; i < 600; ++i) {
        const Payload& payload = calls[pick(calls.size())];
        const Disguise &inner = all[pick(all.size())], &outer = all[pick(all.size())];
        // What begins with junk cannot be told from text once it is encoded (docs/scan.md).
        if (is_text(outer.name) && (is_junk(inner.name) || is_text(inner.name))) continue;
        const std::string bytes = outer.make(inner.make(payload.bytes));
        const auto result = look(bytes, outer.name);
        EXPECT_TRUE(has(result, "pickle.dangerous-import"))
            << payload.what << " as " << inner.name << " as " << outer.name << shown(result);
    }
}

TEST(ScanMutations, NothingIsRunOfAnyDisguise) {
    // Made before: the writer of 7z archives uses a file.
    std::vector<std::pair<std::string, std::string>> made;
    for (const Payload& payload : payloads("os", "system"))
        for (const Disguise& disguise : disguises()) made.emplace_back(disguise.name, disguise.make(payload.bytes));
    EXPECT_TRUE(sealed([&] {
        for (const auto& [name, bytes] : made) static_cast<void>(look(bytes, name));
        return 0;
    }));
}

TEST(ScanMutations, HarmlessPicklesStayCleanInTheSameDisguises) {
    for (const Payload& payload : harmless()) {
        for (const Disguise& disguise : disguises()) {
            const auto result = look(disguise.make(payload.bytes), disguise.name);
            EXPECT_TRUE(result.findings.empty()) << payload.what << " as " << disguise.name << shown(result);
        }
    }
}

TEST(ScanMutations, WhatIsNotKnownToBeHarmlessIsFound) {
    for (const auto& [module, name] :
         std::vector<std::pair<std::string, std::string>>{{"sklearn.utils._mocking", "MockDataFrame"},
                                                          {"my_model", "Net"},
                                                          {"collections", "abc.sys.exit"},
                                                          {"torch", "hub.load"},
                                                          {"numpy", "testing"}}) {
        for (const Payload& payload : payloads(module, name)) {
            const auto result = look(payload.bytes, "model.pkl");
            EXPECT_EQ(result.outcome(), scan::Outcome::finding) << payload.what << " of " << module << shown(result);
        }
    }
}

// Objects of scikit-learn and the like are told, but not as weapons, as long as they are made as pickles make objects.
TEST(ScanMutations, ObjectsOfLibrariesAreOfLowSeverity) {
    const auto worst = [](const std::string& bytes) {
        const auto result = look(bytes, "model.pkl");
        return result.findings.empty() ? std::string("none")
                                       : std::string(severity_name(result.findings.front().severity));
    };
    const std::string svc = "\x80\x02" + std::string("csklearn.svm._classes\nSVC\n");
    EXPECT_EQ(worst(svc + ")\x81}b."), "low");
    EXPECT_EQ(worst(svc + text4("linear") + "\x85R."), "medium");
    EXPECT_EQ(worst("\x80\x02" + std::string("csklearn.tree._tree\nTree\n)\x81}b.")), "low");
    EXPECT_EQ(worst("\x80\x02" + std::string("csklearn.neighbors._kd_tree\nnewObj\n)R}b.")), "low");
    EXPECT_EQ(worst("\x80\x02" + std::string("csklearn.datasets._base\nFetcher\n)\x81.")), "medium");
    EXPECT_EQ(worst("\x80\x02" + std::string("ctorch.nn.modules.linear\nLinear\n)\x81}b.")), "none");
    EXPECT_EQ(worst("\x80\x02" + std::string("ctorch.nn.modules.module\nos.system\n.")), "critical");
}

TEST(ScanMutations, ArchivesThatLieAreToldAndReadAllTheSame) {
    const Payload payload = payloads("os", "system")[2];
    const std::vector<std::pair<std::string, std::string>> members = {{"a.txt", "hello"}, {"data.pkl", payload.bytes}};
    for (const ZipOptions& options : std::vector<ZipOptions>{{false, true, false, false, ""},
                                                             {true, true, false, false, ""},
                                                             {false, false, true, false, ""},
                                                             {true, false, true, false, ""},
                                                             {false, false, false, true, ""},
                                                             {true, false, false, true, ""},
                                                             {false, false, false, false, "b.txt"}}) {
        const auto result = look(zip(members, options), "model.pt");
        EXPECT_TRUE(has(result, "archive.mismatch")) << shown(result);
        EXPECT_TRUE(has(result, "pickle.dangerous-import")) << shown(result);
    }
    EXPECT_TRUE(has(look(zip({{"../../etc/cron.d/x", "x"}}), "m.zip"), "archive.traversal"));
    EXPECT_TRUE(has(look(zip({{"/etc/x", "x"}}), "m.zip"), "archive.traversal"));
    EXPECT_TRUE(has(look(zip({{"a\\..\\..\\x", "x"}}), "m.zip"), "archive.traversal"));
    EXPECT_TRUE(has(look(zip({{"a", "x"}, {"a", "y"}}), "m.zip"), "archive.duplicate"));
    EXPECT_TRUE(
        has(look(packed("../x", "x", ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_GZIP), "m.tgz"), "archive.traversal"));
}

TEST(ScanMutations, BombsEndAtTheBounds) {
    scan::Options options;
    options.limits.unpacked = 4 << 20;
    options.limits.member = 2 << 20;
    const std::string zeros(24 << 20, '\0');
    auto result = look(zip({{"zeros", zeros}}, {true, false, false, false, ""}), "bomb.zip", options);
    EXPECT_TRUE(has(result, "archive.bomb")) << shown(result);
    result = look(packed("zeros", zeros, ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_GZIP), "bomb.tgz", options);
    EXPECT_TRUE(has(result, "archive.bomb")) << shown(result);
    std::string nested = "x";
    for (int i = 0; i < 20; ++i) nested = zip({{"inner.zip", nested}});
    EXPECT_EQ(look(nested, "deep.zip").outcome(), scan::Outcome::not_scanned);
    // A pickle that doubles itself.
    std::string laughs = "\x80\x02]";
    for (int i = 0; i < 80; ++i)
        laughs +=
            "q" + little(static_cast<std::uint64_t>(i), 1) + "h" + little(static_cast<std::uint64_t>(i), 1) + "\x86";
    EXPECT_TRUE(has(look(laughs + ".", "laughs.pkl"), "pickle.expansion"));
}

TEST(ScanMutations, APayloadSplitOverFilesIsFound) {
    const fs::path folder = fs::temp_directory_path() / fmt::format("freehold-scan-split-{}", getpid());
    for (const Payload& payload : payloads("os", "system")) {
        for (const auto& [first, second] : std::vector<std::pair<std::string, std::string>>{
                 {"m.pkl.001", "m.pkl.002"}, {"m.zip.part1", "m.zip.part2"}, {"m.aa", "m.ab"}}) {
            fs::remove_all(folder);
            const std::string whole = first.starts_with("m.zip") ? zip({{"data.pkl", payload.bytes}}) : payload.bytes;
            write(folder / first, whole.substr(0, 9));
            write(folder / second, whole.substr(9));
            EXPECT_EQ(scan::scan_path(folder).outcome(), scan::Outcome::finding) << payload.what << " over " << first;
        }
    }
    fs::remove_all(folder);
}

TEST(ScanMutations, LinksThatLeadOutAreFound) {
    const fs::path folder = fs::temp_directory_path() / fmt::format("freehold-scan-link-{}", getpid());
    fs::remove_all(folder);
    fs::create_directories(folder / "a");
    write(folder / "a" / "x.txt", "hello");
    fs::create_symlink("x.txt", folder / "a" / "inside");
    EXPECT_EQ(scan::scan_path(folder).outcome(), scan::Outcome::clean);
    fs::create_symlink("/etc/hostname", folder / "a" / "outside");
    const auto report = scan::scan_path(folder);
    EXPECT_EQ(report.outcome(), scan::Outcome::finding);
    fs::remove(folder / "a" / "outside");
    fs::create_symlink("nowhere", folder / "a" / "dangling");
    EXPECT_EQ(scan::scan_path(folder).outcome(), scan::Outcome::not_scanned);
    fs::remove_all(folder);
}

}  // namespace
}  // namespace freehold::scan_test
