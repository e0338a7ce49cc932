// Scratch folders and tiny models for tests of the store.
// A model is a real GGUF file of one tensor, with random content so that digests differ.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/base/error.h"
#include "freehold/formats/gguf_writer.h"
#include "freehold/tensor/tensor.h"

namespace freehold::testing {

namespace fs = std::filesystem;

// A folder that is gone when the test is over.
class Scratch {
 public:
    Scratch() {
        std::string pattern = (fs::temp_directory_path() / "freehold-test-XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no scratch folder");
        path_ = pattern;
    }
    ~Scratch() {
        std::error_code ec;
        fs::remove_all(path_, ec);
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    [[nodiscard]] const fs::path& path() const noexcept { return path_; }
    fs::path operator/(const std::string& name) const { return path_ / name; }

 private:
    fs::path path_;
};

// An environment variable for the length of a scope.
class Variable {
 public:
    Variable(const char* name, const std::string& value) : name_(name) {
        if (const char* old = std::getenv(name)) old_ = old;
        ::setenv(name, value.c_str(), 1);
    }
    ~Variable() {
        if (old_) {
            ::setenv(name_, old_->c_str(), 1);
        } else {
            ::unsetenv(name_);
        }
    }
    Variable(const Variable&) = delete;
    Variable& operator=(const Variable&) = delete;

 private:
    const char* name_;
    std::optional<std::string> old_;
};

inline void write_file(const fs::path& path, std::string_view content) {
    fs::create_directories(path.parent_path());
    std::ofstream out(path, std::ios::binary);
    out.write(content.data(), static_cast<std::streamsize>(content.size()));
    if (!out.flush()) throw std::runtime_error("cannot write " + path.string());
}

inline std::string read_file(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
}

// A GGUF model of one F32 tensor; `floats` decides its size, `seed` its content.
inline void write_tiny_gguf(const fs::path& path, unsigned seed, std::size_t floats = 256,
                            const std::string& licence = "mit") {
    fs::create_directories(path.parent_path());
    std::mt19937 random(seed);
    std::vector<float> values(floats);
    for (float& v : values) v = static_cast<float>(random()) * 1e-9F;
    GgufWriter writer;
    writer.set("general.architecture", Value("llama"));
    writer.set("general.license", Value(licence));
    writer.set("llama.context_length", Value(128));
    writer.add_tensor("token_embd.weight", Tensor::from_f32(Shape({1, static_cast<std::int64_t>(floats)}), values));
    writer.write(path);
}

inline std::string tiny_gguf(unsigned seed, std::size_t floats = 256) {
    const Scratch scratch;
    write_tiny_gguf(scratch / "m.gguf", seed, floats);
    return read_file(scratch / "m.gguf");
}

// A safetensors file of one tensor.
inline std::string tiny_safetensors(unsigned seed) {
    const std::string header = R"({"w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}})";
    std::string out(8, '\0');
    for (std::size_t i = 0; i < 8; ++i) out[i] = static_cast<char>(header.size() >> (8 * i) & 0xff);
    out += header;
    std::mt19937 random(seed);
    for (int i = 0; i < 16; ++i) out += static_cast<char>(i % 4 == 3 ? 0 : random() & 0xff);
    return out;
}

// Runs `action` and gives the Error that it must throw.
template <class F>
Error error_of(F&& action) {
    try {
        action();
    } catch (const Error& e) {
        return e;
    }
    ADD_FAILURE() << "no error was thrown";
    return {ErrorKind::internal, "none"};
}

}  // namespace freehold::testing
