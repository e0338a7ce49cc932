// Files with Python in them: what stands around the code that python_text.cpp reads.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <string>

#include "freehold/base/error.h"
#include "freehold/base/printable.h"
#include "freehold/base/value.h"
#include "readers.h"

namespace freehold::scan {
namespace {

// A cell of a notebook: its Python goes to `code`; lines that begin with '!', and cells of a shell, are looked at here.
void add_cell(Context& context, const Content& content, std::string_view cell, std::string& code) {
    const std::size_t first = cell.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos) return;
    const std::string_view head = cell.substr(first, cell.find('\n', first) - first);
    if (head.starts_with("%%")) {
        if (std::ranges::any_of(std::array<std::string_view, 4>{"%%bash", "%%sh", "%%script", "%%!"},
                                [&](std::string_view magic) { return head.starts_with(magic); }))
            return scan_shell_text(context, content, cell);
        cell.remove_prefix(std::min(cell.size(), first + head.size()));  // %%time and the like: Python below
    }
    while (!cell.empty()) {
        const std::string_view line = cell.substr(0, cell.find('\n'));
        cell.remove_prefix(std::min(cell.size(), line.size() + 1));
        const std::size_t begin = line.find_first_not_of(" \t");
        if (begin != std::string_view::npos && line[begin] == '!')
            scan_shell_text(context, content, line.substr(begin + 1));
        else if (begin == std::string_view::npos || line[begin] != '%')
            code += line;
        code += '\n';
    }
}

}  // namespace

// The encoding that one of the first two lines asks for (PEP 263); some turn harmless comments into code.
void check_encoding(Context& context, const Content& content, std::string_view source) {
    for (std::uint64_t line = 1; line <= 2 && !source.empty(); ++line) {
        const std::string_view text = source.substr(0, source.find('\n'));
        source.remove_prefix(std::min(source.size(), text.size() + 1));
        const std::size_t at = text.find("coding");
        if (at == std::string_view::npos || text.find('#') > at || at + 6 >= text.size() ||
            (text[at + 6] != ':' && text[at + 6] != '='))
            continue;
        std::string name;
        for (const char c : text.substr(at + 7)) {
            if (c == ' ' && name.empty()) continue;
            if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '-' && c != '_' && c != '.') break;
            name += c == '_' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        }
        static constexpr std::array<std::string_view, 9> kPlain = {
            "utf-8", "utf8", "utf-8-sig", "ascii", "us-ascii", "latin-1", "latin1", "iso-8859", "iso8859"};
        const bool plain = std::ranges::any_of(kPlain, [&](std::string_view p) { return name.starts_with(p); }) ||
                           name.starts_with("cp125") || name.starts_with("windows-125") || name.starts_with("gb") ||
                           name.starts_with("shift") || name.starts_with("euc") || name.starts_with("big5") ||
                           name.starts_with("koi8");
        if (!plain)
            context.find(
                "code.hidden", content, at_line(line),
                fmt::format("It asks to be read as \"{}\", which can turn comments into code.", printable(name, 40)));
    }
}

// TorchScript has no imports; what it can do to files are a few operators.
void scan_torchscript(Context& context, const Content& content) {
    const std::string_view text = text_of(content.bytes);
    static constexpr std::array<std::string_view, 6> kFileOps = {"torch.from_file(", "torch.save(", "torch.load(",
                                                                 "aten.save(",       "aten::save(", "aten.from_file("};
    for (const std::string_view op : kFileOps)
        if (const std::size_t at = text.find(op); at != std::string_view::npos)
            context.find("torchscript.file", content, at_line(line_of(text, at)),
                         fmt::format("It calls {}), which reaches files.", op));
}

void scan_notebook(Context& context, const Content& content) {
    try {
        const Value notebook = parse_json(text_of(content.bytes), content.name);
        const auto* map = notebook.get<ValueMap>();
        const Value* cells = map == nullptr ? nullptr : map->find("cells");
        std::string code;
        for (std::size_t i = 0; cells != nullptr && i < cells->size(); ++i) {
            const Value cell = cells->at(i);
            const auto* fields = cell.get<ValueMap>();
            const Value* type = fields == nullptr ? nullptr : fields->find("cell_type");
            const Value* source = fields == nullptr ? nullptr : fields->find("source");
            if (type == nullptr || source == nullptr || type->as_string().value_or("") != "code") continue;
            std::string text;
            if (const auto whole = source->as_string()) text += *whole;
            for (std::size_t k = 0; !source->as_string() && k < source->size(); ++k)
                text += source->at(k).as_string().value_or("");
            add_cell(context, content, text, code);
        }
        scan_python(context, content, code, 1);
    } catch (const Error& error) {
        context.gap(content, "it is no notebook: " + error.message());
    }
}

}  // namespace freehold::scan
