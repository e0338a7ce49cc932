// Grammars of every kind and texts against them: the first byte chooses the kind, what stands before a zero byte is the
// grammar, the rest a text. What matches must be viable to its end, and every mask must say what each token says alone.
#include <array>
#include <string>
#include <vector>

#include "freehold/grammar/grammar.h"
#include "freehold/grammar/matcher.h"
#include "fuzz.h"

namespace {

using namespace freehold;

// Every byte, some words that cross the borders of JSON, an end and a control token.
std::vector<std::string> vocabulary() {
    std::vector<std::string> tokens{""};
    for (int b = 0; b < 255; ++b) tokens.emplace_back(1, static_cast<char>(b));
    for (const char* word : {"{\"", "\":", "\", \"", "\"}",  "}}", "[[",   "]]",  "],", "true", "null",     "12",
                             "-0.", "e+1", "\\u00",  "\\\"", "  ", "\n\t", "abc", "é",  "日",   "\xFF<end>"}) {
        tokens.emplace_back(word);
    }
    return tokens;
}

std::shared_ptr<const Grammar> compile(std::uint8_t kind, std::string_view text) {
    const JsonSchemaOptions options = kind % 2 == 0 ? JsonSchemaOptions{} : JsonSchemaOptions::serving();
    switch (kind / 2 % 5) {
        case 0:
            return Grammar::from_json_schema_text(text, options);
        case 1:
            return Grammar::from_regex(text);
        case 2:
            return Grammar::from_gbnf(text);
        case 3: {
            TagFormat tag;
            tag.begin = "<call>";
            tag.end = "</call>";
            tag.schema = parse_json(text, "the input");
            tag.json = options;
            TagOptions around;
            around.triggers = {"<c"};
            around.control_tokens = {"<end>"};
            return Grammar::from_tags(std::span(&tag, 1), around);
        }
        default:
            return Grammar::from_gbnf(text)->behind({"<think>", "</think>", kind % 2 == 0, "", {}});
    }
}

// Walks the text byte by byte; every few bytes all tokens are asked for one by one, and a step is taken back.
void walk(const std::shared_ptr<const Grammar>& grammar, std::string_view text, std::size_t viable) {
    static const std::vector<std::string> tokens = vocabulary();
    static const auto trie = make_token_trie(tokens);
    constexpr std::array<std::int32_t, 1> kEnds = {0};
    Matcher matcher(grammar, trie, kEnds);
    std::vector<std::uint32_t> bits((tokens.size() + 31) / 32);
    std::vector<std::uint32_t> again(bits.size());
    const auto has = [&](std::size_t t) { return (bits[t / 32] >> (t % 32) & 1U) != 0; };
    for (std::size_t i = 0; i < text.size() && i < 24; ++i) {
        const auto byte = static_cast<std::uint8_t>(text[i]);
        if (byte == 0xFF) break;
        const std::size_t token = 1 + std::size_t{byte};
        matcher.mask(bits);
        if (i % 4 == 0) {
            for (std::size_t t = 0; t < tokens.size(); ++t) {
                fuzz::require(matcher.allows(static_cast<std::int32_t>(t)) == has(t));
            }
        }
        fuzz::require(has(0) == matcher.may_end());
        fuzz::require(has(token) == (i < viable));
        if (!matcher.accept(static_cast<std::int32_t>(token))) {
            fuzz::require(i >= viable);
            break;
        }
        matcher.rollback(1);
        matcher.mask(again);
        fuzz::require(bits == again);
        fuzz::require(matcher.accept(static_cast<std::int32_t>(token)));
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    return fuzz::run([&] {
        if (size < 2) return;
        const std::string_view all = fuzz::as_text(data + 1, size - 1);
        const std::size_t cut = std::min(all.find('\0'), all.size());
        const auto grammar = compile(data[0], all.substr(0, cut));
        const std::string_view text = all.substr(std::min(cut + 1, all.size()));
        const std::size_t viable = grammar->viable_prefix(text);
        const bool matches = grammar->matches(text);
        fuzz::require(viable <= text.size());
        fuzz::require(!matches || viable == text.size());
        walk(grammar, text, viable);
        fuzz::planted_bug(matches && text.size() > 3 && data[0] / 2 % 5 == 0);
    });
}
