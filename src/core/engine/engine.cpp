// The engine's loop: plan rows, one forward pass, sample, tell; and the doors through which other threads reach it.
#include "freehold/engine/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <unordered_set>

#include "freehold/base/threads.h"
#include "scheduler.h"

namespace freehold {

namespace {

// A slow machine reads prompts in smaller steps, so that a cancel is heard within about a second: the first step has
// few rows and tells how many the next may have. Bits do not depend on it.
constexpr double kStepSeconds = 1.0;
constexpr double kFewestRows = 16;
constexpr std::size_t kFirstRows = 64;

double seconds(Clock::time_point a, Clock::time_point b) {
    return std::chrono::duration<double>(b - a).count();
}

Error as_error(const std::exception_ptr& e) {
    try {
        std::rethrow_exception(e);
    } catch (const Error& error) {
        return error;
    } catch (const std::bad_alloc&) {
        return {ErrorKind::out_of_memory, "The system has no more memory for this request."};
    } catch (const std::exception& error) {
        return {ErrorKind::internal, fmt::format("Unexpected fault while answering: {}.", error.what())};
    } catch (...) {
        return {ErrorKind::internal, "Unexpected fault while answering."};
    }
}

void need(bool ok, const std::string& message, const std::string& hint) {
    if (!ok) throw Error(ErrorKind::usage, message, hint);
}

}  // namespace

const char* finish_name(FinishReason reason) noexcept {
    switch (reason) {
        case FinishReason::stop:
            return "stop";
        case FinishReason::length:
            return "length";
        case FinishReason::cancelled:
            return "cancelled";
        case FinishReason::error:
            return "error";
    }
    return "";
}

struct Engine::Impl {
    std::unique_ptr<StepModel> model;
    const Kernels& kernels;
    EngineOptions options;
    MemoryBudget::Lease kv_lease;  // outlives the pool
    KvPool pool;
    PageBook book;
    Scheduler scheduler;
    std::shared_ptr<SamplerScratch> scratch;
    int vocab;
    std::size_t longest;  // tokens of one sequence
    bool bound_by_pages;

    // What other threads touch, under `mutex`.
    std::mutex mutex;
    std::condition_variable wake;
    std::vector<std::unique_ptr<Sequence>> inbox;
    std::unordered_set<RequestId> cancels;
    std::vector<std::pair<RequestId, bool>> parkings;  // in order; true: park, false: resume
    RequestId next_id = 1;
    std::size_t queued = 0;  // in the inbox or waiting
    bool forget = false;     // clear_cache() was asked for
    EngineStats published;

    // What only the thread that steps touches.
    std::mutex stepping;
    EngineStats stats;
    std::vector<Token> tokens;
    std::vector<std::int32_t> positions;
    std::vector<std::uint8_t> wants;
    std::vector<Segment> segments;
    std::unique_ptr<float[]> logits;  // [max_logit_rows][vocab]; not cleared, so what no step uses costs no memory
    std::vector<DraftWish> wishes;
    std::vector<std::uint32_t> mask;  // tokens that the present choice may take

    std::thread thread;
    std::atomic<bool> stop_asked{false}, thread_runs{false};

    Impl(std::unique_ptr<StepModel> m, const Kernels& k, const EngineOptions& o, MemoryBudget::Lease lease)
        : model(std::move(m)),
          kernels(k),
          options(o),
          kv_lease(std::move(lease)),
          pool(model->kv_layout(), {o.kv_bytes, o.shuffle_pages}),
          book(pool, o.prefix_cache, static_cast<std::size_t>(std::min(o.chunk, o.max_rows))),
          scheduler(book, limits(o)),
          scratch(make_sampler_scratch(model->vocab())),
          vocab(model->vocab()) {
        const auto context =
            static_cast<std::size_t>(o.context > 0 ? std::min(o.context, model->context()) : model->context());
        longest = std::min(context, book.capacity_tokens());
        bound_by_pages = longest < context;
        if (longest < std::min<std::size_t>(context, 4 * kPageTokens)) {
            throw Error(
                ErrorKind::out_of_memory,
                fmt::format("{} bytes for keys and values hold only {} tokens of this model.", o.kv_bytes, longest),
                fmt::format("Give at least {} bytes, or free memory.", book.bytes_for_tokens(4 * kPageTokens)));
        }
        logits = std::make_unique_for_overwrite<float[]>(static_cast<std::size_t>(o.max_logit_rows) *
                                                         static_cast<std::size_t>(vocab));
        if (options.draft_tokens > 0 && !options.drafter) options.drafter = make_ngram_drafter();
        scheduler.set_chunk(kFirstRows);
    }

