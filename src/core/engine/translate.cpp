// Translator: sources are encoded together, then all hypotheses of all of them go through the decoder as one ragged
// batch, a token each at a step.
#include "freehold/engine/translate.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>

#include "beam_search.h"
#include "freehold/base/error.h"
#include "freehold/models/one_use_pages.h"

namespace freehold {
namespace {

constexpr std::size_t kTogether = 8;  // texts at a time, unless their rows are many
constexpr std::size_t kRows = 64;     // hypotheses at a time

// The pages of one hypothesis. Full ones are shared with those it has in common with others, the last is its own.
class BeamPages {
 public:
    explicit BeamPages(const KvLayout& layout) : layout_(&layout), pages_(layout.groups.size()) {
        table_.layout = &layout;
        table_.pages.resize(layout.groups.size());
    }
    // Before position `at` is written: room for it, in a page that nobody else reads.
    void make_room(std::size_t at) {
        for (std::size_t g = 0; g < pages_.size(); ++g) {
            const std::size_t floats = (layout_->groups[g].page_bytes() + sizeof(float) - 1) / sizeof(float);
            if (at / kPageTokens == pages_[g].size())
                pages_[g].push_back(std::make_shared<std::vector<float>>(floats, 0.0F));
            else if (pages_[g].back().use_count() > 1)
                pages_[g].back() = std::make_shared<std::vector<float>>(*pages_[g].back());
            table_.pages[g].clear();
            for (const auto& page : pages_[g]) table_.pages[g].push_back(reinterpret_cast<std::byte*>(page->data()));
        }
    }
    [[nodiscard]] const PageTable& table() const noexcept { return table_; }

 private:
    const KvLayout* layout_;
    std::vector<std::vector<std::shared_ptr<std::vector<float>>>> pages_;
    PageTable table_;
};

struct Active {
    std::size_t index = 0;  // of the text
    BeamSearch search;
    std::vector<BeamPages> beams;
    std::size_t position = 0;
};

}  // namespace

struct Translator::Impl {
    Impl(Host& h, std::shared_ptr<const LoadedModel> m)
        : host(h),
          model(std::move(m)),
          decoder(need(*model)),
          spec(read_translation_spec(*model->files(), decoder.spec())),
          layout(decoder.kv_layout(model->kv())),
          sources(decoder.cross_layout(model->kv())),
          reading(decoder.encoder_layout(KvType::F32)) {}

    static const Decoder& need(const LoadedModel& m) {
        if (m.decoder() && m.decoder()->spec().encoder) return *m.decoder();
        static_cast<void>(m.need_decoder());
        throw Error(ErrorKind::unsupported,
                    fmt::format("{} is no model that translates: it has a decoder and no encoder.", m.path().string()),
                    "Ask it in words, with `freehold run`, or name a T5 or Marian model.");
    }

    [[nodiscard]] const TranslationTask* task(const std::string& name) const;
    void group(std::span<const std::vector<Token>> ids, const SearchOptions& search,
               const std::function<void(std::size_t, BeamSearch::Found)>& on_found,
               const std::function<void()>& before_step = {});
    // Of one text with its hypotheses, at most.
    [[nodiscard]] std::uint64_t bytes_for(std::size_t source_tokens, const SearchOptions& search) const noexcept;
    void encode(std::span<const std::vector<Token>> ids, std::vector<PageTable>& tables);
    void step(std::vector<Active>& active, std::span<const std::vector<Token>> ids,
              const std::vector<PageTable>& tables);
    void check(const std::vector<Token>& ids, std::size_t index) const;
    [[nodiscard]] Translation told(BeamSearch::Found found, std::size_t source_tokens) const;

