// The safetensors header, held against the rules of its format: exact sizes, no holes, no overlaps, nothing left over.
#include "safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>

#include "builder.h"
#include "freehold/base/checked.h"
#include "freehold/base/error.h"
#include "freehold/base/printable.h"

namespace freehold {

namespace {

constexpr std::uint64_t kMaxHeader = 100'000'000;  // the bound of the reference implementation

struct StoredType {
    std::string_view name;
    std::uint32_t bits;
    DType dtype;
};
constexpr std::array kTypes = {
    StoredType{"F64", 64, DType::F64},        StoredType{"F32", 32, DType::F32},
    StoredType{"F16", 16, DType::F16},        StoredType{"BF16", 16, DType::BF16},
    StoredType{"I64", 64, DType::I64},        StoredType{"I32", 32, DType::I32},
    StoredType{"I16", 16, DType::I16},        StoredType{"I8", 8, DType::I8},
    StoredType{"U8", 8, DType::None},         StoredType{"BOOL", 8, DType::None},
    StoredType{"U16", 16, DType::None},       StoredType{"U32", 32, DType::None},
    StoredType{"U64", 64, DType::None},       StoredType{"C64", 64, DType::None},
    StoredType{"F8_E4M3", 8, DType::F8_E4M3}, StoredType{"F8_E5M2", 8, DType::None},
    StoredType{"F8_E8M0", 8, DType::None},    StoredType{"F6_E2M3", 6, DType::None},
    StoredType{"F6_E3M2", 6, DType::None},    StoredType{"F4", 4, DType::None},
};

class Parser {
 public:
    Parser(std::span<const std::byte> bytes, const std::string& name) : bytes_(bytes), name_(name) {}

    SafetensorsFile parse() {
        const Value header = read_header();
        const auto* map = header.get<ValueMap>();
        if (map == nullptr) fail("its header is not a JSON object");
        for (const ValueEntry& entry : *map) {
            if (entry.key == "__metadata__") {
                read_metadata(entry.value);
            } else {
                read_tensor(entry.key, entry.value);
            }
        }
        check_places();
        return std::move(file_);
    }

 private:
    [[noreturn]] void fail(const std::string& why) const {
        throw Error(ErrorKind::bad_file, fmt::format("{} is not a valid safetensors file: {}.", name_, why),
                    kDamagedHint);
    }
    [[noreturn]] void fail(std::string_view tensor, const std::string& why) const {
        fail(fmt::format("tensor \"{}\": {}", printable(tensor), why));
    }

    Value read_header() {
        if (bytes_.size() < 8)
            fail(fmt::format("it has {} bytes and ends before the length of its header", bytes_.size()));
        std::uint64_t length = 0;
        std::memcpy(&length, bytes_.data(), 8);
        if (length > kMaxHeader)
            fail(fmt::format("its header would have {} bytes; at most {} are allowed", length, kMaxHeader));
        if (length > bytes_.size() - 8) {
            fail(fmt::format("its header of {} bytes goes past the end of the file ({} bytes)", length, bytes_.size()));
        }
        const std::string_view text(reinterpret_cast<const char*>(bytes_.data()) + 8, length);
        if (!text.starts_with('{')) fail("its header does not begin with {");
        data_ = 8 + length;
        return parse_json(text, fmt::format("The header of {}", name_));
    }

    void read_metadata(const Value& value) {
        const auto* map = value.get<ValueMap>();
        if (map == nullptr) fail("__metadata__ is not an object");
        for (const ValueEntry& entry : *map) {
            if (!entry.value.as_string())
                fail(fmt::format("__metadata__ has a \"{}\" that is not a text", printable(entry.key)));
        }
        file_.metadata = *map;
    }

    std::uint64_t count(const Value& value, std::string_view tensor, const char* what) const {
        const auto* number = value.get<std::int64_t>();
        if (number == nullptr || *number < 0)
            fail(tensor, fmt::format("{} holds {}, which is no count", what, printable(to_json(value), 60)));
        return static_cast<std::uint64_t>(*number);
    }

