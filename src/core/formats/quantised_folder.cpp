// Expands FP8, GPTQ and AWQ. Why Q4_0 and Q5_0: both are a half float times an integer (q - 8, q - 16), and so is every
// weight of the two four-bit forms: scale * (q - zero), with q - zero between -16 and 15.
#include "freehold/formats/quantised_folder.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "builder.h"
#include "freehold/base/checked.h"
#include "freehold/base/error.h"
#include "freehold/base/printable.h"

namespace freehold {
namespace {

constexpr std::int64_t kBlock = 32;  // of Q4_0 and Q5_0

std::string_view stem_of(std::string_view name) {
    return name.ends_with(".weight") ? name.substr(0, name.size() - 7) : std::string_view{};
}

[[noreturn]] void not_handled(const ModelFiles& files, std::string_view key, const std::string& is,
                              const char* expected) {
    throw Error(ErrorKind::unsupported,
                fmt::format("{}/config.json: key \"quantization_config.{}\" is {}; {}.", files.path().string(), key,
                            printable(is, 60), expected),
                "Get the model's plain weights, or as a GGUF file.");
}

std::uint32_t word(const RawTensor& t, std::int64_t at) {
    std::uint32_t w = 0;
    std::memcpy(&w, t.data() + at * 4, 4);
    return w;
}

// One sign, four bits of exponent with a bias of 7, three of fraction; all ones are no number (arXiv 2209.05433).
float e4m3(std::uint8_t bits) {
    const int exponent = bits >> 3 & 15, fraction = bits & 7;
    if (exponent == 15 && fraction == 7) return std::numeric_limits<float>::quiet_NaN();
    const float size = exponent == 0 ? std::ldexp(static_cast<float>(fraction), -9)
                                     : std::ldexp(static_cast<float>(8 + fraction), exponent - 10);
    return (bits & 0x80) != 0 ? -size : size;
}

bool is_half(float f) {
    return std::isfinite(f) && f16_to_f32(f32_to_f16(f)) == f;
}

}  // namespace

struct QuantisedFolder::Integers {
    std::int64_t n_in = 0, n_out = 0, n_groups = 0;
    std::vector<std::int8_t> value;   // q - zero, [out][in]
    std::vector<float> scale;         // [groups][out]
    std::vector<std::int32_t> group;  // of each input

    [[nodiscard]] Tensor tensor() const;

