// A card's own words: sentences that name a licence, a model that it was made from, or limits that no licence file has.
// Words are looked for by patterns, in English; what cannot be told from them counts as said of the model.
#include "prose.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "addresses.h"
#include "freehold/base/printable.h"
#include "licence_names.h"
#include "units.h"
#include "words_scan.h"

namespace freehold::licence {
namespace {

constexpr std::size_t kNames = 4096;  // places that are tried for a name

class Reader {
 public:
    Reader(std::string_view name, std::string_view text, About unsaid) : name_(name), unsaid_(unsaid), doc_(text) {
        for (const Unit& u : doc_.units())
            if (u.heading) {
                title_ = letters(u.words);
                break;
            }
    }

    std::vector<Said> terms() {
        for (const Unit& u : doc_.units()) {
            licences(u);
            limits(u);
        }
        return std::move(out_);
    }

    void bases(Origins& out) const {
        for (const Unit& u : doc_.units()) {
            if (u.row) continue;
            for (std::uint32_t i = u.words.begin; i < u.words.end; ++i)
                if (one_of(doc_.word(i),
                           {"fine",       "finetuned",  "finetune",    "finetuning",   "version",      "based",
                            "derived",    "derivative", "built",       "distilled",    "distillation", "merge",
                            "merged",     "quantized",  "quantised",   "quantization", "trained",      "tuned",
                            "conversion", "converted",  "adapted",     "initialised",  "initialized",  "initialize",
                            "continued",  "continuing", "pretraining", "pretrained",   "starting",     "started",
                            "obtained",   "pruned",     "adapter",     "lora",         "variant"}))
                    base_after(u, i, out);
        }
    }

 private:
    [[nodiscard]] const Word& at(std::uint32_t i) const { return doc_.file().words[i]; }
    [[nodiscard]] bool says(Range r, std::initializer_list<std::string_view> list) const {
        return std::ranges::any_of(std::span(doc_.file().words).subspan(r.begin, r.end - r.begin),
                                   [&](const Word& w) { return one_of(w.text, list); });
    }
    [[nodiscard]] std::string words_of(Range r, std::size_t limit) const {
        return printable(slice(doc_.file().source, doc_.file().words, r, limit), limit);
    }
    [[nodiscard]] std::string letters(Range r) const {
        std::string out;
        for (std::uint32_t i = r.begin; i < r.end; ++i) out += at(i).text;
        return out;
    }

    // Is it denied, or said of something else, in the words before `i`?
    [[nodiscard]] bool denied(const Unit& u, std::uint32_t i, std::uint32_t far) const {
        bool out = false;
        for (std::uint32_t k = std::max(u.words.begin, i - std::min(i, far)); k < i; ++k) {
            if (one_of(doc_.word(k), {"not", "unlike", "instead", "rather", "formerly", "previously", "no", "nor",
                                      "never", "isnt", "arent", "wasnt", "cannot"}))
                out = true;
            if (one_of(doc_.word(k), {"but", "and"})) out = false;
        }
        return out;
    }

    // What words [from, i) say that the words after them are about.
    [[nodiscard]] std::optional<About> subject(std::uint32_t from, std::uint32_t i) const {
        std::optional<std::uint32_t> model, part;
        About which = About::other;
        for (std::uint32_t k = from; k < i; ++k) {
            const std::optional<About> one = doc_.noun(k, i);
            if (one == About::model) model = k;
            if (one && *one != About::model) {
                part = k;
                which = *one;
            }
        }
        if (!model) return part ? std::optional(which) : std::nullopt;
        if (!part) return About::model;
        if (*part > *model) {
            // "The model was trained on data under ..." is about the data, "the model and the code" is not.
            const bool made = says({*model, *part}, {"trained", "tuned", "finetuned", "uses", "using", "on", "from",
                                                     "with", "evaluated", "distilled", "pretrained", "built"});
            const bool back = *part + 1 < i && one_of(doc_.word(*part + 1), {"is", "are"}) &&
                              doc_.gap_before(*part + 1).find(',') != std::string_view::npos;
            return made && !back ? which : About::model;
        }
        // "The code of the model".
        return *part + 1 < i && one_of(doc_.word(*part + 1), {"of", "for", "to", "behind"}) ? which : About::model;
    }

    // "(weights)", "for the code", "CC BY 4.0 data": said after the name.
    [[nodiscard]] std::optional<About> after(const Unit& u, std::uint32_t j) const {
        if (j >= u.words.end) return std::nullopt;
        const bool names_it = one_of(doc_.word(j), {"for", "covering", "covers", "on"});
        const std::uint32_t far = std::min(u.words.end, j + (names_it ? 5U : 2U));
        for (std::uint32_t k = j; k < far; ++k) {
            if (doc_.gap_before(k).find_first_of(",;:.|") != std::string_view::npos) return std::nullopt;
            if (const auto one = doc_.noun(k, u.words.end)) return one;
            if (!names_it && !one_of(doc_.word(k), {"licensed"})) return std::nullopt;
        }
        return std::nullopt;
    }

