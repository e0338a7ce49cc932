// The stages of a sampling chain: each changes or removes candidates. A new stage is a class here and a line in its
// table.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "freehold/engine/sampler.h"

namespace freehold {

// Candidates in ascending order of id, always: sums over them are taken in this order, so no result depends on how a
// stage selected.
struct Candidates {
    std::vector<Token> id;
    std::vector<float> logit;
    std::vector<float> prob;            // scratch of a stage: exp(logit - max), not normalised
    std::vector<std::uint32_t> order;   // scratch of a selection
    std::vector<std::uint32_t> counts;  // [vocab], all zero between uses
    std::vector<Token> seen;

    [[nodiscard]] std::size_t size() const noexcept { return id.size(); }
    // Index of a token, or size() when it is gone.
    [[nodiscard]] std::size_t find(Token token) const noexcept;
    // Highest logit; -infinity when there are none.
    [[nodiscard]] float max(const Kernels& kernels) const noexcept;
    // Fills prob and returns its sum.
    double softmax(const Kernels& kernels);
    // Keeps the k with the highest logits; ties go to the lower id.
    void keep_best(std::size_t k);
    // Removes the candidates for which keep(index) is false.
    template <class F>
    void filter(F&& keep) {
        std::size_t out = 0;
        for (std::size_t i = 0; i < id.size(); ++i) {
            if (!keep(i)) continue;
            id[out] = id[i];
            logit[out] = logit[i];
            ++out;
        }
        id.resize(out);
        logit.resize(out);
    }
};

class SamplerStage {
 public:
    virtual ~SamplerStage() = default;
    virtual void apply(Candidates& candidates, const SampleContext& context, const Kernels& kernels) const = 0;
    // The candidate at `index` was chosen of those that were left; the candidates are as the chain left them.
    virtual void chosen(const Candidates&, std::size_t index, double total, SamplerState& state) const {
        static_cast<void>(index), static_cast<void>(total), static_cast<void>(state);
    }
};

// Null when the options leave the stage without effect.
[[nodiscard]] std::unique_ptr<SamplerStage> make_dry(const SamplerOptions& options);
[[nodiscard]] std::unique_ptr<SamplerStage> make_top_n_sigma(const SamplerOptions& options);
[[nodiscard]] std::unique_ptr<SamplerStage> make_dynamic_temperature(const SamplerOptions& options);
[[nodiscard]] std::unique_ptr<SamplerStage> make_xtc(const SamplerOptions& options);
[[nodiscard]] std::unique_ptr<SamplerStage> make_mirostat(const SamplerOptions& options);
[[nodiscard]] std::unique_ptr<SamplerStage> make_stage(Stage stage, const SamplerOptions& options);

}  // namespace freehold
