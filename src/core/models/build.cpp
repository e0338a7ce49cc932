// From files to a Decoder: the family's blueprint, its tensors, and what is derived from both.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <tuple>

#include "adapted.h"
#include "decoder_impl.h"
#include "freehold/base/error.h"
#include "tensor_source.h"

namespace freehold {
namespace {

// With kept panels only small tensors are read from the file, strewn all over it: asked for together, before the first
// is waited for, they take one trip to the disk instead of one each.
void ask_for_small_tensors(const ModelFiles& files) {
    const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    for (const auto& [name, t] : files.tensors()) {
        if (t.empty() || !t.storage()->mapped || t.shape().rank() > 1) continue;
        const std::uintptr_t begin = reinterpret_cast<std::uintptr_t>(t.data()) / page * page;
        const std::uintptr_t end = reinterpret_cast<std::uintptr_t>(t.data()) + t.nbytes();
        ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_WILLNEED);
    }
}

class Builder {
 public:
    Builder(Decoder::Impl& impl, TensorSource& source, const LoadOptions& options, ThreadPool& threads, bool trainable,
            const PanelSink& sink)
        : root_(impl),
          impl_(impl),
          spec_(impl.spec),
          source_(source),
          options_(options),
          threads_(threads),
          trainable_(trainable),
          sink_(sink) {}

    void build() {
        impl_.layers.resize(static_cast<std::size_t>(spec_.n_layers));
        if (options_.panels) ask_for_small_tensors(*impl_.files);
        ends();
        for (int l = 0; l < spec_.n_layers; ++l) layer(l);
        if (spec_.encoder) encoder();
        source_.refuse_leftovers();
    }

 private:
    // The encoder of `decoder`, with its parameters among the decoder's.
    Builder(const Builder& decoder, Decoder::Impl& impl)
        : root_(decoder.root_),
          impl_(impl),
          spec_(impl.spec),
          source_(decoder.source_),
          options_(decoder.options_),
          threads_(decoder.threads_),
          trainable_(decoder.trainable_),
          sink_(decoder.sink_),
          shared_(decoder.shared_),
          prefix_("enc.") {}

    void encoder() {
        impl_.encoder = std::make_unique<Decoder::Impl>();
        Decoder::Impl& e = *impl_.encoder;
        e.spec = *spec_.encoder;
        e.profile = impl_.profile;
        e.n_threads = impl_.n_threads;
        e.layers.resize(static_cast<std::size_t>(e.spec.n_layers));
        source_.turn_to_encoder(true);
        Builder of_encoder(*this, e);
        of_encoder.ends();
        for (int l = 0; l < e.spec.n_layers; ++l) of_encoder.layer(l);
        source_.turn_to_encoder(false);
    }

    // The tensor as the decoder will use it: as it is, or a writable F32 copy that becomes a parameter.
    Tensor own(Tensor t) const {
        if (!trainable_ || t.empty()) return t;
        return t.to_f32();
    }

    // The matrix as products read it: mapped from the panels that were kept, or packed now.
    Weight panels_of(const Tensor& w, const std::string& name) {
        const bool kept = options_.panels && options_.repack && !trainable_;
        if (!kept && !sink_) return {w, options_.profile, options_.repack, threads_};
        PanelFacts facts;
        facts.name = prefix_ + name;
        facts.dtype = w.dtype();
        facts.profile = static_cast<std::uint8_t>(effective_profile(options_.profile, w.dtype()));
        facts.rows = static_cast<std::uint64_t>(w.shape()[0]);
        facts.cols = static_cast<std::uint64_t>(w.shape()[1]);
        facts.source_offset = w.offset();
        facts.bytes = Weight::panels_needed(w, options_.profile);
        if (kept) {
            if (auto mapped = options_.panels->find(facts)) {
                root_.mapped_panel_bytes += facts.bytes;
                return {w, options_.profile, std::move(mapped)};
            }
        }
        Weight packed(w, options_.profile, options_.repack, threads_);
        if (!sink_) return packed;
        sink_(facts, packed.panels());
        return {};
    }

    ParamId slot(std::size_t n) {
        root_.slot_sizes.push_back(n);
        return static_cast<ParamId>(root_.slot_sizes.size() - 1);
    }

