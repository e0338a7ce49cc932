// Reading what a user hands over: standard input, a file or "-", lists of token ids.
#pragma once

#include "freehold/base/printable.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace freehold::cli {

using freehold::valid_utf8;

// All of standard input. Throws Error{limit} beyond 1 GiB, Error{cancelled} after Ctrl-C.
[[nodiscard]] std::string read_stdin();
// A file, or standard input for "-".
[[nodiscard]] std::string read_input(const std::string& path);
// Ids separated by commas, blanks or brackets. Throws Error{usage} that names what is no id.
[[nodiscard]] std::vector<std::int32_t> parse_ids(std::string_view text);

}  // namespace freehold::cli
