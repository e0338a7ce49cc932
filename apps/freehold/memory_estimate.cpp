// The same arithmetic as the loader: panels of 16 rows per matrix, pages of keys and values per layer.
#include "memory_estimate.h"

#include <algorithm>

#include "freehold/kernels/kv_page.h"
#include "freehold/tensor/dtype.h"

namespace freehold::cli {
namespace {

std::uint64_t panel_bytes(const Tensor& tensor, Profile profile) {
    const DTypeTraits* traits = find_traits(tensor.dtype());
    const Shape& shape = tensor.shape();
    if (traits == nullptr || shape.rank() < 2 || shape.rank() > 3) return 0;
    // Experts that lie one behind the other in one tensor have panels of their own.
    const std::uint64_t matrices = shape.rank() == 3 ? static_cast<std::uint64_t>(shape[0]) : 1;
    const auto n = static_cast<std::uint64_t>(shape[shape.rank() - 2]);
    const auto k = static_cast<std::uint64_t>(shape.last());
    const std::uint64_t panels = matrices * ((n + kPanelRows - 1) / kPanelRows);
    switch (effective_profile(profile, tensor.dtype())) {
        case Profile::f32:
            return panels * kPanelRows * k * 4;
        case Profile::bf16:
            return panels * kPanelRows * ((k + 1) / 2) * 4;
        case Profile::q8:
            return panels * QPanelForm{traits->form}.panel_bytes((k + kQBlock - 1) / kQBlock);
    }
    return 0;
}

}  // namespace

MemoryEstimate estimate_memory(const ModelFiles& files, const DecoderSpec& spec, Profile profile, KvType kv) {
    MemoryEstimate estimate;
    for (const auto& [name, tensor] : files.tensors()) {
        estimate.weights += tensor.nbytes();
        // Learned positions are looked up, never multiplied with.
        if (name.find("position_embd") == std::string::npos && name.find("wpe") == std::string::npos) {
            estimate.panels += panel_bytes(tensor, profile);
        }
    }
    // Values of latent attention lie in the keys.
    const std::size_t values = spec.latent.kv_rank > 0 ? 0 : kv_side_bytes(kv, static_cast<std::size_t>(spec.v_dim));
    const std::uint64_t head = (kv_side_bytes(kv, static_cast<std::size_t>(spec.head_dim)) + values) / kPageTokens;
    const auto context = static_cast<std::uint64_t>(std::max(0, spec.context));
    for (const LayerSpec& layer : spec.layers) {
        const std::uint64_t row = head * static_cast<std::uint64_t>(layer.n_kv_heads);
        const std::uint64_t reach =
            layer.window > 0 ? std::min<std::uint64_t>(context, static_cast<std::uint64_t>(layer.window)) : context;
        estimate.kv_per_1k_tokens += row * 1000;
        estimate.kv_full_context += row * reach;
    }
    return estimate;
}

std::map<std::string, DTypeCount> count_dtypes(const ModelFiles& files) {
    std::map<std::string, DTypeCount> counts;
    for (const auto& [name, tensor] : files.tensors()) {
        DTypeCount& count = counts[std::string(dtype_name(tensor.dtype()))];
        ++count.tensors;
        count.parameters += static_cast<std::uint64_t>(tensor.shape().numel());
        count.bytes += tensor.nbytes();
    }
    return counts;
}

}  // namespace freehold::cli
