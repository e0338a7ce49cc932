// How answers of a model are read: the format that its chat template tells of.
#include <utility>

#include "freehold/engine/loaded_model.h"
#include "freehold/output/format.h"
#include "freehold/output/parser.h"
#include "freehold/output/tools.h"
#include "freehold/server/generation.h"

namespace freehold::server {
namespace {

OutputDelta::Kind kind_of(output::OutputDelta::Kind kind) noexcept {
    switch (kind) {
        case output::OutputDelta::Kind::content:
            return OutputDelta::Kind::content;
        case output::OutputDelta::Kind::reasoning:
            return OutputDelta::Kind::reasoning;
        case output::OutputDelta::Kind::tool_call:
            return OutputDelta::Kind::tool_call;
        case output::OutputDelta::Kind::tool_arguments:
            return OutputDelta::Kind::tool_arguments;
    }
    return OutputDelta::Kind::content;
}

class FormatParser final : public OutputParser {
 public:
    explicit FormatParser(output::OutputParser parser) : parser_(std::move(parser)) {}
    void push(std::string_view piece, std::vector<OutputDelta>& out) override {
        parser_.push(piece, parts_);
        hand_over(out);
    }
    void finish(std::vector<OutputDelta>& out) override {
        parser_.finish(parts_);
        hand_over(out);
    }

 private:
    void hand_over(std::vector<OutputDelta>& out) {
        for (output::OutputDelta& part : parts_) {
            out.push_back(
                {kind_of(part.kind), std::move(part.text), part.index, std::move(part.id), std::move(part.name)});
        }
        parts_.clear();
    }
    output::OutputParser parser_;
    std::vector<output::OutputDelta> parts_;
};

}  // namespace

OutputPlanner make_output_planner() {
    return [](const OutputParserInput& input) {
        output::OutputFormat format = output::format_of(*input.model);
        output::ParserOptions options;
        options.tools = output::tool_names(input.tools);
        options.begins_in_thinking = output::ends_in_thinking(format, input.prompt_text);
        options.id_seed = input.id_seed;
        OutputPlan plan;
        plan.show_special = input.model->tokenizer() && output::needs_special_text(format, *input.model->tokenizer());
        plan.parser = std::make_unique<FormatParser>(output::OutputParser(std::move(format), std::move(options)));
        return plan;
    };
}

}  // namespace freehold::server