    void licences(const Unit& u) {
        if (says(u.words, {"compared", "comparison", "outperform", "outperforms", "unlike", "versus", "vs"})) return;
        std::uint32_t from = u.words.begin;
        std::optional<About> last;
        for (std::uint32_t i = u.words.begin; i < u.words.end; ++i) {
            std::uint32_t j = i + 1;
            const Known* known = nullptr;
            bool strong = false;
            if (at(i).url) {
                const std::string_view address = address_of(doc_.file(), i);
                known = licence_at(address);
                if (known != nullptr && licence_of_base(address) == known) known = nullptr;  // a model, no licence
                strong = true;
            } else {
                known = name_at(u, i, j, strong);
            }
            if (known == nullptr) continue;
            const std::optional<About> behind = after(u, j);
            std::optional<About> about = behind ? behind : subject(from, i);
            if (!about) about = last;
            const bool told = u.row ? row_cue(u, i, about) : (behind && strong) || cue(u, i, j, strong);
            last = about;
            from = behind ? std::min(u.words.end, j + 4) : j;
            if (told && !denied(u, i, 5))
                tell({about.value_or(u.section.value_or(unsaid_)),
                      at(i).line,
                      words_of({i, j}, 80),
                      words_of(u.words, 300),
                      known,
                      std::nullopt,
                      {}});
            i = j - 1;
        }
    }

    // The longest name of a licence that begins at word i; j becomes its end. Names that are also those of models or
    // companies are weak: they need a word like "license" beside them.
    const Known* name_at(const Unit& u, std::uint32_t i, std::uint32_t& j, bool& strong) {
        if (!begins_name(doc_.word(i)) || tried_ > kNames) return nullptr;
        ++tried_;
        const std::span<const Word> words = doc_.file().words;
        for (std::uint32_t length = std::min<std::uint32_t>(12, u.words.end - i); length > 0; --length) {
            const std::vector<const Known*> found = licences_named(words.subspan(i, length));
            if (found.empty()) continue;
            j = i + length;
            const Known* known = one_of_family(found);
            // Of a family without a version: the one that somebody here names, or none.
            strong = says({i, j}, {"license", "licenses", "community", "terms", "agreement", "rail", "openrail"}) ||
                     (length > 1 && found.front()->spdx);
            return known;
        }
        return nullptr;
    }

    [[nodiscard]] bool cue(const Unit& u, std::uint32_t i, std::uint32_t j, bool strong) const {
        const std::uint32_t near = std::max(u.words.begin, i - std::min<std::uint32_t>(i, 4));
        const std::string_view gap = doc_.gap_before(i);
        const bool value = gap.find(':') != std::string_view::npos && i - u.words.begin <= 6;
        const bool whole = u.terms && j - u.words.begin <= 12 && i - u.words.begin <= 2;
        if (value || whole) return strong || u.terms || says({u.words.begin, i}, {"license", "licenses", "weights"});
        if (says({near, i}, {"under", "license", "licensed", "licenses"})) return true;
        if (!strong) return false;
        return u.heading ||
               says(u.words, {"license", "licenses", "licensed", "licensing", "terms", "under", "released", "governed",
                              "subject", "inherits", "agreement", "covered", "distributed"}) ||
               says({near, i},
                    {"is", "are", "remain", "remains", "stay", "stays", "carry", "carries", "follow", "follows"}) ||
               gap.find('(') != std::string_view::npos;
    }

    // In a table the first cell of the row and the head of the column say what it is; other models' rows are theirs.
    bool row_cue(const Unit& u, std::uint32_t i, std::optional<About>& about) const {
        const std::size_t cell = doc_.cell_of(u, i);
        std::uint32_t key_end = u.words.begin;
        while (key_end < u.words.end && doc_.cell_of(u, key_end) == 0) ++key_end;
        const Range key{u.words.begin, key_end};
        Range head;
        for (std::uint32_t k = u.header.begin; k < u.header.end; ++k) {
            Unit header;
            header.words = u.header;
            if (doc_.cell_of(header, k) != cell) continue;
            if (head.begin == head.end) head = {k, k};
            head.end = k + 1;
        }
        const bool key_terms = says(key, {"license", "licenses", "licensing", "terms"});
        const bool head_terms = says(head, {"license", "licenses", "licensing", "terms"});
        const std::optional<About> row = doc_.nouns(key), column = doc_.nouns(head);
        if (!about) about = row ? row : column;
        if (cell == 0) return false;
        if (key_terms || row || column) return true;
        const std::string own = letters(key);
        return head_terms && own.size() > 3 && (own == title_ || title_.find(own) != std::string::npos);
    }

