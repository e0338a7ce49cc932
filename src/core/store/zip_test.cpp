// Archives that are well made, and one for each way in which they are not.
#include <gtest/gtest.h>

#include "support/scratch.h"
#include "support/zip_maker.h"
#include "zip.h"

namespace freehold {
namespace {

using testing::error_of;
using testing::ZipItem;
using testing::ZipMaker;

std::span<const std::byte> bytes_of(const std::string& text) {
    return std::as_bytes(std::span(text));
}

// What the reader says about an archive, after reading all entries too; empty if it says nothing.
std::string fault_of(const std::string& bytes) {
    try {
        const zip::Archive archive(bytes_of(bytes), "x.whl");
        for (const zip::Entry& entry : archive.entries()) static_cast<void>(archive.read_text(entry, 1 << 20));
    } catch (const Error& e) {
        return e.message();
    }
    return {};
}

void expect_fault(const std::vector<ZipItem>& items, const std::string& part) {
    const std::string said = fault_of(ZipMaker::make(items));
    EXPECT_NE(said.find(part), std::string::npos) << "said: " << said << "\nexpected: " << part;
}

TEST(Zip, ReadsStoredAndDeflated) {
    const std::string text(100000, 'a');
    const std::string bytes = ZipMaker::make({{"a/b.txt", text}, {"c.bin", "raw", false}, {"folder/", "", false}});
    const zip::Archive archive(bytes_of(bytes), "x.whl");
    ASSERT_EQ(archive.entries().size(), 3U);
    EXPECT_EQ(archive.read_text(*archive.find("a/b.txt"), 1 << 20), text);
    EXPECT_EQ(archive.read_text(*archive.find("c.bin"), 10), "raw");
    EXPECT_TRUE(archive.find("folder/")->folder);
    EXPECT_EQ(archive.find("nothing"), nullptr);
}

TEST(Zip, RefusesNamesThatClimb) {
    expect_fault({{"../evil", "x"}}, "climbs");
    expect_fault({{"a/../../evil", "x"}}, "climbs");
    expect_fault({{"/etc/passwd", "x"}}, "absolute");
    expect_fault({{"a\\b", "x"}}, "backslash");
    expect_fault({{"C:evil", "x"}}, "drive");
    expect_fault({{"a//b", "x"}}, "empty part");
    expect_fault({{std::string("a\0b", 3), "x"}}, "control byte");
    expect_fault({{"", "x"}}, "empty");
}

TEST(Zip, RefusesWhatIsNoPlainFile) {
    expect_fault({{"link", "/etc/passwd", false, 0120777}}, "symbolic link");
    expect_fault({{"dev", "", false, 0020666}}, "no regular file");
    expect_fault({{"a", "x"}, {"a", "y"}}, "twice");
    expect_fault({{"a", "x"}, {"a/", "", false}}, "twice");
    expect_fault({{"a/", "content", false}}, "has content");
    expect_fault({{.name = "a", .content = "x", .flags = 1}}, "encrypted");
    expect_fault({{.name = "a", .content = "x", .method = 12}}, "method 12");
}

TEST(Zip, RefusesLiesAboutSizes) {
    const std::string text(100000, 'a');
    expect_fault({{.name = "a", .content = text, .claimed_size = 5000}}, "bomb");
    expect_fault({{.name = "a", .content = text, .claimed_size = 0xfffffffe}}, "bomb");
    expect_fault({{.name = "a", .content = text, .claimed_size = 100001}}, "not to 100001");
    expect_fault({{.name = "a", .content = "abc", .deflate = false, .claimed_size = 4}}, "two sizes");
    expect_fault({{.name = "a", .content = text, .claimed_crc = 1}}, "checksum");
    expect_fault({{.name = "a", .content = text, .local_name = "b"}}, "another name");
    expect_fault({{.name = "a", .content = text}, {.name = "b", .content = text, .claimed_offset = 0}}, "overlap");
    expect_fault({{.name = "a", .content = text, .claimed_offset = 0x7fffffff}}, "outside the file");
    expect_fault({{.name = "a", .content = text, .claimed_offset = 1}}, "no header");
}

TEST(Zip, RefusesWhatIsCutOff) {
    const std::string whole = ZipMaker::make({{"a/b.txt", std::string(3000, 'q')}, {"c", "raw", false}});
    for (std::size_t n = 0; n < whole.size(); ++n) EXPECT_NE(fault_of(whole.substr(0, n)), "") << n;
    // A byte too many before the end shifts every offset of a reader that is not careful.
    EXPECT_NE(fault_of(whole + "x"), "");
}

TEST(Zip, SurvivesEveryFlippedByte) {
    const std::string whole = ZipMaker::make({{"a/b.txt", "hello hello hello"}, {"c", "raw", false}});
    int accepted = 0;
    for (std::size_t i = 0; i < whole.size(); ++i) {
        for (const int bit : {1, 0x80}) {
            std::string bent = whole;
            bent[i] = static_cast<char>(bent[i] ^ bit);
            if (fault_of(bent).empty()) ++accepted;  // times, versions and the like may change freely
        }
    }
    EXPECT_LT(accepted, static_cast<int>(whole.size()));
}

TEST(Zip, KeepsItsLimits) {
    const std::string bytes = ZipMaker::make({{"a", std::string(1000, 'x')}, {"b", std::string(1000, 'y')}});
    zip::Limits limits;
    limits.max_total = 1999;
    EXPECT_THROW(zip::Archive(bytes_of(bytes), "x", limits), Error);
    limits = {};
    limits.max_entries = 1;
    EXPECT_THROW(zip::Archive(bytes_of(bytes), "x", limits), Error);
    const zip::Archive archive(bytes_of(bytes), "x");
    EXPECT_EQ(error_of([&] { static_cast<void>(archive.read_text(*archive.find("a"), 999)); }).kind(),
              ErrorKind::limit);
}

}  // namespace
}  // namespace freehold
