// What parts a file from a licence that it is laid beside, word by word: which differences are allowed, and which are
// changes.
#pragma once

#include <string_view>
#include <vector>

#include "align.h"
#include "library.h"
#include "words.h"

namespace freehold::licence {

struct File {
    std::string_view source;
    std::vector<Word> words;
    std::vector<Id> ids;
};

// Differences that SPDX's guidelines allow: list marks, copyright lines, addresses, names where the licence has one,
// parts that may be left out, and words that are only written together or apart.
[[nodiscard]] bool allowed(const File& file, const Template& t, const Hunk& h);

// Where words were taken away or put in, it often cannot be told which of several equal ones they were ("the ... the").
// The place is taken at which a clause begins, or else a line: so people delete and insert.
void settle(const File& file, const Template& t, Alignment& a);

// An address may be written in other ways, but one of somebody else is a change: a licence can take its terms from
// there.
void addresses(const File& file, const Template& t, const Alignment& a, std::vector<Hunk>& changes);

// Where the words are the same, but a sentence ends in one text and goes on in the other: that can change what is
// allowed. Commas are not compared. Appends empty hunks to `changes`, which is sorted afterwards.
void punctuation(const File& file, const Template& t, const Alignment& a, std::vector<Hunk>& changes);

}  // namespace freehold::licence
