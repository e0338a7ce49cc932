// Lines and sentences held against short lists. What is on no list is told: the careful side.
#include "added.h"

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <utility>

#include "addresses.h"
#include "licence_names.h"
#include "words_scan.h"

namespace freehold::licence {
namespace {

constexpr std::uint32_t kTitleWords = 5;    // longer lines are sentences
constexpr std::uint32_t kHolderWords = 24;  // of one copyright line

// Words that titles and names of holders do not have, and terms do. Sorted.
constexpr auto kTermWords = std::to_array<std::string_view>({"accept",      "accepted",
                                                             "additional",  "agree",
                                                             "agreed",      "agrees",
                                                             "allowed",     "alone",
                                                             "applies",     "apply",
                                                             "are",         "assigns",
                                                             "attach",      "away",
                                                             "aucun",       "banned",
                                                             "be",          "been",
                                                             "before",      "belong",
                                                             "belongs",     "besides",
                                                             "bound",       "but",
                                                             "buy",         "can",
                                                             "cannot",      "cease",
                                                             "ceases",      "charge",
                                                             "commercial",  "commercially",
                                                             "companies",   "compete",
                                                             "competitors", "conditional",
                                                             "consent",     "contact",
                                                             "covers",      "darf",
                                                             "deny",        "denied",
                                                             "dies",        "disclose",
                                                             "dollars",     "draft",
                                                             "duty",        "each",
                                                             "educational", "employees",
                                                             "ends",        "eur",
                                                             "evaluation",  "every",
                                                             "except",      "excepted",
                                                             "excluded",    "excludes",
                                                             "excluding",   "exclusive",
                                                             "exclusively", "expire",
                                                             "expired",     "expires",
                                                             "fee",         "fees",
                                                             "forbid",      "forbidden",
                                                             "forbids",     "frei",
                                                             "grant",       "granted",
                                                             "grants",      "has",
                                                             "have",        "however",
                                                             "if",          "inform",
                                                             "interdit",    "internal",
                                                             "invalid",     "is",
                                                             "kein",        "keine",
                                                             "lapse",       "lapses",
                                                             "leased",      "licensee",
                                                             "licensees",   "licensed",
                                                             "licensor",    "limited",
                                                             "may",         "military",
                                                             "must",        "need",
                                                             "needs",       "never",
                                                             "nicht",       "no",
                                                             "non",         "noncommercial",
                                                             "nonprofit",   "not",
                                                             "notify",      "notwithstanding",
                                                             "null",        "nur",
                                                             "obligation",  "obsolete",
                                                             "obtain",      "ohne",
                                                             "only",        "outputs",
                                                             "override",    "overrides",
                                                             "owe",         "owned",
                                                             "owns",        "partial",
                                                             "pas",         "pay",
                                                             "payable",     "payment",
                                                             "pays",        "percent",
                                                             "permission",  "permitted",
                                                             "personal",    "personally",
                                                             "prevails",    "private",
                                                             "prior",       "prohibited",
                                                             "prohibits",   "proprietary",
                                                             "provided",    "register",
                                                             "registered",  "rejected",
                                                             "report",      "reports",
                                                             "require",     "required",
                                                             "requires",    "research",
                                                             "reserve",     "reserves",
                                                             "restrict",    "restricted",
                                                             "restriction", "restrictions",
                                                             "retract",     "retracted",
                                                             "return",      "returns",
                                                             "revocable",   "revoke",
                                                             "revoked",     "rider",
                                                             "royalties",   "royalty",
                                                             "school",      "sell",
                                                             "send",        "shall",
                                                             "should",      "sin",
                                                             "solely",      "solo",
                                                             "subject",     "superseded",
                                                             "supersedes",  "surrender",
                                                             "suspended",   "temporary",
                                                             "terminate",   "terminated",
                                                             "terminates",  "territory",
                                                             "trial",       "unless",
                                                             "until",       "usd",
                                                             "use",         "used",
                                                             "users",       "uses",
                                                             "valid",       "verboten",
                                                             "void",        "waive",
                                                             "waived",      "waives",
                                                             "when",        "where",
                                                             "will",        "withdraw",
                                                             "withdrawn",   "without",
                                                             "würde",       "you",
                                                             "your"});

bool term_word(std::string_view w) {
    static const std::vector<std::string_view> sorted = [] {
        std::vector<std::string_view> out(kTermWords.begin(), kTermWords.end());
        std::ranges::sort(out);
        return out;
    }();
    return operative(w) || std::ranges::binary_search(sorted, w);
}

bool plain_latin(std::string_view w) {
    for (std::size_t i = 0; i < w.size(); ++i) {
        const auto c = static_cast<unsigned char>(w[i]);
        if (c >= 0xd0) return false;  // beyond Latin letters: what it says cannot be told here
    }
    return true;
}

// Words that say for whom or for what a licence is, in a line that else is a title ("For Academic Purposes").
bool title_bounds(std::string_view w) {
    constexpr auto kWords = std::to_array<std::string_view>(
        {"academia", "academic",    "classroom", "confidential", "confidentiality", "customer",    "customers",
         "demo",     "enterprise",  "former",    "government",   "hobbyists",       "individuals", "institutions",
         "members",  "nda",         "old",       "partners",     "preview",         "previous",    "purpose",
         "purposes", "researchers", "schools",   "secret",       "students",        "style",       "subscribers",
         "teachers", "universities"});
    return std::ranges::find(kWords, w) != kWords.end();
}

using Here = std::span<const Known* const>;

// Is it the name of a licence, and of one of those that are here?
enum class Named : std::uint8_t { no, other, here };
Named named(std::span<const Word> words, Here here) {
    const std::vector<const Known*> found = licences_named(words);
    if (found.empty()) return Named::no;
    const bool known = here.empty() || std::ranges::any_of(found, [&](const Known* k) {
                           return std::ranges::find(here, k) != here.end();
                       });
    return known ? Named::here : Named::other;
}

// A pattern is words apart by blanks: "a|b" is either, "?" at the end may be missing, "@name" the name of a known
// licence, which reaches to the end.
bool fits(std::span<const Word> words, std::string_view pattern, Here here) {
    while (!pattern.empty() && pattern.front() == ' ') pattern.remove_prefix(1);
    if (pattern.empty()) return words.empty();
    const std::size_t end = std::min(pattern.find(' '), pattern.size());
    std::string_view token = pattern.substr(0, end);
    const std::string_view rest = pattern.substr(end);
    if (token == "@name") return named(words, here) == Named::here;
    const bool optional = token.ends_with('?');
    if (optional) token.remove_suffix(1);
    if (!words.empty()) {
        std::string_view any = token;
        while (true) {
            const std::size_t bar = any.find('|');
            if (words.front().text == any.substr(0, bar) && fits(words.subspan(1), rest, here)) return true;
            if (bar == std::string_view::npos) break;
            any.remove_prefix(bar + 1);
        }
    }
    return optional && fits(words, rest, here);
}

constexpr auto kHarmless = std::to_array<std::string_view>({
    "@name",
    "all rights reserved",
    "copyright? notice",
    "<url>",
    "source|from|origin|homepage|website|url <url>",
    "this|the project|software|repository|package|program|work|library|model|release|product|file is|are "
    "licensed|released|distributed|provided|available|published under the? terms? and? conditions? of? the|a|an? @name",
    "licensed|released|distributed under the? terms? of? the|a|an? @name",
    "license @name",
    "this|the project|software|repository|package|program|work|library|model|file has|uses|contains "
    "two|three|several|both|2|3 licenses",
    "see the? file? accompanying|included|attached? license|copying|notice file|text|md|txt? for the? "
    "full|more|further? "
    "license? details|terms|information|text",
    "see <url> for? the? full|more|further? details|terms|information|text?",
    "for the? full|more|further? details|terms|information|text see the? file? license|copying|notice|<url> "
    "file|md|txt?",
    "for the? full|more|further? details|information please? see|visit|refer to? <url>",
    "the? full|complete? text|copy of the|this license follows|below?",
    "for the? original|latest copy|text|version see|visit <url>",
    "full license text",
    "the? license text? follows|below",
    "begin|end of? the? license text?",
    "you may|can? obtain a copy of the license at <url>",
    "a copy of the license is included|available|provided in|at this|the|<url>? file|repository?",
});

bool harmless_sentence(std::span<const Word> words, Here here) {
    while (!words.empty() && words.front().marker) words = words.subspan(1);
    if (words.empty()) return true;
    if (words.size() > 32) return false;
    return std::ranges::any_of(kHarmless, [&](std::string_view p) { return fits(words, p, here); });
}

// "SPDX-License-Identifier: MIT OR Apache-2.0": a claim, which is told as one.
bool spdx_line(std::span<const Word> words) {
    if (words.size() < 4 || words.size() > 24 || words[0].text != "spdx" || words[1].text != "license" ||
        words[2].text != "identifier")
        return false;
    std::vector<std::string> part;
    for (std::size_t i = 3; i <= words.size(); ++i) {
        const bool link = i == words.size() || words[i].text == "or" || words[i].text == "and";
        if (!link) {
            if (words[i].text != "licenseref" && words[i].text != "later") part.push_back(words[i].text);
            continue;
        }
        while (!part.empty() && part.back() == "only") part.pop_back();
        if (!is_licence_phrase(part)) return false;
        part.clear();
    }
    return true;
}

bool ends_sentence(std::string_view source, const Word& before, const Word& after) {
    const std::string_view gap = source.substr(before.end, after.begin - before.end);
    const std::size_t stop = gap.find_first_of(".;!?");
    return stop != std::string_view::npos && !before.marker && stop + 1 < gap.size() &&
           (gap[stop + 1] == ' ' || gap[stop + 1] == '\n' || gap[stop + 1] == '\r' || gap[stop + 1] == '\t');
}

bool new_paragraph(std::string_view source, const Word& before, const Word& after) {
    return std::ranges::count(source.substr(before.end, after.begin - before.end), '\n') > 1;
}

class Sorter {
 public:
    Sorter(const File& file, Range where, Here here) : file_(file), where_(where), here_(here) {}

