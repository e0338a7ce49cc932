// A generation from request to last event. The engine's thread only appends to an inbox; text, stop strings and parsing
// happen on a strand over the workers.
#include "freehold/server/generation.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <set>

#include "fair_queue.h"
#include "freehold/base/log.h"
#include "freehold/engine/session.h"
#include "freehold/server/errors.h"
#include "freehold/server/metrics.h"
#include "freehold/server/owner.h"
#include "freehold/server/safeguards.h"
#include "generation_parts.h"
#include "judged_text.h"

namespace freehold::server {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostChoices = 4096;  // of one request
constexpr std::int64_t kHoldStep = 64;      // tokens set aside at a time where the request does not say how many

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

struct Generator::Impl {
    ModelPool& pool;
    Workers& workers;
    Metrics& metrics;
    OutputPlanner planner;
    std::shared_ptr<Safeguards> safeguards;  // null: none
    std::chrono::milliseconds held_sign{5000};
    std::atomic<std::uint64_t> next_id{1};
    std::atomic<int> running{0}, waiting{0};
    std::atomic<std::uint64_t> started{0}, finished{0}, cancelled{0}, failed{0};

    std::mutex mutex;
    std::condition_variable changed;
    class Job;
    std::set<std::shared_ptr<Job>> jobs;
    std::exception_ptr closed;  // what every generation ends with; null: they may go on

    Impl(ModelPool& p, Workers& w, Metrics& m, OutputPlanner plan)
        : pool(p), workers(w), metrics(m), planner(std::move(plan)) {}
    void forget(const std::shared_ptr<Job>& job) {
        {
            const std::lock_guard lock(mutex);
            jobs.erase(job);
        }
        changed.notify_all();
    }
};

class Generator::Impl::Job final : public Generation, public std::enable_shared_from_this<Job> {
 public:
    Job(std::shared_ptr<Impl> impl, GenerationRequest request, Sink sink)
        : impl_(std::move(impl)),
          id_(impl_->next_id++),
          request_(std::move(request)),
          sink_(std::move(sink)),
          strand_(std::make_shared<Strand>(impl_->workers)),
          began_(Clock::now()) {}

    void start() {
        impl_->pool.acquire(
            request_.model,
            [self = shared_from_this()](ModelLease lease, const std::exception_ptr& fault) {
                self->strand_->post([self, lease = std::move(lease), fault] {
                    if (fault) return self->fail(fault);
                    self->lease_ = lease;
                    self->guarded([&self] { self->prepare(); });
                });
            },
            request_.keep_alive);
    }

    void cancel() noexcept override {
        if (cancel_asked_.exchange(true)) return;
        try {
            strand_->post([self = shared_from_this()] { self->stop_all(); });
        } catch (const std::exception&) {
            cancel_asked_ = false;  // no memory for a task; the next call tries again
        }
    }

    void end(const std::exception_ptr& fault) {
        if (end_asked_.exchange(true)) return;
        end_fault_ = fault;
        ending_ = true;  // what is not prepared yet is not begun
        strand_->post([self = shared_from_this(), fault] { self->fail(fault); });
    }

 private:
    struct Choice {
        std::unique_ptr<StreamDecoder> decoder;
        std::unique_ptr<StopMatcher> matcher;
        std::unique_ptr<OutputParser> parser;
        RequestId engine_id = 0;
        std::size_t decoded = 0, shown = 0;  // bytes
        struct Pending {
            TokenPiece piece;
            std::size_t start;
        };
        std::deque<Pending> pending;  // tokens whose text is not shown yet
        std::uint32_t tokens = 0;
        std::int64_t held = 0;  // tokens that the quota has room for; counts only without max_tokens
        std::string answer;     // all of it, where books are kept or guards look at it
        Delta kept_back;        // what was not told yet, where answers wait for a guard
        bool submitted = false, stopped = false, over_quota = false, done = false, called_tools = false;
        bool placed = false;  // it has a place of the engine; submitted without one: it is set aside
        bool heard = false;   // the engine has read its prompt
        std::optional<Token> stop_token;
    };
    struct News {
        std::uint32_t choice = 0;
        std::variant<SampledToken, Outcome> what;
    };

