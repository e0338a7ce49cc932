// The parts of a tokenizer from a SentencePiece model file, for those who make something else of them.
#pragma once

#include "pipeline.h"

namespace freehold::text {

// outside: UnigramOptions::outside, which must live as long as what is made of the pipeline; or null.
[[nodiscard]] Pipeline sentencepiece_pipeline(std::string_view bytes, const ValueMap* config,
                                              const Vocabulary* outside);

}  // namespace freehold::text
