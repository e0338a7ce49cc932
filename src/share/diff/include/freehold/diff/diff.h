// What changed between two versions of a model: tensors, tokenizer, chat template, licence, card, configuration, and
// every other file that lies beside them. Both are hostile input and are only read; tensors pass through a few
// megabytes of memory whatever their size.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "freehold/base/progress.h"
#include "freehold/base/value.h"
#include "freehold/store/store.h"

namespace freehold::diff {

// One of the two, found by name or path.
struct Side {
    std::string name;                                                  // as it was asked for
    std::filesystem::path path;                                        // for ModelFiles::open
    std::string digest;                                                // of a stored model's manifest; else empty
    std::vector<std::pair<std::string, std::filesystem::path>> files;  // every file: name in the model, where it lies
    std::vector<std::pair<std::string, std::string>> digests;          // name, "sha256:..."; stored models only
    std::optional<StoredModel> stored;
};
// A stored name, a file or a folder. Throws Error{not_found|io}.
[[nodiscard]] Side find_side(const Store& store, const std::string& name_or_path);

struct Options {
    bool values = true;  // false: names, types and shapes only, which takes no time
    Progress progress;
};

enum class Change : std::uint8_t { added, removed, changed };
[[nodiscard]] const char* change_name(Change c) noexcept;

// Differences of numbers, b - a, over all values that both have.
struct Numbers {
    std::uint64_t count = 0;       // values compared
    std::uint64_t changed = 0;     // values that differ (two NaN do not, 0 and -0 neither)
    std::uint64_t not_finite = 0;  // of these, where a NaN or an infinity stands on one side: in no figure below
    double largest = 0;            // |b - a|
    double rms = 0;                // of b - a, over all `count`
    double relative = 0;           // rms / rms of a; 0 where a is all zero
};

struct TensorChange {
    std::string name, layer;
    Change change = Change::changed;
    std::string dtype_a, dtype_b;  // empty on the side where it is not
    std::vector<std::int64_t> shape_a, shape_b;
    bool dtype = false, shape = false, values = false;  // what differs
    std::optional<Numbers> numbers;                     // of values; without it only bytes could be compared
    std::string why_not;                                // why the values were not compared, if they were not
};

struct LayerChange {
    std::string layer;  // "layer 3", "embedding", "output", "other"
    std::uint64_t tensors = 0, tensors_changed = 0;
    Numbers numbers;  // over all tensors of the layer that both have with one shape
};

struct Tensors {
    std::uint64_t count_a = 0, count_b = 0, same = 0;
    bool values_compared = true;
    std::vector<TensorChange> changes;  // by name, as people count: layer 2 before layer 10
    std::vector<LayerChange> layers;    // all layers, in order
};

// One line of two texts laid over each other.
struct Line {
    char mark = ' ';                           // ' ', '-', '+'
    std::uint32_t number_a = 0, number_b = 0;  // from 1; 0: not on that side
    std::string text;
};
struct TextChange {
    std::string name;  // "chat template", "README.md"
    bool in_a = false, in_b = false;
    std::vector<Line> lines;  // what differs, with three lines around it
    std::uint64_t added = 0, removed = 0;
    bool cut = false;  // more lines differ than are shown
};

struct KeyChange {
    std::string key;
    Change change = Change::changed;
    std::string a, b;  // as JSON; long ones shortened
};

struct Tokenizer {
    bool in_a = false, in_b = false;
    std::uint64_t size_a = 0, size_b = 0;             // entries of the vocabulary
    std::uint64_t added = 0, removed = 0, moved = 0;  // moved: the same text under another id
    std::vector<std::string> added_examples, removed_examples, moved_examples;
    std::uint64_t scores_changed = 0, types_changed = 0;
    std::uint64_t merges_a = 0, merges_b = 0, merges_added = 0, merges_removed = 0;
    bool merges_reordered = false;   // the same pairs in another order
    std::vector<KeyChange> special;  // special tokens: which text, which id, which flags
    std::vector<KeyChange> parts;    // normaliser, pre-tokenizer, post-processor, decoder, and other settings
    [[nodiscard]] bool same() const noexcept;
};

struct ClauseChange {
    std::string question;  // "May its outputs train other models"
    std::string answer_a, answer_b;
    std::string quote_a, quote_b;  // "LICENSE:12: ..."
};
struct Licences {
    std::vector<std::string> a, b;      // what was found: "LICENSE: Apache-2.0", "README.md claims mit"
    std::vector<std::string> altered;   // clauses of a known text that one side has changed
    std::vector<ClauseChange> clauses;  // answers that differ
    std::vector<TextChange> texts;      // files that differ
    bool differs = false;
};

// A file that is none of the parts above: code, pickles, anything. Only told apart, not looked into.
struct FileChange {
    std::string name;
    Change change = Change::changed;
    std::uint64_t size_a = 0, size_b = 0;
};

struct Report {
    Side a, b;
    bool same_files = false;  // byte for byte: nothing else was looked at
    Tensors tensors;
    Tokenizer tokenizer;
    std::vector<TextChange> templates;
    Licences licence;
    std::vector<KeyChange> card;         // front matter
    std::vector<TextChange> card_prose;  // what follows it
    std::vector<KeyChange> config;
    std::vector<FileChange> files;   // by name
    std::vector<std::string> notes;  // what could not be compared, and why
    [[nodiscard]] bool same() const noexcept;
};

// Throws Error for a side that cannot be opened at all, and what `progress` throws; what else cannot be read is a note.
[[nodiscard]] Report compare(const Side& a, const Side& b, const Options& options);

[[nodiscard]] Value to_value(const Report& report);

}  // namespace freehold::diff
