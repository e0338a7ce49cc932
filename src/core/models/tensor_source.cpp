// Tensors by role: names, shapes, fused and transposed forms.
#include "tensor_source.h"

#include <algorithm>
#include <cstring>

#include "freehold/base/error.h"

namespace freehold {
Want want_of(const DecoderSpec& s, Role role, int layer) {
    const std::int64_t d = s.d_model, heads = s.n_heads, dim = s.head_dim, v_dim = s.v_dim;
    const std::int64_t kv = layer >= 0 ? s.layers[static_cast<std::size_t>(layer)].n_kv_heads : 0;
    const bool whole = s.qk_norm == QkNorm::whole_width;
    switch (role) {
        case Role::token_embd:
        case Role::head:
            return {s.vocab, d};
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
            return {heads * dim, d};
        case Role::k:
            return {kv * dim, d};
        case Role::v:
            return {kv * v_dim, d};
        case Role::attn_out:
            return {d, heads * v_dim};
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
    }
    return {};
}

Part part_of(const DecoderSpec& s, Role role, int layer) {
    const std::int64_t q = want_of(s, Role::q, layer).out, k = want_of(s, Role::k, layer).out,
                       v = want_of(s, Role::v, layer).out;
    if (role == Role::q) return {0, q};
    if (role == Role::k) return {q, q + k};
    return {q + k, q + k + v};
}

bool is_fused(Layout l) {
    return l == Layout::fused_qkv || l == Layout::transposed_fused_qkv;
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
                                           "classifier"};
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
    : files_(files), family_(family), spec_(spec), hf_(files.container() == Container::hf) {
    if (!hf_) return;
    for (const std::string_view prefix : family.hf_prefixes) {
        prefix_ = prefix;
        const TensorRow* const embedding = row(Role::token_embd);
        if (embedding != nullptr && files.find_tensor(name_of(*embedding, -1, ".weight")) != nullptr) return;
    }
    prefix_ = family.hf_prefixes.empty() ? std::string_view{}
                                         : family.hf_prefixes.front();  // for the message about what is missing
}

const TensorRow* TensorSource::row(Role role) const {
    const TensorRow* first = nullptr;
    for (const TensorRow& r : family_.tensors) {
        if (r.role != role) continue;
        if (first == nullptr) first = &r;
        if (find(name_of(r, 0, ".weight")) != nullptr) return &r;
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

std::string TensorSource::name_of(const TensorRow& r, int layer, std::string_view suffix) const {
    std::string name(hf_ ? r.hf : r.gguf);
    if (name.starts_with('@')) name.replace(0, 1, prefix_);
    if (const std::size_t at = name.find("{}"); at != std::string::npos) name.replace(at, 2, std::to_string(layer));
    return name.append(suffix);
}

const Tensor* TensorSource::take(const std::string& name) {
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

Tensor TensorSource::weight(Role role, int layer) {
    const TensorRow* const r = row(role);
    if (r == nullptr) {
        throw Error(ErrorKind::internal, "Tensor '" + std::string(role_name(role)) +
                                             "' is asked for by the blueprint, but family " +
                                             std::string(family_.name) + " has no such tensor.");
    }
    const std::string name = name_of(*r, layer, ".weight");
    const Tensor* const t = take(name);
    if (t == nullptr) {
        throw Error(ErrorKind::bad_file, "Tensor '" + name + "' is missing from " + files_.path().string() + ".",
                    "The file is incomplete (a part or shard may be missing), or is not of family " +
                        std::string(family_.name) + ".");
    }
    const Want want = want_of(spec_, role, layer);
    if (want.in == 0) {
        if (t->shape() != Shape{want.out}) wrong_shape(files_, name, t->shape(), Shape{want.out});
        return *t;
    }
    const Layout layout = hf_ ? r->hf_layout : r->gguf_layout;
    const std::int64_t out = is_fused(layout) ? part_of(spec_, Role::v, layer).end : want.out;
    const Shape must = is_transposed(layout) ? Shape{want.in, out} : Shape{out, want.in};
    if (t->shape() != must) wrong_shape(files_, name, t->shape(), must);
    const Tensor whole = is_transposed(layout) ? turned(name, *t) : *t;
    if (!is_fused(layout)) return whole;
    const Part part = part_of(spec_, role, layer);
    return whole.slice(part.begin, part.end);
}

Tensor TensorSource::bias(Role role, int layer) {
    const TensorRow* const r = row(role);
    if (r == nullptr || r->bias == Presence::absent) return {};
    Presence presence = r->bias;
    const bool attention = role == Role::q || role == Role::k || role == Role::v || role == Role::attn_out;
    const bool mlp = role == Role::gate || role == Role::up || role == Role::down;
    if (presence == Presence::if_present && attention) presence = spec_.attn_bias;
    if (presence == Presence::if_present && mlp) presence = spec_.mlp_bias;
    if (presence == Presence::absent) return {};
    const std::string name = name_of(*r, layer, ".bias");
    const Tensor* const t = take(name);
    if (t == nullptr) {
        if (presence == Presence::if_present) return {};
        throw Error(ErrorKind::bad_file, "Tensor '" + name + "' is missing from " + files_.path().string() + ".",
                    "The model's metadata asks for this bias; the file is incomplete.");
    }
    const Layout layout = hf_ ? r->hf_layout : r->gguf_layout;
    const Want want = want_of(spec_, role, layer);
    const Shape must{is_fused(layout) ? part_of(spec_, Role::v, layer).end : want.out};
    if (t->shape() != must) wrong_shape(files_, name, t->shape(), must);
    const Part part = is_fused(layout) ? part_of(spec_, role, layer) : Part{0, want.out};
    return t->to_f32().slice(part.begin, part.end);
}

void TensorSource::refuse_leftovers() const {
    for (const auto& entry : files_.tensors()) {
        const std::string& name = entry.first;
        if (taken_.contains(&entry.second)) continue;
        const bool skipped = std::any_of(family_.skipped.begin(), family_.skipped.end(),
                                         [&](std::string_view part) { return name.find(part) != std::string::npos; });
        const TensorRow* const head = row(Role::head);
        if (skipped || (spec_.tied_head && head != nullptr && name == name_of(*head, -1, ".weight"))) continue;
        throw Error(ErrorKind::unsupported,
                    "Tensor '" + name + "' of " + files_.path().string() + " has no place in family " +
                        std::string(family_.name) + ", so the model would not be computed as it was made.",
                    "The file is of a variant that this build does not know.");
    }
}

}  // namespace freehold