    template <class F>
    void guarded(F&& work) {
        try {
            work();
        } catch (...) {
            fail(std::current_exception());
        }
    }

    [[nodiscard]] std::size_t count() const { return request_.prompts.size() * static_cast<std::size_t>(request_.n); }
    [[nodiscard]] bool wants_pieces() const { return request_.logprobs || request_.want_tokens; }
    // Null: nobody looks at texts there.
    [[nodiscard]] Safeguards* guards_of(Safeguards::Place place) const {
        Safeguards* const all = request_.guarded ? impl_->safeguards.get() : nullptr;
        return all != nullptr && all->judges(place) ? all : nullptr;
    }

    // Is nothing told before the whole has been judged?
    [[nodiscard]] bool holds_answers() const {
        return request_.guarded && impl_->safeguards && impl_->safeguards->holds_answers();
    }

    // Does nobody wait for it any more, or is there no time left for it? Then it ends here.
    [[nodiscard]] bool let_go() {
        if (ending_) {
            fail(end_fault_);
        } else if (cancel_asked_) {
            finish(true);
        } else {
            return false;
        }
        return true;
    }

    void prepare() {
        if (let_go()) return;
        const LoadedModel& model = *lease_->model;
        load_seconds_ = seconds_since(began_);
        if (!lease_->engine) {
            throw RequestError(400, ErrorKind::unsupported,
                               fmt::format("{} is no model that writes text.", lease_->name),
                               "Use it for embeddings, or name another model.", "model");
        }
        static_cast<void>(model.need_tokenizer());
        for (const Prompt& prompt : request_.prompts) {
            check_thinking(model, lease_->name, prompt);
            prompts_.push_back(encode_prompt(model, prompt));
        }
        sampler_ = sampler_options(model, request_.sampling);
        check(sampler_, lease_->engine->vocab());
        for (const PromptFacts& prompt : prompts_) check_length(*lease_->engine, prompt.ids, request_.max_tokens);
        choices_.resize(count());
        set_aside();
        judge_prompts();
    }

    // Before a place is asked for: what is refused costs the others nothing.
    void judge_prompts() {
        Safeguards* const guards = guards_of(Safeguards::Place::input);
        if (guards == nullptr) return line_up();
        std::vector<JudgedText> texts;
        for (std::size_t p = 0; p < prompts_.size(); ++p) texts.push_back(prompt_text(p));
        guards->judge(
            Safeguards::Place::input, std::move(texts), request_.tenant,
            [self = shared_from_this()](const SafeguardFindings& findings) {
                self->strand_->post([self, findings] { self->guarded([&] { self->take_findings(findings); }); });
            });
    }

    [[nodiscard]] JudgedText prompt_text(std::size_t p) const {
        const PromptFacts& facts = prompts_[p];
        std::string whole = facts.text.empty() ? lease_->model->tokenizer()->decode(facts.ids, true) : facts.text;
        std::string asked = client_words(request_.prompts[p]);
        if (asked.empty()) asked = whole;
        return {std::move(whole), std::move(asked), {}};
    }

    void record(Safeguards::Place place, const SafeguardFindings& findings) {
        if (!request_.books) return;
        for (const safeguards::Decision& decision : findings.decisions)
            request_.books->judged(decision_text(place, decision), decision.stops);
    }

    void take_findings(const SafeguardFindings& findings) {
        if (ended_) return;
        record(Safeguards::Place::input, findings);
        if (const safeguards::Decision* stop = findings.stop()) throw refusal_of(*stop);
        line_up();
    }

