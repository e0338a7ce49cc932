// A tokenizer from the keys of a GGUF file (tokenizer.ggml.*).
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "char_map.h"
#include "freehold/base/error.h"
#include "pipeline.h"
#include "pre_patterns.h"

namespace freehold {
namespace text {
namespace {

constexpr std::string_view kMeta = "\xE2\x96\x81";
constexpr std::string_view kRoot = "tokenizer.ggml.";
using Kind = TokenInfo::Kind;

std::string key_name(std::string_view key) {
    return std::string(kRoot) + std::string(key);
}

class Keys {
 public:
    explicit Keys(const ValueMap& meta) : meta_(meta) {}

    [[nodiscard]] const Value* find(std::string_view key) const { return meta_.find(key_name(key)); }
    [[nodiscard]] std::optional<std::string> text(std::string_view key) const {
        const Value* v = find(key);
        if (v == nullptr) return std::nullopt;
        const auto s = v->as_string();
        if (!s) throw Error(ErrorKind::bad_file, fmt::format("{} is not a text", key_name(key)));
        return std::string(*s);
    }
    [[nodiscard]] std::optional<bool> flag(std::string_view key) const {
        const Value* v = find(key);
        return v == nullptr ? std::nullopt : v->as_bool();
    }
    // An id that names a token of the vocabulary. Files in the wild carry -1 or an id too large for "none".
    [[nodiscard]] std::optional<std::int32_t> id(std::string_view key, const Vocabulary& vocabulary) const {
        const Value* v = find(key);
        if (v == nullptr) return std::nullopt;
        const auto n = v->as_int();
        if (!n) throw Error(ErrorKind::bad_file, fmt::format("{} is not a number", key_name(key)));
        if (*n < 0 || *n >= vocabulary.size()) return std::nullopt;
        return static_cast<std::int32_t>(*n);
    }
    [[nodiscard]] std::string general(std::string_view key) const {
        const Value* v = meta_.find("general." + std::string(key));
        const auto s = v == nullptr ? std::nullopt : v->as_string();
        return s ? std::string(*s) : std::string();
    }

 private:
    const ValueMap& meta_;
};

// Calls fn(index, text) for a list of texts, whatever form it has.
template <class F>
void for_each_text(const Value& list, std::string_view key, const F& fn) {
    if (const auto* texts = list.get<std::vector<std::string>>()) {
        for (std::size_t i = 0; i < texts->size(); ++i) fn(i, std::string_view((*texts)[i]));
        return;
    }
    const auto* values = list.get<ValueList>();
    if (values == nullptr) throw Error(ErrorKind::bad_file, fmt::format("{} is not a list of texts", key_name(key)));
    for (std::size_t i = 0; i < values->size(); ++i) {
        const auto s = (*values)[i].as_string();
        if (!s) throw Error(ErrorKind::bad_file, fmt::format("{}[{}] is not a text", key_name(key), i));
        fn(i, *s);
    }
}

std::vector<float> read_scores(const Keys& keys, std::size_t count) {
    const Value* list = keys.find("scores");
    if (list == nullptr) {
        throw Error(
            ErrorKind::bad_file, "tokenizer.ggml.scores is missing, and merges of this kind need it",
            "The file was cut short or written by a converter with a fault; take the model from its maker again.");
    }
    if (list->size() < count) {
        throw Error(ErrorKind::bad_file,
                    fmt::format("tokenizer.ggml.scores has {} entries for {} tokens", list->size(), count));
    }
    std::vector<float> scores(count);
    const auto* floats = list->get<std::vector<float>>();
    for (std::size_t i = 0; i < count; ++i) {
        const auto n = floats != nullptr ? std::optional<double>((*floats)[i]) : list->at(i).as_double();
        if (!n || *n != *n)
            throw Error(ErrorKind::bad_file, fmt::format("tokenizer.ggml.scores[{}] is not a number", i));
        scores[i] = static_cast<float>(*n);
    }
    return scores;
}

Kind kind_of(std::int64_t type) {
    switch (type) {
        case 2:
            return Kind::unknown;
        case 3:
            return Kind::control;
        case 4:
            return Kind::user_defined;
        case 5:
            return Kind::unused;
        case 6:
            return Kind::byte;
        default:
            return Kind::normal;
    }
}

std::unique_ptr<Vocabulary> read_vocabulary(const Keys& keys) {
    const Value* tokens = keys.find("tokens");
    if (tokens == nullptr || tokens->size() == 0) {
        throw Error(ErrorKind::bad_file, "tokenizer.ggml.tokens is missing or empty, so the file has no vocabulary",
                    "Some files carry the model without its tokenizer; take one from a source that has both.");
    }
    const std::size_t count = tokens->size();
    const Value* types = keys.find("token_type");
    if (types != nullptr && types->size() < count) {
        throw Error(ErrorKind::bad_file,
                    fmt::format("tokenizer.ggml.token_type has {} entries for {} tokens", types->size(), count));
    }
    const auto* packed = types == nullptr ? nullptr : types->get<std::vector<std::int32_t>>();
    auto vocabulary = std::make_unique<Vocabulary>(count);
    for_each_text(*tokens, "tokens", [&](std::size_t i, std::string_view text) {
        Kind kind = Kind::normal;
        if (packed != nullptr) {
            kind = kind_of((*packed)[i]);
        } else if (types != nullptr) {
            kind = kind_of(types->at(i).as_int().value_or(1));
        }
        vocabulary->add(static_cast<std::int64_t>(i), std::string(text), kind, "tokenizer.ggml.tokens");
    });
    return vocabulary;
}

// Control tokens are looked for on request, tokens that users defined always.
void add_special_tokens(Pipeline& p, const Keys& keys) {
    std::string name = keys.general("name");
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c); });
    // Phi-3's maker lets its tokens swallow the white space after them, which GGUF has no field for.
    const bool phi3 = name.find("phi-3") != std::string::npos || name.find("phi3") != std::string::npos;
    const Vocabulary& v = *p.vocabulary;
    p.hidden.assign(static_cast<std::size_t>(v.size()), false);
    for (std::int32_t id = 0; id < v.size(); ++id) {
        const Kind kind = v[id].kind;
        const bool special = kind == Kind::control || kind == Kind::unknown;
        p.hidden[static_cast<std::size_t>(id)] = special;
        if (!special && kind != Kind::user_defined) continue;
        AddedToken token{.id = id, .content = v[id].text, .special = special};
        token.rstrip =
            phi3 && special && token.content != "<unk>" && token.content != "<s>" && token.content != "<|endoftext|>";
        p.before_normalizer.add(std::move(token));
    }
    p.added_are_raw = true;
}

