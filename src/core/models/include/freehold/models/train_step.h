// One training step through the one Decoder: packed rows in, loss and gradients out, then an optimiser in one pass.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/formats/model_files.h"
#include "freehold/models/decoder.h"

namespace freehold {

// One packed row: documents behind each other, none of which sees another (positions begin anew with each).
struct PackedRow {
    std::vector<Token> tokens;
    std::vector<std::uint32_t> documents;  // lengths, in order; their sum is the number of tokens
    std::vector<Token> targets;            // what follows each token; kNoTarget: not trained
    std::vector<float> weights;            // of each target's loss; read where there is a target
    // Encoder-decoders: the text that each document is written from, one behind the other, and their lengths.
    std::vector<Token> source = {};
    std::vector<std::uint32_t> sources = {};
};

struct StepLoss {
    double loss = 0;           // sum of weight * -log p, divided by `weight`
    double weight = 0;         // sum of the weights of all trained tokens of the step
    std::uint64_t tokens = 0;  // trained tokens
};

// A Decoder whose parameters are writable F32 copies with gradients (profile f32, panels renewed with each version).
// Bits of loss, gradients and parameters depend on the rows of the step in their order and on nothing else: not on
// threads, instruction set, or how many rows go through the decoder together (NUMERICS rule 8).
class Trainable {
 public:
    // Throws as Decoder::load does. `adjust` as in LoadOptions.
    static std::unique_ptr<Trainable> load(std::shared_ptr<const ModelFiles> files, ThreadPool& threads,
                                           std::function<void(DecoderSpec&)> adjust = {});
    ~Trainable();
    Trainable(const Trainable&) = delete;
    Trainable& operator=(const Trainable&) = delete;

    // The model as it is now; a shared pointer to it shows every later version too.
    [[nodiscard]] std::shared_ptr<const Decoder> decoder() const noexcept;
    // Parameters by number: names like "layers.3.attn.q.weight"; matrices are [out, in] in the container's own layout.
    [[nodiscard]] std::size_t n_params() const noexcept;
    [[nodiscard]] std::string_view name(std::size_t i) const noexcept;
    [[nodiscard]] const Shape& shape(std::size_t i) const noexcept;
    [[nodiscard]] std::span<float> values(std::size_t i);
    // After values were written by hand: panels again, and a new version.
    void renew();
    [[nodiscard]] std::uint64_t version() const noexcept;

    // Forward and backward over all rows of a step, `rows_at_a_time` together (memory against speed, never bits).
    // Replaces the gradients of the step before. Error{usage} for rows that contradict themselves or train nothing.
    StepLoss gradients(std::span<const PackedRow> rows, std::size_t rows_at_a_time = 1,
                       const Kernels& kernels = active_kernels());
    // Loss alone, through the same forward without a tape.
    [[nodiscard]] StepLoss loss(std::span<const PackedRow> rows, const Kernels& kernels = active_kernels());
    // Gradient of a parameter as gradients() left it. Valid until the next call of gradients().
    [[nodiscard]] std::span<const float> gradient(std::size_t i);

    struct Impl;
    explicit Trainable(std::unique_ptr<Impl> impl);  // for load()

 private:
    std::unique_ptr<Impl> impl_;
    friend class AdamW;
};

struct AdamWOptions {
    double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
    double weight_decay = 0.01;  // decoupled: p -= lr * weight_decay * p
    bool decay_vectors = true;   // false: norms and biases are not decayed
};

// Adam with decoupled weight decay (Loshchilov and Hutter 2019): one pass over parameters, gradients and both moments.
class AdamW {
 public:
    explicit AdamW(AdamWOptions with) : options(with) {}
    // Takes one step with the gradients that `model` holds and renews its panels.
    void step(Trainable& model);
    [[nodiscard]] std::uint64_t steps() const noexcept { return steps_; }
    AdamWOptions options;  // may change between steps (a schedule of the learning rate)

 private:
    std::uint64_t steps_ = 0;
    std::vector<std::vector<float>> first_, second_;  // moments, by parameter
};

}  // namespace freehold
