// Which type a tensor gets in a mixture, by its name, its layer and its width.
#pragma once

#include "freehold/formats/quantise.h"

namespace freehold {

struct MixChoice {
    DType type;
    bool fell_back;
};

// Is it a matrix that mixtures touch at all?
[[nodiscard]] bool mix_touches(std::string_view name, const Shape& shape);
[[nodiscard]] MixChoice mix_choice(const QuantMix& mix, const MixModel& model, std::string_view name,
                                   const Shape& shape);

}  // namespace freehold
