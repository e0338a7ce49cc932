// Stop strings over token borders, and the way from a prompt to a streamed answer.
#include "freehold/engine/session.h"

#include <algorithm>

#include "freehold/engine/loaded_adapter.h"

namespace freehold {

StopMatcher::StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {}

std::string StopMatcher::push(std::string_view text) {
    if (matched_) return {};
    held_ += text;
    // The one that is complete first wins, however the text was cut; of two that end together, the longer.
    std::size_t at = std::string::npos;
    std::size_t end = std::string::npos;
    for (std::size_t i = 0; i < stops_.size(); ++i) {
        if (stops_[i].empty()) continue;
        const std::size_t found = held_.find(stops_[i]);
        if (found == std::string::npos) continue;
        const std::size_t found_end = found + stops_[i].size();
        if (found_end < end || (found_end == end && found < at)) {
            at = found;
            end = found_end;
            matched_ = i;
        }
    }
    if (matched_) {
        std::string shown = held_.substr(0, at);
        held_.clear();
        return shown;
    }
    // Hold back the longest end that begins a stop string.
    std::size_t keep = 0;
    for (const std::string& stop : stops_) {
        if (stop.empty()) continue;
        for (std::size_t n = std::min(stop.size() - 1, held_.size()); n > keep; --n) {
            if (held_.compare(held_.size() - n, n, stop, 0, n) == 0) keep = n;
        }
    }
    std::string shown = held_.substr(0, held_.size() - keep);
    held_.erase(0, held_.size() - keep);
    return shown;
}

std::string StopMatcher::finish() {
    return matched_ ? std::string{} : std::exchange(held_, {});
}

TextStream::TextStream(std::shared_ptr<const Tokenizer> tokenizer, std::vector<std::string> stops, bool special,
                       bool at_start)
    : decoder_(std::move(tokenizer), special, at_start), matcher_(stops), stops_(std::move(stops)) {}

std::string TextStream::push(Token token) {
    if (stopped()) return {};
    std::string shown = matcher_.push(decoder_.push(token));
    text_ += shown;
    return shown;
}

std::string TextStream::finish() {
    if (stopped()) return {};
    std::string shown = matcher_.push(decoder_.finish());
    shown += matcher_.finish();
    text_ += shown;
    return shown;
}

std::optional<std::string> TextStream::stop_string() const {
    if (!matcher_.matched()) return std::nullopt;
    return stops_[*matcher_.matched()];
}

std::vector<Token> dry_breakers(const Tokenizer& tokenizer, std::span<const std::string> strings) {
    std::vector<Token> breakers;
    std::vector<bool> found(strings.size(), false);
    for (Token id = 0; id < tokenizer.size(); ++id) {
        const std::string piece = tokenizer.piece(id, true);
        bool breaks = false;
        for (std::size_t i = 0; i < strings.size(); ++i) {
            if (strings[i].empty() || piece.find(strings[i]) == std::string::npos) continue;
            breaks = found[i] = true;
        }
        if (breaks) breakers.push_back(id);
    }
    for (std::size_t i = 0; i < strings.size(); ++i) {
        if (found[i] || strings[i].empty()) continue;
        // Behind a letter, so that nothing is put before it.
        const auto ids = tokenizer.encode("a" + strings[i], {false, false});
        if (!ids.empty()) breakers.push_back(ids.back());
    }
    return breakers;
}

std::span<const std::string> default_dry_breakers() {
    static const std::vector<std::string> kBreakers = {"\n", ":", "\"", "*"};
    return kBreakers;
}

SamplerOptions recommended_sampler(const LoadedModel& model) {
    const GenerationDefaults& d = model.generation();
    SamplerOptions o;
    o.temperature = d.temperature.value_or(0.7F);
    o.top_p = d.top_p.value_or(0.95F);
    o.top_k = std::max(d.top_k.value_or(0), 0);
    o.min_p = d.min_p.value_or(0.0F);
    o.typical_p = d.typical_p.value_or(1.0F);
    o.repetition_penalty = d.repetition_penalty.value_or(1.0F);
    if (d.do_sample && !*d.do_sample) o.temperature = 0;
    try {
        check(o, model.decoder() ? model.decoder()->spec().vocab : 1);
    } catch (const Error&) {
        // A recommendation that makes no sense is none.
        o = SamplerOptions{};
        o.temperature = 0.7F;
        o.top_p = 0.95F;
    }
    return o;
}

Answer generate(Engine& engine, const LoadedModel& model, std::vector<Token> prompt, const GenerateOptions& options,
                const TextCallback& on_text, const std::atomic<bool>* cancel) {
    static_cast<void>(model.need_tokenizer());  // throws when there is none
    TextStream stream(model.tokenizer(), options.stop, options.show_special, !options.continues_text);
    const auto show = [&](const std::string& text) {
        if (!text.empty() && on_text) on_text(text);
    };
    Request r;
    use_adapter(r, options.adapter);
    r.prompt = std::move(prompt);
    r.max_tokens = options.max_tokens;
    r.min_tokens = options.min_tokens;
    r.sampler = options.sampler;
    r.logprobs = options.logprobs;
    r.constraint = options.constraint;
    r.cache = options.cache;
    r.tenant = options.tenant;
    if (!options.ignore_stop_ids) r.stop_ids = model.stop_ids();
    r.on_token = [&](const SampledToken& t) {
        if (t.is_stop) return true;
        show(stream.push(t.token));
        return !stream.stopped();
    };
    Answer a;
    a.outcome = engine.run(std::move(r), cancel);
    if (a.outcome.error) throw Error(*a.outcome.error);
    show(stream.finish());
    a.text = stream.text();
    a.finish = a.outcome.finish;
    a.stop_string = stream.stop_string();
    return a;
}

Answer complete(Engine& engine, const LoadedModel& model, std::string_view prompt, const GenerateOptions& options,
                const TextCallback& on_text, const std::atomic<bool>* cancel) {
    const Tokenizer& tokenizer = model.need_tokenizer();
    std::vector<Token> ids = tokenizer.encode(prompt, {true, false});
    if (ids.empty() && tokenizer.bos()) ids.push_back(*tokenizer.bos());
    GenerateOptions going_on = options;
    going_on.continues_text = !prompt.empty();
    return generate(engine, model, std::move(ids), going_on, on_text, cancel);
}

}  // namespace freehold
