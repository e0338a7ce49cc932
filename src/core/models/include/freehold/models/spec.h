// The blueprint of a decoder (or of an encoder, which is one without a mask and a head): plain switches and sizes,
// filled by a family's page from GGUF keys or a config.json. Every field says what it does; the forward pass reads
// nothing else about a model.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "freehold/kernels/kernels.h"
#include "freehold/ops/experts.h"

namespace freehold {

enum class NormPlace : std::uint8_t {
    pre,       // x += f(norm(x))                 Llama, GPT-2
    post,      // x += norm(f(x))                 OLMo 2
    sandwich,  // x += norm2(f(norm1(x)))         Gemma 2 and 3
    post_add,  // x = norm(x + f(x))              BERT, OPT-350m
};
enum class Positions : std::uint8_t {
    none,
    learned,
    sinusoidal,  // as learned ones, by a formula: sines of all frequencies, then cosines (Marian)
    rope,
    alibi,  // a slope a head times the distance to the key is added to the score (Press and others, arXiv:2108.12409)
    relative,  // a number for each head and bucket of distances is added to the score (T5)
};
enum class QkNorm : std::uint8_t { none, per_head, whole_width };
enum class Presence : std::uint8_t { if_present, required, absent };

struct RopeSpec {
    int n_dims = 0;  // rotated dimensions of a head (head_dim unless partial)
    bool interleaved =
        false;  // pairs (2i, 2i+1); a property of family AND container (GGUF llama: true, HF llama: false)
    double theta = 10000.0;
    double factor = 1.0;          // linear: angle / factor
    std::vector<float> divisors;  // per pair, explicit (llama3 scaling, longrope, rope_freqs.weight); empty: all 1
    double attn_factor = 1.0;     // multiplies cos and sin (yarn, longrope)
    // What sequences longer than `original_context` are rotated by (settle_context). A model that was asked for no more
    // is rotated as its makers rotate what is shorter.
    int original_context = 0;
    std::vector<float> long_divisors;  // longrope: instead of `divisors`; empty: none
    double dynamic_factor = 0;         // dynamic: theta grows with the context asked for; 0: it does not
};

struct LayerSpec {
    int window = 0;        // 0: full attention
    int rope = 0;          // index into DecoderSpec::ropes, -1: no rotation in this layer
    int n_kv_heads = 0;    // may differ by layer
    bool experts = false;  // a mixture of experts (DecoderSpec::routing) in the place of the MLP
};

// The numbers of a layer's xIELU as files hold them: alpha_p = softplus(raw_p), alpha_n = beta + softplus(raw_n).
struct XieluSpec {
    float raw_p = 0, raw_n = 0, beta = 0.5F, eps = -1e-6F;
};

// Latent attention (DeepSeek-AI 2024, arXiv:2405.04434): keys and values of all heads come from one short latent, which
// is what the cache holds, beside one rotated part that all heads share. head_dim, v_dim and the KV heads of the layers
// then say what a row of the cache is: one key [latent | rotated], whose first numbers are the value too.
struct LatentSpec {
    int kv_rank = 0;                // width of the latent; 0: no latent attention
    int q_rank = 0;                 // queries come from a latent of their own; 0: from the row itself
    int nope = 0, rope = 0, v = 0;  // of a head: numbers of q and k that do not rotate and that do, and those of v
    float norm_eps = 1e-6F;         // of the norms of both latents
};

struct DecoderSpec {
    std::string family;  // "llama", "gemma3", "gpt2"
    int n_layers = 0;
    int more_layers = 0;  // behind these, in some files: they guess at later tokens and are not computed (DeepSeek V3)
    int d_model = 0;
    int d_embed =
        0;  // width of embedding and head where a projection lies between them and the layers (OPT-350m); 0: none
    int n_heads = 0, head_dim = 0, v_dim = 0;
    int d_ff = 0;
    int vocab = 0;
    int context = 0;                // longest position the model was made for
    std::vector<LayerSpec> layers;  // [n_layers]

