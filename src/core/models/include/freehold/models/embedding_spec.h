// How a model's rows become one vector for a text: what its maker wrote beside the weights.
#pragma once

#include <string>
#include <string_view>

#include "freehold/formats/model_files.h"
#include "freehold/models/spec.h"
#include "freehold/ops/ends.h"

namespace freehold {

struct EmbeddingSpec {
    Pooling pooling = Pooling::mean;
    bool normalise = true;  // vectors of length 1
    int dimensions = 0;     // of a vector
    int max_tokens = 0;     // of a text, special tokens included
    bool pooling_known =
        false;  // false: the files do not say, and the pooling is what models of this kind usually have
};

[[nodiscard]] std::string_view pooling_name(Pooling pooling) noexcept;  // "mean", "cls", "last"

// Hugging Face folders: modules.json, 1_Pooling/config.json and sentence_bert_config.json of sentence-transformers,
// then model_max_length of tokenizer_config.json. GGUF: ARCH.pooling_type. Where neither says it, an encoder takes the
// mean and a decoder its last row. Error{unsupported} naming a module or a pooling that is not computed,
// Error{bad_file} for what contradicts itself.
[[nodiscard]] EmbeddingSpec read_embedding_spec(const ModelFiles& files, const DecoderSpec& spec);

}  // namespace freehold