    std::vector<Range> run() {
        Range block{where_.begin, where_.begin};
        for (std::uint32_t b = where_.begin; b < where_.end;) {
            std::uint32_t e = b + 1;
            while (e < where_.end && !file_.words[e].starts_line) ++e;
            const bool apart = b > block.begin && new_paragraph(file_.source, word(b - 1), word(b));
            if (apart) close(block, b);
            if (copyright_line({b, e}) || spdx_line(words({b, e}))) {
                close(block, b);
                if (copyright_line({b, e})) holders({b, e});
                block = {e, e};
            }
            block.end = e;
            b = e;
        }
        close(block, where_.end);
        return std::move(out_);
    }

 private:
    [[nodiscard]] const Word& word(std::uint32_t i) const { return file_.words[i]; }
    [[nodiscard]] std::span<const Word> words(Range r) const {
        return std::span(file_.words).subspan(r.begin, r.end - r.begin);
    }

    [[nodiscard]] bool foreign(Range r) const {
        for (std::uint32_t i = r.begin; i < r.end; ++i)
            if (word(i).url && foreign_terms(address_of(file_, i))) return true;
        return false;
    }

    [[nodiscard]] bool copyright_line(Range line) const {
        const Word& first = word(line.begin);
        return first.notice && (first.text == "copyright" || first.text == "c" || first.text == "portions");
    }

