// The pre-tokenizers. Cuts are gathered as (range, is a separator) and then put together as the behaviour says.
#include "pre_tokenizer.h"

#include <algorithm>

#include "byte_characters.h"
#include "raw_bytes.h"
#include "unicode.h"

namespace freehold::text {
namespace {

struct Cut {
    std::size_t begin, end;
    bool separator;
};

void emit(const Piece& piece, std::size_t begin, std::size_t end, PieceSink& sink) {
    if (begin < end) sink.take({piece.text.substr(begin, end - begin), piece.at_start && begin == 0, piece.raw_base});
}

// Puts cuts that cover the text together and sends them on.
void assemble(std::vector<Cut>& cuts, SplitBehavior behavior, const Piece& piece, PieceSink& sink) {
    switch (behavior) {
        case SplitBehavior::removed:
            for (const Cut& c : cuts) {
                if (!c.separator) emit(piece, c.begin, c.end, sink);
            }
            return;
        case SplitBehavior::isolated:
            for (const Cut& c : cuts) emit(piece, c.begin, c.end, sink);
            return;
        case SplitBehavior::contiguous:
            for (std::size_t i = 0; i < cuts.size();) {
                std::size_t j = i + 1;
                while (j < cuts.size() && cuts[j].separator == cuts[i].separator) ++j;
                emit(piece, cuts[i].begin, cuts[j - 1].end, sink);
                i = j;
            }
            return;
        case SplitBehavior::merged_with_previous: {
            std::size_t begin = 0, end = 0;
            bool open = false, last_separator = false;
            for (const Cut& c : cuts) {
                if (c.separator && !last_separator && open) {
                    end = c.end;
                } else {
                    if (open) emit(piece, begin, end, sink);
                    begin = c.begin;
                    end = c.end;
                    open = true;
                }
                last_separator = c.separator;
            }
            if (open) emit(piece, begin, end, sink);
            return;
        }
        case SplitBehavior::merged_with_next: {
            // The mirror image, seen from the end.
            std::vector<Cut> joined;
            bool last_separator = false;
            for (auto c = cuts.rbegin(); c != cuts.rend(); ++c) {
                if (c->separator && !last_separator && !joined.empty()) {
                    joined.back().begin = c->begin;
                } else {
                    joined.push_back(*c);
                }
                last_separator = c->separator;
            }
            for (auto c = joined.rbegin(); c != joined.rend(); ++c) emit(piece, c->begin, c->end, sink);
            return;
        }
    }
}

// Finds separators with `find` and sends the pieces on.
template <class Find>
void split_by(const Piece& piece, const Find& find, SplitBehavior behavior, bool invert, PieceSink& sink) {
    std::size_t done = 0;
    if (behavior == SplitBehavior::isolated || (behavior == SplitBehavior::removed && invert)) {
        // The common cases need no list.
        const bool between = behavior == SplitBehavior::isolated;
        for_each_match(piece.text, find, [&](std::size_t begin, std::size_t end) {
            if (between) emit(piece, done, begin, sink);
            emit(piece, begin, end, sink);
            done = end;
        });
        if (between) emit(piece, done, piece.text.size(), sink);
        return;
    }
    std::vector<Cut> cuts;
    for_each_match(piece.text, find, [&](std::size_t begin, std::size_t end) {
        if (begin > done) cuts.push_back({done, begin, invert});
        cuts.push_back({begin, end, !invert});
        done = end;
    });
    if (done < piece.text.size()) cuts.push_back({done, piece.text.size(), invert});
    assemble(cuts, behavior, piece, sink);
}

class RegexSplit final : public PreTokenizer {
 public:
    RegexSplit(Regex pattern, SplitBehavior behavior, bool invert)
        : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}
    void split(const Piece& piece, PieceSink& sink) const override {
        split_by(
            piece, [&](std::string_view t, std::size_t from) { return pattern_.find(t, from); }, behavior_, invert_,
            sink);
    }

