// The licences that the program carries: their texts as words, what may be replaced in them, and the table of clauses.
// Made once from the embedded files (texts/ and facts/); every fault in them is found by the tests, not by users.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "align.h"
#include "freehold/licence/licence.h"
#include "words.h"

namespace freehold::licence {

// Words [begin, end) of a template.
struct Range {
    std::uint32_t begin = 0, end = 0;
};

// What the table says on one question; `quotes` are ranges of the template.
struct Fact {
    Answer answer = Answer::silent;
    std::string meaning;
    std::vector<Range> quotes;
};

// A duty that can be looked for in a model's files.
struct Duty {
    std::string check;  // "name-prefix", "card-says", "notice-says", "policy-text"
    std::string value;
    std::string meaning;
};

struct Template {
    std::uint32_t index = 0;  // in known_licences()
    bool notice = false;      // the short notice, not the text
    std::string source;       // the text as it is kept
    std::vector<Word> words;
    std::vector<Id> ids;
    Grams grams;
    std::vector<Range> loose;              // may be missing, replaced or filled in
    std::vector<bool> is_loose;            // by word
    std::vector<std::uint32_t> clause_of;  // by word: index into clause_names
    std::vector<std::string> clause_names;
    std::array<std::optional<Fact>, kQuestions> facts;
    std::vector<Range> restrictions;  // where uses are listed that are forbidden
    std::vector<Duty> duties;
};

// A phrase of the pattern lists: words with gaps of at most `gap` words between the parts.
struct Pattern {
    Question question = Question::use_limits;
    std::string meaning;
    std::vector<std::vector<Id>> parts;
};

class Library {
 public:
    static const Library& get();

    [[nodiscard]] std::span<const Template> templates() const noexcept { return templates_; }
    [[nodiscard]] std::span<const Known> known() const noexcept { return known_; }
    [[nodiscard]] std::span<const Pattern> patterns() const noexcept { return patterns_; }
    [[nodiscard]] const Known& known_of(const Template& t) const noexcept { return known_[t.index]; }
    [[nodiscard]] const Template* text_of(const Known& known) const noexcept;

    // How many of each template's anchors stand in these words.
    [[nodiscard]] std::vector<std::uint32_t> hits(std::span<const Id> words) const;
    // Numbers for the words of a file: those of the library, and new ones for words that no licence has or that are
    // hidden.
    [[nodiscard]] std::vector<Id> number(std::span<const Word> words) const;

 private:
    Library();
    void load(std::string_view name, std::string_view json);
    void load_one(const ValueMap& entry, std::string_view file);
    Id intern(std::string_view word);
    [[nodiscard]] std::vector<Id> intern_phrase(std::string_view phrase);
    void prepare(Template& t, const ValueMap& facts);

    std::unordered_map<std::string, Id> ids_;
    std::vector<Known> known_;
    std::vector<Template> templates_;
    std::vector<Pattern> patterns_;
    std::unordered_map<std::uint64_t, std::vector<std::uint16_t>> index_;  // anchor -> templates that have it
    std::unordered_map<std::string, ValueMap> entries_;  // by id, for "like"; emptied when all is loaded
};

// The first place at or after `from` where the phrase stands; " ... " in it spans up to 400 words. nullopt: nowhere.
[[nodiscard]] std::optional<Range> find_phrase(std::span<const Word> words, std::string_view phrase,
                                               std::uint32_t from = 0);

// Names the clauses of a text: "4.d", "Section 2.a.1", or the first words of a paragraph; one index for each word.
void name_clauses(std::string_view source, std::span<const Word> words, std::vector<std::string>& names,
                  std::vector<std::uint32_t>& of_word);

// The files of texts/ and facts/ as they were when the program was built.
struct EmbeddedFile {
    std::string_view name;  // "texts/MIT.txt"
    std::string_view bytes;
};
[[nodiscard]] std::span<const EmbeddedFile> embedded_files() noexcept;

}  // namespace freehold::licence
