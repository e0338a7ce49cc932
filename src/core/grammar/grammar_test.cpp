// Grammars from schemas, GBNF and tags, the masks of a small vocabulary, and hostile inputs.
#include "freehold/grammar/grammar.h"

#include <gtest/gtest.h>

#include <functional>

#include "freehold/base/error.h"
#include "freehold/grammar/matcher.h"

namespace freehold {
namespace {

bool json(std::string_view schema, std::string_view text, const JsonSchemaOptions& o = {}) {
    return Grammar::from_json_schema_text(schema, o)->matches(text);
}

template <class F>
std::string refusal(const F& make, ErrorKind kind) {
    try {
        make();
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), kind) << e.message();
        return e.message();
    }
    ADD_FAILURE() << "nothing was refused";
    return {};
}

TEST(GrammarSchema, ObjectsInAnyOrderAndEachNameOnce) {
    const char* s = R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"}},"required":["b"]})";
    EXPECT_TRUE(json(s, R"({"b": "x", "a": 1})"));
    EXPECT_TRUE(json(s, R"({"a":1,"b":"","more":[null]})"));
    EXPECT_FALSE(json(s, R"({"a": 1})"));
    EXPECT_FALSE(json(s, R"({"b": "x", "b": "y"})"));
    EXPECT_FALSE(json(s, R"({"b": 1})"));
    JsonSchemaOptions strict;
    strict.pin_order = strict.closed_objects = true;
    EXPECT_FALSE(json(s, R"({"b": "x", "a": 1})", strict));
    EXPECT_TRUE(json(s, R"({"a": 1, "b": "x"})", strict));
    EXPECT_FALSE(json(s, R"({"b": "x", "c": 1})", strict));
    // Closed is the object, not each of the schemas that speak of it.
    const char* together = R"({"type":"object","properties":{"a":{"const":1}},"required":["a","b"],
        "allOf":[{"properties":{"b":{"type":"object","properties":{"c":{"const":2}}}}}]})";
    EXPECT_TRUE(json(together, R"({"a": 1, "b": {"c": 2}})", strict));
    EXPECT_FALSE(json(together, R"({"a": 1, "b": {"d": 2}})", strict));
    const char* either = R"({"anyOf":[{"type":"object","properties":{"x":{"const":1}}},
        {"type":"object","properties":{"then":{"type":"object","properties":{"y":{"const":1}}}}}]})";
    EXPECT_TRUE(json(either, R"({"then": {"y": 1}})", strict));
    EXPECT_FALSE(json(either, R"({"then": {"z": 1}})", strict));
    EXPECT_FALSE(json(either, R"({"z": 1})", strict));
}