 private:
    Regex pattern_;
    SplitBehavior behavior_;
    bool invert_;
};

class LiteralSplit final : public PreTokenizer {
 public:
    LiteralSplit(std::string literal, SplitBehavior behavior, bool invert)
        : literal_(std::move(literal)), behavior_(behavior), invert_(invert) {}
    void split(const Piece& piece, PieceSink& sink) const override {
        const auto find = [&](std::string_view t, std::size_t from) -> std::optional<Regex::Match> {
            const std::size_t at = literal_.empty() ? std::string_view::npos : t.find(literal_, from);
            if (at == std::string_view::npos) return std::nullopt;
            return Regex::Match{at, at + literal_.size()};
        };
        split_by(piece, find, behavior_, invert_, sink);
    }

 private:
    std::string literal_;
    SplitBehavior behavior_;
    bool invert_;
};

class CharSplit final : public PreTokenizer {
 public:
    CharSplit(CharClass kind, SplitBehavior behavior) : kind_(kind), behavior_(behavior) {}
    void split(const Piece& piece, PieceSink& sink) const override {
        std::vector<Cut> cuts;
        for (std::size_t at = 0; at < piece.text.size();) {
            const Utf8Char c = utf8_at(piece.text, at);
            const bool separator = kind_ == CharClass::white_space ? is_white_space(c.code)
                                   : kind_ == CharClass::numeric   ? is_numeric(c.code)
                                                                   : is_punctuation(c.code);
            // Separators stay single; what lies between them is one stretch.
            if (!separator && !cuts.empty() && !cuts.back().separator) {
                cuts.back().end = at + c.length;
            } else {
                cuts.push_back({at, at + c.length, separator});
            }
            at += c.length;
        }
        assemble(cuts, behavior_, piece, sink);
    }

 private:
    CharClass kind_;
    SplitBehavior behavior_;
};

class WordSplit final : public PreTokenizer {
 public:
    void split(const Piece& piece, PieceSink& sink) const override {
        std::size_t begin = 0;
        int kind = 0;  // of the stretch that is open: 0 space, 1 word, 2 other
        for (std::size_t at = 0; at < piece.text.size();) {
            const Utf8Char c = utf8_at(piece.text, at);
            const int now = is_word(c.code) ? 1 : is_white_space(c.code) ? 0 : 2;
            if (now != kind) {
                if (kind != 0) emit(piece, begin, at, sink);
                begin = at;
                kind = now;
            }
            at += c.length;
        }
        if (kind != 0) emit(piece, begin, piece.text.size(), sink);
    }
};

class FixedLength final : public PreTokenizer {
 public:
    explicit FixedLength(std::size_t characters) : characters_(std::max<std::size_t>(characters, 1)) {}
    void split(const Piece& piece, PieceSink& sink) const override {
        std::size_t begin = 0, count = 0;
        for (std::size_t at = 0; at < piece.text.size();) {
            at += utf8_at(piece.text, at).length;
            if (++count == characters_) {
                emit(piece, begin, at, sink);
                begin = at;
                count = 0;
            }
        }
        emit(piece, begin, piece.text.size(), sink);
    }

 private:
    std::size_t characters_;
};

class Metaspace final : public PreTokenizer {
 public:
    Metaspace(std::string mark, PrependScheme scheme, bool split)
        : mark_(std::move(mark)), scheme_(scheme), split_(split) {}
    void split(const Piece& piece, PieceSink& sink) const override {
        std::string text;
        text.reserve(piece.text.size() + piece.text.size() / 4 + mark_.size());
        for (const char c : piece.text) {
            if (c == ' ') {
                text += mark_;
            } else {
                text += c;
            }
        }
        const bool wanted = scheme_ == PrependScheme::always || (scheme_ == PrependScheme::first && piece.at_start);
        if (wanted && !text.empty() && !text.starts_with(mark_)) text.insert(0, mark_);
        const Piece changed{text, piece.at_start, piece.raw_base};
        if (!split_) return sink.take(changed);
        const auto find = [&](std::string_view t, std::size_t from) -> std::optional<Regex::Match> {
            const std::size_t at = t.find(mark_, from);
            if (at == std::string_view::npos) return std::nullopt;
            return Regex::Match{at, at + mark_.size()};
        };
        split_by(changed, find, SplitBehavior::merged_with_next, false, sink);
    }

