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

}  // namespace

void act(Exec& exec, Activation activation, const Mat& gate, const Mat& up, const Mat& out) {
    for_rows(exec, gate.rows, gate.cols * 2, [&](std::size_t t) {
        exec.kernels.activate(activation, gate.row(t), up.v == nullptr ? nullptr : up.row(t), out.row(t), gate.cols);
    });
    if (exec.tape != nullptr) exec.tape->push([=](Exec& e) { backward(e, activation, gate, up, out); });
}

}  // namespace freehold
