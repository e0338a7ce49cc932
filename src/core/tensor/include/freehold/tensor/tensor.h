// A small view of numbers: dtype, shape, and storage that it shares with whoever else looks at it.
// Row-major, outermost dimension first, at most 4 dimensions. A linear weight is [out, in]; y = x Wᵀ + b.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "freehold/tensor/dtype.h"

namespace freehold {

class Shape {
 public:
    Shape() = default;
    Shape(std::initializer_list<std::int64_t> dims);
    explicit Shape(std::span<const std::int64_t>
                       dims);  // throws Error{bad_file}: over 4 dimensions, negative, or product overflows
    [[nodiscard]] int rank() const noexcept { return rank_; }
    [[nodiscard]] std::int64_t operator[](int i) const noexcept { return dims_[static_cast<std::size_t>(i)]; }
    [[nodiscard]] std::int64_t numel() const noexcept;
    [[nodiscard]] std::int64_t last() const noexcept {
        return rank_ == 0 ? 1 : dims_[static_cast<std::size_t>(rank_ - 1)];
    }
    [[nodiscard]] std::int64_t rows() const noexcept { return rank_ == 0 ? 1 : numel() / (last() == 0 ? 1 : last()); }
    [[nodiscard]] std::string str() const;  // "[576, 1536]"
    friend bool operator==(const Shape&, const Shape&) = default;

 private:
    std::array<std::int64_t, 4> dims_{};
    int rank_ = 0;
};

// Owner of bytes: a mapped file (kept alive by `keep`) or aligned heap memory.
struct Storage {
    std::shared_ptr<const void> keep;  // what must live as long as the bytes
    const std::byte* bytes = nullptr;
    std::size_t size = 0;
    bool writable = false;
    bool mapped = false;  // pages of a file: cheap to drop, read again on demand
};

class Tensor {
 public:
    Tensor() = default;
    // A view into foreign storage. Throws Error{bad_file} if dtype and shape need more bytes than there are from
    // `offset`.
    Tensor(DType dtype, Shape shape, std::shared_ptr<const Storage> storage, std::size_t offset = 0);
    // Fresh zeroed heap memory, 64-byte aligned. Throws Error{out_of_memory}.
    static Tensor zeros(DType dtype, Shape shape);
    static Tensor from_f32(Shape shape, std::span<const float> values);

    [[nodiscard]] bool empty() const noexcept { return storage_ == nullptr; }
    [[nodiscard]] DType dtype() const noexcept { return dtype_; }
    [[nodiscard]] const Shape& shape() const noexcept { return shape_; }
    [[nodiscard]] std::size_t nbytes() const noexcept;
    [[nodiscard]] std::size_t row_bytes() const noexcept;  // bytes of one row (last dimension)
    [[nodiscard]] const std::byte* data() const noexcept { return storage_->bytes + offset_; }
    [[nodiscard]] const std::byte* row(std::int64_t r) const noexcept {
        return data() + static_cast<std::size_t>(r) * row_bytes();
    }
    [[nodiscard]] const std::shared_ptr<const Storage>& storage() const noexcept { return storage_; }
    [[nodiscard]] std::size_t offset() const noexcept { return offset_; }
    // F32 tensors only (Error{internal} otherwise); writable needs owned storage.
    [[nodiscard]] std::span<const float> f32() const;
    [[nodiscard]] std::span<float> f32_mut();
    // Rows [begin, end) of the outermost dimension, sharing storage.
    [[nodiscard]] Tensor slice(std::int64_t begin, std::int64_t end) const;
    [[nodiscard]] Tensor reshape(Shape shape) const;
    // Any dtype expanded to a fresh F32 tensor.
    [[nodiscard]] Tensor to_f32() const;

 private:
    DType dtype_ = DType::None;
    Shape shape_;
    std::shared_ptr<const Storage> storage_;
    std::size_t offset_ = 0;
};

// Bytes that `shape` takes in `dtype`; Error{bad_file} on overflow or when the last dimension is no multiple of the
// block.
[[nodiscard]] std::size_t bytes_for(DType dtype, const Shape& shape);

}  // namespace freehold
