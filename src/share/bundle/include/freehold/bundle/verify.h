// Is this bundle what its signer made, and what cannot be told? Digests, signature, index and documents are held
// against each other; nothing of a document is believed that the files do not bear out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "freehold/base/progress.h"
#include "freehold/base/value.h"
#include "freehold/bundle/contents.h"
#include "freehold/bundle/signature.h"

namespace freehold::bundle {

// `note` is told and changes nothing; `unknown` could not be verified; the worst of all checks is the answer.
enum class Outcome : std::uint8_t { good, note, unknown, bad };
[[nodiscard]] const char* outcome_key(Outcome o) noexcept;

struct Check {
    std::string key;  // stable: "signature", "files-outside", "digests"
    Outcome outcome = Outcome::good;
    std::string message;  // a sentence
    std::string file;     // which it is about; may be empty
};

struct VerifyReport {
    std::string subject;
    std::uint64_t files = 0, bytes = 0;
    std::string root;      // of the signed statement, hex; empty: there is none that could be read
    std::string key_hint;  // what the signature says about its key
    std::vector<Check> checks;

    [[nodiscard]] Outcome outcome() const noexcept;
};

struct VerifyOptions {
    std::optional<PublicKey> key;  // whose signature is asked for; must come from elsewhere than the bundle
    const Store* store = nullptr;  // where parents are looked for; null: nowhere
    // Of a stored model: the digests of the manifests that its own manifest names as parents.
    std::vector<std::string> parents;
    Progress progress;
};

// Never throws for what is wrong with the bundle, which becomes a check; Error{io|cancelled}.
[[nodiscard]] VerifyReport verify(const Contents& contents, const VerifyOptions& options);

[[nodiscard]] Value to_value(const VerifyReport& report);

}  // namespace freehold::bundle
