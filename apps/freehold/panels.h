// Panels of stored models: repacked weights kept on disk, so that a start maps them instead of making them. What they
// cost in disk space is said, and nothing fails for want of them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "freehold/base/progress.h"
#include "freehold/store/store.h"

namespace freehold::cli {

// FREEHOLD_PANELS=off: none are made and none are used. Throws Error{usage} for a value that is neither on nor off.
[[nodiscard]] bool panels_wanted();

// For LoadedModelOptions::panels: empty for a path outside the store, or when they are not wanted.
[[nodiscard]] std::filesystem::path panels_for(const Store& store, const LocatedModel& located);

// Makes the panels of a stored model for the profile that suits it, unless they are there, the model is used in place,
// it cannot be run, or another process makes panels now. A disk with little room is told and left alone, and so is any
// fault; only a cancelled Error comes out. Returns the bytes of panels that lie there for the model.
std::uint64_t keep_panels(const Store& store, const StoredModel& model, const Progress& progress,
                          const std::function<void(const std::string&)>& notice);

// What became of one panel file of a stored model when its panels were made anew from the model's files.
struct PanelVerdict {
    enum class Outcome : std::uint8_t { same, other, not_compared } outcome = Outcome::same;
    std::filesystem::path file;
    std::string message;  // a sentence
    std::string hint;     // the way out; empty when they are the same
};

// Every panel file that a run of this model could map, byte for byte. Throws only a cancelled Error.
[[nodiscard]] std::vector<PanelVerdict> examine_panels(const Store& store, const StoredModel& model,
                                                       const Progress& progress);

}  // namespace freehold::cli
