// What an operation of a TensorFlow graph can do, by its name.
#pragma once

#include <cstdint>
#include <string_view>

namespace freehold::scan {

enum class TensorflowOp : std::uint8_t { computing, harmful, unknown };
[[nodiscard]] TensorflowOp tensorflow_op(std::string_view name);

}  // namespace freehold::scan
