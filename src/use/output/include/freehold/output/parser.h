// The text of an answer in, what it is made of out: content, thinking, calls of tools as they grow. Every byte of text
// is told exactly once, in order; the result does not depend on how the text was cut into pieces.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/output/format.h"

namespace freehold::output {

struct OutputDelta {
    enum class Kind : std::uint8_t {
        content,         // text of the answer
        reasoning,       // text of its thinking
        tool_call,       // a call begins: index, id, name
        tool_arguments,  // a piece of its arguments, the very bytes that the model wrote
    };
    Kind kind = Kind::content;
    std::string text;  // content, reasoning, tool_arguments
    int index = 0;     // of the call, from 0
    std::string id;    // of the call
    std::string name;  // of the function
    friend bool operator==(const OutputDelta&, const OutputDelta&) = default;
};

struct ParserOptions {
    // Functions that may be called. Empty: calls are not looked for, and their marks are text.
    std::vector<std::string> tools;
    bool thinking = true;  // split it from the content
    // The prompt ends inside a thinking block (see ends_in_thinking).
    bool begins_in_thinking = false;
    std::uint64_t id_seed = 0;  // ids of calls are made from it
};

class OutputParser {
 public:
    OutputParser(OutputFormat format, ParserOptions options);
    ~OutputParser();
    OutputParser(OutputParser&&) noexcept;
    OutputParser& operator=(OutputParser&&) noexcept;

    // A piece of the answer. Appends what is certain by now; neighbours of one kind are one delta.
    void push(std::string_view piece, std::vector<OutputDelta>& out);
    // The answer has ended: what waited is told. A call whose name never became certain is content.
    void finish(std::vector<OutputDelta>& out);
    [[nodiscard]] int calls() const noexcept;

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace freehold::output