void add_ends(Pipeline& p, const Keys& keys, bool add_bos, bool add_eos) {
    const Vocabulary& v = *p.vocabulary;
    p.bos = keys.id("bos_token_id", v);
    p.eos = keys.id("eos_token_id", v);
    p.unk = keys.id("unknown_token_id", v);
    p.pad = keys.id("padding_token_id", v);
    p.add_bos = keys.flag("add_bos_token").value_or(add_bos) && p.bos.has_value();
    p.add_eos = keys.flag("add_eos_token").value_or(add_eos) && p.eos.has_value();
    if (p.add_bos) p.prefix.push_back(*p.bos);
    if (p.add_eos) p.suffix.push_back(*p.eos);
}

// An encoder's two texts, as RoBERTa's relatives write them: <s> first </s> </s> second </s>. Files say with
// "add_sep_token" whether the second of the separators is there; those that say nothing are of these relatives too.
void add_pair(Pipeline& p, const Keys& keys) {
    if (keys.general("architecture") != "bert" || !p.add_bos || !p.add_eos) return;
    p.pair = {{*p.bos, 0}, {FramePart::kFirst, 0}, {*p.eos, 0}};
    if (keys.flag("add_sep_token").value_or(true))
        p.pair.push_back({keys.id("seperator_token_id", *p.vocabulary).value_or(*p.eos), 0});
    p.pair.push_back({FramePart::kSecond, 0});
    p.pair.push_back({*p.eos, 0});
}

