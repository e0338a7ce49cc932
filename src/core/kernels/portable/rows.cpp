// Rows: norms, activations, rotary, and the reductions that sampling needs.
// Ends of rows go through a buffer of four floats; absent lanes add nothing.
#include <cmath>
#include <limits>

#include "portable/lanes.h"
#include "portable/table.h"

namespace freehold::portable {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

// y[i] = f(in[i]...) for n numbers of each row; y may be one of them.
template <class F, class... In>
[[gnu::always_inline]] inline void each(std::size_t n, float* y, F&& f, const In*... in) {
    std::size_t i = 0;
    for (; i + kLanes <= n; i += kLanes) store(f(load(in + i)...), y + i);
    if (i < n) store_part(f(load_part(in + i, n - i)...), y + i, n - i);
}

// Calls take(lane, values, present) with four values at a time; lane j holds indices 4j to 4j + 3 mod 16.
template <class Take>
[[gnu::always_inline]] inline float sum16(const float* x, std::size_t n, Take&& take) {
    VF lanes[4] = {hn::Zero(DF()), hn::Zero(DF()), hn::Zero(DF()), hn::Zero(DF())};
    const hn::Mask<DF> all = hn::FirstN(DF(), kLanes);
    std::size_t i = 0;
    for (; i + 16 <= n; i += 16)
#pragma GCC unroll 4
        for (std::size_t j = 0; j < 4; ++j) lanes[j] = take(lanes[j], load(x + i + kLanes * j), all);
    for (std::size_t j = 0; i < n; i += kLanes, ++j) {
        const std::size_t left = n - i < kLanes ? n - i : kLanes;
        lanes[j] = take(lanes[j], load_part(x + i, left), hn::FirstN(DF(), left));
    }
    return tree16(lanes);
}

template <class Formula>
[[gnu::always_inline]] inline void map(const float* gate, const float* up, float* y, std::size_t n, Formula&& f) {
    if (up != nullptr)
        each(
            n, y, [&](VF a, VF b) { return hn::Mul(f(F4{a}).v, b); }, gate, up);
    else
        each(
            n, y, [&](VF a) { return f(F4{a}).v; }, gate);
}

}  // namespace

void norm_row(NormKind kind, const float* x, const float* w, const float* b, float eps, std::size_t n, float* y,
              float* stats) {
    if (kind == NormKind::none) {
        for (std::size_t i = 0; i < n; ++i) y[i] = x[i];
        return;
    }
    const auto count = static_cast<float>(n);
    float mean = 0;
    if (kind == NormKind::layer)
        mean = sum16(x, n, [](VF lane, VF v, hn::Mask<DF>) { return hn::Add(lane, v); }) / count;
    const VF mean4 = broadcast(mean);
    const float squares = sum16(x, n, [mean4](VF lane, VF v, hn::Mask<DF> present) {
        const VF d = hn::IfThenElseZero(present, hn::Sub(v, mean4));
        return hn::MulAdd(d, d, lane);
    });
    const float inverse = 1.0F / std::sqrt(squares / count + eps);
    const VF inverse4 = broadcast(inverse);
    const auto plain = [=](VF v) { return hn::Mul(hn::Sub(v, mean4), inverse4); };
    if (w != nullptr && b != nullptr)
        each(
            n, y, [=](VF v, VF weight, VF bias) { return hn::Add(hn::Mul(plain(v), weight), bias); }, x, w, b);
    else if (w != nullptr)
        each(
            n, y, [=](VF v, VF weight) { return hn::Mul(plain(v), weight); }, x, w);
    else if (b != nullptr)
        each(
            n, y, [=](VF v, VF bias) { return hn::Add(plain(v), bias); }, x, b);
    else
        each(n, y, plain, x);
    if (stats != nullptr) {
        stats[0] = mean;
        stats[1] = inverse;
    }
}

void activate(Activation act, const float* gate, const float* up, float* y, std::size_t n) {
    switch (act) {
        case Activation::relu:
            return map(gate, up, y, n, [](F4 v) { return formula::relu_of(v); });
        case Activation::silu:
            return map(gate, up, y, n, [](F4 v) { return formula::silu_of(v); });
        case Activation::gelu_tanh:
            return map(gate, up, y, n, [](F4 v) { return formula::gelu_tanh_of(v); });
        case Activation::gelu_erf:
            return map(gate, up, y, n, [](F4 v) { return formula::gelu_erf_of(v); });
        case Activation::quick_gelu:
            return map(gate, up, y, n, [](F4 v) { return formula::quick_gelu_of(v); });
        case Activation::none:
            break;
    }
    map(gate, up, y, n, [](F4 v) { return v; });
}

void xielu(const XieluShape& s, const float* x, float* y, std::size_t n) {
    const auto p = F4::set(s.alpha_p), q = F4::set(s.alpha_n), beta = F4::set(s.beta), eps = F4::set(s.eps);
    map(x, nullptr, y, n, [=](F4 v) { return formula::xielu_of(v, p, q, beta, eps); });
}

void clamped_glu(const ClampedGlu& s, const float* gate, const float* up, float* y, std::size_t n) {
    const auto alpha = F4::set(s.alpha), limit = F4::set(s.limit);
    each(
        n, y, [=](VF g, VF u) { return formula::clamped_glu_of(F4{g}, F4{u}, alpha, limit).v; }, gate, up);
}

