// The file of settings: YAML, read leaf by leaf against the table, with the line of each.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "settings.h"

namespace freehold::cli {

// A bare text of a kind to its value; `fault` says what is wrong with it when the value is empty (monostate).
[[nodiscard]] Value setting_value(const Setting& setting, const std::string& text, SettingFault& fault);
[[nodiscard]] Value setting_values(const Setting& setting, const std::vector<std::string>& texts, SettingFault& fault);

// Every leaf that the table knows; what it does not know, stands twice or has another form goes to `faults`.
[[nodiscard]] std::map<std::string, SettingValue, std::less<>> read_settings_file(const std::filesystem::path& file,
                                                                                  std::span<const Setting> table,
                                                                                  std::vector<SettingFault>& faults);

}  // namespace freehold::cli