void read_byte_pairs(Pipeline& p, const Keys& keys) {
    const auto named = keys.text("pre");
    const std::string name =
        named && !named->empty() ? *named : std::string(pre_of_architecture(keys.general("architecture")));
    const PrePattern* pattern = find_pre_pattern(name);
    if (pattern == nullptr) {
        throw Error(
            ErrorKind::unsupported,
            fmt::format("tokenizer.ggml.pre names the pre-tokenizer \"{}\", which is not known", name),
            "A guess would give wrong tokens. A Hugging Face folder of the same model carries its pattern itself.");
    }
    p.kind = "bpe";
    p.pre = name;
    if (pattern->nfc) p.normalizers.push_back(make_normal_form(NormalForm::nfc));
    if (pattern->meta_spaces) p.normalizers.push_back(make_replace(std::string(" "), std::string(kMeta)));
    p.pre_tokenizers = make_pre_tokenizers(*pattern);
    const Value* list = keys.find("merges");
    if (list == nullptr) {
        throw Error(
            ErrorKind::bad_file, "tokenizer.ggml.merges is missing, and byte-pair encoding needs it",
            "The file was cut short or written by a converter with a fault; take the model from its maker again.");
    }
    std::vector<Merge> merges;
    merges.reserve(list->size());
    for_each_text(*list, "merges", [&](std::size_t i, std::string_view text) {
        const std::size_t space = text.find(' ', 1);
        if (space == std::string_view::npos) {
            throw Error(ErrorKind::bad_file,
                        fmt::format("tokenizer.ggml.merges[{}] is not two pieces with a space between", i));
        }
        merges.push_back(resolve_merge(*p.vocabulary, text.substr(0, space), text.substr(space + 1), i, 0,
                                       "tokenizer.ggml.merges",
                                       merges.empty() ? Vocabulary::kNone : merges.back().merged));
    });
    BpeOptions options;
    options.ignore_merges = pattern->ignore_merges;
    options.byte_fallback = pattern->meta_spaces;
    if (pattern->meta_spaces) {
        options.unk = keys.id("unknown_token_id", *p.vocabulary).value_or(Vocabulary::kNone);
        p.decoders.push_back(make_replace_decoder(std::string(kMeta), " "));
        p.decoders.push_back(make_byte_fallback_decoder());
    } else {
        p.decoders.push_back(make_byte_level_decoder());
    }
    p.model = make_bpe(*p.vocabulary, merges, options);
    add_ends(p, keys, pattern->add_bos, false);
    add_pair(p, keys);
}

// What SentencePiece does around its model: a space in front, spaces as U+2581.
void add_sentence_piece_spaces(Pipeline& p, const Keys& keys, bool space_by_default) {
    if (keys.flag("remove_extra_whitespaces").value_or(false)) p.normalizers.push_back(make_squeeze_spaces());
    const bool space = keys.flag("add_space_prefix").value_or(space_by_default);
    if (space) p.normalizers.push_back(make_prepend(" ", false));
    p.normalizers.push_back(make_replace(std::string(" "), std::string(kMeta)));
    p.decoders.push_back(make_replace_decoder(std::string(kMeta), " "));
    p.decoders.push_back(make_byte_fallback_decoder());
    p.decoders.push_back(make_fuse_decoder());
    if (space) p.decoders.push_back(make_strip_decoder(" ", 1, 0));
}

void read_sentence_piece(Pipeline& p, const Keys& keys) {
    p.kind = "spm";
    add_ends(p, keys, true, false);
    const Vocabulary& v = *p.vocabulary;
    // Early files leave out the ids that all of this kind share.
    const auto fallback = [&](std::optional<std::int32_t>& id, std::int32_t usual, std::string_view text) {
        if (!id && usual < v.size() && v[usual].text == text) id = usual;
    };
    fallback(p.unk, 0, "<unk>");
    fallback(p.eos, 2, "</s>");
    if (!p.bos) {
        fallback(p.bos, 1, "<s>");
        if (p.bos && keys.flag("add_bos_token").value_or(true)) {
            p.add_bos = true;
            p.prefix.push_back(*p.bos);
        }
    }
    p.model = make_spm(v, read_scores(keys, static_cast<std::size_t>(v.size())), p.unk.value_or(Vocabulary::kNone));
    add_sentence_piece_spaces(p, keys, true);
}

