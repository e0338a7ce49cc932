// The forward pass: embedding, layers, ending. It reads like the blueprint and calls the ops; nothing is computed here.
#include "freehold/models/decoder.h"

#include <algorithm>
#include <limits>
#include <map>

#include "decoder_impl.h"
#include "freehold/base/error.h"

namespace freehold {
namespace {

const Norm kNoNorm;

// Pre and sandwich norm the input of a branch; post and sandwich its output; post_add the sum.
bool norms_input(NormPlace p) {
    return p == NormPlace::pre || p == NormPlace::sandwich;
}

// Gives scratch memory back when a forward is over, also when it ends with an exception.
class ScratchScope {
 public:
    explicit ScratchScope(Arena& arena) noexcept : arena_(arena), mark_(arena.mark()) {}
    ~ScratchScope() { arena_.reset(mark_); }
    ScratchScope(const ScratchScope&) = delete;
    ScratchScope& operator=(const ScratchScope&) = delete;

 private:
    Arena& arena_;
    std::size_t mark_;
};

// Ops run on workers, where nothing may throw: what they index with is looked at here.
void check_batch(const Batch& batch, const DecoderSpec& spec) {
    const std::size_t rows = batch.tokens.size();
    std::size_t at = 0;
    for (const Segment& s : batch.segments) {
        if (s.first_row != at || s.seq.pages == nullptr || s.seq.pages->layout == nullptr) {
            throw Error(ErrorKind::internal,
                        "a batch's segments do not cover its rows in order, or have no pages with a layout");
        }
        at += s.n_rows;
    }
    if (at != rows || batch.positions.size() != rows || (!batch.types.empty() && batch.types.size() != rows)) {
        throw Error(ErrorKind::internal,
                    "a batch has " + std::to_string(rows) + " rows but its segments cover " + std::to_string(at));
    }
    const std::int32_t end =
        spec.positions == Positions::learned ? spec.context : std::numeric_limits<std::int32_t>::max();
    for (std::size_t t = 0; t < rows; ++t) {
        if (batch.tokens[t] < 0 || batch.tokens[t] >= spec.vocab) {
            throw Error(ErrorKind::usage, "Token " + std::to_string(batch.tokens[t]) +
                                              " is outside the vocabulary of " + std::to_string(spec.vocab) + ".");
        }
        if (!batch.types.empty() && batch.types[t] >= spec.token_types) {
            throw Error(ErrorKind::usage, "Token type " + std::to_string(batch.types[t]) +
                                              " does not exist: the model has " + std::to_string(spec.token_types) +
                                              ".");
        }
        if (batch.positions[t] < 0 || batch.positions[t] >= end) {
            throw Error(ErrorKind::limit, "Position " + std::to_string(batch.positions[t]) +
                                              " is outside the model's context of " + std::to_string(spec.context) +
                                              ".");
        }
    }
}

// Its shapes were held against one model, and nothing on a worker looks again.
void check_adapters(const Batch& batch, const void* model) {
    for (const Segment& s : batch.segments) {
        if (s.seq.adapter != nullptr && s.seq.adapter->owner() != model)
            throw Error(ErrorKind::internal, "a batch has rows with an adapter that was made for another model");
    }
}

void need_head(const DecoderSpec& spec) {
    if (spec.has_head) return;
    throw Error(ErrorKind::unsupported, "A model of family " + spec.family +
                                            " reads texts and writes none: it has no head that would choose tokens.");
}

// What scores() takes for so many sequences beside the rows themselves.
std::size_t classifier_scratch(std::size_t n, const DecoderSpec& spec) {
    const auto d = static_cast<std::size_t>(spec.d_model);
    return 2 * mat_bytes(n, d) + norm_linear_scratch(n, d);
}

}  // namespace

void Decoder::Impl::layer(Exec& exec, const Batch& batch, int l, std::span<const float* const> angles, const Mat& x,
                          const Probes* probes, const Adapters* adapters) const {
    const auto i = static_cast<std::size_t>(l);
    const LayerWeights& w = layers[i];
    const AttentionShape& shape = shapes[i];
    const NormPlace place = spec.norm_place;
    const PostPlace post = place == NormPlace::post_add ? PostPlace::after_add : PostPlace::branch;
    const auto look = [&](Site site) { return Look{probes, {site, l}}; };
    const auto show = [&](Site site) {
        if (probes != nullptr) [[unlikely]]
            probes->visit({site, l}, x.v, x.cols, x.cols);
    };
    const std::size_t rows = x.rows;
    const std::size_t mark = exec.scratch.mark();
    show(Site::resid_pre);

    const Mat q = take_mat(exec, rows, w.q.n_out()), k = take_mat(exec, rows, w.k.n_out()),
              v = take_mat(exec, rows, w.v.n_out());
    const LinearOut qkv[] = {{&w.q, q}, {&w.k, k}, {&w.v, v}};
    norm_linear(exec, norms_input(place) ? w.attn_norm : kNoNorm, x, qkv, adapters);
    const float* const cs = shape.rope == nullptr ? nullptr : angles[static_cast<std::size_t>(spec.layers[i].rope)];
    const Look qkv_looks[] = {look(Site::attn_q), look(Site::attn_k), look(Site::attn_v)};
    rope_store(exec, batch, shape, places[i], cs, q, k, v, qkv_looks);
    const Mat o = take_mat(exec, rows, w.o.n_in());
    attend(exec, batch, shape, places[i], q, k, v, o, look(Site::attn_pattern));
    linear_add(exec, w.o, o,
               place == NormPlace::pre        ? kNoNorm
               : place == NormPlace::sandwich ? w.attn_post
                                              : w.attn_norm,
               post, x, look(Site::attn_out), adapters);
    show(Site::resid_mid);
    exec.scratch.reset(mark);

    const Mat up = take_mat(exec, rows, w.up.n_out());
    Mat gate{}, acted{};
    if (spec.gated_mlp) {
        gate = take_mat(exec, rows, w.gate.n_out());
        const LinearOut both[] = {{&w.gate, gate}, {&w.up, up}};
        norm_linear(exec, norms_input(place) ? w.mlp_norm : kNoNorm, x, both, adapters);
    } else {
        const LinearOut one[] = {{&w.up, up}};
        norm_linear(exec, norms_input(place) ? w.mlp_norm : kNoNorm, x, one, adapters);
    }
    const Mat& entering = spec.gated_mlp ? gate : up;
    if (probes != nullptr) [[unlikely]]
        probes->visit({Site::mlp_gate, l}, entering.v, entering.cols, entering.cols);
    acted = exec.tape != nullptr ? take_mat(exec, rows, entering.cols) : entering;
    act(exec, spec.activation, entering, spec.gated_mlp ? up : Mat{}, acted);
    if (probes != nullptr) [[unlikely]]
        probes->visit({Site::mlp_act, l}, acted.v, acted.cols, acted.cols);
    linear_add(exec, w.down, acted,
               place == NormPlace::pre        ? kNoNorm
               : place == NormPlace::sandwich ? w.mlp_post
                                              : w.mlp_norm,
               post, x, look(Site::mlp_out), adapters);
    show(Site::resid_post);
    exec.scratch.reset(mark);
}

Mat Decoder::Impl::hidden(Exec& exec, const Batch& batch, const Probes* probes) const {
    check_batch(batch, spec);
    const Adapters adapted(batch);
    const Adapters* const adapters = Adapters::any(batch) ? &adapted : nullptr;
    if (adapters != nullptr) check_adapters(batch, this);
    const Mat x = take_mat(exec, batch.tokens.size(), static_cast<std::size_t>(spec.d_model));
    embed(exec, embedding, batch.tokens, batch.positions, x, batch.types);
    if (probes != nullptr) [[unlikely]]
        probes->visit({Site::embed, -1}, x.v, x.cols, x.cols);
    auto* const angles = exec.scratch.take_array<const float*>(ropes.size() + 1);
    for (std::size_t r = 0; r < ropes.size(); ++r) angles[r] = rope_rows(exec, ropes[r], batch.positions);
    for (int l = 0; l < spec.n_layers; ++l) layer(exec, batch, l, {angles, ropes.size()}, x, probes, adapters);
    return x;
}

std::size_t Decoder::Impl::hidden_scratch(std::size_t rows, int threads) const noexcept {
    std::size_t widest = 0, attention = 0, angles = 64 * (ropes.size() + 2);
    const auto d = static_cast<std::size_t>(spec.d_model);
    for (const RopeTable& r : ropes) angles += mat_bytes(rows, static_cast<std::size_t>(r.n_dims));
    for (std::size_t i = 0; i < layers.size(); ++i) {
        const LayerWeights& w = layers[i];
        const std::size_t q = mat_bytes(rows, w.q.n_out()), k = mat_bytes(rows, w.k.n_out()),
                          v = mat_bytes(rows, w.v.n_out());
        const std::size_t o = mat_bytes(rows, w.o.n_in()), ff = mat_bytes(rows, w.up.n_out());
        widest = std::max({widest, q + k + v + norm_linear_scratch(rows, d),
                           q + k + v + o + linear_add_scratch(rows, w.o.n_in(), d),
                           2 * ff + norm_linear_scratch(rows, d), 2 * ff + linear_add_scratch(rows, w.down.n_in(), d)});
        attention = std::max({attention, q + k + v + o + attend_scratch(rows, shapes[i], threads),
                              q + k + v + o + attend_backward_scratch(shapes[i], threads)});
    }
    return 2 * mat_bytes(rows, d) + angles + std::max(widest + adapter_scratch(), attention);
}

Decoder::Decoder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Decoder::~Decoder() = default;

std::shared_ptr<const Decoder> Decoder::load(std::shared_ptr<const ModelFiles> files, const LoadOptions& options,
                                             ThreadPool& threads) {
    return std::make_shared<const Decoder>(build_decoder(std::move(files), options, threads, false));
}

const DecoderSpec& Decoder::spec() const noexcept {
    return impl_->spec;
}
Profile Decoder::profile() const noexcept {
    return impl_->profile;
}
KvLayout Decoder::kv_layout(KvType type) const {
    return impl_->layout(type);
}

std::size_t Decoder::scratch_bytes(std::size_t rows, std::size_t logit_rows, int n_threads) const noexcept {
    const int threads = n_threads > 0 ? n_threads : impl_->n_threads;
    return std::max(impl_->hidden_scratch(rows, threads),
                    2 * mat_bytes(rows, static_cast<std::size_t>(impl_->spec.d_model)) + 4096 +
                        final_logits_scratch(logit_rows, static_cast<std::size_t>(impl_->spec.d_model)) +
                        (impl_->spec.n_labels == 0 ? 0 : classifier_scratch(logit_rows, impl_->spec)) +
                        impl_->ropes.size() * mat_bytes(rows, static_cast<std::size_t>(impl_->spec.head_dim)));
}

void Decoder::forward(Exec& exec, const Batch& batch, std::span<float> logits) const {
    need_head(impl_->spec);
    const Probes watched(batch);
    const Probes* const probes = Probes::any(batch) ? &watched : nullptr;
    const ScratchScope scope(exec.scratch);
    const Mat x = impl_->hidden(exec, batch, probes);
    final_logits(exec, impl_->ending(), x, batch.wants_logits, logits, probes);
}

std::size_t Decoder::logprob_scratch_bytes(std::size_t rows, int n_threads) const noexcept {
    const auto d = static_cast<std::size_t>(impl_->spec.d_model);
    return scratch_bytes(rows, 0, n_threads) +
           row_logprob_scratch(rows, d, static_cast<std::size_t>(impl_->spec.vocab));
}

void Decoder::logprobs(Exec& exec, const Batch& batch, std::span<const Token> targets, std::span<double> out,
                       std::span<const float> upstream) const {
    need_head(impl_->spec);
    const Probes watched(batch);
    const Probes* const probes = Probes::any(batch) ? &watched : nullptr;
    const ScratchScope scope(exec.scratch);
    const Mat x = impl_->hidden(exec, batch, probes);
    row_logprob(exec, impl_->ending(), x, targets, out, upstream);
}

void Decoder::embeddings(Exec& exec, const Batch& batch, Pooling pooling, std::span<float> out) const {
    const Probes watched(batch);
    const ScratchScope scope(exec.scratch);
    if (out.size() < batch.segments.size() * static_cast<std::size_t>(impl_->spec.d_model))
        throw Error(ErrorKind::internal, "the buffer for embeddings is smaller than sequences times width");
    const Mat x = impl_->hidden(exec, batch, Probes::any(batch) ? &watched : nullptr);
    pool(exec, batch, impl_->final_norm, pooling, x, out);
}

void Decoder::scores(Exec& exec, const Batch& batch, std::span<float> out) const {
    const DecoderSpec& spec = impl_->spec;
    const std::size_t n = batch.segments.size(), d = static_cast<std::size_t>(spec.d_model);
    if (spec.n_labels == 0) throw Error(ErrorKind::unsupported, "The model has no classifier, so it gives no scores.");
    if (out.size() < n * static_cast<std::size_t>(spec.n_labels))
        throw Error(ErrorKind::internal, "the buffer for scores is smaller than sequences times labels");
    const Probes watched(batch);
    const ScratchScope scope(exec.scratch);
    const Mat x = impl_->hidden(exec, batch, Probes::any(batch) ? &watched : nullptr);
    const Mat first = take_mat(exec, n, d), pooled = take_mat(exec, n, d);
    pool(exec, batch, impl_->final_norm, Pooling::cls, x, {first.v, first.size()});
    const LinearOut to_pooler[] = {{&impl_->pooler, pooled}};
    norm_linear(exec, kNoNorm, first, to_pooler);
    for (float& v : std::span(pooled.v, pooled.size())) v = fh_tanh(v);
    const Mat scored{out.data(), nullptr, n, static_cast<std::size_t>(spec.n_labels)};
    const LinearOut to_classifier[] = {{&impl_->classifier, scored}};
    norm_linear(exec, kNoNorm, pooled, to_classifier);
}

std::uint64_t Decoder::n_params() const noexcept {
    return impl_->n_params;
}
std::uint64_t Decoder::weight_bytes() const noexcept {
    return impl_->weight_bytes;
}

std::uint64_t Decoder::panel_bytes() const noexcept {
    std::uint64_t total = impl_->head.w.panel_bytes() + impl_->token_embd.panel_bytes() +
                          impl_->pooler.w.panel_bytes() + impl_->classifier.w.panel_bytes();
    for (const LayerWeights& w : impl_->layers) {
        for (const Linear* l : {&w.q, &w.k, &w.v, &w.o, &w.gate, &w.up, &w.down}) total += l->w.panel_bytes();
    }
    return total;
}

std::uint64_t Decoder::mapped_panel_bytes() const noexcept {
    return impl_->mapped_panel_bytes;
}

Profile default_profile(const ModelFiles& files) {
    std::map<DType, std::uint64_t> bytes;
    bool quantised = false;
    for (const auto& [name, t] : files.tensors()) {
        if (t.shape().rank() < 2) continue;
        bytes[t.dtype()] += t.nbytes();
        const DTypeTraits* const form = find_traits(t.dtype());
        quantised = quantised || (form != nullptr && form->quantised);
    }
    if (quantised) return Profile::q8;
    const std::uint64_t brain = bytes[DType::BF16];
    return brain > bytes[DType::F32] + bytes[DType::F16] ? Profile::bf16 : Profile::f32;
}

}  // namespace freehold
