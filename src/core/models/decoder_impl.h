// What a Decoder holds: the blueprint, the weights by layer, and what is derived from them once.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "freehold/models/decoder.h"
#include "freehold/ops/adapter.h"
#include "freehold/ops/attention.h"
#include "freehold/ops/ends.h"
#include "freehold/ops/linear.h"

namespace freehold {

struct LayerWeights {
    Norm attn_norm, attn_post, mlp_norm, mlp_post, q_norm, k_norm;
    Linear q, k, v, o;
    Linear gate, up, down;  // gate is empty in an MLP without one
};

// A parameter that may be trained: its values as the container means them (a Gemma norm without the 1), and the
// gradient slots that belong to it (two for a table that is both embedding and head).
struct Param {
    std::string name;  // "layers.3.attn.q.weight"
    Tensor value;      // F32, writable
    std::vector<ParamId> slots;
    Weight* panels = nullptr;     // to renew when the values change
    Tensor* effective = nullptr;  // norms with "1 +": to write 1 + value to
};

struct Decoder::Impl {
    std::shared_ptr<const ModelFiles> files;
    DecoderSpec spec;
    Profile profile = Profile::q8;
    int n_threads = 1;
    std::uint64_t n_params = 0, weight_bytes = 0, mapped_panel_bytes = 0;

    Weight token_embd;  // empty when tied: the head's table serves
    Weight position_embd;
    std::vector<LayerWeights> layers;
    Tensor token_types;  // F32 [token types, d] or empty
    Norm embed_norm;
    Norm final_norm;
    Linear head;
    Linear pooler, classifier;  // encoders that judge

    Embedding embedding;
    std::vector<RopeTable> ropes;
    std::vector<AttentionShape> shapes;  // [n_layers]
    std::vector<KvPlace> places;         // [n_layers]

    std::vector<Param> params;  // training only
    std::vector<std::size_t> slot_sizes;

    [[nodiscard]] KvLayout layout(KvType type) const;
    // Runs all layers; returns the residual stream behind the last.
    [[nodiscard]] Mat hidden(Exec& exec, const Batch& batch, const Probes* probes) const;
    void layer(Exec& exec, const Batch& batch, int l, std::span<const float* const> angles, const Mat& x,
               const Probes* probes, const Adapters* adapters) const;
    [[nodiscard]] Head ending() const { return {&final_norm, &head, spec.logit_scale, spec.final_softcap}; }
    [[nodiscard]] std::size_t hidden_scratch(std::size_t rows, int n_threads) const noexcept;
};

// Takes the panels of each weight as soon as they are made; the weight itself is then let go.
using PanelSink = std::function<void(const PanelFacts& facts, std::span<const std::byte> panels)>;

// trainable: every parameter becomes a writable F32 copy with gradient slots, the profile is f32.
// sink: the panels go there, and what is returned cannot compute.
[[nodiscard]] std::unique_ptr<Decoder::Impl> build_decoder(std::shared_ptr<const ModelFiles> files,
                                                           const LoadOptions& options, ThreadPool& threads,
                                                           bool trainable, const PanelSink& sink = {});

}  // namespace freehold
