// What is it? By content first and by name last, as a file that lies about its kind is what is looked for here.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "encoded.h"
#include "pickle.h"
#include "readers.h"

namespace freehold::scan {
namespace {

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> all) {
    return std::ranges::find(all, text) != all.end();
}

bool promises_pickle(std::string_view ending) {
    return is_one_of(ending, {".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".bin", ".joblib", ".p", ".dat", ".npy",
                              ".mar", ".pt2", ".ptl", ".th", ".sav", ".model"});
}

void scan_text(Context& context, const Content& content) {
    const std::string ending = ending_of(content.name);
    const std::string leaf = leaf_of(content.name);
    const std::string_view text = text_of(content.bytes);
    const std::size_t first = text.find_first_not_of(" \t\r\n\xef\xbb\xbf");
    const char opening = first == std::string_view::npos ? '\0' : text[first];
    scan_secrets(context, content);
    if (ending == ".ipynb") {
        context.kind("notebook");
        return scan_notebook(context, content);
    }
    if (is_one_of(ending, {".py", ".pyw", ".pyi"}) || text.starts_with("#!/usr/bin/env python") ||
        text.starts_with("#!/usr/bin/python")) {
        context.kind("Python code");
        return scan_python(context, content, text, 1);
    }
    if (is_one_of(ending, {".jinja", ".jinja2", ".j2"}) || leaf.find("chat_template") != std::string::npos) {
        context.kind("chat template");
        if (opening != '{' || ending != ".json") scan_template(context, content, text, "the template");
    }
    if (is_one_of(ending, {".sh", ".bash", ".zsh"}) || text.starts_with("#!/bin/")) {
        context.kind("shell script");
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
    context.kind("text");
}

// `pickled`: the content is a pickle itself, in whose texts others may lie.
void scan_rest(Context& context, const Content& content, bool pickled) {
    search_pickles(context, content, pickled ? 1 : 0);
    scan_encoded(context, content);
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
    } else if (text.substr(0, 4096).find("\x89HDF\r\n\x1a\n") != std::string_view::npos) {
        scan_hdf5(context, content);
    } else {
        pickled = scan_pickles(context, content, 0, promises_pickle(ending)) > 0;
        if (!pickled && ending == ".onnx") scan_onnx(context, content);
        if (!pickled && is_one_of(ending, {".pb", ".pbtxt"})) scan_tensorflow(context, content);
        if (!pickled && is_text(bytes)) scan_text(context, content);
    }
    context.kind("data");
    scan_rest(context, content, pickled);
}

}  // namespace freehold::scan
