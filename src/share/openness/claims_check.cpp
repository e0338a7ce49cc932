// Openwashing: what the card, the name and the metadata claim, held against what is there. A claim is quoted with its
// place; the verdict names the artefact that decides it.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "freehold/base/error.h"
#include "freehold/base/printable.h"
#include "freehold/formats/model_files.h"
#include "look.h"

namespace freehold::openness {
namespace {

using C = Component;
using Verdict = ClaimCheck::Verdict;

bool holds(std::string_view text, std::string_view any) {
    while (true) {
        const std::size_t bar = any.find('|');
        if (text.find(any.substr(0, bar)) != std::string_view::npos) return true;
        if (bar == std::string_view::npos) return false;
        any.remove_prefix(bar + 1);
    }
}

enum class Needs : std::uint8_t {
    open_source,
    fully_open,
    reproducible,
    open_data,
    public_data,
    commercial,
    open_code,
    open_weights
};

struct Pattern {
    const char* rule;
    std::string_view any;
    Needs needs;
};

constexpr auto kPatterns = std::to_array<Pattern>({
    {"claims-fully-open", "fully open|truly open|completely open|open science|entirely open", Needs::fully_open},
    {"claims-reproducible", "reproducible|reproduce our|fully reproduc|reproduce the training|reproducibility",
     Needs::reproducible},
    {"claims-open-data", "open data|open training data|open dataset|openly licensed data|data is open|data are open",
     Needs::open_data},
    {"claims-public-data", "publicly available data|public data|publicly available sources|publicly available datasets",
     Needs::public_data},
    {"claims-commercial",
     "commercial use is allowed|free for commercial|commercially usable|for commercial use|permits commercial|"
     "allows commercial|commercial-friendly|use it commercially|used commercially|use commercially|commercially free",
     Needs::commercial},
    {"claims-open-code",
     "open-source code|open source code|open-sourced code|open training code|code is open|source code is available",
     Needs::open_code},
    {"claims-open-weights", "open-weight|open weight|openly available weights", Needs::open_weights},
    {"claims-open-source", "open-source|open source|opensource|open-sourced|open sourced|open-sourcing",
     Needs::open_source},
});

// "open-source libraries", "not open source", "open source communities": no claim about this model.
bool about_others(std::string_view sentence, std::string_view rest) {
    const std::string after = lower(trimmed(rest.substr(0, std::min<std::size_t>(rest.size(), 40))));
    constexpr auto kOthers = std::to_array<std::string_view>(
        {"librar", "communit", "tool", "software", "framework", "project", "package", "ecosystem", "initiative",
         "llm landscape", "models such", "models like", "alternatives", "counterpart", "data", "evaluation",
         "contributor", "definition"});
    if (std::ranges::any_of(kOthers, [&](std::string_view w) { return after.starts_with(w); })) return true;
    const std::string all = lower(sentence);
    return holds(all,
                 "not open|n't open|not fully open|no open|rather than open|compared to open|other open|existing open|"
                 "may not|must not|not be used|not reproducible|cannot be reproduced|not for commercial|no "
                 "commercial|non-commercial|prohibit");
}

struct State {
    Verdict verdict;
    std::string artefact, message;
};

class Checker {
 public:
    Checker(const std::vector<File>& files, Report& report) : files_(files), r_(report) {}

    void run() {
        for (const File& f : files_) {
            const bool card = f.base == "readme.md" || (f.base_has("card") && f.ext == ".md");
            if (card && f.is_text) read_card(f);
            if (f.ext == ".gguf") read_metadata(f);
        }
        name_claims(r_.subject.substr(r_.subject.rfind('/') + 1), "the name", {});
        licence_claims();
        std::ranges::stable_sort(r_.claims,
                                 [](const ClaimCheck& a, const ClaimCheck& b) { return a.verdict > b.verdict; });
    }

 private:
    [[nodiscard]] static std::string part_text(const Part& p) {
        std::string out = fmt::format("{}: {}", info(p.component).title, presence_title(p.presence));
        if (!p.evidence.empty()) {
            out += fmt::format(" ({}", p.evidence.front().file);
            if (p.licence.basis != PartLicence::Basis::none) out += ", " + p.licence.name;
            out += ")";
        }
        return out;
    }