 private:
    // One group in every block of 32 inputs, scales that are half floats, and integers from `low` to `high`.
    [[nodiscard]] bool fits(std::int8_t low, std::int8_t high) const;
    [[nodiscard]] Tensor blocks(DType type) const;
};

bool QuantisedFolder::Integers::fits(std::int8_t low, std::int8_t high) const {
    if (n_in % kBlock != 0) return false;
    for (std::int64_t i = 0; i < n_in; ++i)
        if (group[static_cast<std::size_t>(i)] != group[static_cast<std::size_t>(i / kBlock * kBlock)]) return false;
    for (const float s : scale)
        if (!is_half(s)) return false;
    for (const std::int8_t v : value)
        if (v < low || v > high) return false;
    return true;
}

Tensor QuantisedFolder::Integers::blocks(DType type) const {
    Tensor out = Tensor::zeros(type, Shape{n_out, n_in});
    auto* to = const_cast<std::byte*>(out.data());  // fresh memory of our own
    const bool five = type == DType::Q5_0;
    const int zero = five ? 16 : 8;
    for (std::int64_t row = 0; row < n_out; ++row) {
        for (std::int64_t begin = 0; begin < n_in; begin += kBlock) {
            const std::int8_t* v = value.data() + row * n_in + begin;
            const std::uint16_t d =
                f32_to_f16(scale[static_cast<std::size_t>(group[static_cast<std::size_t>(begin)] * n_out + row)]);
            std::memcpy(to, &d, 2);
            to += 2;
            if (five) {
                std::uint32_t high = 0;
                for (int i = 0; i < kBlock; ++i) high |= ((static_cast<std::uint32_t>(v[i] + zero) >> 4) & 1U) << i;
                std::memcpy(to, &high, 4);
                to += 4;
            }
            for (int i = 0; i < 16; ++i) {
                const unsigned low = static_cast<unsigned>(v[i] + zero) & 15U,
                               up = static_cast<unsigned>(v[i + 16] + zero) & 15U;
                *to++ = static_cast<std::byte>(low | up << 4);
            }
        }
    }
    return out;
}

Tensor QuantisedFolder::Integers::tensor() const {
    if (fits(-8, 7)) return blocks(DType::Q4_0);
    if (fits(-16, 15)) return blocks(DType::Q5_0);
    Tensor out = Tensor::zeros(DType::F32, Shape{n_out, n_in});
    const std::span<float> to = out.f32_mut();
    for (std::int64_t row = 0; row < n_out; ++row) {
        for (std::int64_t i = 0; i < n_in; ++i) {
            const auto at = static_cast<std::size_t>(row * n_in + i);
            to[at] = scale[static_cast<std::size_t>(group[static_cast<std::size_t>(i)] * n_out + row)] *
                     static_cast<float>(value[at]);
        }
    }
    return out;
}

std::unique_ptr<const QuantisedFolder> QuantisedFolder::of(const ModelFiles& files) {
    const Value* section = files.meta().find("quantization_config");
    if (files.container() != Container::hf || section == nullptr || section->is_null()) return nullptr;
    const auto* map = section->get<ValueMap>();
    if (map == nullptr) not_handled(files, "quant_method", "in no object", "an object was expected");
    const auto text = [&](std::string_view key, std::string_view otherwise) {
        const Value* v = map->find(key);
        return std::string(v == nullptr || v->is_null() ? otherwise : v->as_string().value_or("no text"));
    };
    const auto number = [&](std::string_view key, std::int64_t otherwise) {
        const Value* v = map->find(key);
        if (v == nullptr || v->is_null()) return otherwise;
        const auto n = v->as_int();
        if (!n) not_handled(files, key, to_json(*v), "a whole number was expected");
        return *n;
    };
    // The constructor is private, and the object is filled before it is handed out.
    std::unique_ptr<QuantisedFolder> made(new QuantisedFolder(files));
    const std::string method = text("quant_method", "");
    if (method == "fp8") {
        made->method_ = Method::fp8;
        if (const Value* block = map->find("weight_block_size"); block != nullptr && !block->is_null()) {
            const auto rows = block->at(0).as_int(), cols = block->at(1).as_int();
            if (block->size() != 2 || rows.value_or(0) < 1 || cols.value_or(0) < 1)
                not_handled(files, "weight_block_size", to_json(*block), "two sizes were expected");
            made->block_rows_ = *rows;
            made->block_cols_ = *cols;
        }
    } else if (method == "gptq" || method == "awq") {
        made->method_ = method == "gptq" ? Method::gptq : Method::awq;
        if (number("bits", 4) != 4)
            not_handled(files, "bits", std::to_string(number("bits", 4)), "weights of 4 bits are read");
        const std::int64_t group = number("group_size", 128);
        if (group != -1 && (group < 1 || group > 1 << 20))
            not_handled(files, "group_size", std::to_string(group), "a size, or -1 for all inputs, was expected");
        made->group_ = group == -1 ? 0 : group;
        if (const Value* dynamic = map->find("dynamic");
            dynamic != nullptr && dynamic->get<ValueMap>() != nullptr && !dynamic->get<ValueMap>()->empty())
            not_handled(files, "dynamic", "set", "all linears must be kept in the same way");
        const std::string format = text("checkpoint_format", "gptq");
        if (method == "gptq") {
            if (format != "gptq" && format != "gptq_v2")
                not_handled(files, "checkpoint_format", "\"" + format + "\"", "\"gptq\" and \"gptq_v2\" are read");
            made->zero_plus_one_ = format == "gptq";
        } else if (const std::string version = text("version", "gemm"); version != "gemm" && version != "GEMM") {
            not_handled(files, "version", "\"" + version + "\"", "\"gemm\" is read");
        }
    } else if (method == "mxfp4") {
        made->method_ = Method::mxfp4;
    } else {
        not_handled(files, "quant_method", "\"" + method + "\"", "\"fp8\", \"gptq\", \"awq\" and \"mxfp4\" are read");
    }
    made->map_raw_tensors();
    return made;
}

// These types have no codec, so that ModelFiles lists them without their numbers.
void QuantisedFolder::map_raw_tensors() {
    mapped_.resize(files_.files().size());
    for (const TensorEntry& e : files_.entries()) {
        const bool wanted =
            method_ == Method::mxfp4 ? e.type_name == "U8" : e.dtype == DType::I32 || e.dtype == DType::F8_E4M3;
        if (!wanted || e.shape.size() > 4) continue;
        auto& mapped = mapped_[e.file];
        if (mapped == nullptr) mapped = MappedFile::open(files_.files()[e.file]);
        // The reader has held the place against the size that the file had then.
        if (!fits(e.offset, e.nbytes, mapped->bytes().size()))
            throw Error(ErrorKind::bad_file, fmt::format("{} has changed.", files_.files()[e.file].string()),
                        kDamagedHint);
        raws_.emplace(e.name, RawTensor{e.dtype, Shape(e.shape), mapped->bytes().subspan(e.offset, e.nbytes)});
    }
}

const RawTensor* QuantisedFolder::raw(std::string_view stem, std::string_view ending) const {
    const auto found = raws_.find(std::string(stem).append(ending));
    return found == raws_.end() ? nullptr : &found->second;
}

void QuantisedFolder::fail(std::string_view stem, std::string_view ending, const std::string& why) const {
    throw Error(
        ErrorKind::bad_file,
        fmt::format("{}: tensor \"{}{}\" {}.", files_.path().string(), printable(stem, 120), ending, why),
        "config.json and weights do not belong together, or the file is damaged: get them again from one place.");
}

const Tensor* QuantisedFolder::part(std::string_view stem, std::string_view ending) const {
    return files_.find_tensor(std::string(stem).append(ending));
}

const RawTensor& QuantisedFolder::must(std::string_view stem, std::string_view ending, DType dtype) const {
    const std::string name = std::string(stem).append(ending);
    const RawTensor* t = raw(stem, ending);
    if (t == nullptr) {
        const Tensor* other = files_.find_tensor(name);
        fail(stem, ending,
             other == nullptr
                 ? "is missing"
                 : fmt::format("is of type {}; {} was expected", dtype_name(other->dtype()), dtype_name(dtype)));
    }
    if (t->dtype != dtype)
        fail(stem, ending, fmt::format("is of type {}; {} was expected", dtype_name(t->dtype), dtype_name(dtype)));
    if (t->shape.rank() != 2)
        fail(stem, ending, fmt::format("has shape {}; two dimensions were expected", t->shape.str()));
    return *t;
}

bool QuantisedFolder::holds(std::string_view name) const {
    if (method_ == Method::mxfp4) return raw(name, "_blocks") != nullptr;
    const std::string_view stem = stem_of(name);
    if (stem.empty()) return false;
    const RawTensor* t = raw(stem, method_ == Method::fp8 ? ".weight" : ".qweight");
    return t != nullptr && t->dtype == (method_ == Method::fp8 ? DType::F8_E4M3 : DType::I32);
}

std::vector<const Tensor*> QuantisedFolder::parts(std::string_view name) const {
    std::vector<const Tensor*> out;
    if (method_ == Method::mxfp4) return out;  // bytes are no tensors()
    for (const char* ending : {".weight_scale_inv", ".weight_scale", ".input_scale", ".scales"}) {
        if (const Tensor* t = part(stem_of(name), ending)) out.push_back(t);
    }
    return out;
}

Tensor QuantisedFolder::expand(std::string_view name) const {
    if (method_ == Method::mxfp4) return read_mxfp4(name);
    const std::string_view stem = stem_of(name);
    if (method_ == Method::fp8) return expand_fp8(stem);
    return (method_ == Method::gptq ? read_gptq(stem) : read_awq(stem)).tensor();
}

Tensor QuantisedFolder::expand_fp8(std::string_view stem) const {
    const RawTensor& w = must(stem, ".weight", DType::F8_E4M3);
    const std::int64_t rows = w.shape[0], cols = w.shape[1];
    const Tensor* scale = part(stem, ".weight_scale_inv");
    const char* ending = ".weight_scale_inv";
    if (scale == nullptr) {
        scale = part(stem, ".weight_scale");
        ending = ".weight_scale";
    }
    if (scale == nullptr) fail(stem, ".weight_scale_inv", "is missing, and so is weight_scale");
    // One scale for all, one a row, or one a block.
    std::int64_t block_rows = rows, block_cols = cols;
    const std::int64_t across = (cols + block_cols_ - 1) / block_cols_, down = (rows + block_rows_ - 1) / block_rows_;
    const Shape blocks{down, across};
    if (scale->shape() == blocks && scale->shape().numel() > 1) {
        block_rows = block_rows_;
        block_cols = block_cols_;
    } else if (scale->shape() == Shape{rows, 1} || (scale->shape() == Shape{rows} && rows > 1)) {
        block_rows = 1;
    } else if (scale->shape().numel() != 1) {
        fail(stem, ending,
             fmt::format("has shape {}; one scale, [{}, 1] or {} was expected", scale->shape().str(), rows,
                         blocks.str()));
    }
    const Tensor scales = scale->to_f32();
    for (const float s : scales.f32())
        if (!std::isfinite(s)) fail(stem, ending, "holds a number that is infinite or not a number");
    Tensor out = Tensor::zeros(DType::F32, w.shape);
    const std::span<float> to = out.f32_mut();
    const std::int64_t per_row = (cols + block_cols - 1) / block_cols;
    bool brain = true;
    for (std::int64_t r = 0; r < rows; ++r) {
        for (std::int64_t c = 0; c < cols; ++c) {
            float& x = to[static_cast<std::size_t>(r * cols + c)];
            x = e4m3(std::to_integer<std::uint8_t>(w.data()[r * cols + c]));
            if (!std::isfinite(x)) fail(stem, ".weight", fmt::format("holds a number in row {} that is not finite", r));
            x *= scales.f32()[static_cast<std::size_t>(r / block_rows * per_row + c / block_cols)];
            brain = brain && (std::bit_cast<std::uint32_t>(x) & 0xFFFFU) == 0;
        }
    }
    if (!brain) return out;
    Tensor half = Tensor::zeros(DType::BF16, out.shape());
    traits(DType::BF16).from_f32(to.data(), const_cast<std::byte*>(half.data()), to.size());  // fresh memory of our own
    return half;
}

// The same codes and exponents, laid out as blocks of 17 bytes: here a byte holds two neighbours, there the numbers i
// and i + 16 of its block.
Tensor QuantisedFolder::read_mxfp4(std::string_view name) const {
    const RawTensor& codes = *raw(name, "_blocks");
    const RawTensor* scales = raw(name, "_scales");
    if (codes.shape.rank() != 4 || codes.shape[3] != 16)
        fail(name, "_blocks",
             fmt::format("has shape {}; [experts, outputs, inputs / 32, 16] was expected", codes.shape.str()));
    const std::int64_t n = codes.shape[0], out = codes.shape[1], blocks = codes.shape[2];
    if (scales == nullptr) fail(name, "_scales", "is missing, or is not of type U8");
    if (scales->shape != Shape{n, out, blocks})
        fail(name, "_scales",
             fmt::format("has shape {}; {} was expected", scales->shape.str(), Shape({n, out, blocks}).str()));
    Tensor whole = Tensor::zeros(DType::MXFP4, Shape{n, out, blocks * kBlock});
    auto* to = const_cast<std::byte*>(whole.data());  // fresh memory of our own
    const std::byte* from = codes.data();
    for (const std::byte exponent : scales->bytes) {
        if (exponent == std::byte{255}) fail(name, "_scales", "holds a scale that is not a number");
        *to++ = exponent;
        const auto code = [from](std::size_t i) {
            return (i % 2 == 0 ? from[i / 2] : from[i / 2] >> 4) & std::byte{15};
        };
        for (std::size_t i = 0; i < 16; ++i) *to++ = code(i) | code(i + 16) << 4;
        from += 16;
    }
    return whole;
}

QuantisedFolder::Integers QuantisedFolder::read_gptq(std::string_view stem) const {
    const RawTensor& q = must(stem, ".qweight", DType::I32);  // [in / 8, out]
    const RawTensor& z = must(stem, ".qzeros", DType::I32);   // [groups, out / 8]
    Integers m;
    m.n_in = q.shape[0] * 8;
    m.n_out = q.shape[1];
    const Tensor* s = part(stem, ".scales");
    if (s == nullptr) fail(stem, ".scales", "is missing");
    const std::int64_t group = group_ == 0 ? std::max<std::int64_t>(m.n_in, 1) : group_;
    m.n_groups = (m.n_in + group - 1) / group;
    if (s->shape() != Shape{m.n_groups, m.n_out})
        fail(stem, ".scales",
             fmt::format("has shape {}; [{}, {}] was expected", s->shape().str(), m.n_groups, m.n_out));
    if (m.n_out % 8 != 0 || z.shape != Shape{m.n_groups, m.n_out / 8})
        fail(stem, ".qzeros",
             fmt::format("has shape {}; [{}, {} / 8] was expected", z.shape.str(), m.n_groups, m.n_out));
    const Tensor scales = s->to_f32();
    m.scale.assign(scales.f32().begin(), scales.f32().end());
    m.group.resize(static_cast<std::size_t>(m.n_in));
    const RawTensor* g_idx = raw(stem, ".g_idx");
    if (g_idx != nullptr && (g_idx->dtype != DType::I32 || g_idx->shape != Shape{m.n_in}))
        fail(stem, ".g_idx",
             fmt::format("is {} {}; I32 [{}] was expected", dtype_name(g_idx->dtype), g_idx->shape.str(), m.n_in));
    for (std::int64_t i = 0; i < m.n_in; ++i) {
        const auto g =
            g_idx == nullptr ? static_cast<std::int32_t>(i / group) : static_cast<std::int32_t>(word(*g_idx, i));
        if (g < 0 || g >= m.n_groups)
            fail(stem, ".g_idx", fmt::format("puts input {} into group {} of {}", i, g, m.n_groups));
        m.group[static_cast<std::size_t>(i)] = g;
    }
    m.value.resize(static_cast<std::size_t>(m.n_in * m.n_out));
    const int plus = zero_plus_one_ ? 1 : 0;
    for (std::int64_t i = 0; i < m.n_in; ++i) {
        const std::int64_t g = m.group[static_cast<std::size_t>(i)];
        for (std::int64_t o = 0; o < m.n_out; ++o) {
            const auto bits = static_cast<int>(word(q, i / 8 * m.n_out + o) >> (4 * (i % 8)) & 15U);
            const auto zero = static_cast<int>(word(z, g * (m.n_out / 8) + o / 8) >> (4 * (o % 8)) & 15U) + plus;
            m.value[static_cast<std::size_t>(o * m.n_in + i)] = static_cast<std::int8_t>(bits - zero);
        }
    }
    return m;
}

QuantisedFolder::Integers QuantisedFolder::read_awq(std::string_view stem) const {
    const RawTensor& q = must(stem, ".qweight", DType::I32);  // [in, out / 8]
    const RawTensor& z = must(stem, ".qzeros", DType::I32);   // [groups, out / 8]
    Integers m;
    m.n_in = q.shape[0];
    const std::int64_t words = q.shape[1];
    m.n_out = words * 8;
    const std::int64_t group = group_ == 0 ? std::max<std::int64_t>(m.n_in, 1) : group_;
    m.n_groups = (m.n_in + group - 1) / group;
    const Tensor* s = part(stem, ".scales");
    if (s == nullptr) fail(stem, ".scales", "is missing");
    if (s->shape() != Shape{m.n_groups, m.n_out})
        fail(stem, ".scales",
             fmt::format("has shape {}; [{}, {}] was expected", s->shape().str(), m.n_groups, m.n_out));
    if (z.shape != Shape{m.n_groups, words})
        fail(stem, ".qzeros", fmt::format("has shape {}; [{}, {}] was expected", z.shape.str(), m.n_groups, words));
    const Tensor scales = s->to_f32();
    m.scale.assign(scales.f32().begin(), scales.f32().end());
    m.group.resize(static_cast<std::size_t>(m.n_in));
    m.value.resize(static_cast<std::size_t>(m.n_in * m.n_out));
    // Column c of eight stands at this place of the word: columns 0 2 4 6 1 3 5 7 from the lowest bits up.
    constexpr std::array<unsigned, 8> kPlace = {0, 4, 1, 5, 2, 6, 3, 7};
    for (std::int64_t i = 0; i < m.n_in; ++i) {
        const std::int64_t g = i / group;
        m.group[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(g);
        for (std::int64_t o = 0; o < m.n_out; ++o) {
            const unsigned shift = 4 * kPlace[static_cast<std::size_t>(o % 8)];
            const auto bits = static_cast<int>(word(q, i * words + o / 8) >> shift & 15U);
            const auto zero = static_cast<int>(word(z, g * words + o / 8) >> shift & 15U);
            m.value[static_cast<std::size_t>(o * m.n_in + i)] = static_cast<std::int8_t>(bits - zero);
        }
    }
    return m;
}

}  // namespace freehold
