// Normalizers: what happens to a stretch of text before it is cut into words. Each is one small object; a model has a
// list.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pattern.h"
#include "unicode.h"

namespace freehold::text {

class Normalizer {
 public:
    virtual ~Normalizer() = default;
    // Changes `text` in place; at_start: this stretch begins the whole text.
    virtual void apply(std::string& text, bool at_start) const = 0;
};
using Normalizers = std::vector<std::unique_ptr<const Normalizer>>;

std::unique_ptr<const Normalizer> make_normal_form(NormalForm form);
std::unique_ptr<const Normalizer> make_lower_case();
std::unique_ptr<const Normalizer> make_strip_accents();
std::unique_ptr<const Normalizer> make_strip(bool left, bool right);
// Puts `prefix` before a text that is not empty; first_only: only before the beginning of the whole text.
std::unique_ptr<const Normalizer> make_prepend(std::string prefix, bool first_only);
std::unique_ptr<const Normalizer> make_replace(std::string from, std::string to);
std::unique_ptr<const Normalizer> make_replace(Regex from, std::string to);
// Runs of spaces become one, those at both ends go (SentencePiece's remove_extra_whitespaces).
std::unique_ptr<const Normalizer> make_squeeze_spaces();
// Bytes become the visible characters of byte-level vocabularies.
std::unique_ptr<const Normalizer> make_byte_characters();
// BERT: control characters go, white space becomes a space, ideographs stand alone, accents and capitals go.
struct BertOptions {
    bool clean_text = true, ideographs = true, strip_accents = true, lower_case = true;
};
std::unique_ptr<const Normalizer> make_bert(BertOptions options);

}  // namespace freehold::text
