// Answers of models: the first byte chooses the format, the second how the text is cut; the rest is the answer. Whole,
// byte by byte and cut, it must be read the same; where no call was found, every byte comes out as text.
#include <array>
#include <string>

#include "freehold/output/parser.h"
#include "fuzz.h"

namespace {

using namespace freehold::output;

struct Reading {
    std::string content, thinking, calls;
    int count = 0;
    friend bool operator==(const Reading&, const Reading&) = default;
};

Reading read(const OutputFormat& format, const ParserOptions& options, std::string_view text, std::size_t cut) {
    OutputParser parser(format, options);
    std::vector<OutputDelta> deltas;
    for (std::size_t at = 0; at < text.size(); at += cut) parser.push(text.substr(at, cut), deltas);
    parser.finish(deltas);
    Reading r;
    for (const OutputDelta& d : deltas) {
        if (d.kind == OutputDelta::Kind::content) r.content += d.text;
        if (d.kind == OutputDelta::Kind::reasoning) r.thinking += d.text;
        if (d.kind == OutputDelta::Kind::tool_call) r.calls += "\n" + d.name + " " + d.id + " ";
        if (d.kind == OutputDelta::Kind::tool_arguments) r.calls += d.text;
    }
    r.count = parser.calls();
    return r;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace freehold;
    return fuzz::run([&] {
        constexpr std::array kTemplates = {"tools <tool_call>",
                                           "tools <|python_tag|>",
                                           "[TOOL_CALLS]",
                                           "<｜tool▁calls▁begin｜>",
                                           "<|tool_call|> tools",
                                           "<|START_ACTION|> <|START_THINKING|>",
                                           "<|tool_calls_section_begin|>",
                                           "tools <function=",
                                           "<|channel|><|message|>"};
        std::string_view text = fuzz::as_text(data, size);
        if (text.size() < 2) return;
        const OutputFormat format = format_of_template(kTemplates[data[0] % kTemplates.size()]);
        const std::size_t cut = 2 + data[1] % 13;
        text.remove_prefix(2);
        ParserOptions options;
        options.tools = {"add", "get_weather"};
        options.begins_in_thinking = data[1] % 2 == 1;
        const Reading whole = read(format, options, text, std::max<std::size_t>(text.size(), 1));
        fuzz::require(read(format, options, text, 1) == whole);
        fuzz::require(read(format, options, text, cut) == whole);
        fuzz::require(whole.content.size() + whole.thinking.size() <= text.size());
        options.tools.clear();
        options.thinking = false;
        if (format.shape != CallShape::harmony && format.dropped.empty())
            fuzz::require(read(format, options, text, cut).content == text);
        fuzz::planted_bug(whole.count == 1 && whole.calls.find("{\"") != std::string::npos);
    });
}
