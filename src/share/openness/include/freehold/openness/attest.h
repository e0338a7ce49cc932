// What no artefact can show, a person may say: dated, signed with a local Ed25519 key, bound to one version of a model.
// An attestation is a claim by a person and is shown as one; no check of files ever counts it as evidence.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/base/value.h"

namespace freehold::openness {

// What a person can be asked.
struct AttestItem {
    const char* key;       // "data-described"
    const char* question;  // "Is all training data described ...?"
};
[[nodiscard]] std::span<const AttestItem> attest_items() noexcept;

struct Attestation {
    std::string item;
    bool answer = false;
    std::string name, role, statement;
    std::string date;        // RFC 3339, UTC
    std::string subject;     // the model's name then
    std::string digest;      // the version that it speaks about
    std::string public_key;  // PEM
    std::string signature;   // hex, over the other fields

    // Filled when it is read.
    enum class State : std::uint8_t {
        good,    // the signature is of the key that comes with it, and it speaks about this version
        stale,   // the same, but about another version
        forged,  // the signature does not fit the words
    };
    State state = State::good;
    bool own_key = false;     // signed by this machine's key
    std::string fingerprint;  // first 16 hex digits of the SHA-256 of the key's PEM
};
[[nodiscard]] const char* state_key(Attestation::State s) noexcept;

// The key pair under `folder` (signing.key.pem, mode 0600, and signing.key.pem.pub), made at the first use.
// Throws Error{io|bad_file}.
[[nodiscard]] Attestation sign(Attestation what, const std::filesystem::path& folder);
// PEM of the public key of the pair in `folder`, empty when there is none.
[[nodiscard]] std::string own_public_key(const std::filesystem::path& folder);

// Adds one to the file; the last word of the same person on the same item is what counts, the older ones stay.
void keep(const std::filesystem::path& file, const Attestation& what);
// All of them with their states; none when there is no file. Throws Error{bad_file} when it is no such file.
[[nodiscard]] std::vector<Attestation> read_attestations(const std::filesystem::path& file, std::string_view digest,
                                                         std::string_view public_key);

// The latest good word on an item; null when nobody has said anything.
[[nodiscard]] const Attestation* latest(std::span<const Attestation> all, std::string_view item);

[[nodiscard]] ValueMap to_value(const Attestation& a);

}  // namespace freehold::openness
