// The decoders, each a few lines.
#include "decoder.h"

#include <array>
#include <utility>

#include "byte_characters.h"
#include "model.h"
#include "unicode.h"

namespace freehold::text {
namespace {

std::string replace_all(const std::string& text, std::string_view from, std::string_view to) {
    if (from.empty()) return text;
    std::string out;
    std::size_t done = 0;
    for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, done)) {
        out.append(text, done, at - done);
        out += to;
        done = at + from.size();
    }
    out.append(text, done);
    return out;
}

class ByteLevelDecoder final : public Decoder {
 public:
    void apply(std::vector<DecodeToken>& tokens, DecodeEnds) const override {
        for (auto& t : tokens) {
            if (!t.raw) t.text = bytes_of_characters(t.text);
        }
    }
};

class ByteFallbackDecoder final : public Decoder {
 public:
    void apply(std::vector<DecodeToken>& tokens, DecodeEnds) const override {
        for (auto& t : tokens) {
            const int byte = t.raw ? -1 : byte_of_token(t.text);
            if (byte < 0) continue;
            t.text.assign(1, static_cast<char>(byte));
            t.raw = true;
        }
    }
};

class FuseDecoder final : public Decoder {
 public:
    void apply(std::vector<DecodeToken>& tokens, DecodeEnds) const override {
        DecodeToken all;
        for (const auto& t : tokens) all.text += t.text;
        tokens.clear();
        tokens.push_back(std::move(all));
    }
};

class ReplaceDecoder final : public Decoder {
 public:
    ReplaceDecoder(std::string from, std::string to) : from_(std::move(from)), to_(std::move(to)) {}
    void apply(std::vector<DecodeToken>& tokens, DecodeEnds) const override {
        for (auto& t : tokens) {
            if (!t.raw && t.text.find(from_) != std::string::npos) t.text = replace_all(t.text, from_, to_);
        }
    }

 private:
    std::string from_, to_;
};

class RegexReplaceDecoder final : public Decoder {
 public:
    RegexReplaceDecoder(Regex from, std::string to) : from_(std::move(from)), to_(std::move(to)) {}
    void apply(std::vector<DecodeToken>& tokens, DecodeEnds) const override {
        for (auto& t : tokens) {
            if (t.raw || !is_utf8(t.text)) continue;
            std::string out;
            std::size_t done = 0;
            for_each_match(
                t.text, [&](std::string_view s, std::size_t at) { return from_.find(s, at); },
                [&](std::size_t begin, std::size_t end) {
                    out.append(t.text, done, begin - done);
                    out += to_;
                    done = end;
                });
            out.append(t.text, done);
            t.text = std::move(out);
        }
    }

 private:
    Regex from_;
    std::string to_;
};

class StripDecoder final : public Decoder {
 public:
    StripDecoder(std::string content, std::size_t start, std::size_t stop)
        : content_(std::move(content)), start_(start), stop_(stop) {}
    void apply(std::vector<DecodeToken>& tokens, DecodeEnds ends) const override {
        if (content_.empty()) return;
        for (auto& t : tokens) {
            std::string_view text = t.text;
            for (std::size_t i = 0; ends.begins && i < start_ && text.starts_with(content_); ++i)
                text.remove_prefix(content_.size());
            for (std::size_t i = 0; ends.ends && i < stop_ && text.ends_with(content_); ++i)
                text.remove_suffix(content_.size());
            if (text.size() != t.text.size()) t.text = std::string(text);
        }
    }

 private:
    std::string content_;
    std::size_t start_, stop_;
};

class MetaspaceDecoder final : public Decoder {
 public:
    MetaspaceDecoder(std::string mark, bool prepended) : mark_(std::move(mark)), prepended_(prepended) {}
    void apply(std::vector<DecodeToken>& tokens, DecodeEnds ends) const override {
        for (std::size_t i = 0; i < tokens.size(); ++i) {
            if (tokens[i].raw) continue;
            const bool drop = i == 0 && prepended_ && ends.begins;
            tokens[i].text = replace_all(tokens[i].text, mark_, drop ? "" : " ");
        }
    }

