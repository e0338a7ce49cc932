// The text of configs.json, as CMake puts it into the library.
#pragma once

#include <string_view>

namespace freehold::plan {

[[nodiscard]] std::string_view configs_text() noexcept;

}  // namespace freehold::plan