    const ValueList& list(const ValueMap& map, std::string_view tensor, const char* key) const {
        const Value* value = map.find(key);
        const auto* found = value == nullptr ? nullptr : value->get<ValueList>();
        if (found == nullptr) fail(tensor, fmt::format("it has no list \"{}\"", key));
        return *found;
    }

    void read_tensor(const std::string& name, const Value& value) {
        const auto* map = value.get<ValueMap>();
        if (map == nullptr) fail(name, "its description is not an object");
        const Value* type_value = map->find("dtype");
        const auto type_text = type_value == nullptr ? std::nullopt : type_value->as_string();
        if (!type_text) fail(name, "it has no \"dtype\"");
        const auto type =
            std::find_if(kTypes.begin(), kTypes.end(), [&](const StoredType& t) { return t.name == *type_text; });
        if (type == kTypes.end()) fail(name, fmt::format("its dtype \"{}\" is not known", printable(*type_text, 60)));

        TensorEntry entry;
        entry.name = name;
        entry.dtype = type->dtype;
        entry.type_name = type->name;
        std::uint64_t values = 1, bounded = 1;
        for (const Value& d : list(*map, name, "shape")) {
            const std::uint64_t dim = count(d, name, "its shape");
            // A zero elsewhere must not hide a product that overflows.
            const auto product = checked_mul(bounded, std::max<std::uint64_t>(dim, 1));
            if (!product || *product > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
                fail(name, "the product of its dimensions is larger than 2^63");
            }
            bounded = *product;
            values *= dim;
            entry.shape.push_back(static_cast<std::int64_t>(dim));
        }
        const auto bits = checked_mul(values, type->bits);
        if (!bits || *bits % 8 != 0) fail(name, "its shape does not give a whole number of bytes");
        entry.nbytes = *bits / 8;

        const ValueList& offsets = list(*map, name, "data_offsets");
        if (offsets.size() != 2) fail(name, fmt::format("\"data_offsets\" has {} numbers, not 2", offsets.size()));
        const std::uint64_t begin = count(offsets[0], name, "data_offsets"),
                            end = count(offsets[1], name, "data_offsets");
        const std::uint64_t size = bytes_.size() - data_;
        if (begin > end) fail(name, fmt::format("its data begins at {} and ends before that, at {}", begin, end));
        if (end > size)
            fail(name, fmt::format("its data ends at {}, past the end of the file ({} bytes of data)", end, size));
        if (end - begin != entry.nbytes) {
            fail(name, fmt::format("its shape needs {} bytes, its data_offsets hold {}", entry.nbytes, end - begin));
        }
        entry.offset = data_ + begin;
        file_.tensors.push_back(std::move(entry));
    }

    void check_places() {
        // Empty tensors first, so that one that shares its offset with the next is no overlap.
        std::stable_sort(file_.tensors.begin(), file_.tensors.end(), [](const TensorEntry& a, const TensorEntry& b) {
            return a.offset != b.offset ? a.offset < b.offset : a.nbytes < b.nbytes;
        });
        std::uint64_t expected = data_;
        for (const TensorEntry& t : file_.tensors) {
            if (t.offset > expected) {
                fail(t.name, fmt::format("there is a hole of {} bytes before its data at {}", t.offset - expected,
                                         t.offset - data_));
            }
            if (t.offset < expected)
                fail(t.name, fmt::format("its data at {} overlaps the tensor before", t.offset - data_));
            expected = t.offset + t.nbytes;
        }
        if (expected != bytes_.size())
            fail(fmt::format("{} bytes after its last tensor belong to nothing", bytes_.size() - expected));
    }

    std::span<const std::byte> bytes_;
    std::string name_;
    std::uint64_t data_ = 0;
    SafetensorsFile file_;
};

}  // namespace

SafetensorsFile parse_safetensors(std::span<const std::byte> bytes, const std::string& name) {
    return Parser(bytes, name).parse();
}

}  // namespace freehold
