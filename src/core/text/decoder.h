// Decoders: from the texts of tokens back to text. A model has a list; each works on the whole row of tokens.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pattern.h"

namespace freehold::text {

struct DecodeToken {
    std::string text;
    bool raw = false;  // written as it is: bytes, or a control token of a GGUF vocabulary
};

// Whether the tokens begin the text, and whether they end it: some decoders treat the ends otherwise.
struct DecodeEnds {
    bool begins = true, ends = true;
};

class Decoder {
 public:
    virtual ~Decoder() = default;
    virtual void apply(std::vector<DecodeToken>& tokens, DecodeEnds ends) const = 0;
};
using Decoders = std::vector<std::unique_ptr<const Decoder>>;

std::unique_ptr<const Decoder> make_byte_level_decoder();
std::unique_ptr<const Decoder> make_byte_fallback_decoder();
std::unique_ptr<const Decoder> make_fuse_decoder();
std::unique_ptr<const Decoder> make_replace_decoder(std::string from, std::string to);
std::unique_ptr<const Decoder> make_replace_decoder(Regex from, std::string to);
// Takes up to `start` and `stop` characters `content` from both ends of each token.
std::unique_ptr<const Decoder> make_strip_decoder(std::string content, std::size_t start, std::size_t stop);
std::unique_ptr<const Decoder> make_metaspace_decoder(std::string mark, bool prepended);
std::unique_ptr<const Decoder> make_suffix_decoder(std::string suffix);                    // "</w>" ends a word
std::unique_ptr<const Decoder> make_word_piece_decoder(std::string prefix, bool cleanup);  // "##" goes on with one
std::unique_ptr<const Decoder> make_join_decoder(std::string separator);

}  // namespace freehold::text
