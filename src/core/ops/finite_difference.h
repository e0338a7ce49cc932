// Holds the backward of an op against differences of its forward: the slope along a random direction, for every input
// and every parameter, is what the gradients say it is.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "freehold/base/random.h"
#include "freehold/ops/tape.h"

namespace freehold::test {

class FiniteDifference {
 public:
    FiniteDifference() : threads_(2), arena_(std::size_t{8} << 20) {}

    // A matrix parameter with values near `around`; use weight()/vector() while the op is described, before check().
    ParamId parameter(Tensor values, std::function<void()> renew = {}) {
        params_.push_back({std::move(values), std::move(renew)});
        return static_cast<ParamId>(params_.size() - 1);
    }
    Tensor random_tensor(Shape shape, float spread = 1.0F, float around = 0.0F) {
        Tensor t = Tensor::zeros(DType::F32, shape);
        for (float& v : t.f32_mut()) v = around + spread * random_.normal();
        return t;
    }
    void make_linear(Linear& l, std::int64_t out, std::int64_t in, bool bias) {
        const Tensor w = random_tensor({out, in}, 1.0F / std::sqrt(static_cast<float>(in)));
        l.w = Weight(w, Profile::f32, true, threads_);
        l.w_id = parameter(w, [this, &l] { l.w.renew(threads_); });
        if (!bias) return;
        l.bias = random_tensor({out});
        l.b_id = parameter(l.bias);
    }
    void make_norm(Norm& n, NormKind kind, std::int64_t size) {
        n.kind = kind;
        n.eps = 0.01F;
        if (kind == NormKind::none) return;
        n.weight = random_tensor({size}, 0.3F, 1.0F);
        n.w_id = parameter(n.weight);
        if (kind != NormKind::layer) return;
        n.bias = random_tensor({size});
        n.b_id = parameter(n.bias);
    }
    std::size_t input(std::size_t rows, std::size_t cols, float spread = 1.0F) {
        inputs_.push_back({rows, cols, std::vector<float>(rows * cols)});
        for (float& v : inputs_.back().values) v = spread * random_.normal();
        return inputs_.size() - 1;
    }
    std::size_t input(std::size_t cols, std::vector<float> values) {
        inputs_.push_back({values.size() / cols, cols, std::move(values)});
        return inputs_.size() - 1;
    }
    ThreadPool& threads() { return threads_; }
    std::vector<Chain> chains;  // must be set before check()

    // forward(exec, inputs) runs the op and returns its output; loss = sum of output * fixed random numbers.
    using Forward = std::function<Mat(Exec&, std::span<const Mat>)>;
    void check(const std::string& what, const Forward& forward, double tolerance = 2e-2) {
        std::vector<std::size_t> sizes;
        for (const Param& p : params_) sizes.push_back(static_cast<std::size_t>(p.values.shape().numel()));
        Gradients grads(sizes);
        Tape tape(&grads, chains);
        Exec exec{threads_, active_kernels(), arena_, &tape};
        const std::vector<Mat> ins = fill(exec);
        const Mat out = forward(exec, ins);
        cotangent_.resize(out.size());
        for (float& v : cotangent_) v = random_.normal();
        std::copy(cotangent_.begin(), cotangent_.end(), out.g);
        tape.run_backward(exec);
        for (std::size_t i = 0; i < inputs_.size(); ++i) {
            const std::vector<float> slope(ins[i].g, ins[i].g + ins[i].size());
            along(what + ", input " + std::to_string(i), inputs_[i].values, slope, forward, {}, tolerance);
        }
        for (std::size_t i = 0; i < params_.size(); ++i) {
            const auto total = grads.total(exec, static_cast<ParamId>(i));
            along(what + ", parameter " + std::to_string(i), params_[i].values.f32_mut(), {total.begin(), total.end()},
                  forward, params_[i].renew, tolerance);
        }
    }

 private:
    struct Param {
        Tensor values;
        std::function<void()> renew;
    };
    struct Input {
        std::size_t rows, cols;
        std::vector<float> values;
    };

    std::vector<Mat> fill(Exec& exec) {
        std::vector<Mat> ins;
        for (const Input& i : inputs_) {
            ins.push_back(take_mat(exec, i.rows, i.cols));
            std::copy(i.values.begin(), i.values.end(), ins.back().v);
        }
        return ins;
    }

    // Under a throwaway tape, so that inputs are not overwritten and both passes take the same path.
    double loss(const Forward& forward) {
        Tape tape(nullptr, chains);
        Exec exec{threads_, active_kernels(), arena_, &tape};
        const std::vector<Mat> ins = fill(exec);
        const Mat out = forward(exec, ins);
        double sum = 0;
        for (std::size_t i = 0; i < out.size(); ++i)
            sum += static_cast<double>(out.v[i]) * static_cast<double>(cotangent_[i]);
        return sum;
    }

    void along(const std::string& what, std::span<float> values, const std::vector<float>& slope,
               const Forward& forward, const std::function<void()>& renew, double tolerance) {
        constexpr float kStep = 4e-3F;
        std::vector<float> direction(values.size());
        double said = 0, norm = 0;
        for (std::size_t i = 0; i < values.size(); ++i) {
            // Half along the gradient, half random: a slope that is large enough to be seen, and no blind spot.
            direction[i] = random_.normal() + (slope[i] > 0 ? 1.0F : -1.0F);
            said += static_cast<double>(direction[i]) * static_cast<double>(slope[i]);
            norm += static_cast<double>(slope[i]) * static_cast<double>(slope[i]);
        }
        const std::vector<float> kept(values.begin(), values.end());
        const auto at = [&](float step) {
            for (std::size_t i = 0; i < values.size(); ++i) values[i] = kept[i] + step * direction[i];
            if (renew) renew();
            return loss(forward);
        };
        const double seen = (at(kStep) - at(-kStep)) / (2 * static_cast<double>(kStep));
        at(0);
        EXPECT_NEAR(seen, said, tolerance * std::max(std::fabs(said), std::sqrt(norm))) << what;
        EXPECT_GT(norm, 0) << what << " has no gradient at all";
    }

    ThreadPool threads_;
    Arena arena_;
    Random random_{42, RandomUse::test};
    std::vector<Param> params_;
    std::vector<Input> inputs_;
    std::vector<float> cotangent_;
};

}  // namespace freehold::test
