// HDF5 as h5py writes it (tests/oracle/hdf5_files.py): what is harmless is clean, what is hostile is named where it is,
// and what is not read is said to be so.
#include <fmt/format.h>

#include "makers.h"
#include "support.h"

namespace freehold::scan_test {
namespace {

fs::path folder() {
    return fs::path(FREEHOLD_SOURCE_DIR) / "tests/golden/hdf5";
}
scan::FileResult look_at(const std::string& name) {
    const std::string bytes = read(folder() / name);
    EXPECT_FALSE(bytes.empty()) << name;
    return look(bytes, name);
}

TEST(ScanHdf5, HarmlessFilesAreClean) {
    for (const char* name : {"keras.h5", "keras_latest.h5", "keras_block.h5", "soft.h5", "packed_numbers.h5",
                             "packed_texts.h5", "packed_one.h5", "shared_type.h5"}) {
        const auto result = look_at(name);
        EXPECT_EQ(result.outcome(), scan::Outcome::clean) << name << shown(result);
    }
}

TEST(ScanHdf5, LambdaLayersAreFoundInAttributes) {
    for (const char* name : {"lambda.h5", "lambda_fixed.h5", "lambda_latest.h5", "lambda_block.h5", "lambda_deep.h5"})
        EXPECT_TRUE(has(look_at(name), "keras.lambda")) << name << shown(look_at(name));
    EXPECT_EQ(look_at("lambda_deep.h5").findings.front().member, "/a/b/c@config");
}

TEST(ScanHdf5, PicklesInAttributesAreFound) {
    EXPECT_TRUE(has(look_at("pickle.h5"), "pickle.dangerous-import"));
}

// Of a type that is an object of its own; in texts that are packed, fixed or of any length, shuffled and summed.
TEST(ScanHdf5, WhatIsSharedOrPackedIsLookedAt) {
    EXPECT_TRUE(has(look_at("lambda_shared.h5"), "keras.lambda")) << shown(look_at("lambda_shared.h5"));
    EXPECT_EQ(look_at("lambda_shared.h5").findings.front().member, "@config");
    for (const char* name : {"lambda_packed.h5", "lambda_packed_one.h5", "lambda_packed_any.h5"}) {
        const auto result = look_at(name);
        ASSERT_TRUE(has(result, "keras.lambda")) << name << shown(result);
        EXPECT_EQ(result.findings.front().member, "/texts") << name;
    }
    EXPECT_TRUE(has(look_at("pickle_packed.h5"), "pickle.dangerous-import")) << shown(look_at("pickle_packed.h5"));
}

TEST(ScanHdf5, DataFromOtherFilesAreFound) {
    for (const char* name : {"link.h5", "link_latest.h5", "external.h5", "virtual.h5"})
        EXPECT_TRUE(has(look_at(name), "hdf5.external")) << name << shown(look_at(name));
    EXPECT_NE(shown(look_at("link.h5")).find("/etc/passwd"), std::string::npos);
}

TEST(ScanHdf5, WhatIsNotReadIsTold) {
    for (const char* name : {"packed_otherwise.h5", "packed_latest.h5", "many_attributes.h5"})
        EXPECT_EQ(look_at(name).outcome(), scan::Outcome::not_scanned) << name << shown(look_at(name));
}

// Cut off anywhere, and with any byte of its beginning turned: it ends, and is never called clean for being broken
// early.
TEST(ScanHdf5, BrokenFilesEnd) {
    for (const char* name : {"lambda_packed.h5", "lambda_shared.h5", "lambda_packed_one.h5", "lambda_packed_any.h5"}) {
        const std::string packed = read(folder() / name);
        for (std::size_t at = 8; at < packed.size(); at += at < 4096 ? 1 : 37) {
            std::string turned = packed;
            turned[at] = static_cast<char>(turned[at] ^ 0x55);
            static_cast<void>(look(turned, "m.h5"));
        }
        for (std::size_t size = 64; size < packed.size(); size += 301)
            EXPECT_NE(look(packed.substr(0, size), "m.h5").outcome(), scan::Outcome::clean) << name << " " << size;
    }
    const std::string whole = read(folder() / "keras.h5");
    for (std::size_t size = 16; size < whole.size(); size += 97)
        EXPECT_NE(look(whole.substr(0, size), "m.h5").outcome(), scan::Outcome::finding) << size;
    EXPECT_EQ(look(whole.substr(0, 100), "m.h5").outcome(), scan::Outcome::not_scanned);
    for (std::size_t at = 8; at < std::min<std::size_t>(whole.size(), 2048); ++at) {
        std::string turned = whole;
        turned[at] = static_cast<char>(turned[at] ^ 0x55);
        static_cast<void>(look(turned, "m.h5"));
    }
}

}  // namespace
}  // namespace freehold::scan_test