    void line_up() {
        if (let_go()) return;
        for (std::size_t i = 0; i < choices_.size(); ++i) open_choice(i);
        // Everything that can be refused is refused before the answer begins.
        for (std::size_t i = 0; i < choices_.size(); ++i) requests_.push_back(engine_request(i));
        const auto on_strand = [self = shared_from_this()](void (Job::*what)()) {
            return [self, what] { self->strand_->post([self, what] { self->guarded([&] { ((*self).*what)(); }); }); };
        };
        ++impl_->waiting;
        waiting_ = true;
        const auto entered =
            lease_->queue->enter(request_.tenant, id_, count(), on_strand(&Job::take_place), on_strand(&Job::give_way));
        if (entered == FairQueue::Entered::taken) {
            started_ = true;
            ++impl_->started;
            return sink_(Started{lease_, &prompts_});
        }
        --impl_->waiting;
        waiting_ = false;
        impl_->metrics.add("freehold_rejected_total");
        if (entered == FairQueue::Entered::tenant_full) {
            throw RequestError(429, ErrorKind::busy, "Too many of your requests wait already.",
                               "Wait for some of them, then try again.", {}, "rate_limit_exceeded", 2);
        }
        throw RequestError(503, ErrorKind::busy, "The queue of this model is full.", "Try again in a moment.", {},
                           "overloaded", 2);
    }

    // Tokens are set aside before anything is answered, so that many requests at once cannot pass a quota. An answer
    // whose length nobody said begins with one token and takes more as it grows.
    void set_aside() {
        if (!request_.books) return;
        std::int64_t tokens = 0;
        for (const PromptFacts& prompt : prompts_) tokens += static_cast<std::int64_t>(prompt.ids.size());
        tokens += static_cast<std::int64_t>(count()) * request_.max_tokens.value_or(1);
        hold_ = request_.books->reserve(lease_.name(), tokens);
        for (Choice& c : choices_) c.held = request_.max_tokens.value_or(1);
        std::vector<std::string> texts;
        for (const PromptFacts& prompt : prompts_)
            texts.push_back(prompt.text.empty() ? lease_->model->tokenizer()->decode(prompt.ids, true) : prompt.text);
        request_.books->asked(joined(texts));
    }

    // One text as it is, several as a JSON list.
    [[nodiscard]] static std::string joined(const std::vector<std::string>& texts) {
        return texts.size() == 1 ? texts.front() : to_json(Value(texts));
    }

    // Before the end is told, so that whoever asks again at once finds it counted.
    void settle() {
        if (!request_.books) return;
        std::int64_t written = 0;
        std::vector<std::string> texts;
        for (const Choice& c : choices_) {
            written += c.tokens;
            texts.push_back(c.answer);
        }
        const auto read = static_cast<std::int64_t>(usage_.prompt_tokens);
        if (hold_ && read + written > 0) {
            hold_->settle(read, written);
            request_.books->answered(joined(texts));
        }
        hold_.reset();
    }

    void open_choice(std::size_t i) {
        Choice& c = choices_[i];
        const std::size_t p = i / static_cast<std::size_t>(request_.n);
        bool special = request_.show_special;
        if (request_.parse_output && impl_->planner) {
            OutputParserInput input;
            input.model = lease_->model.get();
            input.tool_choice = request_.tool_choice;
            input.prompt_text = prompts_[p].text;
            if (const auto* chat = std::get_if<ChatPrompt>(&request_.prompts[p])) {
                input.tools = chat->tools;
                input.template_kwargs = chat->kwargs;
            }
            OutputPlan plan = impl_->planner(input);
            special = special || plan.show_special;
            c.parser = std::move(plan.parser);
        }
        const bool goes_on = !std::holds_alternative<ChatPrompt>(request_.prompts[p]);
        c.decoder = std::make_unique<StreamDecoder>(lease_->model->tokenizer(), special, !goes_on);
        c.matcher = std::make_unique<StopMatcher>(request_.stop);
    }

    // Compiled once for all answers to a prompt.
    std::shared_ptr<const Constraint> constraint_of(std::size_t p) {
        if (!request_.constrain) return nullptr;
        if (constrained_ != p) {
            const auto* chat = std::get_if<ChatPrompt>(&request_.prompts[p]);
            const bool begins = chat != nullptr && chat->add_generation_prompt && chat->prefill.empty();
            constraint_ = request_.constrain(*lease_->model,
                                             begins ? std::optional<std::string_view>(prompts_[p].text) : std::nullopt);
            constrained_ = p;
        }
        return constraint_;
    }

