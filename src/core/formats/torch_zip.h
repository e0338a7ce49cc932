// The directory of an archive whose members are stored as they are, as torch writes it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>

namespace freehold {

struct StoredMember {
    std::uint64_t begin = 0, size = 0;  // of its bytes, in the file
    const char* packed = nullptr;       // "compressed" or "encrypted": its bytes are not what it holds
};

// Members by name. Throws Error{bad_file} for directories that lie (places outside the file or over each other, names
// that come twice).
[[nodiscard]] std::map<std::string, StoredMember, std::less<>> stored_members(std::span<const std::byte> bytes,
                                                                              const std::string& name);

}  // namespace freehold
