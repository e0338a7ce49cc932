// Regular expressions as whole answers and as searches; what is no pattern and what cannot be honoured.
#include <gtest/gtest.h>

#include "freehold/base/error.h"
#include "freehold/grammar/grammar.h"
#include "regex_parse.h"

namespace freehold {
namespace {

bool whole(std::string_view pattern, std::string_view text) {
    return Grammar::from_regex(pattern)->matches(text);
}

bool found(std::string_view pattern, std::string_view text) {
    grammar::Regexes rx;
    grammar::Rx r = grammar::parse_pattern(rx, pattern, grammar::PatternUse::search);
    for (const char32_t c : grammar::code_points(text, "text")) r = rx.derivative(r, static_cast<std::uint32_t>(c));
    return rx.nullable(r);
}

ErrorKind refusal(std::string_view pattern) {
    try {
        static_cast<void>(Grammar::from_regex(pattern));
    } catch (const Error& e) {
        return e.kind();
    }
    return ErrorKind::internal;
}

TEST(GrammarRegex, WholeAnswers) {
    EXPECT_TRUE(whole("a+b", "aab"));
    EXPECT_FALSE(whole("a+b", "b"));
    EXPECT_TRUE(whole("(ab|c){2,3}", "abcab"));
    EXPECT_FALSE(whole("(ab|c){2,3}", "c"));
    EXPECT_TRUE(whole("[^x]", "\xC3\xA9"));
    EXPECT_FALSE(whole("[^x]", "\xC3"));
    EXPECT_TRUE(whole("\\d{4}-\\d\\d", "2026-11"));
    EXPECT_TRUE(whole("x{0,100000}", std::string(5000, 'x')));
    EXPECT_FALSE(whole("x{0,100}", std::string(101, 'x')));
    EXPECT_TRUE(whole("\\u{1F600}|\\uD83D\\uDE00", "\xF0\x9F\x98\x80"));
}

TEST(GrammarRegex, AnchorsAreDividedOut) {
    EXPECT_TRUE(found("b", "abc"));
    EXPECT_FALSE(found("^b", "abc"));
    EXPECT_TRUE(found("^a", "abc"));
    EXPECT_FALSE(found("b$", "abc"));
    EXPECT_TRUE(found("^all|tags$", "all of it"));
    EXPECT_TRUE(found("^all|tags$", "the tags"));
    EXPECT_FALSE(found("^all|tags$", "the tag"));
    EXPECT_TRUE(found("^([^,]|$)", ""));
    EXPECT_FALSE(found("^([^,]|$)", ","));
    EXPECT_TRUE(found(R"(^(\/?((\.{2})|([a-z0-9\-]*))($|\/))*$)", "../a/b"));
    EXPECT_FALSE(found(R"(^(\/?((\.{2})|([a-z0-9\-]*))($|\/))*$)", "A"));
    EXPECT_FALSE(found("a^b", "ab"));
    EXPECT_TRUE(found("^^a$$", "a"));
}

TEST(GrammarRegex, LookaheadAtTheBeginning) {
    EXPECT_TRUE(found("^(?!pattern$).*$", "patterns"));
    EXPECT_FALSE(found("^(?!pattern$).*$", "pattern"));
    EXPECT_FALSE(found("^(?!^lucene\\.|builtin\\.).*", "lucene.x"));
    EXPECT_TRUE(found("^(?!^lucene\\.|builtin\\.).*", "mine"));
    EXPECT_TRUE(found("^(?=.*\\d)[a-z0-9]+$", "a1"));
    EXPECT_FALSE(found("^(?=.*\\d)[a-z0-9]+$", "ab"));
}

TEST(GrammarRegex, Refusals) {
    for (const char* bad : {"^?[0-9]$", "(", ")", "[a", "a{2,1}", "*a", "a**", "\\", "[b-a]", "\\xZ1"}) {
        EXPECT_EQ(refusal(bad), ErrorKind::usage) << bad;
    }
    for (const char* cannot : {"(a)\\1", "\\bword", "a(?=b)c", "(?<=a)b", "(?<!a)+b"}) {
        EXPECT_EQ(refusal(cannot), ErrorKind::unsupported) << cannot;
    }
    EXPECT_EQ(refusal(std::string(100000, '(')), ErrorKind::limit);
    EXPECT_EQ(refusal(std::string(60000, '(')), ErrorKind::limit);
    EXPECT_EQ(refusal("a{9999999999}"), ErrorKind::limit);
}

// What would make every token slow is refused before the answer begins; what only looks like it is not.
TEST(GrammarRegex, WhatStaysWideIsRefused) {
    for (const char* wide : {"(.|\\n)*[a-m](.|\\n){100}", "(.|\\n)*[a-m](.|\\n){400}", ".*a.{90}", "(.*[ab].{60}|x)*"})
        EXPECT_THROW(static_cast<void>(Grammar::from_regex(wide)), Error) << wide;
    EXPECT_THROW(static_cast<void>(Grammar::from_json_schema_text(R"({"type":"string","pattern":"a.{100}$"})")), Error);
    std::string names;
    for (int i = 0; i < 300; ++i)
        names += (i > 0 ? "|" : "") + std::string("https://example.com/a/b/") + std::to_string(i);
    for (const std::string& fine :
         {std::string("(.|\\n){0,4000}"), std::string("[a-z]{1,60}(-[a-z]{1,60}){0,20}"), names, "(" + names + ")*",
          std::string("(\\w+\\s?){1,200}"), std::string("\\d{4}-\\d\\d-\\d\\d(.*foo.{0,20}bar)?"),
          std::string("(.*a.*b){20}.*")})
        EXPECT_NO_THROW(static_cast<void>(Grammar::from_regex(fine))) << fine.substr(0, 60);
}

TEST(GrammarRegex, NestedCountersDoNotExplode) {
    EXPECT_TRUE(whole("((a{0,100}){0,100}){0,100}", std::string(300, 'a')));
    EXPECT_TRUE(whole("(a?){0,500}a{3}", std::string(100, 'a')));
    const auto optional = [](int n) {
        std::string pattern;
        for (int i = 0; i < n; ++i) pattern += "a?";
        return pattern;
    };
    EXPECT_TRUE(whole(optional(30), std::string(30, 'a')));
    EXPECT_FALSE(whole(optional(30), std::string(31, 'a')));
    // What would keep hundreds of ways open over a long text is refused when it is compiled.
    for (const std::string& pattern : {std::string("(.|\\n)*[a-m](.|\\n){100}"), optional(300)})
        EXPECT_THROW(static_cast<void>(whole(pattern, "aaaa")), Error) << pattern;
}

TEST(GrammarChoice, OneOfTheTexts) {
    const std::vector<std::string> choices = {"yes", "no", "\xC3\xA9t\xC3\xA9"};
    const auto g = Grammar::from_choice(choices);
    EXPECT_TRUE(g->matches("yes"));
    EXPECT_TRUE(g->matches("\xC3\xA9t\xC3\xA9"));
    EXPECT_FALSE(g->matches("ye"));
    EXPECT_EQ(g->viable_prefix("maybe"), 0U);
}

}  // namespace
}  // namespace freehold
