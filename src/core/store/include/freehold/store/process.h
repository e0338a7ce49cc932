// A child process whose output is read, without a shell: the machine's own pip, and a peer that is measured beside us.
// The child dies with us, and a cancel ends it.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace freehold::process {

struct Result {
    int exit_code = 0;   // 127: the program was not found
    std::string output;  // stdout and stderr together, the last 64 KiB
};
// `arguments[0]` is looked up in PATH. `environment` is added to ours. `tick` is called about five times a second and
// may throw to stop the child. Throws Error{io} when no process can be made.
[[nodiscard]] Result run(const std::vector<std::string>& arguments,
                         const std::vector<std::pair<std::string, std::string>>& environment,
                         const std::function<void()>& tick);

}  // namespace freehold::process
