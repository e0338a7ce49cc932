// freehold completion: scripts for bash, zsh and fish, written from the same tree that parses the command line.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "../console.h"
#include "freehold/base/error.h"
#include "verbs.h"

namespace freehold::cli {
namespace {

struct VerbWords {
    std::string name, summary;
    std::vector<std::pair<std::string, std::string>> options;  // with dashes, help
    std::vector<std::string> with_value;                       // options that take one
    bool takes_model = false;
};

std::string first_sentence(const std::string& text) {
    return text.substr(0, text.find_first_of(".;(\n"));
}

std::vector<VerbWords> all_words(const CLI::App& app) {
    std::vector<VerbWords> verbs;
    for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
        VerbWords words;
        words.name = verb->get_name();
        words.summary = verb->get_description();
        for (const CLI::Option* option : verb->get_options()) {
            if (option->get_positional()) {
                words.takes_model =
                    words.takes_model || option->get_type_name() == "MODEL" || option->get_type_name() == "FROM";
                continue;
            }
            std::vector<std::string> names;
            for (const auto& s : option->get_snames()) names.push_back("-" + s);
            for (const auto& l : option->get_lnames()) names.push_back("--" + l);
            for (const auto& name : names) {
                words.options.emplace_back(name, first_sentence(option->get_description()));
                if (option->get_expected_max() > 0) words.with_value.push_back(name);
            }
        }
        verbs.push_back(std::move(words));
    }
    return verbs;
}

std::string names_of(const VerbWords& verb) {
    std::string names;
    for (const auto& [name, help] : verb.options) names += (names.empty() ? "" : " ") + name;
    return names;
}

std::string bash_script(const std::vector<VerbWords>& verbs) {
    std::string text =
        "# Completion of freehold for bash. Load it with: source <(freehold completion bash)\n"
        "_freehold() {\n"
        "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} verb= options= values= models=0 "
        "i\n"
        "    COMPREPLY=()\n"
        "    # A name such as smollm2:135m arrives in three words when the colon breaks words.\n"
        "    local line=${COMP_LINE:0:COMP_POINT}\n"
        "    local whole=${line##*[[:space:]]}\n"
        "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
        "        if [[ ${COMP_WORDS[i]} != -* ]]; then verb=${COMP_WORDS[i]}; break; fi\n"
        "    done\n"
        "    case $verb in\n"
        "        '')\n"
        "            mapfile -t COMPREPLY < <(compgen -W '";
    for (const auto& verb : verbs) text += verb.name + " ";
    text += "--help --version' -- \"$word\")\n            return ;;\n";
    for (const auto& verb : verbs) {
        text += fmt::format("        {}) options='{}' values=' {} ' models={} ;;\n", verb.name, names_of(verb),
                            fmt::join(verb.with_value, " "), verb.takes_model ? 1 : 0);
    }
    text +=
        "    esac\n"
        "    if [[ $word == -* ]]; then\n"
        "        mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$word\")\n"
        "    elif [[ $before == -* && $values == *\" $before \"* ]]; then\n"
        "        case $before in\n"
        "            --profile) mapfile -t COMPREPLY < <(compgen -W 'f32 bf16 q8' -- \"$word\") ;;\n"
        "            --kv) mapfile -t COMPREPLY < <(compgen -W 'f32 f16 q8_0' -- \"$word\") ;;\n"
        "            *) mapfile -t COMPREPLY < <(compgen -f -- \"$word\") ;;\n"
        "        esac\n"
        "    elif [[ $verb == completion ]]; then\n"
        "        mapfile -t COMPREPLY < <(compgen -W 'bash zsh fish' -- \"$word\")\n"
        "    else\n"
        "        local names=\n"
        "        if ((models)); then names=$(freehold list --quiet 2>/dev/null); fi\n"
        "        if [[ $verb == pull ]]; then names=$(freehold list --catalogue --quiet 2>/dev/null); fi\n"
        "        mapfile -t COMPREPLY < <(compgen -W \"$names\" -- \"$whole\"; compgen -f -- \"$whole\")\n"
        "        if [[ $whole == *:* && $COMP_WORDBREAKS == *:* ]]; then\n"
        "            local head=${whole%\"${whole##*:}\"}\n"
        "            COMPREPLY=(\"${COMPREPLY[@]#\"$head\"}\")\n"
        "        fi\n"
        "    fi\n"
        "}\n"
        "complete -o default -F _freehold freehold\n";
    return text;
}

std::string zsh_quoted(const std::string& text) {
    std::string quoted;
    for (const char c : text) {
        if (c == '\'') {
            quoted += "'\\''";
        } else if (c == '[' || c == ']' || c == ':') {
            quoted += '\\';
            quoted += c;
        } else {
            quoted += c;
        }
    }
    return quoted;
}

std::string zsh_script(const std::vector<VerbWords>& verbs) {
    std::string text =
        "#compdef freehold\n"
        "# Completion of freehold for zsh. Load it with: source <(freehold completion zsh)\n"
        "_freehold_models() { local -a names; names=(${(f)\"$(freehold list --quiet 2>/dev/null)\"}); compadd -a "
        "names; _files }\n"
        "_freehold_catalogue() { local -a names; names=(${(f)\"$(freehold list --catalogue --quiet 2>/dev/null)\"}); "
        "compadd -a names; _files }\n"
        "_freehold() {\n"
        "    local -a verbs\n"
        "    verbs=(\n";
    for (const auto& verb : verbs) text += fmt::format("        '{}:{}'\n", verb.name, zsh_quoted(verb.summary));
    text +=
        "    )\n"
        "    if ((CURRENT == 2)); then _describe verb verbs; return; fi\n"
        "    local verb=$words[2]\n"
        "    shift words; ((CURRENT--))\n"
        "    case $verb in\n";
    for (const auto& verb : verbs) {
        text += fmt::format("        {})\n            _arguments", verb.name);
        for (const auto& [name, help] : verb.options) {
            const bool value = std::ranges::find(verb.with_value, name) != verb.with_value.end();
            std::string action = value ? ":value:_files" : "";
            if (name == "--profile") action = ":profile:(f32 bf16 q8)";
            if (name == "--kv") action = ":type:(f32 f16 q8_0)";
            text += fmt::format(" \\\n                '{}[{}]{}'", name, zsh_quoted(help), action);
        }
        std::string rest = "*:file:_files";
        if (verb.takes_model) rest = "*:model:_freehold_models";
        if (verb.name == "pull") rest = "*:model:_freehold_catalogue";
        if (verb.name == "completion") rest = "1:shell:(bash zsh fish)";
        text += fmt::format(" \\\n                '{}' ;;\n", rest);
    }
    text +=
        "    esac\n"
        "}\n"
        "if [ \"$funcstack[1]\" = _freehold ]; then _freehold \"$@\"; else compdef _freehold freehold; fi\n";
    return text;
}

std::string fish_quoted(const std::string& text) {
    std::string quoted;
    for (const char c : text) {
        if (c == '\'' || c == '\\') quoted += '\\';
        quoted += c;
    }
    return quoted;
}

std::string fish_script(const std::vector<VerbWords>& verbs) {
    std::string text =
        "# Completion of freehold for fish. Load it with: freehold completion fish | source\n"
        "complete -c freehold -e\n"
        "complete -c freehold -n __fish_use_subcommand -f\n";
    for (const auto& verb : verbs) {
        text += fmt::format("complete -c freehold -n __fish_use_subcommand -a {} -d '{}'\n", verb.name,
                            fish_quoted(verb.summary));
        const std::string here = fmt::format("complete -c freehold -n '__fish_seen_subcommand_from {}'", verb.name);
        for (const auto& [name, help] : verb.options) {
            const bool value = std::ranges::find(verb.with_value, name) != verb.with_value.end();
            std::string rest = value ? " -r" : "";
            if (name == "--profile") rest = " -x -a 'f32 bf16 q8'";
            if (name == "--kv") rest = " -x -a 'f32 f16 q8_0'";
            text += fmt::format("{} {} {}{} -d '{}'\n", here, name.starts_with("--") ? "-l" : "-s",
                                name.substr(name.find_first_not_of('-')), rest, fish_quoted(help));
        }
        if (verb.takes_model) text += here + " -a '(freehold list --quiet 2>/dev/null)'\n";
        if (verb.name == "pull") text += here + " -a '(freehold list --catalogue --quiet 2>/dev/null)'\n";
        if (verb.name == "completion") text += here + " -x -a 'bash zsh fish'\n";
    }
    return text;
}

int completion_verb(const std::string& shell) {
    const CommandLine line = make_command_line();
    const auto verbs = all_words(*line.app);
    if (shell == "bash") {
        out(bash_script(verbs));
    } else if (shell == "zsh") {
        out(zsh_script(verbs));
    } else if (shell == "fish") {
        out(fish_script(verbs));
    } else {
        throw Error(ErrorKind::usage, fmt::format("There is no completion script for \"{}\".", shell),
                    "Shells: bash, zsh, fish.");
    }
    return 0;
}

}  // namespace

Action setup_completion(CLI::App& app) {
    auto shell = std::make_shared<std::string>();
    app.add_option("SHELL", *shell, "bash, zsh or fish")->required()->type_name("SHELL");
    app.footer(
        "Examples\n"
        "  source <(freehold completion bash)                                   now, in this shell\n"
        "  freehold completion bash > ~/.local/share/bash-completion/completions/freehold\n"
        "  freehold completion zsh > \"${fpath[1]}/_freehold\"\n"
        "  freehold completion fish > ~/.config/fish/completions/freehold.fish");
    return [shell] { return completion_verb(*shell); };
}

}  // namespace freehold::cli
