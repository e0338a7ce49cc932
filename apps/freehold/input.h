// Reading what a user hands over: standard input, a file or "-", lists of token ids.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/base/printable.h"

namespace freehold::cli {

// Is something handed over on standard input? /dev/null and a terminal say no; a pipe or a file say yes.
[[nodiscard]] bool stdin_has_text();
// All of standard input. Throws Error{limit} beyond 1 GiB, Error{cancelled} after Ctrl-C.
[[nodiscard]] std::string read_stdin();
// A file, a pipe of the shell (<(command)) or a device; standard input for "-".
[[nodiscard]] std::string read_input(const std::string& path);
// Ids separated by commas, blanks or brackets. Throws Error{usage} that names what is no id.
[[nodiscard]] std::vector<std::int32_t> parse_ids(std::string_view text);

}  // namespace freehold::cli
