// The pickles inside torch files, read by a machine that can only build tensors: numbers, texts, lists, dictionaries,
// and the handful of names by which torch rebuilds a tensor from a storage. Every other name is refused with the place
// where it stands; nothing is imported, called or run.
// Opcodes: https://docs.python.org/3/library/pickletools.html
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/tensor/dtype.h"

namespace freehold {

// How torch calls a type of numbers, and what it is here; `dtype` None: listed, but without a codec.
struct TorchType {
    std::string_view torch;  // "bfloat16"
    std::string_view name;   // "BF16", as safetensors has it
    DType dtype;
    std::uint32_t bytes;
};

// A storage that the pickle speaks of. `type` null: untyped, counted in bytes.
struct TorchStorage {
    std::string key;
    const TorchType* type = nullptr;
    std::uint64_t count = 0;
    std::uint64_t view_begin = 0;  // legacy files: a storage may be a part of another, in elements
};

struct TorchView {
    std::string name;         // keys joined by points
    std::size_t storage = 0;  // index into TorchPickle::storages
    const TorchType* type = nullptr;
    std::uint64_t offset = 0;  // in elements
    std::vector<std::int64_t> shape, stride;
};

struct TorchPickle {
    std::vector<TorchStorage> storages;
    std::vector<TorchView> tensors;
    std::size_t end = 0;  // behind the STOP
};

// One pickle that holds tensors in dictionaries, from `at`. `what` names file and part in complaints; `shift` is added
// to the offsets in them. Throws Error{bad_file|unsupported|limit}.
[[nodiscard]] TorchPickle read_torch_pickle(std::span<const std::byte> bytes, std::size_t at, const std::string& what,
                                            std::uint64_t shift);

// The three small pickles in front of a legacy file: magic number, version, facts about the machine. Returns where the
// next begins. Error{unsupported} for a machine whose numbers were big-endian.
[[nodiscard]] std::size_t read_legacy_front(std::span<const std::byte> bytes, const std::string& what);
// The list of storages behind the object of a legacy file.
[[nodiscard]] std::vector<std::string> read_legacy_keys(std::span<const std::byte> bytes, std::size_t& at,
                                                        const std::string& what);

}  // namespace freehold
