// Reads a file's metadata with bounds: every number that a blueprint takes from outside comes through here (law 6).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/formats/model_files.h"

namespace freehold {

// Keys are looked up under a prefix: "llama." in a GGUF file, "" or "text_config." in a config.json. Null counts as
// absent.
class MetaReader {
 public:
    MetaReader(const ModelFiles& files, std::string prefix) : files_(files), prefix_(std::move(prefix)) {}

    [[nodiscard]] const Value* raw(std::string_view key) const;
    [[nodiscard]] bool has(std::string_view key) const { return raw(key) != nullptr; }
    // Error{bad_file} when the key is missing, is no whole number, or lies outside [low, high].
    [[nodiscard]] int whole(std::string_view key, std::int64_t low, std::int64_t high) const;
    [[nodiscard]] int whole_or(std::string_view key, int otherwise, std::int64_t low, std::int64_t high) const;
    // A number for every layer: a scalar for all, or a list of n_layers.
    [[nodiscard]] std::vector<int> per_layer(std::string_view key, int n_layers, int otherwise, std::int64_t low,
                                             std::int64_t high) const;
    [[nodiscard]] double real(std::string_view key, double low, double high) const;
    [[nodiscard]] double real_or(std::string_view key, double otherwise, double low, double high) const;
    [[nodiscard]] bool flag_or(std::string_view key, bool otherwise) const;
    [[nodiscard]] std::optional<std::string> text(std::string_view key) const;

    [[nodiscard]] const ModelFiles& files() const noexcept { return files_; }
    [[nodiscard]] bool is_hf() const noexcept { return files_.container() == Container::hf; }
    // "config.json of /models/x" or "/models/x.gguf", for messages.
    [[nodiscard]] std::string where() const;
    [[noreturn]] void refuse(std::string_view key, const std::string& why) const;       // Error{bad_file}
    [[noreturn]] void not_handled(std::string_view key, const std::string& why) const;  // Error{unsupported}

 private:
    [[nodiscard]] const Value& must(std::string_view key) const;
    const ModelFiles& files_;
    std::string prefix_;
};

}  // namespace freehold
