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
        if (spec.encoder && (s.seq.cross == nullptr || s.seq.cross->layout == nullptr || s.seq.n_cross == 0))
            throw Error(ErrorKind::internal, "a batch of an encoder-decoder has a segment without a source");
        at += s.n_rows;
    }
    if (at != rows || batch.positions.size() != rows || (!batch.types.empty() && batch.types.size() != rows)) {
        throw Error(ErrorKind::internal,
                    "a batch has " + std::to_string(rows) + " rows but its segments cover " + std::to_string(at));
    }
    const std::int32_t end = spec.positions == Positions::learned || spec.positions == Positions::sinusoidal
                                 ? spec.context
                                 : std::numeric_limits<std::int32_t>::max();
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

// The norm of what a branch gives: none, its own, or the layer's only one.
const Norm& post_norm(NormPlace place, const Norm& before, const Norm& behind) {
    if (place == NormPlace::pre) return kNoNorm;
    return place == NormPlace::sandwich ? behind : before;
}

PostPlace post_place(NormPlace place) {
    return place == NormPlace::post_add ? PostPlace::after_add : PostPlace::branch;
}

void show(const Probes* probes, Site site, int l, const Mat& m) {
    if (probes != nullptr) [[unlikely]]
        probes->visit({site, l}, m.v, m.cols, m.cols);
}

}  // namespace

void Decoder::Impl::attention(const Pass& pass, int l, const Mat& x) const {
    if (spec.latent.kv_rank > 0) return latent_attention(pass, l, x);
    const auto i = static_cast<std::size_t>(l);
    const LayerWeights& w = layers[i];
    const AttentionShape& shape = shapes[i];
    Exec& exec = pass.exec;
    const auto look = [&](Site site) { return Look{pass.probes, {site, l}}; };
    const std::size_t mark = exec.scratch.mark();
    const Mat q = take_mat(exec, x.rows, w.q.n_out()), k = take_mat(exec, x.rows, w.k.n_out()),
              v = take_mat(exec, x.rows, w.v.n_out());
    const LinearOut qkv[] = {{&w.q, q}, {&w.k, k}, {&w.v, v}};
    norm_linear(exec, norms_input(spec.norm_place) ? w.attn_norm : kNoNorm, x, qkv, pass.adapters);
    const float* const cs =
        shape.rope == nullptr ? nullptr : pass.angles[static_cast<std::size_t>(spec.layers[i].rope)];
    const Look qkv_looks[] = {look(Site::attn_q), look(Site::attn_k), look(Site::attn_v)};
    rope_store(exec, pass.batch, shape, places[i], cs, q, k, v, qkv_looks);
    const Mat o = take_mat(exec, x.rows, w.o.n_in());
    attend(exec, pass.batch, shape, places[i], q, k, v, o, look(Site::attn_pattern));
    linear_add(exec, w.o, o, post_norm(spec.norm_place, w.attn_norm, w.attn_post), post_place(spec.norm_place), x,
               look(Site::attn_out), pass.adapters);
    exec.scratch.reset(mark);
}

Decoder::Impl::Entered Decoder::Impl::enter_mlp(const Pass& pass, int l, const Mat& x) const {
    const LayerWeights& w = layers[static_cast<std::size_t>(l)];
    const Norm& norm = norms_input(spec.norm_place) ? w.mlp_norm : kNoNorm;
    Entered in;
    in.up = take_mat(pass.exec, x.rows, w.up.n_out());
    if (spec.gated_mlp) {
        in.gate = take_mat(pass.exec, x.rows, w.gate.n_out());
        const LinearOut both[] = {{&w.gate, in.gate}, {&w.up, in.up}};
        norm_linear(pass.exec, norm, x, both, pass.adapters);
    } else {
        const LinearOut one[] = {{&w.up, in.up}};
        norm_linear(pass.exec, norm, x, one, pass.adapters);
    }
    return in;
}

