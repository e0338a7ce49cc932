// Collects the same text from wherever a model keeps it, and hands both to the comparison of lines, keys or clauses.
// A text that only one side has is shown whole, as added or removed.
#include "texts.h"

#include <fmt/format.h>

#include <map>
#include <set>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/printable.h"
#include "freehold/licence/review.h"
#include "keys.h"
#include "lines.h"

namespace freehold::diff {
namespace {

namespace fs = std::filesystem;
namespace lic = freehold::licence;

constexpr std::uint64_t kMostText = 16ULL << 20;

using Texts = std::map<std::string, std::string>;  // by name

void add_template(const Value* value, Texts& out) {
    if (value == nullptr) return;
    if (const auto text = value->as_string()) {
        out.try_emplace("chat template", *text);
        return;
    }
    for (std::size_t i = 0; i < std::min<std::size_t>(value->size(), 100); ++i) {
        const Value item = value->at(i);
        const auto* map = item.get<ValueMap>();
        const Value* name = map == nullptr ? nullptr : map->find("name");
        const Value* text = map == nullptr ? nullptr : map->find("template");
        if (name == nullptr || text == nullptr || !text->as_string()) continue;
        const std::string called(name->as_string().value_or(""));
        out.try_emplace(called == "default" ? "chat template" : "chat template " + printable(called),
                        *text->as_string());
    }
}

Texts templates_of(const ModelFiles& files) {
    Texts out;
    if (files.container() != Container::hf) {
        constexpr std::string_view kKey = "tokenizer.chat_template";
        for (const ValueEntry& entry : files.meta()) {
            if (!entry.key.starts_with(kKey) || !entry.value.as_string()) continue;
            const std::string_view name = std::string_view(entry.key).substr(kKey.size());
            out["chat template" + (name.empty() ? std::string() : " " + printable(name.substr(1)))] =
                *entry.value.as_string();
        }
        return out;
    }
    if (auto text = files.side_text("chat_template.jinja")) out["chat template"] = *std::move(text);
    for (const char* side : {"chat_template.json", "tokenizer_config.json"}) {
        if (const ValueMap* map = files.side_json(side)) add_template(map->find("chat_template"), out);
    }
    return out;
}

std::vector<TextChange> compare_all(const Texts& a, const Texts& b) {
    std::set<std::string> names;
    for (const auto& [name, text] : a) names.insert(name);
    for (const auto& [name, text] : b) names.insert(name);
    std::vector<TextChange> out;
    for (const std::string& name : names) {
        const auto left = a.find(name), right = b.find(name);
        const bool in_a = left != a.end(), in_b = right != b.end();
        if (in_a && in_b && left->second == right->second) continue;
        TextChange change =
            compare_lines(name, in_a ? left->second : std::string(), in_b ? right->second : std::string());
        change.in_a = in_a;
        change.in_b = in_b;
        out.push_back(std::move(change));
    }
    return out;
}

std::string text_of(const Side& side, std::string_view name) {
    for (const auto& [path, at] : side.files) {
        if (path != name) continue;
        std::error_code ec;
        if (fs::file_size(at, ec) > kMostText || ec) return {};
        return read_text(at, kMostText);
    }
    return {};
}

// --- the card -----------------------------------------------------------------------------------------------------

struct Card {
    Flat keys;  // top-level keys of the front matter, each with the lines that belong to it
    std::string prose;
};

// Lines that begin at the margin begin a key; what is indented, or a list at the margin, belongs to the one before.
Card read_card(std::string_view text) {
    Card out;
    if (!text.starts_with("---\n") && !text.starts_with("---\r\n")) {
        out.prose = std::string(text);
        return out;
    }
    std::string_view rest = text.substr(text.find('\n') + 1);
    std::string key;
    while (!rest.empty()) {
        const auto end = std::min(rest.find('\n'), rest.size());
        std::string_view line = rest.substr(0, end);
        rest.remove_prefix(std::min(end + 1, rest.size()));
        while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
        if (line == "---") {
            out.prose = std::string(rest);
            return out;
        }
        const bool margin =
            !line.empty() && line.front() != ' ' && line.front() != '-' && line.front() != '#' && line.front() != '\t';
        const auto colon = line.find(':');
        if (margin && colon != std::string_view::npos) {
            key = printable(line.substr(0, colon), 100);
            const auto value = line.find_first_not_of(' ', colon + 1);
            out.keys[key] = value == std::string_view::npos ? std::string() : printable(line.substr(value), 400);
        } else if (!key.empty() && !line.empty() && out.keys[key].size() < 4000) {
            out.keys[key] += (out.keys[key].empty() ? "" : " / ") + printable(line, 400);
        }
    }
    out.keys.clear();  // the mark that would end it never came
    out.prose = std::string(text);
    return out;
}

// --- licences -----------------------------------------------------------------------------------------------------

lic::Review review_of(const Side& side) {
    lic::Subject subject;
    subject.name = side.name;
    for (const auto& [path, at] : side.files) subject.files.push_back({path, at});
    // What the store wrote down about it is no part of the model.
    return lic::review(subject);
}

void describe(const lic::Review& review, std::vector<std::string>& found, std::vector<std::string>& altered,
              const char* side) {
    for (const lic::ReviewedFile& file : review.texts) {
        for (const lic::Match& match : file.report.matches) {
            const std::string name = match.known != nullptr ? match.known->id : match.expression;
            found.push_back(fmt::format("{}: {} ({})", printable(file.name), name, lic::likeness_key(match.likeness)));
            for (const lic::Change& change : match.changes) {
                std::string text =
                    fmt::format("{}: {}:{}: {} of {}", side, printable(file.name), change.line, change.clause, name);
                if (!change.original.empty()) text += fmt::format("; it said \"{}\"", change.original);
                if (!change.found.empty()) text += fmt::format("; here stands \"{}\"", change.found);
                altered.push_back(std::move(text));
            }
        }
        if (file.report.unknown_terms)
            found.push_back(fmt::format("{}: terms that are not known", printable(file.name)));
    }
    for (const lic::Claim& claim : review.claims)
        found.push_back(fmt::format("{} claims {}", printable(claim.where), printable(claim.value)));
}

struct Answered {
    std::string answer, quote;
};

// The answer to each question by the licence texts of one side; several texts stand beside each other.
std::map<lic::Question, Answered> answers_of(const lic::Review& review) {
    std::map<lic::Question, Answered> out;
    for (const lic::ReviewedFile& file : review.texts) {
        for (const lic::Match& match : file.report.matches) {
            for (const lic::Clause& clause : match.clauses) {
                Answered& one = out[clause.question];
                std::string answer = lic::answer_key(clause.answer);
                if (!clause.meaning.empty()) answer += ": " + clause.meaning;
                for (const std::string& item : clause.items) answer += " - " + item;
                if (one.answer.find(answer) == std::string::npos)
                    one.answer += (one.answer.empty() ? "" : " | ") + answer;
                if (one.quote.empty() && !clause.quotes.empty())
                    one.quote = fmt::format("{}:{}: {}", printable(file.name), clause.quotes.front().first_line,
                                            clause.quotes.front().text);
            }
        }
    }
    return out;
}

Texts licence_texts(const Side& side, const lic::Review& review) {
    Texts out;
    for (const lic::ReviewedFile& file : review.texts) out[file.name] = text_of(side, file.name);
    return out;
}

}  // namespace

std::vector<TextChange> compare_templates(const ModelFiles& a, const ModelFiles& b) {
    return compare_all(templates_of(a), templates_of(b));
}

Licences compare_licences(const Side& a, const Side& b) {
    const lic::Review left = review_of(a), right = review_of(b);
    Licences out;
    describe(left, out.a, out.altered, "a");
    describe(right, out.b, out.altered, "b");
    const auto answers_a = answers_of(left), answers_b = answers_of(right);
    if (!answers_a.empty() && !answers_b.empty()) {
        for (const auto& [question, answer] : answers_a) {
            const auto other = answers_b.find(question);
            const Answered there = other == answers_b.end() ? Answered{} : other->second;
            if (answer.answer == there.answer) continue;
            out.clauses.push_back(
                {lic::question_title(question), answer.answer, there.answer, answer.quote, there.quote});
        }
    }
    out.texts = compare_all(licence_texts(a, left), licence_texts(b, right));
    out.differs = !out.texts.empty() || !out.clauses.empty() || out.a != out.b;
    if (!out.differs) out.altered.clear();  // the same alteration on both sides is no difference
    return out;
}

void compare_cards(const Side& a, const Side& b, std::vector<KeyChange>& keys, std::vector<TextChange>& prose) {
    const Card left = read_card(text_of(a, "README.md")), right = read_card(text_of(b, "README.md"));
    keys = compare_keys(left.keys, right.keys);
    if (left.prose != right.prose) {
        TextChange change = compare_lines("README.md", left.prose, right.prose);
        change.in_a = !left.prose.empty();
        change.in_b = !right.prose.empty();
        if (change.added + change.removed > 0) prose.push_back(std::move(change));
    }
}

std::vector<KeyChange> compare_config(const ModelFiles& a, const ModelFiles& b) {
    const auto flat = [](const ModelFiles& files) {
        Flat out;
        const auto wanted = [](std::string_view key) { return !key.starts_with("tokenizer."); };
        flatten(files.meta(), {}, out, wanted);
        const auto no_tokens = [](std::string_view key) {
            return key.find("_token") == std::string_view::npos &&
                   key.find("added_tokens_decoder") == std::string_view::npos &&
                   key.find("chat_template") == std::string_view::npos;
        };
        if (const ValueMap* map = files.side_json("generation_config.json"))
            flatten(*map, "generation_config.json", out);
        if (const ValueMap* map = files.side_json("tokenizer_config.json"))
            flatten(*map, "tokenizer_config.json", out, no_tokens);
        return out;
    };
    return compare_keys(flat(a), flat(b));
}

}  // namespace freehold::diff
