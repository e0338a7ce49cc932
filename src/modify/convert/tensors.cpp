// Tensors from one container's names and forms into the other's, role by role.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "freehold/base/error.h"
#include "parts.h"
#include "tensor_source.h"

namespace freehold::convert {
namespace {

bool is_norm(Role role) {
    switch (role) {
        case Role::embed_norm:
        case Role::attn_norm:
        case Role::q_norm:
        case Role::k_norm:
        case Role::attn_post_norm:
        case Role::mlp_norm:
        case Role::mlp_post_norm:
        case Role::final_norm:
            return true;
        default:
            return false;
    }
}

bool is_expert(Role role) {
    return role == Role::gate_exp || role == Role::up_exp || role == Role::down_exp;
}

bool is_transposed(Layout l) {
    return l == Layout::transposed || l == Layout::transposed_fused_qkv;
}

Tensor as_type(const Tensor& t, DType type) {
    if (t.dtype() == type) return t;
    const Tensor floats = t.to_f32();
    if (type == DType::F32) return floats;
    Tensor out = Tensor::zeros(type, t.shape());
    traits(type).from_f32(floats.f32().data(), const_cast<std::byte*>(out.data()),  // fresh memory of our own
                          static_cast<std::size_t>(t.shape().numel()));
    return out;
}

// Rows of each head from halves (i, i + n/2) into pairs (2i, 2i + 1), or back. Rows are moved whole, whatever their
// type.
Tensor paired(const Tensor& t, int heads, bool to_pairs) {
    const bool flat = t.shape().rank() == 1;
    const std::int64_t rows = t.shape()[0], dim = rows / heads, half = dim / 2;
    const std::size_t bytes = t.nbytes() / static_cast<std::size_t>(rows);
    if (flat && traits(t.dtype()).block != 1)
        throw Error(ErrorKind::internal, "A bias in blocks cannot be put in order.");
    Tensor out = Tensor::zeros(t.dtype(), t.shape());
    auto* to = const_cast<std::byte*>(out.data());  // fresh memory of our own
    for (std::int64_t h = 0; h < heads; ++h) {
        for (std::int64_t i = 0; i < half; ++i) {
            for (std::int64_t j = 0; j < 2; ++j) {
                const std::int64_t halves = h * dim + j * half + i, pairs = h * dim + 2 * i + j;
                const std::int64_t from_row = to_pairs ? halves : pairs, to_row = to_pairs ? pairs : halves;
                std::memcpy(to + static_cast<std::size_t>(to_row) * bytes,
                            t.data() + static_cast<std::size_t>(from_row) * bytes, bytes);
            }
        }
    }
    return out;
}

Tensor joined(const std::vector<Tensor>& parts) {
    std::int64_t rows = 0;
    for (const Tensor& p : parts) rows += p.shape()[0];
    const Tensor& first = parts.front();
    const Shape shape = first.shape().rank() == 1 ? Shape{rows} : Shape{rows, first.shape()[1]};
    Tensor out = Tensor::zeros(first.dtype(), shape);
    auto* to = const_cast<std::byte*>(out.data());  // fresh memory of our own
    for (const Tensor& p : parts) {
        std::memcpy(to, p.data(), p.nbytes());
        to += p.nbytes();
    }
    return out;
}

Tensor transposed(const Tensor& t) {
    const std::int64_t rows = t.shape()[0], cols = t.shape()[1];
    const auto width = static_cast<std::int64_t>(traits(t.dtype()).bytes);
    Tensor out = Tensor::zeros(t.dtype(), Shape{cols, rows});
    auto* to = const_cast<std::byte*>(out.data());  // fresh memory of our own
    for (std::int64_t r = 0; r < rows; ++r)
        for (std::int64_t c = 0; c < cols; ++c)
            std::memcpy(to + (c * rows + r) * width, t.data() + (r * cols + c) * width,
                        static_cast<std::size_t>(width));
    return out;
}

class Lister {
 public:
    Lister(const ModelFiles& files, const Family& family, const DecoderSpec& spec, Target target, DType type,
           float norm_shift)
        : source_(std::make_shared<TensorSource>(files, family, spec)),
          family_(family),
          spec_(spec),
          target_(target),
          type_(type),
          norm_shift_(norm_shift) {}

