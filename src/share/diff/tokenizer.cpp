// GGUF keys and tokenizer.json as one thing: texts by id, merges, special tokens, and the named parts around them.
// What only one of the two forms can say (scores, the JSON of a normaliser) is compared where both sides say it.
#include "tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "freehold/base/error.h"
#include "freehold/base/printable.h"
#include "keys.h"

namespace freehold::diff {
namespace {

constexpr std::size_t kExamples = 20;
constexpr std::size_t kMostEntries = 1 << 24;

struct Facts {
    bool there = false;
    std::unordered_map<std::string, std::int64_t> ids;  // text to id
    std::vector<std::string> merges;                    // "left right"
    std::unordered_map<std::string, double> scores;
    std::unordered_map<std::string, std::int64_t> types;
    Flat special, parts;
};

std::string shown(std::string_view token) {
    return printable(to_json(Value(std::string(token))), 100);
}

const std::vector<std::string>* texts_of(const ValueMap& meta, std::string_view key) {
    const Value* value = meta.find(key);
    return value == nullptr ? nullptr : value->get<std::vector<std::string>>();
}

Facts from_gguf(const ModelFiles& files) {
    Facts out;
    const auto* tokens = texts_of(files.meta(), "tokenizer.ggml.tokens");
    if (tokens == nullptr) return out;
    out.there = true;
    const Value* scores = files.meta().find("tokenizer.ggml.scores");
    const Value* types = files.meta().find("tokenizer.ggml.token_type");
    for (std::size_t i = 0; i < tokens->size(); ++i) {
        const std::string& token = (*tokens)[i];
        out.ids.try_emplace(token, static_cast<std::int64_t>(i));
        if (scores != nullptr && i < scores->size()) out.scores[token] = scores->at(i).as_double().value_or(0);
        if (types != nullptr && i < types->size()) out.types[token] = types->at(i).as_int().value_or(0);
    }
    if (const auto* merges = texts_of(files.meta(), "tokenizer.ggml.merges")) out.merges = *merges;
    for (const ValueEntry& entry : files.meta()) {
        if (!entry.key.starts_with("tokenizer.")) continue;
        const bool own = entry.key == "tokenizer.ggml.tokens" || entry.key == "tokenizer.ggml.scores" ||
                         entry.key == "tokenizer.ggml.token_type" || entry.key == "tokenizer.ggml.merges" ||
                         entry.key.starts_with("tokenizer.chat_template");
        if (own) continue;
        const std::string name = entry.key.substr(entry.key.rfind('.') + 1);
        if (name.ends_with("_token_id")) {
            const auto id = entry.value.as_int().value_or(-1);
            const bool known = id >= 0 && static_cast<std::size_t>(id) < tokens->size();
            out.special[name.substr(0, name.size() - 3)] =
                fmt::format("{} ({})", known ? shown((*tokens)[static_cast<std::size_t>(id)]) : "?", id);
        } else {
            out.parts[entry.key.substr(10)] = leaf_text(entry.value);
        }
    }
    return out;
}

std::string merge_text(const Value& merge) {
    if (const auto text = merge.as_string()) return std::string(*text);
    return merge.size() == 2
               ? fmt::format("{} {}", merge.at(0).as_string().value_or(""), merge.at(1).as_string().value_or(""))
               : std::string();
}

void read_vocabulary(const Value& vocabulary, Facts& out) {
    if (const auto* map = vocabulary.get<ValueMap>()) {
        for (const ValueEntry& entry : *map) out.ids.try_emplace(entry.key, entry.value.as_int().value_or(-1));
        return;
    }
    for (std::size_t i = 0; i < std::min(vocabulary.size(), kMostEntries); ++i) {  // unigram: [text, score]
        const Value pair = vocabulary.at(i);
        if (pair.size() != 2) continue;
        const Value token = pair.at(0);
        const std::string text(token.as_string().value_or(""));
        out.ids.try_emplace(text, static_cast<std::int64_t>(i));
        out.scores[text] = pair.at(1).as_double().value_or(0);
    }
}

void read_added(const Value& added, Facts& out) {
    for (std::size_t i = 0; i < std::min(added.size(), kMostEntries); ++i) {
        const Value item = added.at(i);
        const auto* map = item.get<ValueMap>();
        const Value* content = map == nullptr ? nullptr : map->find("content");
        if (content == nullptr || !content->as_string()) continue;
        const std::string text(*content->as_string());
        const Value* id = map->find("id");
        out.ids.insert_or_assign(text, id == nullptr ? -1 : id->as_int().value_or(-1));
        std::string flags;
        for (const char* flag : {"special", "single_word", "lstrip", "rstrip", "normalized"}) {
            const Value* on = map->find(flag);
            if (on != nullptr && on->as_bool().value_or(false)) flags += std::string(flags.empty() ? "" : ", ") + flag;
        }
        out.special["added " + shown(text)] =
            fmt::format("{} ({})", id == nullptr ? -1 : id->as_int().value_or(-1), flags.empty() ? "plain" : flags);
    }
}

Facts from_folder(const ModelFiles& files) {
    Facts out;
    if (const auto text = files.side_text("tokenizer.json")) {
        const Value tree = parse_json(*text, "tokenizer.json");
        const auto* map = tree.get<ValueMap>();
        if (map == nullptr) throw Error(ErrorKind::bad_file, "tokenizer.json holds no JSON object.");
        out.there = true;
        for (const ValueEntry& entry : *map) {
            const auto* inner = entry.value.get<ValueMap>();
            if (entry.key == "model" && inner != nullptr) {
                for (const ValueEntry& part : *inner) {
                    if (part.key == "vocab") {
                        read_vocabulary(part.value, out);
                    } else if (part.key == "merges") {
                        for (std::size_t i = 0; i < std::min(part.value.size(), kMostEntries); ++i)
                            out.merges.push_back(merge_text(part.value.at(i)));
                    } else {
                        out.parts["model." + part.key] = leaf_text(part.value);
                    }
                }
            } else if (entry.key == "added_tokens") {
                read_added(entry.value, out);
            } else {
                out.parts[entry.key] = leaf_text(entry.value);
            }
        }
    } else if (const auto model = files.side_text("tokenizer.model")) {
        out.there = true;
        out.parts["tokenizer.model"] = leaf_text(Value(*model));
    }
    for (const char* name : {"special_tokens_map.json", "tokenizer_config.json"}) {
        const ValueMap* map = files.side_json(name);
        if (map == nullptr) continue;
        flatten(*map, {}, out.special, [](std::string_view key) {
            return key.find("_token") != std::string_view::npos && !key.starts_with("added_tokens_decoder");
        });
    }
    return out;
}

Facts facts_of(const ModelFiles& files, std::vector<std::string>& notes) {
    try {
        return files.container() == Container::hf ? from_folder(files) : from_gguf(files);
    } catch (const Error& e) {
        notes.push_back(fmt::format("The tokenizer of {} was not compared: {}", files.path().string(), e.message()));
        return {};
    }
}

void example(std::vector<std::string>& list, std::string text) {
    list.push_back(std::move(text));
}

// The first of them in the order of ids, so that a report is the same each time.
std::vector<std::string> first_ones(std::vector<std::pair<std::int64_t, std::string>> all) {
    std::ranges::sort(all);
    std::vector<std::string> out;
    for (const auto& entry : all) {
        if (out.size() == kExamples) break;
        example(out, entry.second);
    }
    return out;
}

void compare_vocabulary(const Facts& a, const Facts& b, Tokenizer& out) {
    std::vector<std::pair<std::int64_t, std::string>> added, removed, moved;
    for (const auto& [text, id] : a.ids) {
        const auto there = b.ids.find(text);
        if (there == b.ids.end()) {
            removed.emplace_back(id, fmt::format("{} ({})", shown(text), id));
            continue;
        }
        if (there->second != id) moved.emplace_back(id, fmt::format("{} ({} to {})", shown(text), id, there->second));
        const auto score_a = a.scores.find(text), score_b = b.scores.find(text);
        if (score_a != a.scores.end() && score_b != b.scores.end() && score_a->second != score_b->second)
            ++out.scores_changed;
        const auto type_a = a.types.find(text), type_b = b.types.find(text);
        if (type_a != a.types.end() && type_b != b.types.end() && type_a->second != type_b->second) ++out.types_changed;
    }
    for (const auto& [text, id] : b.ids)
        if (!a.ids.contains(text)) added.emplace_back(id, fmt::format("{} ({})", shown(text), id));
    out.added = added.size();
    out.removed = removed.size();
    out.moved = moved.size();
    out.added_examples = first_ones(std::move(added));
    out.removed_examples = first_ones(std::move(removed));
    out.moved_examples = first_ones(std::move(moved));
}

void compare_merges(const Facts& a, const Facts& b, Tokenizer& out) {
    out.merges_a = a.merges.size();
    out.merges_b = b.merges.size();
    const std::unordered_set<std::string> left(a.merges.begin(), a.merges.end()),
        right(b.merges.begin(), b.merges.end());
    for (const std::string& merge : left) out.merges_removed += right.contains(merge) ? 0 : 1;
    for (const std::string& merge : right) out.merges_added += left.contains(merge) ? 0 : 1;
    std::vector<std::string> common_a, common_b;
    std::ranges::copy_if(a.merges, std::back_inserter(common_a), [&](const auto& m) { return right.contains(m); });
    std::ranges::copy_if(b.merges, std::back_inserter(common_b), [&](const auto& m) { return left.contains(m); });
    out.merges_reordered = common_a != common_b;
}

}  // namespace

bool Tokenizer::same() const noexcept {
    return in_a == in_b &&
           added + removed + moved + scores_changed + types_changed + merges_added + merges_removed == 0 &&
           !merges_reordered && special.empty() && parts.empty();
}

Tokenizer compare_tokenizers(const ModelFiles& a, const ModelFiles& b, std::vector<std::string>& notes) {
    const Facts left = facts_of(a, notes), right = facts_of(b, notes);
    Tokenizer out;
    out.in_a = left.there;
    out.in_b = right.there;
    out.size_a = left.ids.size();
    out.size_b = right.ids.size();
    if (!left.there || !right.there) return out;
    compare_vocabulary(left, right, out);
    if (a.container() != b.container() && (left.merges.empty() || right.merges.empty())) {
        notes.emplace_back("The merges of the tokenizer were not compared: one of the two files has none.");
    } else {
        compare_merges(left, right, out);
    }
    const bool one_form = (a.container() == Container::hf) == (b.container() == Container::hf);
    if (one_form) {
        out.special = compare_keys(left.special, right.special);
        out.parts = compare_keys(left.parts, right.parts);
    } else {
        notes.emplace_back(
            "Special tokens and the parts of the tokenizer were not compared: GGUF and tokenizer.json write them down "
            "differently.");
    }
    return out;
}

}  // namespace freehold::diff
