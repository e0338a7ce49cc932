// embed, act and row_logprob: gradients against differences.
#include "freehold/ops/ends.h"

#include "finite_difference.h"

namespace freehold {
namespace {

TEST(Embed, GradientsAreSlopes) {
    test::FiniteDifference fd;
    fd.chains = {{0, 4}, {4, 6}};
    const Tensor table = fd.random_tensor({11, 8}), places = fd.random_tensor({7, 8});
    const Weight w(table, Profile::f32, false, fd.threads()), p(places, Profile::f32, false, fd.threads());
    const Embedding e{&w, 1.7F, &p, 1, fd.parameter(table), fd.parameter(places)};
    const Token tokens[] = {3, 3, 10, 0, 3, 7};
    const std::int32_t positions[] = {0, 1, 2, 3, 0, 1};
    fd.check("embed", [&](Exec& exec, std::span<const Mat>) {
        const Mat x = take_mat(exec, 6, 8);
        embed(exec, e, tokens, positions, x);
        return x;
    });
}

TEST(Act, GradientsAreSlopes) {
    for (const Activation a : {Activation::none, Activation::relu, Activation::silu, Activation::gelu_tanh,
                               Activation::gelu_erf, Activation::quick_gelu}) {
        for (const bool gated : {true, false}) {
            test::FiniteDifference fd;
            fd.chains = {{0, 5}};
            fd.input(5, 33);
            if (gated) fd.input(5, 33);
            fd.check(
                "act " + std::to_string(static_cast<int>(a)),
                [&](Exec& e, std::span<const Mat> in) {
                    const Mat out = take_mat(e, 5, 33);
                    act(e, a, in[0], gated ? in[1] : Mat{}, out);
                    return out;
                },
                a == Activation::relu ? 5e-2 : 2e-2);
        }
    }
}

TEST(Act, GradientsOfTheClampedUnitAreSlopes) {
    test::FiniteDifference fd;
    fd.chains = {{0, 9}};
    fd.input(9, 33, 2.0F);
    fd.input(9, 33, 2.0F);
    fd.check(
        "clamped unit",
        [&](Exec& e, std::span<const Mat> in) {
            const Mat out = take_mat(e, 9, 33);
            act_clamped_glu(e, {1.4F, 2.5F}, in[0], in[1], out);
            return out;
        },
        5e-2);
}

TEST(RowLogprob, GradientsAreSlopesAlsoOverSeveralChunks) {
    for (const NormKind kind : {NormKind::none, NormKind::rms, NormKind::layer}) {
        for (const float softcap : {0.0F, 2.0F}) {
            test::FiniteDifference fd;
            fd.chains = {{0, 50}, {50, 54}, {54, 60}};  // the second trains nothing
            Norm norm;
            Linear head;
            fd.make_norm(norm, kind, 10);
            fd.make_linear(head, 29, 10, true);
            fd.input(60, 10);
            std::vector<Token> targets(60);
            for (int t = 0; t < 60; ++t)
                targets[static_cast<std::size_t>(t)] = t % 7 == 3 || (t >= 50 && t < 54) ? kNoTarget : t % 29;
            std::vector<double> logprobs(60);
            std::vector<float> upstream(60, 0.0F);
            fd.check("row_logprob", [&](Exec& e, std::span<const Mat> in) {
                row_logprob(e, {&norm, &head, 0.8F, softcap}, in[0], targets, logprobs, upstream);
                // Log-probabilities as a matrix of one column, whose gradient becomes the upstream.
                const Mat out = take_mat(e, 60, 1);
                for (std::size_t t = 0; t < 60; ++t) out.v[t] = static_cast<float>(logprobs[t]);
                e.tape->push([out, &upstream](Exec&) { std::copy_n(out.g, 60, upstream.begin()); });
                return out;
            });
        }
    }
}

}  // namespace
}  // namespace freehold
