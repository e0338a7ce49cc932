// Calls of Python that can do harm when a model's repository is trusted.
#pragma once

#include <string_view>

namespace freehold::scan {

struct Call {
    std::string_view name;  // the whole name, or "module.*" for all of it
    const char* rule;
    const char* what;
};

// The entry for a whole name ("os.system"); null: it is none of them.
[[nodiscard]] const Call* python_call(std::string_view name) noexcept;
// The same for a name that `from module import *` may have brought; functions that the module really has.
[[nodiscard]] const Call* python_star_call(std::string_view module, std::string_view name) noexcept;
// A function that takes text and runs it as code, but is mostly used for something else ("timeit.timeit").
[[nodiscard]] bool runs_its_text(std::string_view name) noexcept;
// The part of a whole name from a module that another one imports ("random._os.system": "os.system"); empty: none.
[[nodiscard]] std::string_view inner_module(std::string_view name) noexcept;
[[nodiscard]] bool unpacks_text(std::string_view name) noexcept;
// A module through which commands, connections or any function can be reached.
[[nodiscard]] bool is_dangerous_module(std::string_view name) noexcept;
// A file that belongs to the person or the machine, and to no model: keys, start-up files, accounts.
[[nodiscard]] bool names_private_file(std::string_view text) noexcept;

}  // namespace freehold::scan
