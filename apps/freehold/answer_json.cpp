// Rates are tokens over the seconds that worked on them; a rate of nothing is left out.
#include "answer_json.h"

#include <fmt/format.h>

#include "console.h"
#include "input.h"

namespace freehold::cli {
namespace {

struct Rates {
    std::uint32_t computed = 0;  // prompt tokens that were not in the cache
    double prefill = 0, decode = 0, first = 0;
};

Rates rates_of(const Outcome& o) {
    Rates r;
    r.computed = o.prompt_tokens - std::min(o.cached_tokens, o.prompt_tokens);
    r.first = o.queue_seconds + o.prefill_seconds;
    if (o.prefill_seconds > 0) r.prefill = r.computed / o.prefill_seconds;
    // The first token comes out of the prefill.
    if (o.tokens.size() > 1 && o.decode_seconds > 0)
        r.decode = static_cast<double>(o.tokens.size() - 1) / o.decode_seconds;
    return r;
}

ValueMap logprob_json(const TokenLogprob& entry, const LoadedModel& model) {
    ValueMap map;
    map.set("id", std::int64_t{entry.token});
    if (model.tokenizer()) map.set("token", valid_utf8(model.tokenizer()->piece(entry.token, true)));
    map.set("logprob", static_cast<double>(entry.logprob));
    return map;
}

}  // namespace

ValueMap answer_json(const Answer& answer, const LoadedModel& model, double load_seconds) {
    const Outcome& o = answer.outcome;
    const Rates rates = rates_of(o);
    ValueMap map;
    map.set("text", valid_utf8(answer.text));
    ValueList tokens;
    for (const Token id : o.tokens) tokens.emplace_back(std::int64_t{id});
    map.set("tokens", std::move(tokens));
    map.set("finish_reason", std::string(finish_name(answer.finish)));
    if (answer.stop_string) map.set("stop_string", *answer.stop_string);
    ValueMap usage;
    usage.set("prompt_tokens", std::int64_t{o.prompt_tokens});
    usage.set("cached_tokens", std::int64_t{o.cached_tokens});
    usage.set("completion_tokens", std::uint64_t{o.tokens.size()});
    usage.set("total_tokens", std::uint64_t{o.prompt_tokens + o.tokens.size()});
    map.set("usage", std::move(usage));
    ValueMap timings;
    timings.set("load_seconds", load_seconds);
    timings.set("time_to_first_token_seconds", rates.first);
    timings.set("prefill_seconds", o.prefill_seconds);
    timings.set("decode_seconds", o.decode_seconds);
    timings.set("total_seconds", o.total_seconds);
    if (rates.prefill > 0) timings.set("prefill_tokens_per_second", rates.prefill);
    if (rates.decode > 0) timings.set("decode_tokens_per_second", rates.decode);
    map.set("timings", std::move(timings));
    map.set("drafted_tokens", std::uint64_t{o.drafted});
    map.set("accepted_tokens", std::uint64_t{o.accepted});
    if (!o.details.empty()) {
        ValueList list;
        for (const SampledToken& sampled : o.details) {
            ValueMap entry = logprob_json({sampled.token, sampled.logprob}, model);
            ValueList top;
            for (const TokenLogprob& other : sampled.alternatives) top.emplace_back(logprob_json(other, model));
            if (!top.empty()) entry.set("top", std::move(top));
            list.emplace_back(std::move(entry));
        }
        map.set("logprobs", std::move(list));
    }
    return map;
}

std::string answer_stats(const Answer& answer) {
    const Outcome& o = answer.outcome;
    const Rates rates = rates_of(o);
    std::string text = fmt::format("prompt {} token{}", o.prompt_tokens, o.prompt_tokens == 1 ? "" : "s");
    if (o.cached_tokens > 0) text += fmt::format(" ({} cached)", o.cached_tokens);
    if (rates.prefill > 0) text += fmt::format(", {:.1f}/s", rates.prefill);
    text += fmt::format("; answer {} token{}", o.tokens.size(), o.tokens.size() == 1 ? "" : "s");
    if (rates.decode > 0) text += fmt::format(", {:.1f}/s", rates.decode);
    if (o.drafted > 0) text += fmt::format("; {} of {} guessed ahead were right", o.accepted, o.drafted);
    return text +
           fmt::format("; first token after {}; ended by {}", human_seconds(rates.first), finish_name(answer.finish));
}

}  // namespace freehold::cli
