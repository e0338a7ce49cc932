// What is it? By content first and by name last, as a file that lies about its kind is what is looked for here.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "encoded.h"
#include "pickle.h"
#include "readers.h"
#include "sweep.h"

namespace freehold::scan {
namespace {

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> all) {
    return std::ranges::find(all, text) != all.end();
}

bool promises_pickle(std::string_view ending) {
    return is_one_of(ending, {".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".bin", ".joblib", ".p", ".dat", ".npy",
                              ".mar", ".pt2", ".ptl", ".th", ".sav", ".model"});
}

bool has_line_with(std::string_view text, std::string_view beginning) {
    for (std::size_t at = 0; at < text.size(); at = std::min(text.find('\n', at), text.size() - 1) + 1)
        if (text.substr(at).starts_with(beginning)) return true;
    return false;
}

// Formats that hold more than numbers and that nobody here can read; null: it is none of them.
const char* unread_format(std::string_view text, std::string_view ending) {
    const auto has = [&](std::size_t at, std::string_view mark) {
        return text.size() > at + mark.size() && text.substr(at, mark.size()) == mark;
    };
    if (has(0, std::string_view("\xac\xed\0\x05", 4))) return "serialised Java objects";
    if (has(0, "RDX2\n") || has(0, "RDX3\n") || has(0, "RDA2\n") || has(0, "RDA3\n") ||
        has(0, std::string_view("X\n\0\0\0", 5)) || is_one_of(ending, {".rds", ".rda", ".rdata"}))
        return "serialised R objects";
    if (has(4, "TFL3")) return "a TensorFlow Lite model";
    if (has(0, "ftrt") || has(0, "ptrt") || is_one_of(ending, {".engine", ".plan"})) return "a TensorRT engine";
    if (ending == ".mlmodel") return "a Core ML model";
    if (ending == ".t7") return "a Lua Torch file";
    if (has(0, "BC\xc0\xde")) return "compiled code (LLVM)";
    return nullptr;
}

// The program that a first line "#!..." names, without folders, options and version: "python", "bash", "perl"; or "".
std::string interpreter_of(std::string_view text) {
    if (!text.starts_with("#!")) return {};
    std::string_view line = text.substr(2, std::min<std::size_t>(text.find('\n'), 512) - 2);
    const std::size_t begins = line.find_first_not_of(" \t");
    if (begins == std::string_view::npos || line[begins] != '/') return {};
    const auto next = [&line] {
        const std::size_t begin = std::min(line.find_first_not_of(" \t\r"), line.size());
        const std::size_t end = std::min(line.find_first_of(" \t\r", begin), line.size());
        const std::string_view word = line.substr(begin, end - begin);
        line.remove_prefix(end);
        return word.substr(word.rfind('/') + 1);
    };
    std::string_view word = next();
    if (word == "env") {
        do word = next();
        while (word.starts_with('-') || word.find('=') != std::string_view::npos);
    }
    return std::string(word.substr(0, word.find_last_not_of("0123456789.") + 1));
}

void scan_text(Context& context, const Content& content) {
    const std::string ending = ending_of(content.name);
    const std::string leaf = leaf_of(content.name);
    const std::string_view text = text_of(content.bytes);
    const std::size_t first = text.find_first_not_of(" \t\r\n\xef\xbb\xbf");
    const char opening = first == std::string_view::npos ? '\0' : text[first];
    scan_secrets(context, content);
    if (is_package_list(leaf)) scan_packages(context, content);
    if (holds_commands(leaf, ending)) scan_shell(context, content);
    if (ending == ".ipynb") {
        context.kind("notebook");
        return scan_notebook(context, content);
    }
    const std::string interpreter = interpreter_of(text);
    if (is_one_of(ending, {".py", ".pyw", ".pyi", ".pyx"}) ||
        is_one_of(leaf, {"SConstruct", "SConscript", "Snakefile"}) ||
        is_one_of(interpreter, {"python", "pypy", "ipython"})) {
        context.kind("Python code");
        return scan_python(context, content, text, 1);
    }
    if (is_one_of(ending, {".jinja", ".jinja2", ".j2"}) || leaf.find("chat_template") != std::string::npos) {
        context.kind("chat template");
        if (opening != '{' || ending != ".json") scan_template(context, content, text, "the template");
    }
    if (ending == ".torchscript") {
        context.kind("TorchScript code");
        return scan_torchscript(context, content);
    }
    if (ending == ".pth" && has_line_with(text, "import ")) {
        // In a folder of packages Python runs such lines when it starts.
        context.kind("path file of Python");
        context.find("code.startup", content, {}, "It is a path file of Python with lines of code.");
        return scan_python(context, content, text, 1);
    }
    const bool builds = is_one_of(leaf, {"Makefile", "makefile", "GNUmakefile", "justfile", "Justfile", "Dockerfile",
                                         "Containerfile", "Vagrantfile"}) ||
                        is_one_of(ending, {".mk", ".dockerfile"}) || leaf.starts_with("Dockerfile.");
    if (builds || is_one_of(ending, {".sh", ".bash", ".zsh", ".ksh", ".fish"}) ||
        is_one_of(interpreter, {"sh", "bash", "dash", "zsh", "ksh", "ash", "busybox", "fish"})) {
        context.kind(builds ? "build file" : "shell script");
        return scan_shell(context, content);
    }
    if (is_one_of(ending, {".c", ".cc", ".cpp", ".cxx", ".h", ".hpp", ".cu", ".cuh"})) {
        context.kind("C or C++ code");
        return scan_c(context, content);
    }
    if (is_one_of(ending, {".yaml", ".yml"})) {
        context.kind("YAML");
        return scan_yaml(context, content);
    }
    if (ending == ".json" || opening == '{' || opening == '[') {
        context.kind("JSON");
        return scan_json(context, content);
    }
    const bool other_code = is_one_of(
        ending, {".bat", ".cmd", ".ps1", ".psm1", ".vbs", ".rb", ".pl", ".php", ".lua", ".js", ".mjs", ".cjs"});
    if (other_code || !interpreter.empty()) {
        context.kind("code");
        return context.gap(content, "it is code in a language that is not read here");
    }
    if (is_package_list(leaf)) context.kind("list of packages");
    context.kind("text");
}

}  // namespace

