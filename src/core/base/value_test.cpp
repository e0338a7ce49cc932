// Values, ordered maps, and JSON both ways, also when the text is hostile.
#include "freehold/base/value.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "freehold/base/error.h"

namespace freehold {
namespace {

TEST(ValueMap, KeepsTheOrderOfItsKeysSmallAndLarge) {
    ValueMap map;
    EXPECT_TRUE(map.empty());
    EXPECT_EQ(map.find("a"), nullptr);
    for (int i = 0; i < 5000; ++i) EXPECT_TRUE(map.set("key" + std::to_string(i * 7919 % 5000), Value(i)));
    EXPECT_FALSE(map.set("key0", Value(-1)));
    EXPECT_EQ(map.size(), 5000U);
    EXPECT_EQ(map.begin()->key, "key0");
    EXPECT_EQ(map.find("key0")->as_int(), -1);
    EXPECT_EQ(map.find("key2919")->as_int(), 1);
    EXPECT_EQ(map.find("key5000"), nullptr);
    EXPECT_TRUE(map.erase("key2919"));
    EXPECT_FALSE(map.erase("key2919"));
    EXPECT_EQ(map.size(), 4999U);
    EXPECT_EQ((map.begin() + 1)->key, "key838");
    for (const ValueEntry& e : map) ASSERT_EQ(map.find(e.key), &e.value);
    const ValueMap copy = map;
    map = ValueMap();
    EXPECT_EQ(copy.size(), 4999U);
    EXPECT_EQ(map.size(), 0U);
}

TEST(Value, ConvertsOnlyWhatIsExact) {
    EXPECT_EQ(Value(std::uint64_t{1} << 63).as_int(), std::nullopt);
    EXPECT_EQ(Value(std::uint64_t{5}).as_int(), 5);
    EXPECT_EQ(Value(3.0).as_int(), 3);
    EXPECT_EQ(Value(3.5).as_int(), std::nullopt);
    EXPECT_EQ(Value(0x1p63).as_int(), std::nullopt);
    EXPECT_EQ(Value(-0x1p63).as_int(), std::numeric_limits<std::int64_t>::min());
    EXPECT_EQ(Value(std::nan("")).as_int(), std::nullopt);
    EXPECT_EQ(Value((std::int64_t{1} << 53) + 1).as_double(), std::nullopt);
    EXPECT_EQ(Value(std::numeric_limits<std::int64_t>::max()).as_double(), std::nullopt);
    EXPECT_EQ(Value(std::numeric_limits<std::uint64_t>::max()).as_double(), std::nullopt);
    EXPECT_EQ(Value(7).as_double(), 7.0);
    EXPECT_EQ(Value(true).as_int(), std::nullopt);
    EXPECT_EQ(Value(true).as_bool(), true);
    EXPECT_EQ(Value("x").as_string(), "x");
    EXPECT_EQ(Value().as_string(), std::nullopt);
}

TEST(Value, ListsOfEveryKindHaveElements) {
    EXPECT_EQ(Value(std::vector<float>{0.5F, 2}).at(1).as_double(), 2.0);
    EXPECT_EQ(Value(std::vector<std::int32_t>{4}).at(0).as_int(), 4);
    EXPECT_EQ(Value(std::vector<std::string>{"a", "b"}).at(1).as_string(), "b");
    EXPECT_EQ(Value(ValueList{Value(1), Value("z")}).size(), 2U);
    EXPECT_TRUE(Value(ValueList{}).at(0).is_null());
    EXPECT_EQ(Value("text").size(), 0U);
}

TEST(Value, FindsWholeKeysBeforeSteps) {
    ValueMap map{{"llama.block_count", Value(5)},
                 {"a", Value(ValueMap{{"b.c", Value(1)}, {"d", Value(ValueMap{{"e", Value(2)}})}})}};
    EXPECT_EQ(find(map, "llama.block_count")->as_int(), 5);
    EXPECT_EQ(find(map, "a.b.c")->as_int(), 1);
    EXPECT_EQ(find(map, "a.d.e")->as_int(), 2);
    EXPECT_EQ(find(map, "a.x"), nullptr);
    EXPECT_EQ(find(map, "llama.block_count.x"), nullptr);
    EXPECT_EQ(find(map, ""), nullptr);
}

TEST(Json, ReadsEveryKindOfValue) {
    const Value v = parse_json(
        " {\"a\": [1, -2, 0, 1.5, 1e3, true, false, null, \"\\u00e4\\ud83d\\ude00\\n\"], \"b\": {}, \"c\": []} ",
        "test");
    const auto* map = v.get<ValueMap>();
    ASSERT_NE(map, nullptr);
    const Value& a = *map->find("a");
    EXPECT_EQ(a.size(), 9U);
    EXPECT_EQ(*a.at(1).get<std::int64_t>(), -2);
    EXPECT_EQ(*a.at(3).get<double>(), 1.5);
    EXPECT_EQ(*a.at(4).get<double>(), 1000.0);
    EXPECT_EQ(a.at(8).as_string(), "\xC3\xA4\xF0\x9F\x98\x80\n");
    EXPECT_EQ(to_json(v),
              "{\"a\":[1,-2,0,1.5,1000.0,true,false,null,\"\xC3\xA4\xF0\x9F\x98\x80\\n\"],\"b\":{},\"c\":[]}");
}

TEST(Json, NumbersAtTheirEnds) {
    EXPECT_EQ(*parse_json("9223372036854775807", "t").get<std::int64_t>(), std::numeric_limits<std::int64_t>::max());
    EXPECT_EQ(*parse_json("-9223372036854775808", "t").get<std::int64_t>(), std::numeric_limits<std::int64_t>::min());
    EXPECT_EQ(*parse_json("18446744073709551615", "t").get<std::uint64_t>(), ~0ULL);
    EXPECT_EQ(*parse_json("18446744073709551616", "t").get<double>(), 0x1p64);
    EXPECT_EQ(*parse_json("1e308", "t").get<double>(), 1e308);
    EXPECT_EQ(*parse_json("1e-999", "t").get<double>(), 0.0);
    EXPECT_EQ(*parse_json("0.000e99999999999999999999", "t").get<double>(), 0.0);
    EXPECT_EQ(*parse_json("5e-324", "t").get<double>(), 5e-324);
    EXPECT_TRUE(std::signbit(*parse_json("-1e-400", "t").get<double>()));
    EXPECT_EQ(*parse_json("\xEF\xBB\xBF"
                          "7",
                          "t")
                   .get<std::int64_t>(),
              7);
}

struct Hostile {
    const char* name;
    std::string text;
    const char* phrase;
};

class HostileJson : public testing::TestWithParam<Hostile> {};

TEST_P(HostileJson, GetsAnErrorThatSaysWhyAndWhere) {
    try {
        static_cast<void>(parse_json(GetParam().text, "config.json"));
        FAIL() << "was accepted";
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::bad_file);
        EXPECT_NE(e.message().find(GetParam().phrase), std::string::npos) << e.message();
        EXPECT_TRUE(e.message().starts_with("config.json is not valid JSON at line ")) << e.message();
    }
}

INSTANTIATE_TEST_SUITE_P(
    Each, HostileJson,
    testing::Values(
        Hostile{"depth", std::string(201, '['), "nested more than 200"},
        Hostile{"depth_millions", std::string(3'000'000, '['), "nested more than 200"},
        Hostile{"depth_objects",
                [] {
                    std::string s;
                    for (int i = 0; i < 300; ++i) s += "{\"a\":";
                    return s;
                }(),
                "nested more than 200"},
        Hostile{"duplicate", "{\"a\":1,\n \"a\":2}", "line 2, column 2: the key \"a\" comes twice"},
        Hostile{"duplicate_by_escape", "{\"a\":1,\"\\u0061\":2}", "comes twice"},
        Hostile{"nan", "{\"a\":NaN}", "a value should come here"},
        Hostile{"infinity", "[-Infinity]", "a value should come here"}, Hostile{"huge", "1e999", "too large"},
        Hostile{"huge_negative", "-12345e400", "too large"}, Hostile{"huge_digits", std::string(400, '9'), "too large"},
        Hostile{"utf8_overlong", "\"\xC0\xAF\"", "not valid UTF-8"},
        Hostile{"utf8_surrogate", "\"\xED\xA0\x80\"", "not valid UTF-8"},
        Hostile{"utf8_cut", "\"\xF0\x9F\x98", "not valid UTF-8"}, Hostile{"lone_high", "\"\\ud800\"", "surrogate"},
        Hostile{"lone_low", "\"\\udc00\"", "surrogate"}, Hostile{"two_high", "\"\\ud800\\ud800\"", "surrogate"},
        Hostile{"control", "\"a\nb\"", "control character"}, Hostile{"escape", "\"\\x\"", "unknown escape"},
        Hostile{"escape_end", "\"\\", "unknown escape"}, Hostile{"hex_end", "\"\\u12", "four hexadecimal"},
        Hostile{"open_string", "\"abc", "ends inside a string"}, Hostile{"empty", "", "ends where a value"},
        Hostile{"trailing", "{} {}", "more text after"}, Hostile{"comma", "[1,]", "a value should come here"},
        Hostile{"comma_object", "{\"a\":1,}", "a key in quotation marks"}, Hostile{"no_colon", "{\"a\" 1}", "colon"},
        Hostile{"cut_list", "[1, 2", "a comma or the end of the list"},
        Hostile{"cut_object", "{\"a\":1", "a comma or the end of the object"},
        Hostile{"zero", "01", "may not begin with 0"}, Hostile{"point", "1.", "a digit should follow the point"},
        Hostile{"exponent", "1e+", "a digit should follow the exponent"},
        Hostile{"minus", "-", "a value should come here"}, Hostile{"word", "nul", "a value should come here"},
        Hostile{"comment", "// x\n1", "a value should come here"},
        Hostile{"nul", std::string("{\"a\":\0}", 7), "a value should come here"}),
    [](const testing::TestParamInfo<Hostile>& i) { return std::string(i.param.name); });

TEST(Json, WritesTheShortestFormThatReadsBack) {
    EXPECT_EQ(to_json(Value(0.1)), "0.1");
    EXPECT_EQ(to_json(Value(1.0)), "1.0");
    EXPECT_EQ(to_json(Value(1e300)), "1e+300");
    EXPECT_EQ(to_json(Value(std::vector<float>{0.1F, 3})), "[0.1,3.0]");
    EXPECT_EQ(to_json(Value(std::nan(""))), "null");
    EXPECT_EQ(to_json(Value(std::numeric_limits<double>::infinity())), "null");
    EXPECT_EQ(to_json(Value(std::string("a\xFF\x01\"\\"))), "\"a\xEF\xBF\xBD\\u0001\\\"\\\\\"");
    for (const double d : {1.0 / 3, 1e-5, 123456789.125, 5e-324, -2.5e17})
        EXPECT_EQ(parse_json(to_json(Value(d)), "t").as_double(), d);
}

TEST(Json, Indents) {
    EXPECT_EQ(to_json(parse_json("{\"a\":[1,{}],\"b\":[]}", "t"), 2),
              "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}");
}

TEST(Json, DepthOf200IsFine) {
    EXPECT_NO_THROW(static_cast<void>(parse_json(std::string(200, '[') + std::string(200, ']'), "t")));
}

}  // namespace
}  // namespace freehold
