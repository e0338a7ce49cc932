// The words by which questions, answers and likenesses are printed and stored, and the report as a tree of values.
#include <array>

#include "freehold/licence/licence.h"

namespace freehold::licence {
namespace {

struct QuestionNames {
    const char* key;
    const char* title;
};
constexpr std::array<QuestionNames, kQuestions> kNames = {{
    {"commercial", "Commercial use"},
    {"modify", "Changing it"},
    {"redistribute", "Passing it on"},
    {"naming", "Naming duties"},
    {"attribution", "Notices to keep"},
    {"share_alike", "Same terms for what is made from it"},
    {"use_limits", "Limits on use"},
    {"outputs", "Outputs train other models"},
    {"threshold", "Bound of users or revenue"},
    {"patent", "Patent grant"},
    {"termination", "Ends when"},
    {"law", "Governing law"},
    {"changes", "Restriction from afar, later changes"},
}};

ValueMap to_map(const Quote& q) {
    ValueMap map;
    map.set("first_line", std::int64_t{q.first_line});
    map.set("last_line", std::int64_t{q.last_line});
    map.set("text", q.text);
    if (!q.place.empty()) map.set("clause", q.place);
    return map;
}

ValueList questions(std::span<const Question> list) {
    ValueList out;
    for (const Question q : list) out.emplace_back(question_key(q));
    return out;
}

ValueMap to_map(const Clause& c) {
    ValueMap map;
    map.set("question", question_key(c.question));
    map.set("answer", answer_key(c.answer));
    map.set("meaning", c.meaning);
    if (!c.place.empty()) map.set("clause", c.place);
    ValueList quotes;
    for (const Quote& q : c.quotes) quotes.emplace_back(to_map(q));
    map.set("quotes", std::move(quotes));
    if (!c.items.empty()) map.set("items", c.items);
    return map;
}

ValueMap to_map(const Change& c) {
    constexpr std::array<const char*, 3> kKinds = {"removed", "added", "reworded"};
    ValueMap map;
    map.set("kind", kKinds[static_cast<std::size_t>(c.kind)]);
    map.set("clause", c.clause);
    map.set("original", c.original);
    map.set("found", c.found);
    map.set("line", std::int64_t{c.line});
    map.set("operative", c.operative);
    map.set("touches", questions(c.touches));
    return map;
}

ValueMap to_map(const Match& m) {
    ValueMap map;
    map.set("id", m.known != nullptr ? Value(m.known->id) : Value());
    map.set("name", m.known != nullptr ? Value(m.known->name) : Value());
    map.set("likeness", likeness_key(m.likeness));
    if (!m.expression.empty()) map.set("expression", m.expression);
    map.set("similarity", m.similarity);
    map.set("first_line", std::int64_t{m.first_line});
    map.set("last_line", std::int64_t{m.last_line});
    if (m.known != nullptr) {
        map.set("policy", m.known->policy);
        map.set("category", licence_category_name(m.known->category));
        map.set("osi_approved", m.known->osi_approved);
        map.set("fsf_libre", m.known->fsf_libre);
        if (!m.known->note.empty()) map.set("note", m.known->note);
    }
    ValueList changes, clauses;
    for (const Change& c : m.changes) changes.emplace_back(to_map(c));
    for (const Clause& c : m.clauses) clauses.emplace_back(to_map(c));
    map.set("changes", std::move(changes));
    map.set("clauses", std::move(clauses));
    return map;
}

}  // namespace

const char* question_key(Question q) noexcept {
    return kNames[static_cast<std::size_t>(q)].key;
}
const char* question_title(Question q) noexcept {
    return kNames[static_cast<std::size_t>(q)].title;
}

const char* answer_key(Answer a) noexcept {
    switch (a) {
        case Answer::yes:
            return "yes";
        case Answer::no:
            return "no";
        case Answer::conditional:
            return "conditional";
        case Answer::silent:
            return "silent";
        case Answer::unclear:
            break;
    }
    return "unclear";
}

const char* likeness_key(Likeness l) noexcept {
    switch (l) {
        case Likeness::exact:
            return "exact";
        case Likeness::altered:
            return "altered";
        case Likeness::notice:
            return "notice";
        case Likeness::reference:
            break;
    }
    return "reference";
}

Value to_value(const TextReport& report) {
    ValueMap map;
    if (!report.unreadable.empty()) map.set("unreadable", report.unreadable);
    ValueList matches, nearest, worries;
    for (const Match& m : report.matches) matches.emplace_back(to_map(m));
    for (const Match& m : report.nearest) nearest.emplace_back(to_map(m));
    for (const Worry& w : report.worries) {
        ValueMap entry;
        entry.set("question", question_key(w.question));
        entry.set("meaning", w.meaning);
        entry.set("quote", to_map(w.quote));
        worries.emplace_back(std::move(entry));
    }
    map.set("matches", std::move(matches));
    map.set("nearest", std::move(nearest));
    map.set("worries", std::move(worries));
    map.set("unknown_terms", report.unknown_terms);
    map.set("words", std::int64_t{report.words});
    map.set("words_outside", std::int64_t{report.words_outside});
    return map;
}

}  // namespace freehold::licence