    ParamId param(const std::string& name, const Tensor& value, Weight* panels, Tensor* effective) {
        if (!trainable_ || value.empty()) return kFrozen;
        const ParamId id = slot(static_cast<std::size_t>(value.shape().numel()));
        root_.params.push_back({prefix_ + name, value, {id}, panels, effective});
        return id;
    }

    void linear(Linear& to, Role role, int l, const std::string& name) {
        const Tensor w = own(source_.weight(role, l));
        to.w = panels_of(w, name);
        to.bias = source_.bias(role, l);
        to.w_id = param(name + ".weight", w, &to.w, nullptr);
        to.b_id = param(name + ".bias", to.bias, nullptr, nullptr);
    }

    // The router's numbers stay as exact as they are whatever the profile: which experts are chosen hangs on them.
    void router(Linear& to, int l, const std::string& name) {
        const Tensor w = own(source_.weight(Role::router, l));
        to.w =
            w.dtype() == DType::F32 ? panels_of(w, name) : Weight(w.to_f32(), Profile::f32, options_.repack, threads_);
        to.w_id = param(name + ".weight", w, &to.w, nullptr);
        if (!spec_.expert_biases) return;
        to.bias = source_.bias(Role::router, l);
        to.b_id = param(name + ".bias", to.bias, nullptr, nullptr);
    }

    void experts(LayerWeights& w, int l, const std::string& at) {
        router(w.router, l, at + "mlp.router");
        w.router_bias = source_.router_bias(l);
        struct Part {
            std::vector<Linear>& to;
            Role role;
            const char* name;
        };
        for (const Part& part : {Part{w.gate_exps, Role::gate_exp, "gate"}, Part{w.up_exps, Role::up_exp, "up"},
                                 Part{w.down_exps, Role::down_exp, "down"}}) {
            part.to.resize(static_cast<std::size_t>(spec_.routing.n_experts));
            for (int e = 0; e < spec_.routing.n_experts; ++e) {
                const std::string name = at + "mlp.experts." + std::to_string(e) + "." + part.name;
                Linear& to = part.to[static_cast<std::size_t>(e)];
                const Tensor t = own(source_.expert(part.role, l, e));
                to.w = panels_of(t, name);
                to.w_id = param(name + ".weight", t, &to.w, nullptr);
                if (!spec_.expert_biases) continue;
                to.bias = source_.expert_bias(part.role, l, e);
                to.b_id = param(name + ".bias", to.bias, nullptr, nullptr);
            }
        }
        if (spec_.d_ff_shared == 0) return;
        linear(w.gate_shared, Role::gate_shared, l, at + "mlp.shared.gate");
        linear(w.up_shared, Role::up_shared, l, at + "mlp.shared.up");
        linear(w.down_shared, Role::down_shared, l, at + "mlp.shared.down");
    }

    void latent(LayerWeights& w, int l, const std::string& at) {
        if (spec_.latent.q_rank > 0) {
            linear(w.q_a, Role::q_a, l, at + "q_a");
            norm(w.q_a_norm, Role::q_a_norm, l, at + "q_a_norm");
        }
        linear(w.kv_latent, Role::kv_latent, l, at + "kv_latent");
        linear(w.k_rope, Role::k_rope, l, at + "k_rope");
        norm(w.kv_norm, Role::kv_norm, l, at + "kv_norm");
        w.q_a_norm.eps = w.kv_norm.eps = spec_.latent.norm_eps;
        const auto heads = [&](std::vector<Linear>& to, Role role, const std::string& name) {
            to.resize(static_cast<std::size_t>(spec_.n_heads));
            for (int h = 0; h < spec_.n_heads; ++h) {
                const std::string of_head = name + "." + std::to_string(h);
                Linear& one = to[static_cast<std::size_t>(h)];
                const Tensor t = own(source_.head(role, l, h));
                one.w = panels_of(t, of_head);
                one.w_id = param(of_head + ".weight", t, &one.w, nullptr);
            }
        };
        heads(w.k_b, Role::k_b, at + "k_b");
        heads(w.v_b, Role::v_b, at + "v_b");
    }

