// Reads the embedded facts and texts: templates with their loose parts, the table of clauses, the pattern lists.
#include "library.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "freehold/base/error.h"

namespace freehold::licence {
namespace {

[[noreturn]] void fault(std::string_view file, const std::string& what) {
    throw Error(ErrorKind::internal, fmt::format("facts/{}: {}", file, what),
                "This is a fault of the program; please report it.");
}

std::string text_at(const ValueMap& map, std::string_view key) {
    const Value* v = map.find(key);
    return v != nullptr && v->as_string() ? std::string(*v->as_string()) : std::string();
}
bool flag_at(const ValueMap& map, std::string_view key) {
    const Value* v = map.find(key);
    return v != nullptr && v->as_bool().value_or(false);
}
std::vector<std::string> texts_of(const Value& list) {
    std::vector<std::string> out;
    for (std::size_t i = 0; i < list.size(); ++i) {
        const Value item = list.at(i);
        if (const auto s = item.as_string()) out.emplace_back(*s);
    }
    return out;
}
std::vector<std::string> texts_at(const ValueMap& map, std::string_view key) {
    const Value* v = map.find(key);
    return v == nullptr ? std::vector<std::string>() : texts_of(*v);
}

std::string lower(std::string_view s) {
    std::string out(s);
    std::ranges::transform(out, out.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return out;
}

std::optional<Question> question_of(std::string_view key) {
    for (std::size_t i = 0; i < kQuestions; ++i)
        if (key == question_key(static_cast<Question>(i))) return static_cast<Question>(i);
    return std::nullopt;
}
std::optional<Answer> answer_of(std::string_view key) {
    for (const Answer a : {Answer::yes, Answer::no, Answer::conditional, Answer::silent, Answer::unclear})
        if (key == answer_key(a)) return a;
    return std::nullopt;
}

std::string_view embedded(std::string_view name) {
    for (const EmbeddedFile& f : embedded_files())
        if (f.name == name) return f.bytes;
    return {};
}

std::optional<std::uint32_t> find_words(std::span<const Word> words, std::span<const Word> wanted, std::uint32_t from,
                                        std::uint32_t until) {
    if (wanted.empty()) return std::nullopt;
    const auto last = static_cast<std::uint32_t>(std::min<std::size_t>(words.size(), until));
    for (std::uint32_t i = from; i + wanted.size() <= last; ++i) {
        std::size_t k = 0;
        while (k < wanted.size() && words[i + k].text == wanted[k].text) ++k;
        if (k == wanted.size()) return i;
    }
    return std::nullopt;
}

}  // namespace

std::optional<Range> find_phrase(std::span<const Word> words, std::string_view phrase, std::uint32_t from) {
    constexpr std::uint32_t kSpan = 400;
    constexpr std::string_view kGap = " ... ";
    std::optional<Range> out;
    std::uint32_t at = from;
    auto until = static_cast<std::uint32_t>(words.size());
    while (true) {
        const std::size_t gap = phrase.find(kGap);
        const std::vector<Word> part = split_words(phrase.substr(0, gap));
        const auto found = find_words(words, part, at, until);
        if (!found) return std::nullopt;
        const auto end = static_cast<std::uint32_t>(*found + part.size());
        out = Range{out ? out->begin : *found, end};
        if (gap == std::string_view::npos) return out;
        phrase.remove_prefix(gap + kGap.size());
        at = end;
        until = end + kSpan;
    }
}

const Library& Library::get() {
    static const Library library;
    return library;
}

const Template* Library::text_of(const Known& known) const noexcept {
    const auto index = static_cast<std::uint32_t>(&known - known_.data());
    for (const Template& t : templates_)
        if (t.index == index && !t.notice) return &t;
    return nullptr;
}

Library::Library() {
    std::vector<EmbeddedFile> facts;
    for (const EmbeddedFile& f : embedded_files())
        if (f.name.starts_with("facts/")) facts.push_back(f);
    std::ranges::sort(facts, {}, &EmbeddedFile::name);
    for (const EmbeddedFile& f : facts) load(f.name.substr(6), f.bytes);
    entries_.clear();
    for (std::size_t i = 0; i < templates_.size(); ++i)
        for (const auto& [hash, place] : templates_[i].grams) index_[hash].push_back(static_cast<std::uint16_t>(i));
}

std::vector<std::uint32_t> Library::hits(std::span<const Id> words) const {
    std::vector<std::uint32_t> out(templates_.size(), 0);
    std::unordered_set<std::uint64_t> seen;
    for (std::size_t i = 0; i + kGram <= words.size(); ++i) {
        const std::uint64_t hash = gram_hash(words, i);
        const auto found = index_.find(hash);
        if (found == index_.end() || !seen.insert(hash).second) continue;
        for (const std::uint16_t t : found->second) ++out[t];
    }
    return out;
}

Id Library::intern(std::string_view word) {
    return ids_.try_emplace(std::string(word), static_cast<Id>(ids_.size())).first->second;
}

std::vector<Id> Library::intern_phrase(std::string_view phrase) {
    std::vector<Id> out;
    for (const Word& w : split_words(phrase)) out.push_back(intern(w.text));
    return out;
}

std::vector<Id> Library::number(std::span<const Word> words) const {
    std::unordered_map<std::string_view, Id> fresh;
    auto next = static_cast<Id>(ids_.size());
    std::vector<Id> out;
    out.reserve(words.size());
    for (const Word& w : words) {
        if (w.hidden) {  // equal to no word of any licence
            out.push_back(next++);
            continue;
        }
        if (const auto found = ids_.find(w.text); found != ids_.end()) {
            out.push_back(found->second);
            continue;
        }
        const auto [place, added] = fresh.try_emplace(w.text, next);
        if (added) ++next;
        out.push_back(place->second);
    }
    return out;
}

void Library::load(std::string_view name, std::string_view json) {
    const Value root = parse_json(json, name);
    if (const ValueMap* map = root.get<ValueMap>(); map != nullptr) {  // patterns
        for (const auto& [key, list] : *map) {
            const auto question = question_of(key);
            if (!question) fault(name, fmt::format("\"{}\" is no question", key));
            for (std::size_t i = 0; i < list.size(); ++i) {
                const std::vector<std::string> row = texts_of(list.at(i));
                for (std::size_t k = 1; k < row.size(); ++k) {
                    Pattern p{*question, row[0], {}};
                    std::string_view rest = row[k];
                    while (!rest.empty()) {
                        const std::size_t gap = std::min(rest.find(" ... "), rest.size());
                        p.parts.push_back(intern_phrase(rest.substr(0, gap)));
                        rest.remove_prefix(std::min(rest.size(), gap + 5));
                    }
                    patterns_.push_back(std::move(p));
                }
            }
        }
        return;
    }
    for (std::size_t i = 0; i < root.size(); ++i) {
        const Value entry = root.at(i);
        if (entry.get<ValueMap>() == nullptr) fault(name, "an entry is no map");
        load_one(*entry.get<ValueMap>(), name);
    }
}

void Library::load_one(const ValueMap& own, std::string_view file) {
    ValueMap entry = own;
    if (const std::string like = text_at(own, "like"); !like.empty()) {
        const auto base = entries_.find(like);
        if (base == entries_.end()) fault(file, fmt::format("\"{}\" comes before what it is like", like));
        entry = base->second;
        for (const char* key : {"tags", "note", "spdx", "osi", "fsf", "policy", "notice", "also"}) entry.erase(key);
        for (const auto& [key, value] : own) {
            if (key != "answers") {
                entry.set(key, value);
                continue;
            }
            const Value* inherited = entry.find("answers");
            ValueMap answers = inherited != nullptr && inherited->get<ValueMap>() != nullptr
                                   ? *inherited->get<ValueMap>()
                                   : ValueMap();
            for (const auto& [q, fact] : *value.get<ValueMap>()) answers.set(q, fact);
            entry.set("answers", std::move(answers));
        }
    }
    const std::string id = text_at(entry, "id");
    entries_.insert_or_assign(id, entry);
    Known known;
    known.spdx = flag_at(entry, "spdx");
    known.id = known.spdx ? id : "LicenseRef-" + id;
    known.name = text_at(entry, "name");
    known.note = text_at(entry, "note");
    known.policy = flag_at(entry, "policy");
    known.osi_approved = flag_at(entry, "osi");
    known.fsf_libre = flag_at(entry, "fsf");
    known.tags = texts_at(entry, "tags");
    known.reviewed = entry.find("answers") != nullptr;
    known.category = classify_licence(known.tags.empty() ? id : known.tags.front()).category;
    if (id.empty() || known.name.empty()) fault(file, "an entry lacks its id or name");
    Template t;
    t.index = static_cast<std::uint32_t>(known_.size());
    t.source = std::string(embedded(fmt::format("texts/{}.txt", id)));
    if (t.source.empty()) fault(file, fmt::format("there is no text for {}", id));
    if (const std::string until = text_at(entry, "until"); !until.empty()) {  // what follows is a text of its own
        const std::vector<Word> words = split_words(t.source);
        const auto end = find_phrase(words, until);
        if (!end) fault(file, fmt::format("\"{}\" is not in {}", until, id));
        t.source.resize(words[end->begin].begin);
    }
    known_.push_back(std::move(known));
    prepare(t, entry);
    templates_.push_back(std::move(t));
    if (const std::vector<std::string> also = texts_at(entry, "also"); also.size() == 2) {
        // Another wording of the same, which stands at the end of another text and begins with these words.
        Template second;
        second.index = static_cast<std::uint32_t>(known_.size() - 1);
        const std::string_view whole = embedded(fmt::format("texts/{}.txt", also[0]));
        const std::vector<Word> words = split_words(whole);
        const auto from = find_phrase(words, also[1]);
        if (!from) fault(file, fmt::format("\"{}\" is not in {}", also[1], also[0]));
        second.source = std::string(whole.substr(words[from->begin].begin));
        prepare(second, ValueMap());
        templates_.push_back(std::move(second));
    }
    if (const std::string notice = text_at(entry, "notice"); !notice.empty()) {
        Template n;
        n.index = static_cast<std::uint32_t>(known_.size() - 1);
        n.notice = true;
        n.source = notice;
        prepare(n, ValueMap());
        templates_.push_back(std::move(n));
    }
}

void Library::prepare(Template& t, const ValueMap& facts) {
    t.words = split_words(t.source);
    for (const Word& w : t.words) t.ids.push_back(intern(w.text));
    t.grams = unique_grams(t.ids);
    t.is_loose.assign(t.words.size(), false);
    name_clauses(t.source, t.words, t.clause_names, t.clause_of);
    const std::string name = text_at(facts, "id");
    const auto need = [&](std::string_view phrase) {
        const auto found = find_phrase(t.words, phrase);
        if (!found) fault(name, fmt::format("\"{}\" is not in the text", phrase));
        return *found;
    };
    const auto loosen = [&](Range r) {
        t.loose.push_back(r);
        std::fill(t.is_loose.begin() + r.begin, t.is_loose.begin() + r.end, true);
    };
    if (const Value* list = facts.find("loose"); list != nullptr) {
        for (std::size_t i = 0; i < list->size(); ++i) {  // [from, to]; no `to`: to the end of the text
            const std::vector<std::string> row = texts_of(list->at(i));
            const Range from = need(row.at(0));
            Range to{static_cast<std::uint32_t>(t.words.size()), static_cast<std::uint32_t>(t.words.size())};
            if (row.size() > 1) {
                const auto found = find_phrase(t.words, row[1], from.begin);
                if (!found) fault(name, fmt::format("\"{}\" does not follow", row[1]));
                to = *found;
            }
            loosen({from.begin, to.end});
        }
    }
    for (const std::string& phrase : texts_at(facts, "replaceable")) {  // "by the {copyright holders} and"
        const std::size_t open = phrase.find('{'), close = phrase.find('}');
        if (open == std::string::npos || close == std::string::npos) fault(name, "a replaceable part has no braces");
        const Range whole = need(phrase);
        const auto before = static_cast<std::uint32_t>(split_words(std::string_view(phrase).substr(0, open)).size());
        const auto after = static_cast<std::uint32_t>(split_words(std::string_view(phrase).substr(close)).size());
        loosen({whole.begin + before, whole.end - after});
    }
    if (const Value* list = facts.find("restrictions"); list != nullptr) {
        for (std::size_t i = 0; i < list->size(); ++i) {
            const std::vector<std::string> row = texts_of(list->at(i));
            const Range from = need(row.at(0));
            const auto to = find_phrase(t.words, row.at(1), from.begin);
            if (!to) fault(name, fmt::format("\"{}\" does not follow", row.at(1)));
            t.restrictions.push_back({from.begin, to->end});
        }
    }
    if (const Value* list = facts.find("duties"); list != nullptr) {
        for (std::size_t i = 0; i < list->size(); ++i) {
            const std::vector<std::string> row = texts_of(list->at(i));
            t.duties.push_back({row.at(0), row.at(1), row.at(2)});
        }
    }
    const Value* answers = facts.find("answers");
    if (answers == nullptr || answers->get<ValueMap>() == nullptr) return;
    for (const auto& [key, row] : *answers->get<ValueMap>()) {
        const auto question = question_of(key);
        const std::vector<std::string> cells = texts_of(row);
        if (!question || cells.size() < 2) fault(name, fmt::format("the answer \"{}\" is not understood", key));
        const auto answer = answer_of(cells[0]);
        if (!answer) fault(name, fmt::format("\"{}\" is no answer", cells[0]));
        Fact fact{*answer, cells[1], {}};
        for (std::size_t i = 2; i < cells.size(); ++i) fact.quotes.push_back(need(cells[i]));
        t.facts[static_cast<std::size_t>(*question)] = std::move(fact);
    }
}

const Known* find_known(std::string_view id_or_tag) {
    const std::string wanted = lower(id_or_tag);
    for (const Known& k : Library::get().known()) {
        if (lower(k.id) == wanted) return &k;
        if (std::ranges::find(k.tags, wanted) != k.tags.end()) return &k;
        // SPDX's newer forms of the GNU licences, and the older "+".
        if (k.spdx && k.id.find("GPL") != std::string::npos) {
            const std::string base = lower(k.id);
            if (wanted == base + "-only" || wanted == base + "-or-later" || wanted == base + "+") return &k;
        }
    }
    return nullptr;
}

std::span<const Known> known_licences() {
    return Library::get().known();
}

std::string_view text_of(const Known& known) {
    const Template* const text = Library::get().text_of(known);
    return text == nullptr ? std::string_view() : std::string_view(text->source);
}

}  // namespace freehold::licence
