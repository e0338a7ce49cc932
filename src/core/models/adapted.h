// The linears of a layer that an adapter may change, and the number by which it knows each of them.
#pragma once

#include <array>

#include "decoder_impl.h"
#include "family.h"

namespace freehold {

struct AdaptedLinear {
    Role role;
    Linear LayerWeights::*linear;
};
inline constexpr std::array<AdaptedLinear, 7> kAdaptedLinears{{
    {Role::q, &LayerWeights::q},
    {Role::k, &LayerWeights::k},
    {Role::v, &LayerWeights::v},
    {Role::attn_out, &LayerWeights::o},
    {Role::gate, &LayerWeights::gate},
    {Role::up, &LayerWeights::up},
    {Role::down, &LayerWeights::down},
}};

[[nodiscard]] inline std::int32_t place_of(int layer, const AdaptedLinear& of) noexcept {
    return static_cast<std::int32_t>(layer * static_cast<int>(kAdaptedLinears.size()) +
                                     static_cast<int>(&of - kAdaptedLinears.data()));
}

}  // namespace freehold
