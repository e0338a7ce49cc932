// What the writer writes, the reader reads back; what cannot be written is refused before a file exists.
#include "freehold/formats/gguf_writer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <limits>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/formats/model_files.h"

namespace freehold {
namespace {

namespace fs = std::filesystem;

class GgufWriterTest : public testing::Test {
 protected:
    void TearDown() override { fs::remove(path_); }
    fs::path path_ = fs::path(testing::TempDir()) / ("freehold_writer_" + std::to_string(::getpid()) + ".gguf");
};

TEST_F(GgufWriterTest, RoundTrip) {
    for (const std::uint32_t alignment : {32U, 8U, 256U}) {
        GgufWriter writer(alignment);
        const ValueMap keys{
            {"general.architecture", Value("llama")},
            {"n", Value(7)},
            {"negative", Value(-7)},
            {"wide", Value(std::int64_t{1} << 40)},
            {"widest", Value(std::numeric_limits<std::uint64_t>::max())},
            {"least", Value(std::numeric_limits<std::int64_t>::min())},
            {"real", Value(0.25)},
            {"flag", Value(true)},
            {"text", Value("▁ü")},
            {"texts", Value(std::vector<std::string>{"a", "", "b"})},
            {"reals", Value(std::vector<float>{1, -2.5F})},
            {"ints", Value(std::vector<std::int32_t>{3, -4})},
            {"loose", Value(ValueList{Value(std::int64_t{1} << 40), Value(-2)})},
            {"flags", Value(ValueList{Value(true), Value(false)})},
            {"nested", Value(ValueList{Value(std::vector<std::int32_t>{1}), Value(std::vector<std::int32_t>{})})}};
        for (const ValueEntry& e : keys) writer.set(e.key, e.value);
        writer.set("typed", GgufType::u16, Value(65535));
        const Tensor a = Tensor::from_f32({2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6});
        const Tensor b = Tensor::from_f32({5}, std::vector<float>{9, 8, 7, 6, 5});
        writer.add_tensor("a", a);
        int made = 0;
        writer.add_tensor("b", DType::F32, Shape{5}, [&] { return ++made, b; });
        writer.add_tensor("c", Tensor::zeros(DType::Q8_0, {3, 64}));
        std::uint64_t last = 0;
        writer.write(path_, [&](const ProgressEvent& e) { last = e.done; });
        EXPECT_EQ(made, 1);
        EXPECT_EQ(fs::file_size(path_), writer.file_size());
        EXPECT_EQ(last, writer.file_size());

        const auto model = ModelFiles::open(path_);
        for (const ValueEntry& e : keys) {
            const Value* value = model->meta().find(e.key);
            ASSERT_NE(value, nullptr) << e.key;
            EXPECT_EQ(to_json(*value), to_json(e.value)) << e.key;
        }
        EXPECT_EQ(model->meta().size(), keys.size() + 1 + (alignment == 32 ? 0 : 1));
        EXPECT_EQ(model->tensor("a").shape(), a.shape());
        EXPECT_EQ(model->tensor("a").f32()[5], 6.0F);
        EXPECT_EQ(model->tensor("b").f32()[0], 9.0F);
        EXPECT_EQ(model->tensor("c").nbytes(), 3U * 2 * 34);
        for (const TensorEntry& e : model->entries()) EXPECT_EQ(e.offset % alignment, 0U);
    }
}

// tests/oracle/gguf_writer_live.py names a path here and reads the file with the reference reader.
TEST_F(GgufWriterTest, WritesASampleForOtherReaders) {
    const char* wanted = std::getenv("FREEHOLD_SAMPLE_OUT");
    const fs::path sample = wanted == nullptr ? path_ : fs::path(wanted);
    GgufWriter writer(64);
    writer.set("general.architecture", Value("llama"));
    writer.set("sample.u32", Value(4000000000LL));
    writer.set("sample.i32", Value(-5));
    writer.set("sample.i64", Value(std::int64_t{-1} << 40));
    writer.set("sample.u64", Value(std::numeric_limits<std::uint64_t>::max()));
    writer.set("sample.u16", GgufType::u16, Value(9));
    writer.set("sample.f32", Value(0.5));
    writer.set("sample.f64", GgufType::f64, Value(0.1));
    writer.set("sample.flag", Value(true));
    writer.set("sample.text", Value("Grüße"));
    writer.set("sample.texts", Value(std::vector<std::string>{"a", "", "ü"}));
    writer.set("sample.ints", Value(std::vector<std::int32_t>{1, -2}));
    writer.set("sample.reals", Value(std::vector<float>{0.25F, -3}));
    writer.set("sample.flags", Value(ValueList{Value(true), Value(false)}));
    writer.add_tensor("m", Tensor::from_f32({2, 3}, std::vector<float>{0, 1, 2, 3, 4, 5}));
    writer.add_tensor("v", Tensor::from_f32({5}, std::vector<float>{5, 6, 7, 8, 9}));
    writer.add_tensor("q", Tensor::zeros(DType::Q4_K, {2, 512}));
    writer.write(sample);
    EXPECT_EQ(ModelFiles::open(sample)->entries().size(), 3U);
}

template <class F>
void expect_usage(F&& f, const char* phrase) {
    try {
        f();
        ADD_FAILURE() << "accepted; expected: " << phrase;
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::usage);
        EXPECT_NE(e.message().find(phrase), std::string::npos) << e.message();
    }
}

TEST_F(GgufWriterTest, RefusesWhatTheFormatCannotHold) {
    GgufWriter w;
    w.set("k", Value(1));
    expect_usage([&] { w.set("k", Value(2)); }, "set already");
    expect_usage([&] { w.set("", Value(2)); }, "1 to 65535 bytes");
    expect_usage([&] { w.set("m", Value(ValueMap{})); }, "neither null nor maps");
    expect_usage([&] { w.set("m", Value()); }, "neither null nor maps");
    expect_usage([&] { w.set("m", Value(ValueList{Value(1), Value("x")})); }, "several kinds");
    expect_usage([&] { w.set("m", GgufType::u8, Value(256)); }, "does not fit");
    expect_usage([&] { w.set("m", GgufType::u32, Value(-1)); }, "does not fit");
    expect_usage([&] { w.set("m", GgufType::boolean, Value(1)); }, "neither true nor false");
    expect_usage([&] { w.set("m", GgufType::array, Value(1)); }, "without a type");
    expect_usage([&] { GgufWriter(0); }, "power of two");
    expect_usage([&] { GgufWriter(3); }, "power of two");
    w.add_tensor("t", Tensor::zeros(DType::F32, {2}));
    expect_usage([&] { w.add_tensor("t", Tensor::zeros(DType::F32, {2})); }, "twice");
    w.set("m", Value(3));
    w.write(path_);
    EXPECT_EQ(ModelFiles::open(path_)->meta().size(), 2U) << "what was refused left no trace";
}

TEST_F(GgufWriterTest, ATensorThatIsNotAsAnnouncedLeavesNoFile) {
    GgufWriter w;
    w.add_tensor("t", DType::F32, Shape{2}, [] { return Tensor::zeros(DType::F32, {3}); });
    EXPECT_THROW(w.write(path_), Error);
    EXPECT_FALSE(fs::exists(path_));
}

}  // namespace
}  // namespace freehold
