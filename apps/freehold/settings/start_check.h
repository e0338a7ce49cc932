// What keeps a server from starting although its settings are right by themselves: certificates, models, keys.
#pragma once

#include <filesystem>
#include <vector>

#include "settings.h"

namespace freehold::cli {

// Looks at this machine as `freehold serve` would; `home` is FREEHOLD_HOME. Keys in a shared database are not looked
// for.
[[nodiscard]] std::vector<SettingFault> start_faults(const Settings& settings, const std::filesystem::path& home);

}  // namespace freehold::cli
