// act: the activation of the MLP, gated or not. Forward and backward.
#include <algorithm>
#include <cmath>

#include "freehold/ops/ends.h"
#include "freehold/ops/tape.h"

namespace freehold {
namespace {

constexpr float kSqrt2OverPi = 0.79788456080286535588F;
constexpr float kInvSqrt2 = 0.70710678118654752440F;
constexpr float kInvSqrt2Pi = 0.39894228040143267794F;

float sigmoid(float x) {
    return 1.0F / (1.0F + fh_exp(-x));
}

struct ValueAndSlope {
    float value, slope;
};

// act(x) and its derivative. The value is only multiplied with a gradient, so it need not be the kernel's to the bit.
ValueAndSlope at(Activation a, float x) {
    switch (a) {
        case Activation::none:
            return {x, 1.0F};
        case Activation::relu:
            return x > 0 ? ValueAndSlope{x, 1.0F} : ValueAndSlope{0.0F, 0.0F};
        case Activation::silu: {
            const float s = sigmoid(x);
            return {x * s, s * (1.0F + x * (1.0F - s))};
        }
        case Activation::quick_gelu: {
            const float s = sigmoid(1.702F * x);
            return {x * s, s * (1.0F + 1.702F * x * (1.0F - s))};
        }
        case Activation::gelu_erf: {
            const float cdf = 0.5F * (1.0F + fh_erf(x * kInvSqrt2));
            return {x * cdf, cdf + x * kInvSqrt2Pi * fh_exp(-0.5F * x * x)};
        }
        case Activation::gelu_tanh: {
            const float t = fh_tanh(kSqrt2OverPi * (x + 0.044715F * x * x * x));
            return {0.5F * x * (1.0F + t),
                    0.5F * (1.0F + t) + 0.5F * x * (1.0F - t * t) * kSqrt2OverPi * (1.0F + 3.0F * 0.044715F * x * x)};
        }
    }
    return {0.0F, 0.0F};
}

void backward(Exec& exec, Activation activation, const Mat& gate, const Mat& up, const Mat& out) {
    for_rows(exec, gate.rows, gate.cols * 32, [&](std::size_t t) {
        const std::size_t begin = t * gate.cols;
        for (std::size_t i = begin; i < begin + gate.cols; ++i) {
            const ValueAndSlope f = at(activation, gate.v[i]);
            const float d = out.g[i];
            if (up.v == nullptr) {
                gate.g[i] += d * f.slope;
            } else {
                gate.g[i] += d * up.v[i] * f.slope;
                up.g[i] += d * f.value;
            }
        }
    });
}

void xielu_backward(Exec& exec, const Xielu& x, const Mat& in, const Mat& out) {
    const XieluShape s = x.shape;
    for_rows(exec, in.rows, in.cols * 32, [&](std::size_t t) {
        const std::size_t begin = t * in.cols;
        for (std::size_t i = begin; i < begin + in.cols; ++i) {
            const float v = in.v[i];
            const float left = v < s.eps ? fh_exp(v) : 0.0F;
            const float slope = v > 0 ? 2 * s.alpha_p * v + s.beta : s.alpha_n * (left - 1.0F) + s.beta;
            in.g[i] += out.g[i] * slope;
        }
    });
    Gradients* const grads = exec.tape->gradients();
    if (grads == nullptr || x.p_id == kFrozen || x.n_id == kFrozen) return;
    for (const Chain& c : exec.tape->chains()) {
        double p = 0, n = 0;
        for (std::size_t i = c.begin * in.cols; i < c.end * in.cols; ++i) {
            const auto v = static_cast<double>(in.v[i]), d = static_cast<double>(out.g[i]);
            if (v > 0) {
                p += d * v * v;
            } else {
                n += d * (static_cast<double>(fh_exp(std::min(in.v[i], s.eps))) - 1.0 - v);
            }
        }
        *grads->leaf(x.p_id) = static_cast<float>(p * static_cast<double>(x.p_slope));
        grads->push(exec, x.p_id);
        *grads->leaf(x.n_id) = static_cast<float>(n * static_cast<double>(x.n_slope));
        grads->push(exec, x.n_id);
    }
}

// What is clamped does not move.
void clamped_backward(Exec& exec, const ClampedGlu& s, const Mat& gate, const Mat& up, const Mat& out) {
    for_rows(exec, gate.rows, gate.cols * 32, [&](std::size_t t) {
        const std::size_t begin = t * gate.cols;
        for (std::size_t i = begin; i < begin + gate.cols; ++i) {
            const float g = std::min(gate.v[i], s.limit), u = std::clamp(up.v[i], -s.limit, s.limit);
            const float share = sigmoid(s.alpha * g), d = out.g[i];
            if (gate.v[i] <= s.limit) gate.g[i] += d * (u + 1.0F) * share * (1.0F + s.alpha * g * (1.0F - share));
            if (std::fabs(up.v[i]) <= s.limit) up.g[i] += d * g * share;
        }
    });
}

}  // namespace

void act_clamped_glu(Exec& exec, const ClampedGlu& shape, const Mat& gate, const Mat& up, const Mat& out) {
    for_rows(exec, gate.rows, gate.cols * 2,
             [&](std::size_t t) { exec.kernels.clamped_glu(shape, gate.row(t), up.row(t), out.row(t), gate.cols); });
    if (exec.tape != nullptr) exec.tape->push([=](Exec& e) { clamped_backward(e, shape, gate, up, out); });
}

void act_xielu(Exec& exec, const Xielu& x, const Mat& in, const Mat& out) {
    for_rows(exec, in.rows, in.cols * 2,
             [&](std::size_t t) { exec.kernels.xielu(x.shape, in.row(t), out.row(t), in.cols); });
    if (exec.tape != nullptr) exec.tape->push([=, &x](Exec& e) { xielu_backward(e, x, in, out); });
}

void act(Exec& exec, Activation activation, const Mat& gate, const Mat& up, const Mat& out) {
    for_rows(exec, gate.rows, gate.cols * 2, [&](std::size_t t) {
        exec.kernels.activate(activation, gate.row(t), up.v == nullptr ? nullptr : up.row(t), out.row(t), gate.cols);
    });
    if (exec.tape != nullptr) exec.tape->push([=](Exec& e) { backward(e, activation, gate, up, out); });
}

}  // namespace freehold
