// DeepSeek V2, V2-Lite, V3 and R1: latent attention, whose cache holds one short row for all heads, and after some
// dense layers many small experts beside one that every token goes through.
#include "../page_parts.h"

namespace freehold {
namespace {

constexpr Layout kPlain = Layout::plain, kLatent = Layout::fused_latent, kBoth = Layout::fused_kv_b;
constexpr Presence kNone = Presence::absent;

constexpr std::array<TensorRow, 24> kOwn{{
    {Role::token_embd, "token_embd", "@embed_tokens"},
    {Role::attn_norm, "blk.{}.attn_norm", "@layers.{}.input_layernorm"},
    {Role::q_a, "blk.{}.attn_q_a", "@layers.{}.self_attn.q_a_proj"},
    {Role::q_a_norm, "blk.{}.attn_q_a_norm", "@layers.{}.self_attn.q_a_layernorm"},
    {Role::q, "blk.{}.attn_q_b", "@layers.{}.self_attn.q_b_proj"},
    {Role::q, "blk.{}.attn_q", "@layers.{}.self_attn.q_proj"},
    {Role::kv_latent, "blk.{}.attn_kv_a_mqa", "@layers.{}.self_attn.kv_a_proj_with_mqa", kNone, kLatent, kLatent},
    {Role::k_rope, "blk.{}.attn_kv_a_mqa", "@layers.{}.self_attn.kv_a_proj_with_mqa", kNone, kLatent, kLatent},
    {Role::kv_norm, "blk.{}.attn_kv_a_norm", "@layers.{}.self_attn.kv_a_layernorm"},
    {Role::k_b, "blk.{}.attn_k_b", "@layers.{}.self_attn.kv_b_proj", kNone, kBoth, kPlain},
    {Role::v_b, "blk.{}.attn_v_b", "@layers.{}.self_attn.kv_b_proj", kNone, kBoth, kPlain},
    // Older GGUF files keep both in one tensor.
    {Role::k_b, "blk.{}.attn_kv_b", "@layers.{}.self_attn.kv_b_proj", kNone, kBoth, kBoth},
    {Role::v_b, "blk.{}.attn_kv_b", "@layers.{}.self_attn.kv_b_proj", kNone, kBoth, kBoth},
    {Role::attn_out, "blk.{}.attn_output", "@layers.{}.self_attn.o_proj"},
    {Role::mlp_norm, "blk.{}.ffn_norm", "@layers.{}.post_attention_layernorm"},
    {Role::gate, "blk.{}.ffn_gate", "@layers.{}.mlp.gate_proj"},
    {Role::up, "blk.{}.ffn_up", "@layers.{}.mlp.up_proj"},
    {Role::down, "blk.{}.ffn_down", "@layers.{}.mlp.down_proj"},
    {Role::final_norm, "output_norm", "@norm"},
    {Role::head, "output", "lm_head"},
    {Role::router_bias, "blk.{}.exp_probs_b", "@layers.{}.mlp.gate.e_score_correction_bias"},
    {Role::gate_shared, "blk.{}.ffn_gate_shexp", "@layers.{}.mlp.shared_experts.gate_proj"},
    {Role::up_shared, "blk.{}.ffn_up_shexp", "@layers.{}.mlp.shared_experts.up_proj"},
    {Role::down_shared, "blk.{}.ffn_down_shexp", "@layers.{}.mlp.shared_experts.down_proj"},
}};
constexpr auto kTensors = joined(kOwn, kExpertTensors);

// What follows from the sizes of latent and heads.
void set_latent(DecoderSpec& s, RopeSpec rope) {
    const LatentSpec& a = s.latent;
    s.head_dim = a.kv_rank + a.rope;
    s.v_dim = a.kv_rank;
    s.attn_scale = static_cast<float>(fh_pow(a.nope + a.rope, -0.5));
    s.ropes = {std::move(rope)};
    s.layers.assign(static_cast<std::size_t>(s.n_layers), {0, 0, 1});
}

// Scores of a stretched model are made larger twice: for the query and for the key.
void stretch_scores(DecoderSpec& s, double amplitude) {
    s.attn_scale = static_cast<float>(fh_pow(s.latent.nope + s.latent.rope, -0.5) * amplitude * amplitude);
}

void expect(const MetaReader& m, std::string_view key, std::string_view value) {
    const std::string is = m.text(key).value_or(std::string(value));
    if (is != value) m.not_handled(key, "is \"" + is + "\" where \"" + std::string(value) + "\" was expected");
}

// Every layer from `dense` on has experts.
void set_sparse(DecoderSpec& s, int dense, int shared) {
    for (int l = 0; l < s.n_layers; ++l) s.layers[static_cast<std::size_t>(l)].experts = l >= dense;
    s.d_ff_shared = shared * s.d_ff_expert;
}

void hf_experts(DecoderSpec& s, const MetaReader& m, bool third) {
    if (m.whole_or("moe_layer_freq", 1, 1, 4096) != 1) m.not_handled("moe_layer_freq", "is not 1");
    set_experts(s, m.whole("n_routed_experts", 1, 1 << 14), m.whole("num_experts_per_tok", 1, 1 << 14),
                m.whole("moe_intermediate_size", 1, 1 << 20), third && m.flag_or("norm_topk_prob", true));
    set_sparse(s, m.whole_or("first_k_dense_replace", third ? 3 : 0, 0, 4096),
               m.whole_or("n_shared_experts", third ? 1 : 2, 1, 1024));
    Routing& r = s.routing;
    r.scale = static_cast<float>(m.real_or("routed_scaling_factor", third ? 2.5 : 1.0, 1e-6, 1e6));
    const auto groups = [&] {
        r.n_groups = m.whole_or("n_group", third ? 8 : 1, 1, 1 << 14);
        r.n_groups_kept = m.whole_or("topk_group", third ? 4 : 1, 1, 1 << 14);
    };
    if (third) {
        expect(m, "scoring_func", "sigmoid");
        expect(m, "topk_method", "noaux_tc");
        r.score = RouterScore::sigmoid;
        r.group_score = GroupScore::best_two;
        r.epsilon = 1e-20F;
        s.router_bias = Presence::required;
        groups();
        return;
    }
    expect(m, "scoring_func", "softmax");
    // Its makers scale such weights in one way and transformers in another.
    if (m.flag_or("norm_topk_prob", false)) m.not_handled("norm_topk_prob", "is true");
    if (m.text("topk_method").value_or("greedy") == "greedy") return;
    expect(m, "topk_method", "group_limited_greedy");
    groups();
}

DecoderSpec read_hf(const MetaReader& m) {
    const bool third = m.files().architecture() == "deepseek_v3";
    DecoderSpec s;
    s.family = "deepseek";
    s.n_layers = m.whole("num_hidden_layers", 1, 4096);
    s.d_model = m.whole("hidden_size", 1, 1 << 17);
    s.d_ff = m.whole("intermediate_size", 1, 1 << 20);
    s.n_heads = m.whole("num_attention_heads", 1, 1024);
    s.vocab = vocab_of(m, "vocab_size", "embed_tokens.weight");
    s.context = m.whole_or("max_position_embeddings", third ? 4096 : 2048, 1, 1 << 24);
    s.norm_eps = static_cast<float>(m.real_or("rms_norm_eps", 1e-6, 0, 1));
    s.tied_head = m.flag_or("tie_word_embeddings", false);
    s.activation = activation_named(m, "hidden_act", "silu");
    if (m.flag_or("attention_bias", false)) m.not_handled("attention_bias", "is true");
    s.latent = {m.whole("kv_lora_rank", 1, 1024), m.has("q_lora_rank") ? m.whole("q_lora_rank", 1, 1 << 17) : 0,
                m.whole("qk_nope_head_dim", 1, 1024), m.whole("qk_rope_head_dim", 2, 1024),
                m.whole("v_head_dim", 1, 1024)};
    RopeSpec rope = read_hf_rope(m, "rope_parameters", "rope_theta", "rope_scaling", 10000.0, s.latent.rope, s.context);
    rope.interleaved = !third || m.flag_or("rope_interleave", true);
    set_latent(s, std::move(rope));
    const std::string at = m.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
    const std::string type = m.text(at + ".rope_type").value_or(m.text(at + ".type").value_or("default"));
    if (const double all = m.real_or(at + ".mscale_all_dim", 0, 0, 1e3); type != "default" && all > 0)
        stretch_scores(s, yarn_amplitude(m.real(at + ".factor", 1e-6, 1e6), all));
    hf_experts(s, m, third);
    if (third) s.more_layers = m.whole_or("num_nextn_predict_layers", 1, 0, 64);
    return s;
}

DecoderSpec read_gguf(const MetaReader& m) {
    DecoderSpec s = gguf_sizes(m);
    s.family = "deepseek";
    s.context = m.whole_or("context_length", 4096, 1, 1 << 24);
    s.norm_eps = static_cast<float>(m.real_or("attention.layer_norm_rms_epsilon", 1e-6, 0, 1));
    // Files of the newer form say the cache's row in these keys, and the heads beside them.
    const bool absorbed = m.has("attention.key_length_mla");
    const int whole = m.whole(absorbed ? "attention.key_length_mla" : "attention.key_length", 3, 2048);
    const int rope = m.whole("rope.dimension_count", 2, whole - 1);
    s.latent = {m.whole("attention.kv_lora_rank", 1, 1024), m.whole_or("attention.q_lora_rank", 0, 0, 1 << 17),
                whole - rope, rope,
                m.whole(absorbed ? "attention.value_length_mla" : "attention.value_length", 1, 1024)};
    RopeSpec rotation = read_gguf_rope(m, 10000.0, rope, s.context);
    rotation.interleaved = true;
    const double multiplier = m.real_or("rope.scaling.yarn_log_multiplier", 0, 0, 100);
    const bool stretched = !rotation.divisors.empty() && multiplier > 0;
    // Both amplitudes of yarn are the same number in every model of the family, and the rotation's is their quotient.
    if (stretched && !m.has("rope.scaling.yarn_attn_factor")) rotation.attn_factor = 1.0;
    set_latent(s, std::move(rotation));
    if (stretched) stretch_scores(s, yarn_amplitude(m.real("rope.scaling.factor", 1e-6, 1e6), multiplier * 10));
    gguf_experts(s, m, false);
    if (s.routing.n_experts == 0) return s;
    set_sparse(s, m.whole_or("leading_dense_block_count", 0, 0, 4096), m.whole_or("expert_shared_count", 0, 0, 1024));
    Routing& r = s.routing;
    const int gating = m.whole_or("expert_gating_func", 1, 0, 100);
    if (gating != 1 && gating != 2) m.not_handled("expert_gating_func", "is neither 1 (softmax) nor 2 (sigmoid)");
    if (gating == 2) {
        r.score = RouterScore::sigmoid;
        r.group_score = GroupScore::best_two;
        r.epsilon = 1e-20F;
    }
    s.router_bias = Presence::if_present;
    r.n_groups = m.whole_or("expert_group_count", 1, 1, 1 << 14);
    r.n_groups_kept = m.whole_or("expert_group_used_count", r.n_groups, 1, 1 << 14);
    return s;
}

constexpr std::array<std::string_view, 1> kGguf{"deepseek2"};
constexpr std::array<std::string_view, 2> kHf{"deepseek_v2", "deepseek_v3"};

}  // namespace

extern const Family family_deepseek;
const Family family_deepseek{
    "deepseek", kGguf, kHf, kModelPrefixes, kRotarySkipped, &by_container<&read_hf, &read_gguf>, kTensors};

}  // namespace freehold
