// final_logits: the rows that want logits, final norm, head, scale, cap. Serving and explanation; training uses
// row_logprob.
#include <algorithm>
#include <cstring>

#include "freehold/base/error.h"
#include "freehold/ops/ends.h"

namespace freehold {

std::size_t final_logits_scratch(std::size_t rows, std::size_t d) noexcept {
    return mat_bytes(rows, d) +
           std::max(Prepared::bytes_needed(Profile::q8, rows, d), Prepared::bytes_needed(Profile::bf16, rows, d)) + 128;
}

void final_logits(Exec& exec, const Head& head, const Mat& x, std::span<const std::uint8_t> wants,
                  std::span<float> logits, const Probes* probes) {
    if (exec.tape != nullptr) {
        throw Error(ErrorKind::internal, "logits were asked for under a tape, which records log-probabilities only");
    }
    const std::size_t d = x.cols, vocab = head.linear->n_out();
    const std::size_t mark = exec.scratch.mark();
    const auto n =
        static_cast<std::size_t>(std::count_if(wants.begin(), wants.end(), [](std::uint8_t w) { return w != 0; }));
    if (n == 0) return;
    if (logits.size() < n * vocab)
        throw Error(ErrorKind::internal, "the buffer for logits is smaller than rows times vocabulary");
    float* const rows = exec.scratch.take_array<float>(n * d);
    std::size_t filled = 0;
    for (std::size_t t = 0; t < wants.size(); ++t) {
        if (wants[t] != 0) std::memcpy(rows + filled++ * d, x.row(t), d * sizeof(float));
    }
    const Norm& norm = *head.norm;
    const Look at_norm{probes, {Site::final_norm, -1}}, at_logits{probes, {Site::logits, -1}};
    const auto norm_one = [&](std::size_t t) {
        if (norm.kind == NormKind::none) return;
        exec.kernels.norm_row(norm.kind, rows + t * d, norm.weight_data(), norm.bias_data(), norm.eps, d, rows + t * d,
                              nullptr);
    };
    const Prepared prepared = take_prepared(exec, head.linear->w.profile(), rows, n, d);
    if (at_norm.wanted()) {
        for_rows(exec, n, d * 4, norm_one);
        probes->visit_wanting(at_norm.at, rows, d, d);
        for_rows(exec, n, d, [&](std::size_t t) { prepared.run_row(exec.kernels, t); });
    } else {
        for_rows(exec, n, d * 4, [&](std::size_t t) {
            norm_one(t);
            prepared.run_row(exec.kernels, t);
        });
    }
    const Product product{&head.linear->w, &prepared, logits.data(), vocab, head.linear->bias_data(), false};
    multiply(exec.kernels, exec.threads, std::span(&product, 1));
    if (head.scale != 1.0F || head.softcap != 0.0F) {
        for_rows(exec, n, vocab, [&](std::size_t t) {
            if (head.scale != 1.0F) exec.kernels.scale(head.scale, logits.data() + t * vocab, vocab);
            if (head.softcap != 0.0F) exec.kernels.softcap(head.softcap, logits.data() + t * vocab, vocab);
        });
    }
    if (at_logits.wanted()) probes->visit_wanting(at_logits.at, logits.data(), vocab, vocab);
    exec.scratch.reset(mark);
}

}  // namespace freehold
