// Embedder: texts framed, cut where that was asked for, and run through the one Decoder in ragged steps.
#include "freehold/engine/embed.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "freehold/base/error.h"
#include "freehold/models/one_use_pages.h"

namespace freehold {
namespace {

// Rows of a step: enough that weights are read seldom and threads seldom wait, few enough that who waits for a turn
// waits milliseconds and that a step's rows stay in the cache. bench: docs/performance.md.
constexpr std::size_t kStepRows = 512;

std::string name_of(std::size_t index) {
    return fmt::format("Input {}", index);
}

float logistic(float x) {
    return 1.0F / (1.0F + fh_exp(-x));
}

// Damaged weights may give what has no place in any order: it comes last.
float orderly(float score) {
    return std::isnan(score) ? -std::numeric_limits<float>::infinity() : score;
}

}  // namespace

struct Embedder::Impl {
    Impl(Host& h, std::shared_ptr<const LoadedModel> m)
        : host(h),
          model(std::move(m)),
          decoder(need(*model)),
          spec(read_embedding_spec(*model->files(), decoder.spec())),
          pages(decoder.kv_layout(KvType::F32)) {
        make_room(std::min(kStepRows, static_cast<std::size_t>(spec.max_tokens)));
    }

    static const Decoder& need(const LoadedModel& m) {
        return m.decoder() && !m.decoder()->spec().encoder ? *m.decoder() : m.need_decoder();
    }

    // Scratch for a step of so many rows, counted in the host's budget; grows for a text that is longer than a step.
    void make_room(std::size_t wanted) {
        if (wanted <= room) return;
        const std::size_t scratch = decoder.scratch_bytes(wanted, wanted, host.threads().size());
        lease = {};
        arena.reset();
        room = 0;
        // Pages of short texts are partly empty: at worst a page for each row.
        lease = host.memory().take(scratch + 2 * pages.bytes_for(wanted), "Memory of one step of an embedding");
        arena = std::make_unique<Arena>(scratch);
        room = wanted;
    }

    Framed framed(const EmbedInput& input, std::size_t index, const EmbedOptions& options) const;
    Framed framed_pair(const std::string& question, const std::string& document, std::size_t index,
                       const EmbedOptions& options) const;
    [[nodiscard]] std::size_t longest(const EmbedOptions& options) const {
        const auto most = static_cast<std::size_t>(spec.max_tokens);
        return options.max_tokens > 0 ? std::min(most, static_cast<std::size_t>(options.max_tokens)) : most;
    }
    static void check_length(const Framed& f, std::size_t index, std::size_t most, const EmbedOptions& options);

    // Runs inputs [0, n) step by step; `width` numbers for each go to on_result.
    void run(std::size_t n, std::size_t width, const EmbedOptions& options,
             const std::function<Framed(std::size_t)>& input,
             const std::function<void(Exec&, const Batch&, std::span<float>)>& forward,
             const std::function<void(std::size_t, const Framed&, std::span<const float>)>& on_result);

