// What pages of families share: the table of a decoder of Llama's shape, and readings that many configs spell alike.
#pragma once

#include <array>
#include <vector>

#include "family.h"
#include "rope_scaling.h"

namespace freehold {

// Llama's tensors, and those of everything that has its shape. Biases are taken as the blueprint says (attn_bias,
// mlp_bias).
inline constexpr std::array<TensorRow, 12> kLlamaTensors{{
    {Role::token_embd, "token_embd", "@embed_tokens"},
    {Role::attn_norm, "blk.{}.attn_norm", "@layers.{}.input_layernorm"},
    {Role::q, "blk.{}.attn_q", "@layers.{}.self_attn.q_proj", Presence::if_present},
    {Role::k, "blk.{}.attn_k", "@layers.{}.self_attn.k_proj", Presence::if_present},
    {Role::v, "blk.{}.attn_v", "@layers.{}.self_attn.v_proj", Presence::if_present},
    {Role::attn_out, "blk.{}.attn_output", "@layers.{}.self_attn.o_proj", Presence::if_present},
    {Role::mlp_norm, "blk.{}.ffn_norm", "@layers.{}.post_attention_layernorm"},
    {Role::gate, "blk.{}.ffn_gate", "@layers.{}.mlp.gate_proj", Presence::if_present},
    {Role::up, "blk.{}.ffn_up", "@layers.{}.mlp.up_proj", Presence::if_present},
    {Role::down, "blk.{}.ffn_down", "@layers.{}.mlp.down_proj", Presence::if_present},
    {Role::final_norm, "output_norm", "@norm"},
    {Role::head, "output", "lm_head"},
}};
// RMS norms of q and k, of each head or over the whole width.
inline constexpr std::array<TensorRow, 2> kQkNormTensors{{
    {Role::q_norm, "blk.{}.attn_q_norm", "@layers.{}.self_attn.q_norm"},
    {Role::k_norm, "blk.{}.attn_k_norm", "@layers.{}.self_attn.k_norm"},
}};
// Gemma 2 and 3: norms before and behind each branch.
inline constexpr std::array<TensorRow, 14> kSandwichTensors{{
    {Role::token_embd, "token_embd", "@embed_tokens"},
    {Role::attn_norm, "blk.{}.attn_norm", "@layers.{}.input_layernorm"},
    {Role::q, "blk.{}.attn_q", "@layers.{}.self_attn.q_proj", Presence::if_present},
    {Role::k, "blk.{}.attn_k", "@layers.{}.self_attn.k_proj", Presence::if_present},
    {Role::v, "blk.{}.attn_v", "@layers.{}.self_attn.v_proj", Presence::if_present},
    {Role::attn_out, "blk.{}.attn_output", "@layers.{}.self_attn.o_proj", Presence::if_present},
    {Role::attn_post_norm, "blk.{}.post_attention_norm", "@layers.{}.post_attention_layernorm"},
    {Role::mlp_norm, "blk.{}.ffn_norm", "@layers.{}.pre_feedforward_layernorm"},
    {Role::gate, "blk.{}.ffn_gate", "@layers.{}.mlp.gate_proj"},
    {Role::up, "blk.{}.ffn_up", "@layers.{}.mlp.up_proj"},
    {Role::down, "blk.{}.ffn_down", "@layers.{}.mlp.down_proj"},
    {Role::mlp_post_norm, "blk.{}.post_ffw_norm", "@layers.{}.post_feedforward_layernorm"},
    {Role::final_norm, "output_norm", "@norm"},
    {Role::head, "output", "lm_head"},
}};
// Experts as most families name them.
inline constexpr std::array<TensorRow, 4> kExpertTensors{{
    {Role::router, "blk.{}.ffn_gate_inp", "@layers.{}.mlp.gate"},
    {Role::gate_exp, "blk.{}.ffn_gate_exps", "@layers.{}.mlp.experts.#.gate_proj"},
    {Role::up_exp, "blk.{}.ffn_up_exps", "@layers.{}.mlp.experts.#.up_proj"},
    {Role::down_exp, "blk.{}.ffn_down_exps", "@layers.{}.mlp.experts.#.down_proj"},
}};
template <std::size_t... N>
constexpr auto joined(const std::array<TensorRow, N>&... tables) {
    std::array<TensorRow, (N + ...)> all{};
    std::size_t at = 0;
    const auto add = [&](const auto& table) {
        for (const TensorRow& row : table) all[at++] = row;
    };
    (add(tables), ...);
    return all;
}
inline constexpr std::array<std::string_view, 2> kModelPrefixes{"model.", ""};
inline constexpr std::array<std::string_view, 4> kRotarySkipped{"rotary_emb.inv_freq", "rope_freqs.weight",
                                                                "attn_rot_embd", "attn_rot_freqs"};

// Defaults of a family's config.json that differ from one family to another.
struct ConfigDefaults {
    double eps = 1e-6;
    double theta = 10000.0;
    int context = 2048;
    bool tied = false;
    const char* activation = "silu";
};
// A blueprint with what Hugging Face configs of Llama's shape say under the same keys: sizes, heads, epsilon,
// activation (unless the defaults name none), biases ("attention_bias", "mlp_bias"), a tied head. Rotation 0 is read
// and given to every layer; partial_rotary: of the part of a head that partial_rotary_factor says.
[[nodiscard]] DecoderSpec hf_llama_like(const MetaReader& meta, const ConfigDefaults& defaults,
                                        bool partial_rotary = false);
// The same from a GGUF file; eps_key as families differ in it.
[[nodiscard]] DecoderSpec gguf_llama_like(const MetaReader& meta, const ConfigDefaults& defaults,
                                          std::string_view eps_key = "attention.layer_norm_rms_epsilon");
// Layer by layer: true where it has a window.
using Slides = std::vector<bool>;
// Every n-th layer sees everything, the others have a window; 0: all have one.
[[nodiscard]] Slides every(int n_layers, int pattern);
// "layer_types" of a config.json (Error{unsupported} for other kinds than full and sliding attention), or `otherwise`
// where it has none.
[[nodiscard]] Slides hf_slides(const MetaReader& meta, int n_layers, Slides otherwise);
// "attention.sliding_window_pattern": a list of flags, or a number as in every(); `pattern` where it says nothing.
[[nodiscard]] Slides gguf_slides(const MetaReader& meta, int n_layers, int pattern);
// Gives the layers their windows.
void set_windows(DecoderSpec& spec, const Slides& slides, int window);

// Qwen2 and 3: with "use_sliding_window", the layers from "max_window_layers" on have a window.
void hf_upper_windows(DecoderSpec& spec, const MetaReader& meta);
// Every layer gets n experts of width d_ff, of which a token uses `used`, weighed by a softmax over all of them.
void set_experts(DecoderSpec& spec, int n, int used, int d_ff, bool renormalize);
// The same as GGUF files say it; absent "expert_count" or 0: no experts.
void gguf_experts(DecoderSpec& spec, const MetaReader& meta, bool renormalize);

// For configs that spell their sizes in their own way: width of a head from width and heads, Error{bad_file} naming
// `key` where they do not divide; scale of scores; layers with these heads, without rotation or window.
void even_heads(DecoderSpec& spec, const MetaReader& meta, std::string_view key, int n_kv_heads);
// Reads by container: the page's reader for folders, or the one for GGUF files.
template <DecoderSpec (*Hf)(const MetaReader&), DecoderSpec (*Gguf)(const MetaReader&)>
DecoderSpec by_container(const ModelFiles& files) {
    if (files.container() == Container::hf) return Hf(MetaReader(files, ""));
    return Gguf(MetaReader(files, files.architecture() + "."));
}

}  // namespace freehold
