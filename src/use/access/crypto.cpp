// OpenSSL behind crypto.h; no header of the library is seen elsewhere in this room.
// Files with secrets are made with mode 0600 and brought to the disk before they are used.
#include "crypto.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/hash.h"

namespace freehold::access::crypto {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kNonce = 12, kTag = 16;

[[noreturn]] void fail(const char* doing) {
    throw Error(ErrorKind::internal, fmt::format("OpenSSL could not {}.", doing),
                "Check the OpenSSL configuration of this machine.");
}

const unsigned char* bytes_of(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

struct FreePkey {
    void operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }
};
struct FreeBio {
    void operator()(BIO* bio) const noexcept { BIO_free(bio); }
};
struct FreeMd {
    void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
};
struct FreeCipher {
    void operator()(EVP_CIPHER_CTX* context) const noexcept { EVP_CIPHER_CTX_free(context); }
};

EVP_PKEY* pkey(const std::shared_ptr<void>& key) {
    return static_cast<EVP_PKEY*>(key.get());
}
std::shared_ptr<void> shared(EVP_PKEY* key) {
    return {key, [](void* p) { EVP_PKEY_free(static_cast<EVP_PKEY*>(p)); }};
}

std::string bio_text(BIO* bio) {
    char* data = nullptr;
    const long length = BIO_get_mem_data(bio, &data);
    return {data, static_cast<std::size_t>(length)};
}

// The name appears only with its whole content; whoever comes second takes what is there.
void write_secret(const fs::path& file, std::string_view text) {
    fs::path beside = file;
    beside += fmt::format(".new-{}", ::getpid());
    const int fd = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool good = fd >= 0;
    if (good) {
        good = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
        ::close(fd);
        good = good && (::link(beside.c_str(), file.c_str()) == 0 || errno == EEXIST);
    }
    const int e = errno;
    ::unlink(beside.c_str());
    if (!good) {
        throw Error(ErrorKind::io, fmt::format("Cannot write {}: {}.", file.string(), std::strerror(e)),
                    "Check who owns the folder, and that there is space.");
    }
}

}  // namespace

void random_bytes(std::span<std::byte> out) {
    if (RAND_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(out.size())) != 1)
        fail("give random bytes");
}

std::string random_text(std::size_t characters) {
    constexpr char kLetters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    std::string text;
    std::array<std::byte, 64> pool{};
    while (text.size() < characters) {
        random_bytes(pool);
        for (const std::byte b : pool) {
            // 248 = 4 * 62: larger bytes would make the first letters likelier.
            const auto value = std::to_integer<unsigned>(b);
            if (value < 248 && text.size() < characters) text += kLetters[value % 62];
        }
    }
    OPENSSL_cleanse(pool.data(), pool.size());
    return text;
}

std::string sha256(std::string_view text) {
    return sha256_hex(std::as_bytes(std::span(text.data(), text.size())));
}

std::string hmac_sha256(std::span<const std::byte> key, std::string_view text) {
    std::array<unsigned char, 32> out{};
    unsigned int length = 0;
    if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes_of(text), text.size(), out.data(),
             &length) == nullptr)
        fail("compute a keyed digest");
    return to_hex(std::as_bytes(std::span(out)));
}

bool equal(std::string_view a, std::string_view b) noexcept {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string to_hex(std::span<const std::byte> bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    text.reserve(bytes.size() * 2);
    for (const std::byte b : bytes) {
        text += kDigits[std::to_integer<unsigned>(b) >> 4U];
        text += kDigits[std::to_integer<unsigned>(b) & 15U];
    }
    return text;
}

std::optional<std::vector<std::byte>> from_hex(std::string_view hex) {
    if (hex.size() % 2 != 0) return std::nullopt;
    std::vector<std::byte> bytes(hex.size() / 2);
    for (std::size_t i = 0; i < hex.size(); ++i) {
        const char c = hex[i];
        const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0) return std::nullopt;
        bytes[i / 2] |= static_cast<std::byte>(i % 2 == 0 ? digit << 4 : digit);
    }
    return bytes;
}

Key32 load_or_make_key(const fs::path& file) {
    std::error_code ec;
    if (!fs::exists(file, ec)) {
        Key32 fresh{};
        random_bytes(fresh);
        write_secret(file, to_hex(fresh) + "\n");
    }
    return load_key(file);
}

Key32 load_key(const fs::path& file) {
    std::string text = read_text(file, 4096);
    while (!text.empty() && text.back() == '\n') text.pop_back();
    const auto bytes = from_hex(text);
    OPENSSL_cleanse(text.data(), text.size());
    if (!bytes || bytes->size() != 32) {
        throw Error(ErrorKind::bad_file, fmt::format("{} is not a key of 64 hex digits.", file.string()),
                    "Restore it from a backup; without it the digests of old texts cannot be compared.");
    }
    Key32 key{};
    std::copy(bytes->begin(), bytes->end(), key.begin());
    return key;
}

void shred(const fs::path& file) {
    const int fd = ::open(file.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        // What journals and flash keep is beyond a program; the name and the bytes under it go.
        const std::string zeros(65, '0');
        static_cast<void>(::write(fd, zeros.data(), zeros.size()));
        static_cast<void>(::fsync(fd));
        ::close(fd);
    }
    if (::unlink(file.c_str()) != 0 && errno != ENOENT) {
        throw Error(ErrorKind::io, fmt::format("Cannot remove {}: {}.", file.string(), std::strerror(errno)),
                    "Check who owns the folder.");
    }
}

Verifier::Verifier(std::shared_ptr<void> key) : key_(std::move(key)) {
    std::array<unsigned char, 32> raw{};
    std::size_t length = raw.size();
    if (EVP_PKEY_get_raw_public_key(pkey(key_), raw.data(), &length) != 1 || length != raw.size())
        fail("read a public key");
    fingerprint_ = sha256_hex(std::as_bytes(std::span(raw))).substr(0, 16);
}

