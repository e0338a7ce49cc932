// How help looks: short, grouped, wrapped to the terminal, examples last.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace freehold::cli {

class HelpFormatter : public CLI::Formatter {
 public:
    std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override;
};

// The exit codes, as the help of the program lists them; docs/exit-codes.md says the same.
[[nodiscard]] std::string exit_code_table();

}  // namespace freehold::cli