    Request engine_request(std::size_t i) {
        const std::size_t p = i / static_cast<std::size_t>(request_.n);
        const bool first = i % static_cast<std::size_t>(request_.n) == 0;
        Request r;
        r.prompt = prompts_[p].ids;
        r.max_tokens = request_.max_tokens;
        r.min_tokens = request_.min_tokens;
        r.sampler = sampler_;
        r.choice = static_cast<std::uint32_t>(i % static_cast<std::size_t>(request_.n));
        if (!request_.ignore_eos) r.stop_ids = lease_->model->stop_ids();
        r.stop_ids.insert(r.stop_ids.end(), request_.stop_ids.begin(), request_.stop_ids.end());
        r.logprobs = request_.logprobs;
        if (request_.prompt_logprobs && first) {
            r.logprobs = std::max(request_.logprobs.value_or(0), *request_.prompt_logprobs);
            if (r.prompt.size() > 1) r.prompt_logprobs_from = 1;
        }
        r.cache = request_.cache;
        r.tenant = request_.tenant;
        use_adapter(r, lease_.adapter());
        r.constraint = constraint_of(p);
        const auto choice = static_cast<std::uint32_t>(i);
        r.on_token = [self = shared_from_this(), choice](const SampledToken& token) {
            self->tell({choice, token});
            return true;
        };
        r.on_done = [self = shared_from_this(), choice](const Outcome& outcome) { self->tell({choice, outcome}); };
        return r;
    }

    // A place of the engine is ours.
    void take_place() {
        if (ended_) return;
        if (waiting_) {
            --impl_->waiting;
            waiting_ = false;
            placed_ = true;
            ++impl_->running;
        }
        if (std::ranges::none_of(choices_, &Choice::submitted) && let_go()) return;
        ++spare_;
        use_places();
    }

    void use_places() {
        for (; spare_ > 0; --spare_) {
            const auto next = next_choice();
            if (!next) break;
            Choice& c = choices_[*next];
            if (c.submitted) {
                lease_->engine->resume(c.engine_id);
            } else {
                c.engine_id = lease_->engine->submit(std::move(requests_[*next]));
                c.submitted = true;
            }
            c.placed = true;
        }
        // What it was for may have ended meanwhile. The rest is for answers that wait for their prompt to be read.
        const auto wanting = std::ranges::count_if(choices_, [](const Choice& c) { return !c.done && !c.submitted; });
        for (; spare_ > static_cast<std::size_t>(wanting); --spare_) lease_->queue->leave(id_);
    }

    // What was set aside goes first. One answer to each prompt reads it; the others follow once it is in the cache,
    // where they find it whole.
    [[nodiscard]] std::optional<std::size_t> next_choice() const {
        const auto n = static_cast<std::size_t>(request_.n);
        std::optional<std::size_t> fresh;
        for (std::size_t i = 0; i < choices_.size(); ++i) {
            const Choice& c = choices_[i];
            if (c.done || c.placed) continue;
            if (c.submitted) return i;
            const bool may = i % n == 0 || request_.cache != CacheUse::share || choices_[i - i % n].heard;
            if (may && !fresh) fresh = i;
        }
        return fresh;
    }

    // Another tenant has less than its share: the last of our answers waits for a while, and goes on later with the
    // bits that it would have had.
    void give_way() {
        if (ended_) return;
        const auto last = std::find_if(choices_.rbegin(), choices_.rend(),
                                       [](const Choice& c) { return c.placed && !c.done && !c.stopped; });
        if (spare_ == 0 && last == choices_.rend()) return;  // what we hold comes back by itself
        if (!lease_->queue->give_way(id_)) return;
        if (spare_ > 0) {
            --spare_;
            return;
        }
        last->placed = false;
        lease_->engine->park(last->engine_id);
    }

