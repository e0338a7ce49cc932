// The program with a model: the story model that the repository carries, on its bare path.
#include <gtest/gtest.h>

#include <cstring>

#include "command_line.h"
#include "freehold/base/value.h"

namespace freehold {
namespace {

using test::freehold_says;
using test::Said;
using test::shell_says;
using test::stories_model;

const Value& at(const Value& value, std::string_view path) {
    const Value* found = find(*value.get<ValueMap>(), path);
    if (found == nullptr) throw std::runtime_error("no " + std::string(path));
    return *found;
}

// What another program wrote down for this model, greedily, from the beginning of a text
// (tests/data/stories260K/README.md).
TEST(Run, StoriesToTheByte) {
    const std::string expected = test::file_text(test::stories_folder() / "expected_greedy.txt");
    const Value ids =
        parse_json(test::file_text(test::stories_folder() / "expected_greedy.json"), "expected_greedy.json");
    const std::string count = std::to_string(at(ids, "greedy_ids").size());
    for (const std::string flags : {"", "--threads 2", "--no-repack", "--kv f16 --profile f32"}) {
        const Said said =
            freehold_says("run " + stories_model() + " '' --temperature 0 --max-tokens " + count + " " + flags);
        EXPECT_EQ(said.code, 0) << said.err;
        ASSERT_TRUE(said.out.ends_with('\n')) << flags;
        const std::string answer = said.out.substr(0, said.out.size() - 1);  // the newline is the program's
        EXPECT_EQ(answer, expected.substr(0, answer.size())) << flags;
        EXPECT_GE(answer.size() + 1, expected.size()) << flags;
    }
}

TEST(Run, TheFolderWillDoToo) {
    EXPECT_EQ(freehold_says("run " + test::stories_folder().string() + " '' --temperature 0 --max-tokens 5").out,
              "Once upon a time,\n");
}

TEST(Run, JsonHasEverythingThatWasPromised) {
    const Said said =
        freehold_says("run " + stories_model() + " 'Once upon a time' --json --seed 7 --max-tokens 8 --logprobs 2");
    ASSERT_EQ(said.code, 0) << said.err;
    const Value value = parse_json(said.out, "stdout");
    EXPECT_EQ(at(value, "tokens").size(), 8U);
    EXPECT_EQ(at(value, "finish_reason").as_string(), "length");
    EXPECT_EQ(at(value, "usage.completion_tokens").as_int(), 8);
    EXPECT_EQ(at(value, "seed").as_int(), 7);
    EXPECT_EQ(at(value, "threads").as_int(), 1);
    EXPECT_EQ(at(value, "profile").as_string(), "f32");
    EXPECT_TRUE(at(value, "digest").as_string()->starts_with("sha256:"));
    EXPECT_EQ(at(value, "logprobs").size(), 8U);
    EXPECT_GT(at(value, "timings.total_seconds").as_double(), 0.0);
    EXPECT_FALSE(at(value, "text").as_string()->empty());
}

// Exactly one newline ends what is printed, so that `| tail -1`, `read` and the next prompt of a shell see whole lines.
TEST(Run, EndsWithOneNewlineInAPipe) {
    const std::string line = "\"$FREEHOLD\" run " + stories_model() + " '' --temperature 0 ";
    EXPECT_EQ(shell_says(line + "--max-tokens 5 | tail -1").out, "Once upon a time,\n");
    EXPECT_EQ(shell_says(line + "--max-tokens 5 | wc -l | tr -d ' '").out, "1\n");
    EXPECT_EQ(shell_says(line + "--max-tokens 5 | { read -r answer; echo $?; }").out, "0\n");
    // An answer that ends with a newline gets no second one, one that is empty gets none.
    const std::string expected = test::file_text(test::stories_folder() / "expected_greedy.txt");
    const std::size_t paragraph = expected.rfind('\n');
    ASSERT_NE(paragraph, std::string::npos);
    const std::string next = expected.substr(paragraph + 1, 8);
    EXPECT_EQ(shell_says(line + "--stop '" + next + "'").out, expected.substr(0, paragraph + 1));
    EXPECT_EQ(shell_says(line + "--stop Once").out, "");
    const Said json = shell_says(line + "--max-tokens 5 --json");
    EXPECT_EQ(at(parse_json(json.out, "stdout"), "text").as_string(), "Once upon a time,");
}

TEST(Run, TheSameSeedGivesTheSameAnswer) {
    const std::string line = "run " + stories_model() + " 'The dog' --max-tokens 30 --temperature 1.2 --seed ";
    const std::string first = freehold_says(line + "5").out;
    EXPECT_FALSE(first.empty());
    EXPECT_EQ(freehold_says(line + "5 --threads 2").out, first);
    EXPECT_NE(freehold_says(line + "6").out, first);
}

TEST(Run, ReadsStandardInput) {
    const std::string line = "run " + stories_model() + " --temperature 0 --max-tokens 12 ";
    const std::string expected = freehold_says(line + "'Once upon a time'").out;
    EXPECT_EQ(freehold_says(line, "Once upon a time\n").out, expected);
    EXPECT_EQ(freehold_says(line + "-", "Once upon a time").out, expected);
}

TEST(Run, StopStringsAndBiasesHold) {
    const std::string line = "run " + stories_model() + " '' --temperature 0 --max-tokens 60 ";
    EXPECT_EQ(freehold_says(line + "--stop ' time'").out, "Once upon a\n");
    EXPECT_EQ(freehold_says(line + "--stop 'xyz' --stop 'upon'").out, "Once \n");
    EXPECT_FALSE(freehold_says(line + "--logit-bias 403=never").out.starts_with("Once"));
}

TEST(Run, AnswersInTheFormThatWasAskedFor) {
    const std::string line = "run " + stories_model() + " 'Tom said' --temperature 0 --max-tokens 60 ";
    EXPECT_EQ(freehold_says(line + "--choice violet --choice indigo").out.substr(0, 3).find_first_of("vi"), 0U);
    const Said pattern = freehold_says(line + "--regex '[0-9]{4}-[0-9]{2}'");
    EXPECT_EQ(pattern.out.size(), 8U) << pattern.out;
    EXPECT_EQ(pattern.out[4], '-');
    const Said json = shell_says("f=$(mktemp); echo '{\"enum\": [[1, 2]]}' > \"$f\"; \"$FREEHOLD\" " + line +
                                 "--json-schema @\"$f\"; rm \"$f\"");
    std::string no_blanks = json.out;
    std::erase_if(no_blanks, [](char c) { return c == ' ' || c == '\n'; });
    EXPECT_EQ(no_blanks, "[1,2]");
    EXPECT_EQ(freehold_says(line + "--grammar 'root ::= \"x\" \"y\"'").out, "xy\n");
    const Said both = freehold_says(line + "--choice a --regex b");
    EXPECT_EQ(both.code, 2);
    EXPECT_NE(both.err.find("more than one form"), std::string::npos);
}

TEST(Run, SaysSoWhenTheContextIsTooSmall) {
    const Said said = freehold_says("run " + stories_model() + " 'Once upon a time there was' --context 4");
    EXPECT_EQ(said.code, 5) << said.err;
}

TEST(Chat, WorksWithoutATerminal) {
    const Said said = freehold_says("chat " + stories_model() + " --temperature 0 --max-tokens 5",
                                    "Once upon\n/temperature\n/set top-k 3\nThe\n");
    EXPECT_EQ(said.code, 0) << said.err;
    EXPECT_EQ(std::count(said.out.begin(), said.out.end(), '\n'), 2) << said.out;
    EXPECT_NE(said.err.find("temperature is 0."), std::string::npos) << said.err;
    EXPECT_NE(said.err.find("top-k is 3 now."), std::string::npos) << said.err;
}

TEST(Chat, AWrongCommandSaysWhichIsMeant) {
    const Said said = freehold_says("chat " + stories_model(), "/quti\n");
    EXPECT_NE(said.err.find("Did you mean /quit?"), std::string::npos) << said.err;
    EXPECT_EQ(said.code, 2);
}

TEST(Tokenize, ThereAndBack) {
    const std::string text = "Once upon a time, \xC3\xA9t\xC3\xA9 \xF0\x9F\x90\xB6\nend";
    const Said ids = freehold_says("tokenize " + stories_model(), text);
    ASSERT_EQ(ids.code, 0) << ids.err;
    EXPECT_EQ(freehold_says("tokenize " + stories_model() + " --decode --no-special", ids.out).out, text);
    EXPECT_EQ(freehold_says("tokenize " + stories_model() + " 'Once upon a time'").out, "1 403 407 261 378\n");
    EXPECT_EQ(freehold_says("tokenize " + stories_model() + " --no-special 'Once upon a time'").out,
              "403 407 261 378\n");
    EXPECT_EQ(freehold_says("tokenize " + stories_model() + " --jsonl", "\"Once upon\"\n\"\"\n").out,
              "[1,403,407]\n[1]\n");
}

TEST(Template, ABareFileRendersToTheByte) {
    const Said said = shell_says(
        "d=$(mktemp -d); printf '%s' '{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if "
        "add_generation_prompt %}<assistant>{% endif %}{{ strftime_now(\"%Y\") }}' "
        "> $d/t.jinja; \"$FREEHOLD\" template $d/t.jinja -m - --now 2026-01-31; rm -r $d",
        "[{\"role\":\"user\",\"content\":\"Hi \xC3\xA9\"}]");
    EXPECT_EQ(said.code, 0) << said.err;
    EXPECT_EQ(said.out, "<user>Hi \xC3\xA9<assistant>2026");
}

// A template that asks whether there are tools gets an answer, not an undefined name: they are null until given.
TEST(Template, ABareFileSeesToolsAndDocumentsAsNull) {
    const auto rendered = [](const std::string& request) {
        const Said said = shell_says(
            "d=$(mktemp -d); printf '%s' '{{ tools is defined }} {{ tools is none }} {{ documents is defined }} {{ "
            "documents is none }}' > $d/t.jinja; \"$FREEHOLD\" template $d/t.jinja -m -; code=$?; rm -r $d; exit $code",
            request);
        EXPECT_EQ(said.code, 0) << said.err;
        return said.out;
    };
    EXPECT_EQ(rendered("[{\"role\":\"user\",\"content\":\"Hi\"}]"), "True True True True");
    EXPECT_EQ(rendered("{\"messages\":[],\"tools\":null,\"documents\":null}"), "True True True True");
    EXPECT_EQ(rendered("{\"messages\":[],\"tools\":[{\"type\":\"function\"}],\"documents\":[{\"title\":\"a\"}]}"),
              "True False True False");
}

TEST(Logits, NumpyFileHasARowAToken) {
    const Said said = shell_says("f=$(mktemp); \"$FREEHOLD\" logits " + stories_model() +
                                 " --tokens 1,403,407 -o $f >/dev/null 2>&1; cat $f; rm $f");
    const std::string expected = "\x93NUMPY";
    ASSERT_EQ(said.out.substr(0, 6), expected);
    const auto header = static_cast<std::size_t>(static_cast<unsigned char>(said.out[8])) +
                        256U * static_cast<unsigned char>(said.out[9]);
    EXPECT_EQ((10 + header) % 64, 0U);
    EXPECT_NE(said.out.substr(10, header).find("'shape': (3, 512)"), std::string::npos);
    ASSERT_EQ(said.out.size(), 10 + header + 3 * 512 * 4);
    // The first logits that the other program wrote down.
    const Value ids =
        parse_json(test::file_text(test::stories_folder() / "expected_greedy.json"), "expected_greedy.json");
    for (std::size_t i = 0; i < 16; ++i) {
        float logit = 0;
        std::memcpy(&logit, said.out.data() + 10 + header + 4 * i, 4);
        EXPECT_NEAR(logit, *at(ids, "logits_first_step_first16").at(i).as_double(), 1e-3) << i;
    }
}

TEST(Perplexity, OfAStoryIsLow) {
    const std::string story = test::file_text(test::stories_folder() / "expected_greedy.txt");
    const Said said = freehold_says("perplexity " + stories_model() + " - --context 64 --json", story);
    ASSERT_EQ(said.code, 0) << said.err;
    const double perplexity = *at(parse_json(said.out, "stdout"), "perplexity").as_double();
    EXPECT_GT(perplexity, 1.0);
    EXPECT_LT(perplexity, 10.0);
}

TEST(Bench, PrintsTheFieldsThatProgramsRead) {
    const Said said = freehold_says("bench " + stories_model() + " --prompt 16 --gen 8 -r 2 --no-peaks --json");
    ASSERT_EQ(said.code, 0) << said.err;
    const Value value = parse_json(said.out, "stdout");
    ASSERT_EQ(value.size(), 2U);
    EXPECT_EQ(at(value.at(0), "test").as_string(), "pp16");
    EXPECT_EQ(at(value.at(1), "test").as_string(), "tg8");
    for (const char* key : {"model", "file_bytes", "n_prompt", "n_gen", "n_seq", "depth", "threads", "isa", "profile",
                            "kv", "tokens_per_second.median", "tokens_per_second.min", "tokens_per_second.max",
                            "share_of_bandwidth", "share_of_peak"}) {
        EXPECT_NO_THROW(static_cast<void>(at(value.at(1), key))) << key;
    }
    EXPECT_GT(at(value.at(1), "tokens_per_second.median").as_double(), 0.0);
}

}  // namespace
}  // namespace freehold