Verifier Verifier::from_pem(std::string_view pem, const std::string& what) {
    const std::unique_ptr<BIO, FreeBio> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    EVP_PKEY* key = bio == nullptr ? nullptr : PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr);
    if (key == nullptr || EVP_PKEY_get_id(key) != EVP_PKEY_ED25519) {
        EVP_PKEY_free(key);
        throw Error(ErrorKind::bad_file, fmt::format("{} is no public Ed25519 key in PEM form.", what),
                    "Give the signing.pub.pem of the installation that wrote the log.");
    }
    return Verifier(shared(key));
}

bool Verifier::verify(std::string_view message, std::string_view signature_hex) const {
    const auto signature = from_hex(signature_hex);
    if (!signature || signature->size() != 64) return false;
    const std::unique_ptr<EVP_MD_CTX, FreeMd> context(EVP_MD_CTX_new());
    if (context == nullptr || EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, pkey(key_)) != 1)
        fail("check a signature");
    return EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature->data()), signature->size(),
                            bytes_of(message), message.size()) == 1;
}

Signer::Signer(std::shared_ptr<void> key) : key_(std::move(key)), verifier_(Verifier(key_)) {}

Signer Signer::load_or_make(const fs::path& file, const fs::path& public_file) {
    std::error_code ec;
    if (!fs::exists(file, ec)) {
        const std::unique_ptr<EVP_PKEY, FreePkey> fresh(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
        const std::unique_ptr<BIO, FreeBio> bio(BIO_new(BIO_s_secmem()));
        if (fresh == nullptr || bio == nullptr ||
            PEM_write_bio_PrivateKey(bio.get(), fresh.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1)
            fail("make a signing key");
        write_secret(file, bio_text(bio.get()));
    }
    std::string pem = read_text(file, 65536);
    const std::unique_ptr<BIO, FreeBio> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    EVP_PKEY* key = bio == nullptr ? nullptr : PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr);
    OPENSSL_cleanse(pem.data(), pem.size());
    if (key == nullptr || EVP_PKEY_get_id(key) != EVP_PKEY_ED25519) {
        EVP_PKEY_free(key);
        throw Error(ErrorKind::bad_file, fmt::format("{} is no private Ed25519 key in PEM form.", file.string()),
                    "Restore it from a backup.");
    }
    Signer signer{shared(key)};
    if (!fs::exists(public_file, ec)) {
        const std::unique_ptr<BIO, FreeBio> text(BIO_new(BIO_s_mem()));
        if (text == nullptr || PEM_write_bio_PUBKEY(text.get(), key) != 1) fail("write a public key");
        write_text_atomic(public_file, bio_text(text.get()));
    }
    return signer;
}

std::string Signer::sign(std::string_view message) const {
    const std::unique_ptr<EVP_MD_CTX, FreeMd> context(EVP_MD_CTX_new());
    std::array<unsigned char, 64> signature{};
    std::size_t length = signature.size();
    if (context == nullptr || EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, pkey(key_)) != 1 ||
        EVP_DigestSign(context.get(), signature.data(), &length, bytes_of(message), message.size()) != 1 ||
        length != signature.size())
        fail("sign");
    return to_hex(std::as_bytes(std::span(signature)));
}

std::vector<std::byte> seal(const Key32& key, std::string_view text, std::string_view bound) {
    std::vector<std::byte> out(kNonce + text.size() + kTag);
    random_bytes(std::span(out).first(kNonce));
    auto* raw = reinterpret_cast<unsigned char*>(out.data());
    const std::unique_ptr<EVP_CIPHER_CTX, FreeCipher> context(EVP_CIPHER_CTX_new());
    int n = 0;
    if (context == nullptr ||
        EVP_EncryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr,
                           reinterpret_cast<const unsigned char*>(key.data()), raw) != 1 ||
        EVP_EncryptUpdate(context.get(), nullptr, &n, bytes_of(bound), static_cast<int>(bound.size())) != 1 ||
        EVP_EncryptUpdate(context.get(), raw + kNonce, &n, bytes_of(text), static_cast<int>(text.size())) != 1 ||
        EVP_EncryptFinal_ex(context.get(), raw + kNonce + n, &n) != 1 ||
        EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, kTag, raw + kNonce + text.size()) != 1)
        fail("seal a text");
    return out;
}

std::optional<std::string> open(const Key32& key, std::span<const std::byte> sealed, std::string_view bound) {
    if (sealed.size() < kNonce + kTag) return std::nullopt;
    std::vector<std::byte> copy(sealed.begin(), sealed.end());
    auto* raw = reinterpret_cast<unsigned char*>(copy.data());
    const std::size_t length = sealed.size() - kNonce - kTag;
    std::string text(length, '\0');
    auto* out = reinterpret_cast<unsigned char*>(text.data());
    const std::unique_ptr<EVP_CIPHER_CTX, FreeCipher> context(EVP_CIPHER_CTX_new());
    int n = 0;
    const bool good =
        context != nullptr &&
        EVP_DecryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr,
                           reinterpret_cast<const unsigned char*>(key.data()), raw) == 1 &&
        EVP_DecryptUpdate(context.get(), nullptr, &n, bytes_of(bound), static_cast<int>(bound.size())) == 1 &&
        EVP_DecryptUpdate(context.get(), out, &n, raw + kNonce, static_cast<int>(length)) == 1 &&
        EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, kTag, raw + kNonce + length) == 1 &&
        EVP_DecryptFinal_ex(context.get(), out + n, &n) == 1;
    if (!good) return std::nullopt;
    return text;
}

}  // namespace freehold::access::crypto
