// How open a model is: what was found of each component, under which licence, with evidence; judged by the Open Source
// AI Definition 1.0 and the Model Openness Framework 1.0; what its card claims, held against that. Not legal advice.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/base/value.h"
#include "freehold/licence/review.h"
#include "freehold/openness/attest.h"
#include "freehold/openness/mof.h"

namespace freehold::openness {

// How far a component is there. Only `here` counts.
enum class Presence : std::uint8_t {
    absent,   // nothing speaks of it
    hollow,   // a file by its name, but empty, a placeholder, or something else inside
    named,    // metadata names it ("LlamaForCausalLM"), but it does not come along
    pointed,  // an address or a file name says where it is; it was not looked at
    here,     // it lies in these files, and its content is of that kind
};
[[nodiscard]] const char* presence_key(Presence p) noexcept;
[[nodiscard]] const char* presence_title(Presence p) noexcept;

enum class Sureness : std::uint8_t { hint, likely, certain };
[[nodiscard]] const char* sureness_key(Sureness s) noexcept;

struct Evidence {
    Presence presence = Presence::here;
    Sureness sureness = Sureness::certain;
    std::string file;
    std::string digest;      // "sha256:..." of the file
    std::uint32_t line = 0;  // 0: the whole file
    std::string key;         // of GGUF or JSON metadata; may be empty
    std::string what;        // "272 tensors, 134.5 M parameters"
};

// The licence of one component, and on what that rests.
struct PartLicence {
    enum class Basis : std::uint8_t {
        none,   // nothing says
        claim,  // a tag, a metadata key or an SPDX line says so; no text comes along
        text,   // the text is here, word for word
    };
    Basis basis = Basis::none;
    std::string id;       // SPDX identifier or "LicenseRef-..."; empty for none
    std::string name;     // for people; "altered MIT License", "terms that are not known"
    std::string where;    // the file or key that it rests on
    bool open = false;    // by the framework's lists
    bool osi = false;     // approved by the OSI
    std::string trouble;  // a sentence when it is contradicted: the base's terms, two licences
};
[[nodiscard]] const char* basis_key(PartLicence::Basis b) noexcept;

struct Part {
    Component component = Component::architecture_code;
    Presence presence = Presence::absent;
    Sureness sureness = Sureness::hint;  // of the best evidence
    std::vector<Evidence> evidence;      // best first
    PartLicence licence;
};

// What documents say of the training data; which of the questions of the definition they answer.
struct DataTopic {
    const char* key;    // "provenance"
    const char* title;  // "where it is from"
    std::string where;  // file:line of the words; empty: not said
};

enum class Status : std::uint8_t { not_met, undecided, met };
[[nodiscard]] const char* status_key(Status s) noexcept;  // "not met", "not decidable", "met"

// One row of the checklist of the Open Source AI Definition.
struct ChecklistItem {
    const char* key;    // "data-information"
    const char* group;  // "Data", "Code", "Model"
    const char* title;
    const char* asked;  // the legal requirement
    Status status = Status::not_met;
    std::string found, missing;  // sentences; either may be empty
    std::string attested;        // a person's word on it: shown, never counted in `status`
    Status with_attestation = Status::not_met;
};

enum class Category : std::uint8_t { api_only, restricted_weights, permissive_weights, open_tooling, open_source_ai };
[[nodiscard]] const char* category_key(Category c) noexcept;
[[nodiscard]] const char* category_title(Category c) noexcept;

// Words of the card, the name or the metadata held against what is there.
struct ClaimCheck {
    enum class Verdict : std::uint8_t { met, undecided, unsupported, contradicted };
    std::string rule;   // "claims-open-source"
    std::string words;  // as they stand there
    std::string file;
    std::uint32_t line = 0;
    std::string digest;    // of that file
    std::string artefact;  // what it was held against
    Verdict verdict = Verdict::undecided;
    std::string message;
};
[[nodiscard]] const char* verdict_key(ClaimCheck::Verdict v) noexcept;

// A model that this one was made from.
struct Base {
    std::string name;
    std::string where;   // "README.md, base_model"; "the store's record"
    std::string digest;  // of its manifest, where the store knows it
    bool here = false;   // in this store
};

struct Report {
    std::string subject;
    std::string digest;  // "sha256:...": of the stored manifest, else of the list of files and their digests
    std::uint64_t files = 0, bytes = 0;
    std::vector<Part> parts;  // kComponents, in order
    std::vector<DataTopic> topics;
    licence::Review review;
    MofResult mof;          // by what is here with its licence text
    MofResult mof_claimed;  // the same with claimed licences taken at their word
    std::vector<ChecklistItem> checklist;
    Category category = Category::api_only;
    std::string category_reason;
    bool by_claim = false;                            // the category rests on a licence that is only claimed
    Category category_attested = Category::api_only;  // with what people attest taken at their word
    std::vector<ClaimCheck> claims;
    std::vector<Base> bases;
    std::vector<Attestation> attestations;
    std::vector<std::string> notes;  // what could not be looked at

    [[nodiscard]] const Part& part(Component c) const { return parts[static_cast<std::size_t>(c)]; }
};

// Everything that is needed to look at a model: its files, and what the store knows beside them.
struct Target {
    licence::Subject subject;
    std::string digest;                                             // of the stored manifest; empty for paths
    std::vector<std::pair<std::string, std::string>> file_digests;  // by name; what the store knows is not read again
    std::vector<Base> bases;
    std::filesystem::path attestations;  // where they are kept; may not exist
};
// A folder, a file, or a name of the store. Throws Error{not_found|io}.
[[nodiscard]] Target find_target(const Store& store, const std::string& name_or_path);
[[nodiscard]] Target target_of_model(const Store& store, const StoredModel& model);

// Reads every file once at most. A file that cannot be read becomes a note. `public_key`: the PEM of this machine's
// attestation key, to tell its own signatures from others'; may be empty.
[[nodiscard]] Report examine(const Target& target, std::string_view public_key = {});

// Every need of the licence answered: what the terms allow, for reports. Claims are not taken at their word.
[[nodiscard]] std::vector<licence::Judgement> licence_answers(const Report& report);

// Needs beyond those of the licence: "data-information", "training-code", ...
[[nodiscard]] std::span<const licence::Need> openness_needs() noexcept;
// One judgement for each need, licence needs and openness needs mixed, in order. Throws Error{usage}.
[[nodiscard]] std::vector<licence::Judgement> judge(const Report& report, std::span<const std::string> needs,
                                                    bool trust_claims = false);

[[nodiscard]] ValueMap report_json(const Report& report, std::string_view version);
// SARIF 2.1.0, one run for all reports. What is missing is a note, what contradicts is a warning or an error.
[[nodiscard]] ValueMap report_sarif(std::span<const Report> reports, std::string_view version);
// One HTML file without any outside reference; several reports begin with a table side by side.
// `judgements` may be empty, or one list for each report.
[[nodiscard]] std::string report_html(std::span<const Report> reports,
                                      std::span<const std::vector<licence::Judgement>> judgements,
                                      std::string_view version, std::string_view date);

}  // namespace freehold::openness