void Decoder::Impl::leave_mlp(const Pass& pass, int l, const Entered& in, const Mat& x) const {
    const LayerWeights& w = layers[static_cast<std::size_t>(l)];
    Exec& exec = pass.exec;
    const Mat& entering = spec.gated_mlp ? in.gate : in.up;
    show(pass.probes, Site::mlp_gate, l, entering);
    const Mat acted = exec.tape != nullptr ? take_mat(exec, x.rows, entering.cols) : entering;
    if (spec.xielu.empty())
        act(exec, spec.activation, entering, spec.gated_mlp ? in.up : Mat{}, acted);
    else
        act_xielu(exec, w.xielu, entering, acted);
    show(pass.probes, Site::mlp_act, l, acted);
    linear_add(exec, w.down, acted, post_norm(spec.norm_place, w.mlp_norm, w.mlp_post), post_place(spec.norm_place), x,
               Look{pass.probes, {Site::mlp_out, l}}, pass.adapters);
}

void Decoder::Impl::experts(const Pass& pass, int l, const Mat& x) const {
    const LayerWeights& w = layers[static_cast<std::size_t>(l)];
    Exec& exec = pass.exec;
    const std::size_t rows = x.rows, packed = rows * static_cast<std::size_t>(spec.routing.n_used);
    const auto ff = static_cast<std::size_t>(spec.d_ff_expert), shared_ff = static_cast<std::size_t>(spec.d_ff_shared);
    const auto acted_of = [&](const Mat& gate, const Mat& up) {
        const Mat acted = exec.tape != nullptr ? take_mat(exec, gate.rows, gate.cols) : gate;
        if (spec.clamped_glu)
            act_clamped_glu(exec, spec.glu, gate, up, acted);
        else
            act(exec, spec.activation, gate, up, acted);
        return acted;
    };
    const Mat xn = take_mat(exec, rows, x.cols), logits = take_mat(exec, rows, w.router.n_out());
    norm_rows(exec, w.mlp_norm, x, xn);
    const LinearOut to_router[] = {{&w.router, logits}};
    norm_linear(exec, kNoNorm, xn, to_router);
    show(pass.probes, Site::router, l, logits);
    const Chosen chosen =
        route(exec, spec.routing, logits, w.router_bias.empty() ? nullptr : w.router_bias.f32().data());
    const Mat gate = take_mat(exec, packed, ff), up = take_mat(exec, packed, ff), y = take_mat(exec, packed, x.cols);
    const GroupedOut entering[] = {{w.gate_exps, gate}, {w.up_exps, up}};
    grouped_linear(exec, chosen, xn, false, entering);
    const GroupedOut leaving[] = {{w.down_exps, y}};
    grouped_linear(exec, chosen, acted_of(gate, up), true, leaving);
    SharedOut shared;
    if (shared_ff > 0) {
        const Mat sg = take_mat(exec, rows, shared_ff), su = take_mat(exec, rows, shared_ff);
        shared.y = take_mat(exec, rows, x.cols);
        const LinearOut first[] = {{&w.gate_shared, sg}, {&w.up_shared, su}};
        norm_linear(exec, kNoNorm, xn, first);
        const LinearOut last[] = {{&w.down_shared, shared.y}};
        norm_linear(exec, kNoNorm, acted_of(sg, su), last);
    }
    combine(exec, chosen, y, shared, x, Look{pass.probes, {Site::mlp_out, l}});
}

std::size_t Decoder::Impl::experts_scratch(std::size_t rows) const noexcept {
    if (spec.routing.n_experts == 0) return 0;
    const auto d = static_cast<std::size_t>(spec.d_model), ff = static_cast<std::size_t>(spec.d_ff_expert),
               shared = static_cast<std::size_t>(spec.d_ff_shared),
               n = static_cast<std::size_t>(spec.routing.n_experts);
    const std::size_t packed = rows * static_cast<std::size_t>(spec.routing.n_used);
    return 2 * mat_bytes(rows, d) + mat_bytes(rows, n) + route_scratch(rows, spec.routing) + 2 * mat_bytes(packed, ff) +
           mat_bytes(packed, d) + 2 * mat_bytes(rows, shared) +
           std::max({grouped_linear_scratch(rows, std::max(d, ff), spec.routing),
                     norm_linear_scratch(rows, std::max(d, shared)), combine_scratch(rows, d)});
}

