// A document as the pieces in which one thing is said: sentences, list items, headings, rows of tables; each with what
// the heading above it is about.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "differences.h"
#include "freehold/licence/review.h"

namespace freehold::licence {

struct Unit {
    Range words;
    bool heading = false;
    bool row = false;  // of a table
    Range header;      // row: the words of the table's first row; empty in that row itself
    std::optional<About> section;
    bool terms = false;  // below a heading like "License", or such a heading itself
};

class Document {
 public:
    // Front matter, blocks of code and what is hidden are left out; lines are those of `text`.
    explicit Document(std::string_view text);
    Document(const Document&) = delete;
    Document& operator=(const Document&) = delete;

    [[nodiscard]] const File& file() const noexcept { return file_; }
    [[nodiscard]] const std::vector<Unit>& units() const noexcept { return units_; }
    [[nodiscard]] const std::string& word(std::uint32_t i) const { return file_.words[i].text; }
    // What stands between word i - 1 and word i.
    [[nodiscard]] std::string_view gap_before(std::uint32_t i) const;
    // The cell of a table's row in which a word stands, from 0.
    [[nodiscard]] std::size_t cell_of(const Unit& row, std::uint32_t i) const;
    // What word i is the name of: "weights" are the model, "corpus" is data, "model card" is neither.
    [[nodiscard]] std::optional<About> noun(std::uint32_t i, std::uint32_t end) const;
    // What the nouns of a range speak of: of the model if it is among them.
    [[nodiscard]] std::optional<About> nouns(Range r) const;

 private:
    void cut();

    std::string text_;
    File file_;
    std::vector<Unit> units_;
};

[[nodiscard]] bool one_of(std::string_view word, std::initializer_list<std::string_view> list);

}  // namespace freehold::licence
