// The program: parses the command line, runs the verb, and turns every error into a sentence and an exit code.
#include <fmt/format.h>

#include <algorithm>
#include <clocale>
#include <csignal>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "console.h"
#include "freehold/base/error.h"
#include "freehold/base/threads.h"
#include "verb.h"
#include "verbs/verbs.h"

namespace {

using freehold::Error;
using freehold::ErrorKind;

// What the user may have meant: the nearest verb or option.
std::string nearest(std::string_view word, const std::vector<std::string>& known) {
    std::string best;
    std::size_t least = 1 + word.size() / 3;
    for (const auto& name : known) {
        const std::size_t distance = freehold::cli::edit_distance(word, name);
        if (distance <= least && (best.empty() || distance < least)) {
            best = name;
            least = distance;
        }
    }
    return best;
}

// The sentences of CLI11 in our words, with the way out.
Error usage_error(const CLI::App& app, const CLI::ParseError& problem, const std::vector<std::string>& args) {
    const auto parsed = app.get_subcommands();
    if (parsed.empty()) {
        for (const auto& word : args) {
            if (word.starts_with('-')) continue;
            std::vector<std::string> verbs;
            for (const auto& verb : freehold::cli::all_verbs()) verbs.emplace_back(verb.name);
            if (std::ranges::find(verbs, word) != verbs.end()) break;
            const std::string near = nearest(word, verbs);
            return {
                ErrorKind::usage, fmt::format("There is no verb \"{}\".", word),
                near.empty() ? "`freehold --help` lists the verbs." : fmt::format("Did you mean `freehold {}`?", near)};
        }
        return {ErrorKind::usage, fmt::format("{}.", problem.what()), "`freehold --help` lists the verbs and options."};
    }
    const CLI::App& verb = *parsed.front();
    std::string hint = fmt::format("`freehold {} --help` lists its options, with examples.", verb.get_name());
    std::string message = problem.what();
    if (dynamic_cast<const CLI::ExtrasError*>(&problem) != nullptr) {
        const auto rest = verb.remaining();
        const std::string word = rest.empty() ? std::string() : rest.front();
        message = fmt::format("`freehold {}` does not know \"{}\"", verb.get_name(), word);
        std::vector<std::string> options;
        for (const CLI::Option* option : verb.get_options()) {
            for (const auto& name : option->get_lnames()) options.push_back("--" + name);
        }
        const std::string near =
            word.starts_with("--") ? nearest(word.substr(0, word.find('=')), options) : std::string();
        if (!near.empty()) hint = fmt::format("Did you mean {}? {}", near, hint);
    } else if (dynamic_cast<const CLI::RequiredError*>(&problem) != nullptr) {
        message =
            fmt::format("`freehold {}` needs {}", verb.get_name(), message.substr(0, message.find(" is required")));
    }
    while (message.ends_with('.') || message.ends_with('\n')) message.pop_back();
    return {ErrorKind::usage, message + ".", hint};
}

int run(const std::vector<std::string>& args) {
    auto line = freehold::cli::make_command_line();
    std::vector<std::string> reversed(args.rbegin(), args.rend());
    try {
        line.app->parse(std::move(reversed));
    } catch (const CLI::CallForHelp&) {
        const auto chosen = line.app->get_subcommands();
        freehold::cli::out((chosen.empty() ? line.app.get() : chosen.front())->help());
        return 0;
    } catch (const CLI::ParseError& problem) {
        throw usage_error(*line.app, problem, args);
    }
    if (*line.version) return freehold::cli::print_version(false);
    if (*line.chosen) return (*line.chosen)();
    freehold::cli::out(freehold::cli::first_steps(std::min(freehold::cli::terminal_width(), 110)));
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    std::setlocale(LC_CTYPE, "");
    freehold::set_float_environment();
    // A closed pipe shows as a failed write; console.cpp then ends the process quietly, sockets get an error instead.
    std::signal(SIGPIPE, SIG_IGN);
    const std::vector<std::string> args(argv + 1, argv + argc);
    const bool json = std::ranges::find(args, "--json") != args.end();
    try {
        return run(args);
    } catch (const Error& error) {
        freehold::cli::report(error, json);
        return freehold::exit_code(error.kind());
    } catch (const std::bad_alloc&) {
        const Error error(
            ErrorKind::out_of_memory, "There is not enough memory for this.",
            "A smaller model, a shorter --context or --no-repack takes less; `freehold doctor` says what fits.");
        freehold::cli::report(error, json);
        return freehold::exit_code(error.kind());
    } catch (const std::exception& fault) {
        const Error error(ErrorKind::internal, fmt::format("Something went wrong inside Freehold: {}.", fault.what()),
                          "This is a fault of Freehold, not yours. Please report it with the command that led to it.");
        freehold::cli::report(error, json);
        return freehold::exit_code(error.kind());
    }
}