    Host& host;
    std::shared_ptr<const LoadedModel> model;
    const Decoder& decoder;
    TranslationSpec spec;
    KvLayout layout;
    std::mutex mutex;  // of what follows
    OneUsePages sources, reading;
};

const TranslationTask* Translator::Impl::task(const std::string& name) const {
    if (name.empty()) return nullptr;
    std::string known;
    for (const TranslationTask& t : spec.tasks) {
        if (t.name == name) return &t;
        known += (known.empty() ? "" : ", ") + t.name;
    }
    throw Error(ErrorKind::usage, fmt::format("The model has no task \"{}\".", name),
                known.empty() ? "Its config.json names none: leave --task away." : fmt::format("It has {}.", known));
}

void Translator::Impl::check(const std::vector<Token>& ids, std::size_t index) const {
    const DecoderSpec& e = *decoder.spec().encoder;
    for (const Token t : ids) {
        if (t < 0 || t >= e.vocab)
            throw Error(ErrorKind::bad_file,
                        fmt::format("The tokenizer gives token {}, but the model has {}.", t, e.vocab),
                        "Tokenizer and weights do not belong together; fetch the model again.");
    }
    if (e.positions == Positions::sinusoidal && ids.size() > static_cast<std::size_t>(e.context)) {
        throw Error(
            ErrorKind::limit,
            fmt::format("Text {} has {} tokens, but this model reads {} at most.", index + 1, ids.size(), e.context),
            "Split it into sentences, a line each.");
    }
}

void Translator::Impl::encode(std::span<const std::vector<Token>> ids, std::vector<PageTable>& tables) {
    std::vector<Token> tokens;
    std::vector<std::int32_t> positions;
    std::vector<Segment> segments;
    std::vector<PageTable> own;
    for (const std::vector<Token>& text : ids) {
        segments.push_back({static_cast<std::uint32_t>(tokens.size()), static_cast<std::uint32_t>(text.size()), {}});
        tokens.insert(tokens.end(), text.begin(), text.end());
        for (std::size_t i = 0; i < text.size(); ++i) positions.push_back(static_cast<std::int32_t>(i));
    }
    const std::size_t scratch = decoder.encode_scratch_bytes(tokens.size(), host.threads().size());
    const auto lease = host.memory().take(scratch, "Reading the texts to translate");
    const Host::Turn turn(host);
    sources.begin();
    reading.begin();
    for (const Segment& s : segments) {
        tables.push_back(sources.table(s.n_rows));
        own.push_back(reading.table(s.n_rows));
    }
    for (std::size_t i = 0; i < segments.size(); ++i) {
        segments[i].seq.pages = &own[i];
        segments[i].seq.cross = &tables[i];
    }
    Arena arena(scratch);
    Exec exec{host.threads(), host.kernels(), arena, nullptr};
    decoder.encode(exec, {tokens, positions, {}, segments});
}

void Translator::Impl::step(std::vector<Active>& active, std::span<const std::vector<Token>> ids,
                            const std::vector<PageTable>& tables) {
    std::vector<Token> tokens;
    std::vector<std::int32_t> positions;
    std::vector<Segment> segments;
    for (Active& a : active) {
        std::vector<BeamPages> next;
        for (const BeamSearch::Row& row : a.search.rows()) {
            next.push_back(a.position == 0 ? BeamPages(layout) : a.beams[row.parent]);
            tokens.push_back(row.token);
            positions.push_back(static_cast<std::int32_t>(a.position));
        }
        a.beams = std::move(next);  // before room is made: a page that only one of them goes on from is not copied
        for (BeamPages& beam : a.beams) {
            beam.make_room(a.position);
            Segment s{static_cast<std::uint32_t>(segments.size()), 1, {&beam.table()}};
            s.seq.cross = &tables[a.index];
            s.seq.n_cross = static_cast<std::uint32_t>(ids[a.index].size());
            segments.push_back(s);
        }
        ++a.position;
    }
    const std::vector<std::uint8_t> wants(tokens.size(), 1);
    const auto vocab = static_cast<std::size_t>(decoder.spec().vocab);
    const std::size_t scratch = decoder.scratch_bytes(tokens.size(), tokens.size(), host.threads().size());
    const auto lease = host.memory().take(scratch + tokens.size() * vocab * sizeof(float), "A step of a translation");
    std::vector<float> logits(tokens.size() * vocab);
    {
        const Host::Turn turn(host);
        Arena arena(scratch);
        Exec exec{host.threads(), host.kernels(), arena, nullptr};
        decoder.forward(exec, {tokens, positions, wants, segments}, logits);
    }
    std::size_t at = 0;
    for (Active& a : active) {
        const std::size_t n = a.search.rows().size() * vocab;
        a.search.step(host.kernels(), std::span(logits).subspan(at, n));
        at += n;
    }
}

std::uint64_t Translator::Impl::bytes_for(std::size_t source_tokens, const SearchOptions& search) const noexcept {
    return sources.bytes_for(source_tokens) + reading.bytes_for(source_tokens) +
           static_cast<std::uint64_t>(search.beams) * layout.bytes_per_token() *
               static_cast<std::uint64_t>(search.max_length + kPageTokens);
}

void Translator::Impl::group(std::span<const std::vector<Token>> ids, const SearchOptions& search,
                             const std::function<void(std::size_t, BeamSearch::Found)>& on_found,
                             const std::function<void()>& before_step) {
    std::uint64_t kept = 0;
    for (const std::vector<Token>& text : ids) kept += bytes_for(text.size(), search);
    const auto lease = host.memory().take(kept, "Keys and values of a translation");
    std::vector<PageTable> tables;
    encode(ids, tables);
    std::vector<Active> active;
    for (std::size_t i = 0; i < ids.size(); ++i) active.push_back({i, {search, decoder.spec().vocab}, {}, 0});
    while (!active.empty()) {
        if (before_step) before_step();
        step(active, ids, tables);
        for (const Active& a : active) {
            if (a.search.done()) on_found(a.index, a.search.best());
        }
        std::erase_if(active, [](const Active& a) { return a.search.done(); });
    }
}

Translation Translator::Impl::told(BeamSearch::Found found, std::size_t source_tokens) const {
    Translation t;
    t.tokens = std::move(found.tokens);
    t.score = found.score;
    t.ended = found.ended;
    t.source_tokens = static_cast<std::uint32_t>(source_tokens);
    if (model->tokenizer()) t.text = model->tokenizer()->decode(t.tokens);
    return t;
}

Translator::Translator(Host& host, std::shared_ptr<const LoadedModel> model)
    : impl_(std::make_unique<Impl>(host, std::move(model))) {}
Translator::~Translator() = default;

const TranslationSpec& Translator::spec() const noexcept {
    return impl_->spec;
}

SearchOptions Translator::search(const TranslateOptions& options) const {
    const TranslationTask* const task = impl_->task(options.task);
    SearchOptions s = task != nullptr ? task->search : impl_->spec.search;
    if (options.beams > 0) s.beams = options.beams;
    if (options.length_penalty) s.length_penalty = *options.length_penalty;
    const DecoderSpec& d = impl_->decoder.spec();
    const int most = d.positions == Positions::sinusoidal ? d.context : 1 << 20;
    if (options.max_tokens >= most)
        throw Error(ErrorKind::usage, fmt::format("Translations of {} tokens were asked for.", options.max_tokens),
                    fmt::format("This model writes {} at most.", most - 1));
    s.max_length = std::min(options.max_tokens > 0 ? options.max_tokens + 1 : s.max_length, most);
    return s;
}

void Translator::translate(std::span<const std::string> texts, const TranslateOptions& options,
                           const std::function<void(std::size_t, Translation)>& on_result) {
    Impl& m = *impl_;
    const TranslationTask* const task = m.task(options.task);
    const std::string prefix = options.prefix.empty() && task != nullptr ? task->prefix : options.prefix;
    const SearchOptions how = search(options);
    const Tokenizer& tokenizer = m.model->need_tokenizer();
    std::vector<std::vector<Token>> ids;
    for (const std::string& text : texts) {
        ids.push_back(tokenizer.encode(prefix + text));
        m.check(ids.back(), ids.size() - 1);
    }
    const std::size_t together = std::clamp<std::size_t>(kRows / static_cast<std::size_t>(how.beams), 1, kTogether);
    const std::lock_guard lock(m.mutex);
    std::size_t finished = 0;
    const auto tell = [&] {
        if (options.progress) options.progress({"translating", finished, ids.size(), "items"});
    };
    for (std::size_t at = 0, n = 0; at < ids.size(); at += n) {
        // As many as fit into half of what is free, one at least.
        const std::uint64_t room = m.host.memory().free() / 2;
        std::uint64_t taken = m.bytes_for(ids[at].size(), how);
        for (n = 1; n < together && at + n < ids.size(); ++n) {
            taken += m.bytes_for(ids[at + n].size(), how);
            if (taken > room) break;
        }
        std::vector<Translation> done(n);
        std::vector<bool> there(n, false);
        std::size_t told = 0;
        m.group(
            std::span(ids).subspan(at, n), how,
            [&](std::size_t i, BeamSearch::Found f) {
                done[i] = m.told(std::move(f), ids[at + i].size());
                there[i] = true;
                ++finished;
                for (; told < n && there[told]; ++told) on_result(at + told, std::move(done[told]));
            },
            tell);
    }
    tell();
}

std::vector<Translation> Translator::translate_ids(std::span<const std::vector<Token>> sources,
                                                   const SearchOptions& search) {
    for (std::size_t i = 0; i < sources.size(); ++i) impl_->check(sources[i], i);
    std::vector<Translation> out(sources.size());
    const std::lock_guard lock(impl_->mutex);
    impl_->group(sources, search,
                 [&](std::size_t i, BeamSearch::Found f) { out[i] = impl_->told(std::move(f), sources[i].size()); });
    return out;
}

}  // namespace freehold
