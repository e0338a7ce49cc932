// BERT's WordPiece: from the left, always the longest token that fits; a word that does not come out is unknown as a
// whole.
#include <algorithm>

#include "model.h"
#include "raw_bytes.h"
#include "unicode.h"

namespace freehold::text {
namespace {

class WordPieceModel final : public Model {
 public:
    WordPieceModel(const Vocabulary& vocabulary, WordPieceOptions options)
        : vocabulary_(vocabulary), options_(std::move(options)) {
        options_.longest_word =
            std::min<std::size_t>(options_.longest_word, 1000);  // the search is quadratic in a word
    }

    void encode(std::string_view word, char32_t, std::vector<std::int32_t>& out) const override {
        std::vector<std::size_t> ends;  // where characters end
        for (std::size_t at = 0; at < word.size();) {
            at += utf8_at(word, at).length;
            ends.push_back(at);
            if (ends.size() > options_.longest_word) return unknown(out);
        }
        const std::size_t before = out.size();
        std::size_t begin = 0, first = 0;  // bytes, and index into ends
        std::string candidate;
        while (begin < word.size()) {
            std::int32_t id = Vocabulary::kNone;
            std::size_t next = ends.size();
            for (; next > first; --next) {
                candidate = begin == 0 ? (options_.phantom_space ? "\xE2\x96\x81" : "")
                                       : (options_.phantom_space ? std::string() : options_.prefix);
                candidate += word.substr(begin, ends[next - 1] - begin);
                id = vocabulary_.find(candidate);
                if (id >= 0) break;
            }
            if (id < 0) {
                out.resize(before);
                return unknown(out);
            }
            out.push_back(id);
            begin = ends[next - 1];
            first = next;
        }
    }

 private:
    void unknown(std::vector<std::int32_t>& out) const {
        if (options_.unk >= 0) out.push_back(options_.unk);
    }
    const Vocabulary& vocabulary_;
    WordPieceOptions options_;
};

}  // namespace

std::unique_ptr<const Model> make_word_piece(const Vocabulary& vocabulary, WordPieceOptions options) {
    return std::make_unique<WordPieceModel>(vocabulary, std::move(options));
}

}  // namespace freehold::text
