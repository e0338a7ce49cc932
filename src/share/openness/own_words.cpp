// The folder against itself: sentences of its cards that say that data or code cannot be released, are private, or are
// only a sample. What lies here by that name then does not count, and the sentence is quoted.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "freehold/base/printable.h"
#include "look.h"

namespace freehold::openness {
namespace {

using C = Component;
using Words = std::vector<std::string>;

struct Sentence {
    std::string text;
    std::uint32_t line = 0;
};

// Sentences of the prose; a heading, a list item and a row of a table begin anew.
std::vector<Sentence> sentences_of(const File& f) {
    std::vector<Sentence> out;
    Sentence open;
    const auto close = [&] {
        if (!trimmed(open.text).empty()) out.push_back({std::string(trimmed(open.text)), open.line});
        open = {};
    };
    const auto lines = lines_of(f.text);
    bool code = false;
    for (std::size_t i = read_front_matter(f.text).last_line; i < lines.size(); ++i) {
        std::string_view row = trimmed(lines[i]);
        if (row.starts_with("```")) code = !code;
        const bool anew =
            row.empty() || code || std::string_view("#|-*+>`").find(row.front()) != std::string_view::npos;
        if (anew) close();
        if (row.empty() || code || row.front() == '`') continue;
        while (!row.empty()) {
            const std::size_t stop = row.find_first_of(".;!?");
            const std::size_t end = stop == std::string_view::npos ? row.size() : stop + 1;
            if (open.text.empty()) open.line = static_cast<std::uint32_t>(i + 1);
            open.text += std::string(row.substr(0, end)) + (end == row.size() ? " " : "");
            row.remove_prefix(end);
            if (stop != std::string_view::npos && (row.empty() || row.front() == ' ')) close();
        }
        if (lines[i].starts_with('#')) close();
    }
    close();
    return out;
}

Words words_of(std::string_view text) {
    Words out;
    std::string word;
    for (const char c : lower(text) + " ") {
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
            word += c;
        } else if (c != '\'' && !word.empty()) {
            out.push_back(std::move(word));
            word.clear();
        }
    }
    return out;
}

bool among(const std::string& word, std::initializer_list<std::string_view> list) {
    return std::ranges::find(list, word) != list.end();
}
bool any(const Words& words, std::initializer_list<std::string_view> list) {
    return std::ranges::any_of(words, [&](const std::string& w) { return among(w, list); });
}

bool is_data(const std::string& w) {
    return among(w, {"data", "dataset", "datasets", "corpus", "corpora"});
}
bool is_code(const std::string& w) {
    return among(w, {"code", "script", "scripts", "pipeline", "recipe"});
}

// "cannot be released", "is not public", "unable to share"
bool withheld(const Words& words) {
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (!among(words[i],
                   {"not", "cannot", "cant", "wont", "isnt", "arent", "unable", "never", "couldnt", "neither"}))
            continue;
        for (std::size_t k = i + 1; k < std::min(words.size(), i + 6); ++k)
            if (among(words[k], {"available", "disclose", "disclosed", "distribute", "distributed", "open", "opened",
                                 "provided", "public", "publicly", "publish", "published", "redistribute",
                                 "redistributed", "release", "released", "share", "shared"}))
                return true;
    }
    return false;
}

// "private data", "our internal training corpus", "the training code is proprietary"
bool kept_private(const Words& words, bool (*noun)(const std::string&)) {
    for (std::size_t i = 0; i < words.size(); ++i) {
        const bool closed =
            among(words[i], {"private", "proprietary", "internal", "inhouse", "confidential", "nonpublic"}) ||
            (words[i] == "house" && i > 0 && words[i - 1] == "in");
        if (!closed) continue;
        for (std::size_t k = i + 1; k < std::min(words.size(), i + 4); ++k)
            if (noun(words[k])) return true;
        for (std::size_t k = i; k-- > (i > 3 ? i - 3 : 0);)
            if (noun(words[k]) && i > 0 && among(words[i - 1], {"is", "are", "stays", "remains", "remain", "and"}))
                return true;
    }
    return false;
}