    static SchedulerLimits limits(const EngineOptions& o) {
        const auto n = [](int x) { return static_cast<std::size_t>(x); };
        return {n(o.max_sequences), n(o.max_rows), n(o.max_rows_beside_decoding), n(std::min(o.chunk, o.max_rows)),
                n(o.max_logit_rows)};
    }

    std::unique_ptr<Sequence> check_request(Request r);
    bool step();
    void take_in();
    void guess_ahead();
    void run_batch();
    void absorb(Sequence& s, const float* row, std::size_t n_logits);
    void learn(Sequence& s, std::size_t drafted, std::size_t accepted);
    void prompt_row(Sequence& s, std::size_t position, std::span<const float> row);
    void choose(Sequence& s, std::span<const float> row);
    void keep_to_constraint(Sequence& s) const;
    void finish(RequestId id, FinishReason reason, std::optional<Error> error = {});
    void publish();
};

namespace {

EngineOptions settled(EngineOptions o, int vocab) {
    const auto at_least_one = [](int value, const char* name) {
        need(value >= 1, fmt::format("Engine option {} is {}.", name, value), fmt::format("Give {} 1 or more.", name));
    };
    at_least_one(o.max_sequences, "max_sequences");
    at_least_one(o.max_rows, "max_rows");
    at_least_one(o.max_rows_beside_decoding, "max_rows_beside_decoding");
    at_least_one(o.chunk, "chunk");
    at_least_one(o.max_queue, "max_queue");
    need(o.context >= 0, fmt::format("Engine option context is {}.", o.context), "Give 0 (the model's) or more.");
    need(o.max_logit_rows >= 0, fmt::format("Engine option max_logit_rows is {}.", o.max_logit_rows),
         "Give 0 (automatic) or more.");
    need(o.draft_tokens >= 0 && o.draft_sequences >= 0,
         fmt::format("Engine options draft_tokens and draft_sequences are {} and {}.", o.draft_tokens,
                     o.draft_sequences),
         "Give 0 or more.");
    o.max_sequences = std::min(o.max_sequences, o.max_rows);
    if (o.max_logit_rows == 0) {
        const auto rows = (std::size_t{64} << 20U) / (static_cast<std::size_t>(vocab) * sizeof(float));
        o.max_logit_rows = static_cast<int>(std::clamp<std::size_t>(rows, 1, static_cast<std::size_t>(o.max_rows)));
        o.max_logit_rows = std::max(o.max_logit_rows, o.max_sequences);
    }
    // Everybody who decodes wants logits in every step.
    o.max_sequences = std::min(o.max_sequences, o.max_logit_rows);
    return o;
}

std::uint64_t default_kv_bytes(const KvLayout& layout, int context, std::uint64_t free) {
    KvPool probe(layout, {});
    const std::uint64_t one = PageBook(probe, false, 512).bytes_for_tokens(static_cast<std::size_t>(context));
    return std::min(std::max(std::min(4 * one, free / 2), one), free);
}

}  // namespace

Engine::Engine(Host& host, std::shared_ptr<const LoadedModel> model, const EngineOptions& asked) {
    const Decoder& decoder = model->need_decoder();
    EngineOptions options = settled(asked, decoder.spec().vocab);
    auto step_model = make_step_model(host, std::move(model), options.max_rows, options.max_logit_rows);
    if (options.kv_bytes == 0) {
        const int context =
            options.context > 0 ? std::min(options.context, step_model->context()) : step_model->context();
        options.kv_bytes = default_kv_bytes(step_model->kv_layout(), context, host.memory().free());
    }
    MemoryBudget::Lease lease = host.memory().take(options.kv_bytes, "keys and values");
    impl_ = std::make_unique<Impl>(std::move(step_model), host.kernels(), options, std::move(lease));
    impl_->publish();
}

Engine::Engine(std::unique_ptr<StepModel> model, const Kernels& kernels, const EngineOptions& asked) {
    EngineOptions options = settled(asked, model->vocab());
    if (options.kv_bytes == 0) {
        options.kv_bytes = default_kv_bytes(model->kv_layout(), model->context(), std::uint64_t{1} << 62U);
    }
    impl_ = std::make_unique<Impl>(std::move(model), kernels, options, MemoryBudget::Lease{});
    impl_->publish();
}

Engine::~Engine() {
    stop();
    {
        const std::lock_guard lock(impl_->mutex);
        for (const auto& s : impl_->inbox) impl_->cancels.insert(s->id);
    }
    for (const auto* list : {&impl_->scheduler.running(), &impl_->scheduler.waiting(), &impl_->scheduler.parked()}) {
        for (const auto& s : *list) impl_->cancels.insert(s->id);
    }
    impl_->take_in();
}

std::unique_ptr<Sequence> Engine::Impl::check_request(Request r) {
    need(!r.prompt.empty(), "The prompt has no tokens.",
         "Give at least one token; the model's BOS token begins a text from nothing.");
    for (std::size_t i = 0; i < r.prompt.size(); ++i) {
        need(r.prompt[i] >= 0 && r.prompt[i] < vocab,
             fmt::format("Token {} of the prompt is {}, but this model's ids go from 0 to {}.", i, r.prompt[i],
                         vocab - 1),
             "Encode the text with this model's own tokenizer.");
    }
    need(!r.max_tokens || *r.max_tokens >= 0, fmt::format("max_tokens is {}.", r.max_tokens.value_or(0)),
         "Give 0 or more.");
    need(r.min_tokens >= 0, fmt::format("min_tokens is {}.", r.min_tokens), "Give 0 or more.");
    need(!r.logprobs || (*r.logprobs >= 0 && *r.logprobs <= 1024),
         fmt::format("logprobs is {}.", r.logprobs.value_or(0)), "Give a number of alternatives from 0 to 1024.");
    need(!r.prompt_logprobs_from || *r.prompt_logprobs_from >= 1, "prompt_logprobs_from is below 1.",
         "The first token of a prompt has nothing before it; begin with 1.");
    need((r.adapter_weights == nullptr) == r.adapter.empty(), "A request has an adapter without a name or the reverse.",
         "Set adapter and adapter_weights together (use_adapter).");
    need(!r.logits_from || *r.logits_from >= 0, "logits_from is negative.", "Give a position from 0.");

    const std::size_t n_prompt = r.prompt.size();
    const std::size_t asked = static_cast<std::size_t>(r.max_tokens.value_or(1));
    if (n_prompt + asked > longest) {
        const std::string what =
            r.max_tokens ? fmt::format("The prompt has {} tokens and {} more are asked for", n_prompt, asked)
                         : fmt::format("The prompt has {} tokens", n_prompt);
        const std::string bound =
            bound_by_pages
                ? fmt::format("the memory for keys and values ({} bytes) holds {} tokens", pool.budget_bytes(), longest)
                : fmt::format("the context is {} tokens", longest);
        const std::string hint = n_prompt < longest && r.max_tokens
                                     ? fmt::format("Ask for at most {} tokens{}", longest - n_prompt,
                                                   bound_by_pages ? ", or give more memory." : ".")
                                     : fmt::format("Shorten the prompt to fewer than {} tokens{}", longest,
                                                   bound_by_pages ? ", or give more memory for keys and values." : ".");
        throw Error(ErrorKind::limit, what + ", but " + bound + ".", hint);
    }
    Sampler sampler(r.sampler, vocab, kernels, scratch);
    const std::size_t limit = r.max_tokens ? n_prompt + static_cast<std::size_t>(*r.max_tokens) : longest;
    auto s = std::make_unique<Sequence>(0, std::move(r), std::move(sampler), limit);
    s->tokens = std::move(s->request.prompt);
    s->request.prompt.clear();
    s->n_prompt = n_prompt;
    if (s->request.constraint) s->constraint = s->request.constraint->begin(s->request.stop_ids);
    const Request& q = s->request;
    s->next_logit_row = s->logit_end = n_prompt;
    if (q.prompt_logprobs_from) {
        s->next_logit_row = static_cast<std::size_t>(*q.prompt_logprobs_from) - 1;
        s->logit_end = n_prompt - 1;  // the last row predicts the answer
    }
    if (q.logits_from) {
        s->next_logit_row = std::min(s->next_logit_row, static_cast<std::size_t>(*q.logits_from));
        s->logit_end = n_prompt;
    }
    s->outcome.prompt_tokens = static_cast<std::uint32_t>(n_prompt);
    s->submitted = Clock::now();
    return s;
}

RequestId Engine::submit(Request request) {
    std::unique_ptr<Sequence> s = impl_->check_request(std::move(request));
    RequestId id = 0;
    {
        const std::lock_guard lock(impl_->mutex);
        if (impl_->queued >= static_cast<std::size_t>(impl_->options.max_queue)) {
            throw Error(ErrorKind::busy,
                        fmt::format("{} requests are waiting already, which is the bound.", impl_->queued),
                        "Try again in a moment.");
        }
        id = s->id = s->outcome.id = impl_->next_id++;
        impl_->inbox.push_back(std::move(s));
        ++impl_->queued;
        ++impl_->published.waiting;
    }
    impl_->wake.notify_one();
    return id;
}

void Engine::cancel(RequestId id) {
    {
        const std::lock_guard lock(impl_->mutex);
        impl_->cancels.insert(id);
    }
    impl_->wake.notify_one();
}

void Engine::park(RequestId id) {
    {
        const std::lock_guard lock(impl_->mutex);
        impl_->parkings.emplace_back(id, true);
    }
    impl_->wake.notify_one();
}

void Engine::resume(RequestId id) {
    {
        const std::lock_guard lock(impl_->mutex);
        impl_->parkings.emplace_back(id, false);
    }
    impl_->wake.notify_one();
}

// What came in since the last step; cancelled requests leave here, so their pages are free for the plan that follows.
void Engine::Impl::take_in() {
    std::vector<std::unique_ptr<Sequence>> arrived;
    std::unordered_set<RequestId> leaving;
    std::vector<std::pair<RequestId, bool>> moving;
    bool clear = false;
    {
        const std::lock_guard lock(mutex);
        arrived.swap(inbox);
        leaving.swap(cancels);
        moving.swap(parkings);
        clear = std::exchange(forget, false);
    }
    stats.requests += arrived.size();
    for (auto& s : arrived) scheduler.enqueue(std::move(s));
    for (const RequestId id : leaving) finish(id, FinishReason::cancelled);
    for (const auto& [id, aside] : moving) aside ? scheduler.park(id) : scheduler.resume(id);
    if (clear) book.clear_cache();
}

bool Engine::Impl::step() {
    const std::lock_guard lock(stepping);
    set_float_environment();
    take_in();
    try {
        guess_ahead();
        const bool rows = scheduler.plan();
        if (!rows && !scheduler.running().empty()) {
            throw Error(ErrorKind::internal, "The scheduler found no rows to compute although requests are running.");
        }
        if (rows) run_batch();
        publish();
        return rows;
    } catch (...) {
        // Whatever failed concerned the whole batch; its sequences may have half-written pages and cannot go on.
        const Error error = as_error(std::current_exception());
        std::vector<RequestId> ids;
        for (const auto& s : scheduler.running()) ids.push_back(s->id);
        for (const RequestId id : ids) finish(id, FinishReason::error, error);
        publish();
        return true;
    }
}

// Asks for guesses where they pay: few sequences, none of which is still reading its prompt, and drafts that hit
// lately.
void Engine::Impl::guess_ahead() {
    if (options.draft_tokens == 0) return;
    const auto& running = scheduler.running();
    wishes.clear();
    const bool pays = running.size() <= static_cast<std::size_t>(options.draft_sequences) &&
                      std::all_of(running.begin(), running.end(), [](const auto& s) { return s->pending() == 1; });
    for (const auto& s : running) {
        s->draft.clear();
        // A probe looks at every row that is computed, and a guess that is refused was never part of the text.
        if (!pays || s->request.probe || s->limit <= s->tokens.size() + 1) continue;
        if (s->draft_pause > 0) {
            --s->draft_pause;
            continue;
        }
        const std::size_t most =
            std::min({s->draft_reach, static_cast<std::size_t>(options.draft_tokens), s->limit - s->tokens.size() - 1});
        wishes.push_back({s->id, s->tokens, most, {}});
    }
    if (wishes.empty()) return;
    options.drafter->propose(wishes);
    auto wish = wishes.begin();
    for (const auto& s : running) {
        if (wish == wishes.end() || wish->id != s->id) continue;
        s->draft = std::move(wish->guess);
        if (s->draft.size() > wish->most) s->draft.resize(wish->most);
        const auto foreign = [this](Token t) { return t < 0 || t >= vocab; };
        s->draft.erase(std::find_if(s->draft.begin(), s->draft.end(), foreign), s->draft.end());
        if (s->constraint) keep_to_constraint(*s);
        ++wish;
    }
}

// A guess that the constraint does not take shortens the draft; trying it leaves no trace.
void Engine::Impl::keep_to_constraint(Sequence& s) const {
    std::size_t fit = 0;
    try {
        while (fit < s.draft.size() && s.constraint->accept(s.draft[fit])) ++fit;
    } catch (const Error&) {
        // Too many steps: the choice itself will say so.
    }
    s.constraint->rollback(fit);
    s.draft.resize(fit);
}

void Engine::Impl::run_batch() {
    tokens.clear();
    positions.clear();
    wants.clear();
    segments.clear();
    std::size_t prompt_rows = 0;
    std::size_t n_logits = 0;
    const auto begin = Clock::now();
    for (const auto& s : scheduler.running()) {
        if (s->rows == 0) continue;
        segments.push_back({static_cast<std::uint32_t>(tokens.size()),
                            static_cast<std::uint32_t>(s->rows),
                            {&s->table, s->request.probe.get(), s->request.adapter_weights.get()}});
        for (std::size_t i = s->computed; i < s->computed + s->rows; ++i) {
            tokens.push_back(s->fed(i));
            positions.push_back(static_cast<std::int32_t>(i));
            const bool wanted = s->wants_logits(i);
            wants.push_back(wanted ? 1 : 0);
            n_logits += wanted ? 1U : 0U;
            prompt_rows += i < s->n_prompt ? 1U : 0U;
        }
        if (!s->had_row) {
            s->had_row = true;
            s->first_row = begin;
            s->outcome.queue_seconds = seconds(s->submitted, begin);
        }
    }
    model->forward({tokens, positions, wants, segments},
                   std::span(logits.get(), n_logits * static_cast<std::size_t>(vocab)));

    const double spent = seconds(begin, Clock::now());
    const double prompt_part = static_cast<double>(prompt_rows) / static_cast<double>(tokens.size());
    stats.prefill_seconds += spent * prompt_part;
    stats.decode_seconds += spent * (1 - prompt_part);
    stats.prefill_tokens += prompt_rows;
    ++stats.steps;
    // Steps of few rows wait for memory and say nothing of how long many rows take.
    if (spent > 0 && static_cast<double>(prompt_rows) >= kFewestRows) {
        const double rows = kStepSeconds * static_cast<double>(tokens.size()) / spent;
        scheduler.set_chunk(static_cast<std::size_t>(std::clamp(rows, kFewestRows, 1e6)));
    }

    const float* row = logits.get();
    std::vector<std::pair<RequestId, FinishReason>> finished;
    std::vector<std::pair<RequestId, Error>> failed;
    for (const auto& s : scheduler.running()) {
        if (s->rows == 0) continue;
        std::size_t wanted = 0;
        for (std::size_t i = s->computed; i < s->computed + s->rows; ++i) wanted += s->wants_logits(i) ? 1U : 0U;
        try {
            absorb(*s, row, wanted);
            if (s->done) finished.emplace_back(s->id, s->outcome.finish);
        } catch (...) {
            failed.emplace_back(s->id, as_error(std::current_exception()));
        }
        row += wanted * static_cast<std::size_t>(vocab);
    }
    for (const auto& [id, reason] : finished) finish(id, reason);
    for (const auto& [id, error] : failed) finish(id, FinishReason::error, error);
}

// One sequence's share of a step: its rows are in its pages, its logits at `row`.
void Engine::Impl::absorb(Sequence& s, const float* row, std::size_t n_logits) {
    const std::size_t begin = s.computed;
    const std::vector<Token> draft = std::move(s.draft);
    s.draft.clear();
    const std::size_t end = begin + s.rows - draft.size();
    std::vector<std::size_t> wanting;
    wanting.reserve(n_logits);
    for (std::size_t i = begin; i < begin + s.rows; ++i) {
        if (s.wants_logits(i)) wanting.push_back(i);
    }
    const std::size_t new_from = std::max(begin, s.high_water);
    if (std::min(end, s.n_prompt) > new_from) s.computed_prompt_rows += std::min(end, s.n_prompt) - new_from;
    s.high_water = std::max(s.high_water, end);
    book.commit(s, end);
    bool chosen = false;
    std::size_t accepted = 0;
    for (const std::size_t position : wanting) {
        const std::span<const float> values(row, static_cast<std::size_t>(vocab));
        row += vocab;
        if (position >= end) {
            // A row behind a guess counts only if the guess came true.
            if (s.done || s.tokens.size() <= position || s.tokens[position] != draft[accepted]) break;
            ++accepted;
        }
        if (position < s.logit_end && position >= s.next_logit_row) prompt_row(s, position, values);
        if (position + 1 == s.tokens.size() && s.limit > s.tokens.size()) {
            if (s.request.on_prompt && s.choices == 0) {
                s.request.on_prompt(s.outcome.prompt_tokens, s.outcome.prompt_tokens);
            }
            choose(s, values);
            chosen = true;
        }
    }
    if (!draft.empty()) learn(s, draft.size(), accepted);
    if (accepted > 0) {
        s.high_water = std::max(s.high_water, end + accepted);
        book.commit(s, end + accepted);
    }
    if (chosen) return;
    if (s.request.on_prompt && s.choices == 0) {
        s.request.on_prompt(static_cast<std::uint32_t>(std::min(end, s.n_prompt)), s.outcome.prompt_tokens);
    }
    if (end == s.tokens.size() && s.limit == s.n_prompt) {
        s.done = true;
        s.outcome.finish = FinishReason::length;
        s.outcome.prefill_seconds = seconds(s.first_row, Clock::now());
    }
}

// Guesses that hit may reach further; after misses the sequence goes without for longer and longer.
void Engine::Impl::learn(Sequence& s, std::size_t drafted, std::size_t accepted) {
    constexpr std::size_t kLongestPause = 64;
    s.outcome.drafted += static_cast<std::uint32_t>(drafted);
    s.outcome.accepted += static_cast<std::uint32_t>(accepted);
    stats.drafted_tokens += drafted;
    stats.accepted_tokens += accepted;
    if (accepted == drafted) {
        s.draft_reach = std::min(2 * s.draft_reach, static_cast<std::size_t>(options.draft_tokens));
        s.draft_fails = 0;
    } else if (accepted > 0) {
        s.draft_reach = accepted + 1;
        s.draft_fails = 0;
    } else {
        s.draft_reach = 1;
        ++s.draft_fails;
        if (s.draft_fails > 1)
            s.draft_pause = std::min(kLongestPause, std::size_t{1} << std::min<std::size_t>(s.draft_fails, 6));
    }
}

void Engine::Impl::prompt_row(Sequence& s, std::size_t position, std::span<const float> row) {
    const Request& r = s.request;
    if (r.on_logits && r.logits_from && position >= static_cast<std::size_t>(*r.logits_from)) {
        r.on_logits(static_cast<std::int32_t>(position), row);
    }
    if (r.prompt_logprobs_from && position + 1 >= static_cast<std::size_t>(*r.prompt_logprobs_from) &&
        position + 1 < s.n_prompt) {
        const double sum = log_sum_exp(kernels, row);
        const Token next = s.tokens[position + 1];
        s.outcome.prompt_logprobs.push_back({next, token_logprob(row, sum, next)});
        if (r.logprobs.value_or(0) > 0) s.outcome.prompt_alternatives.push_back(top_logprobs(row, sum, *r.logprobs));
    }
    s.next_logit_row = position + 1;
}

void Engine::Impl::choose(Sequence& s, std::span<const float> row) {
    const Request& r = s.request;
    SampledToken t;
    t.index = s.choices++;
    SampleContext context{row, s.tokens, s.n_prompt, r.choice, {}, {}, &s.sampler_state};
    if (t.index < static_cast<std::uint32_t>(r.min_tokens)) context.banned = r.stop_ids;
    if (s.constraint) {
        mask.assign((static_cast<std::size_t>(vocab) + 31) / 32, 0);
        s.constraint->mask(mask);
        context.mask = mask;
    }
    if (r.logprobs) {
        const double sum = log_sum_exp(kernels, row);
        if (!std::isfinite(sum)) {
            throw Error(ErrorKind::internal,
                        "The model gave logits that are no numbers, so there are no probabilities.",
                        "Check the model file: compare its digest with the maker's.");
        }
        t.token = s.sampler.sample(context);
        t.logprob = token_logprob(row, sum, t.token);
        if (*r.logprobs > 0) t.alternatives = top_logprobs(row, sum, *r.logprobs);
    } else {
        t.token = s.sampler.sample(context);
    }
    const auto now = Clock::now();
    if (!s.had_token) {
        s.had_token = true;
        s.first_token = now;
        s.outcome.prefill_seconds = seconds(s.first_row, now);
    }
    s.outcome.decode_seconds = seconds(s.first_token, now);
    ++stats.decoded_tokens;
    t.is_stop = std::find(r.stop_ids.begin(), r.stop_ids.end(), t.token) != r.stop_ids.end();
    if (t.is_stop) {
        s.outcome.stop_token = t.token;
    } else {
        s.tokens.push_back(t.token);
        s.outcome.tokens.push_back(t.token);
    }
    bool over = false;
    if (s.constraint && !t.is_stop) {
        if (!s.constraint->accept(t.token)) {
            throw Error(ErrorKind::internal, "A token was chosen that the constraint of its answer does not allow.");
        }
        over = s.constraint->is_over();
    }
    const bool go_on = !r.on_token || r.on_token(t);
    const bool is_stop = t.is_stop;
    if (r.logprobs && !is_stop) s.outcome.details.push_back(std::move(t));
    if (is_stop || !go_on || over) {
        s.done = true;
        s.outcome.finish = FinishReason::stop;
    } else if (s.tokens.size() >= s.limit) {
        s.done = true;
        s.outcome.finish = FinishReason::length;
    }
}

void Engine::Impl::finish(RequestId id, FinishReason reason, std::optional<Error> error) {
    std::unique_ptr<Sequence> s = scheduler.take(id);
    if (!s) return;
    const std::size_t reached = std::min(s->n_prompt, std::max(s->high_water, s->computed));
    s->outcome.cached_tokens = static_cast<std::uint32_t>(reached - s->computed_prompt_rows);
    if (!s->pages.empty()) book.close(*s, reason != FinishReason::error);
    if (options.drafter) options.drafter->forget(id);
    s->outcome.finish = reason;
    s->outcome.error = std::move(error);
    s->outcome.total_seconds = seconds(s->submitted, Clock::now());
    switch (reason) {
        case FinishReason::cancelled:
            ++stats.cancelled;
            break;
        case FinishReason::error:
            ++stats.failed;
            break;
        default:
            ++stats.finished;
            break;
    }
    stats.cached_tokens += s->outcome.cached_tokens;
    publish();  // before the callback: who waits for it may look at the numbers
    if (!s->request.on_done) return;
    try {
        s->request.on_done(s->outcome);
    } catch (...) {
        // The last word has been said; nobody is left to tell.
        ++stats.failed;
    }
}

void Engine::Impl::publish() {
    stats.preemptions = scheduler.preemptions();
    stats.page_bytes_budget = pool.budget_bytes();
    stats.page_bytes_used = pool.used_bytes();
    stats.pages_used = pool.used_pages();
    stats.pages_shared = pool.shared_pages();
    stats.cached_pages = pool.idle_pages();
    stats.running = static_cast<int>(scheduler.running().size());
    stats.parked = static_cast<int>(scheduler.parked().size());
    const std::lock_guard lock(mutex);
    queued = scheduler.waiting().size() + inbox.size();
    stats.waiting = static_cast<int>(queued);
    published = stats;
}

bool Engine::step() {
    return impl_->step();
}

void Engine::drain() {
    while (step()) {
    }
}

void Engine::start() {
    if (impl_->thread_runs.exchange(true)) return;
    impl_->stop_asked = false;
    impl_->thread = std::thread([impl = impl_.get()] {
        while (true) {
            {
                std::unique_lock lock(impl->mutex);
                impl->wake.wait(lock, [impl] {
                    return impl->stop_asked || impl->forget || !impl->inbox.empty() || !impl->cancels.empty() ||
                           !impl->parkings.empty() || !impl->scheduler.running().empty() ||
                           !impl->scheduler.waiting().empty();
                });
                if (impl->stop_asked) return;
            }
            impl->step();
        }
    });
}

void Engine::stop() {
    if (!impl_->thread_runs) return;
    {
        const std::lock_guard lock(impl_->mutex);
        impl_->stop_asked = true;
    }
    impl_->wake.notify_one();
    impl_->thread.join();
    impl_->thread_runs = false;
}

bool Engine::started() const noexcept {
    return impl_->thread_runs;
}

Outcome Engine::run(Request request, const std::atomic<bool>* cancelled) {
    struct Shared {
        std::mutex mutex;
        std::condition_variable done;
        std::optional<Outcome> outcome;
    };
    const auto shared = std::make_shared<Shared>();
    request.on_done = [shared, then = std::move(request.on_done)](const Outcome& outcome) {
        if (then) then(outcome);
        const std::lock_guard lock(shared->mutex);
        shared->outcome = outcome;
        shared->done.notify_all();
    };
    const RequestId id = submit(std::move(request));
    for (bool asked = false;;) {
        if (!asked && cancelled != nullptr && cancelled->load()) {
            cancel(id);
            asked = true;
        }
        if (!started()) step();
        std::unique_lock lock(shared->mutex);
        if (started() && !shared->outcome) shared->done.wait_for(lock, std::chrono::milliseconds(20));
        if (shared->outcome) return std::move(*shared->outcome);
    }
}

EngineStats Engine::stats() const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->published;
}

int Engine::context() const noexcept {
    return static_cast<int>(impl_->longest);
}
int Engine::vocab() const noexcept {
    return impl_->vocab;
}
KvType Engine::kv() const noexcept {
    return impl_->pool.layout().groups.front().type;
}

void Engine::clear_cache() {
    {
        const std::lock_guard lock(impl_->mutex);
        impl_->forget = true;
    }
    impl_->wake.notify_one();
}

}  // namespace freehold
