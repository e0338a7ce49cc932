// Writes one safetensors file: a header whose places follow from the sizes, and the tensors one after the other.
#include <fmt/format.h>

#include <cstring>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "parts.h"

namespace freehold::convert {

void write_safetensors(const std::filesystem::path& path, const std::vector<OutTensor>& tensors,
                       const std::function<void(std::uint64_t)>& done) {
    ValueMap header;
    ValueMap metadata;
    metadata.set("format", "pt");
    header.set("__metadata__", std::move(metadata));
    std::uint64_t at = 0;
    for (const OutTensor& t : tensors) {
        ValueList shape, offsets;
        for (int d = 0; d < t.shape.rank(); ++d) shape.emplace_back(t.shape[d]);
        const std::uint64_t size = bytes_for(t.dtype, t.shape);
        offsets.emplace_back(at);
        offsets.emplace_back(at + size);
        at += size;
        ValueMap entry;
        entry.set("dtype", std::string(dtype_name(t.dtype)));
        entry.set("shape", std::move(shape));
        entry.set("data_offsets", std::move(offsets));
        if (!header.set(t.name, std::move(entry)))
            throw Error(ErrorKind::internal, fmt::format("Tensor \"{}\" would be written twice.", t.name));
    }
    std::string text = to_json(Value(std::move(header)));
    text.append((8 - text.size() % 8) % 8, ' ');
    AtomicFile file(path);
    const std::uint64_t length = text.size();
    file.write(std::as_bytes(std::span(&length, 1)));
    file.write(text);
    std::uint64_t written = 0;
    for (const OutTensor& t : tensors) {
        const Tensor made = t.make();
        if (made.dtype() != t.dtype || made.shape() != t.shape)
            throw Error(ErrorKind::internal, fmt::format("Tensor \"{}\" came out in another form.", t.name));
        file.write(std::span(made.data(), made.nbytes()));
        written += made.nbytes();
        if (done) done(written);
    }
    file.commit();
}

}  // namespace freehold::convert
