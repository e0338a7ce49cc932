// How an encoder-decoder is to be asked: with which token a text begins and ends, and what its maker recommends.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "freehold/formats/model_files.h"
#include "freehold/models/spec.h"
#include "freehold/ops/batch.h"

namespace freehold {

// When a beam search of `beams` hypotheses ends: `no`: once the best running one, at its present length, is worse than
// all that are finished; `yes`: once so many are finished; `never`: once no running one can become better.
enum class EarlyStopping : std::uint8_t { no, yes, never };

struct SearchOptions {
    int beams = 1;                // 1: the likeliest token at each step
    float length_penalty = 1.0F;  // scores of finished texts are divided by length to this power
    EarlyStopping early_stopping = EarlyStopping::no;
    int max_length = 512;  // tokens of a target, the first counted
    Token start = 0;
    std::vector<Token> ends;
    std::vector<Token> suppressed;    // are never chosen
    std::optional<Token> forced_end;  // the token of the last place
};

// Something that a model was trained to do when its text begins so.
struct TranslationTask {
    std::string name;  // "translation_en_to_de"
    std::string prefix;
    SearchOptions search;
};

struct TranslationSpec {
    SearchOptions search;
    std::vector<TranslationTask> tasks;
};

// generation_config.json, else config.json; config.json's task_specific_params; GGUF: the keys of T5. Error{bad_file}
// naming the key of what is outside its bounds, Error{unsupported} for what is not done (several tokens that must not
// follow each other).
[[nodiscard]] TranslationSpec read_translation_spec(const ModelFiles& files, const DecoderSpec& spec);

}  // namespace freehold