// Of a key that has come, not the first byte may come again: the mask would lead where nothing goes on.
TEST(GrammarSchema, NoByteOfANameLeadsWhereNothingGoesOn) {
    std::vector<std::string> bytes;
    for (int b = 0; b < 255; ++b) bytes.emplace_back(1, static_cast<char>(b));
    const auto trie = make_token_trie(bytes);
    const auto dead_end = [&](const char* schema, const std::string& text, const JsonSchemaOptions& o) {
        Matcher m(Grammar::from_json_schema_text(schema, o), trie, {});
        std::vector<std::uint32_t> bits((bytes.size() + 31) / 32);
        for (const char c : text) {
            if (!m.accept(static_cast<unsigned char>(c))) return std::string("refused in front of ") + c;
        }
        // Everything that the mask lets through has a way on.
        std::string path;
        const std::function<std::string(int)> look = [&](int depth) -> std::string {
            m.mask(bits);
            const auto now = bits;
            bool any = m.may_end();
            for (int b = 0; b < 255; ++b) {
                if ((now[static_cast<std::size_t>(b) / 32] >> (b % 32) & 1U) == 0) continue;
                any = true;
                if (depth == 0) break;
                path.push_back(static_cast<char>(b));
                EXPECT_TRUE(m.accept(b));
                std::string found = look(depth - 1);
                m.rollback(1);
                path.pop_back();
                if (!found.empty()) return found;
            }
            return any ? std::string() : "nothing behind " + text + path;
        };
        return look(4);
    };
    const char* two = R"({"type":"object","properties":{"\u00e9":{"const":1},"b":{"const":2}},
        "required":["\u00e9","b"],"additionalProperties":false})";
    const char* three = R"({"type":"object","properties":{"\u65e5\u672c":{"const":1},"\u65e6":{"const":2},
        "\ud83d\ude00":{"const":3},"a\"b":{"const":4}},"additionalProperties":false})";
    const char* pattern = R"({"type":"object","properties":{"\u00e9":{"const":1}},
        "patternProperties":{"^[a-c]$":{"const":2}},"additionalProperties":false})";
    for (const bool serving : {true, false}) {
        JsonSchemaOptions o = serving ? JsonSchemaOptions::serving() : JsonSchemaOptions{};
        o.blanks = 0;
        EXPECT_EQ(dead_end(two, "{\"\xc3\xa9\":1,\"", o), "");
        EXPECT_EQ(dead_end(three, "{\"\xe6\x97\xa5\xe6\x9c\xac\":1,\"", o), "");
        EXPECT_EQ(dead_end(three, "{\"\xf0\x9f\x98\x80\":3,\"a\\\"b\":4,\"", o), "");
        EXPECT_EQ(dead_end(pattern, "{\"\xc3\xa9\":1,\"", o), "");
        EXPECT_TRUE(
            Grammar::from_json_schema_text(three, o)->matches("{\"\xe6\x97\xa6\":2,\"\xe6\x97\xa5\xe6\x9c\xac\":1}"));
    }
}

TEST(GrammarSchema, NamesThatMayComeTwiceAreNotCounted) {
    for (const char* s :
         {R"({"type":"object","minProperties":2})",
          R"({"type":"object","minProperties":2,"patternProperties":{"^a":{}},"additionalProperties":false})"})
        EXPECT_THROW(static_cast<void>(Grammar::from_json_schema(parse_json(s, "a schema"))), Error) << s;
    EXPECT_FALSE(json(R"({"type":"object","minProperties":1})", "{}"));
    EXPECT_TRUE(json(R"({"type":"object","minProperties":2,"required":["a","b"]})", R"({"a":1,"b":2})"));
    const char* two = R"({"properties":{"a":{},"b":{},"c":{}},"minProperties":2,"additionalProperties":false})";
    EXPECT_FALSE(json(two, R"({"a":1})"));
    EXPECT_TRUE(json(two, R"({"a":1,"c":2})"));
}

TEST(GrammarSchema, WhatIsNotEvaluated) {
    const char* closed = R"({"type":"array","prefixItems":[{"const":1}],"unevaluatedItems":false})";
    EXPECT_TRUE(json(closed, "[1]"));
    EXPECT_FALSE(json(closed, "[1,3]"));
    EXPECT_FALSE(json(R"({"type":"array","unevaluatedItems":false})", "[0]"));
    EXPECT_TRUE(json(R"({"type":"array","unevaluatedItems":{"type":"null"}})", "[null]"));
    EXPECT_FALSE(json(R"({"unevaluatedProperties":false})", R"({"a":1})"));
    EXPECT_THROW(static_cast<void>(Grammar::from_json_schema(
                     parse_json(R"({"type":"array","contains":{"const":1},"unevaluatedItems":false})", "a schema"))),
                 Error);
}

TEST(GrammarSchema, WholeNumbersOfAListAreWrittenWhole) {
    const JsonSchemaOptions serving = JsonSchemaOptions::serving();
    EXPECT_TRUE(json(R"({"enum":[7,9007199254740993]})", "9007199254740993", serving));
    EXPECT_FALSE(json(R"({"enum":[7,9007199254740993]})", "9007199254740993.0", serving));
    EXPECT_TRUE(json(R"({"enum":[7,0.5]})", "0.5", serving));
    EXPECT_TRUE(json(R"({"enum":[7,9007199254740993]})", "7.0"));
}

