// How a model writes what is not plain text: its thinking and its calls of tools. Found from the chat template, whose
// author knows what the model was taught.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace freehold {
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
    // The one of them that the template speaks of: the model was taught to think so.
    std::optional<std::size_t> taught_thinking;
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
// For a model with several: its tool template if it has one, else the default.
[[nodiscard]] OutputFormat format_of(const std::map<std::string, std::string, std::less<>>& templates);

// What a model writes of itself before an answer that is held to a form: `begin`, free text, `end`; or `otherwise` and
// the answer at once. Where `begun`, the prompt holds `begin` already.
struct Lead {
    std::string begin, end, otherwise;
    bool begun = false;
};
// Nothing: the answer begins at once. `prompt`: as rendered. `to_call`: the answer is a call of a tool.
[[nodiscard]] std::optional<Lead> lead_of(const OutputFormat& format, std::string_view prompt, bool to_call);
// Does a rendered prompt end with an open thinking block? The template then began it for the model. Which pair it is.
[[nodiscard]] std::optional<std::size_t> open_thinking(const OutputFormat& format, std::string_view prompt);
[[nodiscard]] bool ends_in_thinking(const OutputFormat& format, std::string_view prompt);
// Texts of control tokens of the vocabulary that occur in these texts: there the token itself is meant, not its
// letters.
[[nodiscard]] std::vector<std::string> control_marks(const Tokenizer& tokenizer, std::span<const std::string> texts);
// Are marks of this format control tokens of the vocabulary? Then they must be shown as text to the parser.
[[nodiscard]] bool needs_special_text(const OutputFormat& format, const Tokenizer& tokenizer);

}  // namespace freehold::output
