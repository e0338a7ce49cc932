// Pre-tokenizers: how a stretch of text is cut into words before the model sees it. A model has a list; each piece that
// one of them gives goes on to the next.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pattern.h"

namespace freehold::text {

struct Piece {
    std::string_view text;
    bool at_start = false;  // begins the whole text
    char32_t raw_base =
        0;  // see raw_bytes.h: characters from here on stand for bytes that are no UTF-8; 0: there are none
};

// Where pieces go. Pieces are only valid during the call.
class PieceSink {
 public:
    virtual ~PieceSink() = default;
    virtual void take(const Piece& piece) = 0;
};

class PreTokenizer {
 public:
    virtual ~PreTokenizer() = default;
    virtual void split(const Piece& piece, PieceSink& sink) const = 0;
};
using PreTokenizers = std::vector<std::unique_ptr<const PreTokenizer>>;

// What becomes of the separators that a pattern finds.
enum class SplitBehavior : std::uint8_t { removed, isolated, merged_with_previous, merged_with_next, contiguous };

std::unique_ptr<const PreTokenizer> make_split(Regex pattern, SplitBehavior behavior, bool invert);
std::unique_ptr<const PreTokenizer> make_split(std::string literal, SplitBehavior behavior, bool invert);
// Kinds of characters as separators.
enum class CharClass : std::uint8_t { white_space, numeric, punctuation };
std::unique_ptr<const PreTokenizer> make_split(CharClass kind, SplitBehavior behavior);
std::unique_ptr<const PreTokenizer> make_word_split();  // words and what lies between, without spaces
std::unique_ptr<const PreTokenizer> make_fixed_length(std::size_t characters);
// Spaces become `mark`; the text gets one in front always, at the very beginning only, or never.
enum class PrependScheme : std::uint8_t { always, first, never };
std::unique_ptr<const PreTokenizer> make_metaspace(std::string mark, PrependScheme scheme, bool split);
// Bytes become their visible characters; `pattern` first cuts the text if it is there.
std::unique_ptr<const PreTokenizer> make_byte_level(bool add_prefix_space, std::unique_ptr<const Regex> pattern);

// Runs a piece through all of the list.
void pre_tokenize(const PreTokenizers& list, const Piece& piece, PieceSink& sink);

}  // namespace freehold::text