    [[nodiscard]] State all_of(std::initializer_list<C> list, const char* of) const {
        std::string bad, open;
        for (const C c : list) {
            const Part& p = r_.part(c);
            if (p.presence == Presence::here && p.licence.open) continue;
            std::string& to = p.presence == Presence::pointed ? open : bad;
            to += (to.empty() ? "" : "; ") + part_text(p);
        }
        if (!bad.empty())
            return {Verdict::contradicted, bad, fmt::format("{} needs what is not here under open terms.", of)};
        if (!open.empty()) return {Verdict::undecided, open, fmt::format("{} needs what is only pointed to.", of)};
        return {Verdict::met, "all of it is here under open terms", ""};
    }

    [[nodiscard]] State state_of(Needs needs) const {
        const Part& weights = r_.part(C::parameters_final);
        switch (needs) {
            case Needs::open_source: {
                const std::string what =
                    fmt::format("category: {}; {}", category_title(r_.category), part_text(weights));
                if (r_.category == Category::open_source_ai) return {Verdict::met, what, ""};
                if (r_.category <= Category::restricted_weights)
                    return {
                        Verdict::contradicted, what,
                        "The terms, or the lack of weights, contradict it: open source means use, study, change and "
                        "sharing for any purpose."};
                return {Verdict::unsupported, what,
                        "Open weights are not open source AI: the definition also asks for the code that made them and "
                        "information on the data."};
            }
            case Needs::fully_open:
                return all_of({C::parameters_final, C::training_code, C::inference_code, C::data_code, C::datasets},
                              "\"Fully open\"");
            case Needs::reproducible: {
                State s = all_of({C::training_code, C::data_code, C::datasets, C::supporting_tools}, "To reproduce it");
                if (s.verdict == Verdict::met)
                    return {Verdict::undecided, s.artefact,
                            "The parts are here; that they give the same result, only a run can show."};
                if (s.verdict == Verdict::contradicted) s.verdict = Verdict::unsupported;
                return s;
            }
            case Needs::open_data:
                return all_of({C::datasets}, "\"Open data\"");
            case Needs::public_data: {
                const Part& data = r_.part(C::datasets);
                const auto listing = std::ranges::find_if(
                    r_.topics, [](const DataTopic& t) { return std::string_view(t.key) == "listing"; });
                if (data.presence >= Presence::pointed || (listing != r_.topics.end() && !listing->where.empty()))
                    return {Verdict::undecided, part_text(data),
                            "Sources are named; whether they are all, and public, was not looked at."};
                return {Verdict::unsupported, part_text(data),
                        "\"Publicly available\" without a list of where: nobody can look."};
            }
            case Needs::commercial: {
                const std::vector<std::string> need = {"commercial"};
                const auto j = licence::judge(r_.review, need, true).at(0);
                const Verdict v = j.verdict == licence::Verdict::yes  ? Verdict::met
                                  : j.verdict == licence::Verdict::no ? Verdict::contradicted
                                                                      : Verdict::undecided;
                return {v, part_text(weights), j.reason};
            }
            case Needs::open_code:
                return all_of({C::training_code, C::inference_code}, "\"Open code\"");
            case Needs::open_weights:
                if (weights.presence != Presence::here)
                    return {Verdict::contradicted, part_text(weights), "There are no weights here."};
                if (!weights.licence.open)
                    return {Verdict::contradicted, part_text(weights),
                            "The weights are here, but not under open terms."};
                if (weights.licence.basis != PartLicence::Basis::text)
                    return {Verdict::undecided, part_text(weights),
                            "The open terms are only named; no licence text comes along."};
                return {Verdict::met, part_text(weights), ""};
        }
        return {Verdict::undecided, "", ""};
    }

    void add(const char* rule, std::string_view words, const File* f, std::string where, std::uint32_t line, State s) {
        ClaimCheck c;
        c.rule = rule;
        c.words = printable(trimmed(words), 240);
        c.file = f != nullptr ? f->name : std::move(where);
        c.digest = f != nullptr ? f->digest : "";
        c.line = line;
        c.artefact = std::move(s.artefact);
        c.verdict = s.verdict;
        c.message = std::move(s.message);
        // One card says it ten times; once a rule and file is enough.
        const bool twice = std::ranges::any_of(r_.claims, [&](const ClaimCheck& o) {
            return o.rule == c.rule && o.file == c.file && c.rule.starts_with("claims-");
        });
        if (!twice) r_.claims.push_back(std::move(c));
    }