    // On the engine's thread.
    void tell(News news) {
        {
            const std::lock_guard lock(inbox_mutex_);
            inbox_.push_back(std::move(news));
            if (inbox_scheduled_) return;
            inbox_scheduled_ = true;
        }
        strand_->post([self = shared_from_this()] { self->guarded([&self] { self->drain(); }); });
    }

    void drain() {
        std::vector<News> news;
        {
            const std::lock_guard lock(inbox_mutex_);
            news.swap(inbox_);
            inbox_scheduled_ = false;
        }
        // One delta for all that came of a choice since the last time.
        std::map<std::uint32_t, Delta> deltas;
        for (News& item : news) {
            if (ended_) return;
            Choice& c = choices_[item.choice];
            if (c.done) continue;
            if (!std::exchange(c.heard, true)) use_places();
            Delta& delta = deltas.try_emplace(item.choice).first->second;
            delta.choice = item.choice;
            if (auto* token = std::get_if<SampledToken>(&item.what)) {
                take_token(c, *token, delta);
            } else {
                close_choice(c, std::get<Outcome>(std::move(item.what)), delta);
                deltas.erase(item.choice);
            }
        }
        for (auto& [choice, delta] : deltas) show(std::move(delta));
    }

    void take_token(Choice& c, SampledToken& token, Delta& delta) {
        if (c.stopped || c.over_quota) return;
        if (token.is_stop) {
            c.stop_token = token.token;
            if (wants_pieces() && request_.include_stop_token) c.pending.push_back({piece(token), c.decoded});
            return;
        }
        if (hold_ && !request_.max_tokens && c.tokens >= c.held) {
            c.held += hold_->extend(kHoldStep);
            if (c.tokens >= c.held) {
                c.over_quota = true;
                lease_->engine->cancel(c.engine_id);
                return;
            }
        }
        ++c.tokens;
        const std::size_t start = c.decoded;
        const std::string text = c.decoder->push(token.token);
        c.decoded += text.size();
        if (wants_pieces()) c.pending.push_back({piece(token), start});
        add_text(c, c.matcher->push(text), delta);
        if (!c.matcher->stopped()) return;
        c.stopped = true;
        c.pending.clear();
        lease_->engine->cancel(c.engine_id);
    }

    void add_text(Choice& c, const std::string& shown, Delta& delta) {
        c.shown += shown.size();
        delta.text += shown;
        if (hold_ || guards_of(Safeguards::Place::output) != nullptr) c.answer += shown;
        if (c.parser && !shown.empty()) c.parser->push(shown, delta.parts);
        while (!c.pending.empty() && c.pending.front().start < c.shown) {
            delta.tokens.push_back(std::move(c.pending.front().piece));
            c.pending.pop_front();
        }
    }

