// Settings of a created model, put under those of a request.
#include "created_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <string_view>

#include "common.h"
#include "freehold/engine/chat.h"

namespace freehold::server {
namespace {

// What a request may say for itself and a model may be made with.
constexpr std::array<std::string_view, 30> kSettings = {
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "typical_p",
    "repetition_penalty",
    "repeat_penalty",
    "presence_penalty",
    "frequency_penalty",
    "repeat_last_n",
    "penalty_last_n",
    "seed",
    "stop",
    "num_predict",
    "num_ctx",
    "top_n_sigma",
    "xtc_probability",
    "xtc_threshold",
    "dry_multiplier",
    "dry_base",
    "dry_allowed_length",
    "dry_penalty_last_n",
    "dry_sequence_breakers",
    "dynatemp_range",
    "dynatemp_exponent",
    "mirostat",
    "mirostat_tau",
    "mirostat_eta",
    "min_keep",
    "samplers",
};
// Settings of Ollama's own runner: Modelfiles have them, and they mean nothing here.
constexpr std::array<std::string_view, 7> kRunnerNumbers = {"num_keep", "num_batch", "num_gpu",          "num_thread",
                                                            "main_gpu", "num_gqa",   "draft_num_predict"};
constexpr std::array<std::string_view, 8> kRunnerSwitches = {"low_vram", "f16_kv",    "logits_all", "vocab_only",
                                                             "use_mmap", "use_mlock", "numa",       "penalize_newline"};

void fill_sampling(const ValueMap& parameters, GenerationRequest& request) {
    GenerationRequest given;
    const Fields fields(parameters, "parameters");
    read_sampling(fields, given);
    SamplingWishes &mine = request.sampling, &theirs = given.sampling;
    const auto fill = [](auto& wish, const auto& other) {
        if (!wish) wish = other;
    };
    fill(mine.temperature, theirs.temperature);
    fill(mine.top_p, theirs.top_p);
    fill(mine.min_p, theirs.min_p);
    fill(mine.typical_p, theirs.typical_p);
    fill(mine.repetition_penalty, theirs.repetition_penalty);
    fill(mine.presence_penalty, theirs.presence_penalty);
    fill(mine.frequency_penalty, theirs.frequency_penalty);
    fill(mine.top_k, theirs.top_k);
    fill(mine.penalty_last_n, theirs.penalty_last_n);
    fill(mine.seed, theirs.seed);
    if (request.stop.empty()) request.stop = std::move(given.stop);
    if (theirs.adjust) {
        mine.adjust = [first = std::move(theirs.adjust), then = std::move(mine.adjust)](SamplerOptions& o,
                                                                                        const LoadedModel& model) {
            first(o, model);
            if (then) then(o, model);
        };
    }
    const auto most = fields.integer("num_predict", -2, 1 << 30);
    if (!request.max_tokens && most && *most >= 0) request.max_tokens = static_cast<int>(*most);
}

std::string_view role_of(const Value& message) {
    const auto* map = message.get<ValueMap>();
    const Value* role = map == nullptr ? nullptr : map->find("role");
    return role == nullptr ? std::string_view() : role->as_string().value_or("");
}

void fill_prompt(const ValueMap& settings, ChatPrompt& prompt) {
    if (const Value* before = settings.find("messages"); before != nullptr && before->get<ValueList>() != nullptr) {
        const ValueList& list = *before->get<ValueList>();
        // A system message of the request stays in front.
        const bool led = !prompt.messages.empty() && role_of(prompt.messages.front()) == "system";
        prompt.messages.insert(prompt.messages.begin() + (led ? 1 : 0), list.begin(), list.end());
    }
    const Value* system = settings.find("system");
    const bool has = std::ranges::any_of(prompt.messages, [](const Value& m) { return role_of(m) == "system"; });
    if (system != nullptr && !has && system->as_string())
        prompt.messages.insert(prompt.messages.begin(), chat_message("system", *system->as_string()));
    if (const Value* jinja = settings.find("jinja"); jinja != nullptr && jinja->as_string())
        prompt.template_source = std::string(*jinja->as_string());
}

}  // namespace

const ValueMap* created_settings(const std::optional<StoredModel>& stored) noexcept {
    if (!stored) return nullptr;
    const Value* const created = stored->record.extra.find("created");
    return created == nullptr ? nullptr : created->get<ValueMap>();
}

void apply_created(Service& service, GenerationRequest& request) {
    KnownModel known;
    try {
        known = service.pool.resolve(request.model);
    } catch (const Error&) {
        return;
    }
    const ValueMap* const settings = created_settings(known.stored);
    if (settings == nullptr) return;
    if (const Value* parameters = settings->find("parameters");
        parameters != nullptr && parameters->get<ValueMap>() != nullptr)
        fill_sampling(*parameters->get<ValueMap>(), request);
    for (Prompt& prompt : request.prompts) {
        if (auto* chat = std::get_if<ChatPrompt>(&prompt)) fill_prompt(*settings, *chat);
    }
}

void check_parameters(const ValueMap& parameters) {
    const Fields fields(parameters, "parameters");
    for (const ValueEntry& e : parameters) {
        const auto is = [&](const auto& names) { return std::ranges::find(names, e.key) != names.end(); };
        if (is(kSettings)) continue;
        if (is(kRunnerNumbers)) {
            static_cast<void>(fields.integer(e.key, std::numeric_limits<std::int32_t>::min(), 1 << 30));
        } else if (is(kRunnerSwitches)) {
            static_cast<void>(fields.boolean(e.key));
        } else {
            fields.fail(e.key,
                        fmt::format("parameters names \"{}\", which is no setting of a model.", e.key.substr(0, 60)),
                        "GET /openapi.json lists them.");
        }
    }
    GenerationRequest request;
    fill_sampling(parameters, request);
    static_cast<void>(fields.integer("num_ctx", 0, 1 << 30));
}

std::string parameter_lines(const ValueMap& parameters) {
    std::string out;
    const auto line = [&](const std::string& name, const Value& value) {
        out += fmt::format("{:<30} {}\n", name, to_json(value));
    };
    for (const ValueEntry& e : parameters) {
        if (e.value.size() == 0 || e.value.get<ValueMap>() != nullptr) {
            line(e.key, e.value);
        } else {
            for (std::size_t i = 0; i < e.value.size(); ++i) line(e.key, e.value.at(i));
        }
    }
    return out;
}

}  // namespace freehold::server
