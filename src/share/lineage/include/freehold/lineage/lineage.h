// Where a model comes from, as far as it is known: data, base, what was made of it. What the store wrote down ties one
// version to another by digest; what a card or a file says is a claim; and what nobody says is told as a gap.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "freehold/base/value.h"
#include "freehold/store/store.h"

namespace freehold::lineage {

// How sure an arrow is: `digest` (the manifest names the parent's digest) or `claim` (a file says a name).
enum class Tie : std::uint8_t { digest, claim };

struct Node {
    std::string kind;      // "model", "adapter", "dataset"
    std::string name;      // in the store, or as it is claimed
    std::string digest;    // of its manifest; empty: not known
    std::string relation;  // to what was made of it: "quantised from", "adapter of", "trained on"; empty for the root
    Tie tie = Tie::digest;
    std::string evidence;  // "the store's manifest", "README.md, base_model"
    bool here = false;     // its files are on this machine
    std::string source, revision, created, architecture, quantisation, licence;  // what the store knows of it
    std::uint64_t parameters = 0;
    std::vector<std::pair<std::string, std::string>> files;  // path, digest
    std::vector<std::string> gaps;                           // sentences: what is not known
    std::vector<Node> parents;
};

// Files of a model that is looked at: name in the model, where it lies.
using Files = std::vector<std::pair<std::string, std::filesystem::path>>;

// From a stored model up to its data, at most 16 generations. What cannot be read becomes a gap.
[[nodiscard]] Node trace(const Store& store, const StoredModel& model);
// From files outside the store: what they claim. `name` as it is shown.
[[nodiscard]] Node trace_files(const std::string& name, const Files& files);

// Models of the store that were made from this one, through however many steps.
[[nodiscard]] std::vector<StoredModel> descendants(const Store& store, const std::string& manifest_digest);

[[nodiscard]] Value to_value(const Node& node);
// Lines of a tree for people, without an end of line; printable on a terminal.
[[nodiscard]] std::vector<std::string> tree_lines(const Node& node);

}  // namespace freehold::lineage
