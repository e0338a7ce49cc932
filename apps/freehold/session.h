// A model that a verb works with: found by name or path, loaded with the flags of the command line, with an engine over
// it.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "freehold/base/value.h"
#include "freehold/engine/engine.h"
#include "freehold/engine/host.h"
#include "freehold/engine/loaded_adapter.h"
#include "freehold/store/store.h"

namespace freehold::cli {

// The options that every verb shares which runs a model.
struct ModelFlags {
    std::string model;
    std::string profile;  // empty: what serves the file best
    std::string kv;       // empty: what the profile asks for
    int threads = 0;
    int context = 0;  // 0: the model's own
    bool no_repack = false;
    bool json = false;
    bool yes = false;  // fetch a missing model without asking
    bool no_speculation = false;
    std::string draft_model;
    int draft_tokens = 0;        // 0: the engine's choice
    bool takes_adapter = false;  // MODEL may be MODEL+ADAPTER
    std::string adapter;         // --adapter: a name of the store or a path
};
void add_model_flags(CLI::App& app, ModelFlags& flags);
// For verbs that answer: --no-speculation, --draft-model, --draft-tokens.
void add_speculation_flags(CLI::App& app, ModelFlags& flags);
// For verbs that run a model with an adapter: --adapter, and MODEL+ADAPTER as the name.
void add_adapter_flag(CLI::App& app, ModelFlags& flags);
void add_json_flag(CLI::App& app, bool& json);

// --threads, else FREEHOLD_THREADS, else 0 (all that the process may use). Throws Error{usage}.
[[nodiscard]] int wanted_threads(int flag);
[[nodiscard]] LoadedModelOptions load_options(const ModelFlags& flags);

// A stored name, a path, or a name of the catalogue: the last is fetched after a question on a terminal (or without one
// when `yes`); otherwise Error{not_found} with the command to type.
[[nodiscard]] LocatedModel find_or_pull(const Store& store, const std::string& model, bool yes);

struct Session {
    std::unique_ptr<Host> host;
    LocatedModel located;
    std::shared_ptr<const LoadedModel> model;
    std::shared_ptr<const LoadedAdapter> adapter;  // null: the model as it is
    std::unique_ptr<Engine> engine;
    double load_seconds = 0;

    // The name in the store, or the path as it was given; with "+" and the adapter's where there is one.
    [[nodiscard]] std::string name() const;
    // The manifest's digest, or the SHA-256 of a bare file (of the list of digests when there are several files).
    [[nodiscard]] std::string digest() const;
};
// Loads the model; `engine_options` null: no engine.
[[nodiscard]] Session open_session(const ModelFlags& flags, const EngineOptions* engine_options);
// What every --json output says about how it was computed: model, digest, profile, kv, threads, isa.
[[nodiscard]] ValueMap describe_session(const Session& session);

}  // namespace freehold::cli
