// Archives written and read; a table of hostile ones.
#include "tar.h"

#include <gtest/gtest.h>

#include <functional>

#include "freehold/base/error.h"
#include "freehold/bundle/contents.h"

namespace freehold::bundle {
namespace {

std::string file(const std::string& name, const std::string& bytes) {
    return tar_header(name, bytes.size(), 0) + bytes + tar_padding(bytes.size());
}

Contents read(const std::string& archive) {
    return contents_of_tar(std::as_bytes(std::span(archive)), "test.tar");
}

// A header with other bytes at a place, and its sum made right again.
std::string with(std::string block, std::size_t at, std::string_view bytes) {
    block.replace(at, bytes.size(), bytes);
    block.replace(148, 8, "        ");
    unsigned sum = 0;
    for (std::size_t i = 0; i < 512; ++i) sum += static_cast<unsigned char>(block[i]);
    char text[8];
    std::snprintf(text, sizeof text, "%06o", sum);
    block.replace(148, 6, text, 6);
    block[154] = '\0';
    return block;
}

TEST(Tar, IsReadBack) {
    const std::string deep = "folder/" + std::string(120, 'd') + "/file.bin";
    const std::string longest = std::string(200, 'x') + ".bin";
    const std::string archive = file("a.txt", "hello") + file("b/empty", "") + file(deep, std::string(512, 'y')) +
                                file(longest, std::string(513, 'z')) + tar_end();
    EXPECT_TRUE(is_tar(std::as_bytes(std::span(archive))));
    const Contents c = read(archive);
    EXPECT_TRUE(c.faults.empty()) << c.faults.front();
    ASSERT_EQ(c.entries.size(), 4U);
    const Entry* a = c.find("a.txt");
    ASSERT_NE(a, nullptr);
    EXPECT_EQ(archive.substr(a->offset, a->size), "hello");
    ASSERT_NE(c.find(deep), nullptr);
    EXPECT_EQ(c.find(deep)->size, 512U);
    ASSERT_NE(c.find(longest), nullptr);
    EXPECT_EQ(archive.substr(c.find(longest)->offset, 3), "zzz");
    EXPECT_EQ(c.find("c"), nullptr);
}

TEST(Tar, ASizeBeyondOctalTakesAPaxHeader) {
    const std::string header = tar_header("big", 1ULL << 40U, 0);
    EXPECT_EQ(header.size(), 3U * 512);
    EXPECT_NE(header.find("size=1099511627776\n"), std::string::npos);
}

TEST(Tar, WhatIsNoPlainFileIsAFault) {
    const std::string header = tar_header("x", 0, 0);
    const std::vector<std::string> odd = {
        with(header, 156, "1"),
        with(header, 156, "2"),
        with(header, 156, "3"),
        with(header, 156, "4"),
        with(header, 156, "6"),
        with(header, 156, "7"),
        with(header, 156, "L"),
        with(header, 156, "g"),
        with(header, 0, "/etc/passwd"),
        with(header, 0, "../up"),
        with(header, 0, "a/../../b"),
        with(header, 0, "a//b"),
        with(header, 0, "././x"),
        with(header, 0, "C:\\x"),
        with(header, 0, "\xff\xfe"),
        with(header, 345, ".."),
        header + header,
    };
    for (const std::string& entry : odd) {
        const Contents c = read(file("good", "1") + entry + tar_end());
        EXPECT_FALSE(c.faults.empty()) << entry.substr(0, 20) << entry[156];
        EXPECT_NE(c.find("good"), nullptr);
    }
    const Contents folder = read(with(with(header, 156, "5"), 0, "folder/") + file("folder/a", "1") + tar_end());
    EXPECT_TRUE(folder.faults.empty());
    EXPECT_EQ(folder.entries.size(), 1U);
}

TEST(Tar, DamagedArchivesAreRefused) {
    const std::string a = file("a", "hello");
    const auto pax = [](const std::string& records) {
        return with(tar_header("p", records.size(), 0), 156, "x") + records + tar_padding(records.size());
    };
    std::string sum = a;
    sum[0] = 'b';
    std::string hidden = a + tar_end();
    hidden[512 + 100] = 'x';  // behind "hello"
    const std::vector<std::string> wrong = {
        "",
        a,                           // no end
        a + std::string(512, '\0'),  // half an end
        a.substr(0, 700),            // cut inside a file
        sum + tar_end(),             // another name, the old sum
        hidden,
        a + tar_end() + "more",
        a + tar_end() + std::string(511, '\0') + "x",
        with(tar_header("a", 0, 0), 124, "99999999999") + tar_end(),
        with(tar_header("a", 0, 0), 124, "77777777777") + tar_end(),  // larger than the archive
        with(tar_header("a", 0, 0), 124, "\x80\x00\x00\x00") + tar_end(),
        with(tar_header("a", 0, 0), 257, "nothing") + tar_end(),
        pax("11 path=ab\n") + tar_end(),      // belongs to nothing
        pax("12 path=ab\n") + a + tar_end(),  // wrong length
        pax("999999999999999999999 path=ab\n") + a + tar_end(),
        pax("3 \n") + a + tar_end(),
        pax("11 path:ab\n") + a + tar_end(),
        pax("11 size=xx\n") + a + tar_end(),
        pax("28 size=9223372036854775807\n") + a + tar_end(),
        pax("16 linkpath=abc\n") + a + tar_end(),
        pax("21 GNU.sparse.size=1\n") + a + tar_end(),
        pax("11 path=ab\n") + pax("11 path=ab\n") + a + tar_end(),
    };
    for (const std::string& archive : wrong) EXPECT_THROW(static_cast<void>(read(archive)), Error) << archive.size();
    EXPECT_EQ(read(pax("11 path=ab\n") + a + tar_end()).entries.front().name, "ab");
}

}  // namespace
}  // namespace freehold::bundle
