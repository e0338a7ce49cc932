// The part of a tokenizer that turns one word into tokens: byte-pair encoding by ranks or by scores, and the other
// kinds.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "vocabulary.h"

namespace freehold::text {

class Model {
 public:
    virtual ~Model() = default;
    // Appends the tokens of a word, which is valid UTF-8. raw_base: see raw_bytes.h.
    virtual void encode(std::string_view word, char32_t raw_base, std::vector<std::int32_t>& out) const = 0;
};

// The byte that a token written <0x41> stands for, or -1.
[[nodiscard]] int byte_of_token(std::string_view text) noexcept;
// The ids of <0x00> .. <0xFF>, kNone where the vocabulary has none.
[[nodiscard]] std::array<std::int32_t, 256> byte_tokens(const Vocabulary& vocabulary);

// Byte-pair encoding with ranked merges (GPT-2 and all byte-level ones, and what Hugging Face makes of SentencePiece).
struct BpeOptions {
    bool ignore_merges = false;  // a word that is a token is that token, whatever the merges say
    bool byte_fallback = false;  // characters that are no token become <0xNN>
    bool fuse_unk = false;       // unknown characters in a row are one unknown token
    std::int32_t unk = Vocabulary::kNone;
    std::string prefix, suffix;  // of pieces inside a word, and at its end ("##", "</w>")
};
// left, right -> merged; the rank is the position in the list.
struct Merge {
    std::int32_t left, right, merged;
};
// hint: what the merge before made; lists are mostly in the order of the vocabulary, which saves a look-up.
// Resolves "left right" against the vocabulary. Error{bad_file} naming the merge that names none.
[[nodiscard]] Merge resolve_merge(const Vocabulary& vocabulary, std::string_view left, std::string_view right,
                                  std::size_t index, std::size_t prefix_length, std::string_view where,
                                  std::int32_t hint = Vocabulary::kNone);
std::unique_ptr<const Model> make_bpe(const Vocabulary& vocabulary, const std::vector<Merge>& merges,
                                      BpeOptions options);

// SentencePiece's byte-pair encoding: the adjacent pair whose text has the highest score is joined first, the left one
// on ties. Tokens of kind normal, user_defined and unused take part; an unused result falls apart again.
std::unique_ptr<const Model> make_spm(const Vocabulary& vocabulary, std::vector<float> scores, std::int32_t unk);

// SentencePiece's unigram model: the cut of the word whose scores add up to most.
struct UnigramOptions {
    std::int32_t unk = Vocabulary::kNone;
    bool byte_fallback = false;
    bool all_pieces = false;  // control tokens written in the text are pieces, too (Hugging Face)
    // Unknown characters in a row that are a token here become its id behind the vocabulary's own (Marian, whose ids
    // are those of another vocabulary, of two languages); or null.
    const Vocabulary* outside = nullptr;
};
std::unique_ptr<const Model> make_unigram(const Vocabulary& vocabulary, std::vector<double> scores,
                                          UnigramOptions options);

// BERT's: the longest token that begins the rest, `prefix` before all but the first. phantom_space: GGUF's spelling,
// where the first piece has U+2581 in front and the others have nothing.
struct WordPieceOptions {
    std::int32_t unk = Vocabulary::kNone;
    std::string prefix = "##";
    std::size_t longest_word = 100;  // characters; a longer word is unknown
    bool phantom_space = false;
};
std::unique_ptr<const Model> make_word_piece(const Vocabulary& vocabulary, WordPieceOptions options);

// Where a text may be cut before U+2581 without changing a token: nowhere that a token of the vocabulary has the same
// byte before one. Real vocabularies have few such tokens or none, so that words are encoded one by one.
struct MetaCuts {
    bool usable = false;             // U+2581 itself is a token
    std::array<bool, 256> joined{};  // bytes that some token has directly before U+2581
};
[[nodiscard]] MetaCuts meta_cuts(const Vocabulary& vocabulary);
// Calls fn(word) for the stretches of a text that begin with U+2581.
template <class F>
void for_each_meta_word(std::string_view text, const MetaCuts& cuts, const F& fn) {
    constexpr std::string_view kMeta = "\xE2\x96\x81";
    std::size_t begin = 0;
    for (std::size_t at = text.find(kMeta, 1); at != std::string_view::npos; at = text.find(kMeta, at + kMeta.size())) {
        const bool after_meta = at >= kMeta.size() && text.substr(at - kMeta.size(), kMeta.size()) == kMeta;
        if (after_meta || cuts.joined[static_cast<unsigned char>(text[at - 1])]) continue;
        fn(text.substr(begin, at - begin));
        begin = at;
    }
    if (begin < text.size()) fn(text.substr(begin));
}

}  // namespace freehold::text
