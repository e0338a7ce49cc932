// What only people know about a model, given to `pack` as a JSON file: uses, limits, data, results, and the answers of
// the EU's template. Nothing of it is guessed; what is left out stays a gap in every document.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace freehold::bundle {

struct DataFile {
    std::string name;          // as it is called in the data card
    std::filesystem::path at;  // on this machine, to take its digest; may be empty
    std::string url, sha256;   // where others get it; hex
    std::string format;        // "application/jsonlines", "text/csv"
    std::vector<std::string> columns;
};

struct Dataset {
    std::string name, url, description, licence, version, published, creator;
    std::string relation = "trained on";  // or "tested on"
    std::vector<std::string> types;       // of SPDX: "text", "image", ...
    std::vector<DataFile> files;
    std::string evidence;  // who says so: "the packer's facts", "README.md, datasets"
};

struct EvalResult {
    std::string task, dataset, dataset_type, split, metric;
    double value = 0;
};

struct Facts {
    std::map<std::string, std::string, std::less<>> texts;  // by key; see facts_form()
    std::map<std::string, std::string, std::less<>> training_content;
    std::vector<std::string> languages;
    std::vector<Dataset> datasets;
    std::vector<EvalResult> results;

    [[nodiscard]] std::string text(std::string_view key) const;
};

// Error{bad_file|usage} naming `what` and the key: an unknown key, a value of the wrong kind. Empty texts count as not
// given. Paths of data files are relative to `folder`.
[[nodiscard]] Facts read_facts(std::string_view json, const std::string& what, const std::filesystem::path& folder);

// An empty form with every key, to be filled in.
[[nodiscard]] std::string facts_form();

}  // namespace freehold::bundle
