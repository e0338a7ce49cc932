// SHA-256 through OpenSSL's EVP, which uses the processor's own instructions where it has them.
#include "freehold/base/hash.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "freehold/base/error.h"

namespace freehold {

struct Sha256::Impl {
    std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{EVP_MD_CTX_new(), &EVP_MD_CTX_free};
};

Sha256::Sha256() : impl_(std::make_unique<Impl>()) {
    if (impl_->context == nullptr || EVP_DigestInit_ex(impl_->context.get(), EVP_sha256(), nullptr) != 1) {
        throw Error(ErrorKind::internal, "OpenSSL does not offer SHA-256.",
                    "Check the OpenSSL configuration of this machine.");
    }
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::span<const std::byte> bytes) {
    if (EVP_DigestUpdate(impl_->context.get(), bytes.data(), bytes.size()) != 1) {
        throw Error(ErrorKind::internal, "SHA-256 was updated after its end.");
    }
}

std::string Sha256::hex() {
    std::array<unsigned char, 32> digest{};
    unsigned int length = 0;
    if (EVP_DigestFinal_ex(impl_->context.get(), digest.data(), &length) != 1 || length != digest.size()) {
        throw Error(ErrorKind::internal, "SHA-256 was read twice.");
    }
    constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    text.reserve(64);
    for (const unsigned char c : digest) {
        text += kDigits[c >> 4];
        text += kDigits[c & 15];
    }
    return text;
}

std::string sha256_hex(std::span<const std::byte> bytes) {
    Sha256 sha;
    sha.update(bytes);
    return sha.hex();
}

std::string sha256_file(const std::filesystem::path& path,
                        const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
    struct Closer {
        int fd;
        ~Closer() {
            if (fd >= 0) ::close(fd);
        }
    };
    const Closer file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (file.fd < 0) {
        const int e = errno;
        throw Error(e == ENOENT ? ErrorKind::not_found : ErrorKind::io,
                    "Cannot open " + path.string() + " to compute its digest: " + std::strerror(e) + ".");
    }
    struct stat info {};
    const std::uint64_t total = ::fstat(file.fd, &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : 0;
    Sha256 sha;
    std::vector<std::byte> buffer(1U << 20);
    std::uint64_t done = 0;
    for (;;) {
        const ssize_t got = ::read(file.fd, buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            throw Error(ErrorKind::io, "Reading " + path.string() + " failed at byte " + std::to_string(done) + ": " +
                                           std::strerror(errno) + ".");
        }
        if (got == 0) break;
        sha.update({buffer.data(), static_cast<std::size_t>(got)});
        done += static_cast<std::uint64_t>(got);
        if (progress) progress(done, total);
    }
    return sha.hex();
}

}  // namespace freehold