    void read_line(const File& f, std::string_view sentence, std::uint32_t line) {
        const std::string text = lower(sentence);
        for (const Pattern& p : kPatterns) {
            std::string_view any = p.any;
            while (true) {
                const std::size_t bar = any.find('|');
                const std::string_view words = any.substr(0, bar);
                const std::size_t at = text.find(words);
                if (at != std::string::npos && !about_others(sentence, sentence.substr(at + words.size()))) {
                    State s = state_of(p.needs);
                    if (s.verdict == Verdict::met && holds(text,
                                                           "research use only|research purposes|research only|"
                                                           "non-commercial|noncommercial|not commercial")) {
                        s.verdict = Verdict::undecided;
                        s.message = "The same sentence bounds it.";
                    }
                    add(p.rule, sentence, &f, {}, line, std::move(s));
                    // "open-source code" is a claim about code, not one more about the model.
                    return;
                }
                if (bar == std::string_view::npos) break;
                any.remove_prefix(bar + 1);
            }
        }
    }

    // `train_script.py` in backticks: does the file come along?
    void named_files(const File& f, std::string_view sentence, std::uint32_t line) {
        std::string_view rest = sentence;
        while (true) {
            const std::size_t open = rest.find('`');
            if (open == std::string_view::npos) return;
            rest.remove_prefix(open + 1);
            const std::size_t close = rest.find('`');
            if (close == std::string_view::npos) return;
            const std::string_view name = rest.substr(0, close);
            rest.remove_prefix(close + 1);
            const std::size_t dot = name.rfind('.');
            constexpr auto kEndings =
                std::to_array<std::string_view>({".py", ".json", ".jsonl", ".yaml", ".yml", ".sh", ".md", ".txt",
                                                 ".safetensors", ".bin", ".csv", ".ipynb"});
            if (dot == std::string_view::npos || dot == 0 ||
                name.find_first_of(" ()=<>{}*") != std::string_view::npos ||
                std::ranges::find(kEndings, lower(name.substr(dot))) == kEndings.end())
                continue;
            std::string wanted = lower(name.substr(name.rfind('/') + 1));
            if (std::ranges::any_of(files_, [&](const File& o) { return o.base == wanted; })) continue;
            const bool here =
                holds(lower(sentence),
                      "this repo|this current repo|current repository|included|here|provided|accessible|in the repo");
            add("named-file-missing", sentence, &f, {}, line,
                {here ? Verdict::contradicted : Verdict::unsupported, fmt::format("no file {}", printable(name, 80)),
                 fmt::format("It speaks of {}, which is not among these files.", printable(name, 80))});
        }
    }

    void distilled(const File& f, std::string_view sentence, std::uint32_t line) {
        const std::string text = lower(sentence);
        if (!holds(text,
                   "generated by|generated with|generated using|distill|synthetic data from|outputs of|outputs from"))
            return;
        struct Source {
            std::string_view any;
            const char* what;
        };
        constexpr auto kSources = std::to_array<Source>(
            {{"llama 2|llama-2|llama2|llama 3 |llama-3-",
              "Llama 2 and Llama 3 forbid using outputs to improve other language models"},
             {"gemma", "under Gemma's terms a model distilled from outputs is a derivative: the terms follow"},
             {"stable lm|stablelm|stability",
              "Stability's community licence forbids training foundation models with outputs"},
             {"gpt-4|gpt-3.5|chatgpt|gpt4|openai",
              "the terms of that service bind whoever made the outputs; read them"},
             {"claude|anthropic", "the terms of that service bind whoever made the outputs; read them"},
             {"gemini", "the terms of that service bind whoever made the outputs; read them"}});
        for (const Source& s : kSources) {
            if (!holds(text, s.any)) continue;
            add("trained-on-outputs", sentence, &f, {}, line,
                {Verdict::undecided, "no terms of that source are here", s.what});
            return;
        }
    }

    void read_card(const File& f) {
        const FrontMatter front = read_front_matter(f.text);
        for (const auto& e : front.entries) {
            if (e.key == "tags") read_line(f, e.value, e.line);
            if (e.key.starts_with("extra_gated"))
                add("gated", fmt::format("{}: {}", e.key, e.value), &f, {}, e.line,
                    {Verdict::undecided, "front matter",
                     "Who wants it must first agree or be let in: that is a condition beyond the licence."});
        }
        const auto lines = lines_of(f.text);
        bool code = false;
        for (std::size_t i = front.last_line; i < lines.size(); ++i) {
            if (lines[i].starts_with("```")) code = !code;
            if (code) continue;
            const auto line = static_cast<std::uint32_t>(i + 1);
            sentences(f, lines[i], line);
        }
    }

