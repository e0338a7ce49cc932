// Signatures by local keys in the form that OpenSSF model signing and Sigstore's clients read: a DSSE envelope inside a
// Sigstore bundle v0.3. What is signed is any text with a type; bundles sign a list of digests, advisories themselves.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace freehold::bundle {

// The curves of model-signing's keys, and Ed25519, which the reference verifier does not take.
enum class KeyKind : std::uint8_t { p256, p384, p521, ed25519 };
[[nodiscard]] const char* key_kind_name(KeyKind kind) noexcept;  // "p256"
// Error{usage} with the names that are known.
[[nodiscard]] KeyKind key_kind_from(std::string_view name);

// Immutable; any thread may use it.
class PublicKey {
 public:
    // PEM of a SubjectPublicKeyInfo; `what` names it in messages. Error{bad_file} for anything else (a private key gets
    // a sentence of its own), Error{unsupported} for a key of another kind.
    static PublicKey from_pem(std::string_view pem, const std::string& what);
    static PublicKey load(const std::filesystem::path& file);

    [[nodiscard]] KeyKind kind() const noexcept { return kind_; }
    // As OpenSSL writes it: lines of 64 characters, the last ended too.
    [[nodiscard]] const std::string& pem() const noexcept { return pem_; }
    // SHA-256 of pem(), 64 lower-case hex digits: what a bundle says about the key that it was signed with.
    [[nodiscard]] const std::string& hint() const noexcept { return hint_; }
    // ECDSA as DER with the digest of the curve's size, Ed25519 as its 64 bytes. An ECDSA signature has a twin that is
    // good too, so a signature never identifies anything.
    [[nodiscard]] bool verify(std::string_view message, std::string_view signature) const;

 private:
    friend class PrivateKey;
    explicit PublicKey(std::shared_ptr<void> key, const std::string& what);
    std::shared_ptr<void> key_;
    KeyKind kind_ = KeyKind::p256;
    std::string pem_, hint_;
};

class PrivateKey {
 public:
    static PrivateKey generate(KeyKind kind);
    // PEM, PKCS#8 or SEC 1, without a password. Error{bad_file|unsupported}.
    static PrivateKey from_pem(std::string_view pem, const std::string& what);
    static PrivateKey load(const std::filesystem::path& file);

    // PKCS#8 in `file` with mode 0600, and the public key beside it in FILE.pub. Error{conflict} if one of them exists.
    void save(const std::filesystem::path& file) const;
    [[nodiscard]] const PublicKey& public_key() const noexcept { return public_; }
    [[nodiscard]] std::string sign(std::string_view message) const;

 private:
    explicit PrivateKey(std::shared_ptr<void> key, const std::string& what);
    std::shared_ptr<void> key_;
    PublicKey public_;
};

// What a signature file holds, nothing of it believed yet.
struct Envelope {
    std::string payload_type;  // "application/vnd.in-toto+json"
    std::string payload;       // the bytes that were signed
    std::string signature;
    std::string hint;  // of the key, as the signer says it; may be empty
};
inline constexpr std::size_t kMaxEnvelope = 64U << 20U;

// The signature file: one line of JSON. Two runs differ in the signature, where the kind of key draws a random number.
[[nodiscard]] std::string sign_envelope(const PrivateKey& key, std::string_view payload_type, std::string_view payload);
// Error{bad_file} naming `what` for anything but one envelope with one signature and no key beside those that are
// defined; Error{unsupported} for what a certificate of an identity signed (that takes Sigstore's root of trust).
[[nodiscard]] Envelope parse_envelope(std::string_view text, const std::string& what);
// Is it signed by this key? The payload may be read only then.
[[nodiscard]] bool verify_envelope(const Envelope& envelope, const PublicKey& key);

}  // namespace freehold::bundle
