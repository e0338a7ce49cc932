// Byte-pair encoding with ranked merges. Short words: look for the lowest rank, merge, repeat, on a few cache lines.
// Long words: a heap over a linked list, O(n log n), so that no text is quadratic.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <queue>

#include "byte_characters.h"
#include "freehold/base/error.h"
#include "model.h"
#include "raw_bytes.h"
#include "unicode.h"

namespace freehold::text {
namespace {

constexpr std::uint32_t kNoRank = 0xFFFFFFFFU;
constexpr std::size_t kShortWord = 40;

// (left, right) -> (rank, merged), open addressing; half empty so that a miss is usually one probe.
class MergeTable {
 public:
    struct Entry {
        std::int32_t left = -1, right = -1;
        std::uint32_t rank = kNoRank;
        std::int32_t merged = -1;
    };

    explicit MergeTable(const std::vector<Merge>& merges) {
        std::size_t slots = 64;
        while (slots < merges.size() * 2) slots *= 2;
        slots_.resize(slots);
        mask_ = slots - 1;
        std::uint32_t rank = 0;
        for (const Merge& m : merges) {
            std::size_t at = slot(m.left, m.right);
            while (slots_[at].left >= 0 && !(slots_[at].left == m.left && slots_[at].right == m.right))
                at = (at + 1) & mask_;
            slots_[at] = {m.left, m.right, rank++, m.merged};  // of two equal merges the later rank counts
        }
    }

    [[nodiscard]] const Entry* find(std::int32_t left, std::int32_t right) const noexcept {
        for (std::size_t at = slot(left, right);; at = (at + 1) & mask_) {
            const Entry& e = slots_[at];
            if (e.left < 0) return nullptr;
            if (e.left == left && e.right == right) return &e;
        }
    }

 private:
    [[nodiscard]] std::size_t slot(std::int32_t left, std::int32_t right) const noexcept {
        std::uint64_t key =
            (static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32U) | static_cast<std::uint32_t>(right);
        key *= 0x9E3779B97F4A7C15ULL;
        return static_cast<std::size_t>(key ^ (key >> 31U)) & mask_;
    }
    std::vector<Entry> slots_;
    std::size_t mask_ = 0;
};

class BpeModel final : public Model {
 public:
    BpeModel(const Vocabulary& vocabulary, const std::vector<Merge>& merges, BpeOptions options)
        : vocabulary_(vocabulary), merges_(merges), options_(std::move(options)), bytes_(byte_tokens(vocabulary)) {
        decorated_ = !options_.prefix.empty() || !options_.suffix.empty();
        for (char32_t code = 0; code < kByteCharacterEnd; ++code) {
            std::string text;
            append_utf8(text, code);
            small_[code] = vocabulary_.find(text);
        }
        // Unknown characters that fuse across a border would tie two words together.
        cuts_ = meta_cuts(vocabulary_);
        cuts_.usable = cuts_.usable && !decorated_ && !options_.ignore_merges;
    }

    void encode(std::string_view word, char32_t raw_base, std::vector<std::int32_t>& out) const override {
        if (word.empty()) return;
        if (options_.ignore_merges) {
            const std::int32_t whole = vocabulary_.find(word);
            if (whole >= 0) {
                out.push_back(whole);
                return;
            }
        }
        if (cuts_.usable) {
            for_each_meta_word(word, cuts_, [&](std::string_view part) { merge_word(part, raw_base, out); });
        } else {
            merge_word(word, raw_base, out);
        }
    }

 private:
    void merge_word(std::string_view word, char32_t raw_base, std::vector<std::int32_t>& out) const {
        const std::size_t begin = out.size();
        characters(word, raw_base, out);
        if (out.size() - begin <= kShortWord) {
            merge_short(out, begin);
        } else {
            merge_long(out, begin);
        }
    }

