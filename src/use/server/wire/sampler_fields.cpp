// Settings of samplers that clients of llama.cpp and vLLM send beside OpenAI's: dry_*, xtc_*, mirostat*, dynatemp_*,
// top_n_sigma, samplers, min_tokens; and those that would change the answer and are not offered.
#include <fmt/format.h>

#include "common.h"
#include "freehold/engine/session.h"

namespace freehold::server {
namespace {

struct Extras {
    std::optional<float> top_n_sigma, xtc_probability, xtc_threshold, dry_multiplier, dry_base, dynatemp_range,
        dynatemp_exponent, mirostat_tau, mirostat_eta;
    std::optional<int> dry_allowed_length, dry_last_n, mirostat, min_keep;
    std::vector<std::string> breakers;
    std::vector<Stage> chain;

    void put(SamplerOptions& o, const LoadedModel& model) const {
        const auto take = [](const auto& wish, auto& option) {
            if (wish) option = *wish;
        };
        take(top_n_sigma, o.top_n_sigma);
        take(xtc_probability, o.xtc_probability);
        take(xtc_threshold, o.xtc_threshold);
        take(dry_multiplier, o.dry_multiplier);
        take(dry_base, o.dry_base);
        take(dry_allowed_length, o.dry_allowed_length);
        take(dry_last_n, o.dry_last_n);
        take(dynatemp_range, o.dynatemp_range);
        take(dynatemp_exponent, o.dynatemp_exponent);
        take(mirostat, o.mirostat);
        take(mirostat_tau, o.mirostat_tau);
        take(mirostat_eta, o.mirostat_eta);
        take(min_keep, o.min_keep);
        if (!chain.empty()) o.chain = chain;
        if (o.dry_multiplier > 0) {
            const std::span<const std::string> texts =
                breakers.empty() ? default_dry_breakers() : std::span<const std::string>(breakers);
            o.dry_breakers = dry_breakers(model.need_tokenizer(), texts);
        }
    }
};

// Fields of vLLM's and other clients that would change the answer and that nothing here honours.
void refuse_unoffered(const Fields& fields) {
    struct Unoffered {
        const char *name, *way_out;
    };
    constexpr const char* kConstrain = "Use guided_choice, guided_regex or response_format to bound the answer.";
    // Whose value asks for nothing (null, false, an empty list or text) may stay.
    for (const auto& [name, way_out] : std::initializer_list<Unoffered>{
             {"allowed_token_ids", kConstrain},
             {"bad_words", "Ban tokens with logit_bias -100, or bound the answer with guided_regex."},
             {"logits_processors", "Use logit_bias."},
             {"prompt_logprobs", "POST /v1/completions with echo and logprobs gives them."},
             {"include_stop_str_in_output", "stop_reason or the finish reason say what stopped it; add it yourself."},
             {"truncate_prompt_tokens", "Nothing of a prompt is left out silently: shorten it."},
             {"use_beam_search", "Ask for n answers and choose among them."},
             {"structural_tag", "Use tools, or response_format."},
             {"guided_whitespace_pattern", "Leave it away: schemas decide where spaces may stand."},
             {"chat_template", "POST /api/create makes a model with a template of its own."}}) {
        const Value* const value = fields.find(name);
        if (value == nullptr) continue;
        const bool* const flag = value->get<bool>();
        const auto* const map = value->get<ValueMap>();
        const auto* const list = value->get<ValueList>();
        const auto text = value->as_string();
        const bool asks = flag != nullptr   ? *flag
                          : map != nullptr  ? !map->empty()
                          : list != nullptr ? !list->empty()
                          : text            ? !text->empty()
                                            : true;
        if (asks)
            fields.fail(name, fmt::format("{} is not offered here, and it is not ignored.", fields.path(name)),
                        way_out);
    }
}

}  // namespace

void read_local_samplers(const Fields& fields, GenerationRequest& request) {
    refuse_unoffered(fields);
    auto extras = std::make_shared<Extras>();
    bool any = false;
    const auto real = [&](const char* name, std::optional<float>& out, double low, double high) {
        if (const auto value = fields.real(name, low, high)) {
            out = value;
            any = true;
        }
    };
    const auto whole = [&](const char* name, std::optional<int>& out, std::int64_t low) {
        if (const auto value = fields.integer(name, low, 1 << 30)) {
            out = static_cast<int>(*value);
            any = true;
        }
    };
    real("top_n_sigma", extras->top_n_sigma, -1, 1e6);
    // -1 is how llama.cpp's clients turn it off.
    if (extras->top_n_sigma && *extras->top_n_sigma < 0) extras->top_n_sigma = 0.0F;
    real("xtc_probability", extras->xtc_probability, 0, 1);
    real("xtc_threshold", extras->xtc_threshold, 0, 1);
    real("dry_multiplier", extras->dry_multiplier, 0, 1e6);
    real("dry_base", extras->dry_base, 1, 1e6);
    whole("dry_allowed_length", extras->dry_allowed_length, 0);
    whole("dry_penalty_last_n", extras->dry_last_n, -1);
    real("dynatemp_range", extras->dynatemp_range, 0, 1e6);
    real("dynatemp_exponent", extras->dynatemp_exponent, 0, 1e6);
    real("mirostat_tau", extras->mirostat_tau, 0, 1e6);
    real("mirostat_eta", extras->mirostat_eta, 0, 1e6);
    whole("mirostat", extras->mirostat, 0);
    if (extras->mirostat && *extras->mirostat != 0 && *extras->mirostat != 2) {
        fields.fail("mirostat", "mirostat is neither 0 (off) nor 2.", "Version 2 is the one that is offered.");
    }
    whole("min_keep", extras->min_keep, 0);
    if (extras->min_keep) extras->min_keep = std::max(1, *extras->min_keep);
    extras->breakers = fields.strings("dry_sequence_breakers", 64);
    if (const auto names = fields.strings("samplers", 32); !names.empty()) {
        try {
            extras->chain = chain_from_names(names);
        } catch (const Error& error) {
            fields.fail("samplers", error.message(), error.hint());
        }
        any = true;
    }
    if (const auto least = fields.integer("min_tokens", 0, 1 << 30)) request.min_tokens = static_cast<int>(*least);
    if (!any) return;
    request.sampling.adjust = [extras, before = std::move(request.sampling.adjust)](SamplerOptions& o,
                                                                                    const LoadedModel& model) {
        if (before) before(o, model);
        extras->put(o, model);
    };
}

}  // namespace freehold::server
