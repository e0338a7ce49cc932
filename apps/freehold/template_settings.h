// --set k=v: variables that a chat template sees besides the messages.
#pragma once

#include <string>

#include "freehold/base/value.h"

namespace freehold::cli {

// "k=v": v as JSON where it is JSON (false, 3, ["a"]), else as text. Throws Error{usage}.
void add_template_setting(ValueMap& map, const std::string& text);

}  // namespace freehold::cli
