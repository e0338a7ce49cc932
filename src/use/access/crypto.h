// The few uses of OpenSSL that this room has: random texts, keyed digests, signatures, sealed texts.
// Nothing here is of our own making; every primitive is the library's.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace freehold::access::crypto {

using Key32 = std::array<std::byte, 32>;

// From the operating system's generator. Error{internal} if it has none.
void random_bytes(std::span<std::byte> out);
// Letters and digits, each equally likely (5.95 bits a character).
[[nodiscard]] std::string random_text(std::size_t characters);
[[nodiscard]] std::string sha256(std::string_view text);  // 64 lower-case hex digits
[[nodiscard]] std::string hmac_sha256(std::span<const std::byte> key, std::string_view text);  // hex
// Takes the same time whatever differs; false for different lengths.
[[nodiscard]] bool equal(std::string_view a, std::string_view b) noexcept;
[[nodiscard]] std::string to_hex(std::span<const std::byte> bytes);
// nullopt unless it is an even number of lower-case hex digits.
[[nodiscard]] std::optional<std::vector<std::byte>> from_hex(std::string_view hex);
// A key of 32 bytes in a file of mode 0600, as hex; made at the first use.
[[nodiscard]] Key32 load_or_make_key(const std::filesystem::path& file);
// One that is there. Error{not_found, bad_file}.
[[nodiscard]] Key32 load_key(const std::filesystem::path& file);
// Overwrites a key's file and removes it; none there is none to remove. Error{io}.
void shred(const std::filesystem::path& file);

// Ed25519 (RFC 8032).
class Verifier {
 public:
    // PEM of a public key (SubjectPublicKeyInfo). Error{bad_file}.
    static Verifier from_pem(std::string_view pem, const std::string& what);
    [[nodiscard]] bool verify(std::string_view message, std::string_view signature_hex) const;
    // The first 16 hex digits of the SHA-256 of the raw public key.
    [[nodiscard]] const std::string& fingerprint() const noexcept { return fingerprint_; }

 private:
    friend class Signer;
    explicit Verifier(std::shared_ptr<void> key);
    std::shared_ptr<void> key_;
    std::string fingerprint_;
};
class Signer {
 public:
    // The private key in `file` (PEM, mode 0600), made at the first use; the public one lies beside it in
    // `public_file`.
    static Signer load_or_make(const std::filesystem::path& file, const std::filesystem::path& public_file);
    [[nodiscard]] std::string sign(std::string_view message) const;  // 128 hex digits
    [[nodiscard]] const Verifier& verifier() const noexcept { return verifier_; }

 private:
    explicit Signer(std::shared_ptr<void> key);
    std::shared_ptr<void> key_;
    Verifier verifier_;
};

// AES-256-GCM with a random nonce in front and the tag behind; `bound` must be the same when it is opened.
[[nodiscard]] std::vector<std::byte> seal(const Key32& key, std::string_view text, std::string_view bound);
// nullopt when the key, the bytes or `bound` are not those of seal().
[[nodiscard]] std::optional<std::string> open(const Key32& key, std::span<const std::byte> sealed,
                                              std::string_view bound);

}  // namespace freehold::access::crypto
