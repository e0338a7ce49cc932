// Apertus: RMS norms before each branch, an RMS norm on each head of q and k, an MLP without a gate whose activation is
// xIELU with numbers of its own in every layer.
#include <algorithm>

#include "../page_parts.h"

namespace freehold {
namespace {

constexpr ConfigDefaults kDefaults{1e-5, 12000000.0, 65536, false, "silu"};

constexpr std::array<TensorRow, 13> kTensors{{
    {Role::token_embd, "token_embd", "@embed_tokens"},
    {Role::attn_norm, "blk.{}.attn_norm", "@layers.{}.attention_layernorm"},
    {Role::q, "blk.{}.attn_q", "@layers.{}.self_attn.q_proj", Presence::if_present},
    {Role::k, "blk.{}.attn_k", "@layers.{}.self_attn.k_proj", Presence::if_present},
    {Role::v, "blk.{}.attn_v", "@layers.{}.self_attn.v_proj", Presence::if_present},
    {Role::attn_out, "blk.{}.attn_output", "@layers.{}.self_attn.o_proj", Presence::if_present},
    {Role::q_norm, "blk.{}.attn_q_norm", "@layers.{}.self_attn.q_norm"},
    {Role::k_norm, "blk.{}.attn_k_norm", "@layers.{}.self_attn.k_norm"},
    {Role::mlp_norm, "blk.{}.ffn_norm", "@layers.{}.feedforward_layernorm"},
    {Role::up, "blk.{}.ffn_up", "@layers.{}.mlp.up_proj"},
    {Role::down, "blk.{}.ffn_down", "@layers.{}.mlp.down_proj"},
    {Role::final_norm, "output_norm", "@norm"},
    {Role::head, "output", "lm_head"},
}};

void common(DecoderSpec& s) {
    s.family = "apertus";
    s.qk_norm = QkNorm::per_head;
    s.gated_mlp = false;
    s.activation = Activation::none;
}

// A tensor of one number, under either prefix.
float number(const MetaReader& m, int layer, std::string_view name, bool required, float otherwise) {
    const std::string stem = "layers." + std::to_string(layer) + ".mlp.act_fn." + std::string(name);
    for (const std::string_view prefix : kModelPrefixes) {
        const Tensor* const t = m.files().find_tensor(std::string(prefix) + stem);
        if (t == nullptr) continue;
        if (t->shape().numel() != 1)
            m.refuse("hidden_act",
                     "is xielu, but tensor '" + stem + "' is " + t->shape().str() + " and not one number");
        return t->to_f32().f32()[0];
    }
    if (required) m.refuse("hidden_act", "is xielu, but tensor '" + stem + "' is missing");
    return otherwise;
}

DecoderSpec read_hf(const MetaReader& m) {
    if (const std::string act = m.text("hidden_act").value_or("xielu"); act != "xielu")
        m.not_handled("hidden_act", "is \"" + act + "\" where xielu was expected");
    // Its own activation is no entry of the shared table, so the shared reading is not asked for it.
    ConfigDefaults defaults = kDefaults;
    defaults.activation = nullptr;
    DecoderSpec s = hf_llama_like(m, defaults);
    common(s);
    for (int l = 0; l < s.n_layers; ++l) {
        s.xielu.push_back({number(m, l, "alpha_p", true, 0), number(m, l, "alpha_n", true, 0),
                           number(m, l, "beta", false, 0.5F), number(m, l, "eps", false, -1e-6F)});
    }
    return s;
}

// One number a layer; the keys have no prefix.
std::vector<float> listed(const ModelFiles& files, const std::string& key, int n_layers) {
    const MetaReader m(files, "");
    const Value* const v = m.raw(key);
    if (v == nullptr) m.refuse(key, "is missing");
    std::vector<float> out;
    for (int l = 0; l < n_layers; ++l) {
        const std::optional<double> x = v->as_double() ? v->as_double()
                                        : v->size() == static_cast<std::size_t>(n_layers)
                                            ? v->at(static_cast<std::size_t>(l)).as_double()
                                            : std::nullopt;
        if (!x) m.refuse(key, "does not have one number for each of " + std::to_string(n_layers) + " layers");
        out.push_back(static_cast<float>(*x));
    }
    return out;
}

DecoderSpec read_gguf(const MetaReader& m) {
    DecoderSpec s = gguf_llama_like(m, kDefaults);
    common(s);
    const auto p = listed(m.files(), "xielu.alpha_p", s.n_layers), n = listed(m.files(), "xielu.alpha_n", s.n_layers),
               beta = listed(m.files(), "xielu.beta", s.n_layers), eps = listed(m.files(), "xielu.eps", s.n_layers);
    for (std::size_t l = 0; l < p.size(); ++l) s.xielu.push_back({p[l], n[l], beta[l], eps[l]});
    return s;
}

constexpr std::array<std::string_view, 1> kNames{"apertus"};
constexpr std::array<std::string_view, 3> kSkipped{"rotary_emb.inv_freq", "rope_freqs.weight", ".mlp.act_fn."};

}  // namespace

extern const Family family_apertus;
const Family family_apertus{"apertus", kNames, kNames, kModelPrefixes, kSkipped, &by_container<&read_hf, &read_gguf>,
                            kTensors};

}  // namespace freehold
