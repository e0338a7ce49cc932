// `freehold scan` as a person and a pipeline meet it: exit codes, the table, what is said of a path that is not there.
#include <gtest/gtest.h>

#include "command_line.h"
#include "freehold/base/value.h"
#include "tests/support/scratch.h"

namespace freehold {
namespace {

using test::freehold_says;
using test::Said;
using testing::write_file;

TEST(ScanVerb, TellsByItsExitCode) {
    const testing::Scratch scratch;
    write_file(scratch / "clean" / "notes.txt", "hello\n");
    write_file(scratch / "cut" / "w.pkl", std::string("\x80\x04\x95\x10\0\0\0\0\0\0\0(", 12));
    write_file(scratch / "bad" / "w.pkl", "cos\nsystem\n(S'id'\ntR.");
    const std::string at = scratch.path().string();
    EXPECT_EQ(freehold_says("scan -q " + at + "/clean").code, 0);
    EXPECT_EQ(freehold_says("scan -q " + at + "/cut").code, 2);
    EXPECT_EQ(freehold_says("scan -q " + at + "/bad").code, 1);
    EXPECT_EQ(freehold_says("scan -q " + at).code, 1);
    EXPECT_TRUE(freehold_says("scan -q " + at).out.empty());
    const Said table = freehold_says("scan " + at);
    EXPECT_NE(table.out.find("bad/w.pkl"), std::string::npos) << table.out;
    EXPECT_NE(table.out.find("os.system, which runs commands"), std::string::npos) << table.out;
    EXPECT_NE(table.out.find("1 clean, 1 with findings, 1 not scanned"), std::string::npos) << table.out;
    EXPECT_EQ(table.out.find("notes.txt"), std::string::npos) << "clean files are listed only when asked for";
    EXPECT_NE(freehold_says("scan --all " + at).out.find("notes.txt"), std::string::npos);
    EXPECT_TRUE(table.err.empty()) << "no progress where nobody watches: " << table.err;
    const Said json = freehold_says("scan --json " + at);
    const Value report = parse_json(json.out, "report");
    EXPECT_EQ(find(*report.get<ValueMap>(), "outcome")->as_string(), "finding");
    EXPECT_EQ(find(*report.get<ValueMap>(), "counts.files")->as_int(), 3);
}

TEST(ScanVerb, SaysWhatItDidNotFind) {
    const Said said = freehold_says("scan /no/such/place");
    EXPECT_NE(said.code, 0);
    EXPECT_TRUE(said.out.empty());
    EXPECT_NE(said.err.find("/no/such/place"), std::string::npos) << said.err;
    EXPECT_NE(freehold_says("scan").code, 0);
}

}  // namespace
}  // namespace freehold
