// Formats of real templates, tags for grammars, and messages for templates that know no tools.
#include "freehold/output/tools.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/output/parser.h"

namespace freehold::output {
namespace {

ValueList tools() {
    const Value list = parse_json(R"([
        {"type": "function", "function": {"name": "add", "description": "Adds.", "strict": true,
            "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}}},
        {"type": "function", "function": {"name": "now"}}])",
                                  "tools");
    return *list.get<ValueList>();
}

TEST(OutputFormat, RealTemplatesAreKnown) {
    const std::map<std::string, std::string> want = {
        {"Qwen-Qwen2.5-7B-Instruct", "hermes"},
        {"Qwen-Qwen3-0.6B", "hermes"},
        {"deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", "deepseek"},
        {"deepseek-ai-DeepSeek-V3.1", "deepseek"},
        {"meta-llama-Llama-3.1-8B-Instruct", "llama3"},
        {"meta-llama-Llama-3.2-3B-Instruct", "llama3"},
        {"google-gemma-2-2b-it", "hermes"},
    };
    for (const auto& [file, name] : want) {
        const auto path = std::filesystem::path(FREEHOLD_SOURCE_DIR) / "tests/golden/templates" / (file + ".jinja");
        const OutputFormat format = format_of_template(read_text(path));
        EXPECT_EQ(format.name, name) << file;
        EXPECT_EQ(format.needs_prompt, file == "google-gemma-2-2b-it") << file;
    }
    EXPECT_TRUE(format_of_template("").needs_prompt);
    // Arguments as tags are a form that is not read: calls stay text.
    EXPECT_EQ(format_of_template("{{ tools }}<tool_call><function=x><parameter=y>").shape, CallShape::none);
}

// What a grammar would make of the tags is read back as the call that it is.
TEST(ToolTags, WhatTheyDescribeIsReadBack) {
    for (const char* source :
         {"tools <tool_call>", "tools <|python_tag|>", "[TOOL_CALLS]", "[TOOL_CALLS][ARGS]", "<｜tool▁calls▁begin｜>",
          "<｜tool▁calls▁begin｜>```json", "<|tool_call|> tools", "<|START_ACTION|>", "<|tool_calls_section_begin|>",
          "tools <function=", "<|channel|><|message|>", "functools[ tools"}) {
        const OutputFormat format = format_of_template(source);
        const auto tags = tool_tags(format, tools(), Value("required"), true);
        ASSERT_TRUE(tags) << source;
        EXPECT_TRUE(tags->at_least_one);
        EXPECT_FALSE(tags->stop_after_first);
        ASSERT_EQ(tags->tags.size(), 2U);
        const std::string text = tags->section_begin + tags->tags[0].begin + "{\"a\": 1}" + tags->tags[0].end +
                                 tags->between + tags->tags[1].begin + "{}" + tags->tags[1].end + tags->section_end;
        EXPECT_TRUE(text.starts_with(tags->triggers.at(0))) << source;
        ParserOptions o;
        o.tools = tool_names(tools());
        OutputParser parser(format, o);
        std::vector<OutputDelta> out;
        parser.push(text, out);
        parser.finish(out);
        ASSERT_EQ(out.size(), 4U) << source << ": " << text;
        EXPECT_EQ(out[0].name, "add");
        EXPECT_EQ(out[1].text, "{\"a\": 1}");
        EXPECT_EQ(out[2].name, "now");
        EXPECT_EQ(out[3].text, "{}");
    }
}

TEST(ToolTags, FollowTheChoice) {
    const OutputFormat format = format_of_template("tools <tool_call>");
    EXPECT_FALSE(tool_tags(format, {}, {}, true));
    EXPECT_FALSE(tool_tags(format, tools(), Value("none"), true));
    auto tags = tool_tags(format, tools(), {}, false);
    ASSERT_TRUE(tags);
    EXPECT_FALSE(tags->at_least_one);
    EXPECT_TRUE(tags->stop_after_first);
    EXPECT_TRUE(tags->tags[0].strict);
    EXPECT_FALSE(tags->tags[1].strict);
    EXPECT_EQ(to_json(tags->tags[1].schema), R"({"type":"object","properties":{}})");
    EXPECT_EQ(tags->triggers, std::vector<std::string>{"<tool_call>"});
    const Value named = parse_json(R"({"type": "function", "function": {"name": "now"}})", "choice");
    tags = tool_tags(format, tools(), named, true);
    ASSERT_TRUE(tags);
    EXPECT_EQ(tags->tags.size(), 1U);
    EXPECT_TRUE(tags->at_least_one && tags->stop_after_first);
    const Value wrong = parse_json(R"({"type": "function", "function": {"name": "later"}})", "choice");
    EXPECT_THROW(static_cast<void>(tool_tags(format, tools(), wrong, true)), Error);
    const OutputFormat unknown = format_of_template("{{ tools }}<tool_call><parameter=y>");
    EXPECT_FALSE(tool_tags(unknown, tools(), Value("auto"), true));
    EXPECT_THROW(static_cast<void>(tool_tags(unknown, tools(), Value("required"), true)), Error);
}

TEST(ToolPrompt, TellsOfToolsCallsAndResults) {
    const Value conversation = parse_json(R"([
        {"role": "user", "content": "1+1?"},
        {"role": "assistant", "content": "", "tool_calls": [
            {"type": "function", "id": "c1", "function": {"name": "add", "arguments": {"a": 1}}},
            {"type": "function", "id": "c2", "function": {"name": "now", "arguments": "{ }"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "2"},
        {"role": "tool", "tool_call_id": "c2", "content": "noon"},
        {"role": "user", "content": "thanks"}])",
                                          "messages");
    const ValueList out = with_tool_prompt(*conversation.get<ValueList>(), tools());
    ASSERT_EQ(out.size(), 5U);
    const auto text = [&](std::size_t i, const char* key) {
        return std::string(out[i].get<ValueMap>()->find(key)->as_string().value());
    };
    EXPECT_EQ(text(0, "role"), "system");
    EXPECT_NE(text(0, "content").find("\"name\":\"add\""), std::string::npos);
    EXPECT_EQ(text(2, "content"),
              "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\":1}}\n</tool_call>\n"
              "<tool_call>\n{\"name\": \"now\", \"arguments\": { }}\n</tool_call>");
    EXPECT_EQ(text(3, "role"), "user");
    EXPECT_EQ(text(3, "content"), "<tool_response>\n2\n</tool_response>\n<tool_response>\nnoon\n</tool_response>");
    EXPECT_EQ(text(4, "content"), "thanks");
    // A system message of the client's own keeps its place and its words.
    const ValueList own = {Value(ValueMap{{"role", Value("system")}, {"content", Value("Be kind.")}})};
    const ValueList told = with_tool_prompt(own, tools());
    ASSERT_EQ(told.size(), 1U);
    EXPECT_TRUE(told[0].get<ValueMap>()->find("content")->as_string()->starts_with("Be kind.\n\n"));
    EXPECT_EQ(with_tool_prompt(own, {}).size(), 1U);
}

TEST(OutputLead, WhatComesBeforeAnAnswerThatIsHeldToAForm) {
    const OutputFormat plain = format_of_template("{{ tools }}<tool_call>");
    EXPECT_FALSE(lead_of(plain, "<|im_start|>assistant\n", false).has_value());
    const OutputFormat thinks = format_of_template("{{ tools }}<tool_call> {{ '<think>' }}");
    const auto free_to = lead_of(thinks, "<|im_start|>assistant\n", false);
    ASSERT_TRUE(free_to.has_value());
    EXPECT_EQ(free_to->begin, "<think>");
    EXPECT_EQ(free_to->end, "</think>");
    EXPECT_FALSE(free_to->begun);
    const auto begun = lead_of(thinks, "<|im_start|>assistant\n<think>\n", false);
    ASSERT_TRUE(begun.has_value());
    EXPECT_TRUE(begun->begun);
    const OutputFormat harmony = format_of_template("<|channel|><|message|>");
    EXPECT_EQ(lead_of(harmony, "<|start|>assistant", false)->otherwise, "<|channel|>final<|message|>");
    EXPECT_EQ(lead_of(harmony, "<|start|>assistant", true)->otherwise, "");
    EXPECT_EQ(lead_of(harmony, "<|start|>assistant", true)->end, "<|end|><|start|>assistant");
}

}  // namespace
}  // namespace freehold::output
