// The scalar table: rows (norms, activations, rotary, reductions) and the entries from the other scalar files.
// It runs on every machine and is what every other table is tested against.
#include "scalar.h"

#include <cmath>
#include <limits>

#include "scalar_lane.h"

namespace freehold {
namespace {

// NUMERICS rule 5: sixteen lanes by index mod 16, then the tree 8, 4, 2, 1.
template <class T>
T tree(T (&lanes)[16]) noexcept {
    for (int width = 8; width >= 1; width /= 2)
        for (int i = 0; i < width; ++i) lanes[i] += lanes[i + width];
    return lanes[0];
}

void to_bf16(const float* x, std::uint16_t* y, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) y[i] = f32_to_bf16(x[i]);
}

void widen_f16(const std::uint16_t* x, float* y, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) y[i] = f16_to_f32(x[i]);
}

void narrow_f16(const float* x, std::uint16_t* y, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) y[i] = f32_to_f16(x[i]);
}

void norm_row(NormKind kind, const float* x, const float* w, const float* b, float eps, std::size_t n, float* y,
              float* stats) {
    if (kind == NormKind::none) {
        for (std::size_t i = 0; i < n; ++i) y[i] = x[i];
        return;
    }
    const auto count = static_cast<float>(n);
    float mean = 0;
    if (kind == NormKind::layer) {
        float lanes[16] = {};
        for (std::size_t i = 0; i < n; ++i) lanes[i % 16] += x[i];
        mean = tree(lanes) / count;
    }
    float squares[16] = {};
    for (std::size_t i = 0; i < n; ++i) {
        const float d = x[i] - mean;
        squares[i % 16] = std::fma(d, d, squares[i % 16]);
    }
    const float inverse = 1.0F / std::sqrt(tree(squares) / count + eps);
    for (std::size_t i = 0; i < n; ++i) {
        float v = (x[i] - mean) * inverse;
        if (w != nullptr) v *= w[i];
        if (b != nullptr) v += b[i];
        y[i] = v;
    }
    if (stats != nullptr) {
        stats[0] = mean;
        stats[1] = inverse;
    }
}

F1 activation_of(Activation act, F1 x) noexcept {
    switch (act) {
        case Activation::relu:
            return formula::relu_of(x);
        case Activation::silu:
            return formula::silu_of(x);
        case Activation::gelu_tanh:
            return formula::gelu_tanh_of(x);
        case Activation::gelu_erf:
            return formula::gelu_erf_of(x);
        case Activation::quick_gelu:
            return formula::quick_gelu_of(x);
        case Activation::none:
            break;
    }
    return x;
}

void activate(Activation act, const float* gate, const float* up, float* y, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) {
        const float a = activation_of(act, F1{gate[i]}).v;
        y[i] = up != nullptr ? a * up[i] : a;
    }
}

void xielu(const XieluShape& s, const float* x, float* y, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i)
        y[i] = formula::xielu_of(F1{x[i]}, F1{s.alpha_p}, F1{s.alpha_n}, F1{s.beta}, F1{s.eps}).v;
}

void clamped_glu(const ClampedGlu& s, const float* gate, const float* up, float* y, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i)
        y[i] = formula::clamped_glu_of(F1{gate[i]}, F1{up[i]}, F1{s.alpha}, F1{s.limit}).v;
}

void add(const float* a, const float* b, float* y, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) y[i] = a[i] + b[i];
}

void add_scaled(float s, const float* x, float* y, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) y[i] = std::fma(s, x[i], y[i]);
}

void scale(float s, float* x, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) x[i] *= s;
}

void rope(float* head, const float* cs, int n_dims, bool interleaved) {
    const int half = n_dims / 2;
    for (int i = 0; i < half; ++i) {
        float& a = head[interleaved ? 2 * i : i];
        float& b = head[interleaved ? 2 * i + 1 : i + half];
        const float c = cs[i], s = cs[half + i];
        const float rotated_a = std::fma(a, c, -(b * s)), rotated_b = std::fma(b, c, a * s);
        a = rotated_a;
        b = rotated_b;
    }
}

std::size_t argmax(const float* x, std::size_t n) {
    std::size_t best = 0;
    float value = -std::numeric_limits<float>::infinity();
    for (std::size_t i = 0; i < n; ++i)
        if (x[i] > value) {
            value = x[i];
            best = i;
        }
    return best;
}

float max_value(const float* x, std::size_t n) {
    float value = -std::numeric_limits<float>::infinity();
    for (std::size_t i = 0; i < n; ++i)
        if (x[i] > value) value = x[i];
    return value;
}

double exp_sum(const float* x, float max, std::size_t n, float* y) {
    double lanes[16] = {};
    for (std::size_t i = 0; i < n; ++i) {
        const float e = fh_exp(x[i] - max);
        lanes[i % 16] += static_cast<double>(e);
        if (y != nullptr) y[i] = e;
    }
    return tree(lanes);
}

void softcap(float cap, float* x, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) x[i] = formula::softcap_of(F1{x[i]}, F1{cap}).v;
}

}  // namespace

const Kernels& scalar_kernels() noexcept {
    static const Kernels table{.name = "scalar",
                               .panel_f32 = scalar::panel_f32,
                               .panel_bf16 = scalar::panel_bf16,
                               .panel_q8 = scalar::panel_q8,
                               .quantize_row = scalar::quantize_row,
                               .to_bf16 = to_bf16,
                               .f16_to_f32 = widen_f16,
                               .f32_to_f16 = narrow_f16,
                               .norm_row = norm_row,
                               .activate = activate,
                               .xielu = xielu,
                               .clamped_glu = clamped_glu,
                               .add = add,
                               .add_scaled = add_scaled,
                               .scale = scale,
                               .rope = rope,
                               .attend = scalar::attend,
                               .argmax = argmax,
                               .max_value = max_value,
                               .exp_sum = exp_sum,
                               .softcap = softcap};
    return table;
}

}  // namespace freehold
