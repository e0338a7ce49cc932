// The advisories of this machine and the keys whose word counts, under $FREEHOLD_HOME/advisories.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/advisory/advisory.h"

namespace freehold::advisory {

struct Kept {
    Advisory advisory;
    bool trusted = false;  // signed by a key that is trusted here
    std::string signer;    // the name of that key; else "unsigned" or "a key that is not trusted here"
    std::string hint;      // SHA-256 of that key's text; empty where no trusted key signed it
};

struct TrustedKey {
    std::string name;  // of its file, without the ending
    std::string kind;  // "ed25519"
    std::string hint;  // SHA-256 of the key's text
};

struct Imported {
    enum class How : std::uint8_t { added, renewed, present, older };
    How how = How::added;
    Kept kept;
};

// Any number of processes may use one; files are replaced whole. The object keeps nothing in memory.
class Register {
 public:
    explicit Register(const std::filesystem::path& home) : folder_(home / "advisories") {}

    // By id; what several keys say under one id stands side by side, trusted texts first. What cannot be read any more
    // is left out and told in `faults`, if that is given.
    [[nodiscard]] std::vector<Kept> list(std::vector<std::string>* faults = nullptr) const;
    // Is there anything at all? Costs one look at a folder.
    [[nodiscard]] bool empty() const noexcept;

    // A signed advisory (a DSSE envelope), or the plain document where `take_unsigned`. Only the key that signed a text
    // renews or withdraws it: what another trusted key says under the same id is kept beside it and takes nothing away.
    // The text that was renewed stays in the folder `earlier`. Error{denied}: not signed by a trusted key and not
    // wanted so; Error{conflict}: a text of this id that a trusted key signed is here, and this one is signed by none.
    Imported import(std::string_view text, const std::string& what, bool take_unsigned) const;
    bool remove(const std::string& id) const;  // every text of that id; false: there is none

    [[nodiscard]] std::vector<TrustedKey> keys() const;
    // PEM of a public key. Error{bad_file|conflict}.
    TrustedKey trust(std::string_view pem, const std::string& name) const;
    bool distrust(const std::string& name) const;

    [[nodiscard]] const std::filesystem::path& folder() const noexcept { return folder_; }

 private:
    std::filesystem::path folder_;
};

}  // namespace freehold::advisory