TEST(GrammarSchema, NumbersThatCannotBeKeptAreRefused) {
    EXPECT_TRUE(json(R"({"const":9007199254740993})", "9007199254740993"));
    EXPECT_FALSE(json(R"({"const":9007199254740993})", "9007199254740992"));
    for (const char* s : {R"({"const":12345678901234567890123})", R"({"enum":[[12345678901234567890123]]})",
                          R"({"not":{"const":12345678901234567890123}})"})
        EXPECT_THROW(static_cast<void>(Grammar::from_json_schema(parse_json(s, "a schema"))), Error) << s;
}

TEST(GrammarSchema, Combinators) {
    const char* one = R"({"oneOf":[{"type":"integer"},{"type":"number","minimum":10}]})";
    EXPECT_TRUE(json(one, "3"));
    EXPECT_TRUE(json(one, "10.5"));
    EXPECT_FALSE(json(one, "12"));
    const char* no = R"({"type":"string","not":{"enum":["a","b"]}})";
    EXPECT_TRUE(json(no, R"("ab")"));
    EXPECT_FALSE(json(no, R"("b")"));
    EXPECT_FALSE(json(no, R"("\u0062")"));
    const char* cond = R"({"if":{"properties":{"k":{"const":1}},"required":["k"]},"then":{"required":["x"]}})";
    EXPECT_TRUE(json(cond, R"({"k":2})"));
    EXPECT_FALSE(json(cond, R"({"k":1})"));
    EXPECT_TRUE(json(cond, R"({"x":0,"k":1.0})"));
}

TEST(GrammarSchema, NumbersAreExact) {
    EXPECT_TRUE(json(R"({"type":"number","minimum":0})", "1e-06"));
    EXPECT_FALSE(json(R"({"type":"number","minimum":0})", "-1e-06"));
    EXPECT_TRUE(json(R"({"type":"number","multipleOf":0.25})", "2.0"));
    EXPECT_FALSE(json(R"({"type":"number","multipleOf":0.25})", "2.1"));
    EXPECT_TRUE(json(R"({"type":"integer","multipleOf":7,"maximum":-7})", "-49"));
    EXPECT_FALSE(json(R"({"type":"integer","minimum":1,"maximum":300})", "301"));
    EXPECT_TRUE(json(R"({"const":1})", "1.0"));
    EXPECT_FALSE(json(R"({"type":"number","exclusiveMinimum":0.1,"maximum":0.3})", "0.1"));
}

TEST(GrammarSchema, StringsCountCodePointsAndTakeEscapes) {
    EXPECT_TRUE(json(R"({"type":"string","maxLength":1})", "\"\xF0\x9F\x98\x80\""));
    EXPECT_TRUE(json(R"({"type":"string","maxLength":1})", R"("\ud83d\ude00")"));
    EXPECT_FALSE(json(R"({"type":"string"})", R"("\ud83d")"));
    EXPECT_FALSE(json(R"({"type":"string"})", "\"\xC3\""));
    EXPECT_TRUE(json(R"({"type":"string","pattern":"b"})", R"("abc")"));
    EXPECT_FALSE(json(R"({"format":"date"})", R"("2023-02-29")"));
    EXPECT_TRUE(json(R"({"format":"date"})", R"("2024-02-29")"));
    EXPECT_TRUE(json(R"({"type":"string","maxLength":1000000})", "\"" + std::string(3000, 'x') + "\""));
}

TEST(GrammarSchema, ArraysCount) {
    const char* s = R"({"type":"array","items":{"type":"integer"},"minItems":2,"maxItems":3})";
    EXPECT_FALSE(json(s, "[1]"));
    EXPECT_TRUE(json(s, "[1, 2, 3]"));
    EXPECT_FALSE(json(s, "[1,2,3,4]"));
    const char* u = R"({"type":"array","items":{"enum":["a","b",1]},"uniqueItems":true})";
    EXPECT_TRUE(json(u, R"([1,"a"])"));
    EXPECT_FALSE(json(u, R"(["a","a"])"));
    // Few integers are a list too; a step and the open end count.
    const char* days =
        R"({"type":"array","uniqueItems":true,"items":{"type":"integer","minimum":-2,"exclusiveMaximum":6,"multipleOf":2}})";
    EXPECT_TRUE(json(days, "[4,-2,0,2]"));
    EXPECT_FALSE(json(days, "[4,4]"));
    EXPECT_FALSE(json(days, "[4,4.0]"));
    EXPECT_FALSE(json(days, "[3]"));
    EXPECT_FALSE(json(days, "[6]"));
    EXPECT_TRUE(json(R"({"contains":{"const":5}})", "[1,5,2]"));
    EXPECT_FALSE(json(R"({"contains":{"const":5}})", "[1,2]"));
}