    void sentences(const File& f, std::string_view row, std::uint32_t line) {
        while (!row.empty()) {
            const std::size_t stop = row.find(". ");
            const std::string_view one = row.substr(0, stop == std::string_view::npos ? row.size() : stop + 1);
            read_line(f, one, line);
            named_files(f, one, line);
            distilled(f, one, line);
            row.remove_prefix(std::min(row.size(), one.size() + 1));
        }
    }

    void read_metadata(const File& f) {
        try {
            const auto model = ModelFiles::open(f.at);
            for (const auto& [key, value] : model->meta()) {
                if (!key.starts_with("general.")) continue;
                if (key == "general.tags")
                    for (std::size_t i = 0; i < value.size(); ++i)
                        read_line(f, value.at(i).as_string().value_or(""), 0);
                if (key == "general.name") name_claims(std::string(value.as_string().value_or("")), key, f.name);
                if (key == "general.description") read_line(f, value.as_string().value_or(""), 0);
            }
        } catch (const Error&) {
            return;  // told by the finder of weights
        }
    }

    // "OpenThing-7B": the name itself claims.
    void name_claims(const std::string& name, const std::string& where, const std::string& file) {
        const std::string l = lower(name);
        const bool claims =
            l.starts_with("open") || l.find("-open-") != std::string::npos || l.find(" open ") != std::string::npos;
        if (!claims) return;
        const auto f = std::ranges::find(files_, file, &File::name);
        add("name-says-open", name, f != files_.end() ? &*f : nullptr, where, 0, state_of(Needs::open_weights));
    }

    // Findings of the licence review are claims too, with their own verdicts.
    void licence_claims() {
        const Part& weights = r_.part(C::parameters_final);
        const bool beside =
            std::ranges::any_of(r_.parts, [](const Part& p) { return p.licence.trouble.starts_with("Several"); });
        for (licence::Finding l : r_.review.findings) {
            // Here the names of the files say which part each one covers.
            if (l.key == "several-licences" && !beside) continue;
            Verdict v = Verdict::undecided;
            if (l.weight == licence::Finding::Weight::conflict) v = Verdict::contradicted;
            if (l.key == "claim-contradicts-text" && weights.licence.basis == PartLicence::Basis::claim) {
                l.key = "claim-without-text";
                l.message = fmt::format(
                    "{} names the {}; the licence texts here are for other parts, and that one is not among them.",
                    weights.licence.where, weights.licence.name);
            }
            if (l.key == "claim-without-text" || l.key == "no-licence") v = Verdict::unsupported;
            ClaimCheck c;
            c.rule = l.key;
            c.verdict = v;
            c.message = l.message;
            const std::size_t colon = l.where.rfind(':');
            c.file = l.where.substr(0, colon);
            if (colon != std::string::npos)
                c.line = static_cast<std::uint32_t>(std::strtoul(l.where.c_str() + colon + 1, nullptr, 10));
            if (const auto f = std::ranges::find(files_, c.file, &File::name); f != files_.end()) c.digest = f->digest;
            r_.claims.push_back(std::move(c));
        }
        const bool some =
            std::ranges::any_of(r_.parts, [](const Part& p) { return p.licence.basis == PartLicence::Basis::text; });
        if (weights.presence == Presence::here && weights.licence.basis == PartLicence::Basis::none && some)
            add("weights-unlicensed", "a licence for other parts", nullptr, "", 0,
                {Verdict::unsupported, part_text(weights),
                 "There are licences here, but none covers the weights: a licence on code says nothing about them."});
        if (!r_.bases.empty() && std::ranges::none_of(r_.bases, [](const Base& b) { return b.here; }))
            add("base-not-here", r_.bases.front().name, nullptr, r_.bases.front().where, 0,
                {Verdict::undecided, "the base's own data, code and licence are not here",
                 fmt::format("It is made from {}: how open that is decides too, and must be looked at by itself.",
                             r_.bases.front().name)});
    }

    const std::vector<File>& files_;
    Report& r_;
};

}  // namespace

void check_claims(const std::vector<File>& files, Report& report) {
    Checker(files, report).run();
}

}  // namespace freehold::openness
