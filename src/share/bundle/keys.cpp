// Keys of signatures, by OpenSSL. Only curves that the format names are taken; a private key is written with mode 0600
// and never over another one.
#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/hash.h"
#include "freehold/base/printable.h"
#include "freehold/bundle/signature.h"

namespace freehold::bundle {
namespace {

namespace fs = std::filesystem;

struct Kind {
    KeyKind kind;
    const char* name;
    const char* curve;  // OpenSSL's word; null: no curve to choose
};
constexpr std::array<Kind, 4> kKinds = {{{KeyKind::p256, "p256", "prime256v1"},
                                         {KeyKind::p384, "p384", "secp384r1"},
                                         {KeyKind::p521, "p521", "secp521r1"},
                                         {KeyKind::ed25519, "ed25519", nullptr}}};
constexpr std::size_t kMaxPem = 64U << 10U;

[[noreturn]] void fail(const char* doing) {
    throw Error(ErrorKind::internal, fmt::format("OpenSSL could not {}.", doing),
                "Check the OpenSSL configuration of this machine.");
}

using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
using Digest = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

EVP_PKEY* pkey(const std::shared_ptr<void>& key) {
    return static_cast<EVP_PKEY*>(key.get());
}
std::shared_ptr<void> shared(EVP_PKEY* key) {
    return {key, [](void* p) { EVP_PKEY_free(static_cast<EVP_PKEY*>(p)); }};
}
const unsigned char* bytes_of(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}
Bio reading(std::string_view text) {
    Bio bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), &BIO_free);
    if (bio == nullptr) fail("read a key");
    return bio;
}
Bio writing() {
    Bio bio(BIO_new(BIO_s_mem()), &BIO_free);
    if (bio == nullptr) fail("write a key");
    return bio;
}
std::string text_of(const Bio& bio) {
    char* data = nullptr;
    const long length = BIO_get_mem_data(bio.get(), &data);
    return {data, static_cast<std::size_t>(length)};
}

// A password is never asked for: a program that waits at a prompt nobody sees helps nobody.
int no_password(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*user*/) {
    return -1;
}

KeyKind kind_of(EVP_PKEY* key, const std::string& what) {
    const int id = EVP_PKEY_get_base_id(key);
    if (id == EVP_PKEY_ED25519) return KeyKind::ed25519;
    if (id == EVP_PKEY_EC) {
        std::array<char, 64> name{};
        std::size_t length = 0;
        if (EVP_PKEY_get_group_name(key, name.data(), name.size(), &length) == 1) {
            const std::string_view curve(name.data(), length);
            for (const Kind& k : kKinds)
                if (k.curve != nullptr && curve == k.curve) return k.kind;
        }
    }
    throw Error(ErrorKind::unsupported, fmt::format("{} is a key of a kind that signatures here do not use.", what),
                "Make one with 'freehold signing-key FILE' (P-256, P-384, P-521 or Ed25519).");
}

// null: the signature algorithm brings its own.
const EVP_MD* digest_of(KeyKind kind) {
    switch (kind) {
        case KeyKind::p256:
            return EVP_sha256();
        case KeyKind::p384:
            return EVP_sha384();
        case KeyKind::p521:
            return EVP_sha512();
        case KeyKind::ed25519:
            break;
    }
    return nullptr;
}

// The name appears only with its whole content, and never in place of another.
void write_secret(const fs::path& file, std::string_view text) {
    fs::path beside = file;
    beside += fmt::format(".new-{}", ::getpid());
    const int fd = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool good = fd >= 0;
    if (good) {
        good = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
        ::close(fd);
        good = good && ::link(beside.c_str(), file.c_str()) == 0;
    }
    const int fault = errno;
    ::unlink(beside.c_str());
    if (good) return;
    if (fault == EEXIST)
        throw Error(ErrorKind::conflict, fmt::format("{} exists already.", file.string()),
                    "Choose another name; a key that is overwritten is lost.");
    throw Error(ErrorKind::io, fmt::format("Cannot write {}: {}.", file.string(), std::strerror(fault)),
                "Check that its folder exists, who owns it, and that there is space.");
}

std::string key_text(const fs::path& file) {
    return read_text(file, kMaxPem);
}

}  // namespace

const char* key_kind_name(KeyKind kind) noexcept {
    return kKinds[static_cast<std::size_t>(kind)].name;
}