    void norm(Norm& to, Role role, int l, const std::string& name) {
        if (!spec_.norm_params) {
            to.kind = spec_.norm;
            to.eps = spec_.norm_eps;
            return;
        }
        const Tensor raw = source_.weight(role, l).to_f32();
        to.kind = spec_.norm;
        to.eps = spec_.norm_eps;
        to.weight = raw;
        if (spec_.norm_weight_plus_one) {
            to.weight = raw.to_f32();
            for (float& w : to.weight.f32_mut()) w += 1.0F;
        }
        to.bias = source_.bias(role, l);
        to.w_id = param(name + ".weight", raw, nullptr, spec_.norm_weight_plus_one ? &to.weight : nullptr);
        to.b_id = param(name + ".bias", to.bias, nullptr, nullptr);
    }

    // The same norm for another branch: its weights, and gradient slots of its own that add up with the first ones.
    void share(Norm& to, const Norm& from) {
        to = from;
        for (ParamId* id : {&to.w_id, &to.b_id}) {
            if (*id == kFrozen) continue;
            const auto param = std::ranges::find_if(root_.params, [id](const Param& p) { return p.slots[0] == *id; });
            *id = slot(static_cast<std::size_t>(param->value.shape().numel()));
            param->slots.push_back(*id);
        }
    }

    // Both numbers are trained as the file holds them, so what is multiplied follows them.
    void xielu(Xielu& to, const XieluSpec& x, const std::string& name) {
        to.shape.beta = x.beta;
        to.shape.eps = x.eps;
        const auto softplus = [](float v) {  // and its derivative
            const auto e = static_cast<double>(fh_exp(-std::fabs(v)));
            const double value = static_cast<double>(std::max(v, 0.0F)) + fh_log_double(1 + e);
            return std::pair{static_cast<float>(value), static_cast<float>(v >= 0 ? 1 / (1 + e) : e / (1 + e))};
        };
        const auto set_p = [&to, softplus](float v) { std::tie(to.shape.alpha_p, to.p_slope) = softplus(v); };
        const auto set_n = [&to, softplus](float v) {
            std::tie(to.shape.alpha_n, to.n_slope) = softplus(v);
            to.shape.alpha_n += to.shape.beta;
        };
        set_p(x.raw_p);
        set_n(x.raw_n);
        if (!trainable_) return;
        to.p_id = param(name + ".alpha_p", Tensor::from_f32({1}, {&x.raw_p, 1}), nullptr, nullptr);
        root_.params.back().follow = set_p;
        to.n_id = param(name + ".alpha_n", Tensor::from_f32({1}, {&x.raw_n, 1}), nullptr, nullptr);
        root_.params.back().follow = set_n;
    }

