// One rule for run, chat and template.
#include "template_settings.h"

#include <fmt/format.h>

#include "freehold/base/error.h"

namespace freehold::cli {

void add_template_setting(ValueMap& map, const std::string& text) {
    const auto equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
        throw Error(ErrorKind::usage, fmt::format("\"{}\" sets nothing.", text),
                    "Write --set name=value, as in --set enable_thinking=false.");
    }
    const std::string value = text.substr(equals + 1);
    try {
        map.set(text.substr(0, equals), parse_json(value, "--set"));
    } catch (const Error&) {
        map.set(text.substr(0, equals), value);
    }
}

}  // namespace freehold::cli
