// Packed rows through the Decoder with a tape, micro-batch by micro-batch; gradients per parameter; AdamW.
#include "freehold/models/train_step.h"

#include <algorithm>
#include <cmath>

#include "decoder_impl.h"
#include "freehold/base/error.h"
#include "freehold/models/one_use_pages.h"
#include "freehold/ops/tape.h"

namespace freehold {
namespace {

void check_row(const PackedRow& r, std::size_t number, const DecoderSpec& spec) {
    const auto refuse = [&](const std::string& why) {
        throw Error(ErrorKind::usage, "Packed row " + std::to_string(number) + " " + why + ".");
    };
    std::size_t sum = 0;
    for (const std::uint32_t n : r.documents) {
        if (n == 0) refuse("has a document without tokens");
        if (n > static_cast<std::uint32_t>(spec.context)) {
            refuse("has a document of " + std::to_string(n) + " tokens, longer than the model's context of " +
                   std::to_string(spec.context));
        }
        sum += n;
    }
    if (sum != r.tokens.size())
        refuse("has " + std::to_string(r.tokens.size()) + " tokens but documents of " + std::to_string(sum));
    if (r.targets.size() != r.tokens.size() || r.weights.size() != r.tokens.size())
        refuse("does not have one target and one weight a token");
    if (r.sources.size() != (spec.encoder ? r.documents.size() : 0))
        refuse("has " + std::to_string(r.sources.size()) + " sources for its documents");
    std::size_t read = 0;
    for (const std::uint32_t n : r.sources) {
        if (n == 0) refuse("has a source without tokens");
        if (n > static_cast<std::uint32_t>(spec.encoder->context)) refuse("has a source longer than the model reads");
        read += n;
    }
    if (read != r.source.size()) refuse("has sources of another length than their tokens");
    for (std::size_t t = 0; t < r.tokens.size(); ++t) {
        if (r.tokens[t] < 0 || r.tokens[t] >= spec.vocab)
            refuse("has token " + std::to_string(r.tokens[t]) + ", outside the vocabulary");
        if (r.targets[t] != kNoTarget && (r.targets[t] < 0 || r.targets[t] >= spec.vocab)) {
            refuse("has target " + std::to_string(r.targets[t]) + ", outside the vocabulary");
        }
        if (!std::isfinite(r.weights[t])) refuse("has a weight that is not a finite number");
    }
}

// Several packed rows as one batch.
struct Micro {
    std::vector<Token> tokens, targets;
    std::vector<std::int32_t> positions;
    std::vector<float> weights, upstream;
    std::vector<Chain> chains;
    std::vector<PageTable> tables;
    std::vector<Segment> segments;
    std::vector<double> logprobs;
    // Of encoder-decoders: the sources, as a batch of their own.
    std::vector<Token> source;
    std::vector<std::int32_t> source_positions;
    std::vector<Chain> source_chains;
    std::vector<PageTable> source_tables, cross_tables;
    std::vector<Segment> source_segments;
};

void gather_sources(Micro& m, std::span<const PackedRow> rows, OneUsePages& pages, OneUsePages& cross) {
    pages.begin();
    cross.begin();
    for (const PackedRow& r : rows) {
        const std::size_t begin = m.source.size();
        m.source.insert(m.source.end(), r.source.begin(), r.source.end());
        m.source_chains.push_back({begin, m.source.size()});
        for (const std::uint32_t n : r.sources) {
            m.source_segments.push_back({static_cast<std::uint32_t>(m.source_positions.size()), n, {}});
            m.source_tables.push_back(pages.table(n));
            m.cross_tables.push_back(cross.table(n));
            for (std::uint32_t i = 0; i < n; ++i) m.source_positions.push_back(static_cast<std::int32_t>(i));
        }
    }
    for (std::size_t i = 0; i < m.segments.size(); ++i) {
        m.source_segments[i].seq.pages = &m.source_tables[i];
        m.source_segments[i].seq.cross = m.segments[i].seq.cross = &m.cross_tables[i];
        m.segments[i].seq.n_cross = m.source_segments[i].n_rows;
        m.segments[i].seq.first_cross = m.source_segments[i].first_row;
    }
}

Micro gather(std::span<const PackedRow> rows, OneUsePages& pages, double total_weight) {
    Micro m;
    pages.begin();
    for (const PackedRow& r : rows) {
        const std::size_t begin = m.tokens.size();
        m.tokens.insert(m.tokens.end(), r.tokens.begin(), r.tokens.end());
        m.targets.insert(m.targets.end(), r.targets.begin(), r.targets.end());
        m.weights.insert(m.weights.end(), r.weights.begin(), r.weights.end());
        m.chains.push_back({begin, m.tokens.size()});
        for (const std::uint32_t n : r.documents) {
            m.segments.push_back({static_cast<std::uint32_t>(m.positions.size()), n, {}});
            m.tables.push_back(pages.table(n));
            for (std::uint32_t i = 0; i < n; ++i) m.positions.push_back(static_cast<std::int32_t>(i));
        }
    }
    for (std::size_t i = 0; i < m.segments.size(); ++i) m.segments[i].seq.pages = &m.tables[i];
    for (const float w : m.weights) m.upstream.push_back(static_cast<float>(-static_cast<double>(w) / total_weight));
    m.logprobs.resize(m.tokens.size());
    return m;
}

}  // namespace

struct Trainable::Impl {
    ThreadPool& threads;
    std::shared_ptr<Decoder> decoder;
    Decoder::Impl& model;
    Gradients grads;
    OneUsePages pages;
    Tape tape;
    std::uint64_t version = 1;
    std::vector<float> summed;  // the gradient of a parameter with several slots
    // Of encoder-decoders: the encoder has a tape of its own, whose chains are over the rows of the sources. It runs
    // backwards when the decoder's has left the gradients of keys and values.
    std::unique_ptr<OneUsePages> source_pages = nullptr, cross_pages = nullptr;
    Tape source_tape = Tape(nullptr, {});

