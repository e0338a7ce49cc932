// What the engine needs of a model: one forward pass over a ragged batch. Decoder is adapted to it; tests use a toy.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "freehold/models/decoder.h"

namespace freehold {

class Host;
class LoadedModel;

class StepModel {
 public:
    virtual ~StepModel() = default;
    [[nodiscard]] virtual int vocab() const noexcept = 0;
    [[nodiscard]] virtual int context() const noexcept = 0;
    [[nodiscard]] virtual const KvLayout& kv_layout() const noexcept = 0;
    // Writes K and V of every row to its sequence's pages; logits [number of wanting rows][vocab] in row order.
    // Called by one thread at a time.
    virtual void forward(const Batch& batch, std::span<float> logits) = 0;
};

// The decoder of a loaded model with scratch for `rows` rows of which `logit_rows` want logits.
[[nodiscard]] std::unique_ptr<StepModel> make_step_model(Host& host, std::shared_ptr<const LoadedModel> model, int rows,
                                                         int logit_rows);

}  // namespace freehold
