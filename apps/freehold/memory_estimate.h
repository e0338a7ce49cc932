// What a model will take in memory, from its metadata and tensor list alone, before anything is loaded.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "freehold/formats/model_files.h"
#include "freehold/kernels/weight.h"
#include "freehold/models/spec.h"

namespace freehold::cli {

struct MemoryEstimate {
    std::uint64_t weights = 0;           // bytes of the mapped tensors
    std::uint64_t panels = 0;            // repacked copies; the mapped pages that they replace are let go
    std::uint64_t kv_per_1k_tokens = 0;  // of one sequence, layers with a window counted in full
    std::uint64_t kv_full_context = 0;   // of one sequence at the model's context; windows bound their layers
};
[[nodiscard]] MemoryEstimate estimate_memory(const ModelFiles& files, const DecoderSpec& spec, Profile profile,
                                             KvType kv);

struct DTypeCount {
    std::uint64_t tensors = 0, parameters = 0, bytes = 0;
};
// By dtype name.
[[nodiscard]] std::map<std::string, DTypeCount> count_dtypes(const ModelFiles& files);

}  // namespace freehold::cli