    void ends() {
        const Tensor raw = source_.weight(Role::token_embd);
        const bool shared = !prefix_.empty() && raw.data() == shared_.data();
        shared_ = raw;
        const Tensor table = shared ? Tensor() : own(raw);
        const auto n = static_cast<std::size_t>(raw.shape().numel());
        if (shared) {  // one table for encoder and decoder: the decoder's
            impl_.embedding.table = root_.embedding.table;
            if (trainable_) {
                impl_.embedding.table_id = slot(n);
                root_.params.front().slots.push_back(impl_.embedding.table_id);
            }
        } else if (!spec_.has_head) {
            impl_.token_embd = Weight(table, options_.profile, false, threads_);
            impl_.embedding.table = &impl_.token_embd;
            impl_.embedding.table_id = param("embed.weight", table, nullptr, nullptr);
        } else if (spec_.tied_head) {
            impl_.head.w = panels_of(table, "embed");
            impl_.head.w_id = param("embed.weight", table, &impl_.head.w, nullptr);
            impl_.embedding.table = &impl_.head.w;
            if (trainable_) {
                impl_.embedding.table_id = slot(n);
                root_.params.back().slots.push_back(impl_.embedding.table_id);
            }
        } else {
            impl_.token_embd =
                Weight(table, options_.profile, false, threads_);  // rows are looked up, never multiplied
            impl_.embedding.table = &impl_.token_embd;
            impl_.embedding.table_id = param("embed.weight", table, nullptr, nullptr);
            linear(impl_.head, Role::head, -1, "head");
        }
        if (spec_.positions == Positions::sinusoidal) sinusoidal_positions();
        if (spec_.positions == Positions::relative) relative_positions();
        if (spec_.logit_bias) impl_.head.bias = source_.weight(Role::logit_bias).reshape({spec_.vocab}).to_f32();
        if (spec_.positions == Positions::learned) {
            const Tensor positions = own(source_.weight(Role::position_embd));
            impl_.position_embd = Weight(positions, options_.profile, false, threads_);
            Embedding& placed = impl_.projected() ? impl_.placing : impl_.embedding;
            placed.positions = &impl_.position_embd;
            placed.position_offset = spec_.position_offset;
            placed.positions_id = param("positions.weight", positions, nullptr, nullptr);
        }
        if (impl_.projected()) {
            linear(impl_.project_in, Role::project_in, -1, "project_in");
            linear(impl_.project_out, Role::project_out, -1, "project_out");
        }
        if (spec_.token_types > 0) {
            impl_.token_types = source_.weight(Role::token_types).to_f32();
            impl_.embedding.types = impl_.token_types.f32().data();
        }
        if (spec_.embed_norm) {
            norm(impl_.embed_norm, Role::embed_norm, -1, "embed_norm");
            impl_.embedding.norm = &impl_.embed_norm;
        }
        if (spec_.n_labels > 0) {
            linear(impl_.pooler, Role::pooler, -1, "pooler");
            linear(impl_.classifier, Role::classifier, -1, "classifier");
        }
        impl_.embedding.scale = spec_.embed_scale;
        // Gemma rounds the scale to the type it computes in; in profile f32 that is no rounding at all.
        if (options_.profile == Profile::bf16 && raw.dtype() == DType::BF16 &&
            impl_.files->container() == Container::hf) {
            impl_.embedding.scale = bf16_to_f32(f32_to_bf16(spec_.embed_scale));
        }
        if (spec_.final_norm) norm(impl_.final_norm, Role::final_norm, -1, "final_norm");
    }

    // By the formula where the file does not have the table that was trained with.
    void sinusoidal_positions() {
        const auto rows = static_cast<std::size_t>(spec_.context), d = static_cast<std::size_t>(spec_.d_model);
        Tensor table;
        if (source_.has(Role::position_embd)) {
            table = source_.weight(Role::position_embd);
        } else {
            std::vector<float> values(rows * d);
            for (std::size_t j = 0; j < d; ++j) {
                const double divisor = fh_pow(10000.0, 2.0 * static_cast<double>(j / 2) / static_cast<double>(d));
                const std::size_t to = j % 2 == 0 ? j / 2 : (d + 1) / 2 + j / 2;
                for (std::size_t p = 0; p < rows; ++p) {
                    double sine = 0, cosine = 1;
                    fh_sincos(static_cast<double>(p) / divisor, sine, cosine);
                    values[p * d + to] = static_cast<float>(j % 2 == 0 ? sine : cosine);
                }
            }
            table = Tensor::from_f32({spec_.context, spec_.d_model}, values);
        }
        impl_.position_embd = Weight(table, options_.profile, false, threads_);
        impl_.embedding.positions = &impl_.position_embd;
    }

    // Trained as the table is; what kernels read follows it (Param::spread).
    void relative_positions() {
        impl_.relative = relative_buckets(spec_.relative_buckets, spec_.relative_distance, !spec_.causal);
        const Tensor table = source_.weight(Role::relative_bias, 0).to_f32();
        spread_buckets(impl_.relative, table.f32().data(), spec_.n_heads);
        if (!trainable_) return;
        static_cast<void>(param("relative_bias", table, nullptr, nullptr));
        Param& p = root_.params.back();
        while (p.slots.size() < static_cast<std::size_t>(spec_.n_layers))
            p.slots.push_back(slot(static_cast<std::size_t>(table.shape().numel())));
        impl_.relative_slots = p.slots;
        p.spread = &impl_.relative;
    }

