// The files of a model as the finders see them: name in parts, size, digest, and the text of those that are text.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/openness/report.h"

namespace freehold::openness {

struct File {
    std::string name;       // as people see it, '/' between folders
    std::string base, ext;  // last part in lower case, and its ending with the point
    std::vector<std::string>
        tokens;  // words of the whole path in lower case: "data/train_v2.jsonl" -> data train v2 jsonl
    std::filesystem::path at;
    std::uint64_t size = 0;
    std::string digest;  // "sha256:..."
    std::string text;    // of text files up to 4 MiB; longer ones their first MiB
    bool is_text = false;
    bool whole = true;     // text holds all of it
    bool pointer = false;  // a Git LFS pointer: the content lies elsewhere

    // Does one of the words "a|b|c" stand in the path?
    [[nodiscard]] bool has(std::string_view words) const;
    // The same for the last part of the path only.
    [[nodiscard]] bool base_has(std::string_view words) const;
};
// Reads what is to be read. What cannot be is told in `notes`.
[[nodiscard]] std::vector<File> open_files(const Target& target, std::vector<std::string>& notes);

// The files that are the model's own. A bundle's documents were written by whoever packed it (forms, bills of
// materials, a card full of gaps) and are evidence of nothing; its publisher's card stands for the model.
[[nodiscard]] std::vector<File> own_files(std::vector<File> files);

[[nodiscard]] std::string lower(std::string_view s);
[[nodiscard]] std::string_view trimmed(std::string_view s) noexcept;
// Lines without their ends; at(i) is line i + 1.
[[nodiscard]] std::vector<std::string_view> lines_of(std::string_view text);
[[nodiscard]] std::size_t count_words(std::string_view text);
// "To be added", "coming soon", TODO and nothing more.
[[nodiscard]] bool is_placeholder(std::string_view text);

// Keys at the top level of a card's front matter, each with its values and the lines they stand in.
struct FrontMatter {
    struct Entry {
        std::string key, value;
        std::uint32_t line = 0;
    };
    std::vector<Entry> entries;
    std::uint32_t results = 0;    // line of the first number under model-index; 0: none
    std::uint32_t last_line = 0;  // of the closing ---; 0: there is none
};
[[nodiscard]] FrontMatter read_front_matter(std::string_view text);

// Gathers what the finders see.
class Findings {
 public:
    Findings();
    void add(Component c, Evidence e) { parts_[static_cast<std::size_t>(c)].evidence.push_back(std::move(e)); }
    void add(Component c, const File& f, Presence p, Sureness s, std::string what, std::uint32_t line = 0,
             std::string key = {});
    // One of a set that is not whole: the file is here and counts no more.
    void demote(Component c, std::string_view base_name, const std::string& why);
    // The folder's own words deny it: what is here by that name counts no more, and `why` quotes them.
    void deny(Component c, const std::string& why);
    // Weights "from during the training" that are the final ones once more are none.
    void unmask_copies();
    void note(std::string sentence) { notes.push_back(std::move(sentence)); }
    // Best evidence first; presence and sureness of each part follow from it.
    [[nodiscard]] std::vector<Part> take();

    std::vector<DataTopic> topics;
    std::vector<Base> bases;
    std::vector<std::string> notes;

 private:
    std::vector<Part> parts_;
};

void find_weights(const std::vector<File>& files, Findings& out);    // weights, optimiser, tokenizer, metadata
void find_code(const std::vector<File>& files, Findings& out);       // code of every role, dependency lists
void find_data(const std::vector<File>& files, Findings& out);       // training and test data, results, samples
void find_documents(const std::vector<File>& files, Findings& out);  // cards, reports, papers; topics; bases
void find_own_words(const std::vector<File>& files, Findings& out);  // sentences that say what is not here
// A data card by its name, or the README of a folder of data.
[[nodiscard]] bool is_data_card(const File& f);

// Whose licence is it? Fills the licence of every part.
void license_parts(const std::vector<File>& files, const licence::Review& review, const licence::Subject& subject,
                   std::vector<Part>& parts);
// mof, checklist, category.
void judge_report(Report& report);
// Why the data that lies here need not be the training data, though it is called so: the card names data sets, or the
// model was made from another one. Empty: nothing speaks against it.
[[nodiscard]] std::string doubt_about_data(const Report& report);
void check_claims(const std::vector<File>& files, Report& report);

}  // namespace freehold::openness
