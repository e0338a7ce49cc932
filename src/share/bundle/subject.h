// What is known of the model that is packed, gathered once, so that every document says the same.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "freehold/bundle/facts.h"
#include "freehold/bundle/pack.h"
#include "freehold/licence/review.h"
#include "freehold/lineage/front_matter.h"
#include "freehold/lineage/lineage.h"

namespace freehold::bundle {

struct SubjectFile {
    std::string path;  // in the bundle
    std::filesystem::path at;
    std::string role, media_type, sha256;
    std::uint64_t size = 0;
};

// A licence in the words of the documents. `id` is an SPDX identifier, a "LicenseRef-", or empty: not known.
struct LicenceSay {
    std::string id, name, where;
    bool spdx = false;
    bool empty() const noexcept { return id.empty(); }
};

struct Subject {
    std::string name;     // "smollm2:135m"
    std::string version;  // what the facts say, else the first 12 digits of the content's digest
    std::string digest;   // of the store's manifest; empty: not stored
    std::string content;  // SHA-256 over the digests of all files, hex: the same files give the same documents
    ModelRecord record;   // empty for paths
    std::vector<SubjectFile> files;  // by path
    lineage::Node origin;
    lineage::FrontMatter card;  // the publisher's own, where there is one
    bool has_card = false;
    licence::Review review;
    LicenceSay declared;   // what card, metadata or the store's record name
    LicenceSay concluded;  // what a licence text that is here is, word for word
    std::vector<std::string> licence_files;
    std::string chat_template;  // inside the weights; empty: none, or in a file of its own
    Facts facts;
    std::vector<Dataset> datasets;  // of the facts, then those that are only named
    std::int64_t time = 0;
    std::string tool_version;

    [[nodiscard]] std::string timestamp() const;  // "2026-01-02T03:04:05Z"
    [[nodiscard]] std::string uuid(std::string_view salt) const;
    [[nodiscard]] std::string task() const;  // "text-generation"; empty: not known
    // Where others get it, as an address: of the facts, else what its source tells; empty: not known.
    [[nodiscard]] std::string address() const;
    [[nodiscard]] std::vector<const SubjectFile*> weights() const;
    [[nodiscard]] std::vector<const lineage::Node*> bases() const;  // parents that are models
};

[[nodiscard]] Subject gather(const PackSource& source, const PackOptions& options);
[[nodiscard]] std::string rfc3339(std::int64_t seconds);
// Seconds of "2026-01-02T03:04:05Z"; nullopt for another form.
[[nodiscard]] std::optional<std::int64_t> seconds_of(std::string_view rfc3339);

}  // namespace freehold::bundle
