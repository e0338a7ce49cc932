// Names, identifiers and tags of the table as words, and families that people name without a version.
#include "licence_names.h"

#include <algorithm>
#include <array>
#include <functional>
#include <set>
#include <utility>

namespace freehold::licence {
namespace {

// Every way in which a known licence is named, without the words that come and go.
using Phrase = std::vector<std::string>;

Phrase bare_name(std::span<const Word> words) {
    constexpr auto kDropped = std::to_array<std::string_view>(
        {"license", "licenses", "the", "version", "v", "agreement", "licenseref", "v2", "public"});
    Phrase out;
    for (const Word& w : words) {
        if (w.url || std::ranges::find(kDropped, std::string_view(w.text)) != kDropped.end()) continue;
        // "v2.0": the letter stands before the number.
        if (w.text.size() == 2 && w.text[0] == 'v' && w.text[1] >= '0' && w.text[1] <= '9')
            out.push_back(w.text.substr(1));
        else
            out.push_back(w.text);
    }
    return out;
}

struct Name {
    Phrase words;
    const Known* known = nullptr;
};

const std::vector<Name>& names() {
    static const std::vector<Name> all = [] {
        std::vector<Name> out;
        const auto add = [&](std::string_view name, const Known& k) {
            const std::vector<Word> words = split_words(name);
            if (Phrase p = bare_name(words); !p.empty()) out.push_back({std::move(p), &k});
        };
        // Families that people name without a version.
        constexpr auto kFamilies =
            std::to_array<std::pair<std::string_view, std::string_view>>({{"MIT", "MIT"},
                                                                          {"MIT MIT", "MIT"},
                                                                          {"BSD", "BSD-"},
                                                                          {"new BSD", "BSD-3-Clause"},
                                                                          {"modified BSD", "BSD-3-Clause"},
                                                                          {"revised BSD", "BSD-3-Clause"},
                                                                          {"simplified BSD", "BSD-2-Clause"},
                                                                          {"Apache", "Apache-"},
                                                                          {"GNU GPL", "GPL-"},
                                                                          {"GPL", "GPL-"},
                                                                          {"LGPL", "LGPL-"},
                                                                          {"GNU LGPL", "LGPL-"},
                                                                          {"Creative Commons", "CC"},
                                                                          {"Mozilla", "MPL-"},
                                                                          {"Gemma Terms of Use", "LicenseRef-Gemma-"},
                                                                          {"Gemma Terms", "LicenseRef-Gemma-"}});
        for (const Known& k : Library::get().known()) {
            if (k.policy) continue;
            add(k.name, k);
            // Dates in brackets are not said where a licence is named; one word alone says too little.
            if (const std::size_t date = k.name.find(" ("); date != std::string::npos)
                if (const std::vector<Word> w = split_words(std::string_view(k.name).substr(0, date));
                    bare_name(w).size() > 1)
                    out.push_back({bare_name(w), &k});
            add(k.id, k);
            for (const std::string& tag : k.tags) add(tag, k);
            for (const auto& [name, id] : kFamilies)
                if (k.id.starts_with(id)) add(name, k);
            // "CC BY-NC", "Creative Commons Attribution-NonCommercial": any version of it.
            if (k.id.starts_with("CC-BY"))
                for (const std::string_view name : {std::string_view(k.id), std::string_view(k.name)})
                    add(name.substr(0, name.find_first_of("0123456789")), k);
        }
        return out;
    }();
    return all;
}

}  // namespace

std::vector<const Known*> licences_named(std::span<const Word> words) {
    std::vector<const Known*> out;
    if (words.empty() || words.size() > 16) return out;
    const Phrase bare = bare_name(words);
    for (const Name& n : names())
        if (n.words == bare && std::ranges::find(out, n.known) == out.end()) out.push_back(n.known);
    return out;
}

bool begins_name(std::string_view word) {
    static const std::set<std::string, std::less<>> first = [] {
        std::set<std::string, std::less<>> out;
        for (const Name& n : names()) out.insert(n.words.front());
        return out;
    }();
    return first.contains(word);
}

bool is_licence_phrase(const std::vector<std::string>& words) {
    return std::ranges::any_of(names(), [&](const Name& n) { return n.words == words; });
}

}  // namespace freehold::licence
