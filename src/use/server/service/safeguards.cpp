// One run: guard after guard, text after text; a guard model's answer comes later, on another thread.
#include "freehold/server/safeguards.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <future>

#include "freehold/base/error.h"
#include "freehold/safeguards/model_guard.h"
#include "freehold/safeguards/rules.h"
#include "freehold/server/generation.h"

namespace freehold::server {

using safeguards::Decision;
using safeguards::GuardConfig;
using safeguards::Judgement;
using safeguards::Verdict;
using Clock = std::chrono::steady_clock;

const Decision* SafeguardFindings::stop() const noexcept {
    const auto found = std::ranges::find_if(decisions, &Decision::stops);
    return found == decisions.end() ? nullptr : &*found;
}

namespace {

bool runs_at(const GuardConfig& guard, Safeguards::Place place) noexcept {
    return place == Safeguards::Place::moderation ||
           (place == Safeguards::Place::input ? guard.on_input : guard.on_output);
}

Judgement could_not(std::string why) {
    return {{}, std::move(why)};
}

Judgement of_rules(const GuardConfig& guard, const std::string& text) {
    try {
        return guard.compiled->judge(text);
    } catch (const std::exception& fault) {
        return could_not(fault.what());
    }
}

// What a guard model wrote so far.
struct Answer {
    std::vector<safeguards::AnswerToken> tokens;
    std::function<void(Judgement)> done;
};

void take(const GuardConfig& guard, Answer& answer, Event&& event) {
    if (auto* delta = std::get_if<Delta>(&event)) {
        for (TokenPiece& piece : delta->tokens) {
            safeguards::AnswerToken token{std::move(piece.bytes), piece.logprob, {}};
            for (TokenPiece::Alternative& other : piece.alternatives)
                token.alternatives.emplace_back(std::move(other.bytes), other.logprob);
            answer.tokens.push_back(std::move(token));
        }
    } else if (auto* all = std::get_if<AllDone>(&event)) {
        answer.done(all->cancelled ? could_not("it was stopped") : safeguards::read_answer(guard, answer.tokens));
    } else if (auto* failed = std::get_if<Failed>(&event)) {
        try {
            std::rethrow_exception(failed->fault);
        } catch (const std::exception& fault) {
            answer.done(could_not(fault.what()));
        }
    }
}

// `done` is called on another thread, or here when the request cannot even begin.
void ask_model(Generator& generator, const GuardConfig& guard, const JudgedText& text, bool is_answer,
               const std::string& tenant, std::function<void(Judgement)> done) {
    GenerationRequest request;
    request.model = guard.model;
    ChatPrompt prompt;
    prompt.messages = safeguards::guard_messages(text.asked, text.answered, is_answer);
    request.prompts.emplace_back(std::move(prompt));
    request.max_tokens = safeguards::kMostAnswerTokens;
    request.sampling.temperature = 0.0F;
    request.logprobs = safeguards::kAnswerAlternatives;
    request.tenant = tenant;
    request.guarded = false;
    auto answer = std::make_shared<Answer>();
    answer->done = std::move(done);
    try {
        static_cast<void>(generator.start(std::move(request),
                                          [answer, &guard](Event&& event) { take(guard, *answer, std::move(event)); }));
    } catch (const std::exception& fault) {
        answer->done(could_not(fault.what()));
    }
}

}  // namespace

class Safeguards::Run : public std::enable_shared_from_this<Run> {
 public:
    Run(Safeguards& owner, Place place, std::vector<JudgedText> texts, std::string tenant,
        std::function<void(const SafeguardFindings&)> done)
        : owner_(owner), place_(place), texts_(std::move(texts)), tenant_(std::move(tenant)), done_(std::move(done)) {
        findings_.scores.resize(texts_.size());
        findings_.text_unjudged.resize(texts_.size());
    }

    void go_on() {
        const auto& guards = owner_.config_.guards;
        for (; guard_ < guards.size(); next_guard()) {
            const GuardConfig& guard = guards[guard_];
            if (!runs_at(guard, place_)) continue;
            if (text_ == 0 && !began_) began_ = Clock::now();
            while (text_ < texts_.size()) {
                if (guard.kind == GuardConfig::Kind::model) {
                    return ask_model(owner_.generator_, guard, texts_[text_], place_ == Place::output, tenant_,
                                     [self = shared_from_this(), &guard](const Judgement& judgement) {
                                         self->note(guard, judgement);
                                         self->go_on();
                                     });
                }
                note(guard, of_rules(guard, texts_[text_].whole));
            }
            if (close(guard)) break;
        }
        done_(findings_);
    }

 private:
    void next_guard() {
        ++guard_;
        text_ = 0;
        began_.reset();
        worst_.reset();
    }

