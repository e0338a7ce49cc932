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
    // Latent attention: these and q in the place of k and v.
    Linear q_a, kv_latent, k_rope;
    Norm q_a_norm, kv_norm;
    std::vector<Linear> k_b, v_b;  // [heads]
    Linear gate, up, down;         // gate is empty in an MLP without one
    Tensor sinks;                  // F32 [heads] or empty
    ParamId sinks_id = kFrozen;
    Xielu xielu;                                        // its numbers, where spec.xielu says that there is one
    Linear router;                                      // layers of experts: these in the place of gate, up and down
    Tensor router_bias;                                 // F32 [experts] or empty: for choosing only
    std::vector<Linear> gate_exps, up_exps, down_exps;  // [experts]
    Linear gate_shared, up_shared, down_shared;         // empty without a shared expert
    Norm cross_norm;                                    // decoders that look at an encoder's rows
    Linear cross_q, cross_k, cross_v, cross_o;
};

// A parameter that may be trained: its values as the container means them (a Gemma norm without the 1), and the
// gradient slots that belong to it (two for a table that is both embedding and head).
struct Param {
    std::string name;  // "layers.3.attn.q.weight"
    Tensor value;      // F32, writable
    std::vector<ParamId> slots;
    Weight* panels = nullptr;                // to renew when the values change
    Tensor* effective = nullptr;             // norms with "1 +": to write 1 + value to
    RelativeBias* spread = nullptr;          // a table of relative positions: where it is spread over distances
    std::function<void(float)> follow = {};  // single numbers that are used through a function of theirs (xIELU)
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
    Norm final_norm, no_norm;
    Linear head;
    Linear project_in, project_out;       // between the layers and embedding and head of another width (spec.d_embed)
    Embedding placing;                    // learned positions, added behind project_in
    std::vector<float> slopes;            // ALiBi, [n_heads]
    Linear pooler, classifier;            // encoders that judge
    RelativeBias relative;                // without numbers where positions are others
    std::vector<ParamId> relative_slots;  // [n_layers] when trained: all layers use the one table

    Embedding embedding;
    std::vector<RopeTable> ropes;
    std::vector<AttentionShape> shapes;  // [n_layers]
    std::vector<KvPlace> places;         // [n_layers]

    std::unique_ptr<Impl> encoder;             // of an encoder-decoder; its parameters are among those of the decoder
    std::vector<AttentionShape> cross_shapes;  // [n_layers]
    std::vector<KvPlace> cross_places;         // [n_layers]

    std::vector<Param> params;  // training only
    std::vector<std::size_t> slot_sizes;

    [[nodiscard]] KvLayout layout(KvType type) const;
    [[nodiscard]] KvLayout cross_layout(KvType type) const;
    // Keys and values of the encoded rows as a layer's cross-attention wants them, for the way back.
    struct Source {
        Mat k, v;
    };
    // Encoder, and the keys and values of every layer's cross-attention to the pages of SeqRef::cross. sources: null,
    // or [n_layers] to be filled (under a tape).
    void encode(Exec& exec, const Batch& batch, std::vector<Source>* sources) const;
    [[nodiscard]] std::size_t encode_scratch(std::size_t rows, int n_threads) const noexcept;
    // Runs all layers; returns the residual stream behind the last.
    [[nodiscard]] Mat hidden(Exec& exec, const Batch& batch, const Probes* probes,
                             const std::vector<Source>* sources = nullptr) const;
    // Decoder::logprobs, and under a tape `sources` as encode() filled them.
    void logprobs(Exec& exec, const Batch& batch, std::span<const Token> targets, std::span<double> out,
                  std::span<const float> upstream, const std::vector<Source>* sources) const;
    // What a layer's branches need of the forward that they are part of.
    struct Pass {
        Exec& exec;
        const Batch& batch;
        std::span<const float* const> angles;  // of each rope
        const Probes* probes;
        const Adapters* adapters;
        const Batch* cross = nullptr;  // the batch with the pages of its sources
        const std::vector<Source>* sources = nullptr;
    };
    void layer(const Pass& pass, int l, const Mat& x) const;
    // Norm, projections, attention, and the result added to x.
    void attention(const Pass& pass, int l, const Mat& x) const;
    void latent_attention(const Pass& pass, int l, const Mat& x) const;
    [[nodiscard]] std::size_t latent_scratch(std::size_t i, std::size_t rows, int threads) const noexcept;
    void cross_attention(const Pass& pass, int l, const Mat& x) const;
    // The MLP in two halves, for a layer whose branches are parallel takes both inputs from the same x: norm and the
    // products that enter the activation; activation, product, and the result added to x.
    struct Entered {
        Mat gate{}, up{};
    };
    [[nodiscard]] Entered enter_mlp(const Pass& pass, int l, const Mat& x) const;
    void leave_mlp(const Pass& pass, int l, const Entered& in, const Mat& x) const;
    // Norm, router, the chosen experts and the shared one, and the result added to x.
    void experts(const Pass& pass, int l, const Mat& x) const;
    [[nodiscard]] std::size_t experts_scratch(std::size_t rows) const noexcept;
    [[nodiscard]] bool projected() const { return spec.d_embed > 0; }
    // What the head reads, and with which norm: the rows behind the layers, or these normed and projected.
    [[nodiscard]] Mat to_head(Exec& exec, const Mat& x) const;
    [[nodiscard]] Head ending() const {
        return {projected() ? &no_norm : &final_norm, &head, spec.logit_scale, spec.final_softcap};
    }
    [[nodiscard]] std::size_t projection_scratch(std::size_t rows) const noexcept;
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