    // The tokens of single characters: what the merges start from.
    void characters(std::string_view word, char32_t raw_base, std::vector<std::int32_t>& out) const {
        bool pending_unk = false;
        std::string decorated;
        for (std::size_t at = 0; at < word.size();) {
            const Utf8Char c = utf8_at(word, at);
            std::string_view text = word.substr(at, c.length);
            const bool first = at == 0;
            at += c.length;
            std::int32_t id = Vocabulary::kNone;
            const int raw = raw_byte(c.code, raw_base);
            if (raw >= 0) {
                if (options_.byte_fallback && bytes_[static_cast<std::size_t>(raw)] >= 0) {
                    out.push_back(bytes_[static_cast<std::size_t>(raw)]);
                    continue;
                }
            } else if (decorated_) {
                decorated.assign(first ? "" : options_.prefix);
                decorated += text;
                if (at == word.size()) decorated += options_.suffix;
                text = decorated;
                id = vocabulary_.find(text);
            } else {
                id = c.code < kByteCharacterEnd ? small_[c.code] : vocabulary_.find(text);
            }
            if (id >= 0) {
                if (pending_unk) out.push_back(options_.unk);
                pending_unk = false;
                out.push_back(id);
                continue;
            }
            if (raw < 0 && options_.byte_fallback && append_bytes(text, out)) continue;
            if (options_.unk < 0) continue;
            if (pending_unk && !options_.fuse_unk) out.push_back(options_.unk);
            pending_unk = true;
        }
        if (pending_unk) out.push_back(options_.unk);
    }

    bool append_bytes(std::string_view text, std::vector<std::int32_t>& out) const {
        for (const char b : text) {
            if (bytes_[static_cast<unsigned char>(b)] < 0) return false;
        }
        for (const char b : text) out.push_back(bytes_[static_cast<unsigned char>(b)]);
        return true;
    }

    void merge_short(std::vector<std::int32_t>& out, std::size_t begin) const {
        std::size_t n = out.size() - begin;
        if (n < 2) return;
        std::array<std::uint32_t, kShortWord> rank;
        std::array<std::int32_t, kShortWord> merged;
        std::int32_t* ids = out.data() + begin;
        const auto look_up = [&](std::size_t i) {
            const auto* e = merges_.find(ids[i], ids[i + 1]);
            rank[i] = e != nullptr ? e->rank : kNoRank;
            merged[i] = e != nullptr ? e->merged : -1;
        };
        for (std::size_t i = 0; i + 1 < n; ++i) look_up(i);
        while (n > 1) {
            std::size_t best = 0;
            for (std::size_t i = 1; i + 1 < n; ++i) {
                if (rank[i] < rank[best]) best = i;
            }
            if (rank[best] == kNoRank) break;
            ids[best] = merged[best];
            for (std::size_t i = best + 1; i + 1 < n; ++i) {
                ids[i] = ids[i + 1];
                if (i + 2 < n) {
                    rank[i] = rank[i + 1];
                    merged[i] = merged[i + 1];
                }
            }
            --n;
            if (best > 0) look_up(best - 1);
            if (best + 1 < n) look_up(best);
        }
        out.resize(begin + n);
    }

    void merge_long(std::vector<std::int32_t>& out, std::size_t begin) const {
        struct Symbol {
            std::int32_t id, previous, next;
        };
        struct Candidate {
            std::uint32_t rank;
            std::int32_t at, left, right, merged;
            bool operator<(const Candidate& o) const noexcept { return rank != o.rank ? rank > o.rank : at > o.at; }
        };
        const auto n = static_cast<std::int32_t>(out.size() - begin);
        std::vector<Symbol> symbols(static_cast<std::size_t>(n));
        for (std::int32_t i = 0; i < n; ++i) {
            symbols[static_cast<std::size_t>(i)] = {out[begin + static_cast<std::size_t>(i)], i - 1,
                                                    i + 1 < n ? i + 1 : -1};
        }
        std::vector<Candidate> heap;
        heap.reserve(static_cast<std::size_t>(n));
        const auto candidate = [&](std::int32_t at) -> std::optional<Candidate> {
            const Symbol& s = symbols[static_cast<std::size_t>(at)];
            if (s.next < 0) return std::nullopt;
            const std::int32_t right = symbols[static_cast<std::size_t>(s.next)].id;
            const auto* e = merges_.find(s.id, right);
            if (e == nullptr) return std::nullopt;
            return Candidate{e->rank, at, s.id, right, e->merged};
        };
        for (std::int32_t i = 0; i + 1 < n; ++i) {
            if (const auto c = candidate(i)) heap.push_back(*c);
        }
        std::priority_queue<Candidate> queue(std::less<Candidate>{}, std::move(heap));
        while (!queue.empty()) {
            const Candidate c = queue.top();
            queue.pop();
            Symbol& left = symbols[static_cast<std::size_t>(c.at)];
            // Out of date: one of the two has been merged since.
            if (left.id != c.left || left.next < 0) continue;
            Symbol& right = symbols[static_cast<std::size_t>(left.next)];
            if (right.id != c.right) continue;
            left.id = c.merged;
            left.next = right.next;
            right.id = -1;
            if (right.next >= 0) symbols[static_cast<std::size_t>(right.next)].previous = c.at;
            if (left.previous >= 0) {
                if (const auto p = candidate(left.previous)) queue.push(*p);
            }
            if (const auto p = candidate(c.at)) queue.push(*p);
        }
        std::size_t end = begin;
        for (std::int32_t i = 0; i >= 0; i = symbols[static_cast<std::size_t>(i)].next) {
            out[end++] = symbols[static_cast<std::size_t>(i)].id;
        }
        out.resize(end);
    }