    // The line up to its first full stop names who holds the rights; what follows are sentences.
    void holders(Range line) {
        std::uint32_t end = line.begin + 1;
        while (end < line.end && !ends_sentence(file_.source, word(end - 1), word(end))) ++end;
        // "Acme Inc. and others": the sentence goes on.
        while (end < line.end && end > line.begin + 1 && word(end - 1).text.size() <= 4 &&
               only_names(file_, {end, line.end}, kHolderWords))
            end = line.end;
        // "Microsoft Corporation. (The Azure AI Platform team)"
        if (end < line.end &&
            file_.source.substr(word(end - 1).end, word(end).begin - word(end - 1).end).find('(') !=
                std::string_view::npos &&
            only_names(file_, {end, line.end}, kTitleWords) &&
            std::ranges::none_of(words({end, line.end}), [](const Word& w) { return title_bounds(w.text); }))
            end = line.end;
        Range named{line.begin, end};
        while (named.end - named.begin > 3 && word(named.end - 1).text == "reserved" &&
               word(named.end - 2).text == "rights" && word(named.end - 3).text == "all")
            named.end -= 3;
        if (!only_names(file_, named, kHolderWords) || foreign({line.begin, end})) out_.push_back({line.begin, end});
        sentences({end, line.end});
    }

    void close(Range& block, std::uint32_t next) {
        if (block.begin < block.end && (foreign(block) || !titles(block))) sentences(block);
        block = {next, next};
    }

