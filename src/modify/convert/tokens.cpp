// Tokenizers from one container into the other. A folder says its rules in full, a GGUF file by name; so candidates are
// made and tried on probes, and the first that gives the same tokens is taken.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <unordered_map>

#include "freehold/base/error.h"
#include "freehold/base/printable.h"
#include "freehold/text/tokenizer.h"
#include "parts.h"
#include "pre_patterns.h"

namespace freehold::convert {
namespace {

using Kind = TokenInfo::Kind;
constexpr std::string_view kMeta = "\xE2\x96\x81";

// What tells pre-tokenizers apart: runs of digits, contractions in both cases, spaces, line ends, scripts, signs.
constexpr std::string_view kProbes[] = {
    "Hello, world! It's we'll THEY'RE don't I'D've",
    "1 12 123 1234 12345 1234567890 3.14159 1,000,000",
    "   three spaces\n\n\nthree lines\r\n\ttab \t mixed  ",
    "def f(x):\n    return x**2 + y_1 != z[0] && (a|b) // comment",
    "\xC3\x9C\x62\x65r stra\xC3\x9F\x65 \xC3\xA9t\xC3\xA9 nai\xCC\x88ve A\xCC\x8A\xC5\xBF",
    "\xE4\xBD\xA0\xE5\xA5\xBD\xEF\xBC\x8C\xE4\xB8\x96\xE7\x95\x8C 123 "
    "\xE3\x81\x93\xE3\x82\x93\xE3\x81\xAB\xE3\x81\xA1\xE3\x81\xAF \xEC\x95\x88\xEB\x85\x95",
    "\xD0\x9F\xD1\x80\xD0\xB8\xD0\xB2\xD0\xB5\xD1\x82 \xD9\x85\xD8\xB1\xD8\xAD\xD8\xA8\xD8\xA7 "
    "\xE0\xA4\xA8\xE0\xA4\xAE\xE0\xA4\xB8\xE0\xA5\x8D\xE0\xA4\xA4\xE0\xA5\x87",
    "\xF0\x9F\x98\x80\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x9A\x80 \xE2\x82\xAC 5 \xE2\x80\xA6 --- === <<>> #tag @name "
    "a/b\\c",
    "CamelCaseWords and snake_case_words HTTPServer iOS x86-64 v1.2.3 2nd",
    " leading space",
    "trailing space ",
    "a",
    " ",
    "\n",
    "",
};

std::vector<std::int32_t> ids_of(const Tokenizer& t, std::string_view text) {
    return t.encode(text);
}

bool same_tokens(const Tokenizer& a, const Tokenizer& b) {
    return std::all_of(std::begin(kProbes), std::end(kProbes),
                       [&](std::string_view probe) { return ids_of(a, probe) == ids_of(b, probe); });
}

std::shared_ptr<const Tokenizer> tokenizer_of(const ModelFiles& files) {
    if (files.container() != Container::hf) return Tokenizer::from_gguf(files.meta());
    const ValueMap* config = files.side_json("tokenizer_config.json");
    if (const auto json = files.side_text("tokenizer.json")) return Tokenizer::from_hf(*json, config);
    if (const auto model = files.side_text("tokenizer.model")) return Tokenizer::from_sentencepiece(*model, config);
    return nullptr;
}

std::optional<std::string> template_of(const ModelFiles& files) {
    if (auto text = files.side_text("chat_template.jinja")) return text;
    const ValueMap* config = files.side_json("tokenizer_config.json");
    const Value* v = config == nullptr ? nullptr : config->find("chat_template");
    if (v == nullptr) return std::nullopt;
    if (v->as_string()) return std::string(*v->as_string());
    // A list of named ones: the one that is used when none is named.
    for (std::size_t i = 0; i < v->size(); ++i) {
        const Value entry = v->at(i);
        const auto* map = entry.get<ValueMap>();
        if (map == nullptr || map->find("name") == nullptr || map->find("template") == nullptr) continue;
        if (map->find("name")->as_string() == "default")
            return std::string(map->find("template")->as_string().value_or(""));
    }
    return std::nullopt;
}

std::int64_t type_id(Kind kind) {
    switch (kind) {
        case Kind::normal:
            return 1;
        case Kind::unknown:
            return 2;
        case Kind::control:
            return 3;
        case Kind::user_defined:
            return 4;
        case Kind::unused:
            return 5;
        case Kind::byte:
            return 6;
    }
    return 1;
}

// The vocabulary and the ids of special tokens, which all kinds have in common.
ValueMap common_keys(const Tokenizer& t, int rows) {
    ValueMap keys;
    std::vector<std::string> tokens;
    std::vector<std::int32_t> types;
    for (std::int32_t i = 0; i < std::max(t.size(), rows); ++i) {
        const bool known = i < t.size() && !t.token(i).text.empty();
        tokens.push_back(known ? t.token(i).text : fmt::format("[PAD{}]", i));
        types.push_back(static_cast<std::int32_t>(known ? type_id(t.token(i).kind) : 5));
    }
    keys.set("tokenizer.ggml.tokens", std::move(tokens));
    keys.set("tokenizer.ggml.token_type", std::move(types));
    const auto id = [&](const char* key, std::optional<std::int32_t> value) {
        if (value) keys.set(fmt::format("tokenizer.ggml.{}_token_id", key), Value(*value));
    };
    id("bos", t.bos());
    id("eos", t.eos());
    id("unknown", t.unk());
    id("padding", t.pad());
    keys.set("tokenizer.ggml.add_bos_token", Value(t.adds_bos()));
    const auto plain = t.encode("a", {.add_special = false}), framed = t.encode("a");
    const bool eos = t.eos() && framed.size() > plain.size() && framed.back() == *t.eos();
    keys.set("tokenizer.ggml.add_eos_token", Value(eos));
    return keys;
}

std::vector<std::string> merges_of(const Value& root) {
    std::vector<std::string> merges;
    const auto* map = root.get<ValueMap>();
    const Value* list = map == nullptr ? nullptr : find(*map, "model.merges");
    if (list == nullptr) return merges;
    for (std::size_t i = 0; i < list->size(); ++i) {
        const Value m = list->at(i);
        merges.push_back(m.as_string() ? std::string(*m.as_string())
                                       : std::string(m.at(0).as_string().value_or("")) + " " +
                                             std::string(m.at(1).as_string().value_or("")));
    }
    return merges;
}

bool try_keys(const ValueMap& keys, const Tokenizer& source) {
    try {
        return same_tokens(source, *Tokenizer::from_gguf(keys));
    } catch (const Error&) {
        return false;  // not a form of this tokenizer
    }
}

// The stages of a tokenizer.json's pre-tokenizer in the words of the table.
void add_stages(const Value& part, std::vector<std::string>& stages) {
    const auto* map = part.get<ValueMap>();
    if (map == nullptr) return;
    const auto text = [&](std::string_view path) {
        const Value* v = find(*map, path);
        return std::string(v == nullptr ? "" : v->as_string().value_or(""));
    };
    const auto flag = [&](std::string_view key, bool otherwise) {
        const Value* v = map->find(key);
        return v == nullptr ? otherwise : v->as_bool().value_or(otherwise);
    };
    const std::string type = text("type");
    if (type == "Sequence") {
        const Value* list = map->find("pretokenizers");
        for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) add_stages(list->at(i), stages);
    } else if (type == "Digits") {
        stages.emplace_back(flag("individual_digits", false) ? "@digit" : "@digits");
    } else if (type == "Punctuation") {
        stages.emplace_back("@punctuation");
    } else if (type == "Split") {
        stages.push_back(text("pattern.Regex"));
    } else if (type == "ByteLevel" && flag("use_regex", true)) {
        stages.emplace_back(text::kWordsGpt2);
    }
}

// Names of pre-tokenizers, those first that are written as this tokenizer.json is: on a vocabulary without long numbers
// several give the same tokens.
std::vector<std::string> likely_first(const Value& root, const std::string& architecture) {
    std::vector<std::string> stages;
    bool nfc = false, whole_words = false;
    if (const auto* map = root.get<ValueMap>()) {
        if (const Value* pre = map->find("pre_tokenizer")) add_stages(*pre, stages);
        const Value* normal = map->find("normalizer");
        nfc = normal != nullptr && to_json(*normal).find("\"NFC\"") != std::string::npos;
        const Value* ignore = find(*map, "model.ignore_merges");
        whole_words = ignore != nullptr && ignore->as_bool().value_or(false);
    }
    std::vector<std::pair<int, std::string>> ranked;
    for (const text::PrePattern& p : text::all_pre_patterns()) {
        std::vector<std::string> own;
        for (const std::string_view stage : p.stages) own.emplace_back(stage == "@bytes" ? text::kWordsGpt2 : stage);
        const std::string name(p.names.substr(0, p.names.find(' ')));
        const bool usual = text::find_pre_pattern(text::pre_of_architecture(architecture)) == &p;
        ranked.emplace_back((own == stages ? 8 : 0) + (p.nfc == nfc ? 2 : 0) +
                                (p.ignore_merges == whole_words ? 2 : 0) + (usual ? 1 : 0),
                            name);
    }
    std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    std::vector<std::string> names;
    for (const auto& entry : ranked) names.push_back(entry.second);
    return names;
}

bool try_byte_pairs(ValueMap& keys, const Tokenizer& source, const Value& root, const std::string& architecture,
                    std::string& how) {
    keys.set("tokenizer.ggml.model", "gpt2");
    keys.set("tokenizer.ggml.merges", merges_of(root));
    for (const std::string& name : likely_first(root, architecture)) {
        keys.set("tokenizer.ggml.pre", name);
        if (!try_keys(keys, source)) continue;
        how = fmt::format("byte-level BPE, pre-tokenizer \"{}\"", name);
        return true;
    }
    return false;
}

// Merges in order become scores that fall: the best of two neighbours is the earlier merge.
bool try_sentence_piece(ValueMap& keys, const Tokenizer& source, const Value& root, std::string& how) {
    keys.erase("tokenizer.ggml.merges");
    keys.erase("tokenizer.ggml.pre");
    keys.set("tokenizer.ggml.model", "llama");
    std::vector<float> scores(keys.find("tokenizer.ggml.tokens")->size(), -1e9F);
    std::unordered_map<std::string, std::int32_t> ids;
    for (std::int32_t i = 0; i < source.size(); ++i) ids.emplace(source.token(i).text, i);
    float score = 0;
    for (const std::string& merge : merges_of(root)) {
        const std::size_t space = merge.find(' ');
        const auto at = ids.find(merge.substr(0, space) + merge.substr(space + 1));
        if (at == ids.end() || static_cast<std::size_t>(at->second) >= scores.size()) continue;
        float& s = scores[static_cast<std::size_t>(at->second)];
        if (s < -1e8F) s = score;
        score -= 1;
    }
    keys.set("tokenizer.ggml.scores", std::move(scores));
    for (const bool space : {true, false}) {
        keys.set("tokenizer.ggml.add_space_prefix", Value(space));
        if (!try_keys(keys, source)) continue;
        how = fmt::format("SentencePiece BPE{}", space ? "" : " without a space in front");
        return true;
    }
    return false;
}

// ---- GGUF to tokenizer.json

ValueMap object(std::string type) {
    ValueMap map;
    map.set("type", std::move(type));
    return map;
}

Value byte_level(bool regex) {
    ValueMap map = object("ByteLevel");
    map.set("add_prefix_space", Value(false));
    map.set("trim_offsets", Value(true));
    map.set("use_regex", Value(regex));
    return Value(std::move(map));
}

Value sequence(const char* key, ValueList parts) {
    ValueMap map = object("Sequence");
    map.set(key, std::move(parts));
    return Value(std::move(map));
}

Value pattern(const char* kind, std::string_view text) {
    ValueMap map;
    map.set(kind, std::string(text));
    return Value(std::move(map));
}

Value pre_tokenizer(const text::PrePattern& p) {
    ValueList parts;
    bool bytes = p.meta_spaces;
    for (const std::string_view stage : p.stages) {
        if (stage == "@digit" || stage == "@digits") {
            ValueMap digits = object("Digits");
            digits.set("individual_digits", Value(stage == "@digit"));
            parts.emplace_back(std::move(digits));
        } else if (stage == "@punctuation") {
            ValueMap marks = object("Punctuation");
            marks.set("behavior", "Contiguous");
            parts.emplace_back(std::move(marks));
        } else if (stage == "@bytes") {
            parts.push_back(byte_level(true));
            bytes = true;
        } else {
            ValueMap split = object("Split");
            split.set("pattern", pattern("Regex", stage));
            split.set("behavior", "Isolated");
            split.set("invert", Value(false));
            parts.emplace_back(std::move(split));
        }
    }
    if (!bytes) parts.push_back(byte_level(false));
    return sequence("pretokenizers", std::move(parts));
}

Value replace(std::string_view from, std::string_view to) {
    ValueMap map = object("Replace");
    map.set("pattern", pattern("String", from));
    map.set("content", std::string(to));
    return Value(std::move(map));
}

// Pairs whose joined text is a token, the best score first: what SentencePiece does with scores, told as merges.
ValueList merges_from_scores(const Tokenizer& t, const ValueMap& meta) {
    std::unordered_map<std::string, std::int32_t> ids;
    for (std::int32_t i = 0; i < t.size(); ++i) ids.emplace(t.token(i).text, i);
    const Value* scores = find(meta, "tokenizer.ggml.scores");
    struct Pair {
        double score;
        std::int32_t left, right;
    };
    std::vector<Pair> pairs;
    for (std::int32_t i = 0; i < t.size(); ++i) {
        const std::string& text = t.token(i).text;
        if (t.token(i).kind != Kind::normal && t.token(i).kind != Kind::user_defined) continue;
        const double score = scores == nullptr ? 0 : scores->at(static_cast<std::size_t>(i)).as_double().value_or(0);
        for (std::size_t cut = 1; cut < text.size(); ++cut) {
            if ((static_cast<unsigned char>(text[cut]) & 0xC0U) == 0x80) continue;  // inside a character
            const auto left = ids.find(text.substr(0, cut));
            if (left == ids.end()) continue;
            const auto right = ids.find(text.substr(cut));
            if (right != ids.end()) pairs.push_back({score, left->second, right->second});
        }
    }
    std::stable_sort(pairs.begin(), pairs.end(), [](const Pair& a, const Pair& b) { return a.score > b.score; });
    ValueList merges;
    for (const Pair& p : pairs)
        merges.emplace_back(ValueList{Value(t.token(p.left).text), Value(t.token(p.right).text)});
    return merges;
}

Value tokenizer_json(const Tokenizer& t, const ValueMap& meta) {
    ValueMap root;
    root.set("version", "1.0");
    root.set("truncation", Value());
    root.set("padding", Value());
    ValueList added;
    ValueMap vocab;
    const bool bytes = t.kind() == "bpe";
    for (std::int32_t i = 0; i < t.size(); ++i) {
        const TokenInfo& info = t.token(i);
        vocab.set(info.text, Value(i));
        const bool special = info.kind == Kind::control || info.kind == Kind::unknown;
        if (!special && info.kind != Kind::user_defined) continue;
        ValueMap entry;
        entry.set("id", Value(i));
        entry.set("content", info.text);
        for (const char* flag : {"single_word", "lstrip", "rstrip", "normalized"}) entry.set(flag, Value(false));
        entry.set("special", Value(special));
        added.emplace_back(std::move(entry));
    }
    root.set("added_tokens", std::move(added));
    ValueMap model = object("BPE");
    model.set("dropout", Value());
    model.set("unk_token", t.unk() && !bytes ? Value(t.token(*t.unk()).text) : Value());
    model.set("continuing_subword_prefix", Value());
    model.set("end_of_word_suffix", Value());
    if (bytes) {
        const text::PrePattern* p = text::find_pre_pattern(t.pre());
        if (p == nullptr || p->meta_spaces)
            throw Error(ErrorKind::unsupported,
                        fmt::format("The pre-tokenizer \"{}\" cannot be written as a tokenizer.json.", t.pre()),
                        "Convert without the tokenizer (--no-tokenizer), and take it from the model's maker.");
        root.set("normalizer", p->nfc ? Value(object("NFC")) : Value());
        root.set("pre_tokenizer", pre_tokenizer(*p));
        root.set("decoder", byte_level(true));
        model.set("fuse_unk", Value(false));
        model.set("byte_fallback", Value(false));
        model.set("ignore_merges", Value(p->ignore_merges));
        const Value* merges = find(meta, "tokenizer.ggml.merges");
        ValueList list;
        for (std::size_t i = 0; merges != nullptr && i < merges->size(); ++i) {
            const Value entry = merges->at(i);
            const std::string_view m = entry.as_string().value_or("");
            const std::size_t space = m.find(' ', 1);
            list.emplace_back(
                ValueList{Value(std::string(m.substr(0, space))), Value(std::string(m.substr(space + 1)))});
        }
        model.set("vocab", std::move(vocab));
        model.set("merges", std::move(list));
    } else {
        const Value* flag = find(meta, "tokenizer.ggml.add_space_prefix");
        const bool space = flag == nullptr || flag->as_bool().value_or(true);
        ValueList normal, decode;
        if (space) {
            ValueMap prepend = object("Prepend");
            prepend.set("prepend", std::string(kMeta));
            normal.emplace_back(std::move(prepend));
        }
        normal.push_back(replace(" ", kMeta));
        decode.push_back(replace(kMeta, " "));
        decode.emplace_back(object("ByteFallback"));
        decode.emplace_back(object("Fuse"));
        if (space) {
            ValueMap strip = object("Strip");
            strip.set("content", " ");
            strip.set("start", Value(1));
            strip.set("stop", Value(0));
            decode.emplace_back(std::move(strip));
        }
        root.set("normalizer", sequence("normalizers", std::move(normal)));
        root.set("pre_tokenizer", Value());
        root.set("decoder", sequence("decoders", std::move(decode)));
        model.set("fuse_unk", Value(true));
        model.set("byte_fallback", Value(true));
        model.set("ignore_merges", Value(false));
        model.set("vocab", std::move(vocab));
        model.set("merges", merges_from_scores(t, meta));
    }
    root.set("model", std::move(model));
    // Special tokens around a text.
    const auto plain = t.encode("a", {.add_special = false}), framed = t.encode("a");
    ValueList single, pair;
    ValueMap specials;
    const auto token = [&](ValueList& to, std::int32_t id, int type) {
        ValueMap inner, outer;
        inner.set("id", t.token(id).text);
        inner.set("type_id", Value(type));
        outer.set("SpecialToken", std::move(inner));
        to.emplace_back(std::move(outer));
        ValueMap known;
        known.set("id", t.token(id).text);
        known.set("ids", ValueList{Value(id)});
        known.set("tokens", ValueList{Value(t.token(id).text)});
        specials.set(t.token(id).text, std::move(known));
    };
    const auto text = [](ValueList& to, const char* which, int type) {
        ValueMap inner, outer;
        inner.set("id", which);
        inner.set("type_id", Value(type));
        outer.set("Sequence", std::move(inner));
        to.emplace_back(std::move(outer));
    };
    const bool bos = t.adds_bos() && t.bos(),
               eos = t.eos() && framed.size() > plain.size() && framed.back() == *t.eos();
    if (bos || eos) {
        for (int which = 0; which < 2; ++which) {
            if (bos) token(which == 0 ? single : pair, *t.bos(), 0);
            text(which == 0 ? single : pair, "A", 0);
            if (which == 1) text(pair, "B", 1);
            if (eos) token(which == 0 ? single : pair, *t.eos(), which);
        }
        ValueMap post = object("TemplateProcessing");
        post.set("single", std::move(single));
        post.set("pair", std::move(pair));
        post.set("special_tokens", std::move(specials));
        root.set("post_processor", std::move(post));
    } else {
        root.set("post_processor", bytes ? byte_level(true) : Value());
    }
    return Value(std::move(root));
}

}  // namespace

