// /proc, /sys and /etc as Linux lays them out; what is missing there stays empty.
#include "machine.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "freehold/base/threads.h"

namespace freehold::cli {
namespace {

std::string first_line(const char* path) {
    std::ifstream in(path);
    std::string line;
    std::getline(in, line);
    return line;
}

// The value of "key : value" or "key=value".
std::string field(const char* path, std::string_view key, char separator) {
    std::ifstream in(path);
    std::string line;
    while (std::getline(in, line)) {
        if (!line.starts_with(key)) continue;
        const auto at = line.find(separator);
        if (at == std::string::npos) continue;
        const auto start = line.find_first_not_of(" \t\"", at + 1);
        if (start == std::string::npos) return {};
        auto end = line.size();
        while (end > start && (line[end - 1] == '"' || line[end - 1] == ' ')) --end;
        return line.substr(start, end - start);
    }
    return {};
}

std::uint64_t number(const std::string& text) {
    std::uint64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

}  // namespace

MachineFacts read_machine() {
    MachineFacts m;
    m.processor = field("/proc/cpuinfo", "model name", ':');
    m.system = field("/etc/os-release", "PRETTY_NAME", '=');
    m.cores = static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
    m.usable = available_threads();
    std::string words_of_chip = field("/proc/cpuinfo", "flags", ':');
    if (words_of_chip.empty()) words_of_chip = field("/proc/cpuinfo", "Features", ':');  // so on aarch64
    std::istringstream words(words_of_chip);
    const std::set<std::string> flags{std::istream_iterator<std::string>(words), {}};
    constexpr std::array<std::pair<const char*, const char*>, 12> kKnown = {{
        {"avx2", "AVX2"},
        {"fma", "FMA"},
        {"f16c", "F16C"},
        {"avx_vnni", "AVX-VNNI"},
        {"avx512f", "AVX-512"},
        {"avx512_vnni", "AVX-512 VNNI"},
        {"avx512_bf16", "AVX-512 BF16"},
        {"amx_int8", "AMX INT8"},
        {"amx_bf16", "AMX BF16"},
        {"asimd", "NEON"},
        {"asimddp", "NEON int8 dots"},
        {"sve", "SVE"},
    }};
    for (const auto& [flag, name] : kKnown) {
        if (flags.contains(flag)) m.instruction_sets.emplace_back(name);
    }
    m.memory = number(field("/proc/meminfo", "MemTotal", ':')) * 1024;
    m.available = number(field("/proc/meminfo", "MemAvailable", ':')) * 1024;
    // "max" reads as 0: no limit. The second path is of version 1 of control groups.
    for (const auto& [limit_path, used_path] :
         {std::pair{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"},
          std::pair{"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"}}) {
        const std::uint64_t limit = number(first_line(limit_path));
        if (limit == 0 || limit >= m.memory) continue;
        m.memory = limit;
        m.memory_limited = true;
        const std::uint64_t used = number(first_line(used_path));
        m.available = std::min(m.available, limit - std::min(used, limit));
    }
    return m;
}

std::uint64_t free_disk(const std::filesystem::path& path) {
    std::filesystem::path at = std::filesystem::absolute(path);
    std::error_code problem;
    while (!std::filesystem::exists(at, problem) && at.has_parent_path() && at != at.parent_path())
        at = at.parent_path();
    const auto space = std::filesystem::space(at, problem);
    return problem ? 0 : space.available;
}

}  // namespace freehold::cli
