// Tensors by role: names, shapes, fused and transposed forms.
#include "tensor_source.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "freehold/base/error.h"

namespace freehold {
Want want_of(const DecoderSpec& s, Role role, int layer) {
    const std::int64_t d = s.d_model, heads = s.n_heads, dim = s.head_dim, v_dim = s.v_dim;
    const std::int64_t kv = layer >= 0 ? s.layers[static_cast<std::size_t>(layer)].n_kv_heads : 0;
    const std::int64_t embed = s.d_embed > 0 ? s.d_embed : d;
    const bool whole = s.qk_norm == QkNorm::whole_width;
    const LatentSpec& a = s.latent;
    switch (role) {
        case Role::token_embd:
        case Role::head:
            return {s.vocab, embed};
        case Role::project_in:
            return {d, embed};
        case Role::project_out:
            return {embed, d};
        case Role::position_embd:
            return {static_cast<std::int64_t>(s.context) + s.position_offset, d};
        case Role::token_types:
            return {s.token_types, d};
        case Role::embed_norm:
        case Role::attn_norm:
        case Role::attn_post_norm:
        case Role::mlp_norm:
        case Role::mlp_post_norm:
        case Role::final_norm:
            return {d, 0};
        case Role::q:
            if (a.kv_rank > 0) return {heads * (a.nope + a.rope), a.q_rank > 0 ? a.q_rank : d};
            return {heads * dim, d};
        case Role::k:
            return {kv * dim, d};
        case Role::v:
            return {kv * v_dim, d};
        case Role::attn_out:
            return {d, heads * (a.kv_rank > 0 ? a.v : v_dim)};
        case Role::q_norm:
            return {whole ? heads * dim : dim, 0};
        case Role::k_norm:
            return {whole ? kv * dim : dim, 0};
        case Role::gate:
        case Role::up:
            return {s.d_ff, d};
        case Role::down:
            return {d, s.d_ff};
        case Role::pooler:
            return {d, d};
        case Role::classifier:
            return {s.n_labels, d};
        case Role::router:
            return {s.routing.n_experts, d};
        case Role::gate_exp:
        case Role::up_exp:
            return {s.d_ff_expert, d};
        case Role::down_exp:
            return {d, s.d_ff_expert};
        case Role::gate_shared:
        case Role::up_shared:
            return {s.d_ff_shared, d};
        case Role::down_shared:
            return {d, s.d_ff_shared};
        case Role::router_bias:
            return {s.routing.n_experts, 0};
        case Role::q_a:
            return {a.q_rank, d};
        case Role::kv_latent:
            return {a.kv_rank, d};
        case Role::k_rope:
            return {a.rope, d};
        case Role::q_a_norm:
            return {a.q_rank, 0};
        case Role::kv_norm:
            return {a.kv_rank, 0};
        case Role::k_b:
            return {a.kv_rank, a.nope};
        case Role::v_b:
            return {a.v, a.kv_rank};
        case Role::sinks:
            return {heads, 0};
        case Role::cross_norm:
            return {d, 0};
        case Role::cross_q:
            return {heads * dim, d};
        case Role::cross_k:
            return {kv * dim, d};
        case Role::cross_v:
            return {kv * v_dim, d};
        case Role::cross_out:
            return {d, heads * v_dim};
        case Role::relative_bias:
            return {s.relative_buckets, heads};
        case Role::logit_bias:
            return {1, s.vocab};
    }
    return {};
}

bool is_fused(Layout l) {
    return l != Layout::plain && l != Layout::transposed && l != Layout::turned_experts;
}

namespace {

std::int64_t out_of(const DecoderSpec& s, Role role, int layer) {
    return want_of(s, role, layer).out;
}

// Rows of `whole` in runs of `run`, one run every `stride` rows from `first` on.
Tensor gather(const Tensor& whole, std::int64_t first, std::int64_t run, std::int64_t stride, std::int64_t runs) {
    const Shape& from = whole.shape();
    Tensor to = Tensor::zeros(whole.dtype(), from.rank() == 1 ? Shape{run * runs} : Shape{run * runs, from[1]});
    const std::size_t row = whole.nbytes() / static_cast<std::size_t>(from[0]);
    auto* const bytes = const_cast<std::byte*>(to.data());  // ours, just made
    for (std::int64_t i = 0; i < runs; ++i) {
        std::memcpy(bytes + static_cast<std::size_t>(i * run) * row,
                    whole.data() + static_cast<std::size_t>(first + i * stride) * row,
                    static_cast<std::size_t>(run) * row);
    }
    return to;
}

}  // namespace

std::int64_t outputs_of(const DecoderSpec& s, Role role, Layout layout, int layer) {
    if (layout == Layout::fused_latent) return s.latent.kv_rank + s.latent.rope;
    if (layout == Layout::fused_gate_up) return 2 * out_of(s, Role::up, layer);
    if (!is_fused(layout)) return out_of(s, role, layer);
    return out_of(s, Role::q, layer) + out_of(s, Role::k, layer) + out_of(s, Role::v, layer);
}

Tensor part_of(const DecoderSpec& s, Role role, Layout layout, int layer, const Tensor& whole) {
    const std::int64_t q = out_of(s, Role::q, layer), k = out_of(s, Role::k, layer), v = out_of(s, Role::v, layer);
    switch (layout) {
        case Layout::plain:
        case Layout::transposed:
        case Layout::fused_kv_b:  // TensorSource::head
        case Layout::turned_experts:
        case Layout::turned_gate_up_experts:
            break;
        case Layout::fused_latent:
            return role == Role::kv_latent ? whole.slice(0, s.latent.kv_rank)
                                           : whole.slice(s.latent.kv_rank, s.latent.kv_rank + s.latent.rope);
        case Layout::fused_gate_up: {
            const std::int64_t n = out_of(s, Role::up, layer);
            return role == Role::gate ? whole.slice(0, n) : whole.slice(n, 2 * n);
        }
        case Layout::fused_qkv:
        case Layout::transposed_fused_qkv:
            if (role == Role::q) return whole.slice(0, q);
            return role == Role::k ? whole.slice(q, q + k) : whole.slice(q + k, q + k + v);
        case Layout::fused_by_kv_head: {
            const std::int64_t heads = s.layers[static_cast<std::size_t>(layer)].n_kv_heads;
            const std::int64_t stride = (q + k + v) / heads;
            if (role == Role::q) return gather(whole, 0, q / heads, stride, heads);
            if (role == Role::k) return gather(whole, q / heads, k / heads, stride, heads);
            return gather(whole, (q + k) / heads, v / heads, stride, heads);
        }
    }
    return whole;
}

namespace {

std::string_view role_name(Role role) {
    constexpr std::string_view kNames[] = {"token embedding",
                                           "position embedding",
                                           "token types",
                                           "norm of the embedding",
                                           "attention norm",
                                           "q",
                                           "k",
                                           "v",
                                           "attention output",
                                           "q norm",
                                           "k norm",
                                           "norm after attention",
                                           "MLP norm",
                                           "gate",
                                           "up",
                                           "down",
                                           "norm after MLP",
                                           "final norm",
                                           "head",
                                           "pooler",
                                           "classifier",
                                           "projection in",
                                           "projection out",
                                           "router",
                                           "gate of an expert",
                                           "up of an expert",
                                           "down of an expert",
                                           "gate of the shared expert",
                                           "up of the shared expert",
                                           "down of the shared expert",
                                           "bias of the router",
                                           "latent of queries",
                                           "latent of keys and values",
                                           "rotated key",
                                           "norm of the latent of queries",
                                           "norm of the latent of keys and values",
                                           "keys of a head",
                                           "values of a head",
                                           "sinks of attention",
                                           "norm of the cross-attention",
                                           "q of the cross-attention",
                                           "k of the cross-attention",
                                           "v of the cross-attention",
                                           "output of the cross-attention",
                                           "relative positions",
                                           "bias of the logits"};
    return kNames[static_cast<std::size_t>(role)];
}

bool is_transposed(Layout l) {
    return l == Layout::transposed || l == Layout::transposed_fused_qkv;
}

[[noreturn]] void wrong_shape(const ModelFiles& files, const std::string& name, const Shape& is, const Shape& must) {
    throw Error(ErrorKind::bad_file,
                "Tensor '" + name + "' of " + files.path().string() + " has shape " + is.str() +
                    " where the model's metadata asks for " + must.str() + ".",
                "Metadata and tensors of this file do not belong together; fetch it again or convert it anew.");
}

}  // namespace

TensorSource::TensorSource(const ModelFiles& files, const Family& family, const DecoderSpec& spec)
    : files_(files),
      family_(family),
      model_(spec),
      spec_(&spec),
      tensors_(family.tensors),
      hf_(files.container() == Container::hf) {
    if (!hf_) return;
    quantised_ = QuantisedFolder::of(files);
    for (const std::string_view prefix : family.hf_prefixes) {
        prefix_ = prefix;
        const TensorRow* const embedding = row(Role::token_embd);
        if (embedding != nullptr && files.find_tensor(name_of(*embedding, -1, ".weight")) != nullptr) return;
    }
    prefix_ = family.hf_prefixes.empty() ? std::string_view{}
                                         : family.hf_prefixes.front();  // for the message about what is missing
}

void TensorSource::turn_to_encoder(bool turn) {
    spec_ = turn ? model_.encoder.get() : &model_;
    tensors_ = turn ? family_.encoder_tensors : family_.tensors;
}

const TensorRow* TensorSource::row(Role role) const {
    const TensorRow* first = nullptr;
    for (const TensorRow& r : tensors_) {
        if (r.role != role) continue;
        if (first == nullptr) first = &r;
        if (there(name_of(r, 0, ".weight"))) return &r;
    }
    return first;
}

// Checkpoints that were once converted from TensorFlow call weight and bias of a norm gamma and beta.
const Tensor* TensorSource::find(const std::string& name) const {
    if (const Tensor* const t = files_.find_tensor(name)) return t;
    const std::size_t dot = name.rfind('.');
    if (!hf_ || dot == std::string::npos || !std::string_view(name).substr(0, dot).ends_with("LayerNorm"))
        return nullptr;
    return files_.find_tensor(name.substr(0, dot) + (name.substr(dot) == ".weight" ? ".gamma" : ".beta"));
}

std::string TensorSource::name_of(const TensorRow& r, int layer, std::string_view suffix, int expert) const {
    std::string name(hf_ ? r.hf : r.gguf);
    if (const std::size_t at = name.find('#'); at != std::string::npos) name.replace(at, 1, std::to_string(expert));
    if (name.starts_with('@')) name.replace(0, 1, prefix_);
    if (const std::size_t at = name.find("{}"); at != std::string::npos) name.replace(at, 2, std::to_string(layer));
    if (!name.ends_with('!')) return name.append(suffix);
    name.pop_back();
    return suffix == ".bias" ? name.append("_bias") : name;
}

bool TensorSource::there(const std::string& name) const {
    return (quantised_ && quantised_->holds(name)) || find(name) != nullptr;
}

bool TensorSource::has(Role role, int layer) const {
    const TensorRow* const r = row(role);
    return r != nullptr && there(name_of(*r, layer, ".weight"));
}

// A weight that the folder keeps in parts, made whole; only the last is kept, as the roles of a fused one ask in a row.
const Tensor* TensorSource::expanded(const std::string& name) {
    if (!quantised_ || !quantised_->holds(name)) return nullptr;
    if (const auto it = expanded_.find(name); it != expanded_.end()) return &it->second;
    expanded_.clear();
    const Tensor& t = expanded_.emplace(name, quantised_->expand(name)).first->second;
    for (const Tensor* part : quantised_->parts(name)) taken_.insert(part);
    if (expanded_names_.insert(name).second) {
        n_params_ += static_cast<std::uint64_t>(t.shape().numel());
        n_bytes_ += t.nbytes();
    }
    return &t;
}

const Tensor* TensorSource::take(const std::string& name) {
    if (const Tensor* const whole = expanded(name)) return whole;
    const Tensor* const t = find(name);
    if (t != nullptr && taken_.insert(t).second) {
        n_params_ += static_cast<std::uint64_t>(t->shape().numel());
        n_bytes_ += t->nbytes();
    }
    return t;
}

// A copy with rows and columns exchanged, made once.
Tensor TensorSource::turned(const std::string& name, const Tensor& t) {
    if (const auto it = turned_.find(name); it != turned_.end()) return it->second;
    const DTypeTraits& form = traits(t.dtype());
    if (form.block != 1) {
        throw Error(ErrorKind::unsupported, "Tensor '" + name + "' of " + files_.path().string() +
                                                " is stored transposed in type " + std::string(form.name) +
                                                ", whose blocks cannot be turned.");
    }
    const std::int64_t rows = t.shape()[0], cols = t.shape()[1];
    std::vector<float> from(static_cast<std::size_t>(t.shape().numel()));
    form.to_f32(t.data(), from.data(), from.size());
    std::vector<float> to(from.size());
    for (std::int64_t r = 0; r < rows; ++r) {
        for (std::int64_t c = 0; c < cols; ++c)
            to[static_cast<std::size_t>(c * rows + r)] = from[static_cast<std::size_t>(r * cols + c)];
    }
    Tensor copy = Tensor::from_f32({cols, rows}, to);
    turned_.emplace(name, copy);
    return copy;
}

const TensorRow& TensorSource::need_row(Role role) const {
    const TensorRow* const r = row(role);
    if (r != nullptr) return *r;
    throw Error(ErrorKind::internal, "Tensor '" + std::string(role_name(role)) +
                                         "' is asked for by the blueprint, but family " + std::string(family_.name) +
                                         " has no such tensor.");
}

const Tensor& TensorSource::need(const std::string& name) {
    const Tensor* const t = take(name);
    if (t != nullptr) return *t;
    throw Error(ErrorKind::bad_file, "Tensor '" + name + "' is missing from " + files_.path().string() + ".",
                "The file is incomplete (a part or shard may be missing), or is not of family " +
                    std::string(family_.name) + ".");
}

Tensor TensorSource::expert(Role role, int layer, int expert) {
    const TensorRow& r = need_row(role);
    const std::string name = name_of(r, layer, ".weight", expert);
    const Tensor& t = need(name);
    const Want want = want_of(*spec_, role, layer);
    const Layout layout = hf_ ? r.hf_layout : r.gguf_layout;
    if (layout == Layout::turned_experts || layout == Layout::turned_gate_up_experts) {
        return turned_expert(name, t, want, layout == Layout::turned_gate_up_experts, role == Role::up_exp ? 1 : 0,
                             expert);
    }
    const bool stacked = (hf_ ? r.hf : r.gguf).find('#') == std::string_view::npos;
    const Shape must = stacked ? Shape{spec_->routing.n_experts, want.out, want.in} : Shape{want.out, want.in};
    if (t.shape() != must) wrong_shape(files_, name, t.shape(), must);
    return stacked ? t.slice(expert, expert + 1).reshape({want.out, want.in}) : t;
}

namespace {

// A copy of [rows, cols] with both exchanged, in the same type where its numbers stand alone.
Tensor exchanged(const Tensor& t) {
    const Tensor from = traits(t.dtype()).block == 1 ? t : t.to_f32();
    const std::int64_t rows = from.shape()[0], cols = from.shape()[1];
    const std::size_t size = from.nbytes() / static_cast<std::size_t>(rows * cols);
    Tensor to = Tensor::zeros(from.dtype(), {cols, rows});
    auto* const bytes = const_cast<std::byte*>(to.data());  // ours, just made
    for (std::int64_t r = 0; r < rows; ++r) {
        for (std::int64_t c = 0; c < cols; ++c)
            std::memcpy(bytes + static_cast<std::size_t>(c * rows + r) * size,
                        from.data() + static_cast<std::size_t>(r * cols + c) * size, size);
    }
    return to;
}

}  // namespace

Tensor TensorSource::head(Role role, int layer, int head) {
    const TensorRow& r = need_row(role);
    const std::string name = name_of(r, layer, ".weight");
    const Tensor& t = need(name);
    const Want want = want_of(*spec_, role, layer);
    const std::int64_t heads = spec_->n_heads, keys = spec_->latent.nope, values = spec_->latent.v;
    if ((hf_ ? r.hf_layout : r.gguf_layout) == Layout::fused_kv_b) {
        const Shape must{heads * (keys + values), spec_->latent.kv_rank};
        if (t.shape() != must) wrong_shape(files_, name, t.shape(), must);
        const std::int64_t first = head * (keys + values);
        if (role == Role::k_b) return exchanged(t.slice(first, first + keys));
        return t.slice(first + keys, first + keys + values);
    }
    const Shape must{heads, want.out, want.in};
    if (t.shape() != must) wrong_shape(files_, name, t.shape(), must);
    return t.slice(head, head + 1).reshape({want.out, want.in});
}

Tensor TensorSource::router_bias(int layer) {
    if (spec_->router_bias == Presence::absent) return {};
    const std::string name = name_of(need_row(Role::router_bias), layer, hf_ ? "" : ".bias");
    const Tensor* const t = take(name);
    if (t == nullptr) return spec_->router_bias == Presence::if_present ? Tensor{} : need(name);
    const Shape must{spec_->routing.n_experts};
    if (t->shape() != must) wrong_shape(files_, name, t->shape(), must);
    return t->to_f32();
}

// One expert of [experts, in, out] as [out, in]: rows first, first + step, ... of what it gives, where gate and up take
// turns. MXFP4 has blocks along the inputs and so lies as [experts, out, in].
Tensor TensorSource::turned_expert(const std::string& name, const Tensor& t, const Want& want, bool gate_up,
                                   std::int64_t first, int expert) {
    const std::int64_t step = gate_up ? 2 : 1;
    const bool rows = quantised_ && quantised_->holds(name);
    const std::int64_t n = spec_->routing.n_experts, out = want.out * step;
    const Shape must = rows ? Shape{n, out, want.in} : Shape{n, want.in, out};
    if (t.shape() != must) wrong_shape(files_, name, t.shape(), must);
    const Tensor one = t.slice(expert, expert + 1);
    if (rows) {
        const Tensor whole = one.reshape({out, want.in});
        return gate_up ? gather(whole, first, 1, step, want.out) : whole;
    }
    const DTypeTraits& form = traits(t.dtype());
    if (form.block != 1) {
        throw Error(ErrorKind::unsupported, "Tensor '" + name + "' of " + files_.path().string() +
                                                " is stored transposed in type " + std::string(form.name) +
                                                ", whose blocks cannot be turned.");
    }
    // The numbers move and stay as they are: element by element, in their own type.
    Tensor to = Tensor::zeros(t.dtype(), {want.out, want.in});
    auto* const bytes = const_cast<std::byte*>(to.data());  // ours, just made
    for (std::int64_t i = 0; i < want.in; ++i) {
        const std::byte* from = one.data() + static_cast<std::size_t>(i * out + first) * form.bytes;
        for (std::int64_t o = 0; o < want.out; ++o, from += static_cast<std::size_t>(step) * form.bytes)
            std::memcpy(bytes + static_cast<std::size_t>(o * want.in + i) * form.bytes, from, form.bytes);
    }
    return to;
}

Tensor TensorSource::expert_bias(Role role, int layer, int expert) {
    const TensorRow& r = need_row(role);
    const std::string name = name_of(r, layer, ".bias", expert);
    const Tensor& t = need(name);
    const bool gate_up = (hf_ ? r.hf_layout : r.gguf_layout) == Layout::turned_gate_up_experts;
    const std::int64_t step = gate_up ? 2 : 1, n = out_of(*spec_, role, layer);
    const Shape must{spec_->routing.n_experts, n * step};
    if (t.shape() != must) wrong_shape(files_, name, t.shape(), must);
    const Tensor one = t.slice(expert, expert + 1).reshape({n * step}).to_f32();
    return gate_up ? gather(one, role == Role::gate_exp ? 0 : 1, 1, step, n) : one;
}

Tensor TensorSource::weight(Role role, int layer) {
    const TensorRow* const r = &need_row(role);
    const std::string name = name_of(*r, layer, ".weight");
    const Tensor* const t = &need(name);
    const Want want = want_of(*spec_, role, layer);
    if (want.in == 0) {
        if (t->shape() != Shape{want.out}) wrong_shape(files_, name, t->shape(), Shape{want.out});
        return *t;
    }
    const Layout layout = hf_ ? r->hf_layout : r->gguf_layout;
    const std::int64_t out = outputs_of(*spec_, role, layout, layer);
    const Shape must = is_transposed(layout) ? Shape{want.in, out} : Shape{out, want.in};
    if (t->shape() != must) wrong_shape(files_, name, t->shape(), must);
    const Tensor whole = is_transposed(layout) ? turned(name, *t) : *t;
    return part_of(*spec_, role, layout, layer, whole);
}

Tensor TensorSource::bias(Role role, int layer) {
    const TensorRow* const r = row(role);
    if (r == nullptr || r->bias == Presence::absent) return {};
    Presence presence = r->bias;
    const bool attention = role == Role::q || role == Role::k || role == Role::v || role == Role::attn_out;
    const bool mlp = role == Role::gate || role == Role::up || role == Role::down;
    if (presence == Presence::if_present && attention) presence = spec_->attn_bias;
    if (presence == Presence::if_present && mlp) presence = spec_->mlp_bias;
    if (presence == Presence::absent) return {};
    const std::string name = name_of(*r, layer, ".bias");
    const Tensor* const t = take(name);
    if (t == nullptr) {
        if (presence == Presence::if_present) return {};
        throw Error(ErrorKind::bad_file, "Tensor '" + name + "' is missing from " + files_.path().string() + ".",
                    "The model's metadata asks for this bias; the file is incomplete.");
    }
    const Layout layout = hf_ ? r->hf_layout : r->gguf_layout;
    const Shape must{outputs_of(*spec_, role, layout, layer)};
    if (t->shape() != must) wrong_shape(files_, name, t->shape(), must);
    return part_of(*spec_, role, layout, layer, t->to_f32());
}

bool TensorSource::behind_last_layer(const std::string& name) const {
    const std::string_view before = hf_ ? "layers." : "blk.";
    const std::size_t at = name.find(before);
    if (at == std::string::npos) return false;
    int layer = 0;
    const char* const digits = name.data() + at + before.size();
    return std::from_chars(digits, name.data() + name.size(), layer).ec == std::errc{} && layer >= spec_->n_layers &&
           layer - spec_->n_layers < spec_->more_layers;
}

void TensorSource::refuse_leftovers() const {
    for (const auto& entry : files_.tensors()) {
        const std::string& name = entry.first;
        if (taken_.contains(&entry.second)) continue;
        const bool skipped = std::any_of(family_.skipped.begin(), family_.skipped.end(),
                                         [&](std::string_view part) { return name.find(part) != std::string::npos; });
        const TensorRow* const head = row(Role::head);
        if (skipped || behind_last_layer(name) ||
            (spec_->tied_head && head != nullptr && name == name_of(*head, -1, ".weight")))
            continue;
        throw Error(ErrorKind::unsupported,
                    "Tensor '" + name + "' of " + files_.path().string() + " has no place in family " +
                        std::string(family_.name) + ", so the model would not be computed as it was made.",
                    "The file is of a variant that this build does not know.");
    }
}

}  // namespace freehold
