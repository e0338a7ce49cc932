// A tokenizer from a SentencePiece model (tokenizer.model): a small reader of the protobuf fields that matter, with
// every length and number checked, since the file is hostile until parsed.
#include <fmt/format.h>

#include <cstring>

#include "char_map.h"
#include "freehold/base/error.h"
#include "load_sentencepiece.h"

namespace freehold {
namespace text {
namespace {

using Kind = TokenInfo::Kind;
constexpr std::string_view kMeta = "\xE2\x96\x81";

[[noreturn]] void broken(std::string_view why) {
    throw Error(ErrorKind::bad_file, fmt::format("tokenizer.model is no SentencePiece model: {}", why),
                "The file is cut short or damaged, or of another kind; fetch it again.");
}

// Protobuf's wire format: fields as (number, kind) with a number, four or eight bytes, or a length and bytes.
class Fields {
 public:
    explicit Fields(std::string_view bytes) : rest_(bytes) {}

    struct Field {
        std::uint64_t number = 0;
        std::uint64_t value = 0;  // of a number
        std::string_view bytes;   // of everything else
        bool is_number = false;
    };

    bool next(Field& field) {
        if (rest_.empty()) return false;
        const std::uint64_t tag = varint();
        field = Field{};
        field.number = tag >> 3U;
        switch (tag & 7U) {
            case 0:
                field.value = varint();
                field.is_number = true;
                break;
            case 1:
                field.bytes = take(8);
                break;
            case 2:
                field.bytes = take(varint());
                break;
            case 5:
                field.bytes = take(4);
                break;
            default:
                broken("a field has an unknown wire type");
        }
        return true;
    }