    const Vocabulary& vocabulary_;
    MergeTable merges_;
    BpeOptions options_;
    std::array<std::int32_t, 256> bytes_;
    std::array<std::int32_t, kByteCharacterEnd>
        small_{};  // tokens of the first characters, which byte-level text has only
    bool decorated_ = false;
    MetaCuts cuts_;
};

int hex_digit(char c) noexcept {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

}  // namespace

int byte_of_token(std::string_view text) noexcept {
    if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return -1;
    const int high = hex_digit(text[3]), low = hex_digit(text[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

std::array<std::int32_t, 256> byte_tokens(const Vocabulary& vocabulary) {
    std::array<std::int32_t, 256> ids{};
    for (std::size_t b = 0; b < 256; ++b) ids[b] = vocabulary.find(fmt::format("<0x{:02X}>", b));
    return ids;
}

MetaCuts meta_cuts(const Vocabulary& vocabulary) {
    constexpr std::string_view kMeta = "\xE2\x96\x81";
    MetaCuts cuts;
    cuts.usable = vocabulary.find(kMeta) >= 0;
    for (std::int32_t id = 0; id < vocabulary.size(); ++id) {
        const std::string_view text = vocabulary[id].text;
        for (std::size_t at = text.find(kMeta, 1); at != std::string_view::npos;
             at = text.find(kMeta, at + kMeta.size())) {
            const bool after_meta = at >= kMeta.size() && text.substr(at - kMeta.size(), kMeta.size()) == kMeta;
            if (!after_meta) cuts.joined[static_cast<unsigned char>(text[at - 1])] = true;
        }
    }
    return cuts;
}

Merge resolve_merge(const Vocabulary& vocabulary, std::string_view left, std::string_view right, std::size_t index,
                    std::size_t prefix_length, std::string_view where, std::int32_t hint) {
    const auto fail = [&](std::string_view why) {
        throw Error(ErrorKind::bad_file,
                    fmt::format("{}: merge {} (\"{}\" and \"{}\") {}", where, index, left.substr(0, 40),
                                right.substr(0, 40), why),
                    "The vocabulary and the merges do not belong together, or the file is damaged.");
    };
    if (left.empty() || right.empty()) fail("has an empty side");
    const std::int32_t a = vocabulary.find(left);
    const std::int32_t b = vocabulary.find(right);
    if (a < 0 || b < 0) fail("names a token that the vocabulary does not have");
    if (prefix_length > 0 && right.size() < prefix_length) fail("is shorter than the prefix of inner pieces");
    std::string joined(left);
    joined += right.substr(prefix_length);
    const auto is_joined = [&](std::int32_t id) { return vocabulary.has(id) && vocabulary[id].text == joined; };
    const std::int32_t merged = hint >= 0 && is_joined(hint)       ? hint
                                : hint >= 0 && is_joined(hint + 1) ? hint + 1
                                                                   : vocabulary.find(joined);
    if (merged < 0) fail("makes a token that the vocabulary does not have");
    return {a, b, merged};
}

std::unique_ptr<const Model> make_bpe(const Vocabulary& vocabulary, const std::vector<Merge>& merges,
                                      BpeOptions options) {
    return std::make_unique<BpeModel>(vocabulary, merges, std::move(options));
}

}  // namespace freehold::text
