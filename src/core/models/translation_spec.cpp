// What the files of an encoder-decoder say about writing with it.
#include "freehold/models/translation_spec.h"

#include <algorithm>
#include <cmath>

#include "freehold/base/error.h"

namespace freehold {
namespace {

// One map of settings, with bounds.
class Settings {
 public:
    Settings(const ValueMap& map, std::string where, std::int32_t vocab)
        : map_(map), where_(std::move(where)), vocab_(vocab) {}

    [[nodiscard]] const Value* raw(std::string_view key) const {
        const Value* const v = map_.find(key);
        return v == nullptr || v->is_null() ? nullptr : v;
    }
    [[noreturn]] void refuse(std::string_view key, const std::string& why) const {
        throw Error(ErrorKind::bad_file, where_ + ": key \"" + std::string(key) + "\" " + why + ".");
    }
    void whole(std::string_view key, int low, int high, int& to) const {
        const Value* const v = raw(key);
        if (v == nullptr) return;
        const auto n = v->as_int();
        if (!n || *n < low || *n > high)
            refuse(key, "must be a whole number between " + std::to_string(low) + " and " + std::to_string(high));
        to = static_cast<int>(*n);
    }
    [[nodiscard]] std::vector<Token> tokens(std::string_view key, const Value& v) const {
        std::vector<Token> out;
        const auto add = [&](const Value& one) {
            const auto id = one.as_int();
            if (!id || *id < 0 || *id >= vocab_)
                refuse(key, "names a token outside the vocabulary of " + std::to_string(vocab_));
            out.push_back(static_cast<Token>(*id));
        };
        if (v.as_int()) {
            add(v);
        } else {
            for (std::size_t i = 0; i < v.size(); ++i) add(v.at(i));
            if (out.empty()) refuse(key, "is no token");
        }
        return out;
    }
    void read(SearchOptions& s) const {
        whole("num_beams", 1, 64, s.beams);
        whole("max_length", 2, 1 << 20, s.max_length);
        if (const Value* const v = raw("length_penalty")) {
            const auto p = v->as_double();
            if (!p || !std::isfinite(*p) || std::fabs(*p) > 100)
                refuse("length_penalty", "must be between -100 and 100");
            s.length_penalty = static_cast<float>(*p);
        }
        if (const Value* const v = raw("early_stopping")) {
            const auto text = v->as_string();
            if (!v->as_bool() && text != "never") refuse("early_stopping", "must be true, false or \"never\"");
            s.early_stopping = !v->as_bool()   ? EarlyStopping::never
                               : *v->as_bool() ? EarlyStopping::yes
                                               : EarlyStopping::no;
        }
        if (const Value* const v = raw("decoder_start_token_id"))
            s.start = tokens("decoder_start_token_id", *v).front();
        if (const Value* const v = raw("eos_token_id")) s.ends = tokens("eos_token_id", *v);
        if (const Value* const v = raw("forced_eos_token_id")) s.forced_end = tokens("forced_eos_token_id", *v).front();
        if (const Value* const v = raw("bad_words_ids")) {
            s.suppressed.clear();
            for (std::size_t i = 0; i < v->size(); ++i) {
                const std::vector<Token> word = tokens("bad_words_ids", v->at(i));
                if (word.size() != 1)
                    throw Error(ErrorKind::unsupported,
                                where_ + ": key \"bad_words_ids\" forbids tokens in a row, which is not done.");
                // As in transformers, the end of a text cannot be forbidden.
                if (s.ends != word) s.suppressed.push_back(word.front());
            }
        }
    }

 private:
    const ValueMap& map_;
    std::string where_;
    std::int32_t vocab_;
};

void read_tasks(const ModelFiles& files, std::int32_t vocab, TranslationSpec& spec) {
    const Value* const all = files.meta().find("task_specific_params");
    const auto* const map = all == nullptr ? nullptr : all->get<ValueMap>();
    if (map == nullptr) return;
    for (const ValueEntry& e : *map) {
        const auto* const settings = e.value.get<ValueMap>();
        const Value* const prefix = settings == nullptr ? nullptr : settings->find("prefix");
        if (prefix == nullptr || !prefix->as_string()) continue;
        TranslationTask task{std::string(e.key), std::string(*prefix->as_string()), spec.search};
        Settings(*settings, "config.json, task " + task.name, vocab).read(task.search);
        spec.tasks.push_back(std::move(task));
    }
}

}  // namespace

TranslationSpec read_translation_spec(const ModelFiles& files, const DecoderSpec& spec) {
    TranslationSpec out;
    const ValueMap& meta = files.meta();
    if (files.container() == Container::hf) {
        Settings(meta, "config.json", spec.vocab).read(out.search);
        if (const ValueMap* const g = files.side_json("generation_config.json"))
            Settings(*g, "generation_config.json", spec.vocab).read(out.search);
        read_tasks(files, spec.vocab, out);
    } else {
        const Settings s(meta, files.path().string(), spec.vocab);
        const std::string start = files.architecture() + ".decoder_start_token_id";
        if (const Value* const v = s.raw(start)) out.search.start = s.tokens(start, *v).front();
        if (const Value* const v = s.raw("tokenizer.ggml.eos_token_id"))
            out.search.ends = s.tokens("tokenizer.ggml.eos_token_id", *v);
    }
    if (out.search.ends.empty()) {
        throw Error(ErrorKind::bad_file, files.path().string() + " does not say which token ends a text.",
                    "generation_config.json or config.json needs eos_token_id.");
    }
    return out;
}

}  // namespace freehold