    void close_choice(Choice& c, Outcome outcome, Delta& delta) {
        if (!c.stopped) {
            std::string rest = c.matcher->push(c.decoder->finish());
            const bool matched = c.matcher->stopped();
            if (!matched) rest += c.matcher->finish();
            add_text(c, rest, delta);
            for (auto& pending : c.pending) {
                if (!matched) delta.tokens.push_back(std::move(pending.piece));
            }
            c.pending.clear();
            c.stopped = matched;
        }
        if (c.parser) c.parser->finish(delta.parts);
        const std::uint32_t choice = delta.choice;
        show(std::move(delta));
        c.done = true;
        ++done_;
        if (outcome.finish == FinishReason::error && outcome.error) {
            return fail(std::make_exception_ptr(Error(*outcome.error)));
        }
        ChoiceDone done;
        done.choice = choice;
        done.finish = c.stopped ? FinishReason::stop : c.over_quota ? FinishReason::length : outcome.finish;
        done.called_tools = c.called_tools;
        if (c.matcher->matched()) done.stop_string = stop_text(*c.matcher->matched());
        done.stop_token = c.stop_token;
        done.completion_tokens = c.tokens;
        if (request_.prompt_logprobs) {
            const auto& ids = prompts_[choice / static_cast<std::uint32_t>(request_.n)].ids;
            const auto most = static_cast<std::size_t>(*request_.prompt_logprobs);
            done.prompt_tokens = prompt_pieces(*lease_->model->tokenizer(), ids, outcome, most);
        }
        add_usage(choice, outcome, c.tokens);
        if (outcome.finish == FinishReason::cancelled && !c.stopped && !c.over_quota) any_cancelled_ = true;
        done.outcome = std::move(outcome);
        // The guard may need the place that this answer had.
        give_back(c);
        // Nobody judges what was stopped half way and kept back, so nobody reads it either. What was told is judged,
        // whether or not somebody still listens.
        if (any_cancelled_) c.kept_back = {};
        const bool told = !c.answer.empty() && !holds_answers();
        Safeguards* const guards = any_cancelled_ && !told ? nullptr : guards_of(Safeguards::Place::output);
        if (guards == nullptr) return tell_end(std::move(done));
        JudgedText text = prompt_text(choice / static_cast<std::uint32_t>(request_.n));
        text.whole = text.answered = c.answer;
        guards->judge(Safeguards::Place::output, {std::move(text)}, request_.tenant,
                      [self = shared_from_this(), done](const SafeguardFindings& findings) {
                          self->strand_->post(
                              [self, done, findings] { self->guarded([&] { self->end_judged(done, findings); }); });
                      });
    }

    void end_judged(ChoiceDone done, const SafeguardFindings& findings) {
        if (ended_) return;
        record(Safeguards::Place::output, findings);
        if (const safeguards::Decision* stop = findings.stop()) {
            done.withheld = stop->category.empty() ? std::string("unjudged") : stop->category;
            done.called_tools = false;
            done.stop_string.reset();
            done.outcome.tokens.clear();
            done.outcome.details.clear();
            choices_[done.choice].kept_back = {};
        }
        tell_end(std::move(done));
    }

    void tell_end(ChoiceDone&& done) {
        Choice& c = choices_[done.choice];
        Delta& delta = c.kept_back;
        if (!delta.text.empty() || !delta.parts.empty() || !delta.tokens.empty()) tell_text(std::exchange(delta, {}));
        ++told_;
        sink_(std::move(done));
        if (told_ == choices_.size()) finish(any_cancelled_);
    }

    [[nodiscard]] std::string stop_text(std::size_t index) const { return request_.stop.at(index); }

    void show(Delta&& delta) {
        if (delta.text.empty() && delta.parts.empty() && delta.tokens.empty()) return;
        for (const OutputDelta& part : delta.parts) {
            if (part.kind == OutputDelta::Kind::tool_call) choices_[delta.choice].called_tools = true;
        }
        if (request_.parse_output && !choices_[delta.choice].parser && !delta.text.empty()) {
            OutputDelta content;
            content.text = delta.text;
            delta.parts.push_back(std::move(content));
        }
        if (holds_answers()) {
            join(choices_[delta.choice].kept_back, std::move(delta));
            if (request_.while_held && Clock::now() >= last_sign_ + impl_->held_sign) {
                last_sign_ = Clock::now();
                request_.while_held();
            }
        } else {
            tell_text(std::move(delta));
        }
    }

    void tell_text(Delta&& delta) {
        if (!first_text_) first_text_ = seconds_since(began_);
        sink_(std::move(delta));
    }

    [[nodiscard]] TokenPiece piece(const SampledToken& token) const {
        return piece_of(*lease_->model->tokenizer(), token, static_cast<std::size_t>(request_.logprobs.value_or(0)));
    }

    void add_usage(std::uint32_t choice, const Outcome& outcome, std::uint32_t tokens) {
        usage_.completion_tokens += tokens;
        if (choice % static_cast<std::uint32_t>(request_.n) == 0) {
            usage_.prompt_tokens += outcome.prompt_tokens;
            usage_.cached_tokens += outcome.cached_tokens;
        }
        usage_.queue_seconds = std::max(usage_.queue_seconds, outcome.queue_seconds);
        usage_.prefill_seconds = std::max(usage_.prefill_seconds, outcome.prefill_seconds);
        usage_.decode_seconds = std::max(usage_.decode_seconds, outcome.decode_seconds);
        if (tokens > 1) {
            impl_->metrics.observe("freehold_inter_token_seconds", outcome.decode_seconds / (tokens - 1));
        }
    }

