// One GGUF file, versions 2 and 3, little-endian: its keys and the places of its tensors. The numbers are not looked
// at.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "freehold/base/value.h"
#include "freehold/formats/model_files.h"

namespace freehold {

// Where a key's value stands in the file: its type id and all that follows, up to the next key.
struct GgufKeyPlace {
    std::string name;
    std::size_t begin = 0, end = 0;
};

struct GgufFile {
    std::uint32_t version = 0;
    std::uint64_t alignment = 32;
    ValueMap meta;
    std::vector<GgufKeyPlace> keys;    // in the order of the file; to carry a value on with its exact type
    std::vector<TensorEntry> tensors;  // in the order of their bytes; offsets from the start of the file
};

// `name` is what complaints call the file. Throws Error{bad_file|unsupported}.
[[nodiscard]] GgufFile parse_gguf(std::span<const std::byte> bytes, const std::string& name);

}  // namespace freehold