    std::vector<OutTensor> list() {
        for (const TensorRow& row : family_.tensors) {
            const std::string_view name = target_ == Target::gguf ? row.gguf : row.hf;
            if (name.find("{}") == std::string_view::npos) {
                add(row, -1);
            } else {
                for (int l = 0; l < spec_.n_layers; ++l) add(row, l);
            }
        }
        // Everything was asked for once: what the source has beyond that would be lost.
        source_->refuse_leftovers();
        return std::move(out_);
    }

 private:
    [[nodiscard]] std::string name_of(const TensorRow& row, int layer, std::string_view suffix) const {
        std::string name(target_ == Target::gguf ? row.gguf : row.hf);
        if (name.starts_with('@'))
            name.replace(0, 1, family_.hf_prefixes.empty() ? std::string_view() : family_.hf_prefixes.front());
        if (const std::size_t at = name.find("{}"); at != std::string::npos) name.replace(at, 2, std::to_string(layer));
        return name.append(suffix);
    }

    void add(const TensorRow& row, int layer) {
        // What one layer has, all have: without this tensor the source is not whole, and this says so.
        if (layer > 0 && source_->has(row.role, 0) && !source_->has(row.role, layer))
            static_cast<void>(source_->weight(row.role, layer));
        if (!source_->has(row.role, layer) || (row.role == Role::head && spec_.tied_head)) return;
        if (is_expert(row.role)) return experts(row, layer);
        const std::string name = name_of(row, layer, ".weight");
        if (!names_.insert(name).second) return;  // of a fused tensor or another name of the role: written already
        const Layout layout = target_ == Target::gguf ? row.gguf_layout : row.hf_layout;
        if (layout == Layout::fused_by_kv_head || layout == Layout::fused_gate_up)
            throw Error(ErrorKind::unsupported,
                        fmt::format("Tensor \"{}\" of family {} is fused in a way that is read and not yet written.",
                                    name, family_.name),
                        "Use the model in the container that it is in.");
        std::vector<Role> roles{row.role};
        if (is_fused(layout)) roles = {Role::q, Role::k, Role::v};
        put(name, roles, layer, layout, false);
        if (!source_->bias(row.role, layer).empty()) put(name_of(row, layer, ".bias"), roles, layer, layout, true);
    }

    // GGUF files hold all experts of a role one behind the other; folders hold each by itself ("#").
    void experts(const TensorRow& row, int layer) {
        const int n = spec_.routing.n_experts;
        if (!spec_.layers[static_cast<std::size_t>(layer)].experts) return;
        const std::string name = name_of(row, layer, ".weight");
        const std::size_t at = name.find('#');
        if (target_ == Target::folder && at == std::string::npos)
            throw Error(
                ErrorKind::unsupported,
                fmt::format("The experts of family {} lie in folders in a way that is read and not yet written.",
                            family_.name),
                "Use the model in the container that it is in.");
        const auto get = [source = source_, role = row.role, layer](int e) { return source->expert(role, layer, e); };
        const Tensor first = get(0);
        const DType type = type_of(first, row.role, Layout::plain, false);
        const Shape shape = first.shape();
        if (target_ == Target::folder) {
            for (int e = 0; e < n; ++e) {
                std::string one = name;
                one.replace(at, 1, std::to_string(e));
                out_.push_back({std::move(one), type, shape, [=] { return as_type(get(e), type); }});
            }
            return;
        }
        // Where each lies by itself, each is asked for now: one that is not there is told of before anything is
        // written.
        if (row.hf.find('#') != std::string_view::npos)
            for (int e = 1; e < n; ++e) static_cast<void>(get(e));
        out_.push_back({name, type, Shape{n, shape[0], shape[1]}, [=] {
                            std::vector<Tensor> made;
                            for (int e = 0; e < n; ++e) made.push_back(as_type(get(e), type));
                            return joined(made).reshape({n, shape[0], shape[1]});
                        }});
        if (!spec_.expert_biases) return;
        const auto bias = [source = source_, role = row.role, layer](int e) {
            return source->expert_bias(role, layer, e);
        };
        const std::int64_t width = bias(0).shape()[0];
        out_.push_back({name_of(row, layer, ".bias"), DType::F32, Shape{n, width}, [=] {
                            std::vector<Tensor> made;
                            for (int e = 0; e < n; ++e) made.push_back(bias(e));
                            return joined(made).reshape({n, width});
                        }});
    }

