// Help, errors, exit codes, pipes, JSON and completion: everything about the command line that needs no answer of a
// model.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "command_line.h"
#include "console.h"
#include "freehold/base/value.h"
#include "verb.h"

namespace freehold {
namespace {

using test::freehold_says;
using test::Said;
using test::shell_says;

TEST(Help, EveryVerbHasOneWithAnExample) {
    for (const cli::Verb& verb : cli::all_verbs()) {
        const Said said = freehold_says(std::string(verb.name) + " --help");
        EXPECT_EQ(said.code, 0) << verb.name;
        EXPECT_NE(said.out.find("usage: freehold " + std::string(verb.name)), std::string::npos) << said.out;
        EXPECT_TRUE(said.err.empty()) << said.err;
        const bool has_example = said.out.find("Examples\n") != std::string::npos;
        EXPECT_TRUE(has_example || std::string(verb.name) == "version") << verb.name;
    }
}

TEST(Help, TheProgramAloneShowsTheFirstSteps) {
    const Said said = freehold_says("");
    EXPECT_EQ(said.code, 0);
    EXPECT_NE(said.out.find("freehold pull smollm2:135m"), std::string::npos);
    for (const cli::Verb& verb : cli::all_verbs()) EXPECT_NE(said.out.find(verb.name), std::string::npos) << verb.name;
}

TEST(Help, FitsANarrowTerminal) {
    for (const char* verb : {"", "run", "bench", "tokenize"}) {
        const Said said = freehold_says(std::string(verb) + " --help", {}, "COLUMNS=50");
        std::size_t at = 0;
        int too_wide = 0;
        while (at < said.out.size()) {
            const auto end = std::min(said.out.find('\n', at), said.out.size());
            const std::string line = said.out.substr(at, end - at);
            // Examples are commands to copy: they are never broken.
            if (cli::display_width(line) > 50 && line.find("freehold ") == std::string::npos &&
                said.out.rfind("Examples", at) == std::string::npos &&
                said.out.rfind("Environment", at) == std::string::npos) {
                ++too_wide;
                if (line.find("  ") != 0) ADD_FAILURE() << verb << ": " << line;
            }
            at = end + 1;
        }
        EXPECT_LE(too_wide, 6) << verb << "\n" << said.out;
    }
}

// A change of this list is a change of what people type: make it on purpose, and say so in the commit.
TEST(Options, AreFrozen) {
    const std::string now = cli::list_options(*cli::make_command_line().app);
    const std::filesystem::path frozen = std::filesystem::path(FREEHOLD_SOURCE_DIR) / "tests/cli/options.txt";
    if (std::getenv("FREEHOLD_UPDATE_OPTIONS") != nullptr) std::ofstream(frozen) << now;
    EXPECT_EQ(test::file_text(frozen), now)
        << "FREEHOLD_UPDATE_OPTIONS=1 in the environment of this test writes the list anew.";
}

TEST(Errors, HaveTheirCodesAndAWayOut) {
    const std::string model = test::stories_model();
    const struct {
        std::string arguments;
        int code;
        std::string message;  // part of it
    } cases[] = {
        {"rnu", 2, "Did you mean `freehold run`?"},
        {"run", 2, "needs MODEL"},
        {"run " + model, 2, "There is no prompt."},
        {"run " + model + " hi --temprature 1", 2, "Did you mean --temperature?"},
        {"run " + model + " hi --temperature -1", 2, "temperature"},
        {"run " + model + " hi --profile f64", 2, "There is no profile \"f64\"."},
        {"run " + model + " hi --kv q4_0", 2, "There is no type \"q4_0\""},
        {"run " + model + " hi --threads 0x", 2, "threads"},
        {"run " + model + " hi --max-tokens 0", 2, "makes no sense"},
        {"run " + model + " hi --system x", 2, "chat template"},
        {"run no-such-model hello", 3, "no-such-model"},
        {"run smolm2:135m hello", 3, "smollm2"},
        {"run ./no/such/file.gguf hello", 3, "no/such/file.gguf"},
        {"run " FREEHOLD_SOURCE_DIR "/README.md hello", 4, "README.md"},
        {"show no-such-model", 3, "no-such-model"},
        {"rm no-such-model", 3, "no-such-model"},
        {"tokenize " + model + " --decode 99999", 2, "99999"},
        {"tokenize " + model + " --decode one", 2, "\"one\" is no token id."},
        {"logits " + model, 2, "needs token ids"},
        {"logits " + model + " --tokens 99999", 2, "99999"},
        {"completion tcsh", 2, "bash, zsh, fish"},
        {"pull ftp://example.org/x", 4, "ftp"},
    };
    for (const auto& c : cases) {
        const Said said = freehold_says(c.arguments);
        EXPECT_EQ(said.code, c.code) << c.arguments << "\n" << said.err;
        EXPECT_NE(said.err.find(c.message), std::string::npos) << c.arguments << "\n" << said.err;
        EXPECT_TRUE(said.err.starts_with("freehold: ")) << said.err;
        EXPECT_NE(said.err.find("\n  hint: "), std::string::npos) << "no way out: " << c.arguments << "\n" << said.err;
        EXPECT_TRUE(said.out.empty()) << said.out;
    }
}

TEST(Errors, AreJsonWhenAskedFor) {
    const Said said = freehold_says("run no-such-model hello --json");
    EXPECT_EQ(said.code, 3);
    const Value value = parse_json(said.err, "stderr");
    const auto* map = value.get<ValueMap>();
    ASSERT_NE(map, nullptr);
    EXPECT_EQ(find(*map, "error.kind")->as_string(), "not_found");
    EXPECT_EQ(find(*map, "error.exit_code")->as_int(), 3);
}

TEST(Errors, NoColourWithoutATerminal) {
    EXPECT_EQ(freehold_says("run no-such-model x").err.find('\x1b'), std::string::npos);
    EXPECT_EQ(freehold_says("--help").out.find('\x1b'), std::string::npos);
}

TEST(Pipes, AReaderThatLeavesIsNoError) {
    const Said said =
        shell_says("\"$FREEHOLD\" show " + test::stories_model() + " --keys | head -n 1; exit ${PIPESTATUS:-0}");
    EXPECT_TRUE(said.err.empty()) << said.err;
}

TEST(Json, VersionListDoctorAndShowAreValid) {
    const std::vector<std::string> all = {"version --json",
                                          "list --json",
                                          "list --catalogue --json",
                                          "doctor --no-measure --json",
                                          "show " + test::stories_model() + " --json",
                                          "show " + test::stories_model() + " --tensors --json"};
    for (const std::string& arguments : all) {
        const Said said = freehold_says(arguments);
        ASSERT_EQ(said.code, 0) << arguments << "\n" << said.err;
        EXPECT_NO_THROW(static_cast<void>(parse_json(said.out, arguments))) << said.out;
        EXPECT_TRUE(said.err.empty()) << arguments << said.err;
    }
}

TEST(Store, AModelIsKeptCopiedShownAndRemoved) {
    const std::string folder = test::stories_folder().string();
    ASSERT_EQ(freehold_says("pull " + folder + " --as tiny:one").code, 0);
    EXPECT_EQ(freehold_says("list -q").out, "tiny:one\n");
    EXPECT_EQ(freehold_says("cp tiny:one tiny:two").code, 0);
    EXPECT_EQ(freehold_says("cp tiny:one tiny:two --force").code, 0);
    const Said shown = freehold_says("show tiny:two");
    EXPECT_EQ(shown.code, 0) << shown.err;
    EXPECT_NE(shown.out.find("sha256:"), std::string::npos) << shown.out;
    EXPECT_EQ(freehold_says("run tiny:two '' --temperature 0 --max-tokens 5").out, "Once upon a time,\n");
    EXPECT_EQ(freehold_says("rm tiny:one tiny:two").code, 0);
    EXPECT_EQ(freehold_says("list -q").out, "");
}

bool installed(const std::string& shell) {
    return shell_says("command -v " + shell).code == 0;
}

TEST(Completion, LoadsInTheShellsThatAreHere) {
    // As each script says at its top that it is loaded.
    const std::vector<std::pair<std::string, std::string>> lines = {
        {"bash", "source <(\"$FREEHOLD\" completion bash)"},
        {"zsh", "autoload -U compinit; compinit -u -D; source <(\"$FREEHOLD\" completion zsh)"},
        {"fish", "\"$FREEHOLD\" completion fish | source"}};
    for (const auto& [shell, load] : lines) {
        EXPECT_EQ(freehold_says("completion " + shell).code, 0);
        if (!installed(shell)) {
            std::printf("%s is not installed: its script was printed, not loaded.\n", shell.c_str());
            continue;
        }
        const Said said = shell_says(shell + " -c '" + load + "'");
        EXPECT_EQ(said.code, 0) << shell << ": " << said.err;
        EXPECT_TRUE(said.err.empty()) << shell << ": " << said.err;
        EXPECT_TRUE(said.out.empty()) << shell << ": " << said.out;
    }
}

TEST(Completion, BashOffersVerbsAndOptions) {
    const std::string ask =
        "PATH=\"$(dirname \"$FREEHOLD\"):$PATH\"; source <(\"$FREEHOLD\" completion bash); "
        "try() { COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); COMP_LINE=\"$*\"; COMP_POINT=${#COMP_LINE}; _freehold; "
        "echo \"${COMPREPLY[@]}\"; }; ";
    EXPECT_EQ(shell_says("bash -c '" + ask + "try freehold tok'").out, "tokenize\n");
    EXPECT_EQ(shell_says("bash -c '" + ask + "try freehold run --tem'").out, "--temperature\n");
    EXPECT_EQ(shell_says("bash -c '" + ask + "try freehold run --profile b'").out, "bf16\n");
    EXPECT_EQ(shell_says("bash -c '" + ask + "try freehold completion z'").out, "zsh\n");
}

TEST(Completion, FishOffersVerbsAndOptions) {
    if (!installed("fish")) GTEST_SKIP() << "fish is not installed";
    const auto offered = [](const std::string& line) {  // without what fish tells beside it
        return shell_says("fish --no-config -c '\"$FREEHOLD\" completion fish | source; complete -C \"" + line +
                          "\"' | cut -f 1")
            .out;
    };
    EXPECT_EQ(offered("freehold tok"), "tokenize\n");
    EXPECT_EQ(offered("freehold run --tem"), "--temperature\n");
    EXPECT_EQ(offered("freehold run --profile b"), "bf16\n");
    EXPECT_EQ(offered("freehold completion z"), "zsh\n");
}

// zsh completes in its line editor only, so one is run on a terminal of its own: what stands in the line after the tab
// is executed, and a function of our name prints it.
TEST(Completion, ZshOffersVerbsAndOptions) {
    if (!installed("zsh")) GTEST_SKIP() << "zsh is not installed";
    const std::string script = R"(
zmodload zsh/zpty
zpty line zsh -f -i
zpty -w line 'PS1=; autoload -U compinit; compinit -u -D; source <("$FREEHOLD" completion zsh); bindkey "^I" complete-word'
zpty -w line 'freehold() { print -r -- "<""freehold $*>" }; print "<""ready>"'
zpty -r line seen '*<ready>*'
for words in 'tok' 'run --temp' 'run --profile b' 'completion z'; do
    zpty -w -n line "freehold $words"$'\t\n'
    zpty -r line seen '*<freehold *>*'
    seen=${seen##*<}; print -r -- "${seen%%>*}"
done
zpty -d line
)";
    const Said said = shell_says("TERM=dumb timeout 120 zsh -f", script);
    EXPECT_EQ(said.code, 0) << said.err;
    EXPECT_EQ(said.out,
              "freehold tokenize\nfreehold run --temperature\nfreehold run --profile bf16\nfreehold completion zsh\n");
}

}  // namespace
}  // namespace freehold