 private:
    std::string mark_;
    bool prepended_;
};

class SuffixDecoder final : public Decoder {
 public:
    explicit SuffixDecoder(std::string suffix) : suffix_(std::move(suffix)) {}
    void apply(std::vector<DecodeToken>& tokens, DecodeEnds ends) const override {
        for (std::size_t i = 0; i < tokens.size(); ++i) {
            const bool last = i + 1 == tokens.size() && ends.ends;
            tokens[i].text = replace_all(tokens[i].text, suffix_, last ? "" : " ");
        }
    }

 private:
    std::string suffix_;
};

// English spacing as the makers of BERT's tokenizers tidy it.
std::string tidy(std::string text) {
    constexpr std::array<std::pair<std::string_view, std::string_view>, 11> kRules{{{" .", "."},
                                                                                    {" ?", "?"},
                                                                                    {" !", "!"},
                                                                                    {" ,", ","},
                                                                                    {" ' ", "'"},
                                                                                    {" n't", "n't"},
                                                                                    {" 'm", "'m"},
                                                                                    {" do not", " don't"},
                                                                                    {" 's", "'s"},
                                                                                    {" 've", "'ve"},
                                                                                    {" 're", "'re"}}};
    for (const auto& [from, to] : kRules) text = replace_all(text, from, to);
    return text;
}

class WordPieceDecoder final : public Decoder {
 public:
    WordPieceDecoder(std::string prefix, bool cleanup) : prefix_(std::move(prefix)), cleanup_(cleanup) {}
    void apply(std::vector<DecodeToken>& tokens, DecodeEnds ends) const override {
        for (std::size_t i = 0; i < tokens.size(); ++i) {
            auto& text = tokens[i].text;
            if (i > 0 || !ends.begins) {
                if (text.starts_with(prefix_)) {
                    text.erase(0, prefix_.size());
                } else {
                    text.insert(0, " ");
                }
            }
            if (cleanup_) text = tidy(std::move(text));
        }
    }

 private:
    std::string prefix_;
    bool cleanup_;
};

class JoinDecoder final : public Decoder {
 public:
    explicit JoinDecoder(std::string separator) : separator_(std::move(separator)) {}
    void apply(std::vector<DecodeToken>& tokens, DecodeEnds ends) const override {
        for (std::size_t i = ends.begins ? 1 : 0; i < tokens.size(); ++i) tokens[i].text.insert(0, separator_);
    }

 private:
    std::string separator_;
};

}  // namespace

std::unique_ptr<const Decoder> make_byte_level_decoder() {
    return std::make_unique<ByteLevelDecoder>();
}
std::unique_ptr<const Decoder> make_byte_fallback_decoder() {
    return std::make_unique<ByteFallbackDecoder>();
}
std::unique_ptr<const Decoder> make_fuse_decoder() {
    return std::make_unique<FuseDecoder>();
}
std::unique_ptr<const Decoder> make_replace_decoder(std::string from, std::string to) {
    return std::make_unique<ReplaceDecoder>(std::move(from), std::move(to));
}
std::unique_ptr<const Decoder> make_replace_decoder(Regex from, std::string to) {
    return std::make_unique<RegexReplaceDecoder>(std::move(from), std::move(to));
}
std::unique_ptr<const Decoder> make_strip_decoder(std::string content, std::size_t start, std::size_t stop) {
    return std::make_unique<StripDecoder>(std::move(content), start, stop);
}
std::unique_ptr<const Decoder> make_metaspace_decoder(std::string mark, bool prepended) {
    return std::make_unique<MetaspaceDecoder>(std::move(mark), prepended);
}
std::unique_ptr<const Decoder> make_suffix_decoder(std::string suffix) {
    return std::make_unique<SuffixDecoder>(std::move(suffix));
}
std::unique_ptr<const Decoder> make_word_piece_decoder(std::string prefix, bool cleanup) {
    return std::make_unique<WordPieceDecoder>(std::move(prefix), cleanup);
}
std::unique_ptr<const Decoder> make_join_decoder(std::string separator) {
    return std::make_unique<JoinDecoder>(std::move(separator));
}

}  // namespace freehold::text
