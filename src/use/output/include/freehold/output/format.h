// How a model writes what is not plain text: its thinking and its calls of tools. Found from the chat template, whose
// author knows what the model was taught.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace freehold {
class LoadedModel;
class Tokenizer;
}  // namespace freehold

namespace freehold::output {

// The shape of calls.
enum class CallShape : std::uint8_t {
    none,     // the model has no form that we read; calls stay text
    object,   // MARK {"name": ..., "arguments": {...}} END, or a list of such objects
    named,    // MARK name SEPARATOR {...} END
    harmony,  // channels: a header with a recipient, then the arguments
};

struct OutputFormat {
    std::string name;  // "hermes", "llama3", "mistral", ...
    CallShape shape = CallShape::none;
    // A call begins with one of these; several may follow each other (section, then call).
    std::vector<std::string> begin;
    // Between the name and its arguments; shape `named` only.
    std::string separator;
    // What may follow the arguments; each is skipped, none is required.
    std::vector<std::string> end;
    // A call may stand without a mark, as the first thing of an answer (Llama 3).
    bool bare = false;
    // Marks of thinking that may stand at the beginning: pairs of begin and end.
    std::vector<std::pair<std::string, std::string>> thinking;
    // Marks around the answer that are no text.
    std::vector<std::string> dropped;
    // Ids of calls are nine letters or digits (Mistral's templates insist), else "call_" and 24.
    bool short_ids = false;

    // For constraints and for what we write ourselves: the beginning of one call up to its arguments with {} for the
    // name, its end, and what stands before the first, between two and after the last.
    std::string call_begin, call_end, section_begin, section_between, section_end;
    // The template knows nothing of tools: `with_tool_prompt` has to tell the model.
    bool needs_prompt = false;
};

// From the text of a chat template ("" : none).
[[nodiscard]] OutputFormat format_of_template(std::string_view chat_template);
// For a model: its tool template if it has one, else the default.
[[nodiscard]] OutputFormat format_of(const LoadedModel& model);
// Are marks of this format control tokens of the vocabulary? Then they must be shown as text to the parser.
[[nodiscard]] bool needs_special_text(const OutputFormat& format, const Tokenizer& tokenizer);

}  // namespace freehold::output