    void note(const GuardConfig& guard, const Judgement& judgement) {
        for (const safeguards::Hit& hit : judgement.hits) {
            double& score = findings_.scores[text_][hit.category];
            score = std::max(score, hit.score);
        }
        Decision decision = safeguards::decide(owner_.config_, guard, judgement);
        if (decision.verdict == Verdict::unjudged) findings_.text_unjudged[text_].push_back(decision);
        const bool stops = decision.stops;
        if (!worst_ || worst_->verdict < decision.verdict) worst_ = std::move(decision);
        ++text_;
        if (stops && place_ != Place::moderation) text_ = texts_.size();
    }

    // True: nothing more has to be looked at.
    bool close(const GuardConfig& guard) {
        if (!worst_) return false;
        owner_.metrics_.add("freehold_safeguards_total",
                            {{"guard", guard.name}, {"verdict", safeguards::verdict_name(worst_->verdict)}});
        owner_.metrics_.observe("freehold_safeguards_seconds",
                                std::chrono::duration<double>(Clock::now() - *began_).count(), {{"guard", guard.name}});
        const bool stops = worst_->stops;
        findings_.decisions.push_back(std::move(*worst_));
        return stops && place_ != Place::moderation;
    }

    Safeguards& owner_;
    const Place place_;
    const std::vector<JudgedText> texts_;
    const std::string tenant_;
    const std::function<void(const SafeguardFindings&)> done_;
    std::size_t guard_ = 0, text_ = 0;
    std::optional<Clock::time_point> began_;
    std::optional<Decision> worst_;  // of the present guard
    SafeguardFindings findings_;
};

Safeguards::Safeguards(safeguards::Config config, Generator& generator, Metrics& metrics)
    : config_(std::move(config)), generator_(generator), metrics_(metrics) {
    metrics_.counter("freehold_safeguards_total", "Runs of guards, by guard and verdict");
    metrics_.histogram("freehold_safeguards_seconds", "Time of a guard's run",
                       {1e-5, 1e-4, 1e-3, 0.01, 0.1, 0.25, 0.5, 1, 2.5, 5, 10});
}

Safeguards::~Safeguards() = default;

bool Safeguards::judges(Place place) const noexcept {
    return std::ranges::any_of(config_.guards, [place](const GuardConfig& guard) { return runs_at(guard, place); });
}

bool Safeguards::holds_answers() const noexcept {
    return std::ranges::any_of(config_.guards, [](const GuardConfig& guard) {
        return guard.on_output && guard.action == GuardConfig::Action::refuse;
    });
}

void Safeguards::judge(Place place, std::vector<JudgedText> texts, std::string tenant,
                       std::function<void(const SafeguardFindings&)> done) {
    std::make_shared<Run>(*this, place, std::move(texts), std::move(tenant), std::move(done))->go_on();
}

void Safeguards::prove() {
    for (const GuardConfig& guard : config_.guards) {
        if (guard.kind != GuardConfig::Kind::model) continue;
        const auto verdict = [&](const std::string& example) {
            auto promise = std::make_shared<std::promise<Judgement>>();
            auto future = promise->get_future();
            ask_model(generator_, guard, {example, example, {}}, false, {},
                      [promise](Judgement judgement) { promise->set_value(std::move(judgement)); });
            const Decision decision = safeguards::decide(config_, guard, future.get());
            if (decision.verdict == Verdict::unjudged) {
                throw Error(ErrorKind::usage,
                            fmt::format("{}: the guard {} cannot judge its example: {}.", guard.where, guard.name,
                                        decision.why),
                            "A guard model is a stored model whose template asks for safe or unsafe (Llama Guard).");
            }
            return decision.verdict != Verdict::passed;
        };
        for (const std::string& example : guard.fires_on) {
            if (!verdict(example)) {
                throw Error(ErrorKind::usage,
                            fmt::format("{}: the guard {} does not fire on its example \"{}\".", guard.where,
                                        guard.name, example),
                            "Another example, another model, or a lower threshold of the category.");
            }
        }
        for (const std::string& example : guard.silent_on) {
            if (verdict(example)) {
                throw Error(ErrorKind::usage,
                            fmt::format("{}: the guard {} fires on \"{}\", where it is to be silent.", guard.where,
                                        guard.name, example),
                            "Turn the code off that it names, or raise the threshold of its category.");
            }
        }
    }
}

std::string decision_text(Safeguards::Place place, const Decision& decision) {
    const char* const where = place == Safeguards::Place::input    ? "input"
                              : place == Safeguards::Place::output ? "output"
                                                                   : "moderation";
    return fmt::format("{} {}", where, decision.str());
}

}  // namespace freehold::server
