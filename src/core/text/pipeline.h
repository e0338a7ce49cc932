// The tokenizer that all files become: added tokens, normalizers, pre-tokenizers, model, special ends, decoders.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "added_tokens.h"
#include "decoder.h"
#include "freehold/text/tokenizer.h"
#include "model.h"
#include "normalizer.h"
#include "pre_tokenizer.h"
#include "vocabulary.h"

namespace freehold::text {

struct Pipeline {
    std::unique_ptr<Vocabulary> vocabulary;
    AddedTokens before_normalizer, after_normalizer;
    Normalizers normalizers;
    PreTokenizers pre_tokenizers;
    std::unique_ptr<const Model> model;
    std::vector<std::int32_t> prefix, suffix;  // what add_special puts around a text
    std::vector<FramePart> pair;               // how two texts are written together; empty: not known
    Decoders decoders;
    std::vector<bool> hidden;       // tokens that decoding leaves out unless special ones are asked for
    bool added_are_raw = false;     // added tokens are written as they are, not through the decoders
    bool special_restarts = false;  // the text after a control token begins anew (a space in front, say)
    std::optional<std::int32_t> bos, eos, unk, pad;
    std::vector<std::int32_t> stop_ids;
    bool add_bos = false, add_eos = false;
    std::string kind, pre;
};

std::shared_ptr<const Tokenizer> make_tokenizer(Pipeline parts);

// The ids of well-known tokens that end an answer, among those that are control tokens, and those given; sorted.
std::vector<std::int32_t> find_stop_ids(const Vocabulary& vocabulary, const std::vector<bool>& special,
                                        const std::vector<std::optional<std::int32_t>>& given);

}  // namespace freehold::text
