// Writes a GGUF file, version 3, little-endian: keys in the order in which they were set, tensors in the order in which
// they were added, put into place at once when it is complete (law 9).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "freehold/base/progress.h"
#include "freehold/base/value.h"
#include "freehold/tensor/tensor.h"

namespace freehold {

// Types of GGUF values, with the ids of the format.
enum class GgufType : std::uint32_t { u8 = 0, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };

class GgufWriter {
 public:
    // `alignment` of the tensor data: a power of two; another than 32 is written as a key. Throws Error{usage}.
    explicit GgufWriter(std::uint32_t alignment = 32);

    // A key with the type that other programs expect: whole numbers as u32 where they fit (else i32, u64, i64), reals
    // as f32, lists by their elements. Throws Error{usage} for a key that is set already, for null, maps and mixed
    // lists.
    void set(std::string key, const Value& value);
    // A single number, flag or text as exactly this type; Error{usage} if it does not fit.
    void set(std::string key, GgufType type, const Value& value);

    // A value as it stands in another GGUF file: its type id and all that follows. Nothing about it is checked.
    void set_raw(std::string key, std::span<const std::byte> typed_value);

    // The tensor's storage lives until write() is over.
    void add_tensor(std::string name, Tensor tensor);
    // The numbers are asked for while writing, one tensor at a time, so that a converter needs memory for one only.
    // `make` must return this dtype and shape (Error{internal} otherwise).
    void add_tensor(std::string name, DType dtype, Shape shape, std::function<Tensor()> make);

    // Throws Error{io}; without success `path` is what it was.
    void write(const std::filesystem::path& path, const Progress& progress = {}) const;
    // Bytes that write() will write.
    [[nodiscard]] std::uint64_t file_size() const;

 private:
    struct Entry {
        std::string name;
        DType dtype;
        Shape shape;
        std::function<Tensor()> make;
    };
    void begin_key(std::string key);
    [[nodiscard]] std::string header() const;
    [[nodiscard]] std::uint64_t padded(std::uint64_t size) const noexcept {
        return (size + alignment_ - 1) / alignment_ * alignment_;
    }

    std::uint32_t alignment_;
    std::uint64_t n_keys_ = 0;
    std::string keys_;  // as they will stand in the file
    std::vector<std::string> key_names_;
    std::vector<Entry> tensors_;
};

}  // namespace freehold
