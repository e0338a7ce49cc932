// The reading of answers: formats of models, from the room `output`, behind the seam of a generation.
#include <sys/random.h>

#include "freehold/engine/loaded_model.h"
#include "freehold/output/parser.h"
#include "freehold/output/tools.h"
#include "freehold/server/output.h"

namespace freehold::server {
namespace {

class Parser final : public OutputParser {
 public:
    Parser(output::OutputFormat format, output::ParserOptions options)
        : parser_(std::move(format), std::move(options)) {}
    void push(std::string_view piece, std::vector<OutputDelta>& out) override {
        parser_.push(piece, found_);
        hand_on(out);
    }
    void finish(std::vector<OutputDelta>& out) override {
        parser_.finish(found_);
        hand_on(out);
    }

 private:
    static OutputDelta::Kind kind_of(output::OutputDelta::Kind kind) noexcept {
        switch (kind) {
            case output::OutputDelta::Kind::content:
                return OutputDelta::Kind::content;
            case output::OutputDelta::Kind::reasoning:
                return OutputDelta::Kind::reasoning;
            case output::OutputDelta::Kind::tool_call:
                return OutputDelta::Kind::tool_call;
            case output::OutputDelta::Kind::tool_arguments:
                break;
        }
        return OutputDelta::Kind::tool_arguments;
    }
    void hand_on(std::vector<OutputDelta>& out) {
        for (output::OutputDelta& d : found_)
            out.push_back({kind_of(d.kind), std::move(d.text), d.index, std::move(d.id), std::move(d.name)});
        found_.clear();
    }
    output::OutputParser parser_;
    std::vector<output::OutputDelta> found_;
};

std::uint64_t random_word() noexcept {
    std::uint64_t word = 0;
    if (::getrandom(&word, sizeof word, 0) != static_cast<ssize_t>(sizeof word)) word = 0;
    return word;
}

}  // namespace

OutputPlanner make_output_planner() {
    return [](const OutputParserInput& input) {
        OutputPlan plan;
        if (input.model == nullptr) return plan;
        output::OutputFormat format = output::format_of(input.model->template_sources());
        output::ParserOptions options;
        if (input.tool_choice.as_string() != "none") options.tools = output::tool_names(input.tools);
        options.begins_in_thinking = output::ends_in_thinking(format, input.prompt_text);
        options.id_seed = random_word();
        plan.show_special = input.model->tokenizer() && output::needs_special_text(format, *input.model->tokenizer());
        plan.parser = std::make_unique<Parser>(std::move(format), std::move(options));
        return plan;
    };
}

}  // namespace freehold::server
