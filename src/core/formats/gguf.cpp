// The GGUF header: counts, keys with their values, tensor descriptions; then every tensor is held against the data
// section.
#include "gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <set>

#include "builder.h"
#include "cursor.h"
#include "freehold/base/checked.h"
#include "freehold/base/printable.h"

namespace freehold {

namespace {

enum GgufType : std::uint32_t {
    kU8,
    kI8,
    kU16,
    kI16,
    kU32,
    kI32,
    kF32,
    kBool,
    kString,
    kArray,
    kU64,
    kI64,
    kF64,
    kTypeCount
};

constexpr int kMaxArrayDepth = 4;
// Arrays that must be kept as a list of values (mixed widths, nested, flags) take many times their bytes in the file.
constexpr std::uint64_t kMaxLooseElements = 1 << 20;
constexpr std::size_t kMaxKeyLength = 65535;
// A file may be large and empty (holes take no disk), so what is taken into memory has bounds of its own, far above any
// model.
constexpr std::uint64_t kMaxCount = 1 << 20;           // keys, tensors
constexpr std::uint64_t kMaxElements = 1 << 24;        // of all arrays together
constexpr std::uint64_t kMaxHeaderBytes = 1ULL << 30;  // keys and tensor descriptions

constexpr std::size_t least_bytes(std::uint32_t type) noexcept {
    constexpr std::array<std::size_t, kTypeCount> kLeast = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};
    return kLeast[type];
}

class GgufParser {
 public:
    GgufParser(std::span<const std::byte> bytes, const std::string& name)
        : size_(bytes.size()),
          name_(name),
          in_(bytes.first(std::min<std::uint64_t>(bytes.size(), kMaxHeaderBytes)), name + " is not a valid GGUF file") {
    }

    GgufFile parse() {
        read_header();
        for (std::uint64_t i = 0; i < n_keys_; ++i) read_key(i);
        read_alignment();
        for (std::uint64_t i = 0; i < n_tensors_; ++i) read_tensor(i);
        place_tensors();
        return std::move(file_);
    }

 private:
    void read_header() {
        if (in_.left() < 4 || in_.read<std::uint32_t>("the magic number") != 0x46554747) {  // "GGUF"
            throw Error(ErrorKind::bad_file,
                        fmt::format("{} is not a GGUF file: it does not begin with \"GGUF\".", name_),
                        "Check that this is the file you meant.");
        }
        file_.version = in_.read<std::uint32_t>("the version");
        if (file_.version != 2 && file_.version != 3) {
            const bool big_endian = (file_.version & 0xFFFF) == 0 && file_.version != 0;
            throw Error(ErrorKind::unsupported,
                        big_endian
                            ? fmt::format("{} is a big-endian GGUF file; only little-endian ones are read.", name_)
                            : fmt::format("{} is GGUF version {}; versions 2 and 3 are read.", name_, file_.version),
                        "Get the little-endian version 3 file of this model, or convert it again with current tools.");
        }
        n_tensors_ = in_.read<std::uint64_t>("the number of tensors");
        n_keys_ = in_.read<std::uint64_t>("the number of keys");
        in_.check_count(n_keys_, 8 + 4 + 1, "keys");
        in_.check_count(n_tensors_, 8 + 4 + 4 + 8, "tensors");
        for (const std::uint64_t n : {n_keys_, n_tensors_}) {
            if (n > kMaxCount)
                in_.fail(fmt::format("{} keys or tensors are more than the {} that are possible here", n, kMaxCount));
        }
    }

    void read_key(std::uint64_t index) {
        in_.set_context(fmt::format("key number {}", index));
        std::string key = in_.string("a key name");
        if (key.empty() || key.size() > kMaxKeyLength) in_.fail(fmt::format("the key name has {} bytes", key.size()));
        in_.set_context(fmt::format("key \"{}\"", printable(key)));
        if (file_.meta.find(key) != nullptr) in_.fail("the key comes twice");
        const std::size_t begin = in_.at();
        Value value = read_value(read_type(), 0);
        file_.keys.push_back({key, begin, static_cast<std::size_t>(in_.at())});
        file_.meta.set(std::move(key), std::move(value));
    }

    std::uint32_t read_type() {
        const auto type = in_.read<std::uint32_t>("a value type");
        if (type >= kTypeCount) in_.fail(fmt::format("the value type {} does not exist", type));
        return type;
    }

