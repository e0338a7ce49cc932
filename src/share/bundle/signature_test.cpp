// Keys, envelopes and statements: what is signed is read back, and every change of it is seen. That other programs read
// them too is shown by tests/share.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base64.h"
#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/hash.h"
#include "freehold/base/value.h"
#include "freehold/bundle/manifest.h"
#include "freehold/bundle/signature.h"

namespace freehold::bundle {
namespace {

namespace fs = std::filesystem;

std::string hex_of(std::string_view text) {
    return sha256_hex(std::as_bytes(std::span(text)));
}

class Kinds : public testing::TestWithParam<KeyKind> {};

TEST_P(Kinds, SignAndVerify) {
    const PrivateKey key = PrivateKey::generate(GetParam());
    const std::string signature = key.sign("message");
    EXPECT_TRUE(key.public_key().verify("message", signature));
    EXPECT_FALSE(key.public_key().verify("messagf", signature));
    EXPECT_FALSE(key.public_key().verify("message", signature.substr(1)));
    EXPECT_FALSE(PrivateKey::generate(GetParam()).public_key().verify("message", signature));
    const PublicKey again = PublicKey::from_pem(key.public_key().pem(), "again");
    EXPECT_EQ(again.hint(), key.public_key().hint());
    EXPECT_EQ(again.hint(), hex_of(again.pem()));
    EXPECT_TRUE(again.verify("message", signature));
    EXPECT_EQ(key_kind_from(key_kind_name(GetParam())), GetParam());
}

INSTANTIATE_TEST_SUITE_P(Signature, Kinds,
                         testing::Values(KeyKind::p256, KeyKind::p384, KeyKind::p521, KeyKind::ed25519));

TEST(Signature, AKeyIsKeptForItsOwnerAndNeverOverwritten) {
    const fs::path file = fs::path(testing::TempDir()) / ("freehold_key_" + std::to_string(::getpid()));
    fs::remove(file);
    fs::remove(file.string() + ".pub");
    const PrivateKey key = PrivateKey::generate(KeyKind::p384);
    key.save(file);
    struct stat info {};
    ASSERT_EQ(::stat(file.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777U, 0600U);
    EXPECT_EQ(PrivateKey::load(file).public_key().hint(), key.public_key().hint());
    EXPECT_EQ(PublicKey::load(file.string() + ".pub").hint(), key.public_key().hint());
    EXPECT_THROW(PrivateKey::generate(KeyKind::p256).save(file), Error);
    fs::remove(file.string() + ".pub");
    EXPECT_THROW(PrivateKey::generate(KeyKind::p256).save(file), Error);
    EXPECT_EQ(PrivateKey::load(file).public_key().hint(), key.public_key().hint());
    EXPECT_THROW(static_cast<void>(PublicKey::load(file)), Error) << "a private key is not taken for a public one";
    fs::remove(file);
}

TEST(Signature, KeysOfOtherKindsAreRefused) {
    EXPECT_THROW(static_cast<void>(PublicKey::from_pem("", "nothing")), Error);
    EXPECT_THROW(
        static_cast<void>(PublicKey::from_pem("-----BEGIN PUBLIC KEY-----\nMA==\n-----END PUBLIC KEY-----\n", "x")),
        Error);
    EXPECT_THROW(static_cast<void>(key_kind_from("rsa")), Error);
    // X25519 agrees on secrets and signs nothing.
    EXPECT_THROW(static_cast<void>(PublicKey::from_pem("-----BEGIN PUBLIC KEY-----\n"
                                                       "MCowBQYDK2VuAyEAhSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=\n"
                                                       "-----END PUBLIC KEY-----\n",
                                                       "x25519")),
                 Error);
}

TEST(Signature, Base64HasOneFormOnly) {
    for (const char* text : {"", "f", "fo", "foo", "foob", "fooba", "foobar", "\xff\xfe\xfd"})
        EXPECT_EQ(from_base64(to_base64(text)), text);
    EXPECT_EQ(to_base64("fooba"), "Zm9vYmE=");
    for (const char* text : {"Zg", "Zg=", "Zh==", "Zm9=", "Zm 9v", "Zm9v\n", "====", "Z===", "Zg==Zg==", "_-8="})
        EXPECT_FALSE(from_base64(text)) << text;
}

TEST(Signature, AnEnvelopeIsReadBackAndEveryChangeIsSeen) {
    const PrivateKey key = PrivateKey::generate(KeyKind::p256);
    const std::string text = sign_envelope(key, "text/plain", "what is said");
    const Envelope e = parse_envelope(text, "test");
    EXPECT_EQ(e.payload, "what is said");
    EXPECT_EQ(e.payload_type, "text/plain");
    EXPECT_EQ(e.hint, key.public_key().hint());
    EXPECT_TRUE(verify_envelope(e, key.public_key()));
    Envelope other = e;
    other.payload += " ";
    EXPECT_FALSE(verify_envelope(other, key.public_key()));
    other = e;
    // The lengths in front keep type and payload from being shifted against each other.
    other.payload_type = "text/plai";
    other.payload = "n" + e.payload;
    EXPECT_FALSE(verify_envelope(other, key.public_key()));
    EXPECT_FALSE(verify_envelope(e, PrivateKey::generate(KeyKind::p256).public_key()));
}

TEST(Signature, EnvelopesOfAnyOtherFormAreRefused) {
    const std::string good = sign_envelope(PrivateKey::generate(KeyKind::p256), "a", "b");
    const auto with = [&](const std::string& from, const std::string& to) {
        std::string text = good;
        const auto at = text.find(from);
        EXPECT_NE(at, std::string::npos) << from;
        return text.replace(at, from.size(), to);
    };
    const std::vector<std::string> wrong = {
        "",
        "{}",
        "[]",
        good + "x",
        good.substr(0, good.size() / 2),
        with("v0.3+json", "v0.2+json"),
        with("\"keyid\"", "\"keyidd\""),
        with("\"tlogEntries\":[]", "\"tlogEntries\":[],\"more\":1"),
        with("\"payload\":\"Yg==\"", "\"payload\":\"Yg\""),
        with("\"payload\":\"Yg==\"", "\"payload\":\"Yg==\",\"payload\":\"Yg==\""),
        with("\"signatures\":[", "\"signatures\":[{\"sig\":\"Yg==\",\"keyid\":\"\"},"),
        with("\"publicKey\":{", "\"certificate\":{\"rawBytes\":\"\"},\"publicKey\":{"),
        with("\"dsseEnvelope\"", "\"messageSignature\""),
        "{\"mediaType\":\"application/vnd.dev.sigstore.bundle.v0.3+json\"}"};
    for (const std::string& text : wrong) EXPECT_THROW(static_cast<void>(parse_envelope(text, "test")), Error) << text;
    EXPECT_NO_THROW(static_cast<void>(parse_envelope(good, "test")));
}

// The statement as the reference signer lays it out; a fault is put into it by replacing text.
std::string statement_with(const std::string& from = {}, const std::string& to = {}) {
    const std::string one = hex_of("one"), two = hex_of("two");
    std::string text = write_statement("folder", {{"b/two.bin", two}, {"a.bin", one}});
    if (!from.empty()) {
        const auto at = text.find(from);
        EXPECT_NE(at, std::string::npos) << from;
        text.replace(at, from.size(), to);
    }
    return text;
}

TEST(Statement, IsReadBackSorted) {
    const Statement s = parse_statement(statement_with(), "test");
    ASSERT_EQ(s.files.size(), 2U);
    EXPECT_EQ(s.files[0].name, "a.bin");
    EXPECT_EQ(s.root, root_digest(s.files));
    EXPECT_EQ(s.subject, "folder");
    EXPECT_THROW(static_cast<void>(write_statement("folder", {})), Error);
}

TEST(Statement, TheRootIsTheDigestOfTheRawDigests) {
    // sha256("one" digest bytes || "two" digest bytes), by `openssl dgst`.
    const std::vector<Resource> files = {{"a", std::string(64, '0')}};
    EXPECT_EQ(root_digest(files), hex_of(std::string(32, '\0')));
}

TEST(Statement, WhatTheReferenceVerifierLetsThroughIsRefused) {
    const std::string empty_root = hex_of("");
    const std::string empty =
        "{\"_type\":\"https://in-toto.io/Statement/v1\",\"subject\":[{\"name\":\"x\",\"digest\":{"
        "\"sha256\":\"" +
        empty_root +
        "\"}}],\"predicateType\":\"https://model_signing/signature/"
        "v1.0\",\"predicate\":{\"resources\":[],\"serialization\":{\"method\":\"files\","
        "\"hash_type\":\"sha256\",\"allow_symlinks\":false,\"ignore_paths\":[\".\"]}}}";
    const std::vector<std::string> wrong = {
        empty,
        statement_with("\".gitignore\"", "\"weights.safetensors\""),
        statement_with("\".gitignore\"", "\".\""),
        statement_with("\".gitignore\"", "\"sub/.gitignore\""),
        statement_with("\"b/two.bin\"", "\"a.bin\""),
        statement_with("\"b/two.bin\"", "\"../two.bin\""),
        statement_with("\"b/two.bin\"", "\"/two.bin\""),
        statement_with("\"b/two.bin\"", "\"b//two.bin\""),
        statement_with("\"b/two.bin\"", "\"./two.bin\""),
        statement_with("\"b/two.bin\"", "\"b\\\\two.bin\""),
        statement_with("\"b/two.bin\"", "\"b/two\\u0000.bin\""),
        statement_with("\"allow_symlinks\":false", "\"allow_symlinks\":true"),
        statement_with("\"allow_symlinks\":false,", ""),
        statement_with("\"hash_type\":\"sha256\"", "\"hash_type\":\"blake2b\""),
        statement_with("\"method\":\"files\"", "\"method\":\"shards\""),
        statement_with("\"algorithm\":\"sha256\"", "\"algorithm\":\"md5\""),
        statement_with(hex_of("one"), hex_of("three")),
        statement_with(hex_of("one"), std::string(64, 'A')),
        statement_with("signature/v1.0", "signature/v2.0"),
        statement_with("Statement/v1", "Statement/v0.1"),
        statement_with("[{\"name\":\"folder\"", "[{\"name\":\"x\",\"digest\":{\"sha256\":\"\"}},{\"name\":\"folder\""),
        statement_with("\"name\":\"a.bin\"", "\"name\":\"z.bin\",\"name\":\"a.bin\""),
    };
    for (const std::string& text : wrong) EXPECT_THROW(static_cast<void>(parse_statement(text, "test")), Error) << text;
}

TEST(Statement, NamesThatClimbOrHideAreRefused) {
    for (const char* good : {"a", "a/b", ".hidden", "a b", "ä/ö.bin", "..a", "a..b"})
        EXPECT_EQ(name_fault(good), "") << good;
    for (const char* wrong : {"", "/a", "a/", "a//b", "..", "a/..", "../a", "./a", "a/./b", "a\\b", "C:/a", "a/c:x",
                              "a\nb", "\xff", "\xc0\xaf", "\xed\xa0\x80"})
        EXPECT_NE(name_fault(wrong), "") << wrong;
    EXPECT_NE(name_fault(std::string(2000, 'a')), "");
    EXPECT_NE(name_fault(std::string(300, 'a')), "");
}

}  // namespace
}  // namespace freehold::bundle
