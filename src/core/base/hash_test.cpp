// SHA-256 against the examples of FIPS 180-4 and its companions.
#include "freehold/base/hash.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "freehold/base/error.h"
#include "freehold/base/file.h"

namespace freehold {
namespace {

std::span<const std::byte> bytes_of(std::string_view s) {
    return std::as_bytes(std::span(s.data(), s.size()));
}

TEST(Sha256, KnownAnswers) {
    EXPECT_EQ(sha256_hex(bytes_of("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_EQ(sha256_hex(bytes_of("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(sha256_hex(bytes_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(Sha256, AMillionTimesAInUnevenPieces) {
    Sha256 sha;
    const std::string a(1'000'000, 'a');
    std::size_t at = 0;
    for (std::size_t step = 1; at < a.size(); step = step * 3 % 1009 + 1) {
        const std::size_t n = std::min(step, a.size() - at);
        sha.update(bytes_of(std::string_view(a).substr(at, n)));
        at += n;
    }
    EXPECT_EQ(sha.hex(), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, OfAFileWithProgressThatMayStopIt) {
    const auto path = std::filesystem::path(testing::TempDir()) / "freehold_hash_test.bin";
    const std::string text(3'000'000, 'x');
    write_text_atomic(path, text);
    std::uint64_t last = 0;
    EXPECT_EQ(sha256_file(path,
                          [&](std::uint64_t done, std::uint64_t total) {
                              EXPECT_GT(done, last);
                              EXPECT_EQ(total, text.size());
                              last = done;
                          }),
              sha256_hex(bytes_of(text)));
    EXPECT_EQ(last, text.size());
    const auto stop = [&](std::uint64_t, std::uint64_t) { throw Error(ErrorKind::cancelled, "Stopped."); };
    EXPECT_THROW(static_cast<void>(sha256_file(path, stop)), Error);
    std::filesystem::remove(path);
    try {
        static_cast<void>(sha256_file(path));
        FAIL() << "a file that is not there has no digest";
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::not_found);
    }
}

}  // namespace
}  // namespace freehold