    Positions positions = Positions::rope;
    int position_offset = 0;  // learned positions: row = position + offset
    int token_types = 0;      // rows of the table of token types that is added to the embedding (BERT); 0: none
    std::vector<RopeSpec> ropes;
    float alibi_max_bias = 8.0F;  // the slope of head h of n (a power of two, from 1) is scale * 2^(-max_bias h / n)
    float alibi_scale = 1.0F;
    int relative_buckets = 0;   // relative positions: rows of the table, which all layers share
    int relative_distance = 0;  // from which on all distances are one

    float embed_scale = 1.0F;
    bool embed_norm = false;  // a norm on the embedding before the first layer (BERT)
    NormKind norm = NormKind::rms;
    NormPlace norm_place = NormPlace::pre;
    bool norm_weight_plus_one = false;  // Gemma from HF: multiply by 1 + w (its GGUF has the 1 added already)
    bool norm_params = true;            // false: norms have no weight and no bias (OLMo 1)
    float norm_eps = 1e-5F;
    bool final_norm = true;
    LatentSpec latent;
    QkNorm qk_norm = QkNorm::none;
    bool parallel_residual = false;  // x += attention(norm(x)) + mlp(norm2(x)), both from the same x
    bool shared_norm = false;        // with parallel_residual: one norm feeds both branches (GPT-J, Falcon 7B)

    float attn_scale = 0;                      // multiplies q·k; families set head_dim^-0.5 or what their config says
    bool attn_scale_by_inverse_layer = false;  // GPT-2's switch: layer L (from 0) divides the scale by L + 1
    float attn_softcap = 0;
    bool attn_sinks = false;  // a learned score of each head in every softmax, without a value (gpt-oss)
    float qkv_clamp = 0;

    Activation activation = Activation::silu;
    bool gated_mlp = true;
    std::vector<XieluSpec> xielu;  // [n_layers]: instead of `activation` (Apertus); empty: no such thing

    Routing routing;                          // n_experts 0: no layer has experts
    Presence router_bias = Presence::absent;  // numbers added to the router's scores for choosing alone (DeepSeek V3)
    int d_ff_expert = 0;                      // width of one expert's MLP, gated
    bool expert_biases = false;               // biases of the router and of all three linears of an expert (gpt-oss)
    bool clamped_glu = false;                 // experts gate by `glu` instead of `activation` (gpt-oss)
    ClampedGlu glu;
    int d_ff_shared = 0;  // width of the MLP that every row goes through beside its experts (DeepSeek); 0: none

    bool tied_head = false;
    float logit_scale = 1.0F;
    float final_softcap = 0;
    bool causal = true;
    bool has_head = true;  // false: an encoder, whose rows behind the last layer are the result
    int n_labels = 0;      // a classifier on the first row (pooler, tanh, classifier) gives so many scores; 0: none

    // An encoder-decoder: the encoder of the texts that this decoder's layers look at through a cross-attention each,
    // with the decoder's own heads and no positions; or null.
    std::shared_ptr<const DecoderSpec> encoder;
    bool logit_bias = false;  // a number a token is added to the logits (Marian)

    // Biases of the linears of attention and MLP: what the file's metadata says about them, or "if they are there".
    Presence attn_bias = Presence::if_present;
    Presence mlp_bias = Presence::if_present;
};

// Fits rotations to the context that is asked for (0: as much as the model has without stretching): long divisors of
// longrope and theta of dynamic scaling are chosen here, once, so that the same key has the same bits in every batch.
void settle_context(DecoderSpec& spec, int wanted);

// Refuses what no model of this shape can be (sizes of 0, heads that do not divide, numbers that are not finite) and
// what would take absurd memory, before any is taken. Error{bad_file} naming `file` and the field.
void check_spec(const DecoderSpec& spec, const std::string& file);

// Parameters of all experts of all layers; n_used / n_experts of them compute a token. 0: there are none.
[[nodiscard]] std::uint64_t expert_parameters(const DecoderSpec& spec) noexcept;

}  // namespace freehold
