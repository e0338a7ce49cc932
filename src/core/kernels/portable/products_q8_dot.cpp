// Quantised panels times q8 activations by the int8 dots of ARMv8.2 (DotProd): one instruction multiplies sixteen codes
// with four activations and adds four products to each of four sums. Compiled with that extension, run where the
// system says that the chip has it (isa/aarch64.cpp); empty on other architectures.
#if defined(__ARM_FEATURE_DOTPROD)
#include "portable/q8_tiles.h"
#include "portable/table.h"

namespace freehold::portable {
namespace {

struct Dots {
    template <Codes kind, int G0, int N, int T, int V>
    [[gnu::always_inline]] static void sums(const std::byte* w, const std::int8_t* a, std::size_t lda, VU8 table,
                                            VI (&sum)[T][V]) noexcept {
#pragma GCC unroll 4
        for (std::size_t t = 0; t < T; ++t)
#pragma GCC unroll 4
            for (std::size_t v = 0; v < V; ++v) sum[t][v] = hn::Zero(DI());
        for_each_constant<N / 4>([&]<int quad>() __attribute__((always_inline)) {
            if constexpr (quad != 0) load_again();
            VI8 b[T];  // activations of four groups
#pragma GCC unroll 4
            for (std::size_t t = 0; t < T; ++t) b[t] = hn::LoadU(DI8(), a + t * lda + 4 * G0 + 16 * quad);
            for_each_constant<4>([&]<int i>() __attribute__((always_inline)) {
#pragma GCC unroll 4
                for (std::size_t v = 0; v < V; ++v) {
                    const VI8 codes = signed_codes<kind, G0 + 4 * quad + i>(w + 16 * v, table);
#pragma GCC unroll 4
                    for (std::size_t t = 0; t < T; ++t)
                        sum[t][v] = VI(vdotq_laneq_s32(sum[t][v].raw, codes.raw, b[t].raw, i));
                }
            });
        });
    }
};

}  // namespace

void panel_q8_dot(const Q8Rows& x, std::size_t t0, std::size_t T, const QPanelForm& form, const std::byte* panel,
                  float* y, std::size_t ldy, int n_valid) {
    any_panel<Dots>(x, t0, T, form, panel, y, ldy, n_valid);
}

}  // namespace freehold::portable
#endif
