// What a family's page offers: names by which files call it, a reader of its blueprint, and a table of its tensors.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "freehold/models/spec.h"
#include "meta_reader.h"

namespace freehold {

// What a tensor is for; shapes follow from the role and the blueprint (tensor_source.cpp).
enum class Role : std::uint8_t {
    token_embd,
    position_embd,
    token_types,
    embed_norm,
    attn_norm,
    q,
    k,
    v,
    attn_out,
    q_norm,
    k_norm,
    attn_post_norm,
    mlp_norm,
    gate,
    up,
    down,
    mlp_post_norm,
    final_norm,
    head,
    pooler,
    classifier,
    project_in,
    project_out,
    router,
    gate_exp,
    up_exp,
    down_exp,
    gate_shared,
    up_shared,
    down_shared,
    router_bias,  // numbers, not a matrix: TensorSource::router_bias
    q_a,          // latent attention: to the latent of queries, to that of keys and values, to the shared rotated key
    kv_latent,
    k_rope,
    q_a_norm,
    kv_norm,
    k_b,  // and of each head: from a query to the latent's width, from the latent to values (TensorSource::head)
    v_b,
    sinks,
    cross_norm,
    cross_q,
    cross_k,
    cross_v,
    cross_out,
    relative_bias,
    logit_bias,
};

// How a tensor of a file becomes ours: [out, in], q, k and v apart, and gate and up.
enum class Layout : std::uint8_t {
    plain,
    fused_qkv,             // [q | k | v] along the outputs
    transposed,            // [in, out]
    transposed_fused_qkv,  // [in, q | k | v]
    fused_by_kv_head,      // for each KV head its heads of q, then one of k, then one of v (NeoX, BLOOM, Falcon)
    fused_gate_up,         // [gate | up] along the outputs
    fused_latent,          // [latent | rotated key] along the outputs
    fused_kv_b,            // for each head its keys, as [keys, latent], then its values (k_b and v_b)
    // Experts alone, [experts, in, out], or [experts, out, in] where they are kept in MXFP4 parts.
    turned_experts,
    turned_gate_up_experts,  // the same with outputs gate 0, up 0, gate 1, up 1, ...
};

// One row for each role that the family has. Names are stems (".weight" and ".bias" follow); "{}" is the layer, "@" the
// prefix that a Hugging Face folder uses, "#" the expert; tensors of experts without it hold all of them one behind the
// other, [experts, out, in]. A name that ends with "!" is whole: no ".weight" follows, and its bias ends with "_bias".
// Roles of a fused tensor have a row each. Where makers name a tensor differently, a role has several rows, and the
// first whose tensor is there counts.
struct TensorRow {
    Role role;
    std::string_view gguf, hf;
    Presence bias = Presence::absent;
    Layout hf_layout = Layout::plain;
    Layout gguf_layout = Layout::plain;
};

struct Family {
    std::string_view name;
    std::span<const std::string_view> gguf_names;   // general.architecture
    std::span<const std::string_view> hf_names;     // model_type
    std::span<const std::string_view> hf_prefixes;  // what "@" may be, tried in order
    std::span<const std::string_view>
        skipped;  // parts of names of tensors that are no weights, or not of the text part
    DecoderSpec (*read)(const ModelFiles& files);
    std::span<const TensorRow> tensors;
    // GGUF files have the rows of q and k of each head in pairs (2i, 2i+1) where Hugging Face has halves (i, i + n/2).
    bool gguf_pairs_qk = false;
    std::span<const TensorRow> encoder_tensors = {};  // of the encoder of an encoder-decoder
};

// Every families/*.cpp defines one; CMake writes the table of them all (family_table.cpp in the build folder).
[[nodiscard]] std::span<const Family* const> all_families() noexcept;
// The page of a file's architecture, or Error{unsupported} naming it and those that are known.
[[nodiscard]] const Family& family_of(const ModelFiles& files);

// Helpers that pages share.
[[nodiscard]] Activation activation_named(const MetaReader& meta, std::string_view key, std::string_view otherwise);
// vocab_size key if there is one, else the rows of the embedding: the tensor whose name ends so (prefixes differ).
[[nodiscard]] int vocab_of(const MetaReader& meta, std::string_view key, std::string_view embedding_ending);
// A blueprint with what GGUF files of rotary decoders say under the same keys: layers, widths of model and MLP, query
// heads, vocabulary, and a tied head where the file has no head. The rest is the page's.
[[nodiscard]] DecoderSpec gguf_sizes(const MetaReader& meta);

}  // namespace freehold
