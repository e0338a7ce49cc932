// SentencePiece's byte-pair encoding: merges are driven by the scores of the pieces, not by a list of pairs.
#include <algorithm>
#include <unordered_map>

#include "model.h"
#include "raw_bytes.h"
#include "unicode.h"

namespace freehold::text {
namespace {

class SpmModel final : public Model {
 public:
    SpmModel(const Vocabulary& vocabulary, std::vector<float> scores, std::int32_t unk)
        : vocabulary_(vocabulary), scores_(std::move(scores)), unk_(unk), bytes_(byte_tokens(vocabulary)) {
        scores_.resize(static_cast<std::size_t>(vocabulary.size()), 0.0F);
        cuts_ = meta_cuts(vocabulary);
    }

    void encode(std::string_view word, char32_t raw_base, std::vector<std::int32_t>& out) const override {
        Work work;
        if (cuts_.usable) {
            for_each_meta_word(word, cuts_, [&](std::string_view part) { encode_part(part, raw_base, work, out); });
        } else {
            encode_part(word, raw_base, work, out);
        }
    }

 private:
    struct Symbol {
        std::uint32_t begin, length;  // bytes of the word; length 0: merged away
        std::int32_t previous, next;
    };
    struct Candidate {
        float score;
        std::int32_t left, right;
        std::uint32_t length;  // of both together when it was pushed
        std::int32_t id;
        bool operator<(const Candidate& o) const noexcept { return score != o.score ? score < o.score : left > o.left; }
    };
    struct Work {
        std::vector<Symbol> symbols;
        std::vector<Candidate> heap;
        std::unordered_map<std::int32_t, std::uint32_t> splits;  // unused piece -> bytes of the left part it came from
    };

    [[nodiscard]] bool takes_part(std::int32_t id) const noexcept {
        using Kind = TokenInfo::Kind;
        const Kind kind = vocabulary_[id].kind;
        return kind == Kind::normal || kind == Kind::user_defined || kind == Kind::unused;
    }

    void push(std::string_view word, std::int32_t left, std::int32_t right, Work& work) const {
        if (left < 0 || right < 0) return;
        const Symbol& a = work.symbols[static_cast<std::size_t>(left)];
        const Symbol& b = work.symbols[static_cast<std::size_t>(right)];
        const std::uint32_t length = a.length + b.length;
        const std::int32_t id = vocabulary_.find(word.substr(a.begin, length));
        if (id < 0 || !takes_part(id)) return;
        work.heap.push_back({scores_[static_cast<std::size_t>(id)], left, right, length, id});
        std::push_heap(work.heap.begin(), work.heap.end());
        if (vocabulary_[id].kind == TokenInfo::Kind::unused) work.splits[id] = a.length;
    }

    void encode_part(std::string_view word, char32_t raw_base, Work& work, std::vector<std::int32_t>& out) const {
        auto& symbols = work.symbols;
        symbols.clear();
        work.heap.clear();
        work.splits.clear();
        for (std::size_t at = 0; at < word.size();) {
            const std::uint32_t length = utf8_at(word, at).length;
            const auto index = static_cast<std::int32_t>(symbols.size());
            symbols.push_back({static_cast<std::uint32_t>(at), length, index - 1, index + 1});
            at += length;
        }
        if (symbols.empty()) return;
        symbols.back().next = -1;
        for (std::int32_t i = 0; i + 1 < static_cast<std::int32_t>(symbols.size()); ++i) push(word, i, i + 1, work);
        while (!work.heap.empty()) {
            std::pop_heap(work.heap.begin(), work.heap.end());
            const Candidate c = work.heap.back();
            work.heap.pop_back();
            Symbol& left = symbols[static_cast<std::size_t>(c.left)];
            Symbol& right = symbols[static_cast<std::size_t>(c.right)];
            if (left.length == 0 || right.length == 0 || left.length + right.length != c.length) continue;
            left.length = c.length;
            right.length = 0;
            left.next = right.next;
            if (right.next >= 0) symbols[static_cast<std::size_t>(right.next)].previous = c.left;
            push(word, left.previous, c.left, work);
            push(word, c.left, left.next, work);
        }
        bool after_unk = false;
        for (std::int32_t i = 0; i >= 0; i = symbols[static_cast<std::size_t>(i)].next) {
            const Symbol& s = symbols[static_cast<std::size_t>(i)];
            emit(word.substr(s.begin, s.length), raw_base, work, 0, after_unk, out);
        }
    }

    void emit(std::string_view piece, char32_t raw_base, const Work& work, int depth, bool& after_unk,
              std::vector<std::int32_t>& out) const {
        const std::int32_t id = vocabulary_.find(piece);
        if (id >= 0 && takes_part(id)) {
            if (vocabulary_[id].kind == TokenInfo::Kind::unused && depth < 100) {
                const auto split = work.splits.find(id);
                if (split != work.splits.end()) {
                    emit(piece.substr(0, split->second), raw_base, work, depth + 1, after_unk, out);
                    emit(piece.substr(split->second), raw_base, work, depth + 1, after_unk, out);
                    return;
                }
            }
            out.push_back(id);
            after_unk = false;
            return;
        }
        const int raw = raw_base != 0 ? raw_byte(utf8_at(piece, 0).code, raw_base) : -1;
        const char raw_char = static_cast<char>(raw);
        const std::string_view bytes = raw >= 0 ? std::string_view(&raw_char, 1) : piece;
        const bool known =
            std::all_of(bytes.begin(), bytes.end(), [&](char b) { return bytes_[static_cast<unsigned char>(b)] >= 0; });
        if (known) {
            for (const char b : bytes) out.push_back(bytes_[static_cast<unsigned char>(b)]);
            after_unk = false;
        } else if (unk_ >= 0) {
            if (!after_unk) out.push_back(unk_);  // unknown characters in a row are one token
            after_unk = true;
        }
    }

    const Vocabulary& vocabulary_;
    std::vector<float> scores_;
    std::int32_t unk_;
    std::array<std::int32_t, 256> bytes_;
    MetaCuts cuts_;
};

}  // namespace

std::unique_ptr<const Model> make_spm(const Vocabulary& vocabulary, std::vector<float> scores, std::int32_t unk) {
    return std::make_unique<SpmModel>(vocabulary, std::move(scores), unk);
}

}  // namespace freehold::text
