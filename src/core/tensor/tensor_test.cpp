// Shapes and views: sizes from files are refused before they can hurt, views share storage, conversions are exact.
#include "freehold/tensor/tensor.h"

#include <gtest/gtest.h>

#include <limits>

#include "freehold/base/error.h"

namespace freehold {
namespace {

template <class F>
ErrorKind kind_of(F&& f) {
    try {
        f();
    } catch (const Error& e) {
        EXPECT_FALSE(e.message().empty());
        return e.kind();
    }
    ADD_FAILURE() << "nothing was thrown";
    return ErrorKind::internal;
}

TEST(Shape, RefusesWhatAFileMayNotSay) {
    constexpr auto kBig = std::numeric_limits<std::int64_t>::max();
    EXPECT_EQ(kind_of([] { Shape({1, 2, 3, 4, 5}); }), ErrorKind::bad_file);
    EXPECT_EQ(kind_of([] { Shape({3, -1}); }), ErrorKind::bad_file);
    EXPECT_EQ(kind_of([] { Shape({kBig, 2}); }), ErrorKind::bad_file);
    EXPECT_EQ(kind_of([] { Shape({0, kBig, kBig}); }), ErrorKind::bad_file);
    EXPECT_EQ(kind_of([] { (void)bytes_for(DType::F32, Shape({kBig})); }), ErrorKind::bad_file);
    EXPECT_EQ(kind_of([] { (void)bytes_for(DType::Q4_0, Shape({2, 33})); }), ErrorKind::bad_file);
    EXPECT_EQ(kind_of([] { (void)bytes_for(DType::IQ1_S, Shape({256})); }), ErrorKind::unsupported);
}

TEST(Shape, SaysWhatItIs) {
    const Shape s({2, 3, 4});
    EXPECT_EQ(s.rank(), 3);
    EXPECT_EQ(s.numel(), 24);
    EXPECT_EQ(s.rows(), 6);
    EXPECT_EQ(s.last(), 4);
    EXPECT_EQ(s.str(), "[2, 3, 4]");
    EXPECT_EQ(Shape().numel(), 1);
    EXPECT_EQ(Shape({0, 5}).numel(), 0);
    EXPECT_EQ(bytes_for(DType::Q4_K, Shape({3, 512})), 3U * 2 * 144);
}

TEST(Tensor, ViewsShareAndStayInside) {
    Tensor t = Tensor::zeros(DType::F32, Shape({4, 3}));
    for (int i = 0; i < 12; ++i) t.f32_mut()[static_cast<std::size_t>(i)] = static_cast<float>(i);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(t.data()) % 64, 0U);
    const Tensor rows = t.slice(1, 3);
    EXPECT_EQ(rows.shape(), Shape({2, 3}));
    EXPECT_EQ(rows.f32()[0], 3.0F);
    EXPECT_EQ(rows.storage(), t.storage());
    EXPECT_EQ(t.reshape(Shape({12})).slice(10, 12).f32()[1], 11.0F);
    EXPECT_EQ(kind_of([&] { (void)t.slice(2, 5); }), ErrorKind::internal);
    EXPECT_EQ(kind_of([&] { (void)t.reshape(Shape({5})); }), ErrorKind::internal);
    EXPECT_EQ(kind_of([&] { Tensor(DType::F32, Shape({12}), t.storage(), 4); }), ErrorKind::bad_file);
    EXPECT_EQ(
        kind_of([&] { Tensor(DType::F32, Shape({1}), t.storage(), std::numeric_limits<std::size_t>::max() - 2); }),
        ErrorKind::bad_file);
    EXPECT_EQ(kind_of([&] { (void)Tensor(DType::F32, Shape({2}), t.storage(), 2).f32(); }), ErrorKind::bad_file);
    EXPECT_EQ(kind_of([&] { (void)Tensor::zeros(DType::F16, Shape({2})).f32(); }), ErrorKind::internal);
}

TEST(Tensor, ForeignStorageIsNotWritable) {
    auto storage = std::make_shared<Storage>();
    static constexpr float kValues[] = {1, 2, 3, 4};
    storage->bytes = reinterpret_cast<const std::byte*>(kValues);
    storage->size = sizeof kValues;
    Tensor t(DType::F32, Shape({2, 2}), storage);
    EXPECT_EQ(t.f32()[3], 4.0F);
    EXPECT_EQ(kind_of([&] { (void)t.f32_mut(); }), ErrorKind::internal);
}

TEST(Tensor, QuantisedRowsExpand) {
    std::vector<float> x(64);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i) - 31.5F;
    const Tensor source = Tensor::from_f32(Shape({2, 32}), x);
    Tensor q = Tensor::zeros(DType::Q8_0, Shape({2, 32}));
    traits(DType::Q8_0).from_f32(source.f32().data(), const_cast<std::byte*>(q.data()), 64);
    EXPECT_EQ(q.row_bytes(), 34U);
    EXPECT_EQ(q.nbytes(), 68U);
    const Tensor back = q.to_f32();
    for (std::size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(back.f32()[i], x[i], 0.2F);
}

}  // namespace
}  // namespace freehold