void add(const float* a, const float* b, float* y, std::size_t n) {
    each(
        n, y, [](VF u, VF v) { return hn::Add(u, v); }, a, b);
}

void add_scaled(float s, const float* x, float* y, std::size_t n) {
    const VF s4 = broadcast(s);
    each(
        n, y, [s4](VF u, VF v) { return hn::MulAdd(s4, u, v); }, x, static_cast<const float*>(y));
}

void scale(float s, float* x, std::size_t n) {
    const VF s4 = broadcast(s);
    each(
        n, x, [s4](VF v) { return hn::Mul(v, s4); }, static_cast<const float*>(x));
}

void rope(float* head, const float* cs, int n_dims, bool interleaved) {
    const auto half = static_cast<std::size_t>(n_dims / 2);
    std::size_t i = 0;
    for (; i + kLanes <= half; i += kLanes) {
        const VF c = load(cs + i), s = load(cs + half + i);
        VF a, b;
        if (interleaved) {
            hn::LoadInterleaved2(DF(), head + 2 * i, a, b);
        } else {
            a = load(head + i);
            b = load(head + half + i);
        }
        const VF rotated_a = hn::MulSub(a, c, hn::Mul(b, s)), rotated_b = hn::MulAdd(b, c, hn::Mul(a, s));
        if (interleaved) {
            hn::StoreInterleaved2(rotated_a, rotated_b, DF(), head + 2 * i);
        } else {
            store(rotated_a, head + i);
            store(rotated_b, head + half + i);
        }
    }
    for (; i < half; ++i) {
        float& a = head[interleaved ? 2 * i : i];
        float& b = head[interleaved ? 2 * i + 1 : i + half];
        const float c = cs[i], s = cs[half + i];
        const float rotated_a = std::fma(a, c, -(b * s)), rotated_b = std::fma(b, c, a * s);
        a = rotated_a;
        b = rotated_b;
    }
}

std::size_t argmax(const float* x, std::size_t n) {
    VF best = broadcast(kMinusInfinity);
    VU where = hn::Zero(DU()), index = hn::Iota(DU(), 0);
    std::size_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
        const VF v = load(x + i);
        const hn::Mask<DF> above = hn::Gt(v, best);
        best = hn::IfThenElse(above, v, best);
        where = hn::IfThenElse(hn::RebindMask(DU(), above), index, where);
        index = hn::Add(index, hn::Set(DU(), static_cast<std::uint32_t>(kLanes)));
    }
    float values[kLanes];
    std::uint32_t places[kLanes];
    store(best, values);
    hn::StoreU(where, DU(), places);
    float value = kMinusInfinity;
    std::size_t at = 0;
    for (std::size_t lane = 0; lane < kLanes; ++lane)
        if (values[lane] > value || (values[lane] == value && value > kMinusInfinity && places[lane] < at)) {
            value = values[lane];
            at = places[lane];
        }
    for (; i < n; ++i)
        if (x[i] > value) {
            value = x[i];
            at = i;
        }
    return at;
}

float max_value(const float* x, std::size_t n) {
    VF best = broadcast(kMinusInfinity);
    std::size_t i = 0;
    for (; i + kLanes <= n; i += kLanes) best = larger(load(x + i), best);
    float value = largest(best);
    for (; i < n; ++i)
        if (x[i] > value) value = x[i];
    return value;
}

double exp_sum(const float* x, float max, std::size_t n, float* y) {
    const hn::Half<DF> half;
    const F4 max4 = F4::set(max);
    VD lanes[8];
#pragma GCC unroll 8
    for (VD& lane : lanes) lane = hn::Zero(DD());
    const auto take = [&](std::size_t j, VF e) {
        lanes[2 * j] = hn::Add(lanes[2 * j], hn::PromoteTo(DD(), hn::LowerHalf(half, e)));
        lanes[2 * j + 1] = hn::Add(lanes[2 * j + 1], hn::PromoteTo(DD(), hn::UpperHalf(half, e)));
    };
    std::size_t i = 0;
    for (; i + 16 <= n; i += 16)
#pragma GCC unroll 4
        for (std::size_t j = 0; j < 4; ++j) {
            const VF e = formula::exp_of(F4{load(x + i + kLanes * j)} - max4).v;
            take(j, e);
            if (y != nullptr) store(e, y + i + kLanes * j);
        }
    for (std::size_t j = 0; i < n; i += kLanes, ++j) {
        const std::size_t left = n - i < kLanes ? n - i : kLanes;
        const VF e = hn::IfThenElseZero(hn::FirstN(DF(), left), formula::exp_of(F4{load_part(x + i, left)} - max4).v);
        take(j, e);
        if (y != nullptr) store_part(e, y + i, left);
    }
    const VD a = hn::Add(hn::Add(lanes[0], lanes[4]), hn::Add(lanes[2], lanes[6]));
    const VD b = hn::Add(hn::Add(lanes[1], lanes[5]), hn::Add(lanes[3], lanes[7]));
    double two[2];
    hn::StoreU(hn::Add(a, b), DD(), two);
    return two[0] + two[1];
}

void softcap(float cap, float* x, std::size_t n) {
    const F4 cap4 = F4::set(cap);
    map(x, nullptr, x, n, [cap4](F4 v) { return formula::softcap_of(v, cap4); });
}

}  // namespace freehold::portable
