// Words beside a known licence: what everybody puts there (copyright lines, titles, a line that names the licence), and
// everything else, which is terms that somebody added.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "differences.h"
#include "library.h"

namespace freehold::licence {

// The sentences in words [begin, end) of a file that are not known to be harmless, in order. A sentence that nobody
// here has seen is one of them: what it does to the licence beside it, a person has to read. `here`: the licences whose
// names may stand there; none: those of all.
[[nodiscard]] std::vector<Range> added_sentences(const File& file, Range where,
                                                 std::span<const Known* const> here = {});

// May these words stand where a licence has a name or a copyright line? At most `longest` words, none of which can
// grant, forbid, bound or end something.
[[nodiscard]] bool only_names(const File& file, Range words, std::uint32_t longest);

// The end (in bytes) of front matter as data bases of licences put it before a text (its name, its identifiers, its
// addresses); 0: there is none.
[[nodiscard]] std::size_t front_matter_end(std::string_view source);

// A line of such front matter that forbids or asks for something is no description. Ranges as above.
[[nodiscard]] std::vector<Range> added_in_front_matter(const File& file, Range where);

}  // namespace freehold::licence