    // The type that the tensor will have: of its first role, as the container can hold it.
    [[nodiscard]] DType type_of(const Tensor& t, Role role, Layout layout, bool bias) const {
        const bool vector = bias || t.shape().rank() == 1;
        if (vector) return target_ == Target::gguf || bias || is_shifted(role) ? DType::F32 : plain(t.dtype());
        if (target_ == Target::gguf && role == Role::position_embd) return DType::F32;
        if (type_ != DType::None) return type_;
        if (target_ == Target::folder || is_transposed(layout)) return plain(t.dtype());
        return t.dtype();
    }
    [[nodiscard]] static DType plain(DType type) {
        return type == DType::F16 || type == DType::BF16 ? type : DType::F32;
    }
    [[nodiscard]] bool is_shifted(Role role) const { return norm_shift_ != 0 && is_norm(role); }

    void put(std::string name, const std::vector<Role>& roles, int layer, Layout layout, bool bias) {
        const auto get = [source = source_, bias, layer](Role role) {
            return bias ? source->bias(role, layer) : source->weight(role, layer);
        };
        std::vector<Tensor> parts;
        for (const Role role : roles) parts.push_back(get(role));
        DType type = type_of(parts.front(), roles.front(), layout, bias);
        // Parts of different types meet in floats.
        for (const Tensor& p : parts)
            if (p.dtype() != parts.front().dtype() && type_ == DType::None) type = DType::F32;
        std::int64_t rows = 0;
        for (const Tensor& p : parts) rows += p.shape()[0];
        const bool vector = parts.front().shape().rank() == 1;
        const std::int64_t cols = vector ? 0 : parts.front().shape()[1];
        const bool turn = is_transposed(layout) && !vector;
        const Shape shape = vector ? Shape{rows} : turn ? Shape{cols, rows} : Shape{rows, cols};
        const float shift = is_shifted(roles.front()) && !bias ? norm_shift_ : 0.0F;
        const bool pairs = family_.gguf_pairs_qk;
        const bool to_pairs = target_ == Target::gguf;
        const int q_heads = spec_.n_heads,
                  k_heads = layer >= 0 ? spec_.layers[static_cast<std::size_t>(layer)].n_kv_heads : 1;
        out_.push_back({std::move(name), type, shape, [=] {
                            std::vector<Tensor> made;
                            for (const Role role : roles) {
                                Tensor t = get(role);
                                if (pairs && (role == Role::q || role == Role::k))
                                    t = paired(t, role == Role::q ? q_heads : k_heads, to_pairs);
                                made.push_back(as_type(t, type));
                            }
                            Tensor whole = made.size() == 1 ? made.front() : joined(made);
                            if (shift != 0) {
                                whole = whole.to_f32();
                                for (float& x : whole.f32_mut()) x += shift;
                            }
                            return turn ? transposed(whole) : whole;
                        }});
    }

    std::shared_ptr<TensorSource> source_;
    const Family& family_;
    const DecoderSpec& spec_;
    Target target_;
    DType type_;
    float norm_shift_;
    std::vector<OutTensor> out_;
    std::set<std::string, std::less<>> names_;
};

}  // namespace

std::vector<OutTensor> out_tensors(const ModelFiles& files, const Family& family, const DecoderSpec& spec,
                                   Target target, DType type, float norm_shift) {
    return Lister(files, family, spec, target, type, norm_shift).list();
}

}  // namespace freehold::convert