void Decoder::Impl::layer(const Pass& pass, int l, const Mat& x) const {
    const std::size_t mark = pass.exec.scratch.mark();
    show(pass.probes, Site::resid_pre, l, x);
    if (spec.parallel_residual) {
        const Entered in = enter_mlp(pass, l, x);
        attention(pass, l, x);
        show(pass.probes, Site::resid_mid, l, x);
        leave_mlp(pass, l, in, x);
    } else {
        attention(pass, l, x);
        if (encoder) cross_attention(pass, l, x);
        show(pass.probes, Site::resid_mid, l, x);
        if (spec.layers[static_cast<std::size_t>(l)].experts)
            experts(pass, l, x);
        else
            leave_mlp(pass, l, enter_mlp(pass, l, x), x);
    }
    show(pass.probes, Site::resid_post, l, x);
    pass.exec.scratch.reset(mark);
}

Mat Decoder::Impl::to_head(Exec& exec, const Mat& x) const {
    if (!projected()) return x;
    const Mat out = take_mat(exec, x.rows, project_out.n_out());
    const LinearOut one[] = {{&project_out, out}};
    norm_linear(exec, final_norm, x, one);
    return out;
}

std::size_t Decoder::Impl::projection_scratch(std::size_t rows) const noexcept {
    if (!projected()) return 0;
    const auto d = static_cast<std::size_t>(spec.d_model), e = static_cast<std::size_t>(spec.d_embed);
    return 2 * mat_bytes(rows, e) + 2 * mat_bytes(rows, d) + norm_linear_scratch(rows, std::max(d, e));
}

Mat Decoder::Impl::hidden(Exec& exec, const Batch& batch, const Probes* probes,
                          const std::vector<Source>* sources) const {
    check_batch(batch, spec);
    const Adapters adapted(batch);
    const Adapters* const adapters = Adapters::any(batch) ? &adapted : nullptr;
    if (adapters != nullptr) check_adapters(batch, this);
    const Mat x = take_mat(exec, batch.tokens.size(), static_cast<std::size_t>(spec.d_model));
    if (projected()) {
        const Mat narrow = take_mat(exec, x.rows, static_cast<std::size_t>(spec.d_embed));
        embed(exec, embedding, batch.tokens, batch.positions, narrow, batch.types);
        const LinearOut one[] = {{&project_in, x}};
        norm_linear(exec, kNoNorm, narrow, one);
        embed(exec, placing, batch.tokens, batch.positions, x);
    } else {
        embed(exec, embedding, batch.tokens, batch.positions, x, batch.types);
    }
    show(probes, Site::embed, -1, x);
    auto* const angles = exec.scratch.take_array<const float*>(ropes.size() + 1);
    for (std::size_t r = 0; r < ropes.size(); ++r) angles[r] = rope_rows(exec, ropes[r], batch.positions);
    auto* const segments = exec.scratch.take_array<Segment>(encoder ? batch.segments.size() : 0);
    Batch cross = batch;
    if (encoder) {
        std::copy(batch.segments.begin(), batch.segments.end(), segments);
        cross.segments = {segments, batch.segments.size()};
        for (Segment& s : std::span(segments, batch.segments.size())) s.seq.pages = s.seq.cross;
    }
    const Pass pass{exec, batch, {angles, ropes.size()}, probes, adapters, &cross, sources};
    for (int l = 0; l < spec.n_layers; ++l) layer(pass, l, x);
    return x;
}

