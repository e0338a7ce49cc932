// Shapes, storage and views: every size is checked before memory is touched, because shapes come from files.
#include "freehold/tensor/tensor.h"

#include <cstring>
#include <limits>
#include <new>

#include "freehold/base/checked.h"
#include "freehold/base/error.h"

namespace freehold {
namespace {

constexpr std::size_t kAlignment = 64;

std::shared_ptr<Storage> allocate(std::size_t size) {
    const std::size_t padded = (size + kAlignment - 1) / kAlignment * kAlignment;
    void* memory = ::operator new (padded == 0 ? kAlignment : padded, std::align_val_t{kAlignment}, std::nothrow);
    if (memory == nullptr)
        throw Error(ErrorKind::out_of_memory, "No memory for a tensor of " + std::to_string(size) + " bytes.",
                    "Close other programs, or use a smaller model.");
    std::memset(memory, 0, padded);
    auto storage = std::make_shared<Storage>();
    storage->keep = std::shared_ptr<const void>(
        memory, [](const void* p) { ::operator delete (const_cast<void*>(p), std::align_val_t{kAlignment}); });
    storage->bytes = static_cast<const std::byte*>(memory);
    storage->size = size;
    storage->writable = true;
    return storage;
}

}  // namespace

Shape::Shape(std::initializer_list<std::int64_t> dims)
    : Shape(std::span<const std::int64_t>(dims.begin(), dims.size())) {}

Shape::Shape(std::span<const std::int64_t> dims) {
    if (dims.size() > dims_.size())
        throw Error(ErrorKind::bad_file,
                    "A tensor has " + std::to_string(dims.size()) + " dimensions; at most 4 are known.");
    std::uint64_t product = 1;
    for (const auto d : dims) {
        if (d < 0) throw Error(ErrorKind::bad_file, "A tensor has the negative dimension " + std::to_string(d) + ".");
        dims_[static_cast<std::size_t>(rank_++)] = d;
        // A zero elsewhere must not hide dimensions whose product would overflow in a view.
        const auto next = checked_mul(product, d == 0 ? 1 : static_cast<std::uint64_t>(d));
        if (!next || *next > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
            throw Error(ErrorKind::bad_file, "The dimensions of a tensor, " + str() + ", multiply to more than 2^63.");
        product = *next;
    }
}

std::int64_t Shape::numel() const noexcept {
    std::int64_t n = 1;
    for (int i = 0; i < rank_; ++i) n *= dims_[static_cast<std::size_t>(i)];
    return n;
}

std::string Shape::str() const {
    std::string text = "[";
    for (int i = 0; i < rank_; ++i) text += (i == 0 ? "" : ", ") + std::to_string(dims_[static_cast<std::size_t>(i)]);
    return text + "]";
}

std::size_t bytes_for(DType dtype, const Shape& shape) {
    const auto& t = traits(dtype);
    const auto last = static_cast<std::uint64_t>(shape.last());
    if (last % t.block != 0)
        throw Error(ErrorKind::bad_file, "A " + std::string(t.name) + " tensor of shape " + shape.str() +
                                             " has rows of " + std::to_string(last) +
                                             " values, which is no multiple of " + std::to_string(t.block) + ".");
    const auto blocks = static_cast<std::uint64_t>(shape.numel()) / t.block;
    const auto bytes = checked_mul(blocks, t.bytes);
    if (!bytes || *bytes > std::numeric_limits<std::size_t>::max() / 2)
        throw Error(ErrorKind::bad_file, "A " + std::string(t.name) + " tensor of shape " + shape.str() +
                                             " would take more than 2^63 bytes.");
    return *bytes;
}

Tensor::Tensor(DType dtype, Shape shape, std::shared_ptr<const Storage> storage, std::size_t offset)
    : dtype_(dtype), shape_(shape), storage_(std::move(storage)), offset_(offset) {
    const std::size_t need = bytes_for(dtype, shape_);
    const std::size_t have = storage_ ? storage_->size : 0;
    if (!storage_ || !fits(offset, need, have))
        throw Error(ErrorKind::bad_file, "A " + std::string(dtype_name(dtype)) + " tensor of shape " + shape_.str() +
                                             " needs " + std::to_string(need) + " bytes from offset " +
                                             std::to_string(offset) + ", but its storage ends at " +
                                             std::to_string(have) + ".");
}

Tensor Tensor::zeros(DType dtype, Shape shape) {
    const std::size_t bytes = bytes_for(dtype, shape);
    return Tensor(dtype, shape, allocate(bytes));
}

Tensor Tensor::from_f32(Shape shape, std::span<const float> values) {
    if (static_cast<std::size_t>(shape.numel()) != values.size())
        throw Error(ErrorKind::internal,
                    "Shape " + shape.str() + " was given " + std::to_string(values.size()) + " values.");
    Tensor t = zeros(DType::F32, shape);
    if (!values.empty()) std::memcpy(t.f32_mut().data(), values.data(), values.size_bytes());
    return t;
}

std::size_t Tensor::row_bytes() const noexcept {
    const auto* t = find_traits(dtype_);
    return t == nullptr ? 0 : static_cast<std::size_t>(shape_.last()) / t->block * t->bytes;
}

std::size_t Tensor::nbytes() const noexcept {
    const auto* t = find_traits(dtype_);
    return t == nullptr ? 0 : static_cast<std::size_t>(shape_.numel()) / t->block * t->bytes;
}

std::span<const float> Tensor::f32() const {
    if (dtype_ != DType::F32 || empty())
        throw Error(ErrorKind::internal, "A tensor of type " + std::string(dtype_name(dtype_)) + " was read as F32.");
    const auto address = reinterpret_cast<std::uintptr_t>(data());
    if (address % alignof(float) != 0)
        throw Error(ErrorKind::bad_file, "An F32 tensor starts at an offset that is no multiple of 4.");
    return {reinterpret_cast<const float*>(data()), static_cast<std::size_t>(shape_.numel())};
}

std::span<float> Tensor::f32_mut() {
    if (empty() || !storage_->writable)
        throw Error(ErrorKind::internal, "A tensor that belongs to a mapped file cannot be written.");
    const auto values = f32();
    return {const_cast<float*>(values.data()), values.size()};
}

Tensor Tensor::slice(std::int64_t begin, std::int64_t end) const {
    if (shape_.rank() == 0 || begin < 0 || end < begin || end > shape_[0])
        throw Error(ErrorKind::internal, "Rows " + std::to_string(begin) + " to " + std::to_string(end) +
                                             " were asked of a tensor of shape " + shape_.str() + ".");
    std::array<std::int64_t, 4> dims{};
    for (int i = 0; i < shape_.rank(); ++i) dims[static_cast<std::size_t>(i)] = shape_[i];
    const std::size_t outer = shape_[0] == 0 ? 0 : nbytes() / static_cast<std::size_t>(shape_[0]);
    if (shape_.rank() == 1) {  // the outermost dimension is the row itself: only whole blocks can be cut
        const auto block = static_cast<std::int64_t>(traits(dtype_).block);
        if (begin % block != 0 || end % block != 0)
            throw Error(ErrorKind::internal, "A quantised row was cut inside a block.");
    }
    const std::size_t skip = shape_.rank() == 1
                                 ? static_cast<std::size_t>(begin) / traits(dtype_).block * traits(dtype_).bytes
                                 : outer * static_cast<std::size_t>(begin);
    dims[0] = end - begin;
    return Tensor(dtype_, Shape(std::span<const std::int64_t>(dims.data(), static_cast<std::size_t>(shape_.rank()))),
                  storage_, offset_ + skip);
}

Tensor Tensor::reshape(Shape shape) const {
    if (shape.numel() != shape_.numel())
        throw Error(ErrorKind::internal,
                    "A tensor of shape " + shape_.str() + " cannot be seen as " + shape.str() + ".");
    return Tensor(dtype_, shape, storage_, offset_);
}

Tensor Tensor::to_f32() const {
    const auto& t = traits(dtype_);
    Tensor out = zeros(DType::F32, shape_);
    if (shape_.numel() != 0) t.to_f32(data(), out.f32_mut().data(), static_cast<std::size_t>(shape_.numel()));
    return out;
}

}  // namespace freehold
