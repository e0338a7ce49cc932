// Latent attention of a layer: queries absorb their head's matrix, attention walks over the latents themselves, and
// what comes out goes through the head's other matrix.
#include <algorithm>

#include "decoder_impl.h"
#include "freehold/ops/experts.h"
#include "freehold/ops/heads.h"

namespace freehold {
namespace {

std::size_t count(int n) {
    return static_cast<std::size_t>(n);
}

}  // namespace

void Decoder::Impl::latent_attention(const Pass& pass, int l, const Mat& x) const {
    const std::size_t i = count(l), rows = x.rows, heads = count(spec.n_heads);
    const std::size_t rank = count(spec.latent.kv_rank), nope = count(spec.latent.nope), rope = count(spec.latent.rope),
                      v = count(spec.latent.v), wide = rank + rope;
    const LayerWeights& w = layers[i];
    const AttentionShape& shape = shapes[i];
    Exec& exec = pass.exec;
    const auto look = [&](Site site) { return Look{pass.probes, {site, l}}; };
    const std::size_t mark = exec.scratch.mark();

    const Mat raw_q = take_mat(exec, rows, w.q.n_out()), raw_latent = take_mat(exec, rows, rank),
              raw_rope = take_mat(exec, rows, rope);
    if (spec.latent.q_rank > 0) {
        const Mat low = take_mat(exec, rows, w.q_a.n_out());
        const LinearOut first[] = {{&w.q_a, low}, {&w.kv_latent, raw_latent}, {&w.k_rope, raw_rope}};
        norm_linear(exec, w.attn_norm, x, first);
        const LinearOut second[] = {{&w.q, raw_q}};
        norm_linear(exec, w.q_a_norm, low, second, pass.adapters);
    } else {
        const LinearOut all[] = {{&w.q, raw_q}, {&w.kv_latent, raw_latent}, {&w.k_rope, raw_rope}};
        norm_linear(exec, w.attn_norm, x, all, pass.adapters);
    }
    const Mat latent = take_mat(exec, rows, rank);
    norm_rows(exec, w.kv_norm, raw_latent, latent);
    if (const Look at = look(Site::attn_latent); at.wanted()) at.probes->visit(at.at, latent.v, rank, rank);

    // [a head's query through its k_b | its rotated part] meets [latent | rotated key].
    const Mat q = take_mat(exec, rows, heads * wide), k = take_mat(exec, rows, wide);
    head_linear(exec, w.k_b, {raw_q, nope + rope, 0}, {q, wide, 0});
    copy_heads(exec, heads, rope, {raw_q, nope + rope, nope}, {q, wide, rank});
    copy_heads(exec, 1, rank, {latent, rank, 0}, {k, wide, 0});
    copy_heads(exec, 1, rope, {raw_rope, rope, 0}, {k, wide, rank});
    const float* const cs =
        shape.rope == nullptr ? nullptr : pass.angles[static_cast<std::size_t>(spec.layers[i].rope)];
    const Look looks[] = {look(Site::attn_q), look(Site::attn_k), look(Site::attn_v)};
    rope_store(exec, pass.batch, shape, places[i], cs, q, k, Mat{}, looks);

    const Mat seen = take_mat(exec, rows, heads * rank), o = take_mat(exec, rows, heads * v);
    attend(exec, pass.batch, shape, places[i], q, k, Mat{}, seen, look(Site::attn_pattern));
    head_linear(exec, w.v_b, {seen, rank, 0}, {o, v, 0});
    linear_add(exec, w.o, o, no_norm, PostPlace::branch, x, look(Site::attn_out), pass.adapters);
    exec.scratch.reset(mark);
}

std::size_t Decoder::Impl::latent_scratch(std::size_t i, std::size_t rows, int threads) const noexcept {
    const std::size_t heads = count(spec.n_heads), d = count(spec.d_model);
    const std::size_t rank = count(spec.latent.kv_rank), nope = count(spec.latent.nope), rope = count(spec.latent.rope),
                      v = count(spec.latent.v), wide = rank + rope, low = count(spec.latent.q_rank);
    const std::size_t held = mat_bytes(rows, heads * (nope + rope)) + 2 * mat_bytes(rows, rank) +
                             mat_bytes(rows, rope) + mat_bytes(rows, low) + mat_bytes(rows, heads * wide) +
                             mat_bytes(rows, wide) + mat_bytes(rows, heads * rank) + mat_bytes(rows, heads * v);
    return held + std::max({norm_linear_scratch(rows, std::max(d, low)) + adapter_scratch(),
                            head_linear_scratch(rows, heads, nope, rank), head_linear_scratch(rows, heads, rank, v),
                            attend_scratch(rows, shapes[i], threads), attend_backward_scratch(shapes[i], threads),
                            linear_add_scratch(rows, heads * v, d) + adapter_scratch()});
}

}  // namespace freehold