std::size_t Decoder::Impl::hidden_scratch(std::size_t rows, int threads) const noexcept {
    std::size_t widest = 0, attention = 0, beside = 0, angles = 64 * (ropes.size() + 2);
    const auto d = static_cast<std::size_t>(spec.d_model);
    for (const RopeTable& r : ropes) angles += mat_bytes(rows, static_cast<std::size_t>(r.n_dims));
    for (std::size_t i = 0; i < layers.size(); ++i) {
        const LayerWeights& w = layers[i];
        if (spec.latent.kv_rank > 0) attention = std::max(attention, latent_scratch(i, rows, threads));
        const std::size_t q = mat_bytes(rows, w.q.n_out()), k = mat_bytes(rows, w.k.n_out()),
                          v = mat_bytes(rows, w.v.n_out());
        const std::size_t o = mat_bytes(rows, w.o.n_in()), ff = mat_bytes(rows, w.up.n_out());
        if (spec.parallel_residual) beside = std::max(beside, 2 * ff);
        widest = std::max({widest, q + k + v + norm_linear_scratch(rows, d),
                           q + k + v + o + linear_add_scratch(rows, w.o.n_in(), d),
                           2 * ff + norm_linear_scratch(rows, d), 2 * ff + linear_add_scratch(rows, w.down.n_in(), d)});
        attention = std::max({attention, q + k + v + o + attend_scratch(rows, shapes[i], threads),
                              q + k + v + o + attend_backward_scratch(shapes[i], threads)});
    }
    if (encoder) angles += rows * sizeof(Segment) + 128;
    return 2 * mat_bytes(rows, d) + projection_scratch(rows) + angles + beside +
           std::max({widest + adapter_scratch(), attention, experts_scratch(rows)});
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
                        impl_->projection_scratch(rows) +
                        (impl_->spec.n_labels == 0 ? 0 : classifier_scratch(logit_rows, impl_->spec)) +
                        impl_->ropes.size() * mat_bytes(rows, static_cast<std::size_t>(impl_->spec.head_dim)));
}

void Decoder::forward(Exec& exec, const Batch& batch, std::span<float> logits) const {
    need_head(impl_->spec);
    const Probes watched(batch);
    const Probes* const probes = Probes::any(batch) ? &watched : nullptr;
    const ScratchScope scope(exec.scratch);
    const Mat x = impl_->hidden(exec, batch, probes);
    final_logits(exec, impl_->ending(), impl_->to_head(exec, x), batch.wants_logits, logits, probes);
}

std::size_t Decoder::logprob_scratch_bytes(std::size_t rows, int n_threads) const noexcept {
    const auto d = static_cast<std::size_t>(impl_->spec.d_model);
    return scratch_bytes(rows, 0, n_threads) +
           row_logprob_scratch(rows, d, static_cast<std::size_t>(impl_->spec.vocab));
}

void Decoder::logprobs(Exec& exec, const Batch& batch, std::span<const Token> targets, std::span<double> out,
                       std::span<const float> upstream) const {
    impl_->logprobs(exec, batch, targets, out, upstream, nullptr);
}

void Decoder::Impl::logprobs(Exec& exec, const Batch& batch, std::span<const Token> targets, std::span<double> out,
                             std::span<const float> upstream, const std::vector<Source>* sources) const {
    need_head(spec);
    const Probes watched(batch);
    const Probes* const probes = Probes::any(batch) ? &watched : nullptr;
    const ScratchScope scope(exec.scratch);
    const Mat x = hidden(exec, batch, probes, sources);
    row_logprob(exec, ending(), to_head(exec, x), targets, out, upstream);
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

namespace {

std::uint64_t panel_bytes_of(std::span<const LayerWeights> layers) noexcept {
    std::uint64_t total = 0;
    for (const LayerWeights& w : layers) {
        for (const Linear* l :
             {&w.q, &w.k, &w.v, &w.o, &w.gate, &w.up, &w.down, &w.router, &w.gate_shared, &w.up_shared, &w.down_shared,
              &w.q_a, &w.kv_latent, &w.k_rope, &w.cross_q, &w.cross_k, &w.cross_v, &w.cross_o}) {
            total += l->w.panel_bytes();
        }
        for (const auto* parts : {&w.gate_exps, &w.up_exps, &w.down_exps, &w.k_b, &w.v_b}) {
            for (const Linear& l : *parts) total += l.w.panel_bytes();
        }
    }
    return total;
}

}  // namespace

std::uint64_t Decoder::panel_bytes() const noexcept {
    std::uint64_t total = impl_->head.w.panel_bytes() + impl_->token_embd.panel_bytes() +
                          impl_->pooler.w.panel_bytes() + impl_->classifier.w.panel_bytes() +
                          impl_->project_in.w.panel_bytes() + impl_->project_out.w.panel_bytes();
    if (impl_->encoder) total += panel_bytes_of(impl_->encoder->layers);
    return total + panel_bytes_of(impl_->layers);
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
