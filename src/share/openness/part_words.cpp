// The licence module reads the words; here is only which part they are about.
#include "part_words.h"

#include <fmt/format.h>

#include <algorithm>

#include "freehold/base/printable.h"

namespace freehold::openness {
namespace {

namespace lic = freehold::licence;
using C = Component;

// Is this a licence that is not open, or a limit that open terms do not have?
bool binds(const lic::Said& s) {
    if (s.known != nullptr) return !is_open(s.known->id, Lists::mended);
    return s.limit == lic::Question::commercial || s.limit == lic::Question::modify ||
           s.limit == lic::Question::redistribute;
}

std::string told(const std::string& where, const lic::Said& s) {
    return fmt::format("{} says: \"{}\" ({})", where, printable(s.sentence, 300),
                       s.known != nullptr ? s.known->name : s.meaning);
}

}  // namespace

std::vector<BoundPart> bound_parts(const std::vector<File>& files) {
    std::vector<BoundPart> out;
    for (const File& f : files) {
        if (!f.is_text || f.ext == ".license") continue;  // a line beside a card is about the card
        const bool data_card = is_data_card(f);
        const bool card = !data_card && (f.name == "README.md" || f.name == "upstream/README.md" ||
                                         (f.base_has("model") && f.base_has("card")));
        if (!data_card && !card) continue;
        std::string folder = data_card ? f.name.substr(0, f.name.rfind('/') + 1) : std::string();
        if (data_card)
            for (const auto& e : read_front_matter(f.text).entries)
                if (e.key == "license" || e.key == "license_name")
                    for (const lic::Said& s : lic::terms_in_words(fmt::format("License: {}\n", e.value)))
                        if (binds(s)) {
                            out.push_back({C::datasets, folder, told(fmt::format("{}:{}", f.name, e.line), s)});
                            if (!folder.empty()) out.push_back({C::evaluation_data, folder, out.back().trouble});
                        }
        for (const lic::Said& s : lic::terms_in_words(f.text, data_card ? lic::About::data : lic::About::model)) {
            if (!binds(s)) continue;
            const std::string trouble = told(fmt::format("{}:{}", f.name, s.line), s);
            if (s.about == lic::About::data) {
                out.push_back({C::datasets, folder, trouble});
                if (!folder.empty()) out.push_back({C::evaluation_data, folder, trouble});
            }
            if (s.about == lic::About::code)
                for (const C c : {C::training_code, C::inference_code, C::evaluation_code, C::data_code})
                    out.push_back({c, "", trouble});
        }
    }
    return out;
}

std::string bound_head(const File& f) {
    if (!f.is_text || f.ext == ".ipynb" || f.ext == ".json" || f.ext == ".txt" || f.ext == ".md") return {};
    std::string head;
    std::string_view closing;
    std::uint32_t line = 0;
    for (std::string_view row : lines_of(std::string_view(f.text).substr(0, 16384))) {
        if (++line > 60) break;
        row = trimmed(row);
        if (closing.empty()) {
            if (row.starts_with("\"\"\"") || row.starts_with("'''")) {
                closing = row.substr(0, 3);
                row.remove_prefix(3);
            } else if (row.starts_with("/*")) {
                closing = "*/";
                row.remove_prefix(2);
            } else if (!row.empty() && !row.starts_with('#') && !row.starts_with("//") && !row.starts_with("--")) {
                break;  // here the code begins
            }
        }
        const std::size_t end = closing.empty() ? std::string_view::npos : row.find(closing);
        std::string_view kept = row.substr(0, end);
        while (!kept.empty() && std::string_view("#/*- \t").find(kept.front()) != std::string_view::npos)
            kept.remove_prefix(1);
        head += std::string(kept) + "\n";
        if (end != std::string_view::npos) closing = {};
    }
    const auto lines = lines_of(head);
    for (std::size_t i = 0; i < lines.size(); ++i) {
        const std::string text = lower(lines[i]);
        for (const char* word : {"proprietary", "confidential", "trade secret", "unauthorized cop"})
            if (text.find(word) != std::string::npos)
                return fmt::format("{}:{} says: \"{}\"", f.name, i + 1, printable(trimmed(lines[i]), 300));
    }
    for (const lic::Said& s : lic::terms_in_words(head, lic::About::code))
        if (binds(s)) return told(fmt::format("{}:{}", f.name, s.line), s);
    return {};
}

}  // namespace freehold::openness