    static Value from_unsigned(std::uint64_t v) {
        return v <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())
                   ? Value(static_cast<std::int64_t>(v))
                   : Value(v);
    }

    std::int64_t read_signed(std::uint32_t type) {
        switch (type) {
            case kI8:
                return in_.read<std::int8_t>("a number");
            case kI16:
                return in_.read<std::int16_t>("a number");
            case kI32:
                return in_.read<std::int32_t>("a number");
            case kU8:
                return in_.read<std::uint8_t>("a number");
            case kU16:
                return in_.read<std::uint16_t>("a number");
            case kU32:
                return in_.read<std::uint32_t>("a number");
            default:
                return in_.read<std::int64_t>("a number");
        }
    }

    bool read_bool() {
        const auto b = in_.read<std::uint8_t>("a flag");
        if (b > 1) in_.fail(fmt::format("a flag is {}, not 0 or 1", b));
        return b == 1;
    }

    Value read_value(std::uint32_t type, int depth) {
        switch (type) {
            case kF32:
                return static_cast<double>(in_.read<float>("a number"));
            case kF64:
                return in_.read<double>("a number");
            case kU64:
                return from_unsigned(in_.read<std::uint64_t>("a number"));
            case kBool:
                return read_bool();
            case kString:
                return in_.string("a string");
            case kArray:
                return read_array(depth + 1);
            default:
                return read_signed(type);
        }
    }

    Value read_array(int depth) {
        if (depth > kMaxArrayDepth) in_.fail(fmt::format("arrays are nested more than {} deep", kMaxArrayDepth));
        const std::uint32_t type = read_type();
        const auto count = in_.read<std::uint64_t>("the length of an array");
        in_.check_count(count, least_bytes(type), "array elements");
        elements_ += std::min(count, kMaxElements + 1);
        if (elements_ > kMaxElements) in_.fail(fmt::format("arrays hold more than {} elements", kMaxElements));
        switch (type) {
            case kString: {
                std::vector<std::string> list;
                list.reserve(count);
                for (std::uint64_t i = 0; i < count; ++i) list.push_back(in_.string("a string"));
                return list;
            }
            case kF32: {
                std::vector<float> list(count);
                for (float& f : list) f = in_.read<float>("a number");
                return list;
            }
            case kU64:
            case kF64:
            case kBool:
            case kArray:
                return read_loose(type, count, depth);
            default:
                return read_integers(type, count, depth);
        }
    }

    // Integers as int32 where all of them fit, which is so for everything that models carry.
    Value read_integers(std::uint32_t type, std::uint64_t count, int depth) {
        const Cursor start = in_;
        std::vector<std::int32_t> list;
        list.reserve(count);
        for (std::uint64_t i = 0; i < count; ++i) {
            const std::int64_t v = read_signed(type);
            if (v != static_cast<std::int32_t>(v)) {
                in_ = start;
                return read_loose(type, count, depth);
            }
            list.push_back(static_cast<std::int32_t>(v));
        }
        return list;
    }

    Value read_loose(std::uint32_t type, std::uint64_t count, int depth) {
        loose_ += count;
        if (loose_ > kMaxLooseElements)
            in_.fail(fmt::format("arrays of this kind hold more than {} elements", kMaxLooseElements));
        ValueList list;
        list.reserve(count);
        for (std::uint64_t i = 0; i < count; ++i) list.push_back(read_value(type, depth));
        return list;
    }

    void read_alignment() {
        const Value* value = file_.meta.find("general.alignment");
        if (value == nullptr) return;
        const auto alignment = value->as_int();
        in_.set_context("key \"general.alignment\"");
        if (!alignment || *alignment <= 0 || *alignment > (1 << 30) ||
            !std::has_single_bit(static_cast<std::uint64_t>(*alignment))) {
            in_.fail(fmt::format("the alignment {} is not a power of two", to_json(*value)));
        }
        file_.alignment = static_cast<std::uint64_t>(*alignment);
    }