 private:
    std::string mark_;
    PrependScheme scheme_;
    bool split_;
};

class ByteLevel final : public PreTokenizer {
 public:
    ByteLevel(bool add_prefix_space, std::unique_ptr<const Regex> pattern)
        : add_prefix_space_(add_prefix_space), pattern_(std::move(pattern)) {}
    void split(const Piece& piece, PieceSink& sink) const override {
        std::string spaced;
        std::string_view text = piece.text;
        if (add_prefix_space_ && !text.empty() && text.front() != ' ') {
            spaced.reserve(text.size() + 1);
            spaced += ' ';
            spaced += text;
            text = spaced;
        }
        std::string mapped;
        bool first = piece.at_start;
        const auto send = [&](std::size_t begin, std::size_t end) {
            if (begin >= end) return;
            mapped.clear();
            if (piece.raw_base == 0) {
                append_byte_characters(mapped, text.substr(begin, end - begin));
            } else {
                append_byte_characters(mapped, with_raw_bytes(text.substr(begin, end - begin), piece.raw_base));
            }
            sink.take({mapped, first, 0});
            first = false;
        };
        if (!pattern_) return send(0, text.size());
        std::size_t done = 0;
        for_each_match(
            text, [&](std::string_view t, std::size_t from) { return pattern_->find(t, from); },
            [&](std::size_t begin, std::size_t end) {
                send(done, begin);
                send(begin, end);
                done = end;
            });
        send(done, text.size());
    }

 private:
    bool add_prefix_space_;
    std::unique_ptr<const Regex> pattern_;
};

// Hands the pieces of one stage to the next.
class Chain final : public PieceSink {
 public:
    Chain(const PreTokenizers& list, std::size_t stage, PieceSink& last) : list_(list), stage_(stage), last_(last) {}
    void take(const Piece& piece) override {
        if (stage_ == list_.size()) return last_.take(piece);
        if (stage_ + 1 == list_.size()) return list_[stage_]->split(piece, last_);
        Chain next(list_, stage_ + 1, last_);
        list_[stage_]->split(piece, next);
    }

 private:
    const PreTokenizers& list_;
    std::size_t stage_;
    PieceSink& last_;
};

}  // namespace

std::unique_ptr<const PreTokenizer> make_split(Regex pattern, SplitBehavior behavior, bool invert) {
    return std::make_unique<RegexSplit>(std::move(pattern), behavior, invert);
}
std::unique_ptr<const PreTokenizer> make_split(std::string literal, SplitBehavior behavior, bool invert) {
    return std::make_unique<LiteralSplit>(std::move(literal), behavior, invert);
}
std::unique_ptr<const PreTokenizer> make_split(CharClass kind, SplitBehavior behavior) {
    return std::make_unique<CharSplit>(kind, behavior);
}
std::unique_ptr<const PreTokenizer> make_word_split() {
    return std::make_unique<WordSplit>();
}
std::unique_ptr<const PreTokenizer> make_fixed_length(std::size_t characters) {
    return std::make_unique<FixedLength>(characters);
}
std::unique_ptr<const PreTokenizer> make_metaspace(std::string mark, PrependScheme scheme, bool split) {
    return std::make_unique<Metaspace>(std::move(mark), scheme, split);
}
std::unique_ptr<const PreTokenizer> make_byte_level(bool add_prefix_space, std::unique_ptr<const Regex> pattern) {
    return std::make_unique<ByteLevel>(add_prefix_space, std::move(pattern));
}

void pre_tokenize(const PreTokenizers& list, const Piece& piece, PieceSink& sink) {
    Chain(list, 0, sink).take(piece);
}

}  // namespace freehold::text
