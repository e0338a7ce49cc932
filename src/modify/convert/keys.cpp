// A blueprint as GGUF keys and as a config.json. What a reader makes of them is compared with the blueprint afterwards
// (check_same), so that a switch that has no key here is a refusal and not another model.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "freehold/base/error.h"
#include "parts.h"

namespace freehold::convert {
namespace {

constexpr std::string_view kSmallGelu = "gelu_new";

const Value* scaling_of(const ModelFiles& files) {
    for (const char* key : {"rope_scaling", "rope_parameters.full_attention", "rope_parameters"}) {
        const Value* v = find(files.meta(), key);
        if (v != nullptr && v->get<ValueMap>() != nullptr) return v;
    }
    return nullptr;
}

std::string scaling_type(const ModelFiles& files) {
    const Value* v = scaling_of(files);
    const auto* map = v == nullptr ? nullptr : v->get<ValueMap>();
    if (map == nullptr) return "default";
    for (const char* key : {"rope_type", "type"})
        if (const Value* t = map->find(key)) return std::string(t->as_string().value_or("default"));
    return "default";
}

std::string_view activation_name(Activation a) {
    switch (a) {
        case Activation::relu:
            return "relu";
        case Activation::gelu_tanh:
            return "gelu_pytorch_tanh";
        case Activation::gelu_erf:
            return "gelu";
        case Activation::quick_gelu:
            return "quick_gelu";
        default:
            return "silu";
    }
}

double real(float f) {
    // The shortest decimal number that reads back as this float: 1e-5 and not 9.999999747378752e-06.
    return std::stod(fmt::format("{}", f));
}

bool windows_vary(const DecoderSpec& s) {
    return std::any_of(s.layers.begin(), s.layers.end(),
                       [&](const LayerSpec& l) { return l.window != s.layers.front().window; });
}

int largest_window(const DecoderSpec& s) {
    int window = 0;
    for (const LayerSpec& l : s.layers) window = std::max(window, l.window);
    return window;
}

void rope_keys(ValueMap& keys, const std::string& a, const ModelFiles& files, const DecoderSpec& s) {
    if (s.positions != Positions::rope || s.ropes.empty()) return;
    const RopeSpec& r = s.ropes.front();
    keys.set(a + "rope.dimension_count", Value(r.n_dims));
    keys.set(a + "rope.freq_base", Value(r.theta));
    if (s.ropes.size() > 1) keys.set(a + "rope.freq_base_swa", Value(s.ropes[1].theta));
    if (r.factor != 1) {
        keys.set(a + "rope.scaling.type", "linear");
        keys.set(a + "rope.scaling.factor", Value(r.factor));
    }
    if (scaling_type(files) != "yarn") return;
    const ValueMap& from = *scaling_of(files)->get<ValueMap>();
    keys.set(a + "rope.scaling.type", "yarn");
    const auto carry = [&](const char* hf, const char* gguf) {
        if (const Value* v = from.find(hf); v != nullptr && v->as_double())
            keys.set(a + gguf, v->as_int() ? Value(*v->as_int()) : Value(*v->as_double()));
    };
    if (const Value* v = from.find("factor"); v != nullptr && v->as_double())
        keys.set(a + "rope.scaling.factor", Value(*v->as_double()));
    carry("original_max_position_embeddings", "rope.scaling.original_context_length");
    for (const auto& [hf, gguf] : {std::pair{"beta_fast", "rope.scaling.yarn_beta_fast"},
                                   std::pair{"beta_slow", "rope.scaling.yarn_beta_slow"}}) {
        if (const Value* v = from.find(hf); v != nullptr && v->as_double()) keys.set(a + gguf, Value(*v->as_double()));
    }
    // GGUF multiplies cos and sin by 0.1 ln(factor) + 1 itself.
    const double factor = from.find("factor") == nullptr ? 1 : from.find("factor")->as_double().value_or(1);
    const double usual = factor <= 1 ? 1 : 0.1 * std::log(factor) + 1;
    if (std::abs(r.attn_factor / usual - 1) > 1e-7)
        keys.set(a + "rope.scaling.yarn_attn_factor", Value(r.attn_factor / usual));
}

}  // namespace

ValueMap gguf_keys(const ModelFiles& files, const Family& family, const DecoderSpec& s, const std::string& name) {
    ValueMap keys;
    const std::string arch(family.gguf_names.front());
    const std::string a = arch + ".";
    keys.set("general.architecture", arch);
    keys.set("general.type", "model");
    keys.set("general.name", name);
    keys.set(a + "block_count", Value(s.n_layers));
    keys.set(a + "context_length", Value(s.context));
    keys.set(a + "embedding_length", Value(s.d_model));
    keys.set(a + "feed_forward_length", Value(s.d_ff));
    keys.set(a + "vocab_size", Value(s.vocab));
    keys.set(a + "attention.head_count", Value(s.n_heads));
    const bool same_kv = std::all_of(s.layers.begin(), s.layers.end(),
                                     [&](const LayerSpec& l) { return l.n_kv_heads == s.layers.front().n_kv_heads; });
    if (same_kv) {
        keys.set(a + "attention.head_count_kv", Value(s.layers.front().n_kv_heads));
    } else {
        ValueList list;
        for (const LayerSpec& l : s.layers) list.emplace_back(l.n_kv_heads);
        keys.set(a + "attention.head_count_kv", std::move(list));
    }
    if (s.head_dim * s.n_heads != s.d_model || s.positions == Positions::rope) {
        keys.set(a + "attention.key_length", Value(s.head_dim));
        keys.set(a + "attention.value_length", Value(s.v_dim));
    }
    keys.set(a + (s.norm == NormKind::rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon"),
             Value(real(s.norm_eps)));
    if (const int window = largest_window(s); window > 0) {
        keys.set(a + "attention.sliding_window", Value(window));
        const bool sixth = windows_vary(s) && std::all_of(s.layers.begin(), s.layers.end(), [&](const LayerSpec& l) {
                               return (l.window == 0) == ((&l - s.layers.data() + 1) % 6 == 0);
                           });
        if (windows_vary(s) && !sixth) {
            ValueList slides;
            for (const LayerSpec& l : s.layers) slides.emplace_back(l.window > 0);
            keys.set(a + "attention.sliding_window_pattern", std::move(slides));
        }
    }
    if (s.routing.n_experts > 0) {
        keys.set(a + "expert_count", Value(s.routing.n_experts));
        keys.set(a + "expert_used_count", Value(s.routing.n_used));
        keys.set(a + "expert_feed_forward_length", Value(s.d_ff_expert));
        keys.set(a + "expert_weights_norm", Value(s.routing.renormalize));
        if (s.routing.scale != 1) keys.set(a + "expert_weights_scale", Value(real(s.routing.scale)));
    }
    if (s.final_softcap > 0) keys.set(a + "final_logit_softcapping", Value(real(s.final_softcap)));
    if (s.attn_softcap > 0) keys.set(a + "attn_logit_softcapping", Value(real(s.attn_softcap)));
    if (s.qkv_clamp > 0) keys.set(a + "attention.clamp_kqv", Value(real(s.qkv_clamp)));
    if (s.logit_scale != 1) keys.set(a + "logit_scale", Value(real(s.logit_scale)));
    rope_keys(keys, a, files, s);
    return keys;
}

std::optional<Tensor> rope_divisors(const ModelFiles& files, const DecoderSpec& s) {
    if (s.positions != Positions::rope || s.ropes.empty() || s.ropes.front().divisors.empty()) return std::nullopt;
    if (scaling_type(files) == "yarn") return std::nullopt;
    const auto& d = s.ropes.front().divisors;
    return Tensor::from_f32(Shape{static_cast<std::int64_t>(d.size())}, d);
}

namespace {

// Divisors in a GGUF file were made from llama3's scaling, whose numbers it does not keep: those that models use are
// tried.
std::optional<ValueMap> llama3_scaling(const RopeSpec& r) {
    for (const double factor : {8.0, 32.0, 16.0, 4.0}) {
        for (const std::int64_t original : {8192, 4096, 16, 32, 64}) {
            const double longest = static_cast<double>(original), shortest = static_cast<double>(original) / 4.0;
            bool same = true;
            for (std::size_t i = 0; same && i < r.divisors.size(); ++i) {
                const double f = std::pow(r.theta, -2.0 * static_cast<double>(i) / r.n_dims), w = 6.283185307179586 / f;
                double divisor = 1;
                if (w > longest) {
                    divisor = factor;
                } else if (w >= shortest) {
                    const double smooth = (static_cast<double>(original) / w - 1.0) / 3.0;
                    divisor = 1 / ((1 - smooth) / factor + smooth);
                }
                same = std::abs(divisor / static_cast<double>(r.divisors[i]) - 1) < 1e-5;
            }
            if (!same) continue;
            ValueMap map;
            map.set("rope_type", "llama3");
            map.set("factor", Value(factor));
            map.set("low_freq_factor", Value(1.0));
            map.set("high_freq_factor", Value(4.0));
            map.set("original_max_position_embeddings", Value(original));
            return map;
        }
    }
    return std::nullopt;
}

void rope_config(ValueMap& config, const ModelFiles& files, const DecoderSpec& s) {
    if (s.positions != Positions::rope || s.ropes.empty()) return;
    const RopeSpec& r = s.ropes.front();
    config.set("rope_theta", Value(r.theta));
    if (s.ropes.size() > 1) config.set("rope_local_base_freq", Value(s.ropes[1].theta));
    if (r.factor != 1) {
        ValueMap map;
        map.set("rope_type", "linear");
        map.set("factor", Value(r.factor));
        config.set("rope_scaling", std::move(map));
        return;
    }
    if (r.divisors.empty()) return;
    const std::string a = files.architecture() + ".rope.scaling.";
    const auto number = [&](const char* key) -> std::optional<double> {
        const Value* v = find(files.meta(), a + key);
        return v == nullptr ? std::nullopt : v->as_double();
    };
    const Value* type = find(files.meta(), a + "type");
    if (type != nullptr && type->as_string() == "yarn" && files.find_tensor("rope_freqs.weight") == nullptr) {
        ValueMap map;
        map.set("rope_type", "yarn");
        map.set("factor", Value(number("factor").value_or(1)));
        if (const auto n = number("original_context_length"))
            map.set("original_max_position_embeddings", Value(static_cast<std::int64_t>(*n)));
        map.set("beta_fast", Value(number("yarn_beta_fast").value_or(32)));
        map.set("beta_slow", Value(number("yarn_beta_slow").value_or(1)));
        map.set("attention_factor", Value(r.attn_factor));
        config.set("rope_scaling", std::move(map));
        return;
    }
    auto llama3 = llama3_scaling(r);
    if (!llama3)
        throw Error(ErrorKind::unsupported,
                    fmt::format("{}: the frequencies of tensor \"rope_freqs.weight\" come from no scaling that a "
                                "config.json can name.",
                                files.path().string()),
                    "Take the model as its maker published it.");
    config.set("rope_scaling", std::move(*llama3));
}

// qwen3_moe: Qwen3MoeForCausalLM.
std::string class_name_of(const std::string& model) {
    if (model == "gemma3_text") return "Gemma3ForCausalLM";
    std::string name;
    for (std::size_t i = 0; i < model.size(); ++i) {
        const bool first = i == 0 || model[i - 1] == '_';
        if (model[i] == '_') continue;
        name += first && model[i] >= 'a' && model[i] <= 'z' ? static_cast<char>(model[i] - 'a' + 'A') : model[i];
    }
    return name + "ForCausalLM";
}

}  // namespace

ValueMap config_json(const ModelFiles& files, const Family& family, const DecoderSpec& s, DType type) {
    ValueMap c;
    const std::string model(family.hf_names.front());
    c.set("model_type", model);
    if (model == "gpt2") {
        c.set("architectures", ValueList{Value("GPT2LMHeadModel")});
        c.set("n_layer", Value(s.n_layers));
        c.set("n_embd", Value(s.d_model));
        c.set("n_head", Value(s.n_heads));
        c.set("n_inner", Value(s.d_ff));
        c.set("n_positions", Value(s.context));
        c.set("layer_norm_epsilon", Value(real(s.norm_eps)));
        c.set("activation_function",
              std::string(s.activation == Activation::gelu_tanh ? kSmallGelu : activation_name(s.activation)));
    } else {
        c.set("architectures", ValueList{Value(class_name_of(model))});
        c.set("num_hidden_layers", Value(s.n_layers));
        c.set("hidden_size", Value(s.d_model));
        c.set("intermediate_size", Value(s.d_ff));
        c.set("num_attention_heads", Value(s.n_heads));
        c.set("num_key_value_heads", Value(s.layers.front().n_kv_heads));
        c.set("head_dim", Value(s.head_dim));
        c.set("max_position_embeddings", Value(s.context));
        c.set(s.norm == NormKind::rms ? "rms_norm_eps" : "layer_norm_eps", Value(real(s.norm_eps)));
        c.set(model.starts_with("gemma") ? "hidden_activation" : "hidden_act",
              std::string(activation_name(s.activation)));
        c.set("attention_bias", Value(files.find_tensor("blk.0.attn_q.bias") != nullptr));
        c.set("mlp_bias", Value(files.find_tensor("blk.0.ffn_up.bias") != nullptr));
        if (const int window = largest_window(s); window > 0) c.set("sliding_window", Value(window));
        if (windows_vary(s)) {
            ValueList types;
            for (const LayerSpec& l : s.layers)
                types.emplace_back(l.window > 0 ? "sliding_attention" : "full_attention");
            c.set("layer_types", std::move(types));
        }
        if (model.starts_with("gemma")) {
            const double scalar = 1.0 / (static_cast<double>(s.attn_scale) * static_cast<double>(s.attn_scale));
            const double whole = std::round(scalar);
            c.set("query_pre_attn_scalar",
                  std::abs(scalar / whole - 1) < 1e-5 ? Value(static_cast<std::int64_t>(whole)) : Value(scalar));
        }
        if (s.routing.n_experts > 0) {
            c.set("num_experts", Value(s.routing.n_experts));
            c.set("num_experts_per_tok", Value(s.routing.n_used));
            c.set("moe_intermediate_size", Value(s.d_ff_expert));
            c.set("norm_topk_prob", Value(s.routing.renormalize));
        }
        if (s.final_softcap > 0) c.set("final_logit_softcapping", Value(real(s.final_softcap)));
        if (s.attn_softcap > 0) c.set("attn_logit_softcapping", Value(real(s.attn_softcap)));
        if (s.qkv_clamp > 0) c.set("clip_qkv", Value(real(s.qkv_clamp)));
        rope_config(c, files, s);
    }
    c.set("vocab_size", Value(s.vocab));
    c.set("tie_word_embeddings", Value(s.tied_head));
    c.set("torch_dtype", type == DType::BF16 ? "bfloat16" : type == DType::F16 ? "float16" : "float32");
    return c;
}

void check_same(const DecoderSpec& a, const DecoderSpec& b, const std::string& what) {
    const auto differs = [&](const char* field) {
        throw Error(
            ErrorKind::unsupported,
            fmt::format("{} would not be the same model: its {} cannot be told in that container by this build.", what,
                        field),
            "Use the model in the container that it is in.");
    };
    const auto close = [](double x, double y) { return std::abs(x - y) <= 1e-6 * std::max(std::abs(x), std::abs(y)); };
    if (a.n_layers != b.n_layers || a.layers.size() != b.layers.size()) differs("number of layers");
    if (a.d_model != b.d_model || a.d_ff != b.d_ff || a.vocab != b.vocab) differs("width");
    if (a.n_heads != b.n_heads || a.head_dim != b.head_dim || a.v_dim != b.v_dim) differs("heads");
    if (a.context != b.context) differs("context");
    for (std::size_t i = 0; i < a.layers.size(); ++i) {
        const LayerSpec &x = a.layers[i], &y = b.layers[i];
        if (x.window != y.window) differs("window");
        if (x.n_kv_heads != y.n_kv_heads) differs("number of heads of keys and values");
        if (x.experts != y.experts) differs("choice of layers with experts");
        if (x.rope != y.rope) differs("choice of rotary frequencies by layer");
    }
    if (a.positions != b.positions || a.position_offset != b.position_offset) differs("kind of positions");
    if (a.ropes.size() != b.ropes.size()) differs("number of rotary bases");
    for (std::size_t i = 0; i < a.ropes.size(); ++i) {
        const RopeSpec &x = a.ropes[i], &y = b.ropes[i];
        if (x.n_dims != y.n_dims || !close(x.theta, y.theta)) differs("rotary base");
        if (!close(x.factor, y.factor) || !close(x.attn_factor, y.attn_factor)) differs("rotary scaling");
        const std::size_t n = std::max(x.divisors.size(), y.divisors.size());
        for (std::size_t d = 0; d < n; ++d) {
            const double p = d < x.divisors.size() ? static_cast<double>(x.divisors[d]) : 1.0,
                         q = d < y.divisors.size() ? static_cast<double>(y.divisors[d]) : 1.0;
            if (!close(p, q)) differs("rotary scaling");
        }
    }
    for (std::size_t i = 0; i < a.ropes.size(); ++i) {
        const RopeSpec &x = a.ropes[i], &y = b.ropes[i];
        if (x.long_divisors.size() != y.long_divisors.size() || !close(x.dynamic_factor, y.dynamic_factor))
            differs("rotary scaling");
        for (std::size_t d = 0; d < x.long_divisors.size(); ++d) {
            if (!close(x.long_divisors[d], y.long_divisors[d])) differs("rotary scaling");
        }
        const bool stretches = !x.long_divisors.empty() || x.dynamic_factor > 0;
        if (stretches && x.original_context != y.original_context) differs("rotary scaling");
    }
    if (a.positions == Positions::alibi &&
        (!close(a.alibi_max_bias, b.alibi_max_bias) || !close(a.alibi_scale, b.alibi_scale)))
        differs("slopes of positions");
    if (a.d_embed != b.d_embed || a.token_types != b.token_types) differs("embedding");
    if (a.norm_params != b.norm_params || a.shared_norm != b.shared_norm) differs("norms");
    if (a.xielu.size() != b.xielu.size()) differs("activation");
    for (std::size_t i = 0; i < a.xielu.size(); ++i) {
        const XieluSpec &x = a.xielu[i], &y = b.xielu[i];
        if (!close(x.raw_p, y.raw_p) || !close(x.raw_n, y.raw_n) || !close(x.beta, y.beta) || !close(x.eps, y.eps))
            differs("activation");
    }
    const Routing &p = a.routing, &q = b.routing;
    if (p.n_experts != q.n_experts || p.n_used != q.n_used || a.d_ff_expert != b.d_ff_expert ||
        a.d_ff_shared != b.d_ff_shared)
        differs("number of experts");
    if (p.score != q.score || p.renormalize != q.renormalize || !close(p.epsilon, q.epsilon) ||
        !close(p.scale, q.scale) || p.n_groups != q.n_groups || p.n_groups_kept != q.n_groups_kept ||
        p.group_score != q.group_score)
        differs("choice of experts");
    if (a.attn_sinks != b.attn_sinks || a.expert_biases != b.expert_biases) differs("sinks or biases of experts");
    if (a.clamped_glu != b.clamped_glu || !close(a.glu.alpha, b.glu.alpha) || !close(a.glu.limit, b.glu.limit))
        differs("gate of experts");
    if (!close(a.embed_scale, b.embed_scale)) differs("scale of the embedding");
    if (a.norm != b.norm || a.norm_place != b.norm_place || !close(a.norm_eps, b.norm_eps)) differs("norms");
    if (a.final_norm != b.final_norm || a.embed_norm != b.embed_norm || a.qk_norm != b.qk_norm) differs("norms");
    if (a.parallel_residual != b.parallel_residual) differs("order of branches");
    if (!close(a.attn_scale, b.attn_scale) || a.attn_scale_by_inverse_layer != b.attn_scale_by_inverse_layer)
        differs("scale of attention");
    if (!close(a.attn_softcap, b.attn_softcap) || !close(a.final_softcap, b.final_softcap)) differs("softcap");
    if (!close(a.qkv_clamp, b.qkv_clamp)) differs("clamp of queries, keys and values");
    if (a.activation != b.activation || a.gated_mlp != b.gated_mlp) differs("activation");
    if (a.tied_head != b.tied_head || !close(a.logit_scale, b.logit_scale)) differs("head");
    if (a.causal != b.causal || a.has_head != b.has_head || a.n_labels != b.n_labels) differs("kind");
}

}  // namespace freehold::convert
