// Builds the parts of a Hugging Face tokenizer from their JSON, one function a kind, one line a type.
#include "hf_parts.h"

#include <fmt/format.h>

#include <algorithm>

#include "base64.h"
#include "char_map.h"
#include "freehold/base/error.h"
#include "pre_patterns.h"

namespace freehold::text {
namespace {

constexpr int kMaxParts = 64;  // in all sequences together; real files have at most ten

[[noreturn]] void wrong(std::string_view where, std::string_view key, std::string_view expected) {
    throw Error(ErrorKind::bad_file, fmt::format("{}: \"{}\" is not {}", where, key, expected));
}

[[noreturn]] void unknown(std::string_view where, std::string_view type) {
    throw Error(ErrorKind::unsupported, fmt::format("{} is of the type \"{}\", which is not supported", where, type),
                "Please report the model, so that this part can be added.");
}

// Walks a part and, where it is a sequence, its members; counts them.
template <class F>
void walk(const Json& json, std::string_view where, std::string_view list_key, int depth, int& count, const F& one) {
    if (json.is_null()) return;
    if (!json.is_object()) throw Error(ErrorKind::bad_file, fmt::format("{} is not an object", where));
    const std::string_view type = text_of(json, "type", where);
    if (++count > kMaxParts || depth > 8) {
        throw Error(ErrorKind::bad_file, fmt::format("{} has more parts than make sense ({})", where, kMaxParts));
    }
    if (type != "Sequence") return one(json, type);
    const auto list = member(json, list_key);
    simdjson::dom::array parts;
    if (!list || list->get(parts) != simdjson::SUCCESS) wrong(where, list_key, "a list");
    for (const Json part : parts) walk(part, where, list_key, depth + 1, count, one);
}

struct Pattern {
    std::string_view literal, regex;
    bool is_regex = false;
};

Pattern read_pattern(const Json& json, std::string_view where) {
    const auto pattern = member(json, "pattern");
    if (!pattern || !pattern->is_object()) wrong(where, "pattern", "an object");
    Pattern p;
    p.is_regex = member(*pattern, "Regex").has_value();
    if (p.is_regex) {
        p.regex = text_of(*pattern, "Regex", where);
    } else {
        p.literal = text_of(*pattern, "String", where);
    }
    return p;
}

SplitBehavior read_behavior(std::string_view name, std::string_view where) {
    if (name == "Removed") return SplitBehavior::removed;
    if (name == "Isolated") return SplitBehavior::isolated;
    if (name == "MergedWithPrevious") return SplitBehavior::merged_with_previous;
    if (name == "MergedWithNext") return SplitBehavior::merged_with_next;
    if (name == "Contiguous") return SplitBehavior::contiguous;
    throw Error(ErrorKind::bad_file, fmt::format("{}: the behavior \"{}\" is not known", where, name));
}

PrependScheme read_scheme(const Json& json, std::string_view where) {
    if (!member(json, "prepend_scheme")) {
        return flag_or(json, "add_prefix_space", true, where) ? PrependScheme::always : PrependScheme::never;
    }
    const std::string_view name = text_of(json, "prepend_scheme", where);
    if (name == "always") return PrependScheme::always;
    if (name == "first") return PrependScheme::first;
    if (name == "never") return PrependScheme::never;
    throw Error(ErrorKind::bad_file, fmt::format("{}: the prepend_scheme \"{}\" is not known", where, name));
}

std::unique_ptr<const Normalizer> make_normalizer(const Json& json, std::string_view type) {
    const std::string where = fmt::format("normalizer {}", type);
    if (type == "NFC") return make_normal_form(NormalForm::nfc);
    if (type == "NFD") return make_normal_form(NormalForm::nfd);
    if (type == "NFKC") return make_normal_form(NormalForm::nfkc);
    if (type == "NFKD") return make_normal_form(NormalForm::nfkd);
    if (type == "Lowercase") return make_lower_case();
    if (type == "StripAccents") return make_strip_accents();
    if (type == "Strip")
        return make_strip(flag_or(json, "strip_left", true, where), flag_or(json, "strip_right", true, where));
    if (type == "Prepend") return make_prepend(std::string(text_of(json, "prepend", where)), false);
    if (type == "ByteLevel") return make_byte_characters();
    if (type == "Precompiled") {
        return make_char_map(from_base64(text_or(json, "precompiled_charsmap", "", where), where), true, where);
    }
    if (type == "BertNormalizer") {
        BertOptions options;
        options.clean_text = flag_or(json, "clean_text", true, where);
        options.ideographs = flag_or(json, "handle_chinese_chars", true, where);
        options.lower_case = flag_or(json, "lowercase", true, where);
        options.strip_accents = flag_or(json, "strip_accents", options.lower_case, where);
        return make_bert(options);
    }
    if (type == "Replace") {
        const Pattern p = read_pattern(json, where);
        std::string content(text_of(json, "content", where));
        if (p.is_regex) return make_replace(Regex(p.regex, where), std::move(content));
        return make_replace(std::string(p.literal), std::move(content));
    }
    unknown("the normalizer", type);
}

void add_pre_tokenizer(const Json& json, std::string_view type, PreTokenizers& out) {
    const std::string where = fmt::format("pre_tokenizer {}", type);
    const auto add = [&](auto part) { out.push_back(std::move(part)); };
    const auto behavior = [&](std::string_view otherwise) {
        return read_behavior(text_or(json, "behavior", otherwise, where), where);
    };
    if (type == "ByteLevel") {
        auto words = flag_or(json, "use_regex", true, where) ? std::make_unique<Regex>(kWordsGpt2, where) : nullptr;
        return add(make_byte_level(flag_or(json, "add_prefix_space", true, where), std::move(words)));
    }
    if (type == "Split") {
        const Pattern p = read_pattern(json, where);
        const SplitBehavior b = behavior("");
        const bool invert = flag_or(json, "invert", false, where);
        if (p.is_regex) return add(make_split(Regex(p.regex, where), b, invert));
        return add(make_split(std::string(p.literal), b, invert));
    }
    if (type == "Metaspace") {
        const std::string_view mark = text_of(json, "replacement", where);
        return add(make_metaspace(std::string(mark), read_scheme(json, where), flag_or(json, "split", true, where)));
    }
    if (type == "Digits") {
        const bool single = flag_or(json, "individual_digits", false, where);
        return add(make_split(CharClass::numeric, single ? SplitBehavior::isolated : SplitBehavior::contiguous));
    }
    if (type == "Punctuation") return add(make_split(CharClass::punctuation, behavior("Isolated")));
    if (type == "WhitespaceSplit") return add(make_split(CharClass::white_space, SplitBehavior::removed));
    if (type == "Whitespace") return add(make_word_split());
    if (type == "BertPreTokenizer") {
        add(make_split(CharClass::white_space, SplitBehavior::removed));
        return add(make_split(CharClass::punctuation, SplitBehavior::isolated));
    }
    if (type == "CharDelimiterSplit") {
        return add(make_split(std::string(text_of(json, "delimiter", where)), SplitBehavior::removed, false));
    }
    if (type == "FixedLength") {
        const std::int64_t length = number_or(json, "length", 5, where);
        if (length <= 0) wrong(where, "length", "a positive number");
        return add(make_fixed_length(static_cast<std::size_t>(length)));
    }
    unknown("the pre_tokenizer", type);
}

std::unique_ptr<const Decoder> make_decoder(const Json& json, std::string_view type) {
    const std::string where = fmt::format("decoder {}", type);
    if (type == "ByteLevel") return make_byte_level_decoder();
    if (type == "ByteFallback") return make_byte_fallback_decoder();
    if (type == "Fuse") return make_fuse_decoder();
    if (type == "BPEDecoder") return make_suffix_decoder(std::string(text_or(json, "suffix", "</w>", where)));
    if (type == "WordPiece") {
        return make_word_piece_decoder(std::string(text_or(json, "prefix", "##", where)),
                                       flag_or(json, "cleanup", true, where));
    }
    if (type == "Metaspace") {
        return make_metaspace_decoder(std::string(text_of(json, "replacement", where)),
                                      read_scheme(json, where) != PrependScheme::never);
    }
    if (type == "Strip") {
        const std::int64_t start = number_or(json, "start", 0, where), stop = number_or(json, "stop", 0, where);
        if (start < 0 || stop < 0) wrong(where, "start", "a count");
        return make_strip_decoder(std::string(text_of(json, "content", where)), static_cast<std::size_t>(start),
                                  static_cast<std::size_t>(stop));
    }
    if (type == "Replace") {
        const Pattern p = read_pattern(json, where);
        std::string content(text_of(json, "content", where));
        if (p.is_regex) return make_replace_decoder(Regex(p.regex, where), std::move(content));
        return make_replace_decoder(std::string(p.literal), std::move(content));
    }
    unknown("the decoder", type);
}

// One list of a TemplateProcessing: {"SpecialToken": {"id": "<s>", "type_id": 0}} or {"Sequence": {"id": "A", ...}}.
std::vector<FramePart> read_steps(const Json& json, std::string_view key, const Pipeline& p) {
    constexpr std::string_view where = "post_processor TemplateProcessing";
    const auto list = member(json, key);
    simdjson::dom::array steps;
    if (!list || list->get(steps) != simdjson::SUCCESS) wrong(where, key, "a list");
    const auto specials = member(json, "special_tokens");
    std::vector<FramePart> parts;
    const auto add = [&](std::int32_t id, const Json& of) {
        if (parts.size() >= 256)
            throw Error(ErrorKind::bad_file, fmt::format("{}: more than 256 tokens around a text", where));
        const std::int64_t type = number_or(of, "type_id", 0, where);
        if (type < 0 || type > 255) wrong(where, "type_id", "a number from 0 to 255");
        parts.push_back({id, static_cast<std::uint8_t>(type)});
    };
    for (const Json step : steps) {
        if (const auto text = member(step, "Sequence")) {
            add(text_or(*text, "id", "A", where) == "B" ? FramePart::kSecond : FramePart::kFirst, *text);
            continue;
        }
        const auto special = member(step, "SpecialToken");
        if (!special) wrong(where, key, "a list of SpecialToken and Sequence");
        const std::string_view name = text_of(*special, "id", where);
        const auto entry = specials ? member(*specials, name) : std::nullopt;
        const auto ids_of = entry ? member(*entry, "ids") : std::nullopt;
        simdjson::dom::array ids;
        if (!ids_of || ids_of->get(ids) != simdjson::SUCCESS) {
            throw Error(ErrorKind::bad_file,
                        fmt::format("{}: the token \"{}\" is not among special_tokens", where, name));
        }
        for (const Json element : ids) {
            std::int64_t id = -1;
            if (element.get(id) != simdjson::SUCCESS || id < 0 || id >= p.vocabulary->size() ||
                !p.vocabulary->has(static_cast<std::int32_t>(id))) {
                throw Error(ErrorKind::bad_file,
                            fmt::format("{}: the token \"{}\" has an id that the vocabulary has not", where, name));
            }
            add(static_cast<std::int32_t>(id), *special);
        }
    }
    return parts;
}

// The form of one text, everything before it to prefix and then to suffix; and that of two.
void read_template(const Json& json, Pipeline& p) {
    constexpr std::string_view where = "post_processor TemplateProcessing";
    bool after_text = false;
    p.prefix.clear();
    p.suffix.clear();
    for (const FramePart& part : read_steps(json, "single", p)) {
        if (part.id < 0) {
            if (after_text || part.id != FramePart::kFirst)
                throw Error(ErrorKind::unsupported, fmt::format("{}: the text stands there twice", where));
            after_text = true;
            continue;
        }
        auto& to = after_text ? p.suffix : p.prefix;
        to.push_back(part.id);
    }
    p.pair = member(json, "pair") ? read_steps(json, "pair", p) : std::vector<FramePart>{};
    const auto texts = [&](std::int32_t which) {
        return std::count_if(p.pair.begin(), p.pair.end(), [which](const FramePart& f) { return f.id == which; });
    };
    if (texts(FramePart::kFirst) != 1 || texts(FramePart::kSecond) != 1) p.pair.clear();  // some write nothing useful
}

// ["<s>", 0]
std::int32_t read_pair(const Json& json, std::string_view key, std::string_view where, const Vocabulary& vocabulary) {
    const auto pair = member(json, key);
    simdjson::dom::array parts;
    std::int64_t id = -1;
    if (!pair || pair->get(parts) != simdjson::SUCCESS || parts.size() != 2 ||
        parts.at(1).get(id) != simdjson::SUCCESS || id < 0 || id >= vocabulary.size() ||
        !vocabulary.has(static_cast<std::int32_t>(id))) {
        wrong(where, key, "a pair of a token and its id");
    }
    return static_cast<std::int32_t>(id);
}

}  // namespace

std::optional<Json> member(const Json& object, std::string_view key) {
    simdjson::dom::object o;
    Json value;
    if (object.get(o) != simdjson::SUCCESS || o.at_key(key).get(value) != simdjson::SUCCESS || value.is_null())
        return std::nullopt;
    return value;
}

std::string_view text_of(const Json& object, std::string_view key, std::string_view where) {
    const auto value = member(object, key);
    std::string_view text;
    if (!value || value->get(text) != simdjson::SUCCESS) wrong(where, key, "there as a text");
    return text;
}

std::string_view text_or(const Json& object, std::string_view key, std::string_view otherwise, std::string_view where) {
    return member(object, key) ? text_of(object, key, where) : otherwise;
}

bool flag_or(const Json& object, std::string_view key, bool otherwise, std::string_view where) {
    const auto value = member(object, key);
    if (!value) return otherwise;
    bool flag = false;
    if (value->get(flag) != simdjson::SUCCESS) wrong(where, key, "true or false");
    return flag;
}

std::int64_t number_or(const Json& object, std::string_view key, std::int64_t otherwise, std::string_view where) {
    const auto value = member(object, key);
    if (!value) return otherwise;
    std::int64_t number = 0;
    if (value->get(number) != simdjson::SUCCESS) wrong(where, key, "a whole number");
    return number;
}

void read_normalizer(const Json& json, Pipeline& p) {
    int count = 0;
    walk(json, "the normalizer", "normalizers", 0, count,
         [&](const Json& part, std::string_view type) { p.normalizers.push_back(make_normalizer(part, type)); });
}

void read_pre_tokenizer(const Json& json, Pipeline& p) {
    int count = 0;
    walk(json, "the pre_tokenizer", "pretokenizers", 0, count,
         [&](const Json& part, std::string_view type) { add_pre_tokenizer(part, type, p.pre_tokenizers); });
}

void read_decoder(const Json& json, Pipeline& p) {
    int count = 0;
    walk(json, "the decoder", "decoders", 0, count,
         [&](const Json& part, std::string_view type) { p.decoders.push_back(make_decoder(part, type)); });
}

void read_post_processor(const Json& json, Pipeline& p) {
    int count = 0;
    walk(json, "the post_processor", "processors", 0, count, [&](const Json& part, std::string_view type) {
        if (type == "ByteLevel") return;  // only moves offsets
        if (type == "TemplateProcessing") return read_template(part, p);
        if (type == "BertProcessing" || type == "RobertaProcessing") {
            p.prefix.assign(1, read_pair(part, "cls", type, *p.vocabulary));
            p.suffix.assign(1, read_pair(part, "sep", type, *p.vocabulary));
            const std::int32_t cls = p.prefix[0], sep = p.suffix[0];
            if (type == "BertProcessing")
                p.pair = {{cls, 0}, {FramePart::kFirst, 0}, {sep, 0}, {FramePart::kSecond, 1}, {sep, 1}};
            else
                p.pair = {{cls, 0}, {FramePart::kFirst, 0}, {sep, 0}, {sep, 0}, {FramePart::kSecond, 0}, {sep, 0}};
            return;
        }
        unknown("the post_processor", type);
    });
}

}  // namespace freehold::text
