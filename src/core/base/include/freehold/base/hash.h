// SHA-256, the one digest of the store (FIPS 180-4), streaming.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>

namespace freehold {

class Sha256 {
 public:
    Sha256();
    ~Sha256();
    Sha256(Sha256&&) noexcept;
    Sha256& operator=(Sha256&&) noexcept;

    void update(std::span<const std::byte> bytes);
    // 64 lower-case hex digits; the object may not be updated afterwards.
    [[nodiscard]] std::string hex();

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

[[nodiscard]] std::string sha256_hex(std::span<const std::byte> bytes);
// `progress(done, total)` is called now and then; it may throw Error{cancelled}.
[[nodiscard]] std::string sha256_file(const std::filesystem::path& path,
                                      const std::function<void(std::uint64_t, std::uint64_t)>& progress = {});

}  // namespace freehold
