// One safetensors file: eight bytes of length, a JSON header, and the bytes of its tensors without gaps.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "freehold/base/value.h"
#include "freehold/formats/model_files.h"

namespace freehold {

struct SafetensorsFile {
    std::vector<TensorEntry> tensors;  // in the order of their bytes; offsets from the start of the file
    ValueMap metadata;                 // __metadata__, texts by name
};

// `name` is what complaints call the file. Throws Error{bad_file|unsupported}.
[[nodiscard]] SafetensorsFile parse_safetensors(std::span<const std::byte> bytes, const std::string& name);

}  // namespace freehold