ValueMap gguf_tokenizer(const ModelFiles& files, const std::string& architecture, int rows, std::string& how) {
    const auto source = tokenizer_of(files);
    if (source == nullptr) return {};
    ValueMap keys = common_keys(*source, rows);
    const auto json = files.side_text("tokenizer.json");
    const Value root = json ? parse_json(*json, "tokenizer.json") : Value();
    bool found = false;
    if (json && (source->kind() == "bpe" || source->kind() == "spm"))
        found = try_byte_pairs(keys, *source, root, architecture, how) || try_sentence_piece(keys, *source, root, how);
    if (!found)
        throw Error(ErrorKind::unsupported,
                    fmt::format("The tokenizer of {} (kind {}) is none that GGUF keys can tell to this build.",
                                files.path().string(), source->kind()),
                    "Convert without it (--no-tokenizer), or keep the folder.");
    // Ends of a turn are known by their text; one that is not gets the key.
    const auto made = Tokenizer::from_gguf(keys);
    for (const std::int32_t stop : source->stop_ids()) {
        const auto& known = made->stop_ids();
        if (std::find(known.begin(), known.end(), stop) != known.end()) continue;
        keys.set("tokenizer.ggml.eot_token_id", Value(stop));
        break;
    }
    if (const auto text = template_of(files)) keys.set("tokenizer.chat_template", *text);
    return keys;
}

