// The licence of a whole model: its licence files, what its card and its metadata claim, and where they contradict.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/licence/licence.h"

namespace freehold::licence {

// A file of the subject: the name that people see, and where it lies (in a store: a blob).
struct SubjectFile {
    std::string name;
    std::filesystem::path at;
};

// What is reviewed: the files of a folder, or of a stored model.
struct Subject {
    std::string name;  // as it was asked for
    std::vector<SubjectFile> files;
    std::string record_licence;  // what the store wrote down; empty for folders
    std::string left_out;        // a sentence when not everything was walked; empty otherwise
};

// The regular files below a folder (at most twelve levels deep, 4096 files, hidden folders aside), or one file alone.
// Throws Error{not_found|io}.
[[nodiscard]] Subject subject_of_path(const std::filesystem::path& path);
[[nodiscard]] Subject subject_of_model(const Store& store, const StoredModel& model);

struct ReviewedFile {
    std::string name;
    std::string digest;  // "sha256:..."
    TextReport report;
};

// Somebody says which licence it is, without its text.
struct Claim {
    std::string where;             // "README.md, license", "model.gguf, general.license", "the store's record"
    std::uint32_t line = 0;        // 0: no line
    std::string value;             // the words of the claim
    const Known* known = nullptr;  // null: a family, "other", or a name that is not known
};

// What a sentence speaks of.
enum class About : std::uint8_t { model, data, code, other };

// What a document says of terms in its own words: a licence that it names, or a limit that it sets.
struct Said {
    About about = About::model;
    std::uint32_t line = 0;
    std::string words;              // "CC BY-NC 4.0"
    std::string sentence;           // in which they stand
    const Known* known = nullptr;   // null: a limit
    std::optional<Question> limit;  // what it bounds
    std::string meaning;            // of a limit: "It limits commercial use."
};
// Sentences, headings, list items and rows of tables of a document (Markdown or plain; English). Front matter, code and
// what is hidden or struck out are left out. `unsaid`: what a sentence is about that does not say it.
[[nodiscard]] std::vector<Said> terms_in_words(std::string_view text, About unsaid = About::model);

struct Finding {
    enum class Weight : std::uint8_t { note, warning, conflict };
    Weight weight = Weight::note;
    std::string key;      // stable: "claim-contradicts-text"
    std::string message;  // a sentence
    std::string where;    // file and line, or empty
    // A card's sentence that speaks otherwise than the licence: the question on which it makes a yes doubtful.
    std::optional<Question> touches = std::nullopt;
    // It says of the model itself that other terms hold than those of an open licence beside it.
    bool binds = false;
};
[[nodiscard]] const char* weight_key(Finding::Weight w) noexcept;

struct Review {
    std::string subject;
    std::vector<ReviewedFile> texts;  // files that are licence texts by their name or, asked for alone, in any case
    std::vector<Claim> claims;
    std::vector<Finding> findings;

    // The licence texts (not policies, not notices) that were found.
    [[nodiscard]] std::vector<const Match*> licences() const;
};

// Reads licence files, the front matter of README.md, and the metadata of GGUF files. A file that cannot be read
// becomes a finding. Throws only for the subject itself.
[[nodiscard]] Review review(const Subject& subject);

// What somebody needs to do, and whether the terms let them. Three answers; when in doubt, `ask`.
enum class Verdict : std::uint8_t { yes, ask, no };
[[nodiscard]] const char* verdict_key(Verdict v) noexcept;  // "yes", "ask counsel", "no"

struct Judgement {
    std::string need;  // "train-others"
    Verdict verdict = Verdict::ask;
    std::string reason;         // a sentence that names the licence
    std::vector<Quote> quotes;  // what it rests on
    std::string where;          // the file of the quotes
};

struct Need {
    const char* name;     // as it is typed
    const char* meaning;  // "use it to earn money"
};
[[nodiscard]] std::span<const Need> all_needs() noexcept;

// One judgement for each need, in order. The strictest of several licences decides. What only a card or metadata claims
// gives at best `ask`, unless `trust_claims`. Throws Error{usage} for a need that is not known.
[[nodiscard]] std::vector<Judgement> judge(const Review& review, std::span<const std::string> needs,
                                           bool trust_claims = false);

// The words that stand at the end of every report.
[[nodiscard]] const char* not_legal_advice() noexcept;

[[nodiscard]] Value to_value(const Review& review);
[[nodiscard]] Value to_value(std::span<const Judgement> judgements);

}  // namespace freehold::licence
