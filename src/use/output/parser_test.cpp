// Every form of calls and thinking: whole, byte by byte and cut at random give the same; what is broken stays text.
#include "freehold/output/parser.h"

#include <gtest/gtest.h>

#include "freehold/base/random.h"
#include "freehold/output/tools.h"

namespace freehold::output {
namespace {

using Deltas = std::vector<OutputDelta>;
using Kind = OutputDelta::Kind;

ParserOptions options(std::vector<std::string> tools = {"get_weather", "add"}) {
    ParserOptions o;
    o.tools = std::move(tools);
    o.id_seed = 3;
    return o;
}

// Neighbours of one kind joined: what a client adds up.
Deltas joined(const Deltas& deltas) {
    Deltas out;
    for (const OutputDelta& d : deltas) {
        if (!out.empty() && out.back().kind == d.kind && out.back().index == d.index && d.kind != Kind::tool_call) {
            out.back().text += d.text;
        } else {
            out.push_back(d);
        }
    }
    return out;
}

Deltas read(const OutputFormat& format, const ParserOptions& o, std::string_view text, std::uint32_t cut,
            std::uint64_t seed = 0) {
    OutputParser parser(format, o);
    Random random(seed, RandomUse::test);
    Deltas out;
    while (!text.empty()) {
        const std::size_t n = cut == 0 ? text.size() : 1 + random.next() % cut;
        parser.push(text.substr(0, n), out);
        text.remove_prefix(std::min(n, text.size()));
    }
    parser.finish(out);
    return joined(out);
}

// "content | thinking ~ | name(arguments)" in one line, for comparing.
std::string shown(const Deltas& deltas) {
    std::string text;
    for (const OutputDelta& d : deltas) {
        if (d.kind == Kind::content) text += "C[" + d.text + "]";
        if (d.kind == Kind::reasoning) text += "R[" + d.text + "]";
        if (d.kind == Kind::tool_call) text += "T" + std::to_string(d.index) + ":" + d.name;
        if (d.kind == Kind::tool_arguments) text += "(" + d.text + ")";
    }
    return text;
}

std::string every_way(const OutputFormat& format, const ParserOptions& o, std::string_view text) {
    const Deltas whole = read(format, o, text, 0);
    EXPECT_EQ(read(format, o, text, 1), whole) << text;
    for (std::uint64_t seed = 1; seed < 20; ++seed) EXPECT_EQ(read(format, o, text, 7, seed), whole) << text;
    return shown(whole);
}

const OutputFormat kHermes = format_of_template("{% if tools %}<tool_call></tool_call>{% endif %}");
const OutputFormat kLlama = format_of_template("{{ tools }}<|python_tag|>");
const OutputFormat kMistral = format_of_template("[TOOL_CALLS]");
const OutputFormat kDeepSeek = format_of_template("<｜tool▁calls▁begin｜>");
const OutputFormat kGranite = format_of_template("<|tool_call|> tools");
const OutputFormat kPhi = format_of_template("<|tool_call|> <|/tool_call|> tools");
const OutputFormat kCommand = format_of_template("<|START_ACTION|> <|START_THINKING|>");
const OutputFormat kKimi = format_of_template("<|tool_calls_section_begin|>");
const OutputFormat kFunctionary = format_of_template("tools <function=");
const OutputFormat kHarmony = format_of_template("<|channel|><|message|>");

TEST(OutputParser, PlainTextIsContent) {
    EXPECT_EQ(every_way(kHermes, options(), "Hello, <b>world</b> {\"a\": 1}\n\n"),
              "C[Hello, <b>world</b> {\"a\": 1}\n\n]");
    EXPECT_EQ(every_way(kHermes, options(), ""), "");
    EXPECT_EQ(every_way(kHermes, options(), "  \n"), "C[  \n]");
    EXPECT_EQ(every_way(kHermes, options(), "Grüße <tool_"), "C[Grüße <tool_]");
    EXPECT_EQ(every_way(kDeepSeek, options(), "a<｜ b ｜！<｜tool"), "C[a<｜ b ｜！<｜tool]");
}

TEST(OutputParser, Hermes) {
    EXPECT_EQ(
        every_way(
            kHermes, options(),
            "Let me see.\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"K\\\"öln}\"}}\n"
            "</tool_call>\n<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": [1, {\"b\": 2}]}}\n</tool_call>"),
        "C[Let me see.]T0:get_weather({\"city\": \"K\\\"öln}\"})T1:add({\"a\": [1, {\"b\": 2}]})");
    // Arguments first, other keys, blanks, nested, as text; the bytes stay the model's.
    EXPECT_EQ(every_way(kHermes, options(),
                        "<tool_call>{ \"arguments\" : {\"a\" :1e-06 , \"b\":\"\\u00e9\"} , \"x\": [1,\"}\"], "
                        "\"name\":\"add\"}</tool_call>"),
              "T0:add({\"a\" :1e-06 , \"b\":\"\\u00e9\"})");
    EXPECT_EQ(every_way(kHermes, options(),
                        "<tool_call>{\"type\":\"function\",\"function\":{\"name\":\"add\",\"arguments\":{\"a\":1}}}</"
                        "tool_call> done"),
              "T0:add({\"a\":1})C[done]");
    EXPECT_EQ(
        every_way(kHermes, options(), "<tool_call>{\"name\":\"add\",\"arguments\":\"{\\\"a\\\": 1}\"}</tool_call>"),
        "T0:add({\"a\": 1})");
    EXPECT_EQ(every_way(kHermes, options(), "<tool_call>{\"name\":\"add\"}</tool_call>"), "T0:add({})");
    EXPECT_EQ(every_way(kHermes, options(),
                        "<tool_call>[{\"name\":\"add\",\"arguments\":{}}, "
                        "{\"name\":\"get_weather\",\"arguments\":{\"c\":1}}]</tool_call>"),
              "T0:add({})T1:get_weather({\"c\":1})");
}

TEST(OutputParser, Llama) {
    EXPECT_EQ(every_way(kLlama, options(), "{\"name\": \"add\", \"parameters\": {\"a\": \"1\"}}"),
              "T0:add({\"a\": \"1\"})");
    EXPECT_EQ(every_way(kLlama, options(), "\n<|python_tag|>{\"name\": \"add\", \"parameters\": {\"a\": 1}}"),
              "T0:add({\"a\": 1})");
    EXPECT_EQ(
        every_way(kLlama, options(),
                  "{\"name\": \"add\", \"parameters\": {}}; {\"name\": \"get_weather\", \"parameters\": {\"c\": 2}}"),
        "T0:add({})T1:get_weather({\"c\": 2})");
    // JSON that is an answer, not a call.
    EXPECT_EQ(every_way(kLlama, options(), "{\"name\": \"Ada\", \"born\": 1815}"),
              "C[{\"name\": \"Ada\", \"born\": 1815}]");
    EXPECT_EQ(every_way(kLlama, options(), " {\"x\": [1, 2]} and more"), "C[ {\"x\": [1, 2]} and more]");
    EXPECT_EQ(every_way(kLlama, options(), "So: {\"name\": \"add\", \"parameters\": {}}"),
              "C[So: {\"name\": \"add\", \"parameters\": {}}]");
    EXPECT_EQ(every_way(kLlama, options(), "<|python_tag|>print(1)"), "C[<|python_tag|>print(1)]");
}

TEST(OutputParser, Mistral) {
    EXPECT_EQ(every_way(kMistral, options(),
                        "[TOOL_CALLS][{\"name\": \"add\", \"arguments\": {\"a\": 1}}, {\"name\": \"get_weather\", "
                        "\"arguments\": {}}]"),
              "T0:add({\"a\": 1})T1:get_weather({})");
    EXPECT_EQ(every_way(kMistral, options(),
                        "[TOOL_CALLS]add[ARGS]{\"a\": 1}[TOOL_CALLS]get_weather[CALL_ID]abcdefghi[ARGS]{}"),
              "T0:add({\"a\": 1})T1:get_weather({})");
    const Deltas deltas = read(kMistral, options(), "[TOOL_CALLS]add[CALL_ID]abcdefghi[ARGS]{}", 0);
    EXPECT_EQ(deltas.at(0).id, "abcdefghi");
    EXPECT_EQ(read(kMistral, options(), "[TOOL_CALLS]add[ARGS]{}", 0).at(0).id.size(), 9U);
}

TEST(OutputParser, NamedForms) {
    EXPECT_EQ(
        every_way(kDeepSeek, options(),
                  "Ok.\n\n<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>add<｜tool▁sep｜>{\"a\":1}<｜tool▁call▁end｜>"
                  "<｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>"),
        "C[Ok.]T0:add({\"a\":1})T1:get_weather({})");
    EXPECT_EQ(every_way(kDeepSeek, options(),
                        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>add\n```json\n{\"a\": 1}\n```"
                        "<｜tool▁call▁end｜>\n<｜tool▁calls▁end｜>"),
              "T0:add({\"a\": 1})");
    EXPECT_EQ(
        every_way(kKimi, options(),
                  "<|tool_calls_section_begin|><|tool_call_begin|>functions.add:0<|tool_call_argument_begin|>{\"a\": 1}"
                  "<|tool_call_end|><|tool_calls_section_end|>"),
        "T0:add({\"a\": 1})");
    EXPECT_EQ(
        every_way(kFunctionary, options(), "<function=add>{\"a\": 1}</function><function=get_weather>{}</function>"),
        "T0:add({\"a\": 1})T1:get_weather({})");
}

TEST(OutputParser, Lists) {
    EXPECT_EQ(every_way(kGranite, options(), "<|tool_call|>[{\"name\": \"add\", \"arguments\": {\"a\": 1}}]"),
              "T0:add({\"a\": 1})");
    EXPECT_EQ(every_way(kPhi, options(), "<|tool_call|>[{\"name\":\"add\",\"parameters\":{}}]<|/tool_call|>"),
              "T0:add({})");
    EXPECT_EQ(every_way(kCommand, options(),
                        "<|START_THINKING|>I will add.<|END_THINKING|><|START_ACTION|>[\n    {\"tool_call_id\": \"0\", "
                        "\"tool_name\": "
                        "\"add\", \"parameters\": {\"a\": 1}}\n]<|END_ACTION|>"),
              "R[I will add.]T0:add({\"a\": 1})");
    EXPECT_EQ(every_way(kCommand, options(), "<|START_RESPONSE|>Hi there.<|END_RESPONSE|>"), "C[Hi there.]");
}

TEST(OutputParser, Thinking) {
    EXPECT_EQ(every_way(kHermes, options(), "<think>\nHm, 1 < 2.\n\n</think>\n\nTwo."), "R[Hm, 1 < 2.]C[Two.]");
    EXPECT_EQ(every_way(kHermes, options({}), " <think>a</think>b <think>c</think>"), "R[a]C[b <think>c</think>]");
    // Marks of calls inside thinking are thoughts.
    EXPECT_EQ(
        every_way(
            kHermes, options(),
            "<think>maybe <tool_call>{\"name\":\"add\"}</tool_call>?</think><tool_call>{\"name\":\"add\"}</tool_call>"),
        "R[maybe <tool_call>{\"name\":\"add\"}</tool_call>?]T0:add({})");
    ParserOptions opened = options();
    opened.begins_in_thinking = true;
    EXPECT_EQ(every_way(kHermes, opened, "so it is.\n</think>\n\nYes."), "R[so it is.]C[Yes.]");
    EXPECT_EQ(every_way(kHermes, opened, "\n<think>\nso\n</think>Yes."), "R[so]C[Yes.]");
    EXPECT_EQ(every_way(kHermes, opened, "never ends </thin"), "R[never ends </thin]");
    EXPECT_EQ(every_way(kLlama, opened, "so</think>\n\n{\"name\": \"add\", \"parameters\": {}}"), "R[so]T0:add({})");
    ParserOptions off = options();
    off.thinking = false;
    EXPECT_EQ(every_way(kHermes, off, "<think>a</think>b"), "C[<think>a</think>b]");
    EXPECT_TRUE(ends_in_thinking(kHermes, "<|im_start|>assistant\n<think>\n"));
    EXPECT_FALSE(ends_in_thinking(kHermes, "<|im_start|>assistant\n<think>\n\n</think>\n\n"));
}

TEST(OutputParser, Harmony) {
    EXPECT_EQ(
        every_way(
            kHarmony, options(),
            "<|channel|>analysis<|message|>User asks 2+2.<|end|><|start|>assistant<|channel|>final<|message|>It is 4."),
        "R[User asks 2+2.]C[It is 4.]");
    EXPECT_EQ(
        every_way(
            kHarmony, options(),
            "<|channel|>analysis<|message|>Need add.<|end|><|start|>assistant<|channel|>commentary to=functions.add "
            "<|constrain|>json<|message|>{\"a\": \"<b>\"}<|call|>"),
        "R[Need add.]T0:add({\"a\": \"<b>\"})");
    EXPECT_EQ(every_way(kHarmony, options(),
                        "<|start|>assistant to=functions.add<|channel|>commentary<|message|>{\"a\":1}<|call|>"
                        "<|start|>assistant<|channel|>commentary<|message|>Now the weather.<|end|>"),
              "T0:add({\"a\":1})C[Now the weather.]");
    EXPECT_EQ(every_way(kHarmony, options(), "<|channel|>analysis<|mess"), "C[<|channel|>analysis<|mess]");
}

TEST(OutputParser, WhatIsBrokenIsText) {
    // No such function, no name, no JSON, no end: not a byte is lost.
    for (const std::string_view text : {
             "<tool_call>{\"name\": \"drop_tables\", \"arguments\": {}}</tool_call>",
             "<tool_call>{\"arguments\": {\"a\": 1}}</tool_call>",
             "<tool_call>not json</tool_call>",
             "<tool_call>{\"name\": 5}</tool_call>",
             "<tool_call>{\"name\": \"ad",
             "<tool_call>",
             "<tool_call><tool_call>x",
             "<tool_call>[",
             "a <tool_call>\n{\"name\":\n",
             "<tool_call>{\"arguments\": ]}</tool_call>",
         }) {
        EXPECT_EQ(every_way(kHermes, options(), text), "C[" + std::string(text) + "]");
    }
    // A call that is known and then breaks: what was told stands, what follows is text.
    EXPECT_EQ(every_way(kHermes, options(), "<tool_call>{\"name\": \"add\", \"arguments\": {\"a\": 1]} tail"),
              "T0:add({\"a\": 1)C[]} tail]");
    EXPECT_EQ(every_way(kHermes, options(), "<tool_call>{\"name\": \"add\", \"arguments\": {\"a\": \"cut"),
              "T0:add({\"a\": \"cut)");
    // The next call is found behind one that was none.
    EXPECT_EQ(every_way(kHermes, options(), "<tool_call>oops <tool_call>{\"name\": \"add\"}</tool_call>"),
              "C[<tool_call>oops]T0:add({})");
    EXPECT_EQ(every_way(kDeepSeek, options(), "<｜tool▁call▁begin｜>nobody<｜tool▁sep｜>{\"a\":1}<｜tool▁call▁end｜>"),
              "C[<｜tool▁call▁begin｜>nobody<｜tool▁sep｜>{\"a\":1}<｜tool▁call▁end｜>]");
    EXPECT_EQ(every_way(kMistral, options(), "[TOOL_CALLS]" + std::string(2000, 'x')),
              "C[[TOOL_CALLS]" + std::string(2000, 'x') + "]");
    // Brackets without end are bounded, and cost no more than their length.
    const std::string deep = "<tool_call>{\"name\":\"add\",\"arguments\":" + std::string(100'000, '{');
    EXPECT_EQ(shown(read(kHermes, options(), deep, 0)).size() > 90'000, true);
}

// max_tokens may end an answer anywhere in its second call.
TEST(OutputParser, ASecondCallThatIsCutOffIsNoText) {
    const std::string first = "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1}}\n</tool_call>";
    const std::string second = "\n<tool_call>\n{\"name\": \"add\", \"arguments\": {}}";
    for (std::size_t n = 0; n <= second.find("add"); ++n)
        EXPECT_EQ(every_way(kHermes, options(), first + second.substr(0, n)), "T0:add({\"a\": 1})") << n;
    for (std::size_t n = first.find("</") + 1; n < first.size(); ++n)
        EXPECT_EQ(every_way(kHermes, options(), first.substr(0, n)), "T0:add({\"a\": 1})") << n;
    EXPECT_EQ(every_way(kHermes, options(), first + " a < b"), "T0:add({\"a\": 1})C[a < b]");
}

TEST(OutputParser, NoToolsNoCalls) {
    const std::string text = "<tool_call>{\"name\": \"add\", \"arguments\": {}}</tool_call>";
    EXPECT_EQ(every_way(kHermes, options({}), text), "C[" + text + "]");
}

TEST(OutputParser, IdsDifferAndStay) {
    const std::string two = "<tool_call>{\"name\":\"add\"}</tool_call><tool_call>{\"name\":\"add\"}</tool_call>";
    const Deltas deltas = read(kHermes, options(), two, 0);
    ASSERT_EQ(deltas.size(), 4U);
    EXPECT_NE(deltas[0].id, deltas[2].id);
    EXPECT_TRUE(deltas[0].id.starts_with("call_"));
    EXPECT_EQ(deltas, read(kHermes, options(), two, 3, 1));
}

// Noise made of marks and pieces of them, every form: the same for every cut, all text that is no mark comes out.
TEST(OutputParser, NoiseIsReadTheSameHoweverItIsCut) {
    const std::vector<std::string> bits = {"<tool_call>",
                                           "</tool_call>",
                                           "{",
                                           "}",
                                           "[",
                                           "]",
                                           "\"name\"",
                                           ":",
                                           "\"add\"",
                                           "\"arguments\"",
                                           ",",
                                           "\\\"",
                                           " ",
                                           "\n",
                                           "<think>",
                                           "</think>",
                                           "[TOOL_CALLS]",
                                           "[ARGS]",
                                           "add",
                                           "<｜tool▁call▁begin｜>",
                                           "<｜tool▁sep｜>",
                                           "<|channel|>",
                                           "<|message|>",
                                           "final",
                                           "<|end|>",
                                           "<|start|>",
                                           "{\"name\":\"add\",\"arguments\":{\"a\":1}}",
                                           "é",
                                           "x",
                                           "<",
                                           "｜",
                                           "```",
                                           ";"};
    Random random(9, RandomUse::test);
    for (int trial = 0; trial < 3000; ++trial) {
        std::string text;
        for (std::uint32_t n = random.next() % 12; n > 0; --n) text += bits[random.next() % bits.size()];
        for (const OutputFormat* format :
             {&kHermes, &kLlama, &kMistral, &kDeepSeek, &kGranite, &kCommand, &kKimi, &kFunctionary, &kHarmony}) {
            ParserOptions o = options();
            o.begins_in_thinking = trial % 3 == 0;
            const Deltas whole = read(*format, o, text, 0);
            ASSERT_EQ(read(*format, o, text, 1), whole) << format->name << ": " << text;
            ASSERT_EQ(read(*format, o, text, 9, static_cast<std::uint64_t>(trial)), whole)
                << format->name << ": " << text;
        }
    }
}

}  // namespace
}  // namespace freehold::output