    void read_tensor(std::uint64_t index) {
        in_.set_context(fmt::format("tensor number {}", index));
        TensorEntry t;
        t.name = in_.string("a tensor name");
        if (t.name.empty() || t.name.size() > kMaxKeyLength)
            in_.fail(fmt::format("the name has {} bytes", t.name.size()));
        in_.set_context(fmt::format("tensor \"{}\"", printable(t.name)));
        if (!names_.insert(t.name).second) in_.fail("the tensor comes twice");
        const auto n_dims = in_.read<std::uint32_t>("the number of dimensions");
        if (n_dims > 4) in_.fail(fmt::format("it has {} dimensions; at most 4 are possible", n_dims));
        std::uint64_t values = 1;
        for (std::uint32_t d = 0; d < n_dims; ++d) {
            const auto dim = in_.read<std::uint64_t>("a dimension");
            // A zero elsewhere must not hide a product that overflows.
            const auto product = checked_mul(values, std::max<std::uint64_t>(dim, 1));
            if (!product || *product > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
                in_.fail("the product of its dimensions is larger than 2^63");
            }
            values = *product;
            t.shape.push_back(static_cast<std::int64_t>(dim));
        }
        if (std::find(t.shape.begin(), t.shape.end(), 0) != t.shape.end()) values = 0;
        const std::uint64_t row = t.shape.empty() ? 1 : static_cast<std::uint64_t>(t.shape.front());
        std::reverse(t.shape.begin(), t.shape.end());  // the file has the fastest dimension first
        read_tensor_type(t, values, row);
        t.offset = in_.read<std::uint64_t>("the offset");
        if (t.offset % file_.alignment != 0) {
            in_.fail(
                fmt::format("its data offset {} is not a multiple of the alignment {}", t.offset, file_.alignment));
        }
        file_.tensors.push_back(std::move(t));
    }

    void read_tensor_type(TensorEntry& t, std::uint64_t values, std::uint64_t row) {
        const auto type = in_.read<std::uint32_t>("the type");
        t.dtype = type < 128 ? static_cast<DType>(type) : DType::None;  // ids from 200 on are not GGUF's
        const BlockSize block = block_size(t.dtype);
        if (block.bytes == 0) {
            throw Error(ErrorKind::unsupported,
                        fmt::format("{}: tensor \"{}\" is stored as GGUF type {}, which is not known here.", name_,
                                    printable(t.name), type),
                        "Use a file of this model in a usual format, for example Q8_0 or Q4_K_M.");
        }
        t.type_name = dtype_name(t.dtype);
        if (row % block.values != 0) {
            in_.fail(fmt::format("its rows of {} values are no multiple of the {} that a block of {} holds", row,
                                 block.values, t.type_name));
        }
        const auto nbytes = checked_mul(values / block.values, block.bytes);
        if (!nbytes) in_.fail("its size in bytes is larger than 2^64");
        t.nbytes = *nbytes;
    }

    void place_tensors() {
        if (file_.tensors.empty()) return;
        in_.set_context("data section");
        const auto end = checked_add(in_.at(), file_.alignment - 1);
        const std::uint64_t data = *end / file_.alignment * file_.alignment;
        for (TensorEntry& t : file_.tensors) {
            in_.set_context(fmt::format("tensor \"{}\"", printable(t.name)));
            if (data > size_ || !fits(t.offset, t.nbytes, size_ - data)) {
                in_.fail(fmt::format("its {} bytes from data offset {} go past the end of the file ({} bytes of data)",
                                     t.nbytes, t.offset, data > size_ ? 0 : size_ - data));
            }
            t.offset += data;
        }
        std::stable_sort(file_.tensors.begin(), file_.tensors.end(),
                         [](const TensorEntry& a, const TensorEntry& b) { return a.offset < b.offset; });
        const TensorEntry* before = nullptr;
        for (const TensorEntry& t : file_.tensors) {
            if (t.nbytes == 0) continue;
            if (before != nullptr && t.offset < before->offset + before->nbytes) {
                in_.set_context(fmt::format("tensor \"{}\"", printable(t.name)));
                in_.fail(fmt::format("its bytes overlap those of tensor \"{}\"", printable(before->name)));
            }
            before = &t;
        }
    }

    std::uint64_t size_;
    std::string name_;
    Cursor in_;
    GgufFile file_;
    std::set<std::string> names_;
    std::uint64_t n_tensors_ = 0, n_keys_ = 0, elements_ = 0, loose_ = 0;
};

}  // namespace

GgufFile parse_gguf(std::span<const std::byte> bytes, const std::string& name) {
    return GgufParser(bytes, name).parse();
}

}  // namespace freehold