 private:
    std::uint64_t varint() {
        std::uint64_t value = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            if (rest_.empty()) broken("a number ends in the middle");
            const auto byte = static_cast<unsigned char>(rest_.front());
            rest_.remove_prefix(1);
            value |= static_cast<std::uint64_t>(byte & 0x7FU) << shift;
            if ((byte & 0x80U) == 0) return value;
        }
        broken("a number is longer than ten bytes");
    }
    std::string_view take(std::uint64_t length) {
        if (length > rest_.size()) broken(fmt::format("a field of {} bytes ends beyond the file", length));
        const std::string_view out = rest_.substr(0, static_cast<std::size_t>(length));
        rest_.remove_prefix(static_cast<std::size_t>(length));
        return out;
    }
    std::string_view rest_;
};

float as_float(std::string_view bytes) {
    if (bytes.size() != 4) broken("a score is not four bytes long");
    float value = 0.0F;
    std::memcpy(&value, bytes.data(), 4);
    if (!(value == value)) broken("a score is not a number");
    return value;
}

struct Spec {
    std::uint64_t model_type = 1;  // 1 unigram, 2 bpe, 3 word, 4 char
    bool byte_fallback = false, whitespace_suffix = false;
    std::int64_t unk = 0, bos = 1, eos = 2, pad = -1;
    bool dummy_prefix = true, remove_extra = true, escape = true;
    std::string char_map;
};

std::int64_t signed_id(std::uint64_t value) {
    return static_cast<std::int64_t>(static_cast<std::int32_t>(value));
}

void read_trainer(std::string_view bytes, Spec& spec) {
    Fields fields(bytes);
    for (Fields::Field f; fields.next(f);) {
        if (f.number == 3) spec.model_type = f.value;
        if (f.number == 24) spec.whitespace_suffix = f.value != 0;
        if (f.number == 35) spec.byte_fallback = f.value != 0;
        if (f.number == 40) spec.unk = signed_id(f.value);
        if (f.number == 41) spec.bos = signed_id(f.value);
        if (f.number == 42) spec.eos = signed_id(f.value);
        if (f.number == 43) spec.pad = signed_id(f.value);
    }
}

void read_normalizer_spec(std::string_view bytes, Spec& spec) {
    Fields fields(bytes);
    for (Fields::Field f; fields.next(f);) {
        if (f.number == 2) spec.char_map = std::string(f.bytes);
        if (f.number == 3) spec.dummy_prefix = f.value != 0;
        if (f.number == 4) spec.remove_extra = f.value != 0;
        if (f.number == 5) spec.escape = f.value != 0;
    }
}

struct Pieces {
    std::unique_ptr<Vocabulary> vocabulary = std::make_unique<Vocabulary>(32768);
    std::vector<float> scores;
};

void read_piece(std::string_view bytes, Pieces& pieces) {
    std::string_view text;
    float score = 0.0F;
    std::uint64_t type = 1;
    Fields fields(bytes);
    for (Fields::Field f; fields.next(f);) {
        if (f.number == 1) text = f.bytes;
        if (f.number == 2) score = as_float(f.bytes);
        if (f.number == 3) type = f.value;
    }
    constexpr std::array<Kind, 7> kKinds{Kind::normal,       Kind::normal, Kind::unknown, Kind::control,
                                         Kind::user_defined, Kind::unused, Kind::byte};
    if (type == 0 || type >= kKinds.size())
        broken(fmt::format("piece {} has the unknown type {}", pieces.scores.size(), type));
    pieces.vocabulary->add(static_cast<std::int64_t>(pieces.scores.size()), std::string(text), kKinds[type],
                           "tokenizer.model");
    pieces.scores.push_back(score);
}

}  // namespace

Pipeline sentencepiece_pipeline(std::string_view bytes, const ValueMap* config, const Vocabulary* outside) {
    Pieces pieces;
    Spec spec;
    Fields fields(bytes);
    for (Fields::Field f; fields.next(f);) {
        if (f.is_number) continue;
        if (f.number == 1) read_piece(f.bytes, pieces);
        if (f.number == 2) read_trainer(f.bytes, spec);
        if (f.number == 3) read_normalizer_spec(f.bytes, spec);
    }
    if (pieces.scores.empty()) broken("it has no pieces");
    if (spec.model_type != 1 && spec.model_type != 2) {
        throw Error(ErrorKind::unsupported,
                    fmt::format("tokenizer.model is of the kind {} (words or characters), which is not supported",
                                spec.model_type));
    }
    if (spec.whitespace_suffix)
        throw Error(ErrorKind::unsupported, "tokenizer.model puts the space after words, which is not supported");

    Pipeline p;
    p.vocabulary = std::move(pieces.vocabulary);
    const Vocabulary& v = *p.vocabulary;
    p.hidden.assign(static_cast<std::size_t>(v.size()), false);
    for (std::int32_t id = 0; id < v.size(); ++id) {
        const Kind kind = v[id].kind;
        const bool special = kind == Kind::control || kind == Kind::unknown;
        p.hidden[static_cast<std::size_t>(id)] = special;
        // The model itself finds what users defined, in normalized text; the programs around it find control tokens.
        if (special) p.before_normalizer.add({.id = id, .content = v[id].text, .special = true});
        if (kind == Kind::user_defined) p.after_normalizer.add({.id = id, .content = v[id].text});
    }
    const auto flag = [&](std::string_view key) -> std::optional<bool> {
        const Value* value = config == nullptr ? nullptr : config->find(key);
        return value == nullptr ? std::nullopt : value->as_bool();
    };
    const auto known = [&](std::int64_t id) -> std::optional<std::int32_t> {
        return id >= 0 && id < v.size() ? std::optional(static_cast<std::int32_t>(id)) : std::nullopt;
    };
    p.bos = known(spec.bos);
    p.eos = known(spec.eos);
    p.unk = known(spec.unk);
    p.pad = known(spec.pad);
    // The model itself never adds ends; the programs around byte-pair models of this kind add BOS, those around
    // unigram models EOS.
    const bool pairs = spec.model_type == 2;
    p.add_bos = p.bos && flag("add_bos_token").value_or(pairs);
    p.add_eos = p.eos && flag("add_eos_token").value_or(!pairs);
    if (p.add_bos) p.prefix.push_back(*p.bos);
    if (p.add_eos) p.suffix.push_back(*p.eos);

    p.special_restarts = flag("legacy").value_or(true);
    if (!spec.char_map.empty())
        p.normalizers.push_back(make_char_map(std::move(spec.char_map), false, "tokenizer.model"));
    if (spec.remove_extra) p.normalizers.push_back(make_squeeze_spaces());
    if (spec.dummy_prefix) p.normalizers.push_back(make_prepend(" ", true));
    if (spec.escape) p.normalizers.push_back(make_replace(std::string(" "), std::string(kMeta)));
    p.decoders.push_back(make_replace_decoder(std::string(kMeta), " "));
    p.decoders.push_back(make_byte_fallback_decoder());
    p.decoders.push_back(make_fuse_decoder());
    if (spec.dummy_prefix) p.decoders.push_back(make_strip_decoder(" ", 1, 0));
    p.kind = pairs ? "spm" : "unigram";
    const std::int32_t unk = p.unk.value_or(Vocabulary::kNone);
    p.model = pairs ? make_spm(v, std::move(pieces.scores), unk)
                    : make_unigram(v, {pieces.scores.begin(), pieces.scores.end()},
                                   {unk, spec.byte_fallback, false, outside});
    p.stop_ids = find_stop_ids(v, p.hidden, {p.eos});
    return p;
}

}  // namespace text

std::shared_ptr<const Tokenizer> Tokenizer::from_sentencepiece(std::string_view bytes, const ValueMap* config) {
    return text::make_tokenizer(text::sentencepiece_pipeline(bytes, config, nullptr));
}

}  // namespace freehold