    void layer(int l) {
        LayerWeights& w = impl_.layers[static_cast<std::size_t>(l)];
        const std::string at = "layers." + std::to_string(l) + ".";
        norm(w.attn_norm, Role::attn_norm, l, at + "attn_norm");
        if (prefix_.empty()) {
            for (const AdaptedLinear& a : kAdaptedLinears) (w.*a.linear).place = place_of(l, a);
        }
        linear(w.q, Role::q, l, at + "attn.q");
        if (spec_.latent.kv_rank > 0) {
            latent(w, l, at + "attn.");
        } else {
            linear(w.k, Role::k, l, at + "attn.k");
            linear(w.v, Role::v, l, at + "attn.v");
        }
        linear(w.o, Role::attn_out, l, at + "attn.out");
        if (spec_.qk_norm != QkNorm::none) {
            norm(w.q_norm, Role::q_norm, l, at + "attn.q_norm");
            norm(w.k_norm, Role::k_norm, l, at + "attn.k_norm");
        }
        if (spec_.attn_sinks) {
            w.sinks = source_.weight(Role::sinks, l).to_f32();
            w.sinks_id = param(at + "attn.sinks", w.sinks, nullptr, nullptr);
        }
        const bool sandwich = spec_.norm_place == NormPlace::sandwich;
        if (sandwich) norm(w.attn_post, Role::attn_post_norm, l, at + "attn_post_norm");
        if (spec_.encoder) {
            norm(w.cross_norm, Role::cross_norm, l, at + "cross_norm");
            linear(w.cross_q, Role::cross_q, l, at + "cross.q");
            linear(w.cross_k, Role::cross_k, l, at + "cross.k");
            linear(w.cross_v, Role::cross_v, l, at + "cross.v");
            linear(w.cross_o, Role::cross_out, l, at + "cross.out");
        }
        if (spec_.shared_norm)
            share(w.mlp_norm, w.attn_norm);
        else
            norm(w.mlp_norm, Role::mlp_norm, l, at + "mlp_norm");
        if (spec_.layers[static_cast<std::size_t>(l)].experts) return experts(w, l, at);
        if (!spec_.xielu.empty()) xielu(w.xielu, spec_.xielu[static_cast<std::size_t>(l)], at + "mlp");
        if (spec_.gated_mlp) linear(w.gate, Role::gate, l, at + "mlp.gate");
        linear(w.up, Role::up, l, at + "mlp.up");
        linear(w.down, Role::down, l, at + "mlp.down");
        if (sandwich) norm(w.mlp_post, Role::mlp_post_norm, l, at + "mlp_post_norm");
    }