void read_unigram(Pipeline& p, const Keys& keys) {
    p.kind = "unigram";
    add_ends(p, keys, false, true);
    add_pair(p, keys);
    if (keys.flag("treat_whitespace_as_suffix").value_or(false)) {
        throw Error(ErrorKind::unsupported, "tokenizer.ggml.treat_whitespace_as_suffix is set, which is not supported");
    }
    // Converted without the maker's list of special tokens, a file still says which one is for what is unknown.
    for (std::int32_t id = 0; !p.unk && id < p.vocabulary->size(); ++id)
        if ((*p.vocabulary)[id].kind == Kind::unknown) p.unk = id;
    // What fills the vocabulary up to the rows of the model's table is no text.
    for (std::int32_t id = 0; id < p.vocabulary->size(); ++id)
        if ((*p.vocabulary)[id].kind == Kind::unused) p.hidden[static_cast<std::size_t>(id)] = true;
    const std::vector<float> scores = read_scores(keys, static_cast<std::size_t>(p.vocabulary->size()));
    if (const Value* map = keys.find("precompiled_charsmap"))
        p.normalizers.push_back(make_char_map(bytes_of(*map), false, "tokenizer.ggml.precompiled_charsmap"));
    const int byte = p.vocabulary->find("<0x00>");
    const bool fallback = byte >= 0 && (*p.vocabulary)[byte].kind == Kind::byte;
    p.model =
        make_unigram(*p.vocabulary, {scores.begin(), scores.end()}, {p.unk.value_or(Vocabulary::kNone), fallback});
    add_sentence_piece_spaces(p, keys, true);
}

void read_word_piece(Pipeline& p, const Keys& keys) {
    p.kind = "wordpiece";
    const Vocabulary& v = *p.vocabulary;
    p.unk = keys.id("unknown_token_id", v);
    p.pad = keys.id("padding_token_id", v);
    // The key has been misspelt from the beginning.
    const auto separator = keys.id("seperator_token_id", v);
    auto begin = keys.id("cls_token_id", v);
    if (!begin) begin = keys.id("bos_token_id", v);
    p.bos = begin;
    p.eos = separator;
    p.add_bos = keys.flag("add_bos_token").value_or(true) && begin.has_value();
    p.add_eos = separator.has_value();
    if (p.add_bos) p.prefix.push_back(*begin);
    if (separator) p.suffix.push_back(*separator);
    if (begin && separator) {
        p.pair = {{*begin, 0}, {FramePart::kFirst, 0}, {*separator, 0}, {FramePart::kSecond, 1}, {*separator, 1}};
    }
    const bool lower = keys.flag("normalizer.lowercase").value_or(true);
    const bool strip = keys.flag("normalizer.strip_accents").value_or(lower);
    p.normalizers.push_back(make_bert({true, true, strip, lower}));
    p.pre_tokenizers.push_back(make_split(CharClass::white_space, SplitBehavior::removed));
    p.pre_tokenizers.push_back(make_split(CharClass::punctuation, SplitBehavior::isolated));
    WordPieceOptions options;
    options.unk = p.unk.value_or(Vocabulary::kNone);
    options.phantom_space = true;
    p.model = make_word_piece(v, options);
    p.decoders.push_back(make_replace_decoder(std::string(kMeta), " "));
    p.decoders.push_back(make_fuse_decoder());
    p.decoders.push_back(make_strip_decoder(" ", 1, 0));
}

}  // namespace
}  // namespace text

std::shared_ptr<const Tokenizer> Tokenizer::from_gguf(const ValueMap& meta) {
    using namespace text;
    const Keys keys(meta);
    const auto model = keys.text("model");
    if (!model) {
        throw Error(ErrorKind::bad_file,
                    "tokenizer.ggml.model is missing, so the file says nothing about its tokenizer",
                    "Some files carry the model without its tokenizer; take one from a source that has both.");
    }
    Pipeline p;
    if (*model == "none" || *model == "no_vocab") {
        throw Error(ErrorKind::unsupported, "the file says that it has no tokenizer (tokenizer.ggml.model is none)",
                    "Give token ids instead of text, or take a file that has its tokenizer.");
    }
    const bool known = *model == "gpt2" || *model == "llama" || *model == "t5" || *model == "bert";
    if (!known) {
        throw Error(
            ErrorKind::unsupported, fmt::format("tokenizer.ggml.model is \"{}\", a kind that is not known", *model),
            "Known kinds are gpt2 (byte-level BPE), llama (SentencePiece BPE), t5 (unigram) and bert (WordPiece).");
    }
    p.vocabulary = read_vocabulary(keys);
    add_special_tokens(p, keys);
    if (*model == "gpt2") read_byte_pairs(p, keys);
    if (*model == "llama") read_sentence_piece(p, keys);
    if (*model == "t5") read_unigram(p, keys);
    if (*model == "bert") read_word_piece(p, keys);
    p.stop_ids = find_stop_ids(*p.vocabulary, p.hidden,
                               {p.eos, keys.id("eot_token_id", *p.vocabulary), keys.id("eom_token_id", *p.vocabulary)});
    return make_tokenizer(std::move(p));
}

}  // namespace freehold
