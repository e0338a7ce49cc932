// A card's own words: sentences that name a licence, a model that it was made from, or limits that no licence file has.
#include "prose.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "added.h"
#include "freehold/base/printable.h"
#include "words_scan.h"

namespace freehold::licence {
namespace {

bool one_of(std::string_view word, std::initializer_list<std::string_view> list) {
    return std::ranges::find(list, word) != list.end();
}

// Front matter and code are no prose; their lines stay, empty, so that line numbers hold.
std::string prose_of(std::string_view text) {
    std::string out;
    bool front = text.starts_with("---"), code = false;
    std::size_t line = 0;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view row = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        const bool fence = row.starts_with("```");
        if (fence) code = !code;
        if (!front && !code && !fence && !row.starts_with('|')) out += row;
        if (front && line > 0 && row.starts_with("---")) front = false;
        out += '\n';
        ++line;
    }
    return out;
}

class Reader {
 public:
    Reader(std::string_view name, std::string_view text, Origins& out) : name_(name), text_(prose_of(text)), out_(out) {
        file_.source = text_;
        file_.words = split_words(text_);
        file_.ids = Library::get().number(file_.words);
    }

    void run() {
        const auto n = static_cast<std::uint32_t>(file_.words.size());
        for (std::uint32_t i = 0; i < n; ++i) {
            const std::string& w = file_.words[i].text;
            if (one_of(w, {"under", "license", "licensed"})) licence_after(i);
            if (one_of(w, {"fine", "finetuned", "finetune", "version", "based", "derived", "built", "distilled",
                           "merge", "quantized", "quantization", "trained", "tuned", "conversion", "adapted"}))
                base_after(i);
        }
        // The patterns tell each meaning once; limits that only outputs or other works have are not asked for here.
        for (Worry& w : find_worries(file_.source, file_.words, file_.ids, {0, n})) {
            const bool counts = one_of(question_key(w.question), {"commercial", "modify", "redistribute", "threshold",
                                                                  "use_limits", "outputs", "termination"});
            if (counts) out_.limits.push_back({name_, std::move(w)});
        }
    }

 private:
    [[nodiscard]] Range sentence(std::uint32_t at) const {
        const auto n = static_cast<std::uint32_t>(file_.words.size());
        return sentence_around(file_.source, file_.words, {at, at + 1}, {0, n});
    }
    [[nodiscard]] bool says(Range r, std::initializer_list<std::string_view> list) const {
        return std::ranges::any_of(std::span(file_.words).subspan(r.begin, r.end - r.begin),
                                   [&](const Word& w) { return one_of(w.text, list); });
    }

    // "... licensed under the CC BY-NC 4.0", "License: Llama 2".
    void licence_after(std::uint32_t at) {
        const Range s = sentence(at);
        std::uint32_t from = at + 1;
        while (from < s.end && one_of(file_.words[from].text,
                                      {"the", "a", "an", "terms", "of", "and", "conditions", "is", "by", "under"}))
            ++from;
        const std::uint32_t last = std::min<std::uint32_t>(from + 10, s.end);
        std::vector<const Known*> found;
        for (std::uint32_t end = last; end > from && found.empty(); --end)
            found = licences_named(std::span(file_.words).subspan(from, end - from));
        if (found.empty()) return;
        // What is said of data or code only is not said of the model.
        const Range before{s.begin, at};
        const bool model = says(before, {"model", "models", "weights", "checkpoint", "checkpoints", "parameters"});
        if (!model && says(before, {"data", "dataset", "datasets", "corpus", "code", "library", "tokenizer",
                                    "documentation", "scripts", "script", "images", "text"}))
            return;
        const Known* known = found.back();
        for (const Known* k : found)
            if (std::ranges::any_of(out_.claims, [&](const Claim& c) { return c.known == k; })) known = k;
        const Claim claim{fmt::format("{}, in its words", name_), file_.words[at].line,
                          slice(file_.source, file_.words, {from, std::min<std::uint32_t>(last, from + 6)}, 80), known};
        // A family without a version ("BSD") says too little to contradict anything.
        if (found.size() > 1) return;
        if (std::ranges::any_of(out_.claims,
                                [&](const Claim& c) { return c.known == known && c.where.starts_with(name_); }))
            return;
        out_.claims.push_back(claim);
    }

    // "a fine-tuned version of meta-llama/Llama-2-7b-hf": whose terms follow?
    void base_after(std::uint32_t at) {
        const Range s = sentence(at);
        if (says(s, {"compared", "comparison", "outperform", "outperforms", "unlike", "than", "versus", "vs", "similar",
                     "not"}))
            return;
        const std::string& w = file_.words[at].text;
        if (w == "fine" && (at + 1 >= s.end || !file_.words[at + 1].text.starts_with("tun"))) return;
        const bool link = std::ranges::any_of(
            std::span(file_.words).subspan(at, std::min<std::uint32_t>(at + 6, s.end) - at), [](const Word& x) {
                return one_of(x.text, {"of", "from", "on", "upon"});
            });
        if (!link) return;
        const std::string rest = slice(file_.source, file_.words, {at, std::min<std::uint32_t>(at + 16, s.end)}, 160);
        const Known* known = licence_of_base(rest);
        if (known == nullptr || std::ranges::any_of(out_.bases, [&](const Claim& b) { return b.known == known; }))
            return;
        out_.bases.push_back(
            {fmt::format("{}, in its words", name_), file_.words[at].line, printable(rest, 120), known});
    }

    std::string name_;
    std::string text_;
    Origins& out_;
    File file_;
};

}  // namespace

void read_prose(std::string_view name, std::string_view text, Origins& out) {
    Reader(name, text.substr(0, 1U << 20), out).run();
}

}  // namespace freehold::licence
