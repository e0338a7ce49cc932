// Text to token ids and back, as the model's maker does it: byte-level BPE, SentencePiece BPE with byte fallback,
// unigram, WordPiece. Immutable after construction and safe to use from many threads.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/base/value.h"

namespace freehold {

struct TokenInfo {
    std::string text;  // as in the vocabulary
    enum class Kind : std::uint8_t { normal, unknown, control, user_defined, unused, byte } kind = Kind::normal;
};

struct EncodeOptions {
    bool add_special = true;     // BOS and EOS as the model's configuration says
    bool parse_special = false;  // special tokens written in the text become their ids (templates: yes, user text: no)
};

// What stands around texts that an encoder reads: a special token, or the place of a text.
struct FramePart {
    static constexpr std::int32_t kFirst = -1, kSecond = -2;
    std::int32_t id = kFirst;
    std::uint8_t type = 0;  // token type of this part
};
struct Framed {
    std::vector<std::int32_t> ids;
    std::vector<std::uint8_t> types;  // as many
    std::size_t left_out = 0;         // tokens of the texts that did not fit
};

class Tokenizer {
 public:
    // From GGUF keys (tokenizer.ggml.*). Error{bad_file} naming key and index; Error{unsupported} for an unknown kind
    // or an unknown name in tokenizer.ggml.pre, since a guess would give wrong tokens.
    static std::shared_ptr<const Tokenizer> from_gguf(const ValueMap& meta);
    // From a Hugging Face tokenizer.json; `config` is tokenizer_config.json or null.
    static std::shared_ptr<const Tokenizer> from_hf(std::string_view tokenizer_json, const ValueMap* config);
    // From a SentencePiece model file (protobuf bytes).
    static std::shared_ptr<const Tokenizer> from_sentencepiece(std::string_view bytes, const ValueMap* config);
    // From Marian's source.spm and vocab.json, and target_vocab.json or null: texts are encoded as sources, ids decoded
    // as targets.
    static std::shared_ptr<const Tokenizer> from_marian(std::string_view source_spm, std::string_view vocab,
                                                        const std::string* target_vocab);

    virtual ~Tokenizer() = default;
    // Any bytes are taken: what is no UTF-8 becomes the tokens of its bytes where the vocabulary has them.
    // Error{limit} when a pattern of the file explodes on this text.
    [[nodiscard]] virtual std::vector<std::int32_t> encode(std::string_view text, EncodeOptions options = {}) const = 0;
    // A text with the special tokens of add_special around it, in at most max_tokens tokens (0: any number): what does
    // not fit is left out at the end of the text, never a special token.
    [[nodiscard]] Framed frame(std::string_view text, std::size_t max_tokens = 0) const;
    // Two texts that are judged together (a question and a passage), as the model was trained to read them. The longer
    // one is cut first. Error{unsupported} when the tokenizer's files do not say how pairs are written.
    [[nodiscard]] Framed frame_pair(std::string_view first, std::string_view second, std::size_t max_tokens = 0) const;
    [[nodiscard]] bool knows_pairs() const noexcept { return !pair_.empty(); }
    // All bytes of the tokens; invalid UTF-8 may come out where the tokens say so. special: also show control tokens.
    // Ids without a text (beyond the vocabulary) are nothing.
    // goes_on: more tokens will follow, so nothing is done about the end of the text.
    [[nodiscard]] virtual std::string decode(std::span<const std::int32_t> ids, bool special = false,
                                             bool goes_on = false) const = 0;
    // Bytes of one token in the middle of a text (no stripping of a leading space); empty for control tokens unless
    // special.
    [[nodiscard]] virtual std::string piece(std::int32_t id, bool special = false) const = 0;

    [[nodiscard]] virtual std::int32_t size() const noexcept = 0;
    [[nodiscard]] virtual const TokenInfo& token(std::int32_t id) const = 0;
    [[nodiscard]] virtual std::optional<std::int32_t> find(std::string_view token_text) const = 0;
    [[nodiscard]] std::optional<std::int32_t> bos() const noexcept { return bos_; }
    [[nodiscard]] std::optional<std::int32_t> eos() const noexcept { return eos_; }
    [[nodiscard]] std::optional<std::int32_t> unk() const noexcept { return unk_; }
    [[nodiscard]] std::optional<std::int32_t> pad() const noexcept { return pad_; }
    // Every id that ends an answer (eos, eot, end_of_turn, ...).
    [[nodiscard]] const std::vector<std::int32_t>& stop_ids() const noexcept { return stop_ids_; }
    [[nodiscard]] bool adds_bos() const noexcept { return add_bos_; }
    [[nodiscard]] std::string_view kind() const noexcept { return kind_; }  // "bpe", "spm", "unigram", "wordpiece"
    [[nodiscard]] std::string_view pre() const noexcept {
        return pre_;
    }  // name of the pre-tokenizer pattern, "" if none

 protected:
    std::optional<std::int32_t> bos_, eos_, unk_, pad_;
    std::vector<std::int32_t> stop_ids_;
    bool add_bos_ = false, add_eos_ = false;
    std::string kind_, pre_;
    std::vector<FramePart> single_, pair_;
};

// Turns a stream of tokens into valid UTF-8 text: bytes of an unfinished character wait; finish() gives the rest with
// U+FFFD for what never became a character. Together the outputs are decode() of all ids (told that it goes on), as
// valid UTF-8.
class StreamDecoder {
 public:
    // at_start: the ids begin a text of their own, whose leading space (SentencePiece) goes as in decode(); false: they
    // go on with a text that stands there already, and every byte counts.
    explicit StreamDecoder(std::shared_ptr<const Tokenizer> tokenizer, bool special = false, bool at_start = true);
    [[nodiscard]] std::string push(std::int32_t id);
    [[nodiscard]] std::string finish();

 private:
    std::shared_ptr<const Tokenizer> tokenizer_;
    bool special_, at_start_;
    std::vector<std::int32_t> first_;
    std::string pending_;
};

}  // namespace freehold
