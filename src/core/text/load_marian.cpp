// Marian's tokenizer: a SentencePiece model cuts the source, and a vocabulary of its own, which both languages share or
// each has one of, gives the ids. A text may begin with the language it is to become, >>fra<<.
#include <fmt/format.h>

#include "freehold/base/error.h"
#include "load_sentencepiece.h"

namespace freehold {
namespace text {
namespace {

using Kind = TokenInfo::Kind;
constexpr std::string_view kMeta = "\xE2\x96\x81";

std::unique_ptr<Vocabulary> read_vocabulary(std::string_view json, const std::string& name) {
    const Value value = parse_json(json, name);
    const auto* const map = value.get<ValueMap>();
    if (map == nullptr || map->size() == 0)
        throw Error(ErrorKind::bad_file, name + " is no list of tokens with their ids.");
    auto vocabulary = std::make_unique<Vocabulary>(map->size());
    for (const ValueEntry& e : *map) {
        const auto id = e.value.as_int();
        if (!id) throw Error(ErrorKind::bad_file, fmt::format("{} gives token \"{}\" no whole number.", name, e.key));
        const std::string text(e.key);
        const Kind kind = text == "</s>" || text == "<pad>" ? Kind::control
                          : text == "<unk>"                 ? Kind::unknown
                                                            : Kind::normal;
        vocabulary->add(*id, text, kind, name);
    }
    return vocabulary;
}

std::int32_t need(const Vocabulary& v, std::string_view text, const char* name) {
    const std::int32_t id = v.find(text);
    if (id < 0) throw Error(ErrorKind::bad_file, fmt::format("{} has no token {}.", name, text));
    return id;
}

class MarianTokenizer final : public Tokenizer {
 public:
    MarianTokenizer(std::string_view source_spm, std::string_view vocab, const std::string* target_vocab)
        : source_(read_vocabulary(vocab, "vocab.json")),
          target_(target_vocab == nullptr ? nullptr : read_vocabulary(*target_vocab, "target_vocab.json")) {
        eos_ = need(*source_, "</s>", "vocab.json");
        unk_ = need(*source_, "<unk>", "vocab.json");
        if (const std::int32_t id = source_->find("<pad>"); id >= 0) pad_ = id;
        Pipeline p = sentencepiece_pipeline(source_spm, nullptr, source_.get());
        if (p.kind != "unigram")
            throw Error(ErrorKind::unsupported, "source.spm is no unigram model, and Marian's are.");
        p.prefix.clear();
        p.suffix.clear();
        const Vocabulary& pieces = *p.vocabulary;
        for (std::int32_t id = 0; id < pieces.size(); ++id) {
            const std::int32_t ours = source_->find(pieces[id].text);
            ids_.push_back(ours >= 0 && pieces[id].kind != Kind::unknown ? ours : *unk_);
        }
        cutter_ = make_tokenizer(std::move(p));
        stop_ids_ = {target_ ? need(*target_, "</s>", "target_vocab.json") : *eos_};
        add_eos_ = true;
        kind_ = "unigram";
        single_ = {{FramePart::kFirst, 0}, {*eos_, 0}};
    }

    [[nodiscard]] std::vector<std::int32_t> encode(std::string_view text, EncodeOptions options) const override {
        std::vector<std::int32_t> out;
        if (const std::size_t end = text.find("<<"); text.starts_with(">>") && end != std::string_view::npos) {
            const std::int32_t language = source_->find(text.substr(0, end + 2));
            out.push_back(language >= 0 ? language : *unk_);
            text.remove_prefix(end + 2);
        }
        const auto known = static_cast<std::int32_t>(ids_.size());
        for (const std::int32_t id : cutter_->encode(text, {.add_special = false}))
            out.push_back(id < known ? ids_[static_cast<std::size_t>(id)] : id - known);
        if (options.add_special) out.push_back(*eos_);
        return out;
    }

    [[nodiscard]] std::string decode(std::span<const std::int32_t> ids, bool special, bool goes_on) const override {
        std::string out;
        for (const std::int32_t id : ids) out += piece(id, special);
        const std::size_t begin = out.find_first_not_of(' ');
        if (begin == std::string::npos) return {};
        return out.substr(begin, goes_on ? std::string::npos : out.find_last_not_of(' ') + 1 - begin);
    }

    [[nodiscard]] std::string piece(std::int32_t id, bool special) const override {
        const Vocabulary& v = written();
        if (!v.has(id) || (!special && v[id].kind != Kind::normal)) return {};
        std::string text = v[id].text;
        for (std::size_t at = text.find(kMeta); at != std::string::npos; at = text.find(kMeta, at + 1))
            text.replace(at, kMeta.size(), " ");
        return text;
    }

    [[nodiscard]] std::int32_t size() const noexcept override { return written().size(); }
    [[nodiscard]] const TokenInfo& token(std::int32_t id) const override {
        if (id < 0 || id >= size())
            throw Error(ErrorKind::not_found,
                        fmt::format("the vocabulary has no token {}; it has {} tokens", id, size()));
        return written()[id];
    }
    [[nodiscard]] std::optional<std::int32_t> find(std::string_view token_text) const override {
        const std::int32_t id = written().find(token_text);
        return id < 0 ? std::nullopt : std::optional(id);
    }

 private:
    [[nodiscard]] const Vocabulary& written() const noexcept { return target_ ? *target_ : *source_; }

    std::unique_ptr<const Vocabulary> source_, target_;  // target_ null: both languages share one
    std::vector<std::int32_t> ids_;                      // of the pieces of the SentencePiece model
    std::shared_ptr<const Tokenizer> cutter_;
};

}  // namespace
}  // namespace text

std::shared_ptr<const Tokenizer> Tokenizer::from_marian(std::string_view source_spm, std::string_view vocab,
                                                        const std::string* target_vocab) {
    return std::make_shared<text::MarianTokenizer>(source_spm, vocab, target_vocab);
}

}  // namespace freehold