    Host& host;
    std::shared_ptr<const LoadedModel> model;
    const Decoder& decoder;
    EmbeddingSpec spec;
    // Used while a turn on the host is held, by whoever holds it.
    OneUsePages pages;
    std::size_t room = 0;  // rows
    MemoryBudget::Lease lease;
    std::unique_ptr<Arena> arena;
};

void Embedder::Impl::check_length(const Framed& f, std::size_t index, std::size_t most, const EmbedOptions& options) {
    if (f.ids.empty()) {
        throw Error(ErrorKind::usage,
                    name_of(index + options.first_number) + " is empty: there is no token to make a vector from.",
                    "Leave it out, or give some text.");
    }
    if (f.left_out > 0 && !options.truncate) {
        throw Error(ErrorKind::limit,
                    fmt::format("{} has {} tokens, but this model reads {} at most.",
                                name_of(index + options.first_number), f.ids.size() + f.left_out, most),
                    "Split it into shorter texts, or ask for truncation, which leaves the end out.");
    }
}

Framed Embedder::Impl::framed(const EmbedInput& input, std::size_t index, const EmbedOptions& options) const {
    const std::size_t most = longest(options);
    Framed f;
    if (const auto* const text = std::get_if<std::string>(&input)) {
        f = model->need_tokenizer().frame(*text, most);
    } else {
        f.ids = std::get<std::vector<Token>>(input);
        for (const Token id : f.ids) {
            if (id < 0 || id >= decoder.spec().vocab) {
                throw Error(
                    ErrorKind::usage,
                    fmt::format("{} holds token {}, which does not exist.", name_of(index + options.first_number), id),
                    fmt::format("This model has {} tokens, 0 to {}.", decoder.spec().vocab, decoder.spec().vocab - 1));
            }
        }
        if (f.ids.size() > most) {
            f.left_out = f.ids.size() - most;
            f.ids.resize(most);
        }
        f.types.resize(f.ids.size(), 0);
    }
    check_length(f, index, most, options);
    return f;
}

Framed Embedder::Impl::framed_pair(const std::string& question, const std::string& document, std::size_t index,
                                   const EmbedOptions& options) const {
    const std::size_t most = longest(options);
    Framed f = model->need_tokenizer().frame_pair(question, document, most);
    check_length(f, index, most, options);
    return f;
}

void Embedder::Impl::run(std::size_t n, std::size_t width, const EmbedOptions& options,
                         const std::function<Framed(std::size_t)>& input,
                         const std::function<void(Exec&, const Batch&, std::span<float>)>& forward,
                         const std::function<void(std::size_t, const Framed&, std::span<const float>)>& on_result) {
    std::vector<Framed> texts;
    for (std::size_t i = 0; i < n; ++i) texts.push_back(input(i));  // a fault in any is told before work begins
    const bool typed = decoder.spec().token_types > 0;
    std::vector<Token> tokens;
    std::vector<std::int32_t> positions;
    std::vector<std::uint8_t> types;
    std::vector<Segment> segments;
    std::vector<PageTable> tables;
    std::vector<float> out;
    for (std::size_t at = 0; at < n;) {
        if (options.progress) options.progress({"embedding", at, n, "items"});
        tokens.clear();
        positions.clear();
        types.clear();
        segments.clear();
        tables.clear();
        std::size_t end = at;
        do {
            const Framed& f = texts[end];
            segments.push_back(
                {static_cast<std::uint32_t>(tokens.size()), static_cast<std::uint32_t>(f.ids.size()), {}});
            tokens.insert(tokens.end(), f.ids.begin(), f.ids.end());
            if (typed) types.insert(types.end(), f.types.begin(), f.types.end());
            for (std::size_t p = 0; p < f.ids.size(); ++p) positions.push_back(static_cast<std::int32_t>(p));
            ++end;
        } while (end < n && tokens.size() + texts[end].ids.size() <= kStepRows);
        out.assign(segments.size() * width, 0.0F);
        {
            const Host::Turn turn(host);
            make_room(tokens.size());
            pages.begin();
            for (const Segment& s : segments) tables.push_back(pages.table(s.n_rows));
            for (std::size_t s = 0; s < segments.size(); ++s) segments[s].seq.pages = &tables[s];
            arena->reset(0);
            Exec exec{host.threads(), host.kernels(), *arena, nullptr};
            forward(exec, {tokens, positions, {}, segments, types}, out);
        }
        for (std::size_t s = 0; s < segments.size(); ++s)
            on_result(at + s, texts[at + s], std::span(out).subspan(s * width, width));
        at = end;
    }
    if (options.progress) options.progress({"embedding", n, n, "items"});
}

Embedder::Embedder(Host& host, std::shared_ptr<const LoadedModel> model)
    : impl_(std::make_unique<Impl>(host, std::move(model))) {}
Embedder::~Embedder() = default;

const EmbeddingSpec& Embedder::spec() const noexcept {
    return impl_->spec;
}
const LoadedModel& Embedder::model() const noexcept {
    return *impl_->model;
}
bool Embedder::has_classifier() const noexcept {
    return impl_->decoder.spec().n_labels == 1 && impl_->model->tokenizer() != nullptr &&
           impl_->model->tokenizer()->knows_pairs();
}

std::vector<TextVector> Embedder::embed(std::span<const EmbedInput> inputs, const EmbedOptions& options) {
    const EmbeddingSpec& spec = impl_->spec;
    if (options.dimensions < 0 || options.dimensions > spec.dimensions) {
        throw Error(ErrorKind::usage, fmt::format("Vectors of {} numbers were asked for.", options.dimensions),
                    fmt::format("This model makes vectors of {}; ask for 1 to {}.", spec.dimensions, spec.dimensions));
    }
    const auto width = static_cast<std::size_t>(spec.dimensions);
    const std::size_t kept = options.dimensions > 0 ? static_cast<std::size_t>(options.dimensions) : width;
    std::vector<TextVector> result(inputs.size());
    impl_->run(
        inputs.size(), width, options, [&](std::size_t i) { return impl_->framed(inputs[i], i, options); },
        [&](Exec& exec, const Batch& batch, std::span<float> out) {
            impl_->decoder.embeddings(exec, batch, spec.pooling, out);
        },
        [&](std::size_t i, const Framed& f, std::span<const float> v) {
            TextVector& r = result[i];
            r.vector.assign(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(kept));
            if (spec.normalise || kept < width) to_unit_length(r.vector);
            r.tokens = static_cast<std::uint32_t>(f.ids.size());
            r.left_out = static_cast<std::uint32_t>(f.left_out);
        });
    return result;
}

RerankResult Embedder::rerank(const std::string& question, std::span<const std::string> documents,
                              const EmbedOptions& options) {
    RerankResult result;
    result.documents.resize(documents.size());
    if (const int labels = impl_->decoder.spec().n_labels; labels > 1) {
        throw Error(ErrorKind::unsupported,
                    fmt::format("{} sorts texts into {} classes and does not say how well a document answers.",
                                impl_->model->path().string(), labels),
                    "Rerank with a cross-encoder that has one label, or with an embedding model.");
    }
    if (has_classifier()) {
        impl_->run(
            documents.size(), 1, options,
            [&](std::size_t i) { return impl_->framed_pair(question, documents[i], i, options); },
            [&](Exec& exec, const Batch& batch, std::span<float> out) { impl_->decoder.scores(exec, batch, out); },
            [&](std::size_t i, const Framed& f, std::span<const float> v) {
                const float logit = orderly(v[0]);
                result.documents[i] = {i, logistic(logit), logit, static_cast<std::uint32_t>(f.ids.size()),
                                       static_cast<std::uint32_t>(f.left_out)};
                result.tokens += f.ids.size();
            });
    } else {
        result.by = RerankBy::cosine;
        std::vector<EmbedInput> inputs(documents.begin(), documents.end());
        inputs.emplace_back(question);
        const std::vector<TextVector> vectors = embed(inputs, options);
        const TextVector& asked = vectors.back();
        result.tokens = asked.tokens;
        for (std::size_t i = 0; i < documents.size(); ++i) {
            const float score = orderly(cosine(asked.vector, vectors[i].vector));
            result.documents[i] = {i, score, score, vectors[i].tokens, vectors[i].left_out};
            result.tokens += vectors[i].tokens;
        }
    }
    std::stable_sort(result.documents.begin(), result.documents.end(),
                     [](const RankedDocument& a, const RankedDocument& b) { return a.logit > b.logit; });
    return result;
}

float cosine(std::span<const float> a, std::span<const float> b) noexcept {
    double dot = 0, aa = 0, bb = 0;  // chains in the order of the numbers
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
        const auto x = static_cast<double>(a[i]), y = static_cast<double>(b[i]);
        dot += x * y;
        aa += x * x;
        bb += y * y;
    }
    return aa > 0 && bb > 0 ? static_cast<float>(dot / std::sqrt(aa * bb)) : 0.0F;
}

}  // namespace freehold
