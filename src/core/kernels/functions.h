// The functions of NUMERICS rule 1 as formulas over a lane type, so that one float and eight floats compute the same
// bits. V offers + - * /, fmadd, less, select, abs, copysign, scale_pow2; see scalar_lane.h and avx2/lanes.h.
#pragma once

namespace freehold::formula {

inline constexpr float kMagic = 12582912.0F;  // 1.5 * 2^23: adding it rounds to the nearest integer, even on ties
inline constexpr float kLog2e = 0x1.715476p+0F;
inline constexpr float kLn2High = 0x1.62e430p-1F;
inline constexpr float kLn2Low = -0x1.05c610p-29F;
inline constexpr float kExpLow = -87.3365F;  // below it the result is 0; the smallest normal number is just under it
inline constexpr float kExpHigh = 88.7228F;  // above it the result is infinity
inline constexpr float kExpQ[] = {0.5F, 0x1.55548ep-3F, 0x1.55545ep-5F, 0x1.123b64p-7F, 0x1.6db42ep-10F};

// Horner's rule with fma; coefficients in ascending order of powers.
template <class V, int N>
[[gnu::always_inline]] inline V polynomial(V x, const float (&c)[N]) {
    V p = V::set(c[N - 1]);
    for (int i = N - 2; i >= 0; --i) p = fmadd(p, x, V::set(c[i]));
    return p;
}

// x = n ln 2 + r with |r| <= ln 2 / 2; e^r = 1 + r + r^2 q(r). NaN stays NaN.
template <class V>
[[gnu::always_inline]] inline V exp_of(V x) {
    const V shifted = fmadd(x, V::set(kLog2e), V::set(kMagic));
    const V n = shifted - V::set(kMagic);
    V r = fmadd(n, V::set(-kLn2High), x);
    r = fmadd(n, V::set(-kLn2Low), r);
    const V p = fmadd(r * r, polynomial(r, kExpQ), r) + V::set(1.0F);
    V result = scale_pow2(p, shifted);
    result = select(less(x, V::set(kExpLow)), V::set(0.0F), result);
    return select(less(V::set(kExpHigh), x), V::set(__builtin_inff()), result);
}

// The same bits as exp_of for x <= 0 (and NaN) with one step of scaling: the result is 0 or normal.
template <class V>
[[gnu::always_inline]] inline V exp_nonpositive_of(V x) {
    const V shifted = fmadd(x, V::set(kLog2e), V::set(kMagic));
    const V n = shifted - V::set(kMagic);
    V r = fmadd(n, V::set(-kLn2High), x);
    r = fmadd(n, V::set(-kLn2Low), r);
    const V p = fmadd(r * r, polynomial(r, kExpQ), r) + V::set(1.0F);
    return select(less(x, V::set(kExpLow)), V::set(0.0F), scale_pow2_once(p, shifted));
}

// |x| < 0.5625: odd polynomial; else 1 - 2/(e^2|x| + 1) with the sign of x.
template <class V>
[[gnu::always_inline]] inline V tanh_of(V x) {
    constexpr float kP[] = {-0x1.555554p-2F, 0x1.1110d2p-3F,  -0x1.ba06c4p-5F,
                            0x1.64ba8cp-6F,  -0x1.12a73ep-7F, 0x1.34ef38p-9F};
    const V a = abs(x);
    const V z = x * x;
    const V small = fmadd(x * z, polynomial(z, kP), x);
    const V large = V::set(1.0F) - V::set(2.0F) / (exp_of(a + a) + V::set(1.0F));
    return select(less(a, V::set(0.5625F)), small, copysign(large, x));
}

// |x| < 1: odd polynomial; else 1 - e^-g(|x|) with g = -log erfc fitted on [1, 4]; 1 beyond 4. NaN stays NaN.
template <class V>
[[gnu::always_inline]] inline V erf_of(V x) {
    constexpr float kP[] = {0x1.06eba8p-3F, -0x1.812746p-2F,  0x1.ce2f0ap-4F,  -0x1.b829d8p-6F,
                            0x1.562b1ap-8F, -0x1.bcd7dcp-11F, 0x1.d8b884p-14F, -0x1.44cfa6p-17F};
    constexpr float kG[] = {-0x1.ac963cp-13F, 0x1.21317ap+0F,   0x1.441dc2p-1F,  0x1.bcfc58p-4F,  -0x1.9fb8b6p-6F,
                            0x1.18a70cp-8F,   -0x1.e653f0p-12F, 0x1.a8bdb4p-16F, -0x1.0dfdfep-22F};
    const V a = abs(x);
    const V small = fmadd(x, polynomial(x * x, kP), x);
    const V bounded = select(less(V::set(4.0F), a), V::set(4.0F), a);
    const V large = V::set(1.0F) - exp_of(V::set(0.0F) - polynomial(bounded, kG));
    return select(less(a, V::set(1.0F)), small, copysign(large, x));
}

template <class V>
[[gnu::always_inline]] inline V silu_of(V x) {
    return x / (V::set(1.0F) + exp_of(V::set(0.0F) - x));
}

// 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
template <class V>
[[gnu::always_inline]] inline V gelu_tanh_of(V x) {
    const V cube = x * x * x;
    const V inner = V::set(0.7978845608F) * fmadd(V::set(0.044715F), cube, x);
    return V::set(0.5F) * x * (V::set(1.0F) + tanh_of(inner));
}

// 0.5 x (1 + erf(x / sqrt 2))
template <class V>
[[gnu::always_inline]] inline V gelu_erf_of(V x) {
    return V::set(0.5F) * x * (V::set(1.0F) + erf_of(x * V::set(0.7071067812F)));
}

template <class V>
[[gnu::always_inline]] inline V quick_gelu_of(V x) {
    return x / (V::set(1.0F) + exp_of(V::set(-1.702F) * x));
}

template <class V>
[[gnu::always_inline]] inline V relu_of(V x) {
    return select(less(x, V::set(0.0F)), V::set(0.0F), x);
}

// Both sides are computed and one is taken. e^x - 1 loses bits near 0, where the other terms are larger by far.
template <class V>
[[gnu::always_inline]] inline V xielu_of(V x, V alpha_p, V alpha_n, V beta, V eps) {
    const V linear = beta * x;
    const V bounded = select(less(x, eps), x, eps);
    const V negative = fmadd(alpha_n, exp_of(bounded) - V::set(1.0F) - x, linear);
    return select(less(V::set(0.0F), x), fmadd(alpha_p * x, x, linear), negative);
}

template <class V>
[[gnu::always_inline]] inline V clamped_glu_of(V gate, V up, V alpha, V limit) {
    const V low = V::set(0.0F) - limit;
    const V g = select(less(limit, gate), limit, gate);
    const V u = select(less(limit, up), limit, select(less(up, low), low, up));
    return (u + V::set(1.0F)) * (g / (V::set(1.0F) + exp_of(V::set(0.0F) - alpha * g)));
}

template <class V>
[[gnu::always_inline]] inline V softcap_of(V x, V cap) {
    return cap * tanh_of(x / cap);
}

}  // namespace freehold::formula