    Decoder::Impl& root_;  // whose parameters and counts are those of all
    Decoder::Impl& impl_;
    const DecoderSpec& spec_;
    TensorSource& source_;
    const LoadOptions& options_;
    ThreadPool& threads_;
    bool trainable_;
    const PanelSink& sink_;
    Tensor shared_;       // the decoder's table, as the file has it
    std::string prefix_;  // of names of parameters
};

// The slopes of ALiBi. Heads beyond the largest power of two take the odd steps of a scale twice as fine.
std::vector<float> alibi_slopes(int n_heads, double max_bias, double scale) {
    int whole = 1;
    while (whole * 2 <= n_heads) whole *= 2;
    std::vector<float> slopes;
    for (int h = 0; h < n_heads; ++h) {
        const double step = h < whole ? static_cast<double>(h + 1) : (h - whole) + 0.5;
        slopes.push_back(static_cast<float>(scale * fh_pow(2.0, -max_bias * step / whole)));
    }
    return slopes;
}

// Frequencies, shapes and places: everything that a forward would otherwise derive again.
void derive(Decoder::Impl& impl) {
    const DecoderSpec& s = impl.spec;
    for (const RopeSpec& r : s.ropes) {
        RopeTable table{{}, r.n_dims, r.interleaved, r.attn_factor};
        for (int i = 0; i < r.n_dims / 2; ++i) {
            const double divisor =
                r.divisors.empty() ? 1.0 : static_cast<double>(r.divisors[static_cast<std::size_t>(i)]);
            table.frequency.push_back(fh_pow(r.theta, -2.0 * i / r.n_dims) / (r.factor * divisor));
        }
        impl.ropes.push_back(std::move(table));
    }
    if (s.positions == Positions::alibi)
        impl.slopes =
            alibi_slopes(s.n_heads, static_cast<double>(s.alibi_max_bias), static_cast<double>(s.alibi_scale));
    const KvLayout layout = impl.layout(KvType::F32);
    for (int l = 0; l < s.n_layers; ++l) {
        const auto i = static_cast<std::size_t>(l);
        const LayerSpec& ls = s.layers[i];
        const LayerWeights& w = impl.layers[i];
        AttentionShape shape;
        shape.n_heads = s.n_heads;
        shape.n_kv_heads = ls.n_kv_heads;
        shape.head_dim = s.head_dim;
        shape.v_dim = s.v_dim;
        shape.scale = s.attn_scale_by_inverse_layer ? s.attn_scale / static_cast<float>(l + 1) : s.attn_scale;
        shape.softcap = s.attn_softcap;
        shape.clamp = s.qkv_clamp;
        shape.causal = s.causal;
        shape.window = ls.window;
        shape.rope =
            s.positions == Positions::rope && ls.rope >= 0 ? &impl.ropes[static_cast<std::size_t>(ls.rope)] : nullptr;
        shape.rope_at = s.latent.kv_rank;
        shape.v_in_k = s.latent.kv_rank > 0;
        shape.q_norm = w.q_norm.kind == NormKind::none ? nullptr : &w.q_norm;
        shape.k_norm = w.k_norm.kind == NormKind::none ? nullptr : &w.k_norm;
        shape.slopes = impl.slopes.empty() ? nullptr : impl.slopes.data();
        if (!w.sinks.empty()) {
            shape.sinks = w.sinks.f32().data();
            shape.sinks_id = w.sinks_id;
        }
        shape.norm_whole_width = s.qk_norm == QkNorm::whole_width;
        if (s.positions == Positions::relative) shape.relative = &impl.relative;
        if (!impl.relative_slots.empty()) shape.relative_id = impl.relative_slots[i];
        impl.shapes.push_back(shape);
        impl.places.push_back({static_cast<std::size_t>(layout.group_of_layer[i]), layout.index_in_group[i]});
        if (!impl.encoder) continue;
        AttentionShape cross = shape;
        cross.relative = nullptr;
        cross.rope = nullptr;
        cross.slopes = nullptr;
        cross.window = 0;
        cross.cross = true;
        impl.cross_shapes.push_back(cross);
        impl.cross_places.push_back({0, l});
    }
    if (impl.encoder) derive(*impl.encoder);
}

}  // namespace

std::unique_ptr<Decoder::Impl> build_decoder(std::shared_ptr<const ModelFiles> files, const LoadOptions& given,
                                             ThreadPool& threads, bool trainable, const PanelSink& sink) {
    LoadOptions options = given;
    if (trainable) {
        options.profile = Profile::f32;
        options.repack = true;
    }
    auto impl = std::make_unique<Decoder::Impl>();
    impl->files = std::move(files);
    const Family& family = family_of(*impl->files);
    impl->spec = family.read(*impl->files);
    settle_context(impl->spec, options.context);
    if (options.adjust) options.adjust(impl->spec);
    check_spec(impl->spec, impl->files->path().string());
    if (trainable && !impl->spec.has_head) {
        throw Error(ErrorKind::unsupported,
                    impl->files->path().string() + " is an encoder, which this build runs and does not train.");
    }
    impl->profile = options.profile;
    impl->n_threads = threads.size();
    TensorSource source(*impl->files, family, impl->spec);
    Builder(*impl, source, options, threads, trainable, sink).build();
    impl->n_params = source.n_params();
    impl->weight_bytes = source.n_bytes();
    derive(*impl);
    return impl;
}

KvLayout Decoder::Impl::layout(KvType type) const {
    KvLayout out;
    for (int l = 0; l < spec.n_layers; ++l) {
        const LayerSpec& ls = spec.layers[static_cast<std::size_t>(l)];
        auto it = std::find_if(out.groups.begin(), out.groups.end(), [&](const KvGroup& g) {
            return g.window == ls.window && g.n_kv_heads == ls.n_kv_heads;
        });
        if (it == out.groups.end()) {
            out.groups.push_back(
                {{}, ls.window, ls.n_kv_heads, spec.head_dim, spec.v_dim, type, spec.latent.kv_rank > 0});
            it = out.groups.end() - 1;
        }
        out.group_of_layer.push_back(static_cast<int>(it - out.groups.begin()));
        out.index_in_group.push_back(static_cast<int>(it->layers.size()));
        it->layers.push_back(l);
    }
    return out;
}

}  // namespace freehold