bool says_sample(const Words& words) {
    const bool place = any(words, {"folder", "repository", "repo", "directory", "file", "here"});
    const bool sample = any(words, {"sample", "subset", "excerpt", "snippet"});
    const bool given =
        any(words, {"release", "released", "publish", "published", "provide", "provided", "share", "shared"});
    if (sample && place) return true;
    if (sample && given && any(words, {"only", "small"}) && !any(words, {"trained", "model"})) return true;
    for (std::size_t i = 0; i + 3 < words.size(); ++i) {  // "only 40 of 2 million records are here"
        if (words[i] != "only" || words[i + 1].find_first_not_of("0123456789") != std::string::npos) continue;
        if (words[i + 2] != "of" && words[i + 3] != "of") continue;
        if ((place || given) && any(words, {"documents", "examples", "files", "pairs", "records", "rows", "tokens"}))
            return true;
    }
    return false;
}

// The components of which a sentence says that they are not here, or not whole.
std::vector<C> denied_by(Words words) {
    // That personal data is not shared says nothing of the rest.
    for (std::size_t i = 0; i + 1 < words.size();)
        if (among(words[i], {"personal", "sensitive"}) && is_data(words[i + 1]))
            words.erase(words.begin() + static_cast<std::ptrdiff_t>(i),
                        words.begin() + static_cast<std::ptrdiff_t>(i) + 2);
        else
            ++i;
    std::vector<C> out;
    if (any(words, {"unlike", "whose"})) return out;
    const auto code = std::ranges::find_if(words, is_code);
    if (code != words.end() && code != words.begin()) {
        const std::string& kind = *(code - 1);
        const bool gone = withheld(words) || kept_private(words, is_code);
        if (gone && among(kind, {"train", "training", "pretraining"})) out.push_back(C::training_code);
        if (gone && among(kind, {"eval", "evaluation", "benchmark"})) out.push_back(C::evaluation_code);
        if (gone && among(kind, {"inference", "serving"})) out.push_back(C::inference_code);
        if (gone && among(kind, {"cleaning", "data", "filtering", "preprocessing", "processing"}))
            out.push_back(C::data_code);
        if (gone) return out;
    }
    const auto data = std::ranges::find_if(words, is_data);
    const bool trains = any(words, {"trained", "training", "pretrained", "learned", "tuned"});
    const bool absent =
        any(words, {"no", "not", "without", "never", "excluded", "excludes", "removed", "free", "may", "might"});
    const bool counted = any(words, {"records", "documents"}) && any(words, {"only"});
    if (data == words.end() && !counted) return out;
    const bool gone =
        (data != words.end() && (withheld(words) || (trains && !absent && kept_private(words, is_data)))) ||
        says_sample(words);
    if (!gone) return out;
    const bool test = data != words.end() && data != words.begin() &&
                      among(*(data - 1), {"eval", "evaluation", "test", "benchmark", "validation"});
    out.push_back(test ? C::evaluation_data : C::datasets);
    return out;
}

bool speaks(const File& f) {
    if (!f.is_text || (f.ext != ".md" && f.ext != ".txt" && f.ext != ".rst" && !f.ext.empty())) return false;
    return f.base.starts_with("readme") || f.base_has("card|datasheet|datacard|report|paper|whitepaper");
}

}  // namespace

void find_own_words(const std::vector<File>& files, Findings& out) {
    for (const File& f : files) {
        if (!speaks(f)) continue;
        for (const Sentence& s : sentences_of(f))
            for (const C c : denied_by(words_of(s.text)))
                out.deny(c, fmt::format("{}:{} says: \"{}\"", f.name, s.line, printable(s.text, 300)));
    }
}

}  // namespace freehold::openness
