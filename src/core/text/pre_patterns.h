// The pre-tokenizers that GGUF files name in tokenizer.ggml.pre, in one table.
#pragma once

#include <span>
#include <string_view>

#include "pre_tokenizer.h"

namespace freehold::text {

struct PrePattern {
    std::string_view names;  // separated by spaces; the first is ours
    std::span<const std::string_view> stages;
    bool nfc = false;            // the maker normalizes to NFC first
    bool ignore_merges = false;  // a whole word in the vocabulary wins over the merges
    bool add_bos = false;        // when the file does not say
    bool meta_spaces = false;    // U+2581 and raw UTF-8 instead of byte characters
};

// nullptr if no entry has that name.
[[nodiscard]] const PrePattern* find_pre_pattern(std::string_view name);
// The name that files of this architecture would carry if they were not older than the key; "default" if nothing is
// known.
[[nodiscard]] std::string_view pre_of_architecture(std::string_view architecture);
[[nodiscard]] PreTokenizers make_pre_tokenizers(const PrePattern& pattern);
[[nodiscard]] std::span<const PrePattern> all_pre_patterns();

// GPT-2's pattern, which ByteLevel of Hugging Face uses by default.
extern const std::string_view kWordsGpt2;

}  // namespace freehold::text