    void give_back(Choice& c) {
        if (std::exchange(c.placed, false)) return lease_->queue->leave(id_);
        lease_->queue->forgo(id_, 1);  // it ended while it was set aside
    }

    void stop_all() {
        if (ended_) return;
        if (waiting_) return finish(true);
        for (Choice& c : choices_) {
            if (c.done) continue;
            if (c.submitted) {
                lease_->engine->cancel(c.engine_id);
            } else if (placed_) {
                // Nobody will tell of it.
                c.done = any_cancelled_ = true;
                ++done_;
                ++told_;
                lease_->queue->forgo(id_, 1);
            }
        }
    }

    void fail(const std::exception_ptr& fault) {
        if (ended_) return;
        ended_ = true;
        for (const Choice& c : choices_) {
            if (c.submitted && !c.done) lease_->engine->cancel(c.engine_id);
        }
        ++impl_->failed;
        impl_->metrics.add("freehold_generations_total", {{"outcome", "failed"}});
        release();
        tell_last(Failed{fault});
    }

    // The last event, whatever the books and the client's side make of it: what cannot be kept (a full disk) makes
    // a failure of it, and the job ends in any case.
    void tell_last(Event&& event) {
        try {
            settle();
            sink_(std::move(event));
        } catch (...) {
            try {
                hold_.reset();
                sink_(Failed{std::current_exception()});
            } catch (const std::exception& fault) {
                log_error(fmt::format("The end of an answer could not be told: {}", fault.what()));
            }
        }
        leave();
    }

    void finish(bool stopped) {
        if (ended_) return;
        ended_ = true;
        ++(stopped ? impl_->cancelled : impl_->finished);
        usage_.load_seconds = load_seconds_;
        usage_.total_seconds = seconds_since(began_);
        usage_.first_token_seconds = first_text_.value_or(usage_.total_seconds);
        count_metrics(stopped);
        release();
        tell_last(AllDone{usage_, stopped});
    }

    void count_metrics(bool stopped) {
        Metrics& m = impl_->metrics;
        const Labels model = lease_ ? Labels{{"model", lease_->name}} : Labels{};
        m.add("freehold_generations_total", {{"outcome", stopped ? "cancelled" : "finished"}});
        m.add("freehold_prompt_tokens_total", model, static_cast<double>(usage_.prompt_tokens));
        m.add("freehold_cached_tokens_total", model, static_cast<double>(usage_.cached_tokens));
        m.add("freehold_completion_tokens_total", model, static_cast<double>(usage_.completion_tokens));
        if (first_text_) m.observe("freehold_time_to_first_token_seconds", *first_text_);
        if (started_) m.observe("freehold_queue_seconds", usage_.queue_seconds);
    }

    void release() {
        if (std::exchange(waiting_, false)) --impl_->waiting;
        if (std::exchange(placed_, false)) --impl_->running;
        if (lease_ && lease_->queue) lease_->queue->leave_all(id_);
        spare_ = 0;
    }

    void leave() {
        sink_ = [](Event&&) {};  // what it captured (the client's answer) goes now
        request_.while_held = {};
        requests_.clear();  // they hold this job
        // The engine may hold this job a little longer, and must not be the one that lets go of its own model.
        lease_ = {};
        impl_->forget(shared_from_this());
    }

    const std::shared_ptr<Impl> impl_;
    const std::uint64_t id_;
    GenerationRequest request_;
    Sink sink_;
    const std::shared_ptr<Strand> strand_;
    const Clock::time_point began_;
    std::atomic<bool> cancel_asked_{false};
    std::exception_ptr end_fault_;  // written once, before `ending_`
    std::atomic<bool> end_asked_{false}, ending_{false};

