// Model files that hold numbers: NumPy, GGUF, safetensors, HDF5; and compiled code, which has no business among them.
#include <fmt/format.h>

#include <algorithm>

#include "freehold/base/error.h"
#include "freehold/base/printable.h"
#include "gguf.h"
#include "pickle.h"
#include "readers.h"
#include "safetensors.h"

namespace freehold::scan {
namespace {

std::uint64_t little(std::string_view text, std::size_t at, int width) {
    std::uint64_t out = 0;
    for (int i = width - 1; i >= 0; --i)
        out = out << 8 | static_cast<unsigned char>(text[at + static_cast<std::size_t>(i)]);
    return out;
}

void told(Context& context, const Content& content, const Error& error) {
    if (error.kind() == ErrorKind::unsupported)
        context.gap(content, error.message());
    else
        context.find("format.damaged", content, {}, error.message());
}

}  // namespace

void scan_numpy(Context& context, const Content& content) {
    context.kind("NumPy array");
    const std::string_view text = text_of(content.bytes);
    const unsigned major = text.size() > 6 ? static_cast<unsigned char>(text[6]) : 0;
    const int width = major == 1 ? 2 : 4;
    if (text.size() < 12 || major < 1 || major > 3)
        return context.find("format.damaged", content, {}, "Its header is of no version that NumPy has.");
    const std::uint64_t length = little(text, 8, width);
    const std::uint64_t begin = 8 + static_cast<std::uint64_t>(width) + length;
    if (begin > text.size())
        return context.find("format.damaged", content, {},
                            fmt::format("Its header of {} bytes goes past the end.", length));
    const std::string_view header = text.substr(8 + static_cast<std::uint64_t>(width), length);
    // The header is a Python literal that old versions evaluate.
    if (header.find("descr") == std::string_view::npos || header.find("__") != std::string_view::npos ||
        header.find("lambda") != std::string_view::npos)
        context.find("format.damaged", content, at_offset(8), "Its header is no description of an array.");
    if (header.find('O') != std::string_view::npos) static_cast<void>(scan_pickles(context, content, begin, true));
}

void scan_gguf(Context& context, const Content& content) {
    context.kind("GGUF");
    try {
        const GgufFile file = parse_gguf(content.bytes, content.name);
        for (const ValueEntry& entry : file.meta) {
            const auto text = entry.value.as_string();
            if (!text) {
                // Some files keep several templates as a list.
                for (std::size_t i = 0; entry.key.find("template") != std::string::npos && i < entry.value.size();
                     ++i) {
                    const Value item = entry.value.at(i);
                    if (const auto one = item.as_string())
                        scan_template(context, content, *one, fmt::format("the key \"{}\"", printable(entry.key)));
                }
                continue;
            }
            const bool is_template = entry.key.find("chat_template") != std::string::npos ||
                                     text->find("{%") != std::string_view::npos ||
                                     text->find("{{") != std::string_view::npos;
            if (is_template)
                scan_template(context, content, *text, fmt::format("the key \"{}\"", printable(entry.key)));
        }
    } catch (const Error& error) {
        told(context, content, error);
    }
}

bool is_safetensors(const Content& content) noexcept {
    const std::string_view text = text_of(content.bytes);
    if (content.name.ends_with(".safetensors")) return true;
    if (text.size() < 10 || text[8] != '{') return false;
    const std::uint64_t length = little(text, 0, 8);
    return length >= 2 && length <= text.size() - 8 &&
           text.substr(8, length).find("\"data_offsets\"") != std::string_view::npos;
}

void scan_safetensors(Context& context, const Content& content) {
    context.kind("safetensors");
    // A pointer of Git LFS stands where the file was not fetched.
    if (text_of(content.bytes).starts_with("version https://git-lfs"))
        return context.gap(content, "only a pointer to the file is here, the file itself was not fetched");
    try {
        const SafetensorsFile file = parse_safetensors(content.bytes, content.name);
        for (const ValueEntry& entry : file.metadata) {
            const std::string_view text = entry.value.as_string().value_or("");
            if (text.find("{%") != std::string_view::npos || text.find("{{") != std::string_view::npos)
                scan_template(context, content, text, fmt::format("the key \"{}\"", printable(entry.key)));
        }
    } catch (const Error& error) {
        told(context, content, error);
    }
}

const char* native_code(Bytes bytes) noexcept {
    const std::string_view text = text_of(bytes);
    if (text.starts_with("\x7f"
                         "ELF") &&
        text.size() >= 52)
        return "a program or library for Linux (ELF)";
    if (text.starts_with("MZ") && text.size() > 64) {
        const std::uint64_t at = little(text, 60, 4);
        if (at + 4 <= text.size() && text.substr(at, 4) == std::string_view("PE\0\0", 4))
            return "a program or library for Windows (PE)";
    }
    if (text.starts_with("\xfe\xed\xfa\xce") || text.starts_with("\xfe\xed\xfa\xcf") ||
        text.starts_with("\xcf\xfa\xed\xfe") || text.starts_with("\xce\xfa\xed\xfe"))
        return "a program or library for macOS (Mach-O)";
    if (text.starts_with("\xca\xfe\xba\xbe") && text.size() > 32) return "compiled Java or a program for macOS";
    // A compiled Python module: a magic number that ends in \r\n, flags of 0, 1 or 3, then marshalled code.
    if (text.size() > 17 && text[2] == '\r' && text[3] == '\n' && little(text, 4, 4) <= 3 &&
        (text[16] == '\xe3' || text[16] == '\x63'))
        return "compiled Python (.pyc)";
    const auto is_string = [](char c) { return c == '\xf3' || c == '\x73'; };
    // The code of a module, marshalled without that head: no arguments of any kind, then the size of its stack.
    if (text.size() > 64 && (text[0] == '\xe3' || text[0] == '\x63') && little(text, 1, 4) == 0 &&
        little(text, 5, 4) == 0 && little(text, 9, 4) == 0 && little(text, 17, 4) < 1024 &&
        (is_string(text[21]) || is_string(text[25])))
        return "compiled Python (marshal)";
    return nullptr;
}

}  // namespace freehold::scan