    // Rows of the step through the decoder, with or without the way back.
    StepLoss run(std::span<const PackedRow> rows, std::size_t at_a_time, const Kernels& kernels, bool backward);
};

StepLoss Trainable::Impl::run(std::span<const PackedRow> rows, std::size_t at_a_time, const Kernels& kernels,
                              bool backward) {
    StepLoss out;
    std::size_t most = 0, most_read = 0;
    at_a_time = std::max<std::size_t>(1, at_a_time);
    for (std::size_t i = 0; i < rows.size(); ++i) {
        check_row(rows[i], i, model.spec);
        for (std::size_t t = 0; t < rows[i].tokens.size(); ++t) {
            if (rows[i].targets[t] == kNoTarget) continue;
            out.weight += static_cast<double>(rows[i].weights[t]);
            ++out.tokens;
        }
        most = std::max(most, rows[i].tokens.size());
        most_read = std::max(most_read, rows[i].source.size());
    }
    if (!(out.weight > 0)) {
        throw Error(ErrorKind::usage, "No token of this step is trained: every target is masked or has weight 0.",
                    "Look at how the loss mask was made.");
    }
    Arena arena(std::max(decoder->logprob_scratch_bytes(most * at_a_time, threads.size()),
                         model.encoder ? model.encode_scratch(most_read * at_a_time, threads.size()) : 0));
    for (std::size_t at = 0; at < rows.size(); at += at_a_time) {
        const auto together = rows.subspan(at, std::min(at_a_time, rows.size() - at));
        Micro m = gather(together, pages, out.weight);
        if (model.encoder) gather_sources(m, together, *source_pages, *cross_pages);
        Exec exec{threads, kernels, arena, nullptr};
        if (backward) {
            tape.clear(m.chains);
            exec.tape = &tape;
        }
        std::vector<Decoder::Impl::Source> sources;
        Exec reading = exec;
        if (model.encoder) {
            source_tape.clear(m.source_chains);
            if (backward) reading.tape = &source_tape;
            model.encode(reading, {m.source, m.source_positions, {}, m.source_segments}, backward ? &sources : nullptr);
        }
        model.logprobs(exec, {m.tokens, m.positions, {}, m.segments}, m.targets, m.logprobs, m.upstream,
                       backward && model.encoder ? &sources : nullptr);
        for (std::size_t t = 0; t < m.tokens.size(); ++t) {
            if (m.targets[t] != kNoTarget) out.loss -= static_cast<double>(m.weights[t]) * m.logprobs[t];
        }
        if (backward) tape.run_backward(exec);
        if (backward && model.encoder) source_tape.run_backward(reading);
    }
    out.loss /= out.weight;
    return out;
}

Trainable::Trainable(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Trainable::~Trainable() = default;

std::unique_ptr<Trainable> Trainable::load(std::shared_ptr<const ModelFiles> files, ThreadPool& threads,
                                           std::function<void(DecoderSpec&)> adjust) {
    auto decoder = std::make_shared<Decoder>(
        build_decoder(std::move(files), {Profile::f32, true, std::move(adjust)}, threads, true));
    Decoder::Impl& model = *decoder->impl_;
    auto impl = std::make_unique<Impl>(Impl{threads,
                                            decoder,
                                            model,
                                            Gradients(model.slot_sizes),
                                            OneUsePages(model.layout(KvType::F32)),
                                            Tape(nullptr, {}),
                                            1,
                                            {}});
    impl->tape = Tape(&impl->grads, {});
    if (model.encoder) {
        impl->source_pages = std::make_unique<OneUsePages>(model.encoder->layout(KvType::F32));
        impl->cross_pages = std::make_unique<OneUsePages>(model.cross_layout(KvType::F32));
        impl->source_tape = Tape(&impl->grads, {});
    }
    return std::make_unique<Trainable>(std::move(impl));
}

std::shared_ptr<const Decoder> Trainable::decoder() const noexcept {
    return impl_->decoder;
}
std::size_t Trainable::n_params() const noexcept {
    return impl_->model.params.size();
}
std::string_view Trainable::name(std::size_t i) const noexcept {
    return impl_->model.params[i].name;
}
const Shape& Trainable::shape(std::size_t i) const noexcept {
    return impl_->model.params[i].value.shape();
}
std::span<float> Trainable::values(std::size_t i) {
    return impl_->model.params[i].value.f32_mut();
}
std::uint64_t Trainable::version() const noexcept {
    return impl_->version;
}

void Trainable::renew() {
    for (Param& p : impl_->model.params) {
        if (p.panels != nullptr) p.panels->renew(impl_->threads);
        if (p.follow) p.follow(p.value.f32()[0]);
        if (p.spread != nullptr) spread_buckets(*p.spread, p.value.f32().data(), static_cast<int>(p.value.shape()[1]));
        if (p.effective != nullptr) {
            const std::span<const float> from = p.value.f32();
            const std::span<float> to = p.effective->f32_mut();
            for (std::size_t i = 0; i < from.size(); ++i) to[i] = 1.0F + from[i];
        }
    }
    ++impl_->version;
}

StepLoss Trainable::gradients(std::span<const PackedRow> rows, std::size_t rows_at_a_time, const Kernels& kernels) {
    impl_->grads.clear();
    return impl_->run(rows, rows_at_a_time, kernels, true);
}

StepLoss Trainable::loss(std::span<const PackedRow> rows, const Kernels& kernels) {
    return impl_->run(rows, 1, kernels, false);
}

std::span<const float> Trainable::gradient(std::size_t i) {
    const Param& p = impl_->model.params[i];
    Arena none(0);
    Exec exec{impl_->threads, active_kernels(), none, nullptr};
    if (p.slots.size() == 1) return impl_->grads.total(exec, p.slots[0]);
    const std::span<const float> first = impl_->grads.total(exec, p.slots[0]);
    impl_->summed.assign(first.begin(), first.end());
    for (std::size_t s = 1; s < p.slots.size(); ++s) {
        const std::span<const float> more = impl_->grads.total(exec, p.slots[s]);
        exec.kernels.add(impl_->summed.data(), more.data(), impl_->summed.data(), more.size());
    }
    return impl_->summed;
}

void AdamW::step(Trainable& model) {
    const std::size_t n = model.n_params();
    first_.resize(n);
    second_.resize(n);
    ++steps_;
    const auto power = [this](double beta) { return beta > 0 ? fh_pow(beta, static_cast<double>(steps_)) : 0.0; };
    const auto b1 = static_cast<float>(options.beta1), b2 = static_cast<float>(options.beta2);
    const auto rate = static_cast<float>(options.lr / (1 - power(options.beta1)));
    const auto root = static_cast<float>(std::sqrt(1 - power(options.beta2)));
    const auto eps = static_cast<float>(options.eps);
    constexpr std::size_t kStep = std::size_t{1} << 15;
    for (std::size_t i = 0; i < n; ++i) {
        const std::span<float> w = model.values(i);
        const std::span<const float> g = model.gradient(i);
        first_[i].resize(w.size());
        second_[i].resize(w.size());
        float* const m = first_[i].data();
        float* const v = second_[i].data();
        const bool decayed = options.decay_vectors || model.shape(i).rank() > 1;
        const auto keep = static_cast<float>(1 - (decayed ? options.lr * options.weight_decay : 0.0));
        model.impl_->threads.run((w.size() + kStep - 1) / kStep, [&](std::size_t task, int) {
            const std::size_t end = std::min(w.size(), (task + 1) * kStep);
            for (std::size_t j = task * kStep; j < end; ++j) {
                m[j] += (1.0F - b1) * (g[j] - m[j]);
                v[j] = b2 * v[j] + (1.0F - b2) * (g[j] * g[j]);
                w[j] = w[j] * keep - rate * m[j] / (std::sqrt(v[j]) / root + eps);
            }
        });
    }
    model.renew();
}

}  // namespace freehold
