// SentencePiece's unigram model: the best cut of a word by dynamic programming over a trie of the pieces.
#include <algorithm>
#include <limits>

#include "model.h"
#include "raw_bytes.h"
#include "unicode.h"

namespace freehold::text {
namespace {

constexpr double kUnknownPenalty = 10.0;
constexpr std::size_t kWordBlock = 1U << 22U;  // positions that one dynamic programme holds

class UnigramModel final : public Model {
 public:
    UnigramModel(const Vocabulary& vocabulary, std::vector<double> scores, UnigramOptions options)
        : vocabulary_(vocabulary), scores_(std::move(scores)), options_(options), bytes_(byte_tokens(vocabulary)) {
        scores_.resize(static_cast<std::size_t>(vocabulary.size()), 0.0);
        double lowest = std::numeric_limits<double>::max();
        for (std::int32_t id = 0; id < vocabulary.size(); ++id) {
            if (!usable(id)) continue;
            lowest = std::min(lowest, scores_[static_cast<std::size_t>(id)]);
        }
        unknown_score_ = (lowest == std::numeric_limits<double>::max() ? 0.0 : lowest) - kUnknownPenalty;
        longest_ = std::min<std::size_t>(vocabulary.longest(), 512);
    }

    void encode(std::string_view word, char32_t raw_base, std::vector<std::int32_t>& out) const override {
        while (word.size() > kWordBlock) {
            std::size_t cut = kWordBlock;
            while ((static_cast<unsigned char>(word[cut]) & 0xC0U) == 0x80U) --cut;
            encode_block(word.substr(0, cut), raw_base, out);
            word.remove_prefix(cut);
        }
        encode_block(word, raw_base, out);
    }

 private:
    struct Node {
        double score = -std::numeric_limits<double>::infinity();
        std::uint32_t begin = 0;
        std::int32_t id = Vocabulary::kNone;
    };

    void encode_block(std::string_view word, char32_t raw_base, std::vector<std::int32_t>& out) const {
        if (word.empty()) return;
        std::vector<Node> best(word.size() + 1);
        best[0].score = 0.0;
        for (std::size_t at = 0; at < word.size();) {
            const std::uint32_t step = utf8_at(word, at).length;
            const double here = best[at].score;
            bool single = false;
            const std::size_t most = std::min(longest_, word.size() - at);
            for (std::size_t length = step; length <= most;) {
                const std::int32_t id = vocabulary_.find(word.substr(at, length));
                if (id >= 0 && usable(id)) {
                    const double score = here + scores_[static_cast<std::size_t>(id)];
                    Node& node = best[at + length];
                    if (score > node.score) node = {score, static_cast<std::uint32_t>(at), id};
                    single = single || length == step;
                }
                if (at + length >= word.size()) break;
                length += utf8_at(word, at + length).length;
            }
            if (!single) {
                const double score = here + unknown_score_;
                Node& node = best[at + step];
                if (score > node.score) node = {score, static_cast<std::uint32_t>(at), options_.unk};
            }
            at += step;
        }
        std::vector<std::pair<std::uint32_t, std::uint32_t>> cuts;
        for (std::size_t end = word.size(); end > 0; end = best[end].begin) {
            cuts.emplace_back(best[end].begin, static_cast<std::uint32_t>(end));
        }
        std::size_t unknown_from = word.size();  // where characters in a row without a token begin
        const auto end_unknown = [&](std::size_t end) {
            if (unknown_from >= end) return;
            const std::int32_t id = options_.outside == nullptr
                                        ? Vocabulary::kNone
                                        : options_.outside->find(word.substr(unknown_from, end - unknown_from));
            if (id >= 0)
                out.push_back(vocabulary_.size() + id);
            else if (options_.unk >= 0)
                out.push_back(options_.unk);
            unknown_from = word.size();
        };
        for (auto cut = cuts.rbegin(); cut != cuts.rend(); ++cut) {
            const std::int32_t id = best[cut->second].id;
            if (id >= 0 && id != options_.unk) {
                end_unknown(cut->first);
                out.push_back(id);
                continue;
            }
            if (options_.byte_fallback) {
                std::vector<std::int32_t> bytes;
                if (append_bytes(word.substr(cut->first, cut->second - cut->first), raw_base, bytes)) {
                    end_unknown(cut->first);
                    out.insert(out.end(), bytes.begin(), bytes.end());
                    continue;
                }
            }
            unknown_from = std::min<std::size_t>(unknown_from, cut->first);
        }
        end_unknown(word.size());
    }

    bool append_bytes(std::string_view piece, char32_t raw_base, std::vector<std::int32_t>& out) const {
        const std::string bytes = raw_base != 0 ? with_raw_bytes(piece, raw_base) : std::string(piece);
        for (const char b : bytes) {
            if (bytes_[static_cast<unsigned char>(b)] < 0) return false;
        }
        for (const char b : bytes) out.push_back(bytes_[static_cast<unsigned char>(b)]);
        return true;
    }

    [[nodiscard]] bool usable(std::int32_t id) const noexcept {
        const auto kind = vocabulary_[id].kind;
        return options_.all_pieces || kind == TokenInfo::Kind::normal || kind == TokenInfo::Kind::user_defined;
    }

    const Vocabulary& vocabulary_;
    std::vector<double> scores_;
    UnigramOptions options_;
    std::array<std::int32_t, 256> bytes_;
    double unknown_score_ = 0.0;
    std::size_t longest_ = 0;
};

}  // namespace

std::unique_ptr<const Model> make_unigram(const Vocabulary& vocabulary, std::vector<double> scores,
                                          UnigramOptions options) {
    return std::make_unique<UnigramModel>(vocabulary, std::move(scores), options);
}

}  // namespace freehold::text