void scan_content(Context& context, const Content& content) {
    const Bytes bytes = content.bytes;
    const std::string_view text = text_of(bytes);
    if (bytes.empty()) return context.kind("empty file");
    const std::string ending = ending_of(content.name);

    if (text.starts_with("PK\x03\x04") || text.starts_with("PK\x05\x06") || has_zip_directory(bytes)) {
        scan_zip(context, content);
        if (text.starts_with("PK")) return;
    }
    if (is_archive(bytes)) return scan_archive(context, content);
    const auto zlib = [&] {
        const auto second = static_cast<unsigned char>(text.size() > 1 ? text[1] : '\0');
        return text[0] == '\x78' && (second == 0x01 || second == 0x5e || second == 0x9c || second == 0xda) &&
               !is_text(bytes);
    };
    if (zlib()) {
        const std::string inner = inflate_zlib(context, content, true);
        if (!inner.empty()) {
            context.kind("zlib stream");
            return context.descend(content, bytes_of(inner), "zlib", content.name);
        }
    }
    if (const char* what = native_code(bytes)) {
        context.kind("compiled code");
        context.find("code.binary", content, {}, fmt::format("It is {}.", what));
    }

    bool pickled = false;
    if (text.starts_with("\x93NUMPY")) {
        scan_numpy(context, content);
    } else if (text.starts_with("GGUF")) {
        scan_gguf(context, content);
    } else if (is_safetensors(content)) {
        scan_safetensors(context, content);
    } else if (is_hdf5(bytes)) {
        scan_hdf5(context, content);
    } else {
        pickled = scan_pickles(context, content, 0, promises_pickle(ending)) > 0;
        if (!pickled && (ending == ".onnx" || looks_like_onnx(bytes))) scan_onnx(context, content);
        if (!pickled && is_one_of(ending, {".pb", ".pbtxt"})) scan_tensorflow(context, content);
        if (!pickled && is_text(bytes)) scan_text(context, content);
        if (const char* what = pickled ? nullptr : unread_format(text, ending)) {
            context.kind(what);
            context.gap(content, fmt::format("it is {}, whose format is not read here", what));
        }
    }
    context.kind("data");
    // In the texts of a pickle others may lie.
    sweep(context, content, pickled ? 1 : 0);
}

}  // namespace freehold::scan
