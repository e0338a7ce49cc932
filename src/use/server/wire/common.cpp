// Shared parts of the dialects.
#include "common.h"

#include "created_model.h"
#include "freehold/server/compiling.h"

#include <fmt/format.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <fstream>
#include <limits>

namespace freehold::server {
namespace {

// A bias by token id or, as llama.cpp's clients write it, [[id, bias], ...]; false bans.
float bias_value(const Fields& fields, const Value& value) {
    if (const bool* no = value.get<bool>(); no != nullptr && !*no) return -std::numeric_limits<float>::infinity();
    const auto number = value.as_double();
    if (!number || !std::isfinite(*number) || std::abs(*number) > 100) {
        fields.fail("logit_bias", "logit_bias holds a bias that is no number from -100 to 100.");
    }
    // OpenAI says that -100 bans a token.
    return *number == -100 ? -std::numeric_limits<float>::infinity() : static_cast<float>(*number);
}

std::vector<std::pair<Token, float>> read_bias(const Fields& fields) {
    std::vector<std::pair<Token, float>> out;
    const Value* value = fields.find("logit_bias");
    if (value == nullptr) return out;
    if (const auto* map = value->get<ValueMap>()) {
        for (const auto& [key, bias] : *map) {
            Token id = 0;
            const auto [end, problem] = std::from_chars(key.data(), key.data() + key.size(), id);
            if (problem != std::errc() || end != key.data() + key.size()) {
                fields.fail("logit_bias", fmt::format("logit_bias names the token \"{}\".", key.substr(0, 40)),
                            "Its keys are token ids.");
            }
            out.emplace_back(id, bias_value(fields, bias));
        }
        return out;
    }
    const auto* list = value->get<ValueList>();
    if (list == nullptr) fields.fail("logit_bias", "logit_bias is no object of token ids and biases.");
    for (const Value& item : *list) {
        const auto* pair = item.get<ValueList>();
        if (pair == nullptr || pair->size() != 2 || !(*pair)[0].as_int()) {
            fields.fail("logit_bias", "logit_bias as a list holds pairs [token id, bias].");
        }
        const auto id = *(*pair)[0].as_int();
        if (id < 0 || id > std::numeric_limits<Token>::max()) {
            fields.fail("logit_bias", "logit_bias names a token id that does not exist.");
        }
        out.emplace_back(static_cast<Token>(id), bias_value(fields, (*pair)[1]));
    }
    return out;
}

}  // namespace

std::string fresh_id(std::string_view prefix) {
    constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    std::array<unsigned char, 24> bytes{};
    if (::getrandom(bytes.data(), bytes.size(), 0) < 0) bytes.fill(0);
    std::string out(prefix);
    for (const unsigned char b : bytes) out += kLetters[b % kLetters.size()];
    return out;
}

std::int64_t unix_now() {
    return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
}

std::uint64_t resident_bytes() {
    std::ifstream file("/proc/self/statm");
    std::uint64_t total = 0, resident = 0;
    file >> total >> resident;
    return resident * static_cast<std::uint64_t>(std::max(1L, ::sysconf(_SC_PAGESIZE)));
}

void read_sampling(const Fields& fields, GenerationRequest& request) {
    SamplingWishes& s = request.sampling;
    const auto real = [&](const char* name, std::optional<float>& out, double low, double high) {
        if (const auto value = fields.real(name, low, high)) out = value;
    };
    real("temperature", s.temperature, 0, 100);
    real("top_p", s.top_p, 0, 1);
    real("min_p", s.min_p, 0, 1);
    real("typical_p", s.typical_p, 0, 1);
    real("repetition_penalty", s.repetition_penalty, 0.01, 100);
    real("repeat_penalty", s.repetition_penalty, 0.01, 100);
    real("presence_penalty", s.presence_penalty, -100, 100);
    real("frequency_penalty", s.frequency_penalty, -100, 100);
    if (const auto k = fields.integer("top_k", -1, 1 << 30)) s.top_k = static_cast<int>(std::max<std::int64_t>(*k, 0));
    if (const auto n = fields.integer("repeat_last_n", -1, 1 << 30)) s.penalty_last_n = static_cast<int>(*n);
    if (const auto n = fields.integer("penalty_last_n", -1, 1 << 30)) s.penalty_last_n = static_cast<int>(*n);
    // -1 is how llama.cpp's clients ask for a seed of chance.
    if (const auto* wide = fields.find("seed"); wide != nullptr && wide->get<std::uint64_t>() != nullptr) {
        s.seed = *wide->get<std::uint64_t>();
    } else if (const auto seed = fields.integer("seed", std::numeric_limits<std::int64_t>::min(),
                                                std::numeric_limits<std::int64_t>::max());
               seed && *seed != -1) {
        s.seed = static_cast<std::uint64_t>(*seed);
    }
    s.logit_bias = read_bias(fields);
    request.stop = fields.strings("stop", 64);
    request.n = static_cast<int>(fields.integer("n", 1, 128).value_or(1));
    request.ignore_eos = fields.boolean("ignore_eos").value_or(false);
    if (const auto use = fields.boolean("cache_prompt"); use && !*use) request.cache = CacheUse::none;
    if (const ValueList* ids = fields.list("stop_token_ids")) {
        for (const Value& id : *ids) {
            if (!id.as_int() || *id.as_int() < 0 || *id.as_int() > std::numeric_limits<Token>::max())
                fields.fail("stop_token_ids", "stop_token_ids holds something that is no token id.");
            request.stop_ids.push_back(static_cast<Token>(*id.as_int()));
        }
    }
    if (fields.boolean("skip_special_tokens") == false) request.show_special = true;
    read_local_samplers(fields, request);
}

void set_owner(const HttpRequest& http, GenerationRequest& request) {
    request.tenant = http.principal.tenant;
    request.allowed_models = http.principal.models;
    request.books = http.principal.books;
}

void read_constraints(const Fields& fields, const Service& service, GenerationRequest& request) {
    using Wish = Service::ConstraintWish;
    std::optional<Wish> wish;
    const auto ask = [&](Wish w) {
        if (wish) fields.fail(w.param, fmt::format("{} and {} contradict each other.", wish->param, w.param));
        wish = std::move(w);
    };
    const auto schema_of = [&](const Value* schema, const std::string& param) {
        if (schema == nullptr || (schema->get<ValueMap>() == nullptr && schema->get<bool>() == nullptr))
            fields.fail(param, fmt::format("{} is no JSON schema.", param));
        return *schema;
    };
    if (const ValueMap* format = fields.object("response_format")) {
        const Fields f(*format, "response_format");
        const std::string type = f.need_string("type");
        if (type == "json_object") {
            // llama.cpp's clients put a schema beside it.
            if (const Value* schema = f.find("schema")) {
                ask({Wish::Kind::json_schema, schema_of(schema, "response_format"), {}, "response_format", false, {}});
            } else {
                ask({Wish::Kind::json_object, {}, {}, "response_format", false, {}});
            }
        } else if (type == "json_schema") {
            const ValueMap* outer = f.object("json_schema");
            const Fields inner(outer != nullptr ? *outer : *format, "response_format.json_schema");
            ask({Wish::Kind::json_schema,
                 schema_of(inner.find("schema"), "response_format"),
                 {},
                 "response_format",
                 inner.boolean("strict").value_or(false),
                 {}});
        } else if (type != "text") {
            f.fail("type", fmt::format("response_format.type is \"{}\".", type.substr(0, 40)),
                   "It is text, json_object or json_schema.");
        }
    }
    const auto schema_field = [&](const char* name) {
        const Value* value = fields.find(name);
        if (value == nullptr) return;
        if (const auto text = value->as_string()) {
            try {
                ask({Wish::Kind::json_schema, parse_json(*text, name), {}, name, false, {}});
            } catch (const Error& error) {
                fields.fail(name, error.message());
            }
            return;
        }
        ask({Wish::Kind::json_schema, schema_of(value, name), {}, name, false, {}});
    };
    const auto choice_field = [&](const Fields& from, const char* name, const std::string& param) {
        if (!from.has(name)) return;
        auto choices = from.strings(name, 4096);
        if (choices.empty()) fields.fail(param, fmt::format("{} offers nothing to choose from.", param));
        ask({Wish::Kind::choice, {}, {}, param, false, std::move(choices)});
    };
    const auto text_field = [&](const Fields& from, const char* name, Wish::Kind kind, const std::string& param) {
        if (auto text = from.string(name); text && !text->empty()) ask({kind, {}, std::move(*text), param, false, {}});
    };
    schema_field("json_schema");
    schema_field("guided_json");
    text_field(fields, "grammar", Wish::Kind::grammar, "grammar");
    text_field(fields, "guided_grammar", Wish::Kind::grammar, "guided_grammar");
    text_field(fields, "guided_regex", Wish::Kind::regex, "guided_regex");
    choice_field(fields, "guided_choice", "guided_choice");
    if (const ValueMap* outputs = fields.object("structured_outputs")) {
        const Fields f(*outputs, "structured_outputs");
        for (const ValueEntry& e : *outputs) {
            constexpr std::array<std::string_view, 5> kForms = {"json", "choice", "regex", "grammar", "json_object"};
            // Switches of vLLM's backends; false is how things are here.
            constexpr std::array<std::string_view, 3> kSwitches = {"disable_any_whitespace",
                                                                   "disable_additional_properties", "disable_fallback"};
            if (e.value.is_null() || std::ranges::find(kForms, e.key) != kForms.end()) continue;
            const bool known = std::ranges::find(kSwitches, e.key) != kSwitches.end();
            if (known && (!f.boolean(e.key).value_or(false) || e.key == "disable_fallback")) continue;
            f.fail(e.key, fmt::format("{} is not offered here, and it is not ignored.", f.path(e.key.substr(0, 60))),
                   "json, json_object, regex, choice and grammar are.");
        }
        if (f.boolean("json_object").value_or(false))
            ask({Wish::Kind::json_object, {}, {}, "structured_outputs", false, {}});
        if (const Value* schema = f.find("json"); schema != nullptr && schema->as_string()) {
            try {
                ask({Wish::Kind::json_schema,
                     parse_json(*schema->as_string(), "structured_outputs.json"),
                     {},
                     "structured_outputs",
                     false,
                     {}});
            } catch (const RequestError&) {
                throw;
            } catch (const Error& error) {
                f.fail("json", error.message());
            }
        } else if (schema != nullptr) {
            ask({Wish::Kind::json_schema,
                 schema_of(schema, "structured_outputs"),
                 {},
                 "structured_outputs",
                 false,
                 {}});
        }
        choice_field(f, "choice", "structured_outputs");
        text_field(f, "regex", Wish::Kind::regex, "structured_outputs");
        text_field(f, "grammar", Wish::Kind::grammar, "structured_outputs");
    }
    if (!wish) return;
    if (!service.constraints) {
        fields.fail(wish->param, fmt::format("{} cannot be honoured by this build.", wish->param),
                    "Leave it away: an answer that only looks as if it were constrained would be worse than none.");
    }
    const CompilingFor scope(request.tenant);
    request.constrain = service.constraints(*wish);
}

void hold_to_tools(const Service& service, GenerationRequest& request) {
    const auto* chat = std::get_if<ChatPrompt>(&request.prompts.front());
    if (chat == nullptr || chat->tools.empty() || request.tool_choice.as_string() == "none") return;
    const bool required =
        request.tool_choice.as_string() == "required" || request.tool_choice.get<ValueMap>() != nullptr;
    if (request.constrain) {
        if (required) {
            throw field_error("tool_choice", "tool_choice requires a call, but the answer has a form of its own.",
                              "Ask for one of the two.");
        }
        return;  // the client's own form of the answer leaves no room for calls
    }
    if (service.tools) {
        const CompilingFor scope(request.tenant);
        request.constrain = service.tools({chat->tools, request.tool_choice, request.parallel_tool_calls});
    } else if (required) {
        throw field_error("tool_choice", "tool_choice requires a call, which this build cannot make sure of.",
                          "Let tool_choice be auto.");
    }
}

std::string finish_reason(const ChoiceDone& done) {
    if (done.withheld) return "content_filter";
    if (done.called_tools && done.finish == FinishReason::stop) return "tool_calls";
    return done.finish == FinishReason::length ? "length" : "stop";
}

Value usage_json(const Usage& usage) {
    const auto n = [](std::uint64_t x) { return Value(static_cast<std::int64_t>(x)); };
    ValueMap map;
    map.set("prompt_tokens", n(usage.prompt_tokens));
    map.set("completion_tokens", n(usage.completion_tokens));
    map.set("total_tokens", n(usage.prompt_tokens + usage.completion_tokens));
    map.set("prompt_tokens_details", ValueMap{{"cached_tokens", n(usage.cached_tokens)}});
    return map;
}

Value timings_json(const Usage& usage) {
    const auto rate = [](double tokens, double seconds) { return seconds > 0 ? tokens / seconds : 0.0; };
    const double read = static_cast<double>(usage.prompt_tokens - std::min(usage.cached_tokens, usage.prompt_tokens));
    const auto written = static_cast<double>(usage.completion_tokens);
    ValueMap map;
    map.set("cache_n", static_cast<std::int64_t>(usage.cached_tokens));
    map.set("prompt_n", static_cast<std::int64_t>(read));
    map.set("prompt_ms", usage.prefill_seconds * 1000);
    map.set("prompt_per_second", rate(read, usage.prefill_seconds));
    map.set("predicted_n", static_cast<std::int64_t>(usage.completion_tokens));
    map.set("predicted_ms", usage.decode_seconds * 1000);
    map.set("predicted_per_second", rate(written, usage.decode_seconds));
    return map;
}

std::string valid_utf8(std::string_view bytes) {
    // to_json replaces what is no UTF-8; the same text must come out of both fields.
    const std::string quoted = to_json(Value(std::string(bytes)));
    return std::string(*parse_json(quoted, "text").as_string());
}

Value logprob_json(const TokenPiece& piece) {
    const auto one = [](const std::string& bytes, float logprob) {
        ValueList list;
        for (const char c : bytes) list.emplace_back(static_cast<int>(static_cast<unsigned char>(c)));
        ValueMap map;
        map.set("token", bytes);  // to_json makes it valid
        map.set("logprob", std::isfinite(logprob) ? static_cast<double>(logprob) : -9999.0);
        map.set("bytes", std::move(list));
        return map;
    };
    ValueMap map = one(piece.bytes, piece.logprob);
    ValueList top;
    for (const auto& other : piece.alternatives) top.emplace_back(one(other.bytes, other.logprob));
    map.set("top_logprobs", std::move(top));
    return map;
}

void EventStream::open() {
    if (responder_->begun()) return;
    responder_->begin(200, {{"Content-Type", "text/event-stream; charset=utf-8"},
                            {"Cache-Control", "no-cache"},
                            {"X-Accel-Buffering", "no"}});
}

void EventStream::data(const Value& value) {
    responder_->write("data: " + to_json(value) + "\n\n");
}

void EventStream::named(std::string_view event, const Value& value) {
    responder_->write(fmt::format("event: {}\ndata: {}\n\n", event, to_json(value)));
}

void EventStream::held() {
    open();
    raw(": held back until it is judged\n\n");
}

void EventStream::fail(const std::exception_ptr& fault) {
    if (!responder_->begun()) return send_error(*responder_, fault);
    const ErrorFacts facts = error_facts(fault);
    responder_->note("error", Value(std::string(kind_name(facts.kind))));
    raw("data: " + openai_error(facts) + "\n\n");
    close();
}

std::exception_ptr stopped_fault() {
    return std::make_exception_ptr(RequestError(503, ErrorKind::cancelled, "The answer was stopped before its end."));
}

bool read_include_usage(const Fields& fields, bool streaming) {
    const ValueMap* options = fields.object("stream_options");
    if (options == nullptr) return false;
    if (!streaming) fields.fail("stream_options", "stream_options is set, but stream is not.");
    return Fields(*options, "stream_options").boolean("include_usage").value_or(false);
}

void run_generation(Service& service, const ResponderPtr& responder, GenerationRequest request, Sink sink) {
    apply_created(service, request);
    const auto generation = service.generator.start(std::move(request), std::move(sink));
    responder->on_gone([weak = std::weak_ptr<Generation>(generation)] {
        if (const auto running = weak.lock()) running->cancel();
    });
}

void note_model_change(Responder& responder, const char* what, const std::string& model, const std::string& digest,
                       const std::string& from) {
    responder.note("model", Value(model));
    if (!digest.empty()) responder.note("digest", Value(digest));
    ValueMap change{{"kind", "model"}, {"what", what}};
    if (!from.empty()) change.set("from", from);
    responder.note("change", Value(std::move(change)));
}

void note_generation(Responder& responder, const ModelLease& model, const Usage& usage, std::string_view finish) {
    responder.note("model", Value(model.name()));
    responder.note("digest", Value(model->digest));
    // Of the manifest, which leads to its lineage.
    if (model.adapter()) responder.note("adapter", Value(model.adapter()->stored));
    responder.note("prompt_tokens", Value(static_cast<std::int64_t>(usage.prompt_tokens)));
    responder.note("cached_tokens", Value(static_cast<std::int64_t>(usage.cached_tokens)));
    responder.note("completion_tokens", Value(static_cast<std::int64_t>(usage.completion_tokens)));
    responder.note("finish", Value(std::string(finish)));
    responder.note("first_token_seconds", Value(usage.first_token_seconds));
}

}  // namespace freehold::server