    // On the strand only.
    ModelLease lease_;
    std::vector<PromptFacts> prompts_;
    SamplerOptions sampler_;
    std::vector<Choice> choices_;
    std::vector<Request> requests_;
    std::shared_ptr<const Constraint> constraint_;  // of the prompt `constrained_`
    std::optional<std::size_t> constrained_;
    std::unique_ptr<TokenHold> hold_;
    std::size_t spare_ = 0;            // places that no answer uses yet
    std::size_t done_ = 0, told_ = 0;  // done: written to the end; told: the client knows
    bool started_ = false, waiting_ = false, placed_ = false, ended_ = false, any_cancelled_ = false;
    double load_seconds_ = 0;
    std::optional<double> first_text_;
    Clock::time_point last_sign_ = began_;
    Usage usage_;

    std::mutex inbox_mutex_;
    std::vector<News> inbox_;
    bool inbox_scheduled_ = false;
};

Generator::Generator(ModelPool& pool, Workers& workers, Metrics& metrics, OutputPlanner planner)
    : impl_(std::make_shared<Impl>(pool, workers, metrics, std::move(planner))) {
    metrics.counter("freehold_generations_total", "Generations that ended, by outcome");
    metrics.counter("freehold_prompt_tokens_total", "Prompt tokens of generations");
    metrics.counter("freehold_cached_tokens_total", "Prompt tokens that came from the cache");
    metrics.counter("freehold_completion_tokens_total", "Tokens that were generated");
    metrics.counter("freehold_rejected_total", "Generations refused because a queue was full");
    const std::vector<double> times = {0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};
    metrics.histogram("freehold_time_to_first_token_seconds", "From the request to its first text", times);
    metrics.histogram("freehold_queue_seconds", "From the engine's queue to the first row", times);
    metrics.histogram("freehold_inter_token_seconds", "Mean time between tokens of one answer",
                      {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5});
}

Generator::~Generator() {
    std::unique_lock lock(impl_->mutex);
    for (const auto& job : impl_->jobs) job->cancel();
    impl_->changed.wait(lock, [this] { return impl_->jobs.empty(); });
}

std::shared_ptr<Generation> Generator::start(GenerationRequest request, Sink sink) {
    if (request.prompts.empty() || request.n < 1) {
        throw field_error("prompt", "There is no prompt to answer.", "Give one.");
    }
    if (request.prompts.size() * static_cast<std::size_t>(request.n) > kMostChoices) {
        throw field_error("n",
                          fmt::format("The request asks for {} answers, but at most {} are given at once.",
                                      request.prompts.size() * static_cast<std::size_t>(request.n), kMostChoices),
                          "Send several requests.");
    }
    check_use(impl_->pool, request.model, request.tenant, request.allowed_models);
    auto job = std::make_shared<Impl::Job>(impl_, std::move(request), std::move(sink));
    {
        const std::lock_guard lock(impl_->mutex);
        if (impl_->closed) std::rethrow_exception(impl_->closed);
        impl_->jobs.insert(job);
    }
    try {
        job->start();
    } catch (...) {
        impl_->forget(job);
        throw;
    }
    return job;
}

void Generator::end_all(const std::exception_ptr& fault) {
    const std::lock_guard lock(impl_->mutex);
    impl_->closed = fault;
    for (const auto& job : impl_->jobs) job->end(fault);
}

void Generator::guard_with(std::shared_ptr<Safeguards> safeguards) {
    impl_->safeguards = std::move(safeguards);
}
Safeguards* Generator::safeguards() const noexcept {
    return impl_->safeguards.get();
}

void Generator::tell_held_every(std::chrono::milliseconds time) {
    impl_->held_sign = time;
}

GenerationStats Generator::stats() const {
    return {impl_->running, impl_->waiting, impl_->started, impl_->finished, impl_->cancelled, impl_->failed};
}

ModelPool& Generator::pool() noexcept {
    return impl_->pool;
}
Workers& Generator::workers() noexcept {
    return impl_->workers;
}

}  // namespace freehold::server
