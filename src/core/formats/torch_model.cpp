// Tensors of torch files as tensors of a model: mapped where their rows lie as ours do, copied where they do not.
#include <fmt/format.h>

#include "builder.h"
#include "freehold/base/error.h"
#include "freehold/base/log.h"
#include "freehold/base/printable.h"
#include "torch_file.h"

namespace freehold {
namespace {

Tensor gathered(std::span<const std::byte> file, const TorchTensor& t) {
    Tensor copy = Tensor::zeros(t.type->dtype, Shape(t.shape));
    gather_torch(file, t, const_cast<std::byte*>(copy.data()));  // fresh memory of our own
    return copy;
}

}  // namespace

void add_torch_file(ModelFilesBuilder& builder, std::uint32_t file,
                    const std::map<std::string, std::string, std::less<>>* homes) {
    const std::span<const std::byte> bytes = builder.bytes(file);
    const std::filesystem::path& path = builder.file_path(file);
    std::uint64_t copied = 0;
    for (TorchTensor& t : parse_torch(bytes, path.filename().string())) {
        if (homes != nullptr) {
            const auto home = homes->find(t.name);
            if (home == homes->end() || home->second != path.filename().string()) {
                log_warn(fmt::format("{}: tensor \"{}\" is not in the index for this file and is left out.",
                                     path.string(), printable(t.name)));
                continue;
            }
        }
        TensorEntry entry;
        entry.name = t.name;
        entry.dtype = t.type->dtype;
        entry.type_name = t.type->name;
        entry.shape = t.shape;
        entry.nbytes = t.nbytes;
        entry.file = file;
        entry.offset = t.begin;
        // Without a codec nobody could put them in order.
        if (!t.contiguous && find_traits(t.type->dtype) == nullptr) entry.dtype = DType::None;
        const bool readable = find_traits(t.type->dtype) != nullptr && t.shape.size() <= 4;
        if (!readable || (t.contiguous && t.begin % t.type->bytes == 0)) {
            builder.add(std::move(entry));
            continue;
        }
        copied += t.nbytes;
        if (copied > 2 * bytes.size())
            throw Error(
                ErrorKind::limit,
                fmt::format("{}: tensor \"{}\" is one of many views that would have to be copied; together they "
                            "are larger than the file twice over.",
                            path.string(), printable(t.name)),
                "Have the model saved anew with contiguous tensors.");
        builder.add(std::move(entry), gathered(bytes, t));
    }
}

}  // namespace freehold
