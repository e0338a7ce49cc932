// What this machine has, read from the operating system: processor, instruction sets, memory, room on disk.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace freehold::cli {

struct MachineFacts {
    std::string processor;                      // "AMD EPYC 9R14", empty when not known
    std::vector<std::string> instruction_sets;  // of those that matter here: "AVX2", "AVX-512 VNNI", ...
    int cores = 0;                              // logical processors of the machine
    int usable = 0;                             // that this process may use
    std::uint64_t memory = 0;                   // bytes: the machine's, or the limit of its container
    std::uint64_t available = 0;                // that can be taken now without swapping
    bool memory_limited = false;                // a container bounds it
    std::string system;                         // "Debian GNU/Linux 12 (bookworm)"
};
[[nodiscard]] MachineFacts read_machine();
// Bytes free on the disk that holds `path` or its nearest existing parent.
[[nodiscard]] std::uint64_t free_disk(const std::filesystem::path& path);

}  // namespace freehold::cli
