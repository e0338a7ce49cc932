// The state database of an installation as servers and commands open it.
#pragma once

#include <filesystem>
#include <memory>

#include "freehold/database/database.h"

namespace freehold {

// state.db under `home`. It holds texts (stored responses), so what is removed leaves nothing readable behind.
[[nodiscard]] std::unique_ptr<Database> open_state_database(const std::filesystem::path& home);

}  // namespace freehold
