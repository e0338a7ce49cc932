// Hostile templates end quickly and with a clear error: the named files of tests/corrupt/template, and shapes that are
// too large to keep as files.
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <string>

#include "freehold/base/error.h"
#include "freehold/text/chat_template.h"

namespace freehold {
namespace {

using Clock = std::chrono::steady_clock;

// The kind of the error that parsing or rendering ends with, or "ok".
std::string outcome(const std::string& source, std::string* message = nullptr) {
    try {
        (void)ChatTemplate::parse(source)->render({{"messages", Value(ValueList{})}}, 0);
        return "ok";
    } catch (const Error& error) {
        if (message != nullptr) *message = error.message();
        return kind_name(error.kind());
    }
}

std::string repeated(std::string_view piece, std::size_t count) {
    std::string out;
    out.reserve(piece.size() * count);
    for (std::size_t i = 0; i < count; ++i) out += piece;
    return out;
}

TEST(ChatTemplateHostile, EveryNamedFileEndsAsExpectedAndSoon) {
    const std::string folder = FREEHOLD_SOURCE_DIR "/tests/corrupt/template/";
    std::ifstream list(folder + "EXPECTED.tsv");
    int files = 0;
    for (std::string line; std::getline(list, line);) {
        if (line.empty() || line[0] == '#') continue;
        const std::size_t tab = line.find('\t');
        ASSERT_NE(tab, std::string::npos) << line;
        SCOPED_TRACE(line);
        std::ifstream in(folder + line.substr(0, tab) + ".jinja", std::ios::binary);
        ASSERT_TRUE(in.good());
        const std::string source{std::istreambuf_iterator<char>(in), {}};
        std::string message;
        const auto begin = Clock::now();
        EXPECT_EQ(outcome(source, &message), line.substr(tab + 1)) << message;
        EXPECT_LT(Clock::now() - begin, std::chrono::seconds(20));  // generous: sanitizers, busy machines
        ++files;
    }
    EXPECT_GT(files, 50);
}

TEST(ChatTemplateHostile, NestingIsRefusedBeforeTheStackEnds) {
    constexpr std::size_t kMany = 200'000;
    EXPECT_EQ(outcome("{{ " + repeated("(", kMany) + "1" + repeated(")", kMany) + " }}"), "limit");
    EXPECT_EQ(outcome("{{ " + repeated("[", kMany) + repeated("]", kMany) + " }}"), "limit");
    EXPECT_EQ(outcome("{{ " + repeated("{1:", kMany) + " }}"), "limit");
    EXPECT_EQ(outcome("{{ " + repeated("-", kMany) + "1 }}"), "limit");
    EXPECT_EQ(outcome("{{ " + repeated("not ", kMany) + "1 }}"), "limit");
    EXPECT_EQ(outcome("{{ 1" + repeated("+1", kMany) + " }}"), "limit");
    EXPECT_EQ(outcome("{{ x" + repeated(".a", kMany) + " }}"), "limit");
    EXPECT_EQ(outcome("{{ x" + repeated("|trim", kMany) + " }}"), "limit");
    EXPECT_EQ(outcome("{{ x" + repeated("()", kMany) + " }}"), "limit");
    EXPECT_EQ(outcome("{{ 1" + repeated(" if 1 else 1", kMany) + " }}"), "limit");
    EXPECT_EQ(outcome(repeated("{% if 1 %}", kMany)), "limit");
    EXPECT_EQ(outcome(repeated("{% for x in y %}", kMany)), "limit");
    EXPECT_EQ(outcome("{% set " + repeated("(", kMany) + "a" + repeated(")", kMany) + " = 1 %}"), "limit");
}

TEST(ChatTemplateHostile, LargeTemplatesAreReadInLinearTime) {
    const auto begin = Clock::now();
    EXPECT_EQ(outcome(repeated("{", 1'000'000)), "limit");
    EXPECT_EQ(outcome(repeated("{ ", 500'000)), "ok");
    EXPECT_EQ(outcome(repeated("{# ", 300'000)), "bad_file");
    EXPECT_EQ(outcome("{% raw %}" + repeated("{% ", 300'000)), "bad_file");
    EXPECT_EQ(outcome("{% raw %}" + repeated("{% endraw ", 100'000)), "bad_file");
    EXPECT_EQ(outcome(repeated("{%", 1) + repeated(" ", 1'000'000)), "bad_file");
    EXPECT_EQ(outcome("{{ '" + repeated("\\", 999'999) + "' }}"), "bad_file");
    EXPECT_EQ(outcome(repeated("x\n", 400'000) + repeated(" ", 200'000) + "{% if 1 %}y{% endif %}"), "ok");
    EXPECT_EQ(outcome(repeated("{{ x }}", 100'000)), "ok");
    std::string many;
    for (int i = 0; i < 40'000; ++i)
        many += "{% set v" + std::to_string(i) + " = 1 %}{% if v" + std::to_string(i) + " %}{% endif %}";
    EXPECT_EQ(outcome(many), "ok");
    EXPECT_EQ(outcome(std::string(17U << 20U, 'x')), "limit");
    EXPECT_LT(Clock::now() - begin, std::chrono::seconds(60));
}

TEST(ChatTemplateHostile, SearchesAreLinear) {
    const std::string heavy =
        "{% set a = 'a' * 1000000 %}{% set b = 'a' * 500000 ~ 'b' %}"
        "{{ b in a }}{{ a.find(b) }}{{ a.rfind('b' ~ b) }}{{ a.replace(b, 'x')|length }}{{ a.split(b)|length }}{{ "
        "a.count(b) }}";
    const auto begin = Clock::now();
    EXPECT_EQ(outcome(heavy), "ok");
    EXPECT_LT(Clock::now() - begin, std::chrono::seconds(20));
}

TEST(ChatTemplateHostile, LimitsAreTheCallers) {
    const auto parsed = ChatTemplate::parse("{% for i in range(1000) %}xxxxxxxxxx{% endfor %}",
                                            {.steps = 100'000, .output_bytes = 10'000, .depth = 20});
    EXPECT_EQ(parsed->render({}, 0).size(), 10'000U);
    const auto small = ChatTemplate::parse("{% for i in range(1000) %}xxxxxxxxxx{% endfor %}",
                                           {.steps = 100'000, .output_bytes = 9'999, .depth = 20});
    EXPECT_THROW((void)small->render({}, 0), Error);
    const auto brief = ChatTemplate::parse("{% for i in range(1000) %}x{% endfor %}",
                                           {.steps = 500, .output_bytes = 10'000, .depth = 20});
    EXPECT_THROW((void)brief->render({}, 0), Error);
}

}  // namespace
}  // namespace freehold