KeyKind key_kind_from(std::string_view name) {
    for (const Kind& k : kKinds)
        if (name == k.name) return k.kind;
    throw Error(ErrorKind::usage, fmt::format("\"{}\" is no kind of key.", printable(name)),
                "There are p256, p384, p521 and ed25519.");
}

PublicKey::PublicKey(std::shared_ptr<void> key, const std::string& what) : key_(std::move(key)) {
    kind_ = kind_of(pkey(key_), what);
    const Bio bio = writing();
    if (PEM_write_bio_PUBKEY(bio.get(), pkey(key_)) != 1) fail("write a public key");
    pem_ = text_of(bio);
    hint_ = sha256_hex(std::as_bytes(std::span(pem_)));
}

PublicKey PublicKey::from_pem(std::string_view pem, const std::string& what) {
    if (pem.find("PRIVATE KEY-----") != std::string_view::npos)
        throw Error(ErrorKind::bad_file, fmt::format("{} holds a private key where a public one is wanted.", what),
                    "Give the file that ends in .pub, and keep the other to yourself.");
    const Bio bio = reading(pem.substr(0, kMaxPem));
    EVP_PKEY* key = PEM_read_bio_PUBKEY(bio.get(), nullptr, &no_password, nullptr);
    if (key == nullptr)
        throw Error(ErrorKind::bad_file, fmt::format("{} is no public key in PEM form.", what),
                    "It begins with -----BEGIN PUBLIC KEY-----; 'freehold signing-key' and openssl write such files.");
    return PublicKey(shared(key), what);
}

PublicKey PublicKey::load(const fs::path& file) {
    return from_pem(key_text(file), file.string());
}

bool PublicKey::verify(std::string_view message, std::string_view signature) const {
    const Digest context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
    if (context == nullptr || EVP_DigestVerifyInit(context.get(), nullptr, digest_of(kind_), nullptr, pkey(key_)) != 1)
        fail("check a signature");
    return EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(message), message.size()) ==
           1;
}

PrivateKey::PrivateKey(std::shared_ptr<void> key, const std::string& what) : key_(key), public_(key, what) {}

PrivateKey PrivateKey::generate(KeyKind kind) {
    const char* curve = kKinds[static_cast<std::size_t>(kind)].curve;
    EVP_PKEY* key = curve == nullptr ? EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")
                                     : EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", curve);
    if (key == nullptr) fail("make a key");
    return PrivateKey(shared(key), "the new key");
}

PrivateKey PrivateKey::from_pem(std::string_view pem, const std::string& what) {
    if (pem.find("ENCRYPTED") != std::string_view::npos)
        throw Error(ErrorKind::unsupported, fmt::format("{} is protected by a password.", what),
                    "Take the password off for the signing: openssl pkey -in FILE -out PLAIN (mode 0600).");
    const Bio bio = reading(pem.substr(0, kMaxPem));
    EVP_PKEY* key = PEM_read_bio_PrivateKey(bio.get(), nullptr, &no_password, nullptr);
    if (key == nullptr)
        throw Error(ErrorKind::bad_file, fmt::format("{} is no private key in PEM form.", what),
                    "Make one with 'freehold signing-key FILE'.");
    return PrivateKey(shared(key), what);
}

PrivateKey PrivateKey::load(const fs::path& file) {
    return from_pem(key_text(file), file.string());
}

void PrivateKey::save(const fs::path& file) const {
    fs::path beside = file;
    beside += ".pub";
    std::error_code ignored;
    if (fs::exists(fs::symlink_status(beside, ignored)))
        throw Error(ErrorKind::conflict, fmt::format("{} exists already.", beside.string()), "Choose another name.");
    const Bio bio = writing();
    if (PEM_write_bio_PKCS8PrivateKey(bio.get(), pkey(key_), nullptr, nullptr, 0, nullptr, nullptr) != 1)
        fail("write a private key");
    write_secret(file, text_of(bio));
    write_text_atomic(beside, public_.pem());
}

std::string PrivateKey::sign(std::string_view message) const {
    const Digest context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
    std::size_t length = 0;
    if (context == nullptr ||
        EVP_DigestSignInit(context.get(), nullptr, digest_of(public_.kind()), nullptr, pkey(key_)) != 1 ||
        EVP_DigestSign(context.get(), nullptr, &length, bytes_of(message), message.size()) != 1)
        fail("sign");
    std::string out(length, '\0');
    if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(out.data()), &length, bytes_of(message),
                       message.size()) != 1)
        fail("sign");
    out.resize(length);
    return out;
}

}  // namespace freehold::bundle
