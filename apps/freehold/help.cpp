// Builds a help text from the CLI11 tree: usage line, arguments, options by group, examples from the footer.
#include "help.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "console.h"

namespace freehold::cli {
namespace {

using Rows = std::vector<std::pair<std::string, std::string>>;

std::string heading(std::string_view text) {
    return styled(text, Style::bold) + "\n";
}

// Two columns; the right one wrapped, or below the left one when the terminal is narrow.
std::string two_columns(const Rows& rows, int width) {
    int left = 0;
    for (const auto& [name, text] : rows) {
        if (const int w = display_width(name); w <= 30) left = std::max(left, w);
    }
    const bool stacked = width < 60;
    std::string result;
    for (const auto& [name, text] : rows) {
        const std::string start = "  " + name;
        if (stacked || display_width(name) > left) {
            const int indent = stacked ? 6 : left + 4;
            const std::string margin(static_cast<std::size_t>(indent), ' ');
            result += start + "\n" + (text.empty() ? "" : wrapped(margin + text, width, indent) + "\n");
        } else {
            const std::string pad(static_cast<std::size_t>(left - display_width(name)) + 2, ' ');
            result += wrapped(start + pad + text, width, left + 4) + "\n";
        }
    }
    return result;
}

// Prose is wrapped to the width; indented lines are commands or tables, which stay as they are.
std::string flowed(const std::string& text, int width) {
    std::string result;
    std::string paragraph;
    const auto flush = [&] {
        if (!paragraph.empty()) result += wrapped(paragraph, width) + "\n";
        paragraph.clear();
    };
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        const std::string line = text.substr(at, end - at);
        at = end + 1;
        if (line.empty() || line.starts_with(' ')) {
            flush();
            result += line + "\n";
        } else {
            paragraph += (paragraph.empty() ? "" : " ") + line;
        }
    }
    flush();
    return result;
}

std::string option_names(const CLI::Option& option) {
    std::vector<std::string> names;
    for (const auto& s : option.get_snames()) names.push_back("-" + s);
    for (const auto& l : option.get_lnames()) names.push_back("--" + l);
    std::string text = fmt::format("{}", fmt::join(names, ", "));
    if (option.get_expected_max() > 0 && option.get_type_size_max() != 0 && !option.get_type_name().empty()) {
        text += " " + option.get_type_name();
    }
    return text;
}

std::string positional_name(const CLI::Option& option) {
    std::string name = option.get_type_name().empty() ? option.get_name(true) : option.get_type_name();
    if (option.get_expected_max() > 1) name += "...";
    return name;
}

std::string usage_line(const CLI::App& app, const std::string& path) {
    std::string line = "usage: " + path;
    const auto options = app.get_options([](const CLI::Option* o) { return o->nonpositional(); });
    if (!options.empty()) line += " [options]";
    for (const CLI::Option* option : app.get_options([](const CLI::Option* o) { return o->get_positional(); })) {
        const std::string name = positional_name(*option);
        line += option->get_required() ? " " + name : " [" + name + "]";
    }
    if (!app.get_subcommands([](const CLI::App* s) { return !s->get_group().empty(); }).empty()) line += " VERB ...";
    return line + "\n";
}

}  // namespace

std::string HelpFormatter::make_help(const CLI::App* app, std::string /*name*/, CLI::AppFormatMode /*mode*/) const {
    const int width = std::min(terminal_width(), 110);
    const bool top = app->get_parent() == nullptr;
    const std::string path = top ? app->get_name() : app->get_parent()->get_name() + " " + app->get_name();
    std::string text = wrapped(app->get_description(), width) + "\n\n" + wrapped(usage_line(*app, path), width, 8);
    while (text.ends_with("\n        ")) text.resize(text.size() - 8);

    Rows rows;
    for (const CLI::Option* option : app->get_options([](const CLI::Option* o) { return o->get_positional(); })) {
        rows.emplace_back(positional_name(*option), option->get_description());
    }
    if (!rows.empty()) text += "\n" + two_columns(rows, width);

    std::vector<std::string> groups;
    const auto verbs = app->get_subcommands([](const CLI::App* s) { return !s->get_group().empty(); });
    for (const CLI::App* verb : verbs) {
        if (std::ranges::find(groups, verb->get_group()) == groups.end()) groups.push_back(verb->get_group());
    }
    for (const auto& group : groups) {
        rows.clear();
        for (const CLI::App* verb : verbs) {
            if (verb->get_group() == group) rows.emplace_back(verb->get_name(), verb->get_description());
        }
        text += "\n" + heading(group) + two_columns(rows, width);
    }

    groups.clear();
    const auto options =
        app->get_options([](const CLI::Option* o) { return o->nonpositional() && !o->get_group().empty(); });
    for (const CLI::Option* option : options) {
        if (std::ranges::find(groups, option->get_group()) == groups.end()) groups.push_back(option->get_group());
    }
    for (const auto& group : groups) {
        rows.clear();
        for (const CLI::Option* option : options) {
            if (option->get_group() == group) rows.emplace_back(option_names(*option), option->get_description());
        }
        // CLI11 knows --help first; people look for it last.
        std::stable_partition(rows.begin(), rows.end(), [](const auto& row) { return !row.first.ends_with("--help"); });
        text += "\n" + heading(group) + two_columns(rows, width);
    }
    if (!app->get_footer().empty()) text += "\n" + flowed(app->get_footer(), width);
    return text;
}

std::string exit_code_table() {
    return "Exit codes\n"
           "  0    done\n"
           "  2    the command line makes no sense\n"
           "  3    a model, file or name does not exist\n"
           "  4    a file is damaged, or of a kind that this build does not handle\n"
           "  5    memory, or a bound (context, output), does not suffice\n"
           "  6    the operating system refused to read or write\n"
           "  7    a source on the network could not be reached\n"
           "  8    somebody else holds it, or it exists already\n"
           "  9    who asks may not do this\n"
           "  10   no place now, later there will be\n"
           "  70   a fault of Freehold itself: please report it\n"
           "  130  stopped by Ctrl-C";
}

}  // namespace freehold::cli