    // One short line, or several of which each is a name.
    [[nodiscard]] bool titles(Range block) const {
        bool first = true;
        for (std::uint32_t b = block.begin; b < block.end;) {
            std::uint32_t e = b + 1;
            while (e < block.end && !word(e).starts_line) ++e;
            const bool alone = first && e == block.end;
            const Named name = named(words({b, e}), here_);
            if (name == Named::other) return false;
            if (name == Named::here) {
                b = e;
                first = false;
                continue;
            }
            if (!only_names(file_, {b, e}, kTitleWords) || (!alone && !capitals({b, e}))) return false;
            if (std::ranges::any_of(words({b, e}), [](const Word& w) { return title_bounds(w.text); })) return false;
            const char after = word(e - 1).end < file_.source.size() ? file_.source[word(e - 1).end] : '\n';
            if (after == ';' || after == '!' || (after == '.' && e - b > 2)) return false;
            b = e;
            first = false;
        }
        return true;
    }

    [[nodiscard]] bool capitals(Range line) const {
        return std::ranges::all_of(words(line), [&](const Word& w) {
            const char c = file_.source[w.begin];
            return w.url || w.text == "and" || w.text == "the" || w.text == "of" || (c >= 'A' && c <= 'Z') ||
                   (c >= '0' && c <= '9') || file_.source.substr(w.begin, 64).find('@') != std::string_view::npos;
        });
    }

    void sentences(Range r) {
        std::uint32_t b = r.begin;
        for (std::uint32_t i = r.begin; i < r.end; ++i) {
            if (i + 1 < r.end && !ends_sentence(file_.source, word(i), word(i + 1))) continue;
            if (foreign({b, i + 1}) || !harmless_sentence(words({b, i + 1}), here_)) {
                if (!out_.empty() && out_.back().end == b)
                    out_.back().end = i + 1;
                else
                    out_.push_back({b, i + 1});
            }
            b = i + 1;
        }
    }

    const File& file_;
    Range where_;
    Here here_;
    std::vector<Range> out_;
};

}  // namespace

bool only_names(const File& file, Range words, std::uint32_t longest) {
    if (words.end - words.begin > longest) return false;
    // "Microsoft Research", "Acme Private Limited", "Will Doe": with a capital they are parts of names.
    constexpr auto kInNames =
        std::to_array<std::string_view>({"educational", "limited", "private", "research", "school", "will"});
    for (std::uint32_t i = words.begin; i < words.end; ++i) {
        const Word& w = file.words[i];
        if (w.marker) continue;
        const char first = file.source[w.begin];
        if (first >= 'A' && first <= 'Z' && std::ranges::find(kInNames, std::string_view(w.text)) != kInNames.end())
            continue;
        if (term_word(w.text) || !plain_latin(w.text)) return false;
    }
    return true;
}

std::vector<Range> added_sentences(const File& file, Range where, Here here) {
    if (where.begin >= where.end) return {};
    std::vector<Range> out = Sorter(file, where, here).run();
    std::ranges::sort(out, {}, &Range::begin);
    return out;
}

std::size_t front_matter_end(std::string_view source) {
    if (!source.starts_with("---\n") && !source.starts_with("---\r\n")) return 0;
    const std::size_t close = source.find("\n---", 3);
    if (close == std::string_view::npos || close > 16384) return 0;
    const std::string_view body = source.substr(0, close);
    const auto has = [&](std::string_view key) { return body.find(key) != std::string_view::npos; };
    const bool scancode = has("\nkey: ") && has("\nspdx_license_key: ") && has("\nname: ");
    const bool choose = has("\ntitle: ") && has("\nspdx-id: ");
    if (!scancode && !choose) return 0;
    const std::size_t line = source.find('\n', close + 1);
    return line == std::string_view::npos ? source.size() : line + 1;
}

std::vector<Range> added_in_front_matter(const File& file, Range where) {
    constexpr auto kHard = std::to_array<std::string_view>(
        {"commercial", "consent", "excluded", "fee", "fees", "forbidden", "forbids", "must", "pay", "pays",
         "prohibited", "revoke", "revoked", "shall", "terminate", "terminated", "unless", "users"});
    std::vector<Range> out;
    for (std::uint32_t b = where.begin; b < where.end;) {
        std::uint32_t e = b + 1;
        while (e < where.end && !file.words[e].starts_line) ++e;
        const bool hard = std::ranges::any_of(std::span(file.words).subspan(b, e - b), [&](const Word& w) {
            return std::ranges::find(kHard, std::string_view(w.text)) != kHard.end();
        });
        if (hard) out.push_back({b, e});
        b = e;
    }
    return out;
}

}  // namespace freehold::licence
