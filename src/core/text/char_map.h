// SentencePiece's compiled normalization: a double-array trie from character sequences to their replacements.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "freehold/base/value.h"
#include "normalizer.h"

namespace freehold::text {

// `blob`: 4 bytes length of the trie, the trie (32-bit units), replacement strings with NUL ends. An empty blob changes
// nothing. by_cluster: as Hugging Face applies it, to what a reader sees as one character; otherwise as SentencePiece
// does, to the longest sequence that the map has at each place. Error{bad_file} naming `where` if the sizes contradict
// each other.
std::unique_ptr<const Normalizer> make_char_map(std::string blob, bool by_cluster, std::string_view where);
// The bytes of a list of small numbers, as GGUF carries them.
[[nodiscard]] std::string bytes_of(const Value& list);

}  // namespace freehold::text
