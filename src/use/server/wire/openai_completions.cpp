// POST /v1/completions: the older form, on which evaluation harnesses stand (echo with log-probabilities of the
// prompt).
#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <map>

#include "common.h"

namespace freehold::server {
namespace {

constexpr std::size_t kMostPrompts = 1024;

std::vector<Token> read_ids(const Fields& fields, const ValueList& list) {
    std::vector<Token> ids;
    ids.reserve(list.size());
    for (const Value& item : list) {
        const auto* id = item.get<std::int64_t>();
        if (id == nullptr || *id < 0 || *id > std::numeric_limits<Token>::max())
            fields.fail("prompt", "prompt holds something that is no token id.");
        ids.push_back(static_cast<Token>(*id));
    }
    if (ids.empty()) fields.fail("prompt", "prompt holds an empty list of ids.", "Give at least one token.");
    return ids;
}

std::vector<Prompt> read_prompts(const Fields& fields) {
    const Value* value = fields.find("prompt");
    if (value == nullptr) fields.fail("prompt", "prompt is missing.", "Give a text, or token ids.");
    const auto text_prompt = [&](std::string_view text) {
        TextPrompt prompt;
        prompt.text = text;
        prompt.add_special = fields.boolean("add_special_tokens").value_or(true);
        prompt.parse_special = fields.boolean("parse_special").value_or(true);
        return prompt;
    };
    std::vector<Prompt> prompts;
    if (const auto text = value->as_string()) return {text_prompt(*text)};
    const auto* list = value->get<ValueList>();
    if (list == nullptr)
        fields.fail("prompt", fmt::format("prompt is {}.", type_of(*value)), "Give a text, or token ids.");
    if (list->empty()) fields.fail("prompt", "prompt is an empty list.", "Give a text, or token ids.");
    if (list->front().get<std::int64_t>() != nullptr) return {read_ids(fields, *list)};
    if (list->size() > kMostPrompts) {
        fields.fail("prompt",
                    fmt::format("prompt holds {} prompts, but at most {} are taken.", list->size(), kMostPrompts));
    }
    for (const Value& item : *list) {
        if (const auto text = item.as_string()) {
            prompts.emplace_back(text_prompt(*text));
        } else if (const auto* ids = item.get<ValueList>()) {
            prompts.emplace_back(read_ids(fields, *ids));
        } else {
            fields.fail("prompt", fmt::format("prompt holds {}.", type_of(item)), "Give texts, or lists of token ids.");
        }
    }
    return prompts;
}

std::size_t characters(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(
        text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

// The four parallel lists of the old shape.
struct OldLogprobs {
    ValueList tokens, logprobs, top, offsets;
    std::size_t offset = 0;

    void add(const TokenPiece& piece, bool has_logprob, bool counts) {
        tokens.emplace_back(piece.bytes);
        offsets.emplace_back(static_cast<std::int64_t>(offset));
        if (counts) offset += characters(piece.bytes);
        if (!has_logprob) {
            logprobs.emplace_back();
            top.emplace_back();
            return;
        }
        logprobs.push_back(number(piece.logprob));
        ValueMap map;
        for (const auto& other : piece.alternatives) {
            // Two ids may have one text; the likelier one came first.
            if (map.find(other.bytes) == nullptr) map.set(other.bytes, number(other.logprob));
        }
        top.emplace_back(std::move(map));
    }
    static Value number(float value) {
        return std::isfinite(value) ? Value(static_cast<double>(value)) : Value(-9999.0);
    }
    Value json() {
        ValueMap map;
        map.set("tokens", std::exchange(tokens, {}));
        map.set("token_logprobs", std::exchange(logprobs, {}));
        map.set("top_logprobs", std::exchange(top, {}));
        map.set("text_offset", std::exchange(offsets, {}));
        return map;
    }
};

class CompletionAnswer {
 public:
    CompletionAnswer(ResponderPtr responder, const Fields& fields, int n, bool echo, bool wants_logprobs, bool discards)
        : stream_(std::move(responder)),
          id_(fresh_id("cmpl-")),
          created_(unix_now()),
          n_(n),
          streaming_(fields.boolean("stream").value_or(false)),
          echo_(echo),
          wants_logprobs_(wants_logprobs),
          discards_(discards) {
        stream_.responder()->note("response_id", Value(id_));
        include_usage_ = read_include_usage(fields, streaming_);
        if (streaming_ && echo && wants_logprobs)
            fields.fail("echo", "echo with logprobs cannot be streamed.", "Leave stream away.");
    }

    [[nodiscard]] bool streaming() const noexcept { return streaming_; }
    void held() { stream_.held(); }

    void take(Event&& event) {
        std::visit([this](auto& e) { on(e); }, event);
    }

    [[nodiscard]] const ResponderPtr& responder() const { return stream_.responder(); }

 private:
    struct Choice {
        std::string text;
        std::vector<TokenPiece> pieces;
        OldLogprobs old;
        std::string finish;
        Value json;
    };

    [[nodiscard]] ValueMap head() const {
        ValueMap map;
        map.set("id", id_);
        map.set("object", "text_completion");
        map.set("created", created_);
        map.set("model", model_ ? model_.name() : std::string());
        return map;
    }

    void on(const Started& started) {
        model_ = started.model;
        if (!echo_) return;
        for (const PromptFacts& prompt : *started.prompts) {
            prompt_texts_.push_back(prompt.text.empty() ? model_->model->tokenizer()->decode(prompt.ids, false)
                                                        : prompt.text);
        }
        if (!streaming_) return;
        for (std::size_t i = 0; i < prompt_texts_.size() * static_cast<std::size_t>(n_); ++i)
            chunk(static_cast<std::uint32_t>(i), prompt_texts_[i / static_cast<std::size_t>(n_)], nullptr, {});
    }

    void chunk(std::uint32_t index, std::string text, const std::string* finish, Value logprobs) {
        stream_.open();
        ValueMap map = head();
        map.set("choices", ValueList{choice_json(index, std::move(text), std::move(logprobs), finish)});
        if (include_usage_) map.set("usage", Value());
        stream_.data(map);
    }
    static Value choice_json(std::uint32_t index, std::string text, Value logprobs, const std::string* finish) {
        ValueMap one;
        one.set("text", std::move(text));
        one.set("index", static_cast<std::int64_t>(index));
        one.set("logprobs", std::move(logprobs));
        one.set("finish_reason", finish == nullptr ? Value() : Value(*finish));
        return one;
    }

    void on(Delta& delta) {
        if (discards_) return;
        Choice& c = choices_[delta.choice];
        if (streaming_) {
            Value logprobs;
            if (wants_logprobs_) {
                for (const TokenPiece& piece : delta.tokens) c.old.add(piece, true, true);
                logprobs = c.old.json();
            }
            return chunk(delta.choice, std::move(delta.text), nullptr, std::move(logprobs));
        }
        c.text += delta.text;
        for (TokenPiece& piece : delta.tokens) c.pieces.push_back(std::move(piece));
    }

    void on(const ChoiceDone& done) {
        Choice& c = choices_[done.choice];
        c.finish = finish_reason(done);
        if (streaming_) return chunk(done.choice, {}, &c.finish, {});
        const std::size_t prompt = done.choice / static_cast<std::uint32_t>(n_);
        std::string text = echo_ ? prompt_texts_[prompt] + c.text : std::move(c.text);
        Value logprobs;
        if (wants_logprobs_) {
            if (echo_) {
                const auto& facts = done.prompt_tokens.empty() ? prompt_pieces_[prompt] : done.prompt_tokens;
                if (!done.prompt_tokens.empty()) prompt_pieces_[prompt] = done.prompt_tokens;
                for (std::size_t i = 0; i < facts.size(); ++i) {
                    const bool control = model_->model->tokenizer()->piece(facts[i].id, false).empty();
                    c.old.add(facts[i], i > 0, !control);
                }
            }
            for (const TokenPiece& piece : c.pieces) c.old.add(piece, true, true);
            logprobs = c.old.json();
        }
        c.pieces.clear();
        c.json = choice_json(done.choice, std::move(text), std::move(logprobs), &c.finish);
    }

    void on(const AllDone& all) {
        const std::string reason = all.cancelled      ? "cancelled"
                                   : choices_.empty() ? ""
                                                      : choices_.begin()->second.finish;
        if (model_) note_generation(*responder(), model_, all.usage, reason);
        if (all.cancelled) return stream_.fail(stopped_fault());
        if (streaming_) {
            stream_.open();
            if (include_usage_) {
                ValueMap map = head();
                map.set("choices", ValueList{});
                map.set("usage", usage_json(all.usage));
                stream_.data(map);
            }
            stream_.raw("data: [DONE]\n\n");
            return stream_.close();
        }
        ValueList list;
        for (auto& [index, choice] : choices_) list.push_back(std::move(choice.json));
        ValueMap map = head();
        map.set("choices", std::move(list));
        map.set("usage", usage_json(all.usage));
        send_json(*responder(), 200, map);
    }

    void on(const Failed& failed) { stream_.fail(failed.fault); }

    EventStream stream_;
    const std::string id_;
    const std::int64_t created_;
    const int n_;
    const bool streaming_, echo_, wants_logprobs_, discards_;
    bool include_usage_ = false;
    ModelLease model_;
    std::vector<std::string> prompt_texts_;
    std::map<std::size_t, std::vector<TokenPiece>> prompt_pieces_;  // of the first choice of each prompt
    std::map<std::uint32_t, Choice> choices_;
};

void complete(Service& service, const RequestPtr& http, const ResponderPtr& responder) {
    const ValueMap body = read_body(*http);
    const Fields fields(body);
    if (const auto suffix = fields.string("suffix"); suffix && !suffix->empty()) {
        fields.fail("suffix", "Filling in between prompt and suffix is not offered.", "Leave suffix away.");
    }
    GenerationRequest request;
    set_owner(*http, request);
    request.model = fields.string("model").value_or("");
    request.prompts = read_prompts(fields);
    read_sampling(fields, request);
    read_constraints(fields, service, request);
    if (const auto best = fields.integer("best_of", 0, 20); best && *best > std::max(request.n, 1)) {
        fields.fail("best_of", "best_of beyond n is not offered.", "Ask for n answers and choose among them.");
    }
    const bool echo = fields.boolean("echo").value_or(false);
    auto most = fields.integer("max_tokens", -1, 1 << 30);
    if (!most) most = fields.integer("n_predict", -1, 1 << 30);
    request.max_tokens = static_cast<int>(most.value_or(16));
    if (request.max_tokens == -1) request.max_tokens.reset();
    // Without echo no tokens were never a useful wish; one is computed and thrown away in no dialect, so it is refused.
    if (request.max_tokens == 0 && !echo)
        fields.fail("max_tokens", "max_tokens is 0.", "Set echo, or ask for a token.");
    // Old clients say true or false here.
    std::optional<std::int64_t> logprobs;
    const Value* wish = fields.find("logprobs");
    if (wish != nullptr && wish->get<bool>() != nullptr) {
        if (*wish->get<bool>()) logprobs = 0;
    } else {
        logprobs = fields.integer("logprobs", 0, 20);
    }
    if (logprobs) {
        request.logprobs = static_cast<int>(*logprobs);
        request.include_stop_token = true;
        if (echo) request.prompt_logprobs = static_cast<int>(*logprobs);
    }
    auto answer = std::make_shared<CompletionAnswer>(responder, fields, request.n, echo, logprobs.has_value(),
                                                     request.max_tokens == 0);
    run_generation(service, responder, std::move(request), answer);
}

constexpr const char* kOperation = R"json({
"operationId": "createCompletion", "tags": ["OpenAI"], "summary": "Go on with a text",
"requestBody": {"required": true, "content": {"application/json": {"schema": {"type": "object", "required": ["prompt"],
  "properties": {
    "model": {"type": "string"},
    "prompt": {"oneOf": [{"type": "string"}, {"type": "array", "minItems": 1, "items": {"type": "string"}},
      {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0}},
      {"type": "array", "minItems": 1, "items": {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0}}}]},
    "stream": {"type": "boolean"},
    "stream_options": {"type": "object", "properties": {"include_usage": {"type": "boolean"}}},
    "echo": {"type": "boolean"}, "logprobs": {"type": ["integer", "boolean"], "minimum": 0, "maximum": 20},
    "max_tokens": {"type": "integer", "minimum": -1, "maximum": 1073741824},
    "best_of": {"type": "integer", "minimum": 0, "maximum": 20}, "suffix": {"const": ""},
    "add_special_tokens": {"type": "boolean"}, "parse_special": {"type": "boolean"}},
  "x-fields": ["sampling", "constraints"]}}}},
"responses": {"200": {"description": "The text; with stream, text_completion objects as server-sent events",
  "content": {"application/json": {"schema": {"type": "object", "required": ["id", "object", "created", "model", "choices"]}},
    "text/event-stream": {"schema": {"type": "string"}}}}}
})json";

}  // namespace

std::vector<Route> openai_completions_routes(Service& service) {
    Route route;
    route.method = "POST";
    route.pattern = "/v1/completions";
    route.handler = [&service](const RequestPtr& request, const ResponderPtr& responder) {
        complete(service, request, responder);
    };
    route.operation = kOperation;
    return {route};
}

}  // namespace freehold::server
