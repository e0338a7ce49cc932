// A tokenizer from Hugging Face's tokenizer.json. The file may be 30 MB, so it is read by simdjson and not as a Value.
#include <fmt/format.h>

#include <algorithm>

#include "freehold/base/error.h"
#include "hf_parts.h"

namespace freehold {
namespace text {
namespace {

using Kind = TokenInfo::Kind;

// Fields of tokenizer_config.json. Special tokens stand there as a text or as an object with "content".
class Config {
 public:
    explicit Config(const ValueMap* map) : map_(map) {}
    [[nodiscard]] std::optional<std::string> token(std::string_view key) const {
        const Value* v = map_ == nullptr ? nullptr : map_->find(key);
        if (v == nullptr) return std::nullopt;
        if (const auto* object = v->get<ValueMap>()) v = object->find("content");
        const auto s = v == nullptr ? std::nullopt : v->as_string();
        return s ? std::optional<std::string>(*s) : std::nullopt;
    }
    [[nodiscard]] std::optional<bool> flag(std::string_view key) const {
        const Value* v = map_ == nullptr ? nullptr : map_->find(key);
        return v == nullptr ? std::nullopt : v->as_bool();
    }
    [[nodiscard]] const ValueMap* map() const noexcept { return map_; }

 private:
    const ValueMap* map_;
};

struct Loading {
    Pipeline p;
    std::vector<AddedToken> added;
    std::vector<double> scores;  // unigram only
    std::vector<Merge> merges;   // byte-pair encoding only
};

constexpr std::string_view kWhere = "tokenizer.json";

std::size_t object_size(const Json& json) {
    simdjson::dom::object o;
    return json.get(o) == simdjson::SUCCESS ? o.size() : 0;
}

void read_vocabulary(const Json& model, bool byte_fallback, Loading& l) {
    const auto vocab = member(model, "vocab");
    simdjson::dom::object entries;
    if (!vocab || vocab->get(entries) != simdjson::SUCCESS) {
        throw Error(ErrorKind::bad_file, "tokenizer.json: model.vocab is missing or no object");
    }
    l.p.vocabulary = std::make_unique<Vocabulary>(object_size(*vocab));
    for (const auto& [key, value] : entries) {
        std::int64_t id = 0;
        if (value.get(id) != simdjson::SUCCESS) {
            throw Error(ErrorKind::bad_file,
                        fmt::format("tokenizer.json: model.vocab[\"{}\"] is not a whole number", key.substr(0, 40)));
        }
        const bool byte = byte_fallback && byte_of_token(key) >= 0;
        l.p.vocabulary->add(id, std::string(key), byte ? Kind::byte : Kind::normal, "tokenizer.json: model.vocab");
    }
}

void read_merges(const Json& model, std::size_t prefix_length, Loading& l) {
    const auto list = member(model, "merges");
    simdjson::dom::array merges;
    if (!list || list->get(merges) != simdjson::SUCCESS) {
        throw Error(ErrorKind::bad_file, "tokenizer.json: model.merges is missing or no list");
    }
    l.merges.reserve(merges.size());
    std::size_t index = 0;
    for (const Json merge : merges) {
        std::string_view left, right, both;
        simdjson::dom::array pair;
        if (merge.get(both) == simdjson::SUCCESS) {
            const std::size_t space = both.find(' ');
            const bool good = space != std::string_view::npos && both.find(' ', space + 1) == std::string_view::npos;
            if (!good)
                throw Error(
                    ErrorKind::bad_file,
                    fmt::format("tokenizer.json: model.merges[{}] is not two pieces with one space between", index));
            left = both.substr(0, space);
            right = both.substr(space + 1);
        } else {
            bool good = merge.get(pair) == simdjson::SUCCESS;
            std::size_t parts = 0;
            if (good) {
                for (const Json part : pair)
                    good = part.get(parts++ == 0 ? left : right) == simdjson::SUCCESS && parts <= 2 && good;
            }
            if (!good || parts != 2)
                throw Error(ErrorKind::bad_file,
                            fmt::format("tokenizer.json: model.merges[{}] is not a pair of texts", index));
        }
        l.merges.push_back(resolve_merge(*l.p.vocabulary, left, right, index, prefix_length,
                                         "tokenizer.json: model.merges",
                                         l.merges.empty() ? Vocabulary::kNone : l.merges.back().merged));
        ++index;
    }
}

void read_unigram(const Json& model, Loading& l) {
    const auto vocab = member(model, "vocab");
    simdjson::dom::array entries;
    if (!vocab || vocab->get(entries) != simdjson::SUCCESS) {
        throw Error(ErrorKind::bad_file, "tokenizer.json: model.vocab is missing or no list of pieces with scores");
    }
    const bool byte_fallback = flag_or(model, "byte_fallback", false, kWhere);
    l.p.vocabulary = std::make_unique<Vocabulary>(entries.size());
    for (const Json entry : entries) {
        simdjson::dom::array pair;
        std::string_view piece;
        double score = 0.0;
        const std::size_t id = l.scores.size();
        if (entry.get(pair) != simdjson::SUCCESS || pair.size() != 2 || pair.at(0).get(piece) != simdjson::SUCCESS ||
            pair.at(1).get(score) != simdjson::SUCCESS) {
            throw Error(ErrorKind::bad_file,
                        fmt::format("tokenizer.json: model.vocab[{}] is not a piece with its score", id));
        }
        const bool byte = byte_fallback && byte_of_token(piece) >= 0;
        l.p.vocabulary->add(static_cast<std::int64_t>(id), std::string(piece), byte ? Kind::byte : Kind::normal,
                            "tokenizer.json: model.vocab");
        l.scores.push_back(score);
    }
}

void add_token(Loading& l, AddedToken token, std::int64_t id) {
    Vocabulary& v = *l.p.vocabulary;
    if (token.content.empty()) return;
    const std::int32_t known = v.find(token.content);
    if (known >= 0) {
        token.id = known;  // as in the makers' own loader, the vocabulary decides
    } else {
        v.add(id, token.content, Kind::user_defined, "tokenizer.json: added_tokens");
        token.id = static_cast<std::int32_t>(id);
    }
    v.set_kind(token.id, token.special ? Kind::control : Kind::user_defined);
    l.added.push_back(std::move(token));
}

void read_added(const Json& root, Loading& l) {
    const auto list = member(root, "added_tokens");
    if (!list) return;
    simdjson::dom::array tokens;
    if (list->get(tokens) != simdjson::SUCCESS)
        throw Error(ErrorKind::bad_file, "tokenizer.json: added_tokens is no list");
    for (const Json entry : tokens) {
        AddedToken token;
        token.content = text_of(entry, "content", "tokenizer.json: added_tokens");
        token.special = flag_or(entry, "special", false, kWhere);
        token.normalized = flag_or(entry, "normalized", !token.special, kWhere);
        token.lstrip = flag_or(entry, "lstrip", false, kWhere);
        token.rstrip = flag_or(entry, "rstrip", false, kWhere);
        token.single_word = flag_or(entry, "single_word", false, kWhere);
        const std::int64_t id = number_or(entry, "id", -1, "tokenizer.json: added_tokens");
        add_token(l, std::move(token), id);
    }
}

// tokenizer_config.json may define tokens that tokenizer.json leaves out.
void read_added_from_config(const Config& config, Loading& l) {
    const Value* list = config.map() == nullptr ? nullptr : config.map()->find("added_tokens_decoder");
    const auto* entries = list == nullptr ? nullptr : list->get<ValueMap>();
    if (entries == nullptr) return;
    for (const ValueEntry& entry : *entries) {
        const auto* fields = entry.value.get<ValueMap>();
        const Value* content = fields == nullptr ? nullptr : fields->find("content");
        const auto text = content == nullptr ? std::nullopt : content->as_string();
        if (!text || text->empty()) continue;
        const bool known =
            std::any_of(l.added.begin(), l.added.end(), [&](const AddedToken& t) { return t.content == *text; });
        std::int64_t id = 0;
        const bool number = !entry.key.empty() && entry.key.size() < 9 &&
                            entry.key.find_first_not_of("0123456789") == std::string::npos;
        if (known || !number) continue;
        for (const char c : entry.key) id = id * 10 + (c - '0');
        const auto flag = [&](std::string_view key) {
            const Value* v = fields->find(key);
            return v != nullptr && v->as_bool().value_or(false);
        };
        AddedToken token{.content = std::string(*text), .special = flag("special"), .normalized = flag("normalized")};
        token.lstrip = flag("lstrip");
        token.rstrip = flag("rstrip");
        token.single_word = flag("single_word");
        add_token(l, std::move(token), id);
    }
}

void place_added(Loading& l) {
    Pipeline& p = l.p;
    p.hidden.assign(static_cast<std::size_t>(p.vocabulary->size()), false);
    for (AddedToken& token : l.added) {
        if (token.special) p.hidden[static_cast<std::size_t>(token.id)] = true;
        if (!token.normalized) {
            p.before_normalizer.add(std::move(token));
            continue;
        }
        // Looked for in normalized text, so its own content is normalized, too.
        for (const auto& n : p.normalizers) n->apply(token.content, true);
        p.after_normalizer.add(std::move(token));
    }
}

void make_model(const Json& model, std::string_view type, Loading& l) {
    const auto id_of = [&](std::string_view name) {
        return name.empty() ? Vocabulary::kNone : l.p.vocabulary->find(name);
    };
    const bool byte_fallback = flag_or(model, "byte_fallback", false, kWhere);
    std::int32_t unk = Vocabulary::kNone;
    if (type == "BPE") {
        if (const auto dropout = member(model, "dropout")) {
            double rate = 0.0;
            if (dropout->get(rate) != simdjson::SUCCESS || rate != 0.0) {
                throw Error(ErrorKind::unsupported,
                            "tokenizer.json: model.dropout is set; random merges are for training only",
                            "Set \"dropout\" to null in the file.");
            }
        }
        BpeOptions options;
        options.byte_fallback = byte_fallback;
        options.fuse_unk = flag_or(model, "fuse_unk", false, kWhere);
        options.ignore_merges = flag_or(model, "ignore_merges", false, kWhere);
        options.unk = unk = id_of(text_or(model, "unk_token", "", kWhere));
        options.prefix = text_or(model, "continuing_subword_prefix", "", kWhere);
        options.suffix = text_or(model, "end_of_word_suffix", "", kWhere);
        l.p.kind = byte_fallback ? "spm" : "bpe";
        l.p.model = make_bpe(*l.p.vocabulary, l.merges, std::move(options));
    } else if (type == "Unigram") {
        const std::int64_t id = number_or(model, "unk_id", -1, kWhere);
        if (id >= l.p.vocabulary->size())
            throw Error(ErrorKind::bad_file, "tokenizer.json: model.unk_id is beyond the vocabulary");
        unk = id < 0 ? Vocabulary::kNone : static_cast<std::int32_t>(id);
        l.p.kind = "unigram";
        l.p.model = make_unigram(*l.p.vocabulary, std::move(l.scores), {unk, byte_fallback, true});
    } else {
        WordPieceOptions options;
        options.unk = unk = id_of(text_or(model, "unk_token", "[UNK]", kWhere));
        options.prefix = text_or(model, "continuing_subword_prefix", "##", kWhere);
        options.longest_word = static_cast<std::size_t>(
            std::max<std::int64_t>(number_or(model, "max_input_chars_per_word", 100, kWhere), 1));
        l.p.kind = "wordpiece";
        l.p.model = make_word_piece(*l.p.vocabulary, std::move(options));
    }
    if (unk >= 0) l.p.unk = unk;
}

// Which of the tokens around a text are BOS and EOS, and what tokenizer_config.json changes about them.
void settle_ends(const Config& config, Loading& l) {
    Pipeline& p = l.p;
    const auto named = [&](std::string_view key) -> std::optional<std::int32_t> {
        const auto text = config.token(key);
        const std::int32_t id = text ? p.vocabulary->find(*text) : Vocabulary::kNone;
        return id >= 0 ? std::optional(id) : std::nullopt;
    };
    const auto first_known = [&](std::initializer_list<std::string_view> names) -> std::optional<std::int32_t> {
        for (const std::string_view name : names) {
            const std::int32_t id = p.vocabulary->find(name);
            if (id >= 0 && p.hidden[static_cast<std::size_t>(id)]) return id;
        }
        return std::nullopt;
    };
    p.bos = named("bos_token");
    p.eos = named("eos_token");
    p.pad = named("pad_token");
    if (const auto unk = named("unk_token")) p.unk = unk;
    if (config.map() == nullptr) {
        if (!p.prefix.empty()) p.bos = p.prefix.front();
        if (!p.suffix.empty()) p.eos = p.suffix.back();
        if (!p.bos) p.bos = first_known({"<|begin_of_text|>", "<s>", "<bos>", "<｜begin▁of▁sentence｜>", "[CLS]"});
        if (!p.eos)
            p.eos = first_known(
                {"<|end_of_text|>", "</s>", "<eos>", "<｜end▁of▁sentence｜>", "<|im_end|>", "<|endoftext|>", "[SEP]"});
        if (!p.pad) p.pad = first_known({"<pad>", "<|pad|>", "[PAD]"});
    }
    // The classes that put BOS and EOS there themselves, whatever the post-processor says.
    const std::string name = config.token("tokenizer_class").value_or("");
    const bool decides = name.starts_with("Llama") || name.starts_with("Gemma") || name.starts_with("CodeLlama") ||
                         name.starts_with("Cohere");
    const auto settle = [&](std::string_view key, const std::optional<std::int32_t>& id,
                            std::vector<std::int32_t>& around) {
        const auto wanted = config.flag(key);
        if (!wanted || !id) return;
        const bool there = std::find(around.begin(), around.end(), *id) != around.end();
        if (*wanted && !there && (decides || around.empty())) around.assign(1, *id);
        if (!*wanted && there && decides) around.clear();
    };
    settle("add_bos_token", p.bos, p.prefix);
    settle("add_eos_token", p.eos, p.suffix);
    p.add_bos = p.bos && std::find(p.prefix.begin(), p.prefix.end(), *p.bos) != p.prefix.end();
    p.add_eos = p.eos && std::find(p.suffix.begin(), p.suffix.end(), *p.eos) != p.suffix.end();
}

std::string_view model_type(const Json& model) {
    if (member(model, "type")) {
        const std::string_view type = text_of(model, "type", "tokenizer.json: model");
        if (type == "BPE" || type == "Unigram" || type == "WordPiece") return type;
        throw Error(ErrorKind::unsupported,
                    fmt::format("tokenizer.json: model.type is \"{}\", a kind that is not known", type),
                    "Known kinds are BPE, Unigram and WordPiece.");
    }
    // Early files do not say it, but each kind has a member of its own.
    return member(model, "merges") ? "BPE" : member(model, "unk_id") ? "Unigram" : "WordPiece";
}

}  // namespace
}  // namespace text

std::shared_ptr<const Tokenizer> Tokenizer::from_hf(std::string_view tokenizer_json, const ValueMap* config_map) {
    using namespace text;
    simdjson::dom::parser parser;
    Json root;
    if (const auto error = parser.parse(tokenizer_json.data(), tokenizer_json.size()).get(root)) {
        throw Error(ErrorKind::bad_file,
                    fmt::format("tokenizer.json is not valid JSON: {}", simdjson::error_message(error)),
                    "The file is cut short or damaged; fetch it again.");
    }
    const auto model = member(root, "model");
    if (!model || !model->is_object()) {
        throw Error(ErrorKind::bad_file,
                    "tokenizer.json has no object \"model\", so it is no tokenizer of the tokenizers library");
    }
    Loading l;
    const std::string_view type = model_type(*model);
    if (type == "Unigram") {
        text::read_unigram(*model, l);
    } else {
        text::read_vocabulary(*model, flag_or(*model, "byte_fallback", false, kWhere), l);
    }
    if (type == "BPE") read_merges(*model, text_or(*model, "continuing_subword_prefix", "", kWhere).size(), l);
    const Config config(config_map);
    read_added(root, l);
    read_added_from_config(config, l);
    const auto part = [&](std::string_view key, auto read) {
        if (const auto json = member(root, key)) read(*json, l.p);
    };
    part("normalizer", read_normalizer);
    part("pre_tokenizer", read_pre_tokenizer);
    part("decoder", read_decoder);
    part("post_processor", read_post_processor);
    if (l.p.decoders.empty()) l.p.decoders.push_back(make_join_decoder(" "));
    make_model(*model, type, l);
    place_added(l);
    settle_ends(config, l);
    l.p.stop_ids = find_stop_ids(*l.p.vocabulary, l.p.hidden, {l.p.eos});
    return make_tokenizer(std::move(l.p));
}

}  // namespace freehold
