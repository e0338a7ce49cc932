// catalogue.json as it was built into the library; the .cpp is made by CMake from the file beside this one.
// A function and not a global, so that nothing runs before main.
#pragma once

#include <string_view>

namespace freehold::detail {

[[nodiscard]] std::string_view catalogue_text() noexcept;

}  // namespace freehold::detail