std::vector<std::pair<std::string, std::string>> folder_tokenizer(const ModelFiles& files, std::string& how) {
    if (find(files.meta(), "tokenizer.ggml.tokens") == nullptr) return {};
    const auto source = Tokenizer::from_gguf(files.meta());
    if (source->kind() != "bpe" && source->kind() != "spm")
        throw Error(ErrorKind::unsupported,
                    fmt::format("The tokenizer of {} is of kind {}, which is not written as a tokenizer.json.",
                                files.path().string(), source->kind()),
                    "Convert without it (--no-tokenizer), and take it from the model's maker.");
    const std::string json = to_json(tokenizer_json(*source, files.meta()));
    ValueMap config;
    config.set("tokenizer_class", "PreTrainedTokenizerFast");
    config.set("add_bos_token", Value(source->adds_bos()));
    config.set("clean_up_tokenization_spaces", Value(false));
    const auto name = [&](const char* key, std::optional<std::int32_t> id) {
        if (id) config.set(key, source->token(*id).text);
    };
    name("bos_token", source->bos());
    name("eos_token", source->eos());
    name("unk_token", source->unk());
    name("pad_token", source->pad());
    const auto made = Tokenizer::from_hf(json, &config);
    for (const std::string_view probe : kProbes) {
        if (ids_of(*source, probe) == ids_of(*made, probe)) continue;
        throw Error(
            ErrorKind::unsupported,
            fmt::format("The tokenizer of {} could not be told as a tokenizer.json: \"{}\" becomes other tokens.",
                        files.path().string(), printable(probe, 60)),
            "Convert without it (--no-tokenizer), and take it from the model's maker.");
    }
    how = source->kind() == "bpe" ? fmt::format("byte-level BPE, pre-tokenizer \"{}\"", source->pre())
                                  : "SentencePiece BPE as merges";
    std::vector<std::pair<std::string, std::string>> out{{"tokenizer.json", json},
                                                         {"tokenizer_config.json", to_json(Value(config), 2) + "\n"}};
    if (const Value* text = find(files.meta(), "tokenizer.chat_template"); text != nullptr && text->as_string())
        out.emplace_back("chat_template.jinja", *text->as_string());
    ValueMap generation;
    if (source->bos()) generation.set("bos_token_id", Value(*source->bos()));
    ValueList stops;
    for (const std::int32_t id : source->stop_ids()) stops.emplace_back(id);
    if (!stops.empty()) generation.set("eos_token_id", std::move(stops));
    if (!generation.empty()) out.emplace_back("generation_config.json", to_json(Value(generation), 2) + "\n");
    return out;
}

}  // namespace freehold::convert
