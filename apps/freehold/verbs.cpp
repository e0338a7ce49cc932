// Every verb by name and group, and the tree that CLI11 parses, prints and completes.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "console.h"
#include "help.h"
#include "verb.h"
#include "verbs/verbs.h"

namespace freehold::cli {
namespace {

constexpr const char* kUse = "Use a model";
constexpr const char* kKeep = "Get and keep models";
constexpr const char* kStudy = "Look inside and check";
constexpr const char* kShare = "Pass a model on";
constexpr const char* kProgram = "The machine and the program";

constexpr std::array kVerbs = {
    Verb{"run", kUse, "Answer one prompt, or chat when there is none", setup_run},
    Verb{"chat", kUse, "Talk with a model", setup_chat},
    Verb{"serve", kUse, "Answer programs over HTTP: OpenAI's API and others", setup_serve},
    Verb{"embed", kUse, "Turn texts into vectors, or rank them by a question", setup_embed},
    Verb{"translate", kUse, "Translate texts with a model made for it (Marian, T5)", setup_translate},
    Verb{"pull", kKeep, "Fetch a model by name, or from a file, folder, URL, package or registry", setup_pull},
    Verb{"push", kKeep, "Send a model to an OCI registry, with its signatures and reports", setup_push},
    Verb{"list", kKeep, "List the models on this machine, and those known by name", setup_list},
    Verb{"show", kKeep, "Show what a model is: sizes, licence, template, files, memory", setup_show},
    Verb{"cp", kKeep, "Give a model a second name", setup_cp},
    Verb{"quantize", kKeep, "Write a model with fewer bits, as a GGUF file", setup_quantize},
    Verb{"convert", kKeep, "Turn a Hugging Face folder into a GGUF file, or back", setup_convert},
    Verb{"plan", kKeep, "Say what a model would take, how fast it would be and what it would cost", setup_plan},
    Verb{"rm", kKeep, "Remove a model", setup_rm},
    Verb{"scan", kStudy, "Look for hostile content in model files, without running any of it", setup_scan},
    Verb{"tokenize", kStudy, "Turn text into token ids, or ids into text", setup_tokenize},
    Verb{"template", kStudy, "Render messages with a chat template", setup_template},
    Verb{"logits", kStudy, "Compute the logits of given tokens", setup_logits},
    Verb{"perplexity", kStudy, "Measure how well a model predicts a text", setup_perplexity},
    Verb{"licence", kStudy, "Say which licence a model is under and what it allows, with its words", setup_licence},
    Verb{"openness", kStudy, "Say which parts of a model are open, under which terms, with evidence", setup_openness},
    Verb{"diff", kStudy, "Say what changed between two versions of a model", setup_diff},
    Verb{"advisory", kStudy, "Say that a model must not be used, signed, and heed those who say so", setup_advisory},
    Verb{"bench", kStudy, "Measure how fast a model reads and writes", setup_bench},
    Verb{"lineage", kShare, "Say where a model comes from, from its data to what was made of it", setup_lineage},
    Verb{"pack", kShare, "Put a model, its documents and a signature into one folder or file", setup_pack},
    Verb{"verify", kShare, "Say whether a bundle is what its signer made, and what cannot be told", setup_verify},
    Verb{"sign", kShare, "Sign the files of a folder, e.g. of a release", setup_sign},
    Verb{"signing-key", kShare, "Make a key that signs bundles", setup_signing_key},
    Verb{"config", kProgram, "Check and show the settings of the server", setup_config},
    Verb{"key", kProgram, "Make, list, revoke and rotate the keys of the server", setup_key},
    Verb{"audit", kProgram, "Verify, show and export the record of who asked what", setup_audit},
    Verb{"backup", kProgram, "Write keys, audit log and configuration into one file", setup_backup},
    Verb{"restore", kProgram, "Bring a backup back, checked before anything is replaced", setup_restore},
    Verb{"purge", kProgram, "Remove what is older than the policy keeps", setup_purge},
    Verb{"doctor", kProgram, "Say what this machine has and which models will fit", setup_doctor},
    Verb{"completion", kProgram, "Print the completion script of a shell", setup_completion},
    Verb{"version", kProgram, "Print the version", setup_version},
};

void collect_options(const CLI::App& app, const std::string& path, std::vector<std::string>& lines) {
    for (const CLI::Option* option : app.get_options()) {
        std::string line = path;
        if (option->get_positional()) {
            line += " <" + option->get_name(true) + ">";
        } else {
            for (const auto& s : option->get_snames()) line += " -" + s;
            for (const auto& l : option->get_lnames()) line += " --" + l;
            if (option->get_expected_max() > 0) line += " " + option->get_type_name();
        }
        lines.push_back(line);
    }
    for (const CLI::App* sub : app.get_subcommands({})) collect_options(*sub, path + " " + sub->get_name(), lines);
}

}  // namespace

std::span<const Verb> all_verbs() noexcept {
    return kVerbs;
}

CommandLine make_command_line() {
    CommandLine line;
    line.app = std::make_unique<CLI::App>("Freehold: use, study, modify and share open models on your own hardware.",
                                          "freehold");
    line.chosen = std::make_shared<Action>();
    line.version = std::make_shared<bool>(false);
    CLI::App& app = *line.app;
    app.formatter(std::make_shared<HelpFormatter>());
    app.set_help_flag("-h,--help", "Print this help");
    app.add_flag("--version", *line.version, "Print the version");
    app.require_subcommand(0, 1);
    app.footer(exit_code_table() +
               "\n\nEnvironment\n"
               "  FREEHOLD_HOME     where models are kept (default ~/.local/share/freehold)\n"
               "  FREEHOLD_CONFIG   the server's file of settings; every setting has a name of its own here too\n"
               "  FREEHOLD_THREADS  threads, where --threads does not say\n"
               "  FREEHOLD_ISA      the instruction set to use, as `freehold doctor` lists them\n"
               "  NO_COLOR          no colour when set\n"
               "\n`freehold VERB --help` says more, with examples.");
    for (const Verb& verb : all_verbs()) {
        CLI::App* sub = app.add_subcommand(verb.name, verb.summary);
        sub->group(verb.group);
        sub->fallthrough(false);
        sub->positionals_at_end(false);
        Action action = verb.setup(*sub);
        sub->callback([chosen = line.chosen, action] { *chosen = action; });
    }
    return line;
}

std::string list_options(const CLI::App& app) {
    std::vector<std::string> lines;
    collect_options(app, app.get_name(), lines);
    std::ranges::sort(lines);
    return fmt::format("{}\n", fmt::join(lines, "\n"));
}

std::string first_steps(int width) {
    std::string text =
        styled("Freehold", Style::bold) + ": use, study, modify and share open models on your own hardware.\n\n";
    text += styled("First steps", Style::bold) + "\n";
    const std::array<std::pair<const char*, const char*>, 4> steps = {{
        {"freehold doctor", "what this machine is, what will fit"},
        {"freehold pull smollm2:135m", "fetch a small chat model"},
        {"freehold run smollm2:135m \"Why is the sky blue?\"", "ask it once"},
        {"freehold chat smollm2:135m", "talk with it"},
    }};
    for (const auto& [command, meaning] : steps) {
        const std::string left = fmt::format("  {}", command);
        text += width >= 90 ? fmt::format("{:<54}{}\n", left, meaning) : fmt::format("{}\n      {}\n", left, meaning);
    }
    text += "\n" + styled("Verbs", Style::bold) + "\n";
    const char* group = "";
    std::string names;
    const auto flush = [&] {
        if (!names.empty()) text += wrapped(fmt::format("  {:<29}{}", group, names), width, 31) + "\n";
        names.clear();
    };
    for (const Verb& verb : all_verbs()) {
        if (std::string_view(group) != verb.group) {
            flush();
            group = verb.group;
        }
        names += (names.empty() ? "" : ", ") + std::string(verb.name);
    }
    flush();
    return text +
           "\n`freehold --help` lists them with a line each; `freehold VERB --help` has the options and examples.\n";
}

}  // namespace freehold::cli
