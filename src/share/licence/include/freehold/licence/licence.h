// Which licence a text is, what it lets its reader do, and where it says so. Nothing here is legal advice.
// Words are compared after the normalisation that SPDX's matching guidelines describe (punctuation is not compared);
// every answer about a known licence is backed by lines of the very file that was given. See docs/licences.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/base/value.h"
#include "freehold/store/store.h"

namespace freehold::licence {

// What is asked of every licence; the order is the order of reports.
enum class Question : std::uint8_t {
    commercial,    // may it be used to earn money?
    modify,        // may it be changed, fine-tuned?
    redistribute,  // may copies and changed copies be passed on?
    naming,        // must a name or a sentence be shown, or a name begin in a certain way?
    attribution,   // which notices and texts go with copies?
    share_alike,   // must what is made from it be under the same terms?
    use_limits,    // for what may it not be used?
    outputs,       // may its outputs train other models?
    threshold,     // is there a bound of users or revenue?
    patent,        // are patents licensed?
    termination,   // what ends it?
    law,           // whose law, which court?
    changes,       // may the licensor restrict it from afar, or change the terms later?
};
inline constexpr std::size_t kQuestions = 13;
[[nodiscard]] const char* question_key(Question q) noexcept;    // "use_limits"
[[nodiscard]] const char* question_title(Question q) noexcept;  // "Limits on use"

// `silent`: the text says nothing about it. `unclear`: the clause that would say it was changed, removed or never
// reviewed. For naming, attribution, share_alike, use_limits, threshold and changes, `yes` means that there is a duty,
// limit or power.
enum class Answer : std::uint8_t { yes, no, conditional, silent, unclear };
[[nodiscard]] const char* answer_key(Answer a) noexcept;

// A licence (or a use policy that a licence refers to) that the program knows.
struct Known {
    std::string id;    // SPDX identifier ("Apache-2.0"), else "LicenseRef-" and a name ("LicenseRef-Llama-3.1")
    std::string name;  // "Llama 3.1 Community License Agreement"
    std::string note;  // what a reader of a match must know besides; may be empty
    bool spdx = false;
    bool policy = false;    // a use policy, no licence by itself
    bool reviewed = false;  // its clauses are in the table
    bool osi_approved = false, fsf_libre = false;
    std::vector<std::string> tags;  // how model cards and GGUF files name it: "llama3.1"
    LicenceCategory category = LicenceCategory::unknown;
};
[[nodiscard]] std::span<const Known> known_licences();
// By SPDX identifier, "LicenseRef-" name, or tag of a model card, in any case; null when it is not known. Family tags
// that name no version ("bsd", "llama") are not known.
[[nodiscard]] const Known* find_known(std::string_view id_or_tag);
// Its text as the program carries it; empty when it has none.
[[nodiscard]] std::string_view text_of(const Known& known);

struct Quote {
    std::uint32_t first_line = 0, last_line = 0;  // in the file that was given, from 1
    std::string text;                             // as it stands there, blanks gathered; long ones cut with "…"
    std::string place;                            // clause of the licence: "1.b.iii"; empty where it has no number
};

struct Clause {
    Question question = Question::commercial;
    Answer answer = Answer::silent;
    std::string meaning;             // one sentence in plain words
    std::vector<Quote> quotes;       // none for silent
    std::string place;               // that of the first quote
    std::vector<std::string> items;  // use_limits: one forbidden use each
};

// One place at which the text departs from the licence that it is otherwise.
struct Change {
    enum class Kind : std::uint8_t { removed, added, reworded };
    Kind kind = Kind::reworded;
    std::string clause;             // where in the original: `4.d "If the Work includes a NOTICE"`
    std::string original;           // words of the licence; empty for `added`
    std::string found;              // words of the file; empty for `removed`
    std::uint32_t line = 0;         // in the file
    bool operative = false;         // words that carry meaning are touched: not, may, only, a number, a whole sentence
    std::vector<Question> touches;  // questions whose answer rests on these words
};

// Something that a reader should look at, found by its words: in an unknown text, or in words added to a known one.
struct Worry {
    Question question = Question::use_limits;
    std::string meaning;
    Quote quote;
};

enum class Likeness : std::uint8_t {
    exact,      // the same words; names, years, list marks and the parts that may be replaced aside
    altered,    // a licence with changes, which are named: not that licence
    notice,     // the short notice by which a licence is applied, not its text
    reference,  // an SPDX-License-Identifier line or a sentence that names a licence: a claim
};
[[nodiscard]] const char* likeness_key(Likeness l) noexcept;

struct Match {
    const Known* known = nullptr;  // null: a reference to a licence that the program does not know
    std::string expression;        // for reference: the words of the claim, e.g. "MIT OR Apache-2.0"
    Likeness likeness = Likeness::exact;
    double similarity = 0;  // share of words in common, 0 to 1
    std::uint32_t first_line = 0, last_line = 0;
    std::vector<Change> changes;  // for altered
    std::vector<Clause> clauses;  // one for each question, in order; empty for policies, notices, references
};

// What a text is. Several licences may stand in one file; `worries` are about the words that belong to none of them.
struct TextReport {
    std::string unreadable;  // why the bytes are no text; empty otherwise, and then the rest holds
    std::vector<Match> matches;
    // The known licence that is most like an unknown text, with no claim that it is that one; at most one.
    std::vector<Match> nearest;
    std::vector<Worry> worries;
    std::uint32_t words = 0, words_outside = 0;  // outside: in no match
    // No licence text was recognised, but the words are those of one.
    bool unknown_terms = false;
};

// Never throws for hostile bytes; texts above 4 MiB are `unreadable`.
[[nodiscard]] TextReport examine(std::string_view text);

[[nodiscard]] Value to_value(const TextReport& report);

}  // namespace freehold::licence