TEST(GrammarSchema, WhatCannotBeHonouredIsRefusedByName) {
    const auto unsupported = [](const char* s) {
        return refusal([&] { static_cast<void>(Grammar::from_json_schema_text(s)); }, ErrorKind::unsupported);
    };
    EXPECT_NE(unsupported(R"({"properties":{"x":{"format":"iri"}}})").find("#/properties/x"), std::string::npos);
    EXPECT_NE(unsupported(R"({"type":"array","uniqueItems":true})").find("uniqueItems"), std::string::npos);
    EXPECT_NE(
        unsupported(R"({"items":{"type":"integer","minimum":0,"maximum":64},"uniqueItems":true})").find("plain values"),
        std::string::npos);
    EXPECT_NE(unsupported(R"({"properties":{"x":{"format":"regex"}}})").find("\"regex\""), std::string::npos);
    EXPECT_NE(unsupported(R"({"$ref":"http://example.com/other.json"})").find("$ref"), std::string::npos);
    const auto usage = [](const char* s) {
        return refusal([&] { static_cast<void>(Grammar::from_json_schema_text(s)); }, ErrorKind::usage);
    };
    EXPECT_NE(usage(R"({"items":{"type":"strange"}})").find("#/items"), std::string::npos);
    EXPECT_NE(usage(R"({"pattern":"^?[0-9]$"})").find("pattern"), std::string::npos);
    usage(R"({"$ref":"#/nowhere"})");
    usage(R"({"type":"string","minLength":2,"maxLength":1})");
    usage(R"({"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]})");
    usage("{");
    EXPECT_EQ(Grammar::from_json_schema_text(R"({"format":"colour"})")->notes().size(), 1U);
}

TEST(GrammarSchema, HostileSchemas) {
    std::string deep;
    for (int i = 0; i < 5000; ++i) deep += R"({"items":)";
    refusal([&] { static_cast<void>(Grammar::from_json_schema_text(deep + "{}" + std::string(5000, '}'))); },
            ErrorKind::usage);
    for (const char* circle :
         {R"({"$ref":"#/$defs/a","$defs":{"a":{"allOf":[{"$ref":"#/$defs/b"}]},"b":{"allOf":[{"$ref":"#/$defs/a"}]}}})",
          R"({"properties":{"x":{"$ref":"#/$defs/a"}},"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}})",
          R"({"$ref":"#"})", R"({"not":{"$ref":"#/$defs/a"},"$defs":{"a":{"$ref":"#/$defs/a"}}})"}) {
        const auto said = refusal([&] { static_cast<void>(Grammar::from_json_schema_text(circle)); }, ErrorKind::usage);
        EXPECT_NE(said.find("$ref leads back to itself"), std::string::npos) << circle << said;
        EXPECT_NE(said.find('#'), std::string::npos) << said;
    }
    // Twice the same is no circle, and neither is one through a value below.
    EXPECT_TRUE(json(R"({"allOf":[{"$ref":"#/$defs/a"},{"$ref":"#/$defs/a"}],"$defs":{"a":{"const":1}}})", "1"));
    EXPECT_TRUE(json(R"({"type":"array","items":{"$ref":"#"}})", std::string(500, '[') + std::string(500, ']')));
    std::string product = R"({"allOf":[)";
    for (int i = 0; i < 20; ++i)
        product += R"({"anyOf":[{"minLength":1},{"minItems":2},{"minimum":3},{"maxProperties":4}]},)";
    product += "{}]}";
    refusal([&] { static_cast<void>(Grammar::from_json_schema_text(product)); }, ErrorKind::limit);
    EXPECT_TRUE(json(R"({"type":"array","minItems":10,"maxItems":100000,"items":{"type":"boolean"}})",
                     "[true,true,true,true,true,true,true,true,true,true]"));
    EXPECT_TRUE(json(R"({"type":"object","properties":{}})", "{}"));
}

TEST(GrammarGbnf, RulesGroupsAndRecursion) {
    const auto g =
        Grammar::from_gbnf("root ::= expr\nexpr ::= term (\"+\" term)*  # sums\nterm ::= [0-9]+ | \"(\" expr \")\"\n");
    EXPECT_TRUE(g->matches("1+(2+3)+44"));
    EXPECT_FALSE(g->matches("1+(2"));
    EXPECT_EQ(g->viable_prefix("1++"), 2U);
    EXPECT_TRUE(Grammar::from_gbnf("root ::= \"a\"{2,3} [^x]? .")->matches("aab"));
    EXPECT_TRUE(Grammar::from_gbnf("root ::= (\"a\"*)*")->matches("aaa"));
    EXPECT_TRUE(Grammar::from_gbnf("root ::= \"a\" root | \"b\"")->matches(std::string(20000, 'a') + "b"));
}

TEST(GrammarGbnf, Refusals) {
    for (const char* bad :
         {"", "root ::= a", "root ::= \"a", "root ::= (", "rule ::= \"a\"", "root ::= [a", "root = \"a\""}) {
        refusal([&] { static_cast<void>(Grammar::from_gbnf(bad)); }, ErrorKind::usage);
    }
    refusal([] { static_cast<void>(Grammar::from_gbnf("root ::= root \"a\" | \"b\"")); }, ErrorKind::unsupported);
    refusal([] { static_cast<void>(Grammar::from_gbnf("root ::= " + std::string(60000, '('))); }, ErrorKind::limit);
    std::string chain = "root ::= r0\n";
    for (int i = 0; i < 5000; ++i)
        chain += "r" + std::to_string(i) + " ::= \"(\" r" + std::to_string(i + 1) + " | \"x\"\n";
    EXPECT_TRUE(Grammar::from_gbnf(chain + "r5000 ::= \"y\"\n")->matches(std::string(4000, '(') + "x"));
}

TEST(GrammarTags, FreeTextThenACall) {
    TagFormat f;
    f.name = "f";
    f.begin = "<call>{\"name\":\"f\",\"arguments\":";
    f.end = "}</call>";
    f.schema = parse_json(
        R"({"type":"object","properties":{"x":{"type":"integer"}},"required":["x"],"additionalProperties":false})",
        "f");
    TagOptions o;
    o.triggers = {"<call>"};
    const std::vector<TagFormat> tags{f};
    const std::string call = R"(<call>{"name":"f","arguments":{"x":1}}</call>)";
    const auto free_form = Grammar::from_tags(tags, o);
    EXPECT_TRUE(free_form->matches("Just text <b> here"));
    EXPECT_TRUE(free_form->matches("I look. " + call + " and " + call + " done"));
    EXPECT_FALSE(free_form->matches("<call>oops"));
    o.at_least_one = true;
    EXPECT_FALSE(Grammar::from_tags(tags, o)->matches("Just text"));
    EXPECT_TRUE(Grammar::from_tags(tags, o)->matches(call));
    o.at_most_one = true;
    EXPECT_FALSE(Grammar::from_tags(tags, o)->matches(call + call));
    TagFormat bad = f;
    bad.schema = parse_json(R"({"$ref":"http://x/y"})", "bad");
    const std::vector<TagFormat> with_bad{bad};
    EXPECT_NE(
        refusal([&] { static_cast<void>(Grammar::from_tags(with_bad, o)); }, ErrorKind::unsupported).find("Tool \"f\""),
        std::string::npos);
}

TEST(GrammarLead, ThinkingStandsBeforeTheAnswer) {
    const auto answer = Grammar::from_json_schema_text(R"({"type":"integer"})", JsonSchemaOptions::serving());
    const auto begun = answer->behind({"<think>", "</think>", true, "", {}});
    EXPECT_TRUE(begun->matches("Let me see: {\"a\": [1, 2\n</think>\n\n12"));
    EXPECT_FALSE(begun->matches("12"));
    EXPECT_FALSE(begun->matches("hm</think>twelve"));
    EXPECT_FALSE(begun->matches("a</think>1</think>2"));  // the first end counts
    const auto free_to = answer->behind({"<think>", "</think>", false, "", {}});
    EXPECT_TRUE(free_to->matches("12"));
    EXPECT_TRUE(free_to->matches("<think></think>12"));
    EXPECT_TRUE(free_to->matches("<think>\nhm\n</think>\n\n12"));
    EXPECT_FALSE(free_to->matches("hm</think>12"));
    EXPECT_FALSE(free_to->matches("<think>12"));
    const auto channels = answer->behind({"<a>", "<f>", false, "<f>", {}});
    EXPECT_TRUE(channels->matches("<a>text<f>7"));
    EXPECT_TRUE(channels->matches("<f>7"));
    EXPECT_FALSE(channels->matches("7"));
    EXPECT_THROW(static_cast<void>(answer->behind({"<think>", "", false, "", {}})), Error);
}

TEST(GrammarLead, MarksThatAreControlTokens) {
    // 0 end, 1 <think>, 2 </think>, 3 another control token, 4 a digit, 5 letters.
    const std::vector<std::string> tokens{"", "\xFF<think>", "\xFF</think>", "\xFF<other>", "7", "hm"};
    const std::vector<std::int32_t> ends{0};
    const auto answer = Grammar::from_json_schema_text(R"({"type":"integer"})", JsonSchemaOptions::serving());
    Matcher m(answer->behind({"<think>", "</think>", false, "", {"<think>", "</think>"}}), make_token_trie(tokens),
              ends);
    const auto allowed = [&] {
        std::vector<std::uint32_t> bits(1);
        m.mask(bits);
        return bits[0];
    };
    EXPECT_EQ(allowed(), 0b010010U);
    ASSERT_TRUE(m.accept(1));
    EXPECT_EQ(allowed(), 0b111110U);  // free text may hold any token
    ASSERT_TRUE(m.accept(3));
    ASSERT_TRUE(m.accept(5));
    ASSERT_TRUE(m.accept(2));
    EXPECT_EQ(allowed(), 0b010000U);
    ASSERT_TRUE(m.accept(4));
    EXPECT_EQ(allowed() & 1U, 1U);
    m.rollback(2);
    EXPECT_EQ(allowed(), 0b111110U);
}

TEST(GrammarTags, FreeTextMayHoldOtherControlTokens) {
    TagFormat f;
    f.begin = "<call>";
    f.end = "</call>";
    TagOptions o;
    o.triggers = {"<call>"};
    o.control_tokens = {"<call>", "</call>"};
    const std::vector<std::string> tokens{"", "\xFF<call>", "\xFF<think>", "{", "hm"};
    const std::vector<std::int32_t> ends{0};
    Matcher m(Grammar::from_tags(std::span(&f, 1), o), make_token_trie(tokens), ends);
    std::vector<std::uint32_t> bits(1);
    m.mask(bits);
    EXPECT_EQ(bits[0], 0b11111U);
    ASSERT_TRUE(m.accept(2));
    ASSERT_TRUE(m.accept(1));
    m.mask(bits);
    EXPECT_EQ(bits[0], 0b01000U);
}

// Every mask is what a walk of each token by itself says.
void expect_masks(const Grammar& g, const std::shared_ptr<const Grammar>& shared,
                  const std::vector<std::string>& tokens, std::string_view text) {
    const auto trie = make_token_trie(tokens);
    const std::vector<std::int32_t> ends{0};
    Matcher m(shared, trie, ends);
    std::string so_far;
    for (std::size_t i = 0;; ++i) {
        std::vector<std::uint32_t> bits((tokens.size() + 31) / 32);
        m.mask(bits);
        for (std::size_t t = 0; t < tokens.size(); ++t) {
            const bool want = t == 0 ? g.matches(so_far)
                                     : !tokens[t].empty() && tokens[t][0] != '\xFF' &&
                                           g.viable_prefix(so_far + tokens[t]) == so_far.size() + tokens[t].size();
            EXPECT_EQ((bits[t / 32] >> (t % 32) & 1U) != 0, want) << "after " << so_far << " token " << tokens[t];
        }
        if (i == text.size()) break;
        const auto byte = static_cast<std::int32_t>(std::find(tokens.begin(), tokens.end(), std::string(1, text[i])) -
                                                    tokens.begin());
        ASSERT_TRUE(m.accept(byte)) << so_far;
        so_far += text[i];
    }
    const std::size_t n = m.accepted();
    const auto copy = m.clone();
    EXPECT_TRUE(m.may_end());
    EXPECT_TRUE(m.accept(0));
    EXPECT_TRUE(m.is_over());
    EXPECT_FALSE(m.accept(1));
    m.rollback(n + 1);
    EXPECT_EQ(m.accepted(), 0U);
    EXPECT_EQ(copy->accepted(), n);
}

TEST(GrammarMatcher, MasksAreWhatEachTokenSays) {
    std::vector<std::string> tokens{"</s>",   "\xFF<|tool|>", "",    "abc",   "\":",  "\", \"", "\"}",       "{\"",
                                    "{\"a\"", "12",           "1.5", "\\u00", "\xC3", "\xA9",   "\xC3\xA9t", " \"",
                                    "  ",     "ab\"",         "]}",  "null",  "tru",  "e,",     "abc"};
    for (int b = 1; b < 256; ++b) {
        if (b != 0xC3 && b != 0xA9) tokens.emplace_back(1, static_cast<char>(b));
    }
    const auto o = Grammar::from_json_schema_text(
        R"({"type":"object","properties":{"a":{"type":"string","maxLength":4},"ab":{"type":"array","items":{"type":"number","minimum":1,"maximum":20}}},"required":["a"]})");
    expect_masks(*o, o, tokens, R"({"a": "ab\n", "ab": [12, 1.5], "z": null})");
    const auto r = Grammar::from_regex("(ab|\xC3\xA9t)+c?");
    expect_masks(*r, r, tokens, "ababc");
    const auto g = Grammar::from_gbnf("root ::= \"(\" root \")\" | [0-9]*");
    expect_masks(*g, g, tokens, "((12))");
}

TEST(GrammarMatcher, PlainEscapes) {
    const char* schema = R"({"enum":["black","a\nb","q\"q"]})";
    const auto any = Grammar::from_json_schema_text(schema);
    const auto plain = Grammar::from_json_schema_text(schema, JsonSchemaOptions::serving());
    EXPECT_TRUE(any->matches(R"("\u0062lack")"));
    EXPECT_FALSE(plain->matches(R"("\u0062lack")"));
    for (const auto& g : {any, plain}) {
        EXPECT_TRUE(g->matches(R"("black")"));
        EXPECT_TRUE(g->matches(R"("a\nb")"));
        EXPECT_TRUE(g->matches(R"("a\u000ab")"));
        EXPECT_TRUE(g->matches(R"("q\"q")"));
        EXPECT_FALSE(g->matches(R"("q\u002")"));
    }
    const auto text =
        Grammar::from_json_schema_text(R"({"type":"string","maxLength":3})", JsonSchemaOptions::serving());
    EXPECT_TRUE(text->matches(R"("\t\u001f\\")"));
    EXPECT_FALSE(text->matches(R"("\u0041")"));
    EXPECT_FALSE(text->matches(R"("\ud83d\ude00")"));
    EXPECT_TRUE(text->matches("\"\xF0\x9F\x98\x80\""));
}

TEST(GrammarMatcher, ForcedText) {
    const auto g = Grammar::from_json_schema_text(
        R"({"type":"object","properties":{"name":{}},"required":["name"],"additionalProperties":false})", [] {
            JsonSchemaOptions o;
            o.blanks = 0;
            return o;
        }());
    std::vector<std::string> tokens;
    for (int b = 0; b < 256; ++b) tokens.emplace_back(1, static_cast<char>(b));
    Matcher m(g, make_token_trie(tokens), {});
    EXPECT_EQ(m.forced().substr(0, 2), "{\"");
    EXPECT_FALSE(m.may_end());
}

}  // namespace
}  // namespace freehold
