// The filters that every HDF5 library has: deflate, shuffle and Fletcher's checksum.
#include "hdf5_parts.h"

#include <zlib.h>

#include <limits>

namespace freehold::scan {
namespace {

std::optional<std::string> inflate_to(std::string_view packed, std::uint64_t size) {
    if (packed.size() > std::numeric_limits<uLong>::max() || size > std::numeric_limits<uLong>::max())
        return std::nullopt;
    std::string out(size, '\0');
    auto length = static_cast<uLongf>(size);
    if (uncompress(reinterpret_cast<Bytef*>(out.data()), &length, reinterpret_cast<const Bytef*>(packed.data()),
                   static_cast<uLong>(packed.size())) != Z_OK)
        return std::nullopt;
    out.resize(length);
    return out;
}

// The first bytes of all elements stood first, then the second ones; what fills no element stands behind.
std::string unshuffle(const std::string& bytes, std::uint64_t element) {
    if (element < 2 || element > bytes.size()) return bytes;
    const std::uint64_t count = bytes.size() / element;
    std::string out = bytes;
    for (std::uint64_t byte = 0; byte < element; ++byte) {
        for (std::uint64_t i = 0; i < count; ++i) out[i * element + byte] = bytes[byte * count + i];
    }
    return out;
}

}  // namespace

std::optional<std::vector<Hdf5Filter>> read_hdf5_filters(std::string_view message) {
    Hdf5Cursor c(message, 0);
    const std::uint64_t version = c.number(1), count = c.number(1);
    if (version == 1) c.skip(6);
    if (version < 1 || version > 2) return std::nullopt;
    std::vector<Hdf5Filter> out;
    for (std::uint64_t i = 0; i < count; ++i) {
        Hdf5Filter filter;
        filter.id = c.number(2);
        const std::uint64_t name = version == 1 || filter.id >= 256 ? c.number(2) : 0;
        c.skip(2);
        const std::uint64_t values = c.number(2);
        c.skip(version == 1 ? (name + 7) / 8 * 8 : name);
        for (std::uint64_t k = 0; k < values; ++k) {
            const std::uint64_t value = c.number(4);
            if (k == 0) filter.element = value;
        }
        if (version == 1 && values % 2 != 0) c.skip(4);
        if (filter.id < 1 || filter.id > 3) return std::nullopt;
        out.push_back(filter);
    }
    return out;
}

std::optional<std::string> unpack_hdf5_chunk(std::string_view packed, std::uint64_t size,
                                             const std::vector<Hdf5Filter>& filters, std::uint64_t left_out) {
    // A checksum under the deflate is unpacked with the chunk.
    constexpr std::uint64_t kChecksums = 64;
    std::string bytes(packed);
    for (std::size_t i = filters.size(); i-- > 0;) {
        if (i < 32 && (left_out >> i & 1U) != 0) continue;
        if (filters[i].id == 1) {
            auto inflated = inflate_to(bytes, size + kChecksums);
            if (!inflated) return std::nullopt;
            bytes = std::move(*inflated);
        } else if (filters[i].id == 2) {
            bytes = unshuffle(bytes, filters[i].element);
        } else {
            if (bytes.size() < 4) return std::nullopt;
            bytes.resize(bytes.size() - 4);
        }
    }
    if (bytes.size() != size) return std::nullopt;
    return bytes;
}

}  // namespace freehold::scan
