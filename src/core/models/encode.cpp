// What an encoder-decoder adds to the forward pass: encoding, which leaves keys and values for the decoder's layers,
// and the branch of a layer that looks at them.
#include <algorithm>

#include "decoder_impl.h"
#include "freehold/base/error.h"
#include "freehold/ops/experts.h"

namespace freehold {
namespace {

const Norm kNone;

}  // namespace

void Decoder::Impl::cross_attention(const Pass& pass, int l, const Mat& x) const {
    const auto i = static_cast<std::size_t>(l);
    const LayerWeights& w = layers[i];
    Exec& exec = pass.exec;
    const std::size_t mark = exec.scratch.mark();
    const bool pre = spec.norm_place == NormPlace::pre;
    const Mat q = take_mat(exec, x.rows, w.cross_q.n_out()), o = take_mat(exec, x.rows, w.cross_o.n_in());
    const LinearOut one[] = {{&w.cross_q, q}};
    norm_linear(exec, pre ? w.cross_norm : kNone, x, one);
    const Source source = pass.sources == nullptr ? Source{} : (*pass.sources)[i];
    attend(exec, *pass.cross, cross_shapes[i], cross_places[i], q, source.k, source.v, o, Look{});
    linear_add(exec, w.cross_o, o, pre ? kNone : w.cross_norm, pre ? PostPlace::branch : PostPlace::after_add, x,
               Look{});
    exec.scratch.reset(mark);
}

void Decoder::Impl::encode(Exec& exec, const Batch& batch, std::vector<Source>* sources) const {
    if (!encoder) throw Error(ErrorKind::internal, "a model without an encoder was asked to encode");
    for (const Segment& s : batch.segments) {
        if (s.seq.cross == nullptr || s.seq.cross->layout == nullptr)
            throw Error(ErrorKind::internal, "a text that is encoded has no pages for what is made of it");
    }
    const std::size_t mark = exec.scratch.mark();
    const Mat x = encoder->hidden(exec, batch, nullptr);
    Mat rows = x;
    if (encoder->spec.final_norm) {
        rows = take_mat(exec, x.rows, x.cols);
        norm_rows(exec, encoder->final_norm, x, rows);
    }
    std::vector<Segment> segments(batch.segments.begin(), batch.segments.end());
    for (Segment& s : segments) s.seq.pages = s.seq.cross;
    Batch cross = batch;
    cross.segments = segments;
    const Look looks[3] = {};
    if (sources != nullptr) sources->clear();
    for (std::size_t l = 0; l < layers.size(); ++l) {
        const std::size_t before = exec.scratch.mark();
        const LayerWeights& w = layers[l];
        const Mat k = take_mat(exec, rows.rows, w.cross_k.n_out()), v = take_mat(exec, rows.rows, w.cross_v.n_out());
        const LinearOut both[] = {{&w.cross_k, k}, {&w.cross_v, v}};
        norm_linear(exec, kNone, rows, both);
        rope_store(exec, cross, cross_shapes[l], cross_places[l], nullptr, Mat{nullptr, nullptr, rows.rows, 0}, k, v,
                   looks);
        if (sources != nullptr) sources->push_back({k, v});
        exec.scratch.reset(before);
    }
    exec.scratch.reset(mark);
}

std::size_t Decoder::Impl::encode_scratch(std::size_t rows, int threads) const noexcept {
    const auto d = static_cast<std::size_t>(spec.d_model);
    std::size_t widest = 0;
    for (const LayerWeights& w : layers) {
        widest = std::max(widest, mat_bytes(rows, w.cross_k.n_out()) + mat_bytes(rows, w.cross_v.n_out()) +
                                      norm_linear_scratch(rows, d));
    }
    return encoder->hidden_scratch(rows, threads) + mat_bytes(rows, d) + widest + 4096;
}

KvLayout Decoder::Impl::cross_layout(KvType type) const {
    KvLayout out;
    KvGroup group{{}, 0, spec.layers.front().n_kv_heads, spec.head_dim, spec.v_dim, type};
    for (int l = 0; l < spec.n_layers; ++l) {
        group.layers.push_back(l);
        out.group_of_layer.push_back(0);
        out.index_in_group.push_back(l);
    }
    out.groups.push_back(std::move(group));
    return out;
}

KvLayout Decoder::encoder_layout(KvType type) const {
    return impl_->encoder->layout(type);
}
KvLayout Decoder::cross_layout(KvType type) const {
    return impl_->cross_layout(type);
}
void Decoder::encode(Exec& exec, const Batch& batch) const {
    impl_->encode(exec, batch, nullptr);
}
std::size_t Decoder::encode_scratch_bytes(std::size_t rows, int n_threads) const noexcept {
    return impl_->encode_scratch(rows, n_threads > 0 ? n_threads : impl_->n_threads);
}

}  // namespace freehold
