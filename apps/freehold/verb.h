// The table of verbs. A verb is one file: it says its options once (CLI11), and what to do when it is called; help,
// completion scripts and the frozen list of options are made from the same declaration.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <span>
#include <string>

namespace freehold::cli {

// Runs after the whole command line was understood. Returns the exit code; throws Error.
using Action = std::function<int()>;

struct Verb {
    const char* name;
    const char* group;    // heading in the help of `freehold`
    const char* summary;  // one line, no full stop
    Action (*setup)(CLI::App& app);
};

[[nodiscard]] std::span<const Verb> all_verbs() noexcept;

// The whole command line as one tree, with every verb set up. `chosen` receives the action of the verb that was parsed.
struct CommandLine {
    std::unique_ptr<CLI::App> app;
    std::shared_ptr<Action> chosen;
    std::shared_ptr<bool> version;
};
[[nodiscard]] CommandLine make_command_line();

// Every option of every verb, one a line ("run --temperature FLOAT"), sorted: what the frozen list holds.
[[nodiscard]] std::string list_options(const CLI::App& app);

// `freehold` alone: the common verbs and the first steps.
[[nodiscard]] std::string first_steps(int width);

}  // namespace freehold::cli
