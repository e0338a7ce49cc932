// Files that the makers of other scanners collected, with what they are (tests/data/scan/SOURCES.tsv): every hostile
// one is found, no clean one flagged, what cannot be read is said to be so, and nothing is run or called.
#include <sys/socket.h>

#include "support.h"

namespace freehold::scan_test {
namespace {

TEST(ScanKnownFiles, EachHasTheOutcomeThatIsExpected) {
    const auto files = known_files();
    ASSERT_GT(files.size(), 100U);
    for (const Known& known : files) {
        const auto result = look(read(known.path), known.name);
        const auto outcome = result.outcome();
        if (known.expected == "malicious") {
            EXPECT_EQ(outcome, scan::Outcome::finding) << known.name << shown(result);
            EXPECT_FALSE(result.findings.empty() || result.findings.front().severity < scan::Severity::medium)
                << known.name << shown(result);
        } else if (known.expected == "clean") {
            EXPECT_EQ(outcome, scan::Outcome::clean) << known.name << shown(result);
        } else if (known.expected == "unscannable") {
            EXPECT_EQ(outcome, scan::Outcome::not_scanned) << known.name << shown(result);
        } else {
            EXPECT_NE(outcome, scan::Outcome::finding) << known.name << shown(result);
        }
    }
}

// The harm is named where it is: not only some oddity of the container.
TEST(ScanKnownFiles, HostileFilesAreFoundForWhatTheyDo) {
    for (const Known& known : known_files()) {
        if (known.expected != "malicious") continue;
        const auto result = look(read(known.path), known.name);
        bool pickle = false;
        for (const auto& finding : result.findings)
            pickle = pickle || std::string_view(finding.rule->id).starts_with("pickle.");
        EXPECT_TRUE(pickle) << known.name << shown(result);
    }
}

TEST(ScanKnownFiles, NothingIsRunAndNobodyIsCalled) {
    const auto files = known_files();
    EXPECT_TRUE(sealed([&] {
        for (const Known& known : files) static_cast<void>(scan::scan_path(known.path));
        return 0;
    }));
    // The filter itself works: a child that starts a program, makes a connection or writes a file is killed.
    EXPECT_FALSE(sealed([] {
        execl("/bin/true", "true", nullptr);
        return 0;
    }));
    EXPECT_FALSE(sealed([] { return socket(AF_INET, SOCK_STREAM, 0) < 0 ? 0 : 1; }));
    EXPECT_FALSE(sealed([] { return open("/dev/null", O_WRONLY | O_CLOEXEC) < 0 ? 0 : 1; }));
}

TEST(ScanKnownFiles, AFolderTellsTheWorstOfThem) {
    const auto report = scan::scan_path(fs::path(FREEHOLD_TEST_DATA) / "scan");
    EXPECT_EQ(report.outcome(), scan::Outcome::finding);
    EXPECT_EQ(report.worst(), scan::Severity::critical);
    EXPECT_GT(report.count(scan::Outcome::clean), 5U);
    EXPECT_GT(report.count(scan::Outcome::not_scanned), 0U);
}

}  // namespace
}  // namespace freehold::scan_test