    void limits(const Unit& u) {
        for (const PatternHit& hit : pattern_hits(doc_.file().ids, u.words)) {
            const Question q = hit.pattern->question;
            // Limits that only other works have are not asked for here.
            if (!one_of(question_key(q), {"commercial", "modify", "redistribute", "threshold", "use_limits", "outputs",
                                          "termination"}) ||
                turned(u, hit))
                continue;
            std::optional<About> about = subject(u.words.begin, hit.where.begin);
            for (std::uint32_t k = hit.where.begin; !about && k < u.words.end; ++k) about = doc_.noun(k, u.words.end);
            Said said{about.value_or(u.section.value_or(unsaid_)),
                      at(hit.where.begin).line,
                      words_of(hit.where, 80),
                      words_of(u.words, 300),
                      nullptr,
                      q,
                      hit.pattern->meaning};
            if (told_.insert({said.meaning, said.about}).second) out_.push_back(std::move(said));
        }
    }

    // "commercial and non-commercial use", "use without restriction", "not for research only": no limits.
    [[nodiscard]] bool turned(const Unit& u, const PatternHit& hit) const {
        const auto [b, e] = hit.where;
        const Range before{std::max(u.words.begin, b - std::min<std::uint32_t>(b, 4)), b};
        const Range behind{e, std::min(u.words.end, e + 4)};
        if (hit.pattern->question != Question::commercial) return false;
        if (one_of(doc_.word(b), {"non", "noncommercial"}) &&
            (says(before, {"commercial", "commercially"}) || says(behind, {"commercial"})))
            return true;
        if (doc_.word(b) == "commercial" && says({b, e}, {"without"}))
            return says({b, behind.end}, {"restriction", "restrictions", "limitation", "limitations", "royalties",
                                          "fee", "fees", "cost"});
        if (doc_.word(b) == "not")
            return says({b, e}, {"restrict", "limit", "prohibit", "forbid", "prevent", "exclude", "only"});
        return hit.pattern->meaning.starts_with("It allows") && denied(u, b, 4);
    }

    void tell(Said said) {
        const bool twice = std::ranges::any_of(
            out_, [&](const Said& o) { return o.known == said.known && o.about == said.about && !o.limit; });
        if (!twice) out_.push_back(std::move(said));
    }

    // "a fine-tuned version of meta-llama/Llama-2-7b-hf": whose terms follow?
    void base_after(const Unit& u, std::uint32_t i, Origins& out) const {
        const Range s = u.words;
        if (says(s, {"compared", "comparison", "outperform", "outperforms", "unlike", "than", "versus", "vs",
                     "similar"}) ||
            denied(u, i, 4))
            return;
        const std::string& w = doc_.word(i);
        if (w == "fine" && (i + 1 >= s.end || !doc_.word(i + 1).starts_with("tun"))) return;
        if (!says({i, std::min(i + 6, s.end)}, {"of", "from", "on", "upon", "with", "for"})) return;
        // "The architecture is based on that of Llama 2" takes no weights.
        const Range around{std::max(s.begin, i - std::min<std::uint32_t>(i, 5)), std::min(s.end, i + 10)};
        if (one_of(w, {"based", "built", "adapted", "derived", "obtained", "version", "variant", "trained"}) &&
            says(around, {"architecture", "tokenizer", "codebase", "design", "recipe", "template", "vocabulary"}))
            return;
        const std::string rest = slice(doc_.file().source, doc_.file().words, {i, std::min(i + 16, s.end)}, 160);
        const Known* known = licence_of_base(rest);
        if (known == nullptr || std::ranges::any_of(out.bases, [&](const Claim& b) { return b.known == known; }))
            return;
        out.bases.push_back({fmt::format("{}, in its words", name_), at(i).line, printable(rest, 120), known});
    }

    std::string name_;
    About unsaid_;
    Document doc_;
    std::string title_;  // of the document, its words written together
    std::size_t tried_ = 0;
    std::vector<Said> out_;
    std::set<std::pair<std::string, About>> told_;
};

}  // namespace

std::vector<Said> terms_in_words(std::string_view text, About unsaid) {
    return Reader({}, text, unsaid).terms();
}

void read_prose(std::string_view name, std::string_view text, Origins& out) {
    Reader reader(name, text, About::model);
    for (Said& s : reader.terms()) {
        if (s.limit) {
            out.limits.push_back({std::string(name),
                                  {*s.limit, std::move(s.meaning), {s.line, s.line, std::move(s.sentence), {}}},
                                  s.about != About::model});
        } else if (s.about == About::model && std::ranges::none_of(out.claims, [&](const Claim& c) {
                       return c.known != nullptr && same_licence(*c.known, *s.known) && c.where.starts_with(name);
                   })) {
            out.claims.push_back({fmt::format("{}, in its words", name), s.line, std::move(s.sentence), s.known});
        }
    }
    reader.bases(out);
}

}  // namespace freehold::licence
